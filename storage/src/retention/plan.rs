//! Which segments go, which are looked at for rows that go, and why. Pure.
//!
//! - By age: a segment goes once all of its rows are older. So rows stay until the youngest of their segment is too old, which is a day
//!   longer at most.
//! - By rule: the same, of rows of `spans`. A segment goes whole once its latest row is older than the longest of all limits; before
//!   that it is looked at, once for each limit that its latest row is older than.
//! - By bytes: what is left of all tables is cut to the limit, the oldest dates first. Of a date spans go before digests, so
//!   that no span is without its trace.
//!
//! Digests say which traces have an error. While a rule asks for that, they stay until the segments of spans whose time they share
//! were looked at for `max_age`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use object_store::path::Path;

use super::rules::{Due, Limit, longest};
use crate::catalog::{SegmentName, date_of};
use crate::config::RetentionSettings;
use crate::model::UnixNanos;
use crate::schema::{ByTable, Table};
use crate::snapshot::Segment;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is older than `retention.max_age`.
    Age,
    /// There is more than `retention.max_bytes`.
    Bytes,
    /// It is older than the rule in this place of `retention.rules` says.
    Rule(usize),
}

impl Why {
    pub fn of(limit: Limit, settings: &RetentionSettings) -> Self {
        if limit < settings.rules.len() { Self::Rule(limit) } else { Self::Age }
    }

    pub fn text(self, settings: &RetentionSettings) -> Cow<'static, str> {
        match self {
            Why::Age => "max_age".into(),
            Why::Bytes => "max_bytes".into(),
            Why::Rule(place) => settings.name_of(place).into(),
        }
    }
}

/// Segments of a table and date that go for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Expiry {
    pub table: Table,
    pub date: Option<String>,
    pub why: Why,
    pub segments: Vec<Arc<Segment>>,
}

impl Expiry {
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.row_count).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size_bytes).sum()
    }
}

/// What is due.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Tables in the order in which they should be changed, the oldest dates first.
    pub whole: Vec<Expiry>,
    /// Segments of `spans` of which rows may go by these limits, the oldest first.
    pub examine: Vec<(Arc<Segment>, Due)>,
}

/// Segments that were looked at, and the limits by which none of their rows goes.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// Under which settings.
    settings: RetentionSettings,
    segments: HashMap<Path, Due>,
}

impl Settled {
    /// Forgets what was found under others.
    pub fn under(&mut self, settings: &RetentionSettings) -> &mut Self {
        if (&self.settings.rules, self.settings.max_age) != (&settings.rules, settings.max_age) {
            *self = Self { settings: settings.clone(), segments: HashMap::new() };
        }
        self
    }

    pub fn insert(&mut self, location: Path, due: Due) {
        self.segments.insert(location, due);
    }

    /// Forgets segments that are gone.
    pub fn retain(&mut self, live: &[Arc<Segment>]) {
        if self.segments.len() > live.len() {
            let live: HashSet<&Path> = live.iter().map(|segment| &segment.location).collect();
            self.segments.retain(|location, _| live.contains(location));
        }
    }

    fn has(&self, segment: &Segment, due: Due) -> bool {
        self.segments.get(&segment.location).is_some_and(|known| known.covers(due))
    }
}

/// In the order in which they should go.
const ORDER: [Table; 4] = [Table::Spans, Table::SpanMetrics, Table::EdgeMetrics, Table::Traces];
/// While rules have yet to take rows out there may be more than `max_bytes`, by one in so many.
const SLACK: u64 = 10;

/// Place of the table, date and reason.
type Group<'s> = (usize, Option<&'s str>, Why);

/// A segment that does not go by its age.
struct Left<'s> {
    date: Option<&'s str>,
    place: usize,
    latest: UnixNanos,
    segment: &'s Arc<Segment>,
}

