//! Edges and paths of traces that are decided.

use std::sync::Arc;

use super::buckets::place_of;
use super::{Bucket, EdgeMetrics, Head, KnownPaths, PathRows, Totals, window_of};
use crate::derive::SpanShape;
use crate::model::SpanBatch;
use crate::rows::SpanRef;
use crate::schema::spans::STATUS_ERROR;

/// Where decided traces are counted, kept or not.
#[derive(Debug)]
pub struct Tally<'m> {
    edges: &'m mut EdgeMetrics,
    known: &'m mut KnownPaths,
    pub paths: PathRows,
}

impl<'m> Tally<'m> {
    pub fn new(edges: &'m mut EdgeMetrics, known: &'m mut KnownPaths) -> Self {
        Self { edges, known, paths: PathRows::default() }
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
        let batch = &batches[server.batch as usize];
        let head = &batch.heads()[server.row as usize];
        let template = &batch.templates()[head.template as usize];
        let texts = batch.texts();
        let service = texts.bytes(batch.service_name(template));
        let caller = &batches[client.batch as usize];
        let caller_service = caller.texts().bytes(caller.service_name(caller.template(client.row as usize)));
        if caller_service == service {
            return;
        }
        let weight = match template.trace_state {
            none if none.is_none() => Head::ALL,
            state => Head::of(texts.text(state)),
        };
        let mut totals = Totals::NOTHING;
        totals.add(head.duration_nanos, weight, texts.bytes(template.status_code) == STATUS_ERROR.as_bytes());
        let bucket = u64::try_from(head.duration_nanos).ok().filter(|nanos| *nanos > 0);
        let bucket = bucket.map(|nanos| Bucket::new(place_of(nanos), 1));
        let names = [caller_service, service, texts.bytes(template.span_name)];
        self.edges.merge(window_of(head.start), names, &totals, bucket.as_slice());
    }
}
