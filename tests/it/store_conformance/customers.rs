//! Users are linked to customers, in a table of the application or in our own, with names that have to be quoted.

use anyhow::Result;
use rollcall::apply::rebuild::Mode;
use rollcall::apply::{Applier, Givens};
use rollcall::clock::new_row_id;
use rollcall::domain::{CustomerPlace, LookupRule};
use rollcall::store::CustomerSource;
use serde_json::json;

use super::atomic::{listen, statements};
use crate::world::{Base, Stream, Tables, apply, apply_cut, epoch, on_both, said};

on_both!(
    users_are_linked_by_their_address,
    customers_are_made_where_none_is_found,
    requirements_are_asked_once,
    rows_of_the_application_become_memberships,
    joining_twice_makes_nothing_new_and_heals,
    order_and_cuts_change_nothing,
    looking_takes_a_constant_number_of_statements,
);

/// A table as an ERP has it: mixed case, a reserved word among the columns.
pub(super) const TABLE: &str = r#"CREATE TABLE "tabCustomer" ("name" VARCHAR(140) PRIMARY KEY, "email_id" VARCHAR(140),
    customer_name VARCHAR(140) NOT NULL, "order" INTEGER, tax_id TEXT, "group" VARCHAR(20) NOT NULL);
    INSERT INTO "tabCustomer" VALUES ('C-ADA', 'Ada@Example.COM', 'Ada Ltd', 7, 'T-1', 'All'),
    ('C-BEA', 'bea@example.com', 'Bea Ltd', NULL, ' ', 'All')"#;

pub(super) fn application() -> CustomerSource {
    CustomerSource {
        place: CustomerPlace::Application,
        table: vec!["tabCustomer".to_owned()],
        id_column: "name".to_owned(),
        email_column: "email_id".to_owned(),
        required: vec!["order".to_owned(), "tax_id".to_owned()],
        ..CustomerSource::own()
    }
}

pub(super) fn making() -> CustomerSource {
    let columns = [
        ("name", "CUST-{uuid}"),
        ("email_id", "{email}"),
        ("customer_name", "{display_name}"),
        ("order", "5"),
        ("group", "All"),
    ];
    CustomerSource {
        make: columns
            .map(|(column, text)| (column.to_owned(), text.to_owned()))
            .into(),
        ..application()
    }
}

pub(super) async fn applier(base: &Base, source: CustomerSource) -> Result<Applier> {
    let place = source.place;
    let required = source.required.clone();
    let applier = base.applier_with(|policy| {
        policy.lookup = Some(LookupRule {
            place,
            require_verified: true,
        });
        policy.profiles[0].requires = required;
    });
    Ok(applier.await?.with_customers(Some(source)))
}

pub(super) fn created(stream: &mut Stream, user: &str, minute: i64, email: &str, verified: bool) {
    let data = json!({"user_id": user, "email": email, "email_verified": verified, "full_name": user});
    stream.say("created", &format!("{user}-{minute}"), minute, data);
}

async fn users_are_linked_by_their_address(base: Base) -> Result<()> {
    base.store().await?.close().await;
    base.script(TABLE).await?;
    let applier = applier(&base, application()).await?;
    let mut stream = Stream::new();
    created(&mut stream, "ada", 1, "ADA@example.com", true);
    created(&mut stream, "bea", 2, "bea@example.com", false);
    created(&mut stream, "eve", 3, "eve@example.com", true);
    apply(&applier, &stream.messages).await?;
    let links = ["user_id", "linked_customer"];
    assert_eq!(base.lines(&links, "@profiles").await?, ["ada C-ADA", "bea -", "eve -"]);
    // Verified later, and a customer who appears later changes nothing for those who asked before.
    base.execute("INSERT INTO \"tabCustomer\" VALUES ('C-EVE', 'eve@example.com', 'Eve', 1, 'T', 'All')")
        .await?;
    let mut later = Stream::new();
    later.say("updated", "v", 4, json!({"user_id": "bea", "email_verified": true}));
    later.say("updated", "p", 5, json!({"user_id": "eve", "phone": "1"}));
    later.say("updated", "late", 2, json!({"user_id": "eve", "username": "e"}));
    apply_cut(&applier, &later, 1).await?;
    assert_eq!(
        base.lines(&links, "@profiles").await?,
        ["ada C-ADA", "bea C-BEA", "eve -"]
    );
    let before = Tables::read(&base).await?;
    apply(&applier, &stream.messages).await?;
    let givens = Givens {
        now: epoch(),
        mint: &mut new_row_id,
    };
    base.execute("UPDATE \"tabCustomer\" SET email_id = 'x'").await?;
    let roots = ["ada".to_owned(), "bea".to_owned(), "eve".to_owned()];
    let wrong = applier.rebuild(&roots, Mode::Repair, givens).await?;
    assert_eq!(wrong, [], "a rebuild asks nothing again");
    Tables::read(&base)
        .await?
        .assert_same(&before, "after copies and a rebuild");
    assert_eq!(
        base.lines(&links, "@profiles").await?,
        ["ada C-ADA", "bea C-BEA", "eve -"]
    );
    Ok(())
}