/// What is due now.
pub fn plan(
    live: &ByTable<Vec<Arc<Segment>>>,
    now: UnixNanos,
    settings: &RetentionSettings,
    settled: &Settled,
) -> Plan {
    let mut going: BTreeMap<Group<'_>, Vec<Arc<Segment>>> = BTreeMap::new();
    let mut left: Vec<Left<'_>> = Vec::new();
    let mut examine = Vec::new();
    let mut waiting = Waiting::default();
    for (place, table) in ORDER.into_iter().enumerate() {
        for segment in live.table(table) {
            // Of a segment that does not say when it was nobody knows that it is old.
            let Some((_, latest)) = segment.start_range else { continue };
            let date = date_of(&segment.location);
            let due = Due::of(settings, latest, now);
            let is_gone = match table {
                Table::Spans => due.is_all(settings),
                Table::Traces => due.has(settings.rules.len()) && !waiting.needs(segment),
                _ => due.has(settings.rules.len()),
            };
            if is_gone {
                let why = if table == Table::Spans { Why::of(longest(settings), settings) } else { Why::Age };
                going.entry((place, date, why)).or_default().push(Arc::clone(segment));
                continue;
            }
            left.push(Left { date, place, latest, segment });
            if table == Table::Spans {
                // What others wrote has no name of ours that would tell what it is once it is rewritten.
                let is_ours = SegmentName::parse(&segment.location).is_some();
                let is_settled = due.is_none() || !is_ours || settled.has(segment, due);
                waiting.add(segment, is_settled && due.has(settings.rules.len()), settings);
                if !is_settled {
                    examine.push((Arc::clone(segment), due));
                }
            }
        }
    }
    if let Some(max_bytes) = settings.max_bytes {
        let most = if examine.is_empty() { max_bytes } else { max_bytes.saturating_add(max_bytes / SLACK) };
        cut(live, left, most, &mut going);
    }
    let expiry = |((place, date, why), segments): (Group<'_>, _)| Expiry {
        table: ORDER[place],
        date: date.map(str::to_owned),
        why,
        segments,
    };
    let whole: Vec<Expiry> = going.into_iter().map(expiry).collect();
    let gone: HashSet<&Path> = whole.iter().flat_map(|of| &of.segments).map(|segment| &segment.location).collect();
    examine.retain(|(segment, _)| !gone.contains(&segment.location));
    examine.sort_by(|(one, _), (other, _)| (one.start_range, &one.location).cmp(&(other.start_range, &other.location)));
    Plan { whole, examine }
}

/// Lets the oldest of what is `left` go until all tables have at most `max_bytes`.
fn cut<'s>(
    live: &'s ByTable<Vec<Arc<Segment>>>,
    mut left: Vec<Left<'s>>,
    max_bytes: u64,
    going: &mut BTreeMap<Group<'s>, Vec<Arc<Segment>>>,
) {
    let all: u64 = Table::ALL.iter().flat_map(|table| live.table(*table)).map(|segment| segment.size_bytes).sum();
    let aged: u64 = going.values().flatten().map(|segment| segment.size_bytes).sum();
    let mut bytes = all - aged;
    left.sort_by_key(|left| (left.date, left.place, left.latest, &left.segment.location));
    for Left { date, place, segment, .. } in left {
        if bytes <= max_bytes {
            return;
        }
        bytes -= segment.size_bytes;
        going.entry((place, date, Why::Bytes)).or_default().push(Arc::clone(segment));
    }
}

/// Times of spans that were not looked at for `max_age` yet, if digests must wait for that.
#[derive(Debug, Default)]
struct Waiting(Vec<(UnixNanos, UnixNanos)>);

impl Waiting {
    fn add(&mut self, segment: &Segment, is_over: bool, settings: &RetentionSettings) {
        if !is_over && settings.rules.iter().any(|rule| rule.error.is_some()) {
            self.0.extend(segment.start_range);
        }
    }

    fn needs(&self, digests: &Segment) -> bool {
        let Some((first, last)) = digests.start_range else { return false };
        self.0.iter().any(|(earliest, latest)| *earliest <= last && first <= *latest)
    }
}

#[cfg(test)]
mod tests;
