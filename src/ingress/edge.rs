//! Connections from anywhere: how many, how long, and which of them goes when there is no room. hyper itself, because
//! `axum::serve` 0.8 installs no timer, so that the head of a request may take for ever.
//!
//! Whoever has not proved who they are makes room for newcomers, the oldest first: a thousand silent connections cost
//! a good request nothing but the closing of one of them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Desk;
use super::endpoint::{Endpoint, IngressError};
use super::sink::{Connected, Sink};
use super::tally::Counts;
use crate::envelope::Subjects;

/// How long the head of a request may take; so long an idle connection stays open, too.
const HEAD: Duration = Duration::from_secs(5);
/// Longest head, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Most headers.
const HEADERS: usize = 64;
/// How long a stop waits for answers that are on their way.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// The pause after a connection could not be accepted: the usual cause is that no file may be opened any more.
const AGAIN: Duration = Duration::from_millis(100);

/// What the edge is made of.
pub struct EdgeSettings {
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Most connections at a time.
    pub connections: usize,
    /// Who may say in `X-Forwarded-For` for whom they speak.
    pub trusted_proxies: Vec<IpAddr>,
    /// What the subjects of dead letters begin with.
    pub dead_prefix: String,
    /// What the subjects of events say.
    pub subjects: Subjects,
}

/// Takes webhooks until it is stopped; then the counts, by endpoint. Until there is a broker everybody is told to come again.
///
/// # Errors
/// Before anything is taken, when the settings cannot be used.
pub async fn serve(
    listener: TcpListener,
    settings: EdgeSettings,
    broker: Connected,
    stop: CancellationToken,
) -> Result<BTreeMap<String, Counts>, IngressError> {
    let sink = Sink::new(broker);
    let desk = Desk::new(
        settings.endpoints,
        sink,
        settings.trusted_proxies,
        &settings.dead_prefix,
        settings.subjects,
    )?;
    let desk = Arc::new(desk);
    let room = Arc::new(Semaphore::new(settings.connections));
    let strangers = Arc::new(Strangers::default());
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = place(&room, &strangers) => permit,
        };
        let Some(permit) = permit else { break };
        let _ = stream.set_nodelay(true);
        let visit = strangers.enter();
        let (desk, stop) = (Arc::clone(&desk), stop.clone());
        tracker.spawn(async move {
            converse(stream, peer, &desk, &visit, &stop).await;
            drop((visit, permit));
        });
    }
    drop(listener);
    tracker.close();
    let _ = tokio::time::timeout(LAST_ANSWERS, tracker.wait()).await;
    Ok(desk.tally.report())
}

async fn place(room: &Arc<Semaphore>, strangers: &Strangers) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
        return Some(permit);
    }
    strangers.show_out_the_oldest();
    Arc::clone(room).acquire_owned().await.ok()
}

async fn converse(stream: TcpStream, peer: SocketAddr, desk: &Arc<Desk>, visit: &Visit, stop: &CancellationToken) {
    let answering = service_fn(|request| async move {
        let answer = desk.answer(request, peer, || visit.became_known()).await;
        visit.stranger_again();
        Ok::<_, Infallible>(answer)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), answering);
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = visit.shown_out.cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The connections of which nobody knows yet whose they are, the oldest first.
#[derive(Default)]
struct Strangers {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, CancellationToken>,
}

/// One connection, from its beginning to its end.
struct Visit {
    strangers: Arc<Strangers>,
    number: Mutex<u64>,
    shown_out: CancellationToken,
}

impl Strangers {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>) -> Visit {
        let shown_out = CancellationToken::new();
        let number = self.queue().line_up(&shown_out);
        Visit {
            strangers: Arc::clone(self),
            number: Mutex::new(number),
            shown_out,
        }
    }

    fn show_out_the_oldest(&self) {
        if let Some((_, oldest)) = self.queue().waiting.pop_first() {
            oldest.cancel();
        }
    }
}

impl Queue {
    fn line_up(&mut self, shown_out: &CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, shown_out.clone());
        number
    }
}

impl Visit {
    fn number(&self) -> MutexGuard<'_, u64> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is verified is answered, whoever else comes.
    fn became_known(&self) {
        self.strangers.queue().waiting.remove(&self.number());
    }

    /// After an answer it is the youngest of all that wait.
    fn stranger_again(&self) {
        let mut number = self.number();
        let mut queue = self.strangers.queue();
        queue.waiting.remove(&number);
        *number = queue.line_up(&self.shown_out);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.became_known();
    }
}
