//! `rollcall webhook verify`, `rollcall webhook send`, and the listener inside of `rollcall run`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::serving::{SECRET, Serving, about, address_in};
use super::{PROVIDERS, compact, fixtures, read};
use crate::deployment::{Deployment, PATIENCE};
use crate::harness::worker::{Finished, rollcall};
use crate::world::{Base, Which};

async fn verify(folder: &Path, arguments: &[&str]) -> Result<Finished> {
    rollcall(folder, &[&["webhook", "verify"], arguments].concat(), &[], PATIENCE).await
}

/// The verdict of the command for a vector, with what can be said on the command line.
async fn verdict(folder: &Path, provider: &str, vector: &Value) -> Result<Finished> {
    std::fs::write(folder.join("request.json"), vector.to_string())?;
    let secret = vector["secret"]
        .as_str()
        .map_or_else(|| vector["jwks"].to_string(), str::to_owned);
    std::fs::write(folder.join("secret"), secret)?;
    let now = vector["now_unix"].to_string();
    let mut arguments = vec![
        "--provider",
        provider,
        "--secret-file",
        "secret",
        "--now",
        &now,
        "--json",
    ];
    for name in ["issuer", "audience"] {
        if let Some(value) = vector[name].as_str() {
            arguments.extend([if name == "issuer" { "--issuer" } else { "--audience" }, value]);
        }
    }
    arguments.push("request.json");
    verify(folder, &arguments).await
}

