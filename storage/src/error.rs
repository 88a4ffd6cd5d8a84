//! The room's error: kinds by what the caller does next.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server has the data directory. Stop it, or choose another directory.
    #[error("data directory {path} is in use by process {holder}")]
    Locked { path: PathBuf, holder: String },

    /// Stored bytes contradict themselves. Nothing was changed; a person decides.
    #[error("{what} is damaged: {detail}")]
    Damaged { what: String, detail: String },

    /// The store cannot take more at the moment. The same request may succeed later.
    #[error("{0}")]
    Busy(String),

    /// A write or sync failed. What was not acknowledged must be assumed lost, and the process must stop.
    #[error("cannot write {what}")]
    Write {
        what: String,
        #[source]
        source: std::io::Error,
    },

    /// Reading failed. Trying again may help.
    #[error("cannot read {what}")]
    Read {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The table log refused a commit or could not be read.
    #[error("table {table}: {doing}")]
    Catalog {
        table: &'static str,
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// Columns could not be built; a bug in Spanhouse rather than in the data.
    #[error("cannot build columns")]
    Columns(#[from] arrow::error::ArrowError),

    /// More spans than fit one batch; the limits of requests rule it out.
    #[error(transparent)]
    TooLarge(#[from] crate::model::TooLarge),

    /// The store was not opened; a person changes the setting.
    #[error("invalid setting: {0}")]
    Config(String),

    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
