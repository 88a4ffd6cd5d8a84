//! `spanhouse repair`: names damage in a data directory's write-ahead log, and cuts it out after asking.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use collector::OtlpDecoder;
use storage::{Clock, SystemClock};

use crate::cli::RepairArgs;

/// Exits with 1 where damage stays.
pub async fn run(arguments: RepairArgs) -> anyhow::Result<ExitCode> {
    let found = storage::repair::inspect(&arguments.data, Arc::new(OtlpDecoder::default())).await?;
    for hole in &found.damage {
        println!("{hole}");
    }
    if found.damage.is_empty() {
        println!("no damage: {} records of the write-ahead log are whole", found.records);
        return Ok(ExitCode::SUCCESS);
    }
    println!("damaged places: {}; whole records: {}", found.damage.len(), found.records);
    if arguments.check {
        return Ok(ExitCode::FAILURE);
    }
    if !arguments.yes && !asked()? {
        bail!("nothing was changed");
    }
    let repaired = found.cut(SystemClock.now())?;
    println!("cut out of {}; what was there is kept in {}", repaired.files.join(", "), repaired.kept_in.display());
    Ok(ExitCode::SUCCESS)
}

fn asked() -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("nothing was changed: there is no terminal to ask at; --yes cuts without asking");
    }
    print!("Cut it out? Spans that only stood there are lost; the damaged files are kept. [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// The error, and the way out of it if `data` is damaged.
pub fn advised(error: anyhow::Error, data: &Path) -> anyhow::Error {
    let is_damage = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(storage::Error::Damaged { .. })));
    if !is_damage {
        return error;
    }
    let data = data.display();
    anyhow!("{error:#}; `spanhouse repair --data {data}` says what is missing, and cuts it out if you agree")
}
