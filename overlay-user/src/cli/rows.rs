//! `overlay show fdb`: rows as they come, since there may be more than is good to
//! hold.

use std::io::{ErrorKind, Write};

use anyhow::{Context as _, Result};

use super::query::{self, NOT_UNDERSTOOD};
use super::{CommandFailure, Query, select};
use crate::api::client::{self, Outcome};
use crate::show::FdbTable;

/// Rows that are lined up with one another.
const PAGE: usize = 4096;

/// Prints the FDB.
pub async fn fdb(target: Query) -> Result<(), CommandFailure> {
    let instance = select::running(target.name).await?;
    let mut printer =
        Printer { out: std::io::stdout().lock(), json: target.json, table: FdbTable::new() };
    let followed = client::follow(&instance, |line| printer.line(line)).await;
    let outcome = followed.and_then(|outcome| {
        printer.page()?;
        Ok(outcome)
    });
    match outcome {
        Ok(Outcome::Answered(_)) => Ok(()),
        Ok(Outcome::Refused(failure)) => Err(query::refusal(failure)),
        Ok(Outcome::NoDaemon) => Err(query::no_daemon(&instance)),
        Err(error) if is_broken_pipe(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

struct Printer<W> {
    out: W,
    json: bool,
    table: FdbTable,
}

impl<W: Write> Printer<W> {
    fn line(&mut self, line: &[u8]) -> Result<()> {
        if self.json {
            return Ok(self.out.write_all(line)?);
        }
        let text = line.trim_ascii();
        let text = text.strip_suffix(b",").unwrap_or(text);
        if text.starts_with(b"{") {
            self.table.row(&serde_json::from_slice(text).context(NOT_UNDERSTOOD)?);
            if self.table.waiting() >= PAGE {
                self.page()?;
            }
        }
        Ok(())
    }

    fn page(&mut self) -> Result<()> {
        if !self.json {
            self.out.write_all(self.table.page().as_bytes())?;
        }
        Ok(self.out.flush()?)
    }
}

/// A reader that has seen enough, like `head`, is no failure.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
