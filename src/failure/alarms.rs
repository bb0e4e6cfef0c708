//! Tells whoever reads the log what only they can put right: once per code, however often it happens.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::Fault;

/// Triggers may raise codes of their own making: there is an end to what is remembered.
const MOST: usize = 1_000;

/// The codes that were told.
#[derive(Debug, Default)]
pub struct Alarms {
    told: Mutex<BTreeSet<String>>,
}

impl Alarms {
    /// Logs a fault at error level with what to do, if somebody should be told of its code and was not. True if it did.
    pub fn sound(&self, fault: &Fault) -> bool {
        if !fault.page {
            return false;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.len() < MOST && told.insert(fault.code.clone());
        drop(told);
        if is_news {
            tracing::error!(
                code = fault.code,
                known = fault.known,
                error = %fault,
                remedy = fault.remedy(),
                "somebody has to look at this; it is told once for each code"
            );
        }
        is_news
    }
}
