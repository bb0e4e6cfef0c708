//! The application's tables, looked at before anything is done to them.

use crate::config::Config;
use crate::domain::cascade::KeyKind;
use crate::store::cascade::Inspection;
use crate::store::{SchemaState, Store};
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
    found.problems.extend(orphans(store, config).await?);
    Ok(found)
}

/// Work of sections that are not configured any more, with the remedy: nobody would do it, and its users would wait.
async fn orphans(store: &Store, config: &Config) -> anyhow::Result<Vec<String>> {
    if store.schema_state().await? != SchemaState::Current {
        return Ok(Vec::new());
    }
    let steps: Vec<&str> = config.cascades.iter().map(|cascade| cascade.name.as_str()).collect();
    let orphans = store.orphaned_work(&steps).await?;
    let told = orphans.into_iter().map(|(step, values)| {
        format!(
            "[[cascade]] {step}: rows of {values} values there are still on their way, and it is configured no more: put \
             it back until `rollcall run --drain` has done them, or give them up with DELETE FROM cascade_work WHERE \
             step = '{step}'"
        )
    });
    Ok(told.collect())
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
        let orphans = orphans(&store, config).await?;
        return if orphans.is_empty() {
            Ok(store)
        } else {
            Err(Unfit(orphans).into())
        };
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
