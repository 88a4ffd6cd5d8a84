//! The page's port: HTTP API and the embedded app.
//!
//! - `api`: the routes; JSON, Arrow and CSV exist only there.
//! - `assets`: the app as Vite built it, embedded with the feature `web`.
//! - `guard`: which requests are answered: Host, Origin, content type.
//! - `text`: answers for a terminal, with the same encoders.
//! - `control`: what the binary tells of the running server; `otlp`: what it writes of traces that leave.
//!
//! Invariants: nothing is answered to a Host that was not named; what changes state needs POST, a JSON type and the
//! page's own origin; telemetry leaves as data, never as markup.

mod api;
mod assets;
mod config;
mod control;
mod guard;
mod otlp;
pub mod text;

pub use api::router;
pub use config::Config;
pub use control::{
    Alarm, Compacted, Compaction, ControlError, Expired, Expiring, Flushed, Hint, Ingest, Listener, ListenerState,
    Memory, Retention, SamplingPolicy, ServerControl, Status, TableStatus, Wal,
};
pub use otlp::{OtlpEncoder, OtlpForm};
