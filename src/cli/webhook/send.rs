//! `rollcall webhook send`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::verify::Recorded;
use super::{Whose, read, unusable};
use crate::cli::{print_json, say};
use crate::clock;
use crate::config::Config;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `rollcall webhook send`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SAMPLE.json is a body as the provider would send it, or a request with \"headers\" and \"body\" of which the body is taken.\n\nExamples:\n  rollcall webhook send --endpoint clerk user.created.json\n  rollcall webhook send --provider clerk --secret-file clerk.secret --url http://127.0.0.1:8081/webhooks/clerk user.created.json\n\nExit code 0 when the ingress answers 2xx: the event is in the stream."
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    whose: Whose,
    /// Where to; by default the configured address and the endpoint's path.
    #[arg(long, required_unless_present = "endpoint")]
    url: Option<String>,
    /// The id of the message, where the scheme has one; by default a new one each time.
    #[arg(long)]
    id: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// The sample, or - for standard input.
    #[arg(value_name = "SAMPLE.json")]
    sample: PathBuf,
}

pub(super) async fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let endpoint = args.whose.endpoint(config)?;
    let sample = read(&args.sample)?;
    let (headers, body) = match Recorded::parse(&sample) {
        Ok(recorded) => (recorded.headers(), Bytes::from(recorded.body)),
        Err(_) => (Vec::new(), Bytes::from(sample)),
    };
    let id = args
        .id
        .clone()
        .unwrap_or_else(|| format!("msg_{}", clock::new_row_id().simple()));
    let now = (clock::now().unix_timestamp_nanos() / 1_000_000) as i64;
    let signed = endpoint.verifier().sign(&id, &body, now);
    let signed = signed.map_err(|error| unusable(endpoint.name(), error.0))?;
    let url = match (&args.url, config.http.ingress_listen) {
        (Some(url), _) => url.clone(),
        (None, Some(address)) => format!("http://{address}/webhooks/{}", endpoint.name()),
        (None, None) => bail!("where to? give --url, or ingress_listen in [http]"),
    };
    let named = |name: &str| signed.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let others = headers.into_iter().filter(|(name, _)| !named(name) && !is_ours(name));
    let headers: Vec<(String, String)> = others.chain(signed.iter().cloned()).collect();
    let status = tokio::time::timeout(PATIENCE, post(&url, &headers, body)).await;
    let status = status.with_context(|| format!("{url}: no answer within {} s", PATIENCE.as_secs()))??;
    if args.json {
        print_json(&serde_json::json!({ "url": url, "status": status.as_u16(), "id": id }))?;
    } else {
        say(&format!("{url}: {}", said(status)))?;
    }
    Ok(if status.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the connection itself says of a body, and what an old signature would say.
fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "host" | "content-length" | "transfer-encoding" | "connection"
    ) || name.starts_with("svix-")
        || name.starts_with("webhook-")
}

fn said(status: StatusCode) -> String {
    let what = match status.as_u16() {
        200..=299 => "the stream has it",
        401 => "refused: another secret than the endpoint's, or no endpoint of this name",
        413 => "refused: the body is too long",
        503 => "not now: the broker does not take it, or too many requests came from here",
        _ => "refused",
    };
    format!("{} ({what})", status.as_u16())
}

async fn post(url: &str, headers: &[(String, String)], body: Bytes) -> anyhow::Result<StatusCode> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no address"))?;
    if uri.scheme_str() != Some("http") {
        bail!("{url:?} does not begin with http://: samples are sent to the ingress itself, behind its proxy");
    }
    let host = uri.host().with_context(|| format!("{url:?} names no host"))?;
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .with_context(|| format!("nobody listens at {host}:{port}: is `rollcall ingress` running?"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path).header("host", format!("{host}:{port}"));
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let status = response.status();
    let _ = response.into_body().collect().await;
    drop(sender);
    let _ = driving.await;
    Ok(status)
}
