//! What a batch has to know of the application's data. The fold says what it lacks, the store is asked for all of it at
//! once, and the fold begins again, until it lacks nothing: mostly one statement, and one more for what an answer made
//! necessary. Where nothing is configured, nothing of this runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::Applier;
use super::decide::Batch;
use super::late::history_of;
use super::load::Loaded;
use crate::domain::{Answer, Asked, CustomerPlace, Entry, EventRef, Found, Inputs, Plan, Question, World};
use crate::store::{CustomerSource, MadeCustomer, StoreError, Tx};

/// Names new customers.
pub(super) type Mint<'a> = dyn FnMut() -> Uuid + Send + 'a;

/// Events in their order, and the world before the first of them.
pub(super) struct Part {
    pub(super) world: World,
    pub(super) entries: Vec<Entry>,
}

/// One event that lacks an answer: part, entry, question.
type Lack = (usize, usize, Question);

/// What was answered already, for those who ask the same.
#[derive(Default)]
struct Memory {
    /// Customers that nobody in the batch was given yet, by address.
    free: BTreeMap<String, Vec<Found>>,
    rows: BTreeMap<(String, String), Option<Found>>,
    unfilled: BTreeMap<(String, Vec<String>), Vec<String>>,
    /// What is made if the fold makes use of it.
    makeable: BTreeMap<String, MadeCustomer>,
}

impl Applier {
    /// Asks whatever the events of the batch and of the histories have to know and never asked.
    pub(super) async fn inquire(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        plan: &Plan,
        loaded: &mut Loaded,
        mint: &mut Mint<'_>,
    ) -> Result<(), StoreError> {
        let Some(source) = &self.customers else { return Ok(()) };
        let order = batch.in_order(plan);
        let fast = Part {
            world: World::from_rows(loaded.rows_of_others(plan).into_iter(), Vec::new()),
            entries: order
                .iter()
                .map(|(_, envelope)| Entry {
                    event: envelope.event.clone(),
                    policy: Arc::clone(&self.policy),
                    known: false,
                })
                .collect(),
        };
        let mut parts = vec![fast];
        let mut origins = Vec::new();
        for (late, history) in plan.late.iter().zip(&loaded.histories) {
            let (entries, origin) = history_of(batch, late, history, &loaded.policies, &self.policy)?;
            let world = history.base.as_ref().map(|base| base.world.clone()).unwrap_or_default();
            parts.push(Part { world, entries });
            origins.push(origin);
        }
        let mut asked = answer(tx, source, &mut parts, mint).await?;
        // Between the answer and a late fold that makes use of it again, others may have got what was found.
        while source.place == CustomerPlace::Own && !parts[1..].is_empty() {
            let lost = lost(tx, plan, loaded, &mut parts).await?;
            if lost.is_empty() {
                break;
            }
            asked.extend(lost);
            asked.extend(answer(tx, source, &mut parts, mint).await?);
        }
        for (part, place) in asked {
            let inputs = std::mem::take(&mut parts[part].entries[place].event.inputs);
            match part.checked_sub(1) {
                None => batch.keep_inputs(order[place].0, inputs),
                Some(late) => match origins[late][place] {
                    Source::Batch(index) => batch.keep_inputs(index, inputs),
                    Source::Ledger(row) => {
                        loaded.histories[late].ledger[row].answered = Some(inputs_text(&inputs)?);
                    }
                },
            }
        }
        Ok(())
    }
}

