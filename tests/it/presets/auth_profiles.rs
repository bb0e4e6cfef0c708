//! `auth-profiles`: a trigger on `auth.users` that inserted into `user_profiles`.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Preset;
use crate::deployment::PATIENCE;
use crate::world::cloud_event;

const COLUMNS: [&str; 11] = [
    "right(user_id, 2)",
    "display_name",
    "email",
    "role",
    "department",
    "is_active::text",
    "is_admin",
    "is_super_admin",
    "permissions",
    "access_level",
    "created_via",
];

/// The user with this number in `auth.users`.
fn id(number: u8) -> String {
    format!("a0000000-0000-4000-8000-{number:012}")
}

fn event(kind: &str, name: &str, minute: i64, number: u8, rest: &Value) -> Value {
    let mut data = rest.clone();
    data["user_id"] = json!(id(number));
    cloud_event(kind, name, minute, &data)
}

impl Preset {
    /// The profiles through the old name.
    async fn profiles(&self) -> Result<Vec<String>> {
        self.base().lines(&COLUMNS, "user_profiles").await
    }

    /// Every byte of the rows of the first two users, and where and by whom each was last written.
    async fn first_two(&self) -> Result<Vec<String>> {
        let columns = self.base().columns("profiles").await?;
        let written = ["xmin", "ctid"].into_iter();
        let columns: Vec<&str> = written.chain(columns.iter().map(String::as_str)).collect();
        let two = format!("@profiles WHERE user_id IN ('{}', '{}')", id(1), id(2));
        self.base().lines(&columns, &two).await
    }

    /// A backfill of `auth.users` beside a worker, leaving out what the preset leaves out.
    async fn backfill(&self, more: &[&str]) -> Result<Value> {
        let query = self.text("users.sql")?;
        let exclude = self.folder.join("exclude.txt").display().to_string();
        let arguments = [
            &["backfill", "--json", "--query", &query, "--exclude-file", &exclude],
            more,
        ];
        let mut worker = self.worker().await?;
        let ended = self.rollcall(&arguments.concat()).await?.success()?;
        worker.signal("TERM")?;
        worker.finished(PATIENCE).await?.success()?;
        ended.json()
    }
}

/// Of a survey: rows, those with a profile that says the same, missing, excluded.
fn counts(survey: &Value) -> [&Value; 4] {
    ["rows", "same", "missing", "excluded"].map(|name| &survey[name])
}

