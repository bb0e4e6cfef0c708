//! Stopping in two stages: first nothing new is begun, then, when the grace period is over, nothing is waited for.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two stages. Clones are the same shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Begin nothing new; finish what is in hand.
    pub soft: CancellationToken,
    /// Leave everything as it is; what is not acknowledged comes again.
    pub hard: CancellationToken,
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT: the first begins the soft stage, the second, or the end of the grace period, the
    /// hard one.
    ///
    /// # Errors
    /// When the signals cannot be listened for.
    pub fn on_signals(grace: Duration) -> std::io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stages = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(grace_s = grace.as_secs(), "stopping: finishing what is in hand");
            stages.soft.cancel();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = tokio::time::sleep(grace) => {}
            }
            tracing::warn!("stopping now: what is not acknowledged will be delivered again");
            stages.hard.cancel();
        });
        Ok(shutdown)
    }
}
