//! Who may connect, how, and what is said to those who may not.

use anyhow::{Context, Result};
use rollcall::jetstream::{BrokerError, ConnectSettings, Manage, TlsMode, connect};
use secrecy::SecretString;

use crate::harness::nats::Nats;
use crate::harness::tls::Certificates;
use crate::topology::{consumer, users};

/// From the NATS documentation; opens nothing.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const SECRET: &str = "s3cret/with@signs";

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

fn user(nats: &Nats, password: &str) -> ConnectSettings {
    ConnectSettings {
        user: Some("ada".to_owned()),
        password: Some(secret(password)),
        ..nats.settings()
    }
}

/// Connects and makes the topology; that takes every right the worker needs at its start.
async fn works(settings: &ConnectSettings) -> Result<()> {
    let broker = connect(settings).await?;
    broker.ensure_stream(&users(), Manage::Create).await?;
    Ok(broker.ensure_consumer(&consumer(), Manage::Create).await?)
}

async fn refused(settings: &ConnectSettings) -> BrokerError {
    let error = connect(settings).await.expect_err("no access");
    let shown = format!(
        "{error} {error:?} {:?} {settings:?}",
        anyhow::Chain::new(&error).collect::<Vec<_>>()
    );
    for secret in [SECRET, "s3cret", "wrong-one", SEED] {
        assert!(!shown.contains(secret), "{shown}");
    }
    error
}

#[tokio::test]
async fn user_and_password() -> Result<()> {
    let nats = Nats::configured(&format!("authorization {{ user: ada, password: \"{SECRET}\" }}")).await?;
    works(&user(&nats, SECRET)).await?;
    let in_url = nats.url().replace("nats://", "nats://ada:s3cret%2Fwith%40signs@");
    works(&ConnectSettings {
        url: in_url.clone(),
        ..nats.settings()
    })
    .await?;
    let two = format!("nats://127.0.0.1:9,{in_url}");
    works(&ConnectSettings {
        url: two,
        ..nats.settings()
    })
    .await
    .context("a list with a dead server")?;

    for settings in [
        user(&nats, "wrong-one"),
        nats.settings(),
        ConnectSettings {
            url: in_url.replace("ada", "eve"),
            ..nats.settings()
        },
        ConnectSettings {
            token: Some(secret("wrong-one")),
            ..nats.settings()
        },
    ] {
        let error = refused(&settings).await;
        assert!(matches!(error, BrokerError::CredentialsRefused { .. }), "{error}");
        assert!(
            error.to_string().contains("127.0.0.1") && error.to_string().contains("password"),
            "{error}"
        );
        assert!(!error.is_transient());
    }
    Ok(())
}

