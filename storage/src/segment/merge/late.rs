//! Traces whose spans came late are derived again once their parts meet.
//!
//! A span that came after its trace's decision was derived without the others, and they without it. Where it lies in another
//! input, all of the trace's spans that are merged are read as far as deriving needs, and what follows is written in place of
//! what the inputs say. Parts that lie in no input stay unknown, as they were.

use std::sync::Arc;

use arrow::array::RecordBatch;
use hashbrown::HashMap;
use parquet::schema::types::SchemaDescriptor;

use super::input::Input;
use super::order::Order;
use super::overrides::{Override, Overrides};
use super::shared::{Place, SharedTraces, for_some_rows};
use crate::Result;
use crate::catalog::partition_of;
use crate::derive::{PathId, RootNames, TraceSpans, Verdict, derive_counted};
use crate::metrics::{KnownPaths, Tally};
use crate::model::{SpanBatchBuilder, SpanFields, SpanId, UnixNanos};
use crate::rows::{SpanRef, SpanRow, SpanRows};
use crate::schema::spans;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Rederived {
    pub overrides: Overrides,
    pub traces: u64,
    pub left_traces: u64,
    /// Rows of `paths` for these traces, whether or not the table has them.
    pub paths: Option<RecordBatch>,
}

pub(super) fn derive_again(
    schema: &SchemaDescriptor,
    inputs: &[Input],
    lost_rows: &[bool],
    order: &Order<'_>,
    max_rows: usize,
) -> Result<Rederived> {
    let leaf = |name: &str| schema.columns().iter().position(|column| column.path().parts() == [name]);
    let Some(trace_id) = leaf(spans::TRACE_ID) else { return Ok(Rederived::default()) };
    let shared = SharedTraces::of(inputs, trace_id, max_rows)?;
    if shared.places.is_empty() {
        return Ok(Rederived { left_traces: shared.left, ..Rederived::default() });
    }
    let facts = Facts::read(leaf, inputs, &shared.places)?;
    let (rows, paths) = derive(&shared, &facts)?;
    let mut lie_apart = lie_apart(&shared, &facts, &rows);
    for place in &shared.places {
        // A span whose children are gone would have their time as its own.
        lie_apart[place.trace] |= lost_rows.get(place.input).copied().unwrap_or(false);
    }
    let mut of_inputs: Vec<Vec<(u64, Override)>> = inputs.iter().map(|_| Vec::new()).collect();
    let mut of_spans = overrides(&rows, facts.spans.len());
    for (number, place) in shared.places.iter().enumerate() {
        // A span that another one repeats is derived once, and the other row stays as it is.
        if !lie_apart[place.trace]
            && let Some(of_span) = of_spans.get_mut(number).and_then(Option::take)
        {
            of_inputs[place.input].push((place.row, of_span));
        }
    }
    Ok(Rederived {
        overrides: Overrides::new(order, of_inputs),
        traces: lie_apart.iter().filter(|is_apart| !**is_apart).count() as u64,
        left_traces: shared.left + lie_apart.iter().filter(|is_apart| **is_apart).count() as u64,
        paths,
    })
}

/// By trace: whether it has spans that are in no input, of which more was known when it was derived before. Segments of a merge
/// are of one date, and a trace may go on over midnight.
fn lie_apart(shared: &SharedTraces, facts: &Facts, rows: &SpanRows) -> Vec<bool> {
    let mut lie_apart = vec![false; shared.ids.len()];
    for row in &rows.rows {
        let number = row.span.row as usize;
        let (Some(place), Some(span)) = (shared.places.get(number), facts.spans.get(number)) else { continue };
        let start = UnixNanos::from_micros_and_remainder(span.micros, span.nanos);
        let end = start.plus(span.duration_nanos);
        let goes_on = partition_of(start.micros()) != partition_of(end.micros());
        lie_apart[place.trace] |= goes_on || (span.knew_parent && row.parent == SpanRow::NOWHERE);
    }
    lie_apart
}

/// A number of a text, or [`NO_TEXT`].
type Text = usize;
const NO_TEXT: Text = usize::MAX;

#[derive(Debug, Clone)]
struct SpanFacts {
    span_id: Option<SpanId>,
    parent_span_id: Option<SpanId>,
    service: Text,
    name: Text,
    kind: Text,
    status: Text,
    root_service: Text,
    root_name: Text,
    micros: i64,
    nanos: i32,
    duration_nanos: i64,
    /// Its parent was at hand when it was derived before.
    knew_parent: bool,
}

const UNKNOWN: SpanFacts = SpanFacts {
    span_id: None,
    parent_span_id: None,
    service: NO_TEXT,
    name: NO_TEXT,
    kind: NO_TEXT,
    status: NO_TEXT,
    root_service: NO_TEXT,
    root_name: NO_TEXT,
    micros: 0,
    nanos: 0,
    duration_nanos: 0,
    knew_parent: false,
};

/// What spans are derived from.
#[derive(Debug, Default)]
struct Facts {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, Text>,
    spans: Vec<SpanFacts>,
}

impl Facts {
    /// One for each place; places are in order of inputs and rows.
    fn read(leaf: impl Fn(&str) -> Option<usize>, inputs: &[Input], places: &[Place]) -> Result<Self> {
        let mut facts = Self { spans: vec![UNKNOWN; places.len()], ..Self::default() };
        let mut first = 0;
        for of_input in places.chunk_by(|one, next| one.input == next.input) {
            let Some(input) = of_input.first().and_then(|place| inputs.get(place.input)) else { continue };
            let rows: Vec<u64> = of_input.iter().map(|place| place.row).collect();
            for set in COLUMNS {
                let Some(leaf) = leaf(set.0) else { continue };
                for_some_rows(input, leaf, &rows, |number, value| {
                    if let Some(value) = value {
                        set.1(&mut facts, first + number, value);
                    }
                })?;
            }
            if facts.spans[first..first + of_input.len()].iter().any(|span| span.span_id.is_none()) {
                return Err(input.damaged("a span has no id"));
            }
            first += of_input.len();
        }
        Ok(facts)
    }

