//! What a sender is answered, and what then is in the stream.

use anyhow::{Context, Result, ensure};
use rollcall::envelope::word_of;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::serving::{STATIC, Serving, about, exchange, reply, signed};
use super::{compact, fixtures};
use crate::deployment::header;
use crate::harness::nats::Nats;
use crate::partitions::partition_of;

#[tokio::test]
async fn a_good_request_is_in_the_stream_before_it_is_answered() -> Result<()> {
    let serving = Serving::start().await?;
    let body = about("u1");
    ensure!(serving.send("msg_1", &body).await?.status == 204);
    let stored = serving.stored("USERS").await?;
    let [message] = stored.as_slice() else {
        anyhow::bail!("{stored:?}")
    };
    ensure!(message.subject == "user.created");
    ensure!(header(message, "Content-Type") == Some("application/cloudevents+json"));
    ensure!(header(message, "Nats-Msg-Id") == Some("idp://standard-webhooks msg_1"));
    let event: Value = serde_json::from_slice(&message.payload)?;
    ensure!(event["id"] == "msg_1" && event["data"]["user_id"] == "u1", "{event}");
    // Again, as after an answer that was lost: the stream knows it.
    ensure!(serving.send("msg_1", &body).await?.status == 204);
    ensure!(serving.stored("USERS").await?.len() == 1);
    let counts = serving.stop().await?.json()?;
    ensure!(
        counts["std"]["requests"]["accepted"] == 2 && counts["std"]["events"] == 2,
        "{counts}"
    );
    Ok(())
}

#[tokio::test]
async fn with_partitions_an_event_is_stored_under_that_of_its_user() -> Result<()> {
    let serving = Serving::with(Nats::start().await?, "\n[consumer]\npartitions = 8").await?;
    ensure!(serving.send("msg_1", &about("u1")).await?.status == 204);
    let stored = serving.stored("USERS").await?;
    let subjects: Vec<&str> = stored.iter().map(|message| message.subject.as_str()).collect();
    let expected = format!("user.created.{}.{}", partition_of("u1", 8), word_of("u1"));
    ensure!(subjects == [expected.as_str()], "{subjects:?}");
    serving.stop().await.map(drop)
}