async fn customers_are_made_where_none_is_found(base: Base) -> Result<()> {
    base.store().await?.close().await;
    base.script(TABLE).await?;
    let applier = applier(&base, making()).await?;
    let mut stream = Stream::new();
    created(&mut stream, "ada", 1, "ada@example.com", true);
    created(&mut stream, "eve", 2, "Eve@example.com", true);
    created(&mut stream, "twin", 3, "eve@Example.com", true);
    created(&mut stream, "mute", 4, "mute@example.com", false);
    apply(&applier, &stream.messages).await?;
    apply(&applier, &stream.messages).await?;
    let made = "\"tabCustomer\" WHERE name LIKE 'CUST-%'";
    let columns = ["email_id", "customer_name", "\"order\"", "\"group\""];
    assert_eq!(base.lines(&columns, made).await?, ["Eve@example.com eve 5 All"]);
    let linked = "@profiles p JOIN \"tabCustomer\" t ON t.name = p.linked_customer";
    assert_eq!(
        base.lines(&["p.user_id", "t.customer_name"], linked).await?,
        ["ada Ada Ltd", "eve eve", "twin eve"]
    );
    Ok(())
}

async fn requirements_are_asked_once(base: Base) -> Result<()> {
    base.store().await?.close().await;
    base.script(TABLE).await?;
    let applier = applier(&base, application()).await?;
    let mut stream = Stream::new();
    created(&mut stream, "ada", 1, "ada@example.com", true);
    created(&mut stream, "bea", 2, "bea@example.com", true);
    created(&mut stream, "eve", 3, "eve@example.com", true);
    for (minute, user) in [(4, "ada"), (5, "bea"), (6, "eve")] {
        stream.say("activated", &format!("{user}-a"), minute, json!({"user_id": user}));
    }
    let settled = said(&apply(&applier, &stream.messages).await?);
    let rejected = "rejected requirements_missing";
    assert_eq!(
        settled,
        ["applied", "applied", "applied", "applied", rejected, rejected]
    );
    let errors = base.lines(&["event_id", "error"], "@dead_letters").await?;
    let meaning = "the activation requires more of the linked customer";
    assert_eq!(
        errors,
        [
            format!("bea-a {meaning}: order, tax_id is empty"),
            format!("eve-a {meaning}, and there is none")
        ]
    );
    // What is filled later changes nothing, not even for a late event; the verdict is an input.
    base.execute("UPDATE \"tabCustomer\" SET tax_id = 'T-2', \"order\" = 1")
        .await?;
    let mut late = Stream::new();
    late.say("updated", "late", 3, json!({"user_id": "bea", "phone": "1"}));
    apply(&applier, &late.messages).await?;
    let status = base.lines(&["user_id", "status"], "@profiles").await?;
    assert_eq!(status, ["ada active", "bea draft", "eve draft"]);
    // A link that comes late makes it another question, which is asked.
    let mut linking = Stream::new();
    linking.say(
        "updated",
        "eve-v",
        3,
        json!({"user_id": "eve", "email": "ada@example.com", "email_verified": true}),
    );
    apply(&applier, &linking.messages).await?;
    let status = base
        .lines(&["user_id", "status", "linked_customer"], "@profiles")
        .await?;
    assert_eq!(status, ["ada active C-ADA", "bea draft C-BEA", "eve active C-ADA"]);
    assert_eq!(
        base.number("count(*)", "@dead_letters WHERE resolved_at IS NOT NULL")
            .await?,
        1
    );
    Ok(())
}

