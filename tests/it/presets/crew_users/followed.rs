//! The application's tables when somebody is renamed or deleted.

use anyhow::Result;
use serde_json::{Value, json};

use super::{created, deleted, renamed};
use crate::presets::Preset;

/// Writes down which table was touched how, in order; `refuse` is for steps that have to fail.
const WATCH: &str = "
CREATE TABLE watched (at integer GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.watched (what) VALUES (TG_TABLE_NAME || ' ' || lower(TG_OP)); RETURN NULL; END $$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
";

/// The tables that are watched.
const WATCHED: [&str; 9] = [
    "rollcall.profiles",
    "crew.\"user\"",
    "crew.permissions",
    "crew.sessions",
    "crew.notifications",
    "crew.device_tokens",
    "crew.purchase_orders",
    "crew.requests",
    "crew.comments",
];

/// What was touched since the last time, in the order in which it was first.
async fn watched(preset: &Preset) -> Result<String> {
    let firsts = "(SELECT what, min(at) AS first FROM watched GROUP BY what) AS firsts";
    let order = preset
        .base()
        .line(&["string_agg(what, ', ' ORDER BY first)"], firsts)
        .await?;
    preset.base().execute("DELETE FROM watched").await?;
    Ok(order)
}

/// Rename of the key in order: user, mirrored user, `"user"` column of the permissions, sessions removed.
pub(super) async fn a_rename_goes_through_in_order(preset: &Preset) -> Result<()> {
    preset.base().script(WATCH).await?;
    for table in WATCHED {
        let trigger = format!(
            "CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION public.watch()"
        );
        preset.base().execute(&trigger).await?;
    }
    preset.furnish("abe@crew.example").await?;
    watched(preset).await?;
    preset
        .play(&[renamed("ren", 6, "abe@crew.example", "Abe.King@crew.example")])
        .await?;
    let expected = "profiles update, user update, permissions update, sessions delete, notifications update, \
                    device_tokens update";
    assert_eq!(watched(preset).await?, expected);
    assert_eq!(
        preset.belongings("abe.king@crew.example").await?,
        [
            "device",
            "permission Port",
            "permission Vessel",
            "received",
            "sent",
            "user"
        ]
    );
    assert_eq!(
        preset.belongings("abe@crew.example").await?,
        ["comment", "order", "request", "version renamed"]
    );
    let noted = json!({"crew.user": 1, "crew.permissions": 2, "crew.sessions": 1, "crew.notifications.from_user": 1,
                       "crew.notifications.for_user": 1, "crew.device_tokens": 1, "audit crew.versions": 1});
    assert_eq!(preset.noted("ren").await?, noted);
    let explained = preset
        .rollcall(&["explain", "abe@crew.example"])
        .await?
        .success()?
        .stdout;
    assert!(
        explained.contains("abe@crew.example → abe.king@crew.example") && explained.contains("; crew.permissions 2; "),
        "{explained}"
    );
    Ok(())
}

/// Delete removes permissions and notifications (as sender and as recipient), device tokens and the linked framework user
/// row, of which none is a warning; it writes an audit record and keeps orders, requests and comments with their owner.
pub(super) async fn a_deletion_removes_what_was_theirs(preset: &Preset) -> Result<()> {
    // They signed in again, and somebody wrote to their old address.
    preset
        .base()
        .script(
            "INSERT INTO crew.sessions VALUES ('again', 'abe.king@crew.example'); \
             INSERT INTO crew.notifications (from_user, for_user, subject) VALUES ('somebody', 'abe@crew.example', 'old')",
        )
        .await?;
    watched(preset).await?;
    preset
        .play(&[
            deleted("del", 7, "abe.king@crew.example"),
            deleted("del-2", 7, "bea@crew.example"),
        ])
        .await?;
    let expected = "profiles delete, user delete, permissions delete, sessions delete, notifications delete, \
                    device_tokens delete";
    assert_eq!(watched(preset).await?, expected);
    assert_eq!(preset.belongings("abe.king@crew.example").await?, ["version deleted"]);
    let kept = ["comment", "order", "request", "version renamed"];
    assert_eq!(preset.belongings("abe@crew.example").await?, kept);
    assert_eq!(preset.user("abe.king@crew.example").await?, "");
    let noted = json!({"crew.user": 1, "crew.permissions": 2, "crew.sessions": 1, "crew.notifications.from_user": 1,
                       "crew.notifications.for_user": 2, "crew.device_tokens": 1, "audit crew.versions": 1});
    assert_eq!(preset.noted("del").await?, noted);

    // Bea never had a row of the framework.
    let noted = preset.noted("del-2").await?;
    assert_eq!(
        noted["crew.user"],
        json!({"rows": 0, "note": "sync_warning"}),
        "{noted}"
    );
    let columns = ["ref_doctype", "docname", "what", "data ->> 'event_id'"];
    let versions = preset
        .base()
        .lines(&columns, "crew.versions WHERE what = 'deleted'")
        .await?;
    let expected = [
        "User abe.king@crew.example deleted del",
        "User bea@crew.example deleted del-2",
    ];
    assert_eq!(versions, expected);
    Ok(())
}

/// A step that fails: its name in the ledger, the table and column that refuse, what stays behind because of it.
const STEPS: [(&str, &str, &str, &[&str]); 7] = [
    ("crew.user", "crew.\"user\"", "name", &["user"]),
    (
        "crew.permissions",
        "crew.permissions",
        "\"user\"",
        &["permission Port", "permission Vessel"],
    ),
    ("crew.sessions", "crew.sessions", "\"user\"", &["session"]),
    (
        "crew.notifications.from_user",
        "crew.notifications",
        "from_user",
        &["sent"],
    ),
    (
        "crew.notifications.for_user",
        "crew.notifications",
        "for_user",
        &["received"],
    ),
    ("crew.device_tokens", "crew.device_tokens", "\"user\"", &["device"]),
    ("audit crew.versions", "crew.versions", "docname", &[]),
];

/// Each step isolated: in one batch, each of seven users has another step that fails, and all others are done.
pub(super) async fn each_step_is_isolated(preset: &Preset) -> Result<()> {
    let user = |n: usize| format!("s{n}@crew.example");
    let mut events = Vec::new();
    for (n, (_, table, column, _)) in STEPS.iter().enumerate() {
        let (operation, row) = if *column == "docname" {
            ("INSERT", "NEW")
        } else {
            ("DELETE", "OLD")
        };
        preset.furnish(&user(n)).await?;
        let trigger = format!(
            "CREATE TRIGGER refuse_{n} BEFORE {operation} ON {table} FOR EACH ROW WHEN ({row}.{column} = '{}') \
             EXECUTE FUNCTION public.refuse()",
            user(n)
        );
        preset.base().execute(&trigger).await?;
        events.push(created(&format!("s{n}"), &json!({"user_id": user(n)})));
    }
    preset.play(&events).await?;
    let deletions: Vec<Value> = (0..STEPS.len())
        .map(|n| deleted(&format!("gone{n}"), 8, &user(n)))
        .collect();
    let outcomes = preset.play(&deletions).await?;
    assert_eq!(outcomes["applied"], json!(STEPS.len()), "{outcomes}");
    for (n, (failing, .., stays)) in STEPS.iter().enumerate() {
        assert_eq!(preset.user(&user(n)).await?, "", "{failing}");
        let noted = preset.noted(&format!("gone{n}")).await?;
        for (step, ..) in STEPS {
            let note = &noted[step];
            if step == *failing {
                assert_eq!(note["note"], json!("failed"), "{noted}");
                assert!(note["error"].is_string(), "{noted}");
            } else {
                let rows = if step == "crew.permissions" { 2 } else { 1 };
                assert_eq!(*note, json!(rows), "{step} beside {failing}: {noted}");
            }
        }
        let mut expected = [&["comment", "order", "request"], *stays].concat();
        if !failing.starts_with("audit") {
            expected.push("version deleted");
        }
        expected.sort_unstable();
        assert_eq!(preset.belongings(&user(n)).await?, expected, "{failing}");
    }
    assert_eq!(preset.base().number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}

/// The same for renames: what fails keeps the old key.
pub(super) async fn each_step_of_a_rename_is_isolated(preset: &Preset) -> Result<()> {
    let steps = [
        ("crew.user", "UPDATE", "crew.\"user\"", "name"),
        ("crew.permissions", "UPDATE", "crew.permissions", "\"user\""),
        ("crew.sessions", "DELETE", "crew.sessions", "\"user\""),
    ];
    let (from, to) = (
        |n: usize| format!("from{n}@crew.example"),
        |n: usize| format!("to{n}@crew.example"),
    );
    let mut events = Vec::new();
    for (n, (_, operation, table, column)) in steps.iter().enumerate() {
        preset.furnish(&from(n)).await?;
        let trigger = format!(
            "CREATE TRIGGER refuse_from_{n} BEFORE {operation} ON {table} FOR EACH ROW WHEN (OLD.{column} = '{}') \
             EXECUTE FUNCTION public.refuse()",
            from(n)
        );
        preset.base().execute(&trigger).await?;
        events.push(created(&from(n), &json!({"user_id": from(n)})));
        events.push(renamed(&format!("moved{n}"), 9, &from(n), &to(n)));
    }
    preset.play(&events).await?;
    for (n, (failing, ..)) in steps.iter().enumerate() {
        assert!(preset.user(&to(n)).await?.starts_with(&to(n)), "{failing}");
        let noted = preset.noted(&format!("moved{n}")).await?;
        let failed: Vec<&str> = noted
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, note)| note["note"] == json!("failed"))
            .map(|(step, _)| step.as_str())
            .collect();
        assert_eq!(failed, [*failing], "{noted}");
        let has = |all: &[String], what: &str| all.iter().any(|one| one == what);
        let (old, new) = (preset.belongings(&from(n)).await?, preset.belongings(&to(n)).await?);
        for (step, what) in [("crew.user", "user"), ("crew.permissions", "permission Port")] {
            let stays = step == *failing;
            assert_eq!((has(&old, what), has(&new, what)), (stays, !stays), "{failing}: {what}");
        }
        assert_eq!(has(&old, "session"), *failing == "crew.sessions", "{failing}");
        assert!(has(&new, "device") && has(&new, "received"), "{failing}: {new:?}");
    }
    Ok(())
}
