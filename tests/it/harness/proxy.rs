//! A TCP proxy before a real server: it cuts, freezes and delays what passes, and knows enough of PostgreSQL's protocol
//! to cut a connection just before a statement gets through, or just after it was done and before its answer does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::frames::Frames;

/// What happens to a statement on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The connection is cut before the server hears of it.
    LoseRequest,
    /// The server does it, and the connection is cut before its answer gets through.
    LoseReply,
    /// The server does it, and its answer waits until [`Proxy::release`].
    HoldReply,
}

/// A running proxy; everything through it ends when it is dropped.
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What all its connections look at.
struct Shared {
    target: SocketAddr,
    /// PostgreSQL's frames are told apart; any other traffic just passes.
    framed: bool,
    weather: watch::Sender<Weather>,
    plans: Mutex<VecDeque<(String, Deed)>>,
    done: Mutex<Vec<(String, Deed)>>,
    kept: Mutex<Vec<Vec<u8>>>,
}

/// How it is at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Grows with every cut.
    cuts: u64,
    /// Grows with every release.
    releases: u64,
    frozen: bool,
    /// Connections so far, and how many of them are mute for ever.
    accepted: u64,
    forgotten: u64,
    refusing: bool,
    delay: Duration,
}

impl Proxy {
    /// A proxy before the server at this address (`postgres://…`, `nats://…`); [`Self::url`] leads through it.
    pub async fn before(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("an address with a scheme")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = authority
            .rsplit_once('@')
            .map_or(("", authority), |(user, host)| (user, host));
        let target: SocketAddr = host.parse().context("an address with a number and a port")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let at = if user.is_empty() { "" } else { "@" };
        let shared = Arc::new(Shared {
            target,
            framed: scheme.starts_with("postgres"),
            weather: watch::Sender::new(Weather::default()),
            plans: Mutex::default(),
            done: Mutex::default(),
            kept: Mutex::default(),
        });
        Ok(Self {
            url: format!("{scheme}://{user}{at}127.0.0.1:{port}{path}"),
            accepting: tokio::spawn(accept(listener, Arc::clone(&shared))),
            shared,
        })
    }

    /// The address of the server through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Does this to the next statement that begins so (`COMMIT`); one after the other where several are planned.
    pub fn plan(&self, statement: &str, deed: Deed) {
        lock(&self.shared.plans).push_back((statement.to_owned(), deed));
    }

    /// What was done so far, in order.
    pub fn done(&self) -> Vec<(String, Deed)> {
        lock(&self.shared.done).clone()
    }

    /// The answers that were lost, in the order in which they came; an empty one where the server went away instead.
    pub fn kept(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.kept).clone()
    }

    /// Nothing is planned any more.
    pub fn unplan(&self) {
        lock(&self.shared.plans).clear();
    }

    /// Lets every held answer through.
    pub fn release(&self) {
        self.shared.weather.send_modify(|weather| weather.releases += 1);
    }

    /// Cuts every connection there is; new ones are welcome.
    pub fn cut(&self) {
        self.shared.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Nothing gets through, and nobody is told: a network that swallows packets. New connections are taken, and mute.
    pub fn freeze(&self) {
        self.shared.weather.send_modify(|weather| weather.frozen = true);
    }

    /// Ends [`Self::freeze`]: what was on its way arrives.
    pub fn thaw(&self) {
        self.shared.weather.send_modify(|weather| weather.frozen = false);
    }

    /// Ends [`Self::freeze`] for new connections only: those that are there stay mute, as where a firewall forgot them.
    pub fn forget(&self) {
        self.shared.weather.send_modify(|weather| {
            weather.frozen = false;
            weather.forgotten = weather.accepted;
        });
    }

    /// Cuts every connection and closes new ones at once, until [`Self::welcome`].
    pub fn refuse(&self) {
        self.shared.weather.send_modify(|weather| {
            weather.refusing = true;
            weather.cuts += 1;
        });
    }

    /// Ends [`Self::refuse`].
    pub fn welcome(&self) {
        self.shared.weather.send_modify(|weather| weather.refusing = false);
    }

    /// Everything takes so much longer, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.shared.weather.send_modify(|weather| weather.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut number = 0;
        shared.weather.send_modify(|weather| {
            weather.accepted += 1;
            number = weather.accepted;
        });
        let weather = shared.weather.subscribe();
        if weather.borrow().refusing {
            continue;
        }
        let road = Road { number, weather };
        tokio::spawn(connection(client, Arc::clone(&shared), road));
    }
}

/// One connection, to its end or the next cut.
async fn connection(client: TcpStream, shared: Arc<Shared>, road: Road) {
    let mut seen = road.weather.clone();
    let cuts = seen.borrow_and_update().cuts;
    let passing = async {
        let server = TcpStream::connect(shared.target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        // What is to happen to the next answer.
        let answer = watch::Sender::new(None);
        tokio::select! {
            ended = up(client_in, server_out, &shared, road.clone(), &answer) => ended,
            ended = down(server_in, client_out, &shared, road, &answer) => ended,
        }
    };
    tokio::select! {
        _ = passing => {}
        _ = seen.wait_for(|weather| weather.cuts != cuts) => {}
    }
}

/// From the client to the server.
async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    mut road: Road,
    answer: &watch::Sender<Option<Deed>>,
) -> std::io::Result<()> {
    let mut frames = Frames::new(shared.framed);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let taken = from.read(&mut buffer).await?;
        road.open().await;
        if taken == 0 {
            return Ok(());
        }
        frames.put(&buffer[..taken]);
        while let Some(frame) = frames.next() {
            match shared.planned(frame.statement.as_deref()) {
                Some(Deed::LoseRequest) => return Ok(()),
                Some(deed) => {
                    answer.send_replace(Some(deed));
                }
                None => {}
            }
            to.write_all(&frame.bytes).await?;
        }
    }
}

/// From the server to the client.
async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    mut road: Road,
    answer: &watch::Sender<Option<Deed>>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let taken = from.read(&mut buffer).await?;
        match answer.send_replace(None) {
            Some(Deed::LoseReply) => {
                lock(&shared.kept).push(buffer[..taken].to_vec());
                return Ok(());
            }
            Some(Deed::HoldReply) => {
                let releases = road.weather.borrow().releases;
                let _ = road.weather.wait_for(|weather| weather.releases != releases).await;
            }
            Some(Deed::LoseRequest) | None => {}
        }
        road.open().await;
        if taken == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..taken]).await?;
    }
}

/// The way of one connection through the weather.
#[derive(Clone)]
struct Road {
    number: u64,
    weather: watch::Receiver<Weather>,
}

impl Road {
    /// Takes as long as the weather wants it to.
    async fn open(&mut self) {
        let delay = self.weather.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep_until(Instant::now() + delay).await;
        }
        let number = self.number;
        let opens = self
            .weather
            .wait_for(|weather| !weather.frozen && number > weather.forgotten);
        let _ = opens.await;
    }
}

impl Shared {
    /// What is planned for this statement, if it is the one that is waited for.
    fn planned(&self, statement: Option<&str>) -> Option<Deed> {
        let mut plans = lock(&self.plans);
        let (begins, _) = plans.front()?;
        if !statement?.starts_with(begins.as_str()) {
            return None;
        }
        let plan = plans.pop_front()?;
        let deed = plan.1;
        lock(&self.done).push(plan);
        Some(deed)
    }
}
