//! What is old, or more than there may be, or named by a rule, goes: whole segments, or rows of them, in a commit a table.
//!
//! - `plan`: which segments go, which are looked at, and why. Pure.
//! - `rules`: which rule holds for a span. Pure.
//! - `examine`: which rows of a segment go by rules; reads a few of its columns.
//! - `preview`: what would go, of a store or of a directory without a server.
//!
//! The commit takes segments out of the table, and puts what is left of them in; their files go with the vacuum, as those that a
//! merge has replaced. Rows of `paths` are of no time and stay.
//!
//! # Invariants
//!
//! - Rules take rows of `spans` alone. Each trace has its digest until `max_age`.
//! - A row goes only if the latest row of its segment is older than the row's limit. So it stays a day longer at most, and its segment
//!   is written anew once a limit at most.
//! - Where nobody knows whether a trace has an error, its spans stay as long as they might have to.

mod examine;
mod plan;
mod preview;
mod rules;

use std::sync::Arc;

use object_store::ObjectStore;
use tokio::runtime::Handle;

use crate::Result;
use crate::aside::{Leaving, UPKEEP, aside};
use crate::compact::StoredFile;
use crate::config::RetentionSettings;
use crate::model::UnixNanos;
use crate::schema::promoted::Promoted;
use crate::snapshot::Segment;

pub use examine::{Examination, Going, examine};
pub(crate) use plan::{Plan, Settled, plan};
pub use preview::{Expiring, Preview, dry_run};
pub(crate) use preview::{Tables, preview, rows_expiring};
pub use rules::Due;

/// Traces are taken to begin no longer than this before any of their spans.
const LONGEST_TRACE_NANOS: i64 = 3_600_000_000_000;

/// Looks which rows of a segment go. `None` if none does.
pub(crate) async fn look(
    segment: &Arc<Segment>,
    due: Due,
    promoted: Arc<[Promoted]>,
    digests: &[Arc<Segment>],
    settings: &RetentionSettings,
    objects: &Arc<dyn ObjectStore>,
) -> Result<Option<Going>> {
    let digests = digests.iter().filter(|digests| may_have_digests(digests, segment)).cloned().collect();
    let wanted = Examination { segment: Arc::clone(segment), due, promoted, digests };
    let (settings, objects, runtime) = (settings.clone(), Arc::clone(objects), Handle::current());
    let leaving = Leaving::default();
    let cancelled = leaving.flag();
    let open = move |segment: &Segment| {
        StoredFile::new(Arc::clone(&objects), segment.location.clone(), segment.size_bytes, runtime.clone())
    };
    aside("retention", UPKEEP, move || examine(&wanted, &settings, open, &cancelled)).await
}

/// Whether digests of traces of these spans may be there.
fn may_have_digests(digests: &Segment, spans: &Segment) -> bool {
    let Some(((first, last), (earliest, latest))) = digests.start_range.zip(spans.start_range) else { return true };
    let earliest = UnixNanos(earliest.0.saturating_sub(LONGEST_TRACE_NANOS));
    first <= latest && earliest <= last
}
