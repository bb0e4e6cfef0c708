//! What runs beside the worker. A task of it that ends before it is asked to must not be missed: events would be applied,
//! and nobody told of it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::shutdown::Shutdown;

/// The tasks by their names.
#[derive(Default)]
pub(super) struct Beside {
    tasks: Vec<(&'static str, CancellationToken)>,
}

impl Beside {
    /// Starts a task; its end is noted, whatever brings it about.
    pub(super) fn spawn<T: Send + 'static>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        self.tasks.push((name, ended));
        tokio::spawn(async move {
            let _guard = guard;
            task.await
        })
    }

    /// The work to its end, and the task that ended before it although nobody asked. Then the work is stopped too: it has
    /// `grace` to finish what is in hand.
    pub(super) async fn watch<T>(
        &self,
        work: impl Future<Output = T>,
        shutdown: &Shutdown,
        grace: Duration,
    ) -> (T, Option<&'static str>) {
        let mut work = pin!(work);
        let name = tokio::select! {
            done = &mut work => return (done, None),
            name = self.early() => name,
        };
        // A stop ends all of them.
        if shutdown.soft.is_cancelled() {
            return (work.await, None);
        }
        tracing::error!(task = name, "a task ended while there was work to do; stopping");
        shutdown.soft.cancel();
        let done = tokio::select! {
            done = &mut work => done,
            () = tokio::time::sleep(grace) => {
                shutdown.hard.cancel();
                work.await
            }
        };
        (done, Some(name))
    }

    async fn early(&self) -> &'static str {
        if self.tasks.is_empty() {
            return std::future::pending().await;
        }
        let ends = self.tasks.iter().map(|(name, ended)| {
            Box::pin(async move {
                ended.cancelled().await;
                *name
            })
        });
        select_all(ends).await.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_dies_stops_the_work_and_a_stop_is_no_death() {
        let shutdown = Shutdown::default();
        let mut beside = Beside::default();
        let stop = shutdown.soft.clone();
        let _waits = beside.spawn("patient", async move { stop.cancelled().await });
        let (stop, grace) = (shutdown.soft.clone(), Duration::from_mins(1));
        stop.cancel();
        let (done, died) = beside.watch(async { 1 }, &shutdown, grace).await;
        assert_eq!((done, died), (1, None));

        let shutdown = Shutdown::default();
        let _dies = beside.spawn("mortal", async { panic!("a bug") });
        beside.tasks.remove(0);
        let work = shutdown.soft.clone();
        let ((), died) = beside.watch(work.cancelled(), &shutdown, grace).await;
        assert_eq!(died, Some("mortal"));
        assert!(shutdown.soft.is_cancelled() && !shutdown.hard.is_cancelled());
    }
}
