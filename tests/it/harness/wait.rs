//! Waiting for a condition, never for a time.

use std::time::Duration;

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(10);

/// Asks until the answer is `Some`; fails with `what` when the deadline is over.
pub async fn wait_for<T>(what: &str, deadline: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let asking = async {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            if let Some(value) = check().await {
                return value;
            }
        }
    };
    match tokio::time::timeout(deadline, asking).await {
        Ok(value) => Ok(value),
        Err(_) => bail!("waited {deadline:?} in vain for {what}"),
    }
}
