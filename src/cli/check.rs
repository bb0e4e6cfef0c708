//! `rollcall check`

use std::path::Path;
use std::process::ExitCode;

use super::{print_json, say, tables, topology};
use crate::config::Config;
use crate::jetstream::{self, Broker, BrokerError, Difference};
use crate::store::{Remark, SchemaState, Store};
use crate::wiring;

/// Arguments of `rollcall check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  rollcall check && rollcall run\n\nExit code 0 when nothing stands in the way of `rollcall run`, else 2. Changes nothing."
)]
pub(super) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, serde::Serialize)]
struct Finding {
    /// What was looked at.
    subject: &'static str,
    /// `ok`, `warning` or `problem`.
    state: &'static str,
    /// What there is to say, remedy included.
    message: String,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, subject: &'static str, message: impl Into<String>) {
        self.0.push(Finding {
            subject,
            state: "ok",
            message: message.into(),
        });
    }

    fn warning(&mut self, subject: &'static str, message: impl Into<String>) {
        self.0.push(Finding {
            subject,
            state: "warning",
            message: message.into(),
        });
    }

    fn problem(&mut self, subject: &'static str, error: impl Into<anyhow::Error>) {
        self.0.push(Finding {
            subject,
            state: "problem",
            message: crate::failure::chain(error.into().as_ref()),
        });
    }
}

pub(super) async fn run(args: &Args, path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    match Config::load(path, super::environment()) {
        Err(error) => findings.problem("configuration", error),
        Ok(config) => {
            findings.ok("configuration", "valid");
            match wiring::endpoints(&config) {
                Err(error) => findings.problem("webhooks", error),
                Ok(endpoints) if endpoints.is_empty() => {}
                Ok(endpoints) => findings.ok("webhooks", format!("{} endpoints", endpoints.len())),
            }
            let (broker, store) = tokio::join!(check_broker(&config), check_store(&config));
            findings.0.extend(broker.0.into_iter().chain(store.0));
        }
    }
    let sound = findings.0.iter().all(|finding| finding.state != "problem");
    if args.json {
        print_json(&serde_json::json!({ "ok": sound, "findings": findings.0 }))?;
    } else {
        for finding in &findings.0 {
            let message = finding.message.replace('\n', "\n                        ");
            say(&format!("{:<8} {:<14} {message}", finding.state, finding.subject))?;
        }
    }
    Ok(ExitCode::from(if sound { 0 } else { 2 }))
}

async fn check_broker(config: &Config) -> Findings {
    let mut findings = Findings::default();
    let broker = match jetstream::connect(&wiring::broker(config)).await {
        Err(error) => {
            findings.problem("broker", error);
            return findings;
        }
        Ok(broker) => broker,
    };
    findings.ok(
        "broker",
        format!("nats-server {} at {}", broker.version(), broker.servers()),
    );
    if let Some(warning) = broker.version_warning() {
        findings.warning("broker", warning);
    }
    for warning in wiring::endpoint_warnings(config, broker.max_payload()) {
        findings.warning("webhooks", warning);
    }
    compare(config, &broker, &mut findings).await;
    broker.close().await;
    findings
}

async fn compare(config: &Config, broker: &Broker, findings: &mut Findings) {
    let announcements = wiring::announcements(config).map(|stream| ("announcements", stream));
    let streams = [
        ("events", wiring::events(config)),
        ("dead letters", wiring::dead_letters(config)),
    ];
    for (subject, stream) in streams.into_iter().chain(announcements) {
        let compared = broker.stream_differences(&stream).await;
        judge(config, subject, &format!("stream {}", stream.name), compared, findings);
    }
    for consumer in wiring::consumers(config) {
        let compared = broker.consumer_differences(&consumer).await;
        let object = format!("consumer {}", consumer.durable);
        judge(config, "consumer", &object, compared, findings);
    }
    find_leftovers(config, broker, findings).await;
}