#[tokio::test]
async fn verify_gives_the_verdict_of_every_scheme() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for provider in PROVIDERS {
        let file = read(&fixtures().join(provider).join("vectors.json"))?;
        let vectors = file["vectors"].as_array().context("vectors")?;
        // One of each verdict; all of them are judged in vectors.rs.
        for expected in ["accept", "reject"] {
            let found = vectors.iter().find(|vector| vector["expect"] == expected);
            let vector = found.context("a vector")?;
            let finished = verdict(folder.path(), provider, vector).await?;
            let code = i32::from(expected == "reject");
            ensure!(finished.code == code, "{provider} {}: {finished:?}", vector["name"]);
            let printed = finished.json()?;
            ensure!(printed["verdict"] == format!("{expected}ed"), "{printed}");
            ensure!(printed["reason"].is_string() == (expected == "reject"), "{printed}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn verify_shows_what_would_be_published_or_why_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = read(&fixtures().join("clerk/vectors.json"))?;
    let vector = file["vectors"]
        .as_array()
        .and_then(|all| all.first())
        .context("a vector")?;
    let finished = verdict(folder.path(), "clerk", vector).await?;
    let events = finished.json()?["events"].clone();
    ensure!(
        events[0]["type"] == "user.created" && events[0]["data"]["email"] == "ada@example.com",
        "{events}"
    );
    ensure!(events[0]["specversion"] == "1.0", "{events}");
    let plain = [
        "--provider",
        "clerk",
        "--secret-file",
        "secret",
        "--now",
        "1767225600",
        "request.json",
    ];
    let finished = verify(folder.path(), &plain).await?.success()?;
    ensure!(
        finished.stdout.starts_with("accepted by standard-webhooks\n"),
        "{finished:?}"
    );
    let late = ["--provider", "clerk", "--secret-file", "secret", "request.json"];
    let finished = verify(folder.path(), &late).await?;
    ensure!(
        finished.code == 1 && finished.stdout.contains("too old"),
        "{finished:?}"
    );
    // A home-grown service, in a file of the same format.
    let own = "about = \"ours\"\n[[signature]]\nscheme = \"static\"\nheader = \"X-Token\"\n[defaults]\nsource = \"ours\"\n\
        id = \"{/event_no}\"\nuser_id = \"/user/no\"\n[[event]]\nwhen = { \"/what\" = \"new\" }\nas = \"user.created\"\n\
        fields = { email = \"/user/mail\" }";
    std::fs::write(folder.path().join("own.toml"), own)?;
    std::fs::write(folder.path().join("secret"), "hush\n")?;
    let body = r#"{"what":"new","event_no":7,"user":{"no":12,"mail":"a@example.com","password":"x"}}"#;
    let request = json!({"headers": {"x-token": "hush"}, "body": body});
    std::fs::write(folder.path().join("request.json"), request.to_string())?;
    let arguments = [
        "--provider",
        "own.toml",
        "--secret-file",
        "secret",
        "--json",
        "request.json",
    ];
    let event = verify(folder.path(), &arguments).await?.success()?.json()?["events"][0].clone();
    ensure!(
        event["id"] == "7" && event["data"] == json!({"user_id": "12", "email": "a@example.com"}),
        "{event}"
    );
    Ok(())
}

#[tokio::test]
async fn wrong_set_ups_end_with_2_and_say_what_to_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("secret"), "not base64!")?;
    std::fs::write(folder.path().join("request.json"), r#"{"headers":{},"body":""}"#)?;
    for (arguments, expected) in [
        (
            &["--provider", "clark", "--secret-file", "secret", "request.json"][..],
            "there is no provider \"clark\"",
        ),
        (
            &["--provider", "clerk", "--secret-file", "secret", "request.json"],
            "not base64",
        ),
        (
            &["--provider", "clerk", "--secret-file", "none", "request.json"],
            "cannot be read",
        ),
        (
            &["--provider", "risc-ssf", "--secret-file", "secret", "request.json"],
            "issuer and audience",
        ),
        (
            &[
                "--provider",
                "clerk",
                "--secret-file",
                "secret",
                "--scheme",
                "hmac",
                "request.json",
            ],
            "has no scheme",
        ),
        (
            &["--provider", "none.toml", "--secret-file", "secret", "request.json"],
            "cannot be read",
        ),
        (&["--endpoint", "none", "request.json"], "no [[ingress]] of this name"),
        (&["request.json"], "--provider"),
    ] {
        let finished = verify(folder.path(), arguments).await?;
        ensure!(
            finished.code == 2 && finished.stderr.contains(expected),
            "{arguments:?}: {finished:?}"
        );
    }
    for (config, arguments, expected) in [
        ("", &["ingress"][..], "no address for webhooks"),
        ("", &["ingress", "--listen", "127.0.0.1:0"], "there is no [[ingress]]"),
        (
            "[[ingress]]\nname = \"x\"\nprovider = \"clerk\"\nsecret_files = [\"secret\"]",
            &["check"],
            "not base64",
        ),
    ] {
        std::fs::write(folder.path().join("config.toml"), config)?;
        let finished = rollcall(folder.path(), arguments, &[], PATIENCE).await?;
        let said = format!("{}{}", finished.stdout, finished.stderr);
        ensure!(
            finished.code == 2 && said.contains(expected),
            "{arguments:?}: {finished:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn send_signs_as_the_sender_would() -> Result<()> {
    let serving = Serving::start().await?;
    let folder = serving.folder.path();
    std::fs::write(folder.join("sample.json"), about("u1"))?;
    let url = format!("http://{}/webhooks/std", serving.address);
    let send =
        async |arguments: &[&str]| rollcall(folder, &[&["webhook", "send"], arguments].concat(), &[], PATIENCE).await;
    let posted = send(&[
        "--endpoint",
        "std",
        "--url",
        &url,
        "--id",
        "m1",
        "--json",
        "sample.json",
    ])
    .await?;
    ensure!(posted.success()?.json()?["status"] == 204);
    std::fs::write(folder.join("other.secret"), SECRET.replace("AQID", "BQID"))?;
    let other = [
        "--provider",
        "svix",
        "--secret-file",
        "other.secret",
        "--url",
        &url,
        "sample.json",
    ];
    let refused = send(&other).await?;
    ensure!(
        refused.code == 1 && refused.stdout.contains("401 (refused"),
        "{refused:?}"
    );
    // A batch of Okta's, from a request in a file, with a static header.
    let sample = std::fs::read_to_string(fixtures().join("okta/user.lifecycle.create.json"))?;
    std::fs::write(
        folder.join("okta.json"),
        json!({"headers": {}, "body": compact(&sample)}).to_string(),
    )?;
    let url = format!("http://{}/webhooks/okta", serving.address);
    send(&["--endpoint", "okta", "--url", &url, "okta.json"])
        .await?
        .success()?;
    let users: Vec<Value> = serving
        .events()
        .await?
        .iter()
        .map(|event| event["data"]["user_id"].clone())
        .collect();
    ensure!(users == ["u1", "00uAdaExample0000001"], "{users:?}");
    Ok(())
}

#[tokio::test]
async fn the_worker_takes_webhooks_too_and_a_profile_follows() -> Result<()> {
    let mut deployment = Deployment::around(Base::fresh(Which::Sqlite).await?).await?;
    let folder = deployment.base.folder.path().to_path_buf();
    std::fs::write(folder.join("clerk.secret"), SECRET)?;
    let config = "[[ingress]]\nname = \"clerk\"\nprovider = \"clerk\"\nsecret_files = [\"clerk.secret\"]";
    std::fs::write(folder.join("config.toml"), config)?;
    deployment.set("ROLLCALL__HTTP__INGRESS_LISTEN", "127.0.0.1:0");
    let mut worker = deployment.start(&["run"])?;
    worker.logged("\"working\"", PATIENCE).await?;
    let url = format!("http://{}/webhooks/clerk", address_in(&worker.log())?);
    for name in ["user.created", "user.updated"] {
        let sample = fixtures().join(format!("clerk/{name}.json")).display().to_string();
        let arguments = ["webhook", "send", "--endpoint", "clerk", "--url", &url, &sample];
        deployment.run(&arguments).await?.success()?;
    }
    deployment.ledger_reaches(2).await?;
    worker.signal("TERM")?;
    worker.finished(PATIENCE).await?.success()?;
    let told = deployment
        .run(&["explain", "user_37Q1w2E3r4T5y6U7i8O9p0AsDfG"])
        .await?
        .success()?
        .stdout;
    ensure!(
        told.contains("Ada Maria Example") && told.matches("applied").count() == 2,
        "{told}"
    );
    Ok(())
}