/// A row of the application in our own table.
pub(super) async fn own_row(base: &Base, number: u32, user: &str, organization: &str, email: &str) -> Result<()> {
    let sql = format!(
        "INSERT INTO @customers (customer_id, user_id, organization_id, name, email, created_at, updated_at) VALUES \
         ('00000000-0000-4000-8000-00000000000{number}', '{user}', '{organization}', 'N{number}', '{email}', \
         '2020-01-01T00:00:00Z', '2020-01-01T00:00:00Z')"
    );
    base.execute(&sql).await.map(drop)
}

async fn rows_of_the_application_become_memberships(base: Base) -> Result<()> {
    let applier = applier(&base, CustomerSource::own()).await?;
    own_row(&base, 1, "", "acme", "ADA@example.com").await?;
    own_row(&base, 2, "", "book", "ada@example.com").await?;
    own_row(&base, 3, "bob", "acme", "x").await?;
    let mut stream = Stream::new();
    created(&mut stream, "ada", 1, "ada@example.com", true);
    created(&mut stream, "ann", 2, "ada@example.com", true);
    created(&mut stream, "bob", 3, "bob@example.com", true);
    stream.say("joined", "j", 4, json!({"user_id": "bob", "organization_id": "acme"}));
    stream.say("joined", "k", 5, json!({"user_id": "bob", "organization_id": "club"}));
    apply(&applier, &stream.messages).await?;
    let columns = ["c.name", "c.user_id", "c.organization_id", "p.user_id"];
    let rows = "@customers c LEFT JOIN @profiles p ON p.profile_id = c.profile_id";
    assert_eq!(
        base.lines(&columns, rows).await?,
        [
            "- bob club bob",
            "N1 ada acme ada",
            "N2 ann book ann",
            "N3 bob acme bob"
        ]
    );
    let shown = base.lines(
        &["p.user_id", "c.name"],
        "@profiles p JOIN @customers c ON c.customer_id = p.customer_id",
    );
    assert_eq!(shown.await?, ["ada N1", "ann N2", "bob -"]);
    // What was the application's only loses its user; what the worker made goes.
    let mut later = Stream::new();
    later.say("left", "l1", 6, json!({"user_id": "ada", "organization_id": "acme"}));
    later.say("left", "l2", 7, json!({"user_id": "bob", "organization_id": "club"}));
    later.say("deleted", "d", 8, json!({"user_id": "bob"}));
    apply_cut(&applier, &later, 1).await?;
    assert_eq!(
        base.lines(&columns, rows).await?,
        ["N1  acme -", "N2 ann book ann", "N3  acme -"]
    );
    let givens = Givens {
        now: epoch(),
        mint: &mut new_row_id,
    };
    let roots = ["ada".to_owned(), "ann".to_owned(), "bob".to_owned()];
    assert_eq!(applier.rebuild(&roots, Mode::Repair, givens).await?, []);
    Ok(())
}

async fn joining_twice_makes_nothing_new_and_heals(base: Base) -> Result<()> {
    let applier = base.applier().await?;
    let join = |id: &str, minute| {
        let mut stream = Stream::new();
        stream.say(
            "joined",
            id,
            minute,
            json!({"user_id": "ada", "organization_id": "acme"}),
        );
        stream
    };
    apply(&applier, &join("1", 1).messages).await?;
    let healthy = base.lines(&["customer_id", "profile_id"], "@customers").await?;
    base.execute("UPDATE @customers SET profile_id = NULL").await?;
    apply(&applier, &join("1", 1).messages).await?;
    assert_ne!(
        base.lines(&["customer_id", "profile_id"], "@customers").await?,
        healthy,
        "a copy heals nothing"
    );
    apply(&applier, &join("2", 2).messages).await?;
    assert_eq!(base.lines(&["customer_id", "profile_id"], "@customers").await?, healthy);
    Ok(())
}

