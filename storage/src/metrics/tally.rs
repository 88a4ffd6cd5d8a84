//! Edges and paths of traces that are decided.

use std::sync::Arc;

use hashbrown::HashMap;

use super::buckets::place_of;
use super::{Bucket, EdgeMetrics, Head, KnownPaths, PathRows, Totals, window_of};
use crate::derive::SpanShape;
use crate::model::{SpanBatch, UnixNanos};
use crate::rows::SpanRef;
use crate::schema::spans::STATUS_ERROR;

/// A template of one batch, and one of another.
type Pair = (u32, u32, u32, u32);

/// What spans of a pair of templates have in common.
#[derive(Debug, Clone, Copy)]
struct Edge {
    head: Head,
    is_error: bool,
    /// Where the last one was counted.
    window: UnixNanos,
    place: usize,
}

/// Where decided traces are counted, kept or not.
#[derive(Debug)]
pub struct Tally<'m> {
    edges: &'m mut EdgeMetrics,
    known: &'m mut KnownPaths,
    pub paths: PathRows,
    /// By server and client; `None` within a service.
    pairs: HashMap<Pair, Option<Edge>>,
}

impl<'m> Tally<'m> {
    /// Of traces whose spans lie in the same batches.
    pub fn new(edges: &'m mut EdgeMetrics, known: &'m mut KnownPaths) -> Self {
        Self { edges, known, paths: PathRows::default(), pairs: HashMap::new() }
    }

    /// Counts one trace; `shapes` has one for each span.
    pub fn count(&mut self, batches: &[Arc<SpanBatch>], spans: &[SpanRef], shapes: &[SpanShape]) {
        self.paths.push_new(self.known, batches, spans, shapes);
        for (span, shape) in spans.iter().zip(shapes) {
            if let Some(parent) = shape.parent {
                self.count_edge(batches, *span, spans[parent]);
            }
        }
    }

    fn count_edge(&mut self, batches: &[Arc<SpanBatch>], server: SpanRef, client: SpanRef) {
        let (batch, caller) = (&batches[server.batch as usize], &batches[client.batch as usize]);
        let head = &batch.heads()[server.row as usize];
        let template = &batch.templates()[head.template as usize];
        let caller_template = caller.heads()[client.row as usize].template;
        let service = batch.service_name(template);
        let caller_service = caller.service_name(&caller.templates()[caller_template as usize]);
        if server.batch == client.batch && service == caller_service {
            return;
        }
        let texts = batch.texts();
        let names = || [caller.texts().bytes(caller_service), texts.bytes(service), texts.bytes(template.span_name)];
        let window = window_of(head.start);
        let edges = &mut *self.edges;
        let pair = (server.batch, head.template, client.batch, caller_template);
        let edge = self.pairs.entry(pair).or_insert_with(|| {
            let [from, to, _] = names();
            let weight = match template.trace_state {
                none if none.is_none() => Head::ALL,
                state => Head::of(texts.text(state)),
            };
            let is_error = texts.bytes(template.status_code) == STATUS_ERROR.as_bytes();
            (from != to).then(|| Edge { head: weight, is_error, window, place: edges.place(window, names()) })
        });
        let Some(edge) = edge else { return };
        if edge.window != window {
            (edge.window, edge.place) = (window, edges.place(window, names()));
        }
        let mut totals = Totals::NOTHING;
        totals.add(head.duration_nanos, edge.head, edge.is_error);
        let bucket = u64::try_from(head.duration_nanos).ok().filter(|nanos| *nanos > 0);
        let bucket = bucket.map(|nanos| Bucket::new(place_of(nanos), 1));
        edges.merge(edge.place, &totals, bucket.as_slice());
    }
}