/// Takes the answers back that led to rows which are another user's by now: for these events it is as if there had been
/// none. Returns part and place of each.
async fn lost(
    tx: &mut Tx<'_>,
    plan: &Plan,
    loaded: &Loaded,
    parts: &mut [Part],
) -> Result<BTreeSet<(usize, usize)>, StoreError> {
    let (components, _) = Loaded::split(loaded.rows.clone(), plan);
    let mut wanted: Vec<(usize, EventRef, Uuid)> = Vec::new();
    let mut users: BTreeSet<&str> = BTreeSet::new();
    for (number, rows) in components.iter().enumerate() {
        let stored = World::from_rows(rows.values(), Vec::new());
        let had: BTreeSet<Uuid> = adopted(&stored).map(|(_, row)| row).collect();
        let mut world = parts[number + 1].world.clone();
        for entry in &parts[number + 1].entries {
            world.apply(&entry.event, &entry.policy);
        }
        let new = adopted(&world).filter(|(_, row)| !had.contains(row));
        wanted.extend(new.map(|(event, row)| (number + 1, event, row)));
        users.extend(rows.keys().map(String::as_str));
    }
    if wanted.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<Uuid> = wanted.iter().map(|(_, _, row)| *row).collect();
    let users: Vec<&str> = users.into_iter().collect();
    let to_be_had = tx.rows_to_be_had(&rows, &users).await?;
    let mut lost = BTreeSet::new();
    for (part, reference, row) in wanted.into_iter().filter(|(_, _, row)| !to_be_had.contains(row)) {
        let mut entries = parts[part].entries.iter_mut().enumerate();
        if let Some((place, entry)) = entries.find(|(_, entry)| entry.event.reference == reference)
            && entry.event.inputs.forget(&row.to_string())
        {
            lost.insert((part, place));
        }
    }
    Ok(lost)
}

/// The rows of the application that people have, each with the event by which they got it.
fn adopted(world: &World) -> impl Iterator<Item = (EventRef, Uuid)> {
    let customers = world.persons.values().flat_map(|person| person.customers.values());
    customers.filter_map(|customer| Some((customer.made_by, customer.found?)))
}

/// Where an event of a history stands: among the arrivals, or among the rows of its ledger.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Batch(usize),
    Ledger(usize),
}

/// Answers what the fold of these parts lacks, makes the customers that it makes use of, and returns which entries have
/// inputs now that they did not have: part and place.
pub(super) async fn answer(
    tx: &mut Tx<'_>,
    source: &CustomerSource,
    parts: &mut [Part],
    mint: &mut Mint<'_>,
) -> Result<BTreeSet<(usize, usize)>, StoreError> {
    let mut memory = Memory::default();
    let mut asked = BTreeSet::new();
    loop {
        let (lacks, used) = rehearse(parts);
        if lacks.is_empty() {
            let made: Vec<MadeCustomer> = memory
                .makeable
                .into_iter()
                .filter(|(id, _)| used.contains(id))
                .map(|(_, made)| made)
                .collect();
            if !made.is_empty() {
                tx.make_customers(source, &made).await?;
            }
            return Ok(asked);
        }
        memory.learn(tx, source, &lacks).await?;
        for (part, place, question) in lacks {
            let event = &mut parts[part].entries[place].event;
            let answer = memory.answer(source, &question, event.time.micros(), mint);
            event.inputs.keep(&question, answer);
            asked.insert((part, place));
        }
    }
}

/// What the fold lacks, and the customers it links to.
fn rehearse(parts: &[Part]) -> (Vec<Lack>, BTreeSet<String>) {
    let mut lacks = Vec::new();
    let mut used = BTreeSet::new();
    for (number, part) in parts.iter().enumerate() {
        let mut world = part.world.clone();
        for (place, entry) in part.entries.iter().enumerate() {
            let (verdict, _) = world.apply(&entry.event, &entry.policy);
            used.extend(verdict.effects.linked);
            lacks.extend(verdict.questions.into_iter().map(|question| (number, place, question)));
        }
    }
    (lacks, used)
}

