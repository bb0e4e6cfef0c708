//! One database under test and events made for it: the words the tests of the store, the worker and the commands share.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

mod base;
mod stream;
mod tables;

pub use base::{Base, Which};
pub use stream::{Message, Stream, apply, apply_cut, cloud_event, epoch, said};
pub use tables::{Tables, differing};

/// Runs each case on both databases; names in the output say which.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() -> anyhow::Result<()> {
                super::$case($crate::world::Base::fresh($crate::world::Which::Sqlite).await?).await
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() -> anyhow::Result<()> {
                super::$case($crate::world::Base::fresh($crate::world::Which::Postgres).await?).await
            })+
        }
    };
}
pub(crate) use on_both;
