//! One person in the company's book: what is known, and the rows that must come of it.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

use super::event::{Event, instant};

/// The one profile type of the shipped configuration.
pub(crate) const CLIENT: &str = "client";
const TEXTS: [&str; 7] = [
    "email",
    "username",
    "first_name",
    "last_name",
    "full_name",
    "phone",
    "external_id",
];

/// A profile of the type [`CLIENT`]; nobody in this company has another.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) status: &'static str,
    pub(crate) organization: Option<String>,
    created_at: Option<OffsetDateTime>,
}

/// A membership of an organization.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    name: Option<String>,
    /// The number of the event of the last `joined`: the later one is the one that counts.
    joined: usize,
    created_at: Option<OffsetDateTime>,
    updated_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    pub(crate) key: String,
    pub(crate) provisional: bool,
    pub(crate) backfilled: bool,
    pub(crate) texts: BTreeMap<&'static str, String>,
    pub(crate) active: Option<bool>,
    pub(crate) degraded: BTreeSet<&'static str>,
    /// What organization later profiles begin with.
    organization: Option<String>,
    metadata: Map<String, Value>,
    pub(crate) client: Option<Profile>,
    pub(crate) customers: BTreeMap<String, Customer>,
    pub(crate) version: usize,
    updated_at: Option<OffsetDateTime>,
}

impl Person {
    /// A person about whom this event is the first news.
    pub(crate) fn new(key: &str, event: &Event, provisional: bool) -> Self {
        let mut person = Self {
            key: key.to_owned(),
            provisional,
            backfilled: event.backfill,
            ..Self::default()
        };
        person.make_profiles(event);
        person
    }

    /// The profiles of a creation: the configured one, unless the event names another list.
    pub(crate) fn make_profiles(&mut self, event: &Event) {
        let wanted = event.data.get("profile_types").and_then(Value::as_array);
        if wanted.is_none_or(|types| types.contains(&json!(CLIENT))) {
            self.make_client(event);
        }
    }

    pub(crate) fn make_client(&mut self, event: &Event) -> &mut Profile {
        let (organization, created_at) = (self.organization.clone(), event.time);
        self.client.get_or_insert(Profile {
            status: "draft",
            organization,
            created_at,
        })
    }

    /// Counts an event that had an effect.
    pub(crate) fn count(&mut self, event: &Event) {
        self.version += 1;
        self.updated_at = event.time;
    }

    /// Takes over the fields of an event: absent is unchanged; null clears, but says nothing in a creation.
    pub(crate) fn patch(&mut self, event: &Event) {
        let creation = event.kind == "created";
        for field in TEXTS {
            let renamed = event
                .data
                .get(&format!("new_{field}"))
                .filter(|value| value.is_string());
            match renamed.or_else(|| event.data.get(field)) {
                Some(Value::Null) if !creation => {
                    self.texts.remove(field);
                    self.degraded.remove(field);
                }
                Some(Value::String(text)) if usable(field, text) => {
                    self.texts.insert(field, text.clone());
                    self.degraded.remove(field);
                }
                Some(Value::String(_)) => {
                    self.degraded.insert(field);
                }
                _ => {}
            }
        }
        match event.data.get("active") {
            Some(Value::Bool(active)) => self.active = Some(*active),
            Some(_) if !creation => self.active = None,
            _ => {}
        }
        if let Some(Value::Object(metadata)) = event.data.get("metadata") {
            self.metadata.clone_from(metadata);
        }
        match event.data.get("organization_id") {
            Some(Value::String(organization)) => self.move_to(Some(organization)),
            Some(_) if !creation => self.move_to(None),
            _ => {}
        }
        if event.data.contains_key("profile_types") {
            self.make_profiles(event);
        }
    }

    fn move_to(&mut self, organization: Option<&String>) {
        self.organization = organization.cloned();
        if let Some(client) = &mut self.client {
            client.organization = organization.cloned();
        }
    }

