//! A disk that is full. It takes a small file system of its own, which only a privileged user may mount: where that is
//! not possible, a line says so (and `deploy/test.sh` says it again at its end).

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context, Result};
use rollcall::failure::Class::World;

use super::{creation, is, refused};
use crate::harness::postgres::Postgres;
use crate::world::{Base, Message, Which, apply};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_waited_for() -> Result<()> {
    if !Postgres::may_have_a_room()? {
        let why = "NOT STAGED: a full disk, because this user may not mount a file system";
        return Ok(writeln!(std::io::stderr(), "{why}")?);
    }
    let mut server = Postgres::start_with_room(16).await?;
    let url = server.fresh_database()?;
    let room = server.room().context("a room")?;
    let base = Base {
        url,
        server: Some(server),
        ..Base::fresh(Which::Sqlite).await?
    };
    let base = Base {
        which: Which::Postgres,
        ..base
    };
    let applier = base.applier().await?;
    base.execute(&format!("CREATE TABLESPACE room LOCATION '{}'", room.inside.display()))
        .await?;
    base.execute("ALTER TABLE @profiles SET TABLESPACE room").await?;

    let filler = room.outside.join("filler");
    let mut file = File::create(&filler)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    let batch: Vec<Message> = (0..200).map(creation).collect();
    let fault = is(&refused(&applier, &batch).await, "53100", World, World);
    assert!(fault.page && fault.passes(), "{fault}");
    drop(file);
    std::fs::remove_file(&filler)?;
    assert_eq!(apply(&applier, &batch).await?.len(), 200);
    assert_eq!(base.number("count(*)", "@profiles").await?, 200);
    assert_eq!(base.number("count(*)", "@dead_letters").await?, 0);
    Ok(())
}