impl Memory {
    /// Asks the store what is not known yet: one statement per kind of question.
    async fn learn(&mut self, tx: &mut Tx<'_>, source: &CustomerSource, lacks: &[Lack]) -> Result<(), StoreError> {
        let mut addresses = BTreeSet::new();
        let mut rows = BTreeSet::new();
        let mut customers = BTreeSet::new();
        for (_, _, question) in lacks {
            match question {
                Question::Customer { address, user } if !self.free.contains_key(address) => {
                    addresses.insert((address.as_str(), user.email.as_str()));
                }
                Question::Row {
                    user_id,
                    organization_id,
                } => {
                    let key = (user_id.clone(), organization_id.clone());
                    if !self.rows.contains_key(&key) {
                        rows.insert((user_id.as_str(), organization_id.as_str()));
                    }
                }
                Question::Unfilled { customer, columns } => {
                    let key = (customer.clone(), columns.clone());
                    if !self.unfilled.contains_key(&key) {
                        customers.insert(customer.as_str());
                    }
                }
                Question::Customer { .. } => {}
            }
        }
        if !addresses.is_empty() {
            let addresses: Vec<(&str, &str)> = addresses.into_iter().collect();
            self.free
                .extend(addresses.iter().map(|(address, _)| ((*address).to_owned(), Vec::new())));
            for found in tx.find_customers(source, &addresses).await? {
                let customers = self.free.entry(found.address).or_default();
                customers.push(Found {
                    id: found.id,
                    organization_id: found.organization_id,
                    made: false,
                });
            }
        }
        if !rows.is_empty() {
            let rows: Vec<(&str, &str)> = rows.into_iter().collect();
            let pairs = rows
                .iter()
                .map(|(user, organization)| ((*user).to_owned(), (*organization).to_owned()));
            self.rows.extend(pairs.map(|pair| (pair, None)));
            for (user_id, organization_id, id) in tx.find_rows(&rows).await? {
                let found = Found {
                    id,
                    organization_id: organization_id.clone(),
                    made: false,
                };
                self.rows.insert((user_id, organization_id), Some(found));
            }
        }
        if !customers.is_empty() {
            let customers: Vec<&str> = customers.into_iter().collect();
            let filled = tx.filled_columns(source, &customers).await?;
            for (_, _, question) in lacks {
                if let Question::Unfilled { customer, columns } = question {
                    let unfilled = unfilled(source, filled.get(customer), columns);
                    self.unfilled.insert((customer.clone(), columns.clone()), unfilled);
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, source: &CustomerSource, question: &Question, time: i64, mint: &mut Mint<'_>) -> Answer {
        match question {
            Question::Customer { address, user } => Answer::Found(self.customer(source, address, user, time, mint)),
            Question::Row {
                user_id,
                organization_id,
            } => {
                let key = (user_id.clone(), organization_id.clone());
                Answer::Found(self.rows.get(&key).cloned().flatten())
            }
            Question::Unfilled { customer, columns } => {
                let key = (customer.clone(), columns.clone());
                Answer::Unfilled(self.unfilled.get(&key).cloned().unwrap_or_else(|| columns.clone()))
            }
        }
    }

    /// Rows of our own are given away once; a customer of the application may have several users.
    fn customer(
        &mut self,
        source: &CustomerSource,
        address: &str,
        user: &Asked,
        time: i64,
        mint: &mut Mint<'_>,
    ) -> Option<Found> {
        let customers = self.free.entry(address.to_owned()).or_default();
        if source.place == CustomerPlace::Own && !customers.is_empty() {
            return Some(customers.remove(0));
        }
        if let Some(found) = customers.first() {
            return Some(found.clone());
        }
        if source.make.is_empty() {
            return None;
        }
        let made = MadeCustomer {
            id: mint().to_string(),
            user_id: user.user_id.clone(),
            email: user.email.clone(),
            display_name: user.display_name.clone(),
            created_at: time,
        };
        let id = source.id_of(&made);
        let found = Found {
            id: id.clone(),
            organization_id: String::new(),
            made: true,
        };
        if source.place == CustomerPlace::Application {
            customers.push(found.clone());
        }
        self.makeable.insert(id, made);
        Some(found)
    }
}

/// The columns of those wanted that are not filled; of a customer who is not there, all of them.
fn unfilled(source: &CustomerSource, filled: Option<&Vec<bool>>, wanted: &[String]) -> Vec<String> {
    let is_filled = |column: &String| {
        let place = source.required.iter().position(|required| required == column);
        place.is_some_and(|place| filled.is_some_and(|filled| filled.get(place) == Some(&true)))
    };
    wanted.iter().filter(|column| !is_filled(column)).cloned().collect()
}

/// Inputs as the ledger keeps them.
pub(super) fn inputs_text(inputs: &Inputs) -> Result<String, StoreError> {
    serde_json::to_string(inputs).map_err(|_| unreadable())
}

/// Inputs as the ledger kept them.
pub(super) fn inputs_of(text: Option<&str>) -> Result<Inputs, StoreError> {
    text.map_or_else(
        || Ok(Inputs::default()),
        |text| serde_json::from_str(text).map_err(|_| unreadable()),
    )
}

fn unreadable() -> StoreError {
    StoreError::Unreadable {
        what: "ledger entry",
        problem: "its inputs are no JSON that we write".to_owned(),
    }
}
