//! The year of Ada, who has more to do with every rule than anybody else: the same for every seed, so that one can
//! ask for her story by name.

use serde_json::json;

use super::event::Source::{Hr, Shop};
use super::year::{Scene, Year};

const BORN: &str = "ada.moreau";
const MARRIED: &str = "ada.berger";
/// Where her story is found at the end of the year.
pub(crate) const FINALLY: &str = "ada.lindholm";

/// What happens to her, in this order.
pub(crate) const BEATS: [Scene; 21] = [
    begins,
    activated,
    joins_books,
    telephone,
    joins_mills,
    marries,
    mail_under_old_key,
    namesake,
    leave_of_absence,
    returns,
    twice_active,
    leaves_mills,
    wants_old_key,
    new_address,
    moves_again,
    joins_pines,
    never_member,
    chosen_name,
    old_key_is_taken,
    forgets_telephone,
    last_word,
];

fn begins(year: &mut Year) {
    for key in [BORN, MARRIED, FINALLY] {
        year.on_stage(key);
    }
    let data = json!({
        "user_id": BORN, "email": "ada.moreau@example.com", "email_verified": true,
        "first_name": "Ada", "last_name": "Moreau", "full_name": "Ada Moreau",
    });
    year.happen(Hr, "created", data);
}

fn activated(year: &mut Year) {
    year.happen(Hr, "activated", json!({"user_id": BORN}));
}

fn joins_books(year: &mut Year) {
    let data = json!({"user_id": BORN, "organization_id": "harbour-books", "customer_name": "Harbour Books"});
    year.happen(Shop, "joined", data);
}

fn telephone(year: &mut Year) {
    year.happen(Hr, "updated", json!({"user_id": BORN, "phone": "+49 40 5550 101"}));
}

fn joins_mills(year: &mut Year) {
    let data = json!({"user_id": BORN, "organization_id": "quiet-mills", "customer_name": "The Quiet Mills"});
    year.happen(Shop, "joined", data);
}

fn marries(year: &mut Year) {
    let data = json!({
        "user_id": BORN, "new_user_id": MARRIED, "new_email": "ada.berger@example.com",
        "last_name": "Berger", "full_name": "Ada Berger",
    });
    year.happen(Hr, "renamed", data);
}

/// The shop has not heard of the wedding; its news still reaches her.
fn mail_under_old_key(year: &mut Year) {
    year.happen(Shop, "updated", json!({"user_id": BORN, "external_id": "crm-00017"}));
}

/// From here on the old key is somebody else's.
fn namesake(year: &mut Year) {
    let data = json!({
        "user_id": BORN, "email": "moreau.junior@example.com", "full_name": "Ada Moreau junior", "username": "junior",
    });
    year.happen(Hr, "created", data);
}

fn leave_of_absence(year: &mut Year) {
    year.happen(Hr, "archived", json!({"user_id": MARRIED}));
}

fn returns(year: &mut Year) {
    year.happen(Hr, "reactivated", json!({"user_id": MARRIED}));
}

fn twice_active(year: &mut Year) {
    year.happen(Shop, "activated", json!({"user_id": MARRIED}));
}

/// Her profile falls back to the organization that she joined before.
fn leaves_mills(year: &mut Year) {
    year.happen(
        Shop,
        "left",
        json!({"user_id": MARRIED, "organization_id": "quiet-mills"}),
    );
}

fn wants_old_key(year: &mut Year) {
    year.happen(Hr, "renamed", json!({"user_id": MARRIED, "new_user_id": BORN}));
}

fn new_address(year: &mut Year) {
    year.happen(
        Hr,
        "renamed",
        json!({"user_id": MARRIED, "new_email": "ada@home.example.com"}),
    );
}

fn moves_again(year: &mut Year) {
    let data = json!({
        "user_id": MARRIED, "new_user_id": FINALLY, "last_name": "Lindholm", "full_name": "Ada Lindholm",
    });
    year.happen(Hr, "renamed", data);
}

fn joins_pines(year: &mut Year) {
    let data = json!({"user_id": FINALLY, "organization_id": "tall-pines", "customer_name": "Tall Pines Nursery"});
    year.happen(Shop, "joined", data);
}

fn never_member(year: &mut Year) {
    year.happen(
        Shop,
        "left",
        json!({"user_id": FINALLY, "organization_id": "salt-marsh"}),
    );
}

fn chosen_name(year: &mut Year) {
    let data = json!({"user_id": FINALLY, "username": "ada", "metadata": {"display_name": "Ada L.", "locale": "de"}});
    year.happen(Hr, "updated", data);
}

/// The shop asks under the key of her marriage, which is an alias of hers by now.
fn old_key_is_taken(year: &mut Year) {
    year.happen(
        Shop,
        "renamed",
        json!({"user_id": MARRIED, "new_user_id": BORN, "username": "ada.m"}),
    );
}

fn forgets_telephone(year: &mut Year) {
    year.happen(Hr, "updated", json!({"user_id": FINALLY, "phone": null}));
}

/// Without a full name the display name comes from first and last name.
fn last_word(year: &mut Year) {
    year.happen(Hr, "updated", json!({"user_id": MARRIED, "full_name": null}));
}