/// Consumers of partitions that there are no more. A broker that keeps their names to itself is no problem.
async fn find_leftovers(config: &Config, broker: &Broker, findings: &mut Findings) {
    let stream = &config.consumer.stream;
    let Ok(leftovers) = topology::leftover_readers(config, broker).await else {
        return;
    };
    let differences = broker.stream_differences(&wiring::events(config)).await;
    // Or what comes next would have no consumer.
    let gets_nothing = differences.is_ok_and(|found| found.iter().all(|other| other.field != "subject_transform"));
    for (name, reader) in leftovers {
        let left = reader.reached.waiting + reader.reached.in_hand;
        let advice = match (config.consumer.partitions, left) {
            (_, 0) if gets_nothing => format!("nothing waits there: `nats consumer rm {stream} {name}`"),
            (None, _) => format!("{left} events wait there and nobody reads them: docs/PARTITIONS.md says what to do"),
            (Some(_), 0) => "the stream gives it events until `rollcall run` changes that".to_owned(),
            (Some(_), _) => format!("{left} events wait there, which `rollcall run` applies; remove it afterwards"),
        };
        findings.warning("consumer", format!("consumer {name} belongs to no partition; {advice}"));
    }
}

/// What is missing, and what partitions change, is no problem where `run` sees to it.
fn judge(
    config: &Config,
    subject: &'static str,
    object: &str,
    compared: Result<Vec<Difference>, BrokerError>,
    findings: &mut Findings,
) {
    match compared {
        Ok(differences) if differences.is_empty() => findings.ok(subject, format!("{object} is as configured")),
        Ok(differences) if topology::are_of_partitions(config, &differences) => {
            findings.ok(
                subject,
                format!("{object} has other partitions than are configured; `rollcall run` changes that"),
            );
        }
        Ok(differences) => findings.problem(
            subject,
            BrokerError::Mismatch {
                object: object.to_owned(),
                differences,
            },
        ),
        Err(BrokerError::StreamMissing { .. } | BrokerError::ConsumerMissing { .. }) if config.nats.manage => {
            findings.ok(subject, format!("{object} does not exist yet; `rollcall run` makes it"));
        }
        Err(error) => findings.problem(subject, error),
    }
}

async fn check_store(config: &Config) -> Findings {
    let mut findings = Findings::default();
    let at = config.store.url.redacted();
    let store = match Store::open(&wiring::store(config)).await {
        Err(error) => {
            findings.problem("database", anyhow::Error::from(error).context(at.to_owned()));
            return findings;
        }
        Ok(store) => store,
    };
    match store.schema_state().await {
        Ok(SchemaState::Current) => findings.ok("database", format!("{at}: the tables are current")),
        Ok(SchemaState::Behind) => {
            findings.problem(
                "database",
                anyhow::anyhow!("{at}: tables are missing: run `rollcall migrate`"),
            );
        }
        Ok(SchemaState::Ahead) => {
            findings.problem(
                "database",
                anyhow::anyhow!("{at}: the tables are of a newer version of Rollcall: run that"),
            );
        }
        Err(error) => findings.problem("database", error),
    }
    check_tables(config, &store, &mut findings).await;
    if let Some(source) = wiring::customers(config) {
        match store.check_customers(&source).await {
            Ok(remarks) if remarks.is_empty() => findings.ok("customers", "can be looked for"),
            Ok(remarks) => remarks.into_iter().for_each(|remark| match remark {
                Remark::Problem(problem) => findings.problem("customers", anyhow::anyhow!(problem)),
                Remark::Warning(warning) => findings.warning("customers", warning),
            }),
            Err(error) => findings.problem("customers", error),
        }
    }
    match store.durability_warnings().await {
        Ok(warnings) => warnings
            .into_iter()
            .for_each(|warning| findings.warning("database", warning)),
        Err(error) => findings.problem("database", error),
    }
    check_mail(config, &store, &mut findings).await;
    store.close().await;
    findings
}

async fn check_tables(config: &Config, store: &Store, findings: &mut Findings) {
    let count = config.cascades.len() + config.audits.len();
    match tables::inspect(store, config).await {
        Err(error) => findings.problem("tables", error),
        Ok(found) => {
            if found.problems.is_empty() && count > 0 {
                findings.ok(
                    "tables",
                    format!("{count} of the application's tables follow the users"),
                );
            }
            for problem in found.problems {
                findings.problem("tables", anyhow::anyhow!(problem));
            }
            for warning in found.warnings {
                findings.warning("tables", warning);
            }
        }
    }
}

/// A mail server that is away is no problem: mails wait for it.
async fn check_mail(config: &Config, store: &Store, findings: &mut Findings) {
    match super::run::post(config, store) {
        Ok(None) => {}
        Err(error) => findings.problem("mail", error),
        Ok(Some(post)) => match post.test().await {
            Ok(()) => findings.ok("mail", "the server answers"),
            Err(error) => findings.warning("mail", crate::failure::chain(&error)),
        },
    }
}