/// A profile as it begins: the number of its user, name, address, origin.
fn fresh(number: u8, name: &str, email: &str, created_via: &str) -> String {
    format!("{number:02} {name} {email} user General true false false [] basic {created_via}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_profiles() -> Result<()> {
    let preset = Preset::set_up("auth-profiles").await?;

    // Created inserts a profile: display name from metadata or email, active, default attributes, auth_trigger.
    let ada = json!({"email": "ada@example.com", "metadata": {"display_name": "Ada", "role": "owner"}});
    let ben = json!({"email": "ben@example.com", "metadata": {}});
    preset
        .play(&[event("created", "1", 1, 1, &ada), event("created", "2", 2, 2, &ben)])
        .await?;
    let begun = [
        fresh(1, "Ada", "ada@example.com", "auth_trigger"),
        fresh(2, "ben@example.com", "ben@example.com", "auth_trigger"),
    ];
    assert_eq!(preset.profiles().await?, begun);
    let first_two = preset.first_two().await?;

    // A backfill over the five users finds 2 profiles and 3 missing, leaves out an exclusion list by email or id.
    let report = preset.backfill(&[]).await?;
    assert_eq!(counts(&report["before"]), [7, 2, 3, 2], "{report}");
    assert_eq!((&report["dry_run"], &report["after"]), (&json!(true), &Value::Null));
    assert_eq!(preset.profiles().await?, begun, "a dry run writes nothing");

    // It creates the three, reports before and after, and leaves the two existing ones byte-identical.
    let report = preset.backfill(&["--apply"]).await?;
    assert_eq!(counts(&report["before"]), [7, 2, 3, 2], "{report}");
    assert_eq!(counts(&report["after"]), [7, 5, 0, 2], "{report}");
    assert_eq!(report["published"], json!(3));
    let all = [
        begun[0].clone(),
        begun[1].clone(),
        fresh(3, "Cas", "cas@example.com", "manual_fix"),
        fresh(4, "dan@example.com", "dan@example.com", "manual_fix"),
        fresh(5, "Eve", "eve@example.com", "manual_fix"),
    ];
    assert_eq!(preset.profiles().await?, all);
    assert_eq!(preset.first_two().await?, first_two, "not a byte of them");
    let report = preset.backfill(&["--apply"]).await?;
    assert_eq!(report["published"], json!(0), "{report}");
    assert_eq!(preset.profiles().await?, all);

    what_people_edited_stays(&preset).await
}

/// Roles, permissions and display names edited later by people survive every update and replay.
async fn what_people_edited_stays(preset: &Preset) -> Result<()> {
    for (number, name) in [(1, "Countess"), (3, "Captain"), (4, "Dan the Man")] {
        let edit = format!(
            "UPDATE user_profiles SET display_name = '{name}', role = 'manager', permissions = '[\"reports\"]', \
             is_admin = true, department = 'Docks' WHERE user_id = '{}'",
            id(number)
        );
        assert_eq!(preset.base().execute(&edit).await?, 1);
    }
    let edited = |number: u8, name: &str, email: &str, created_via: &str| {
        format!("{number:02} {name} {email} manager Docks true true false [\"reports\"] basic {created_via}")
    };
    let metadata = json!({"display_name": "Somebody", "role": "user", "permissions": [], "is_admin": false});
    let news = |email: &str| json!({"email": email, "metadata": metadata});
    // The backfilled users begin when the backfill did, which is after these times: news of them has none.
    let now = |mut event: Value| {
        event.as_object_mut().map(|event| event.remove("time"));
        event
    };
    preset
        .play(&[
            event("updated", "3", 9, 1, &news("ada@lovelace.example")),
            // Late for the one before, and for the creation.
            event("updated", "4", 5, 1, &json!({"metadata": {"display_name": "Late"}})),
            event("updated", "5", 0, 1, &json!({"metadata": {"display_name": "Early"}})),
            now(event("updated", "6", 0, 3, &news("cas@elsewhere.example"))),
            now(event("archived", "7", 0, 4, &json!({}))),
            now(event("reactivated", "8", 0, 4, &json!({}))),
            now(event("renamed", "9", 0, 4, &json!({"new_username": "dan"}))),
            // A second creation of somebody who is there.
            event("created", "10", 10, 2, &news("ben@elsewhere.example")),
        ])
        .await?;
    let expected = [
        edited(1, "Countess", "ada@lovelace.example", "auth_trigger"),
        fresh(2, "ben@example.com", "ben@elsewhere.example", "auth_trigger"),
        edited(3, "Captain", "cas@elsewhere.example", "manual_fix"),
        edited(4, "Dan the Man", "dan@example.com", "manual_fix"),
        fresh(5, "Eve", "eve@example.com", "manual_fix"),
    ];
    assert_eq!(preset.profiles().await?, expected);
    for command in [&["replay"][..], &["rebuild", "--all"]] {
        preset.rollcall(command).await?.success()?;
        assert_eq!(preset.profiles().await?, expected, "{command:?}");
    }
    let report = preset.backfill(&["--apply"]).await?;
    assert_eq!(report["published"], json!(0), "{report}");
    assert_eq!(preset.profiles().await?, expected);
    assert_eq!(preset.base().number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}

/// The statement of the page by which what people had edited is taken over.
fn takeover(page: &str) -> Option<String> {
    let begin = page.find("UPDATE user_profiles AS new")?;
    let length = page[begin..].find(';')?;
    Some(page[begin..begin + length].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_profiles_are_taken_over_as_the_page_of_auth_profiles_says() -> Result<()> {
    let preset = Preset::set_up("auth-profiles").await?;
    let old = format!(
        "CREATE TABLE user_profiles_old (user_id uuid PRIMARY KEY, display_name text, role text, department text, \
         is_active boolean, is_admin boolean, is_super_admin boolean, permissions jsonb, access_level text, \
         created_via text); \
         INSERT INTO user_profiles_old \
         VALUES ('{}', 'Countess', 'owner', 'Docks', true, true, true, '[\"all\"]', 'full', 'auth_trigger'), \
                ('{}', 'Ben', 'user', 'General', false, false, false, '[]', 'basic', 'manual_fix')",
        id(1),
        id(2)
    );
    preset.base().script(&old).await?;
    let exclude = [3, 4, 5].map(|number| ["--exclude".to_owned(), id(number)]).concat();
    let exclude: Vec<&str> = exclude.iter().map(String::as_str).collect();
    let report = preset.backfill(&[&exclude[..], &["--apply"]].concat()).await?;
    assert_eq!(report["published"], json!(2), "{report}");
    let statement = takeover(&preset.text("README.md")?).context("the statement")?;
    assert_eq!(preset.base().execute(&statement).await?, 2);
    let report = preset.backfill(&["--apply"]).await?;
    assert_eq!(report["published"], json!(3), "{report}");
    let expected = [
        "01 Countess ada@example.com owner Docks true true true [\"all\"] full auth_trigger".to_owned(),
        "02 Ben ben@example.com user General false false false [] basic manual_fix".to_owned(),
        fresh(3, "Cas", "cas@example.com", "manual_fix"),
        fresh(4, "dan@example.com", "dan@example.com", "manual_fix"),
        fresh(5, "Eve", "eve@example.com", "manual_fix"),
    ];
    assert_eq!(preset.profiles().await?, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_of_auth_profiles_ends_as_it_must() -> Result<()> {
    let preset = Preset::set_up("auth-profiles").await?;
    assert_eq!(preset.demo().await?, Vec::<String>::new());
    assert_eq!(preset.demo().await?, Vec::<String>::new(), "and again");
    let undone = "UPDATE user_profiles SET role = 'user' WHERE role = 'manager'";
    preset.base().execute(undone).await?;
    // The script edits it again.
    assert_eq!(preset.demo().await?, Vec::<String>::new());
    preset.base().execute("UPDATE @profiles SET is_active = false").await?;
    assert_eq!(preset.demo().await?.len(), 5);
    Ok(())
}