    pub(crate) fn join(&mut self, organization: &str, number: usize, event: &Event) {
        let made = Customer {
            name: None,
            joined: number,
            created_at: event.time,
            updated_at: None,
        };
        let customer = self.customers.entry(organization.to_owned()).or_insert(made);
        customer.joined = number;
        customer.updated_at = event.time;
        if let Some(name) = event.text("customer_name") {
            customer.name = Some(name.to_owned());
        }
        self.make_client(event).organization = Some(organization.to_owned());
    }

    /// False if the person was no member.
    pub(crate) fn leave(&mut self, organization: &str) -> bool {
        let member = self.customers.remove(organization).is_some();
        let latest = self
            .customers
            .iter()
            .max_by_key(|(_, customer)| customer.joined)
            .map(|(id, _)| id.clone());
        if let Some(client) = self
            .client
            .as_mut()
            .filter(|client| member && client.organization.as_deref() == Some(organization))
        {
            client.organization = latest;
        }
        member
    }

    /// Fills the gaps with what is known of the other, who turned out to be the same person.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (field, text) in other.texts {
            self.texts.entry(field).or_insert(text);
        }
        self.active = self.active.or(other.active);
        self.organization = self.organization.take().or(other.organization);
        if self.metadata.is_empty() {
            self.metadata = other.metadata;
        }
        match (&mut self.client, other.client) {
            (Some(mine), Some(theirs)) => mine.organization = mine.organization.take().or(theirs.organization),
            (mine, theirs) => *mine = mine.take().or(theirs),
        }
        for (organization, theirs) in other.customers {
            match self.customers.get_mut(&organization) {
                Some(mine) if mine.joined > theirs.joined => mine.name = mine.name.take().or(theirs.name),
                Some(mine) => {
                    *mine = Customer {
                        name: theirs.name.or(mine.name.take()),
                        ..theirs
                    }
                }
                None => drop(self.customers.insert(organization, theirs)),
            }
        }
        self.version += other.version;
    }

    fn display_name(&self) -> String {
        let text = |field: &str| self.texts.get(field).cloned();
        let both = || Some(format!("{} {}", text("first_name")?, text("last_name")?));
        let chosen = || {
            self.metadata
                .get("display_name")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let found = text("full_name")
            .or_else(both)
            .or_else(chosen)
            .or_else(|| text("username"))
            .or_else(|| text("email"));
        found.unwrap_or_else(|| self.key.clone())
    }

    fn created_via(&self) -> &'static str {
        match (self.provisional, self.backfilled) {
            (true, _) => "implicit",
            (false, true) => "backfill",
            (false, false) => "event",
        }
    }

    /// The row of `profiles`; a column that the books cannot know (the broker's own time) is left out.
    pub(crate) fn profile_row(&self) -> Option<Map<String, Value>> {
        let client = self.client.as_ref()?;
        let mut row = object(json!({
            "user_id": self.key, "profile_type": CLIENT, "status": client.status,
            "is_active": self.active != Some(false) && client.status != "archived",
            "display_name": self.display_name(), "organization_id": client.organization,
            "attributes": {}, "degraded": self.degraded, "created_via": self.created_via(), "version": self.version,
        }));
        for field in TEXTS {
            row.insert(field.to_owned(), json!(self.texts.get(field)));
        }
        put_time(&mut row, "created_at", client.created_at);
        put_time(&mut row, "updated_at", self.updated_at);
        Some(row)
    }

    pub(crate) fn customer_rows(&self) -> impl Iterator<Item = Map<String, Value>> {
        self.customers.iter().map(|(organization, customer)| {
            let email = self.texts.get("email");
            let mut row = object(json!({
                "user_id": self.key, "organization_id": organization, "name": customer.name, "email": email,
            }));
            put_time(&mut row, "created_at", customer.created_at);
            put_time(&mut row, "updated_at", customer.updated_at);
            row
        })
    }
}

/// Whether a source sent something that can be kept; the demo's odd values break these two rules only.
fn usable(field: &str, text: &str) -> bool {
    match field {
        "email" => text.contains('@'),
        "phone" => text.chars().count() <= 64,
        _ => true,
    }
}

fn put_time(row: &mut Map<String, Value>, column: &str, time: Option<OffsetDateTime>) {
    if let Some(time) = time {
        row.insert(column.to_owned(), json!(instant(time)));
    }
}

/// The members of a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
