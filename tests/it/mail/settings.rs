//! Templates of one's own, and settings that cannot work.

use anyhow::Result;
use serde_json::json;

use super::{created, header, mailing, readable};
use crate::harness::smtp::Encryption;
use crate::world::{Base, Which};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_read_at_the_start_and_used() -> Result<()> {
    let (mut deployment, smtp) = mailing(Base::fresh(Which::Sqlite).await?, Encryption::Plain).await?;
    let folder = smtp.folder().join("templates");
    std::fs::create_dir(&folder)?;
    let folder_text = folder.display().to_string();
    deployment.set("ROLLCALL__MAIL__TEMPLATES", &folder_text);
    for (text, said) in [
        ("Hello {{nmae}}", "Subject: …"),
        ("Subject: Hi\n\nHello {{nmae}}", "unknown name {{nmae}}"),
        ("Subject: Hi {{#code}}\n\n", "do not match"),
    ] {
        std::fs::write(folder.join("welcome.txt"), text)?;
        let refused = deployment.run(&["run", "--drain"]).await?;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
        let checked = deployment.run(&["check"]).await?;
        assert!(checked.code == 2 && checked.stdout.contains(said), "{checked:?}");
    }
    std::fs::write(
        folder.join("welcome.txt"),
        "Subject: Zoë grüßt {{user_id}}\n\nYour code {{#code}}is {{code}}{{/code}}.\n",
    )?;
    deployment.publish(&[created("ada")]).await?;
    deployment.drain().await?;
    let mails = smtp.has(1).await?;
    assert!(
        header(&mails[0], "Subject").starts_with("=?utf-8?"),
        "{}",
        readable(&mails[0])
    );
    assert!(
        header(&mails[0], "Content-Type").starts_with("text/plain"),
        "no HTML of ours beside a text of theirs"
    );
    assert!(
        readable(&mails[0]).contains("\nYour code .\n"),
        "{}",
        readable(&mails[0])
    );
    assert_eq!(mails[0].envelope["user"], json!(null));

    let checked = deployment.run(&["check", "--json"]).await?;
    assert!(checked.stdout.contains("the server answers"), "{checked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_found_before_anything_is_done() -> Result<()> {
    let (mut deployment, smtp) = mailing(Base::fresh(Which::Sqlite).await?, Encryption::Plain).await?;
    for (name, value, said) in [
        (
            "ROLLCALL__MAIL__SERVER",
            "smtp://me:secret@localhost",
            "is no address of a mail server",
        ),
        ("ROLLCALL__MAIL__FROM", "nobody", "\"from\" in [mail] is"),
        ("ROLLCALL__MAIL__USER", "me", "without a password"),
        ("ROLLCALL__MAIL__CA_FILE", "missing.pem", "cannot be read"),
    ] {
        let before = deployment.environment.clone();
        deployment.set(name, value);
        let refused = deployment.run(&["run", "--drain"]).await?;
        assert_eq!(refused.code, 2, "{name}: {refused:?}");
        assert!(
            refused.stderr.contains(said) && !refused.stderr.contains("secret"),
            "{refused:?}"
        );
        deployment.environment = before;
    }
    let password = smtp.folder().join("password").display().to_string();
    deployment
        .set("ROLLCALL__MAIL__USER", "rollcall")
        .set("ROLLCALL__MAIL__PASSWORD_FILE", &password);
    let refused = deployment.run(&["run", "--drain"]).await?;
    assert!(
        refused.code == 2 && refused.stderr.contains("over the line as it is"),
        "{refused:?}"
    );
    Ok(())
}