async fn order_and_cuts_change_nothing(mut base: Base) -> Result<()> {
    let mut stream = Stream::new();
    created(&mut stream, "ada", 1, "nobody@example.com", true);
    stream.say("activated", "2", 2, json!({"user_id": "ada"}));
    stream.say("updated", "3", 3, json!({"user_id": "ada", "email": "ada@example.com"}));
    stream.say("renamed", "4", 4, json!({"user_id": "ada", "new_user_id": "eve"}));
    stream.say("updated", "5", 5, json!({"user_id": "eve", "email_verified": true}));
    stream.say("activated", "6", 6, json!({"user_id": "ada"}));
    created(&mut stream, "ada", 7, "bea@example.com", true);
    stream.say("activated", "8", 8, json!({"user_id": "ada"}));
    stream.say(
        "updated",
        "9",
        9,
        json!({"user_id": "ada", "email": "ada@example.com", "email_verified": true}),
    );
    stream.say(
        "updated",
        "10",
        10,
        json!({"user_id": "zoe", "email": "bea@EXAMPLE.com", "email_verified": true}),
    );
    stream.say("renamed", "11", 11, json!({"user_id": "zoe", "new_user_id": "yes"}));
    created(&mut stream, "yes", 12, "yes@example.com", true);
    stream.say("archived", "13", 13, json!({"user_id": "eve"}));
    let count = stream.messages.len();
    let mut expected = None;
    for (stride, cut) in [
        (1, 1000),
        (1, 1),
        (count - 1, 1),
        (count - 1, 4),
        (5, 3),
        (7, 2),
        (9, 1),
    ] {
        let base = base.another()?;
        base.store().await?.close().await;
        base.script(TABLE).await?;
        let applier = applier(&base, application()).await?;
        let mut shuffled = stream.clone();
        shuffled.messages = (0..count)
            .map(|n| stream.messages[n * stride % count].clone())
            .collect();
        apply_cut(&applier, &shuffled, cut).await?;
        apply_cut(&applier, &stream, 5).await?;
        let links = base
            .lines(&["user_id", "status", "linked_customer"], "@profiles")
            .await?;
        let tables = Tables::read(&base).await?;
        match &expected {
            None => {
                assert_eq!(links, ["ada draft C-BEA", "eve archived C-ADA", "yes draft C-BEA"]);
                expected = Some((tables, links));
            }
            Some((whole, wanted)) => {
                assert_eq!(links, *wanted, "in strides of {stride}, cut by {cut}");
                tables.assert_same(whole, &format!("in strides of {stride}, cut by {cut}"));
            }
        }
    }
    Ok(())
}

async fn looking_takes_a_constant_number_of_statements(base: Base) -> Result<()> {
    base.store().await?.close().await;
    base.script(TABLE).await?;
    let applier = applier(&base, making()).await?;
    let mut warm = Stream::new();
    created(&mut warm, "warm", 0, "warm@example.com", true);
    apply(&applier, &warm.messages).await?;
    listen();
    let mut counts = Vec::new();
    for (round, users) in [(0, 5), (1, 300)] {
        let mut stream = Stream::new();
        for n in 0..users {
            let user = format!("u{round}-{n}");
            created(&mut stream, &user, n, &format!("{user}@example.com"), true);
            stream.say("activated", &format!("a{user}"), n + 1, json!({"user_id": user}));
        }
        counts.push(statements(&applier, &stream).await?);
    }
    assert_eq!(counts[0], counts[1]);
    let plain = base.applier().await?;
    let mut stream = Stream::new();
    created(&mut stream, "plain", 1, "plain@example.com", true);
    assert!(
        statements(&plain, &stream).await? < counts[0],
        "nothing is asked where nothing is configured"
    );
    Ok(())
}
