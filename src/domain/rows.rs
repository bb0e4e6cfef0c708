//! The rows that applications read, as the fold would write them.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::person::{Customer, Person};
use super::profile::{Profile, Status};
use super::world::World;

/// A row of `profiles` as the fold would write it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the public columns, explained in docs/SCHEMA.md")]
pub struct ProfileRow {
    pub profile_id: Uuid,
    pub user_id: String,
    pub profile_type: String,
    pub status: Status,
    pub is_active: bool,
    pub display_name: String,
    pub email: Option<String>,
    pub username: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub full_name: Option<String>,
    pub phone: Option<String>,
    pub external_id: Option<String>,
    pub organization_id: Option<String>,
    pub customer_id: Option<Uuid>,
    pub linked_customer: Option<String>,
    pub degraded: Vec<String>,
    pub created_via: &'static str,
    pub created_at: i64,
    pub updated_at: i64,
    pub version: u64,
    pub deleted_at: Option<i64>,
    /// Attributes of a new row; never written again.
    pub attributes: Map<String, Value>,
    /// Attributes that follow the metadata.
    pub synchronised: Map<String, Value>,
}

/// A change of a stored row of `profiles`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileChange {
    /// The new values of all columns.
    pub row: ProfileRow,
    /// The key the row is stored under.
    pub old_user_id: String,
    /// Whether the row is stored as one of a departed person.
    pub old_departed: bool,
    /// The status the row is stored with.
    pub old_status: Status,
    /// The display name that the worker stored last.
    pub old_display_name: String,
    /// Whether another name than that is the application's, and stands.
    pub keeps_edited_name: bool,
    /// Bit n is set when column n of [`PROFILE_COLUMNS`] is to be written.
    pub changed: u32,
    /// Synchronised attributes that went.
    pub unset: Vec<String>,
    /// Synchronised attributes with a new value.
    pub set: Map<String, Value>,
}

/// The columns of `profiles` that can change, in the order of the bits of [`ProfileChange::changed`].
pub const PROFILE_COLUMNS: [&str; 20] = [
    "user_id",
    "status",
    "is_active",
    "display_name",
    "email",
    "username",
    "first_name",
    "last_name",
    "full_name",
    "phone",
    "external_id",
    "organization_id",
    "customer_id",
    "degraded",
    "created_via",
    "created_at",
    "updated_at",
    "version",
    "deleted_at",
    "linked_customer",
];

/// The columns of `profiles` that say what the provider said of the user, organizations left out: those belong to a
/// single profile.
pub const PROFILE_DETAILS: [&str; 7] = [
    "email",
    "username",
    "first_name",
    "last_name",
    "full_name",
    "phone",
    "external_id",
];

/// A row of `customers` as the fold would write it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the public columns, explained in docs/SCHEMA.md")]
pub struct CustomerRow {
    pub customer_id: Uuid,
    pub user_id: String,
    pub organization_id: String,
    pub profile_id: Option<Uuid>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
    pub deleted_at: Option<i64>,
    /// Never written again: the application's rows stay its own.
    pub made_by_worker: bool,
}

/// A change of a stored row of `customers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerChange {
    /// The new values of all columns.
    pub row: CustomerRow,
    /// The key the row is stored under.
    pub old_user_id: String,
    /// Whether the row is stored as one of a departed person.
    pub old_departed: bool,
    /// Bit n is set when column n of [`CUSTOMER_COLUMNS`] is to be written.
    pub changed: u32,
}

/// The columns of `customers` that can change, in the order of the bits of [`CustomerChange::changed`].
pub const CUSTOMER_COLUMNS: [&str; 7] = [
    "user_id",
    "profile_id",
    "name",
    "email",
    "created_at",
    "updated_at",
    "deleted_at",
];

/// Every profile of every person whose rows are named.
pub(super) fn profile_rows(world: &World) -> impl Iterator<Item = ProfileRow> {
    world.persons.values().flat_map(|person| {
        person
            .profiles
            .iter()
            .filter_map(move |(name, profile)| profile_row(person, name, profile))
    })
}

/// Every membership of every person whose rows are named.
pub(super) fn customer_rows(world: &World) -> impl Iterator<Item = CustomerRow> {
    world.persons.values().flat_map(|person| {
        person
            .customers
            .iter()
            .filter_map(move |(name, customer)| customer_row(person, name, customer))
    })
}

