//! Every SQLSTATE we know, and neighbours that we do not, as a server sends it: a trigger of the application raises it,
//! with the data in its message.

use anyhow::{Context, Result};
use rollcall::failure::Class::{self, Contended, Event, World};

use super::{applied, creation, is, nothing_is_left, refused};
use crate::world::{Base, Which};

const CODES: &[(Class, Class, &str)] = &[
    (
        World,
        World,
        "08000 08001 08003 08004 08006 08007 08P01 25006 25P03 25P04 28000 28P01 3D000 3F000 40003 42501 42P01 42703 42883 \
         42704 42P10 42601 42804 42P18 42702 53000 53100 53200 53300 53400 57P01 57P02 57P03 57P04 57P05 58000 58030 58P01 \
         58P02 72000 XX000 XX001 XX002 F0000",
    ),
    // Nobody knows them.
    (
        World,
        World,
        "02000 22000 23000 38000 39000 40002 42000 55000 57000 P0002 ZZZZZ",
    ),
    (Contended, Contended, "40001 40P01 55P03"),
    (Contended, Event, "57014"),
    (Contended, World, "0A000 26000 42P05"),
    (
        Event,
        Event,
        "21000 22001 22003 22007 22008 22012 22021 22023 22030 22031 22032 22033 22034 22035 22036 22037 22038 22039 2203A \
         2203B 2203C 2203D 2203E 2203F 2203G 22P02 22P03 22P05 23001 23502 23503 23505 23514 23P01 25P02 54000 54001 54011 \
         54023 P0001",
    ),
];

const RAISES: &str = "CREATE TABLE app_code (code text); INSERT INTO app_code VALUES ('P0001'); \
    CREATE FUNCTION app() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    RAISE EXCEPTION 'no % here', NEW.email USING ERRCODE = (SELECT code FROM app_code), DETAIL = NEW.full_name; END $$; \
    CREATE TRIGGER app BEFORE INSERT ON @profiles FOR EACH ROW EXECUTE FUNCTION app()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_code_comes_as_it_is_and_without_what_the_server_says_about_it() -> Result<()> {
    let base = Base::fresh(Which::Postgres).await?;
    let applier = base.applier().await?;
    base.script(RAISES).await?;
    for (class, alone, codes) in CODES {
        for code in codes.split_whitespace() {
            base.execute(&format!("UPDATE app_code SET code = '{code}'")).await?;
            let error = refused(&applier, &[creation(1)]).await;
            let fault = is(&error, code, *class, *alone);
            assert_eq!((fault.constraint, fault.table), (None, None));
        }
    }
    let log = base.server.as_ref().context("a server")?.log();
    assert!(log.contains("no ada@secret.example here") && log.contains("DETAIL:  Ada Lovelace"));
    nothing_is_left(&base).await?;
    base.script("DROP TRIGGER app ON @profiles").await?;
    applied(&applier, &creation(1)).await
}
