//! How long a database may leave a statement without any answer before it counts as out of reach.
//!
//! A server that is merely slow ends a statement with its own timeout, and says so; this limit lies behind that one, so
//! it is reached only where nothing is heard any more: a frozen backend, a network that swallows packets. The driver
//! would wait for ever there. It is a limit per statement: a unit of work of many statements may take longer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::StoreError;

/// Shared by a transaction, which says when it asks, and whoever waits for its end.
#[derive(Debug, Clone)]
pub struct Patience {
    limit: Duration,
    asked: Arc<Mutex<Instant>>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            asked: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// A statement is about to be sent.
    pub(super) fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits for a unit of work as long as its statements are answered. After an error of this kind the session has to
    /// be discarded: the unit was cancelled half-way, and nobody knows what state its connection is in.
    ///
    /// # Errors
    /// Those of the unit, and [`StoreError::Slow`].
    pub async fn with<T>(&self, unit: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.ask();
        let mut unit = std::pin::pin!(unit);
        loop {
            let end = self.end();
            tokio::select! {
                biased;
                done = &mut unit => return done,
                () = tokio::time::sleep_until(end) => {
                    // It may have asked something else meanwhile.
                    if self.end() == end {
                        return Err(StoreError::Slow(self.limit));
                    }
                }
            }
        }
    }

    fn end(&self) -> Instant {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) + self.limit
    }
}

/// One question outside of a unit of work. The pool looks after a connection that was left in the middle of it.
pub(super) async fn within<T>(
    limit: Duration,
    question: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(limit, question).await;
    answer.unwrap_or(Err(StoreError::Slow(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    async fn answered_after(patience: &Patience, answers: &[u64]) -> Result<(), StoreError> {
        let unit = async {
            for seconds in answers {
                patience.ask();
                let busy = std::future::pending::<()>();
                let _ = tokio::time::timeout(Duration::from_secs(*seconds), busy).await;
            }
            Ok(())
        };
        patience.with(unit).await
    }

    #[tokio::test(start_paused = true)]
    async fn many_slow_statements_are_waited_for_and_one_without_an_answer_is_not() {
        let patience = Patience::new(LIMIT);
        assert!(answered_after(&patience, &[14, 14, 14, 1]).await.is_ok());
        let began = Instant::now();
        let given_up = answered_after(&patience, &[14, 3600, 1]).await;
        assert!(matches!(given_up, Err(StoreError::Slow(LIMIT))), "{given_up:?}");
        assert_eq!(began.elapsed().as_secs(), 14 + 15);
        let question = within(LIMIT, std::future::pending::<Result<(), StoreError>>());
        assert!(matches!(question.await, Err(StoreError::Slow(LIMIT))));
    }
}
