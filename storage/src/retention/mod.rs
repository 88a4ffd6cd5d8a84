//! What is old, or more than there may be, goes: whole segments, in a commit a table.
//!
//! - `plan`: which segments go, and why. Pure.
//! - this file: the same for a directory without a server.
//!
//! The commit takes them out of the table; their files go with the vacuum, as those that a merge has replaced. Rows of `paths` are
//! of no time and stay.

mod plan;

use std::path::Path;

use crate::config::RetentionSettings;
use crate::lock::DirectoryLock;
use crate::model::UnixNanos;
use crate::recovery::{self, DataDirectory};
use crate::schema::ByTable;
use crate::{Error, Result};

pub use plan::{Expiry, Why, plan};

/// What would go of a directory that no server has. Writes nothing.
pub async fn dry_run(directory: &Path, settings: &RetentionSettings, now: UnixNanos) -> Result<Vec<Expiry>> {
    let found = DataDirectory::new(directory);
    if !found.tables().is_dir() {
        return Err(Error::Read {
            what: format!("data directory {}", directory.display()),
            source: "no server has ever written to it".into(),
        });
    }
    let _lock = DirectoryLock::shared(directory)?;
    let tables = recovery::read_tables(&found).await?;
    Ok(plan(&ByTable::new(|table| tables.table(table).segments.clone()), now, settings))
}
