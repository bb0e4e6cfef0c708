//! The official signing libraries post to a running ingress; what arrives in the stream is compared.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;

use super::serving::{SECRET, Serving};
use crate::harness::{HOW_TO_GET, on_path};

const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

fn tools() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/webhook-clients")
}

async fn arrive(command: &mut Command, script: &str, names: [&str; 2]) -> Result<()> {
    let serving = Serving::start().await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/ingress/clients")
        .join(script);
    let url = format!("http://{}/webhooks/std", serving.address);
    command.arg(script).args([&url, SECRET]).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = serving.events().await?;
    ensure!(events.len() == 2, "{events:?}");
    for (event, name) in events.iter().zip(names) {
        let expected = json!({"user_id": name, "email": "zoë@example.com", "full_name": "Zoë 名前 ✓"});
        ensure!(
            event["data"] == expected && event["id"] == format!("msg_{name}"),
            "{event}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_libraries_for_python_are_believed() -> Result<()> {
    let python = tools().join("bin/python");
    ensure!(
        python.exists(),
        "the signing libraries are not at {}: {HOW_TO_GET}",
        tools().display()
    );
    arrive(
        &mut Command::new(python),
        "post.py",
        ["python-svix", "python-standardwebhooks"],
    )
    .await
}

#[tokio::test]
async fn the_libraries_for_node_are_believed() -> Result<()> {
    let modules = tools().join("node_modules");
    let node = on_path("node").with_context(|| format!("node is not on PATH: {HOW_TO_GET}"))?;
    ensure!(
        modules.join("svix").exists() && modules.join("standardwebhooks").exists(),
        "the signing libraries are not at {}: {HOW_TO_GET}",
        modules.display()
    );
    let mut command = Command::new(node);
    command.env("NODE_PATH", &modules);
    arrive(&mut command, "post.js", ["node-svix", "node-standardwebhooks"])
        .await
        .context("with node")
}
