//! Logs on stderr: lines for people on a terminal, JSON for machines. Standard output belongs to the commands.

use std::env::{self, VarError};
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Telemetry, log_filter};

/// Why nothing would be logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG is not a log filter: write it like \"info\" or \"warn,rollcall=debug\", or unset it")]
    Variable,
    /// The configured filter is not one; a loaded configuration never has such a filter.
    #[error("\"log\" in [telemetry] is not a log filter: write it like \"info\" or \"warn,rollcall=debug\"")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody else in this process was first.
    #[error("logging is set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets logging up for the whole process, once.
pub fn init(telemetry: &Telemetry) -> Result<(), TelemetryError> {
    let filter = filter(telemetry, env::var("RUST_LOG"))?;
    let terminal = io::stderr().is_terminal();
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let json = match telemetry.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let done = if json {
        logs.json().flatten_event(true).with_ansi(false).finish().try_init()
    } else {
        logs.with_target(false).with_ansi(colour).finish().try_init()
    };
    done.map_err(TelemetryError::Twice)
}

/// `RUST_LOG` if it says anything, else the configured filter.
fn filter(telemetry: &Telemetry, variable: Result<String, VarError>) -> Result<EnvFilter, TelemetryError> {
    match variable {
        Ok(text) if !text.trim().is_empty() => log_filter(&text).map_err(|_| TelemetryError::Variable),
        Err(VarError::NotUnicode(_)) => Err(TelemetryError::Variable),
        Ok(_) | Err(VarError::NotPresent) => {
            // The client library tells of every connection at the level at which we tell of our work.
            let quiet = if telemetry.log.contains("async_nats") {
                ""
            } else {
                ",async_nats=warn"
            };
            log_filter(&format!("{}{quiet}", telemetry.log)).map_err(TelemetryError::Filter)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_log_wins_if_it_says_anything() {
        let telemetry = Telemetry {
            log: "info".into(),
            format: LogFormat::Auto,
        };
        let shown = |variable| {
            filter(&telemetry, variable)
                .map(|filter| filter.to_string())
                .map_err(|e| e.to_string())
        };
        let usual = Ok("async_nats=warn,info".to_owned());
        assert_eq!(shown(Err(VarError::NotPresent)), usual);
        assert_eq!(shown(Ok(" ".into())), usual);
        assert_eq!(shown(Ok("rollcall=trace".into())), Ok("rollcall=trace".into()));
        assert!(shown(Ok("a=b=c".into())).is_err_and(|text| text.starts_with("RUST_LOG")));
    }

    #[test]
    fn values_in_a_filter_are_texts() {
        // It is no regular expression: some that are take minutes to be made ready.
        let telemetry = Telemetry {
            log: "rollcall[a{b=(}]=debug".into(),
            format: LogFormat::Auto,
        };
        let made = filter(&telemetry, Err(VarError::NotPresent));
        assert!(made.is_ok(), "{:?}", made.err());
    }
}
