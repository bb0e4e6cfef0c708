//! Stopping in two stages: first nothing new is begun, then, when the grace period is over, nothing is waited for.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// So much of the grace period, or half of a short one, is kept for what comes after the hard stage has begun: the broker
/// gets the last acknowledgements, the connections are closed.
const GOODBYE: Duration = Duration::from_secs(3);

/// The two stages. Clones are the same shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Begin nothing new; finish what is in hand.
    pub soft: CancellationToken,
    /// Leave everything as it is; what is not acknowledged comes again.
    pub hard: CancellationToken,
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT: the first begins the soft stage; the second begins the hard one, or time does, early
    /// enough that the process ends within the grace period.
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
                () = tokio::time::sleep(soft_stage(grace)) => {}
            }
            tracing::warn!("stopping now: what is not acknowledged will be delivered again");
            stages.hard.cancel();
        });
        Ok(shutdown)
    }
}

/// How long what is in hand may take.
fn soft_stage(grace: Duration) -> Duration {
    grace.saturating_sub(GOODBYE).max(grace / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_the_grace_period_is_kept_for_the_end() {
        for (grace, soft) in [
            (1_000, 500),
            (2_000, 1_000),
            (6_000, 3_000),
            (8_000, 5_000),
            (20_000, 17_000),
        ] {
            assert_eq!(soft_stage(Duration::from_millis(grace)), Duration::from_millis(soft));
        }
    }
}