#[tokio::test]
async fn whoever_is_not_believed_is_told_nothing() -> Result<()> {
    let serving = Serving::start().await?;
    let body = about("u1");
    let good = signed("standard-webhooks", super::serving::SECRET, "msg_1", &body, 0)?;
    let other = "whsec_ZWZnaGlqa2xtbm9wcXJzdHV2d3h5ent8fX5/gIGCg4Q=";
    let answers = [
        serving
            .post("std", &signed("standard-webhooks", other, "msg_1", &body, 0)?, &body)
            .await?,
        serving.post("std", &[], &body).await?,
        serving.post("std", &good, b"{}").await?,
        serving
            .post(
                "std",
                &signed("standard-webhooks", super::serving::SECRET, "m", &body, -301)?,
                &body,
            )
            .await?,
        serving
            .post(
                "std",
                &signed("standard-webhooks", super::serving::SECRET, "m", &body, 302)?,
                &body,
            )
            .await?,
        serving.post("nobody", &good, &body).await?,
        serving.post("", &good, &body).await?,
        serving.post("std/", &good, &body).await?,
        serving.post("%73td", &good, &body).await?,
        serving.post("okta", &good, &body).await?,
    ];
    let without_date = |head: &str| {
        head.lines()
            .filter(|line| !line.starts_with("date: "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for answer in &answers {
        ensure!(answer.status == 401 && answer.body.is_empty(), "{answer:?}");
        ensure!(
            without_date(&answer.head) == without_date(&answers[0].head),
            "{answer:?}"
        );
    }
    ensure!(serving.stored("USERS").await?.is_empty() && serving.stored("DEAD_LETTERS").await?.is_empty());
    ensure!(
        serving.post("std", &good, &body).await?.status == 204,
        "the good one still is"
    );
    let counts = serving.stop().await?.json()?;
    ensure!(counts["std"]["requests"]["rejected"] == 5, "{counts}");
    ensure!(counts[""]["requests"]["rejected"] == 4, "{counts}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_event_is_a_dead_letter_and_not_asked_for_again() -> Result<()> {
    let serving = Serving::start().await?;
    for (id, body) in [("m1", "not JSON"), ("m2", r#"{"type":"user.created","data":{}}"#)] {
        ensure!(serving.send(id, body.as_bytes()).await?.status == 204, "{body}");
        ensure!(serving.send(id, body.as_bytes()).await?.status == 204, "{body}, again");
    }
    ensure!(
        serving
            .send("m3", br#"{"type":"session.created","data":{}}"#)
            .await?
            .status
            == 204
    );
    ensure!(serving.stored("USERS").await?.is_empty());
    let letters = serving.stored("DEAD_LETTERS").await?;
    ensure!(letters.len() == 2, "{letters:?}");
    ensure!(letters.iter().all(|letter| letter.subject == "dead.ingress.std"));
    ensure!(letters[0].payload.as_ref() == b"not JSON");
    ensure!(header(&letters[1], "Rollcall-Reason") == Some("undecodable"));
    ensure!(header(&letters[1], "Rollcall-Error") == Some("there is no id of a user"));
    let listed = crate::harness::worker::rollcall(
        serving.folder.path(),
        &["dead", "list", "--json"],
        &[],
        crate::deployment::PATIENCE,
    );
    let listed = listed.await?.success()?.stdout;
    ensure!(
        listed.lines().count() == 2 && listed.contains("\"subject\":\"ingress.std\""),
        "{listed}"
    );
    let counts = serving.stop().await?.json()?;
    ensure!(
        counts["std"]["letters"] == 4 && counts["std"]["unknown"] == json!({"session.created": 1}),
        "{counts}"
    );
    Ok(())
}

#[tokio::test]
async fn a_batch_is_taken_whole_and_the_handshake_is_answered() -> Result<()> {
    let serving = Serving::start().await?;
    let mut stream = TcpStream::connect(serving.address).await?;
    let ask = "GET /webhooks/okta HTTP/1.1\r\nhost: test\r\nx-okta-verification-challenge: abc\"1\r\n\r\n";
    stream.write_all(ask.as_bytes()).await?;
    let answer = reply(&mut stream).await?;
    ensure!(
        answer.status == 200 && answer.head.contains("content-type: application/json"),
        "{answer:?}"
    );
    ensure!(serde_json::from_str::<Value>(&answer.body)? == json!({"verification": "abc\"1"}));
    let mut events = Vec::new();
    for name in [
        "user.lifecycle.create",
        "user.account.update_profile",
        "user.lifecycle.delete.initiated",
    ] {
        let text = std::fs::read_to_string(fixtures().join(format!("okta/{name}.json")))?;
        let body: Value = serde_json::from_str(&compact(&text))?;
        events.push(body["data"]["events"][0].clone());
    }
    let body = json!({"source": "https://o.example", "data": {"events": events}}).to_string();
    let headers = vec![("Authorization".to_owned(), format!("Bearer {STATIC}"))];
    // On the same connection: it is kept.
    ensure!(
        exchange(&mut stream, "/webhooks/okta", &headers, body.as_bytes())
            .await?
            .status
            == 204
    );
    let kinds: Vec<Value> = serving
        .events()
        .await?
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    ensure!(kinds == ["user.created", "user.updated", "user.deleted"], "{kinds:?}");
    for (ask, status) in [
        ("GET /webhooks/okta HTTP/1.1\r\nhost: test\r\n\r\n", 405),
        ("GET /webhooks/nobody HTTP/1.1\r\nhost: test\r\n\r\n", 405),
        ("PUT /webhooks/std HTTP/1.1\r\nhost: test\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nhost: test\r\n\r\n", 404),
        ("GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n", 200),
        ("GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n", 200),
    ] {
        stream.write_all(ask.as_bytes()).await?;
        ensure!(reply(&mut stream).await?.status == status, "{ask}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_request_is_a_command_to_the_broker() -> Result<()> {
    let serving = Serving::start().await?;
    for (number, id) in [
        "a.b",
        "*",
        ">",
        "user.>",
        "a b",
        "a\r\nNats-Rollup: all",
        "\u{1}\u{7f}",
        "$JS.API.STREAM.PURGE.USERS",
    ]
    .iter()
    .enumerate()
    {
        let body = json!({"type": "user.created", "data": {"id": id, "metadata": {"x": id}}}).to_string();
        let mut headers = signed(
            "standard-webhooks",
            super::serving::SECRET,
            &format!("m{number}"),
            body.as_bytes(),
            0,
        )?;
        for (name, value) in [
            ("Nats-Rollup", "all"),
            ("Nats-Msg-Id", "mine"),
            ("Nats-Expected-Last-Sequence", "99"),
            ("Nats-TTL", "1s"),
            ("ce-type", "user.deleted"),
        ] {
            headers.push((name.to_owned(), value.to_owned()));
        }
        ensure!(
            serving.post("std", &headers, body.as_bytes()).await?.status == 204,
            "{id:?}"
        );
    }
    let stored = serving.stored("USERS").await?;
    ensure!(stored.len() == 8, "{stored:?}");
    for message in &stored {
        ensure!(message.subject == "user.created", "{message:?}");
        let names: Vec<&str> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(
            names.len() == 2 && names.contains(&"Content-Type") && names.contains(&"Nats-Msg-Id"),
            "{names:?}"
        );
    }
    ensure!(serving.stored("DEAD_LETTERS").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_secret_speaks_for_the_source_of_its_endpoint() -> Result<()> {
    let second = "source = \"idp://ours\"\n[[ingress]]\nname = \"other\"\nprovider = \"standard-webhooks\"\n\
        secret_files = [\"std.secret\"]";
    let mut serving = Serving::with(Nats::start().await?, second).await?;
    serving
        .worker
        .logged(
            "other share a provider with another endpoint",
            crate::deployment::PATIENCE,
        )
        .await?;
    let body = about("u1");
    for endpoint in ["std", "other"] {
        let headers = signed("standard-webhooks", super::serving::SECRET, "m1", &body, 0)?;
        ensure!(
            serving.post(endpoint, &headers, &body).await?.status == 204,
            "{endpoint}"
        );
    }
    let sources: Vec<Value> = serving
        .events()
        .await?
        .iter()
        .map(|event| event["source"].clone())
        .collect();
    ensure!(sources == ["idp://ours", "idp://standard-webhooks"], "{sources:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_too_large_for_any_message_is_told_by_its_length_and_hash() -> Result<()> {
    let nats = Nats::configured("max_payload: 16384").await?;
    let mut serving = Serving::with(nats, "").await?;
    serving
        .worker
        .logged("max_payload", crate::deployment::PATIENCE)
        .await?;
    let body = json!({"type": "user.created", "data": {"id": "u1", "metadata": {"x": "y".repeat(20_000)}}}).to_string();
    ensure!(serving.send("m1", body.as_bytes()).await?.status == 204);
    let odd = "z".repeat(20_000);
    ensure!(serving.send("m2", odd.as_bytes()).await?.status == 204);
    ensure!(serving.stored("USERS").await?.is_empty());
    let letters = serving.stored("DEAD_LETTERS").await?;
    ensure!(
        letters.len() == 2,
        "answered 2xx, so both have to be somewhere: {letters:?}"
    );
    ensure!(
        letters
            .iter()
            .all(|letter| letter.payload.is_empty() && letter.subject == "dead.ingress.std")
    );
    let said = |number: usize, name: &str| header(&letters[number], name).unwrap_or_default().to_owned();
    ensure!(said(0, "Rollcall-Error").contains("too large"), "{letters:?}");
    ensure!(said(0, "Rollcall-Payload-Bytes").parse::<usize>()? > 20_000);
    ensure!(said(1, "Rollcall-Error") == "the body is not JSON", "{letters:?}");
    ensure!(said(1, "Rollcall-Payload-Bytes") == "20000" && said(1, "Rollcall-Payload-Sha256").len() == 64);
    let counts = serving.stop().await?.json()?;
    ensure!(
        counts["std"]["letters"] == 2 && counts["std"]["events"] == 1,
        "{counts}"
    );
    Ok(())
}

#[tokio::test]
async fn an_event_that_the_stream_can_never_take_is_a_dead_letter() -> Result<()> {
    let nats = Nats::start().await?;
    let serving = Serving::with(nats, "\n[consumer]\nmax_msg_size = 2000").await?;
    let body = json!({"type": "user.created", "data": {"id": "u1", "metadata": {"x": "y".repeat(3000)}}}).to_string();
    ensure!(serving.send("m1", body.as_bytes()).await?.status == 204);
    ensure!(serving.stored("USERS").await?.is_empty());
    let letters = serving.stored("DEAD_LETTERS").await?;
    let error = header(letters.first().context("a letter")?, "Rollcall-Error").context("an account")?;
    ensure!(error.contains("too large"), "{error}");
    Ok(())
}
