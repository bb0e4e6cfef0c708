//! Bad optional fields are dropped and named, and the event still applies.

use super::*;

fn created(members: &str) -> Envelope {
    bare("user.created", format!(r#"{{"user_id":"u-1",{members}}}"#)).accepted()
}

fn renamed(members: &str) -> Envelope {
    bare("user.renamed", format!(r#"{{"user_id":"u-1",{members}}}"#)).accepted()
}

#[test]
fn what_is_good_beside_a_bad_field_is_kept() {
    let envelope = created(r#""phone":17,"first_name":"Ada","last_name":["x"],"metadata":3,"username":"ada""#);
    assert_eq!(dropped(&envelope), ["last_name", "metadata", "phone"]);
    assert_eq!(patch(&envelope).first_name, set("Ada"));
    assert_eq!(patch(&envelope).username, set("ada"));
    assert_eq!(patch(&envelope).phone, Change::Keep);
}

#[test]
fn a_bad_address_takes_its_flag_with_it() {
    let envelope = created(r#""email":"nobody","email_verified":true"#);
    assert_eq!(dropped(&envelope), ["email"]);
    assert_eq!(patch(&envelope).email_verified, Change::Keep);
    let envelope = created(r#""email":"ada@example.com","email_verified":"yes""#);
    assert_eq!(dropped(&envelope), ["email_verified"]);
    assert_eq!(patch(&envelope).email, set("ada@example.com"));
    let envelope = created(r#""email":"nobody","email_verified":"yes""#);
    assert_eq!(dropped(&envelope), ["email", "email_verified"]);
}

#[test]
fn bad_profile_types_are_dropped_one_by_one() {
    for (list, kept, marked) in [
        (r#"["client","partner"]"#, Some(vec!["client", "partner"]), false),
        (
            r#"["client",17,"",null,["x"],"partner"]"#,
            Some(vec!["client", "partner"]),
            true,
        ),
        (r#"["client","a\u0000b"]"#, Some(vec!["client"]), true),
        (r#"["client","client"]"#, Some(vec!["client"]), false),
        (r#"[17,null,""]"#, None, true),
        ("[]", Some(vec![]), false),
        ("null", None, false),
    ] {
        for kind in ["user.created", "user.updated", "user.renamed"] {
            let data = format!(r#"{{"user_id":"u-1","new_user_id":"u-2","profile_types":{list}}}"#);
            let envelope = bare(kind, data).accepted();
            let kept = kept
                .as_ref()
                .map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            assert_eq!(patch(&envelope).profile_types, kept, "{kind} {list}");
            assert_eq!(dropped(&envelope).contains(&"profile_types"), marked, "{kind} {list}");
        }
    }
    let long = format!(r#""profile_types":["client","{}"]"#, "x".repeat(256));
    assert_eq!(patch(&created(&long)).profile_types, Some(vec!["client".to_owned()]));
    assert_eq!(dropped(&created(&long)), ["profile_types"]);
}

#[test]
fn the_new_names_of_a_rename_win() {
    let envelope = renamed(
        r#""new_email":"new@example.com","email":"old@example.com","email_verified":true,"new_username":"new","username":"old""#,
    );
    assert_eq!(patch(&envelope).email, set("new@example.com"));
    assert_eq!(patch(&envelope).email_verified, Change::Set(true));
    assert_eq!(patch(&envelope).username, set("new"));
    assert_eq!(dropped(&envelope), [""; 0]);

    let envelope = renamed(
        r#""new_email":"new@example.com","email":"bad","email_verified":true,"new_username":"new","username":7"#,
    );
    assert_eq!(patch(&envelope).email, set("new@example.com"));
    assert_eq!(patch(&envelope).email_verified, Change::Set(true));
    assert_eq!(patch(&envelope).username, set("new"));
    assert_eq!(dropped(&envelope), [""; 0], "what the rename says of the field is good");

    let envelope = renamed(r#""new_email":"new@example.com","email":null,"new_username":"new","username":null"#);
    assert_eq!(patch(&envelope).email, set("new@example.com"));
    assert_eq!(patch(&envelope).username, set("new"));
}

#[test]
fn null_as_a_new_name_is_absent() {
    let envelope = renamed(r#""new_user_id":"u-2","new_email":null,"new_username":null"#);
    assert_eq!(patch(&envelope), &Patch::default());
    let envelope = renamed(r#""new_user_id":null,"new_username":"ada","new_email":null,"email":"ada@example.com""#);
    assert_eq!(envelope.event.new_key(), None);
    assert_eq!(patch(&envelope).email, set("ada@example.com"));
}

#[test]
fn bad_new_names_count_as_the_fields_they_are() {
    let envelope = renamed(r#""new_user_id":"u-2","new_email":"nobody","new_username":17"#);
    assert_eq!(dropped(&envelope), ["email", "username"]);
    assert_eq!(patch(&envelope).email, Change::Keep);
    assert_eq!(patch(&envelope).username, Change::Keep);
}

#[test]
fn a_bad_new_address_takes_its_flag_with_it() {
    // Otherwise the flag would say of the old address what the provider said of the new one.
    let envelope = renamed(r#""new_user_id":"u-2","new_email":"nobody","email_verified":true"#);
    assert_eq!(dropped(&envelope), ["email"]);
    assert_eq!(patch(&envelope).email, Change::Keep);
    assert_eq!(patch(&envelope).email_verified, Change::Keep);
}

#[test]
fn a_flag_that_speaks_of_another_address_stays() {
    for (members, email) in [
        (r#""new_user_id":"u-2","email_verified":true"#, Change::Keep),
        (
            r#""new_user_id":"u-2","new_email":"nobody","email":"ada@example.com","email_verified":true"#,
            set("ada@example.com"),
        ),
    ] {
        let envelope = renamed(members);
        assert_eq!(patch(&envelope).email, email, "{members}");
        assert_eq!(patch(&envelope).email_verified, Change::Set(true), "{members}");
    }
}

#[test]
fn a_degraded_event_still_has_its_key_and_its_place() {
    let good = created(r#""phone":"1""#);
    let bad = created(r#""phone":1"#);
    assert_eq!(bad.event.key, good.event.key);
    assert_eq!(bad.event.position, good.event.position);
    assert_ne!(bad.content, good.content);
}