#[tokio::test]
async fn token() -> Result<()> {
    let nats = Nats::configured(&format!("authorization {{ token: \"{SECRET}\" }}")).await?;
    works(&ConnectSettings {
        token: Some(secret(SECRET)),
        ..nats.settings()
    })
    .await?;
    let in_url = nats.url().replace("nats://", "nats://s3cret%2Fwith%40signs@");
    works(&ConnectSettings {
        url: in_url,
        ..nats.settings()
    })
    .await?;
    let error = refused(&ConnectSettings {
        token: Some(secret("wrong-one")),
        ..nats.settings()
    })
    .await;
    assert!(matches!(error, BrokerError::CredentialsRefused { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn nkey() -> Result<()> {
    let nats = Nats::configured(&format!("authorization {{ users: [ {{ nkey: {PUBLIC} }} ] }}")).await?;
    works(&ConnectSettings {
        nkey_seed: Some(secret(SEED)),
        ..nats.settings()
    })
    .await?;
    for bad in [SEED.replace("CU3VY", "CU3VX"), "wrong-one".to_owned()] {
        let error = refused(&ConnectSettings {
            nkey_seed: Some(secret(&bad)),
            ..nats.settings()
        })
        .await;
        assert!(matches!(error, BrokerError::CredentialsRefused { .. }), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn tls_is_verified() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files = Certificates::make(folder.path())?;
    let (cert, key) = (files.server_cert.display(), files.server_key.display());
    let nats = Nats::configured(&format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}")).await?;
    let trusting = ConnectSettings {
        ca_file: Some(files.ca.clone()),
        ..nats.settings()
    };
    for tls in [TlsMode::IfOffered, TlsMode::Required] {
        works(&ConnectSettings {
            tls,
            ..trusting.clone()
        })
        .await
        .with_context(|| format!("{tls:?}"))?;
    }
    let scheme = nats.url().replace("nats://", "tls://");
    works(&ConnectSettings {
        url: scheme,
        ..trusting.clone()
    })
    .await?;

    let error = refused(&ConnectSettings {
        ca_file: Some(files.stranger.clone()),
        ..nats.settings()
    })
    .await;
    assert!(
        matches!(error, BrokerError::Tls { .. }) && !error.is_transient(),
        "{error}"
    );
    assert!(error.to_string().contains("CA file"), "{error}");

    let missing = ConnectSettings {
        ca_file: Some(folder.path().join("none.pem")),
        ..nats.settings()
    };
    let error = refused(&missing).await;
    assert!(error.to_string().contains("none.pem"), "{error}");
    let half = ConnectSettings {
        cert_file: Some(files.client_cert.clone()),
        ..trusting
    };
    assert!(refused(&half).await.to_string().contains("belong together"));

    let plain = Nats::start().await?;
    let error = refused(&ConnectSettings {
        tls: TlsMode::Required,
        ..plain.settings()
    })
    .await;
    assert!(
        matches!(error, BrokerError::Tls { .. } | BrokerError::Unreachable { .. }),
        "never unencrypted: {error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_and_tls_first() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files = Certificates::make(folder.path())?;
    let (cert, key, ca) = (
        files.server_cert.display(),
        files.server_key.display(),
        files.ca.display(),
    );
    let nats = Nats::configured(&format!(
        "tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{ca}\", verify: true, handshake_first: true }}"
    ))
    .await?;
    let settings = ConnectSettings {
        tls: TlsMode::First,
        ca_file: Some(files.ca.clone()),
        ..nats.settings()
    };
    works(&ConnectSettings {
        cert_file: Some(files.client_cert.clone()),
        key_file: Some(files.client_key.clone()),
        ..settings.clone()
    })
    .await?;
    let error = refused(&settings).await;
    assert!(
        matches!(error, BrokerError::Tls { .. } | BrokerError::Unreachable { .. }),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn missing_rights_are_named_at_once() -> Result<()> {
    let nats = Nats::configured(
        "authorization { users: [ { user: ada, password: pw, permissions: {
           publish: [\"$JS.API.STREAM.INFO.USERS\", \"$JS.API.CONSUMER.>\"], subscribe: [\"_own.>\"] } } ] }",
    )
    .await?;
    let settings = ConnectSettings {
        inbox_prefix: Some("_own".to_owned()),
        ..user(&nats, "pw")
    };
    // No right to ask about the account: that alone is no obstacle.
    let broker = connect(&settings).await?;
    let error = broker
        .ensure_stream(&users(), Manage::Create)
        .await
        .expect_err("no right");
    assert!(
        matches!(error, BrokerError::Denied { .. }) && !error.is_transient(),
        "{error}"
    );
    assert!(error.to_string().contains("$JS.API.STREAM.CREATE.USERS"), "{error}");
    assert!(broker.trouble().is_some_and(|text| text.contains("STREAM.CREATE")));
    // Without the right to the default prefix no reply can come.
    let error = refused(&user(&nats, "pw")).await;
    assert!(
        matches!(error, BrokerError::Denied { .. }) && error.to_string().contains("_INBOX"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn an_account_without_jetstream_is_told_so() -> Result<()> {
    let nats = Nats::configured(
        "accounts { PLAIN { users: [ { user: ada, password: pw } ] }, RICH { jetstream: enabled, users: [ { user: bob, password: pw } ] } }",
    )
    .await?;
    let error = refused(&user(&nats, "pw")).await;
    assert!(
        matches!(error, BrokerError::NoJetStream { .. }) && !error.is_transient(),
        "{error}"
    );
    works(&ConnectSettings {
        user: Some("bob".to_owned()),
        ..user(&nats, "pw")
    })
    .await
}

#[tokio::test]
async fn nobody_there_is_transient_and_names_the_address() -> Result<()> {
    let settings = ConnectSettings {
        url: "nats://ada:s3cret@127.0.0.1:9".to_owned(),
        ..ConnectSettings::default()
    };
    let error = refused(&settings).await;
    assert!(
        matches!(error, BrokerError::Unreachable { .. }) && error.is_transient(),
        "{error}"
    );
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
    Ok(())
}

#[tokio::test]
async fn creds() -> Result<()> {
    let nats = Nats::configured(include_str!("creds/server.conf")).await?;
    let file = include_str!("creds/user.creds");
    works(&ConnectSettings {
        credentials: Some(secret(file)),
        ..nats.settings()
    })
    .await?;
    let error = refused(&nats.settings()).await;
    assert!(matches!(error, BrokerError::CredentialsRefused { .. }), "{error}");
    let error = refused(&ConnectSettings {
        credentials: Some(secret("wrong-one")),
        ..nats.settings()
    })
    .await;
    assert!(
        matches!(error, BrokerError::Settings { .. }) && error.to_string().contains("creds"),
        "{error}"
    );
    Ok(())
}