fn profile_row(person: &Person, name: &str, profile: &Profile) -> Option<ProfileRow> {
    let fields = &person.fields;
    // A customer without an organization stands under the empty one.
    let membership = person
        .customers
        .get(profile.organization_id.as_deref().unwrap_or_default());
    Some(ProfileRow {
        profile_id: profile.row?,
        user_id: person.key.clone(),
        profile_type: name.to_owned(),
        status: profile.status,
        is_active: person.is_enabled() && profile.status != Status::Archived,
        display_name: profile.display_name.clone(),
        email: fields.email.clone(),
        username: fields.username.clone(),
        first_name: fields.first_name.clone(),
        last_name: fields.last_name.clone(),
        full_name: fields.full_name.clone(),
        phone: fields.phone.clone(),
        external_id: fields.external_id.clone(),
        organization_id: profile.organization_id.clone(),
        customer_id: membership
            .filter(|customer| customer.profile_type == name)
            .and_then(|customer| customer.row),
        linked_customer: person.linked_customer().map(str::to_owned),
        degraded: person.degraded.iter().cloned().collect(),
        created_via: person.via.name(),
        created_at: profile.created_at,
        updated_at: person.updated_at,
        version: person.version,
        deleted_at: person.deleted_at,
        attributes: profile.attributes.clone(),
        synchronised: profile.synchronised.clone(),
    })
}

fn customer_row(person: &Person, organization: &str, customer: &Customer) -> Option<CustomerRow> {
    Some(CustomerRow {
        customer_id: customer.row?,
        user_id: person.key.clone(),
        organization_id: organization.to_owned(),
        profile_id: person
            .profiles
            .get(&customer.profile_type)
            .and_then(|profile| profile.row),
        name: customer.name.clone(),
        email: person.fields.email.clone(),
        created_at: customer.created_at,
        updated_at: customer.updated_at,
        deleted_at: person.deleted_at,
        made_by_worker: customer.found.is_none(),
    })
}

impl ProfileChange {
    /// The change from one state of a row to the next, if there is one.
    pub(super) fn between(was: &ProfileRow, row: ProfileRow) -> Option<Self> {
        // Departing or coming back, a row leaves or enters the unique key, which is written with it.
        let changed = bits(&[
            was.user_id != row.user_id || was.deleted_at.is_some() != row.deleted_at.is_some(),
            was.status != row.status,
            was.is_active != row.is_active,
            was.display_name != row.display_name,
            was.email != row.email,
            was.username != row.username,
            was.first_name != row.first_name,
            was.last_name != row.last_name,
            was.full_name != row.full_name,
            was.phone != row.phone,
            was.external_id != row.external_id,
            was.organization_id != row.organization_id,
            was.customer_id != row.customer_id,
            was.degraded != row.degraded,
            was.created_via != row.created_via,
            was.created_at != row.created_at,
            was.updated_at != row.updated_at,
            was.version != row.version,
            was.deleted_at != row.deleted_at,
            was.linked_customer != row.linked_customer,
        ]);
        let unset = was
            .synchronised
            .keys()
            .filter(|name| !row.synchronised.contains_key(*name))
            .cloned()
            .collect();
        let set: Map<String, Value> = row
            .synchronised
            .iter()
            .filter(|(name, value)| was.synchronised.get(*name) != Some(*value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let change = Self {
            old_user_id: was.user_id.clone(),
            old_departed: was.deleted_at.is_some(),
            old_status: was.status,
            old_display_name: was.display_name.clone(),
            keeps_edited_name: false,
            row,
            changed,
            unset,
            set,
        };
        (changed != 0 || !change.unset.is_empty() || !change.set.is_empty()).then_some(change)
    }
}

impl CustomerChange {
    /// A row of the application becomes that of a membership; what the application wrote into it stays. The last bit says
    /// that the row has to be free.
    pub(super) fn adoption(row: CustomerRow) -> Self {
        let changed = bits(&[
            true,
            true,
            row.name.is_some(),
            false,
            false,
            true,
            row.deleted_at.is_some(),
            true,
        ]);
        Self {
            row,
            // It stood under nobody, or where it goes.
            old_user_id: String::new(),
            old_departed: true,
            changed,
        }
    }

    /// The change from one state of a row to the next, if there is one.
    pub(super) fn between(was: &CustomerRow, row: CustomerRow) -> Option<Self> {
        // Departing or coming back, a row leaves or enters the unique key, which is written with it.
        let changed = bits(&[
            was.user_id != row.user_id || was.deleted_at.is_some() != row.deleted_at.is_some(),
            was.profile_id != row.profile_id,
            was.name != row.name,
            was.email != row.email,
            was.created_at != row.created_at,
            was.updated_at != row.updated_at,
            was.deleted_at != row.deleted_at,
        ]);
        (changed != 0).then(|| Self {
            old_user_id: was.user_id.clone(),
            old_departed: was.deleted_at.is_some(),
            row,
            changed,
        })
    }
}

fn bits(columns: &[bool]) -> u32 {
    columns
        .iter()
        .enumerate()
        .fold(0, |bits, (n, changed)| bits | (u32::from(*changed) << n))
}
