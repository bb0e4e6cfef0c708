//! Which nats-server versions are accepted, and what is said about the old ones.

use super::error::BrokerError;

/// `major.minor.patch`; anything after a `-` or `+` is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// The oldest version that has what the promises rest on: `sync_interval`, `filter_subjects`, strict creation.
pub const OLDEST: Version = Version(2, 10, 0);

/// The oldest version without a known durability or security problem that matters here.
pub const ADVISED: Version = Version(2, 12, 8);

impl Version {
    /// Reads `2.12.8`, `v2.10.26`, `2.11.0-RC.3`. None for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let numbers = text.strip_prefix('v').unwrap_or(text).split(['-', '+']).next()?;
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

/// Compares what a server reports with [`OLDEST`] and [`ADVISED`].
///
/// `Ok(None)`: nothing to say. `Ok(Some(text))`: accepted, and the text is a warning for the log.
/// `Err`: refused with [`BrokerError::TooOld`].
pub fn judge_version(reported: &str) -> Result<Option<String>, BrokerError> {
    match Version::parse(reported) {
        None => Ok(Some(format!(
            "the broker reports version {reported:?}, which cannot be read; at least 2.10 is needed and 2.12.8 or newer advised"
        ))),
        Some(version) if version < OLDEST => Err(BrokerError::TooOld {
            version: reported.to_owned(),
        }),
        Some(version) if version < ADVISED => Ok(Some(format!(
            "nats-server {reported} works, but 2.12.8 or newer is advised: older ones lose acknowledged messages in more \
             crash and disk-full situations, and have known security problems (2026 advisories: authentication bypass, \
             denial of service before login, restore API bypass)"
        ))),
        Some(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        let table = [
            ("2.9.10", Some(Version(2, 9, 10))),
            ("v2.12.8", Some(Version(2, 12, 8))),
            ("2.11.0-RC.3", Some(Version(2, 11, 0))),
            ("2.10.26+build", Some(Version(2, 10, 26))),
            ("2.12", None),
            ("2.12.8.1", None),
            ("", None),
            ("latest", None),
        ];
        for (text, expected) in table {
            assert_eq!(Version::parse(text), expected, "{text:?}");
        }
        assert!(Version(2, 9, 99) < OLDEST && Version(2, 12, 10) > ADVISED);
    }

    #[test]
    fn old_servers_are_refused_and_middling_ones_warned_about() {
        for refused in ["1.4.1", "2.9.10", "2.9.25"] {
            let error = judge_version(refused).expect_err(refused);
            assert!(
                error.to_string().contains(refused) && error.to_string().contains("2.10"),
                "{error}"
            );
            assert!(!error.is_transient());
        }
        for warned in ["2.10.0", "2.10.26", "2.11.16", "2.12.7", "somewhat new"] {
            let text = judge_version(warned).expect(warned).expect("a warning");
            assert!(text.contains(warned) && text.contains("2.12.8"), "{text}");
        }
        for silent in ["2.12.8", "2.12.9", "2.14.0", "2.15.1", "3.0.0"] {
            assert_eq!(judge_version(silent).expect(silent), None);
        }
    }
}