    fn number(&mut self, text: &[u8]) -> Text {
        let text = String::from_utf8_lossy(text);
        if let Some(known) = self.numbers.get(&*text) {
            return *known;
        }
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, self.texts.len() - 1);
        self.texts.len() - 1
    }

    fn text(&self, text: Text) -> Option<&Arc<str>> {
        self.texts.get(text)
    }
}

type Set = fn(&mut Facts, usize, &[u8]);

const COLUMNS: [(&str, Set); 12] = [
    (spans::SPAN_ID, |facts, at, value| facts.spans[at].span_id = SpanId::from_slice(value).ok()),
    (spans::PARENT_SPAN_ID, |facts, at, value| facts.spans[at].parent_span_id = SpanId::from_slice(value).ok()),
    (spans::SERVICE_NAME, |facts, at, value| facts.spans[at].service = facts.number(value)),
    (spans::SPAN_NAME, |facts, at, value| facts.spans[at].name = facts.number(value)),
    (spans::KIND, |facts, at, value| facts.spans[at].kind = facts.number(value)),
    (spans::STATUS_CODE, |facts, at, value| facts.spans[at].status = facts.number(value)),
    (spans::ROOT_SERVICE, |facts, at, value| facts.spans[at].root_service = facts.number(value)),
    (spans::ROOT_NAME, |facts, at, value| facts.spans[at].root_name = facts.number(value)),
    (spans::PARENT_SERVICE, |facts, at, _| facts.spans[at].knew_parent = true),
    (spans::START_TIME, |facts, at, value| facts.spans[at].micros = value.try_into().map_or(0, i64::from_le_bytes)),
    (spans::START_NANOS, |facts, at, value| facts.spans[at].nanos = value.try_into().map_or(0, i32::from_le_bytes)),
    (spans::DURATION_NS, |facts, at, value| {
        facts.spans[at].duration_nanos = value.try_into().map_or(0, i64::from_le_bytes).max(0);
    }),
];

/// Rows whose spans are numbered as `facts` are, and the paths that they have.
fn derive(shared: &SharedTraces, facts: &Facts) -> Result<(SpanRows, Option<RecordBatch>)> {
    let mut builder = SpanBatchBuilder::default();
    let resource = builder.resource(|_| {});
    let mut origins = HashMap::new();
    let mut traces: Vec<TraceSpans> = shared
        .ids
        .iter()
        .map(|id| TraceSpans { trace_id: *id, spans: Vec::new(), verdict: Verdict::pending(), late: Some(None) })
        .collect();
    let text = |text: Text| facts.text(text).map(|text| &**text).unwrap_or_default();
    for (number, (place, span)) in shared.places.iter().zip(&facts.spans).enumerate() {
        let Some(span_id) = span.span_id else { continue };
        let service = text(span.service);
        let origin = *origins.entry(span.service).or_insert_with(|| builder.origin(resource, service, None, None));
        builder.append(&SpanFields {
            trace_id: shared.ids[place.trace],
            span_id,
            parent_span_id: span.parent_span_id,
            origin,
            span_name: text(span.name).into(),
            kind: text(span.kind),
            status_code: text(span.status),
            status_message: None,
            start: UnixNanos::from_micros_and_remainder(span.micros, span.nanos),
            duration_nanos: span.duration_nanos,
            trace_state: None,
            flags: 0,
        });
        let trace = &mut traces[place.trace];
        trace.spans.push(SpanRef { batch: 0, row: number as u32 });
        // A root that is in no input may have been known when the others were derived.
        if let (Some(None), Some(service), Some(name)) =
            (&trace.late, facts.text(span.root_service), facts.text(span.root_name))
        {
            trace.late = Some(Some(RootNames { service: Arc::clone(service), name: Arc::clone(name) }));
        }
    }
    // Calls were counted when their spans were decided.
    let mut known = KnownPaths::new(usize::MAX);
    let mut tally = Tally::new(&mut known);
    let derived = derive_counted(vec![Arc::new(builder.finish()?)], traces, &mut tally)?;
    let (_, paths) = tally.finish();
    let paths = if paths.is_empty() { None } else { Some(paths.finish()?.1) };
    Ok((derived.spans, paths))
}

/// By number of a span.
fn overrides(rows: &SpanRows, count: usize) -> Vec<Option<Override>> {
    let mut by_span = vec![None; count];
    let mut services: HashMap<&str, Arc<str>> = HashMap::new();
    for (at, row) in rows.rows.iter().enumerate() {
        let facts = rows.facts(at);
        let parent_service = (row.parent != SpanRow::NOWHERE).then(|| {
            let (batch, template) = rows.template(row.parent as usize);
            let service = batch.texts().text(batch.service_name(template));
            Arc::clone(services.entry(service).or_insert_with(|| Arc::from(service)))
        });
        by_span[row.span.row as usize] = Some(Override {
            is_entry: row.is_entry,
            depth: (row.depth >= 0).then_some(row.depth),
            parent_service,
            root_service: facts.root.as_ref().map(|root| Arc::clone(&root.service)),
            root_name: facts.root.as_ref().map(|root| Arc::clone(&root.name)),
            self_ns: row.self_ns,
            critical_ns: (row.critical_ns != SpanRow::UNKNOWN).then_some(row.critical_ns),
            path_id: row.path.map(PathId::signed),
            trace_complete: facts.complete,
        });
    }
    by_span
}
