//! The application's tables, looked at before anything is done to them.

use crate::config::Config;
use crate::domain::cascade::KeyKind;
use crate::store::Store;
use crate::store::cascade::Inspection;
use crate::wiring;

/// What of the configured tables cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the application's tables are not as configured:\n  {}", .0.join("\n  "))]
pub(super) struct Unfit(Vec<String>);

/// Looks at every configured table.
pub(super) async fn inspect(store: &Store, config: &Config) -> anyhow::Result<Inspection> {
    let (steps, audits) = (wiring::steps(config), wiring::audits(config));
    let mut found = store.inspect(&steps, &audits, config.worker.max_rows_per_step).await?;
    for kind in kinds(config) {
        if !store.indexes_holders(kind).await? {
            let name = kind.name();
            found.warnings.push(format!(
                "no index says who holds {name}: every change of one reads all users; `rollcall migrate` makes it"
            ));
        }
    }
    Ok(found)
}

/// Keys that people can share.
pub(super) fn kinds(config: &Config) -> impl Iterator<Item = KeyKind> {
    let steps = wiring::steps(config);
    let kinds = [KeyKind::Email, KeyKind::Username].into_iter();
    kinds.filter(move |kind| steps.iter().any(|step| step.rule.key == *kind))
}

/// The store with the configured tables, all of which can be used.
pub(super) async fn follow(store: Store, config: &Config) -> anyhow::Result<Store> {
    if config.cascades.is_empty() && config.audits.is_empty() {
        return Ok(store);
    }
    let found = inspect(&store, config).await?;
    if !found.problems.is_empty() {
        return Err(Unfit(found.problems).into());
    }
    for warning in found.warnings {
        tracing::warn!("{warning}");
    }
    Ok(store.with_cascades(found.cascades))
}
