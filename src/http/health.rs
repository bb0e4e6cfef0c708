//! Is it alive, and is it at work? `GET /healthz` answers 200 as long as the process can answer; `GET /readyz` answers 200
//! while events are taken, and else 503 with the reasons. It never asks database or broker: it says what the worker knows.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::jetstream::Broker;
use crate::worker::Gauges;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 32;
/// How long a whole connection may take.
const CONNECTION: Duration = Duration::from_secs(10);
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted: the usual cause is that no file may be opened any more.
const AGAIN: Duration = Duration::from_millis(100);

/// What is known of the worker.
#[derive(Debug, Default)]
pub struct Health {
    at_work: OnceLock<(Broker, Gauges)>,
}

/// Why events are not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// `start`, `database`, `broker` or a type of event.
    pub what: String,
    /// What is the matter, without data values.
    pub why: String,
}

impl Reason {
    fn new(what: &str, why: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            why: why.into(),
        }
    }
}

impl Health {
    /// From now on the worker is at work.
    pub fn at_work(&self, broker: Broker, gauges: Gauges) {
        let _ = self.at_work.set((broker, gauges));
    }

    /// Why events are not taken; empty when they are.
    pub fn reasons(&self) -> Vec<Reason> {
        let Some((broker, gauges)) = self.at_work.get() else {
            return vec![Reason::new("start", "waiting for the database or the broker")];
        };
        let mut reasons = Vec::new();
        if let Some(why) = gauges.brake.reason() {
            reasons.push(Reason::new("database", &*why));
        }
        if !broker.is_connected() {
            reasons.push(Reason::new("broker", "there is no connection to it"));
        } else if broker.is_disturbed() {
            reasons.push(Reason::new("broker", "it does not answer requests for events"));
        }
        let held = gauges.switch.held().into_iter();
        reasons.extend(held.map(|kind| Reason::new(kind, "too many of these fail, nothing of them is buried")));
        reasons
    }
}

/// Answers until it is stopped.
pub async fn serve(listener: TcpListener, health: Arc<Health>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(CONNECTION, converse(stream, &health)).await;
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::debug!(%error, "a connection could not be accepted");
            None
        }
    }
}

async fn converse(stream: TcpStream, health: &Health) {
    let answering = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), || health.reasons());
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .max_headers(64)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answering);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<Reason>,
}

/// The answer to a request; `reasons` is asked only where they matter.
fn answer(method: &Method, path: &str, reasons: impl FnOnce() -> Vec<Reason>) -> Response<Full<Bytes>> {
    let known = matches!(path, "/healthz" | "/readyz");
    let (status, body) = if !known {
        (StatusCode::NOT_FOUND, String::new())
    } else if !matches!(*method, Method::GET | Method::HEAD) {
        (StatusCode::METHOD_NOT_ALLOWED, String::new())
    } else if path == "/healthz" {
        (StatusCode::OK, r#"{"alive":true}"#.to_owned())
    } else {
        let reasons = reasons();
        let ready = reasons.is_empty();
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let body = serde_json::to_string(&Readiness { ready, reasons }).unwrap_or_default();
        (status, body)
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_answer() {
        let bad = || vec![Reason::new("database", "away")];
        for (method, path, reasons, expected) in [
            (Method::GET, "/healthz", Vec::new(), 200),
            (Method::GET, "/healthz", bad(), 200),
            (Method::GET, "/readyz", Vec::new(), 200),
            (Method::HEAD, "/readyz", bad(), 503),
            (Method::GET, "/readyz", bad(), 503),
            (Method::POST, "/readyz", Vec::new(), 405),
            (Method::GET, "/", Vec::new(), 404),
            (Method::GET, "/readyz/", Vec::new(), 404),
        ] {
            let found = answer(&method, path, || reasons).status();
            assert_eq!(found.as_u16(), expected, "{method} {path}");
        }
    }

    #[test]
    fn nothing_is_ready_before_the_worker_is_at_work() {
        let reasons = Health::default().reasons();
        assert_eq!(reasons[0].what, "start");
    }
}
