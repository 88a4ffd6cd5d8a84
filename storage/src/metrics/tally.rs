//! Edges and paths of traces that are decided.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use super::counts::Counter;
use super::{Counts, Head, KnownPaths, PathRows, window_of};
use crate::derive::SpanShape;
use crate::model::{SpanBatch, UnixNanos, hasher};
use crate::rows::SpanRef;
use crate::schema::spans::STATUS_ERROR;

/// A template of one batch, and one of another.
type Pair = (u32, u32, u32, u32);

/// What spans of a pair of templates have in common.
#[derive(Debug, Clone, Copy)]
struct Edge {
    head: Head,
    is_error: bool,
    /// Among the counter's.
    names: u32,
    /// Where the last one was counted.
    window: UnixNanos,
    row: u32,
}

/// Where decided traces are counted, kept or not.
#[derive(Debug)]
pub struct Tally<'m> {
    known: &'m mut KnownPaths,
    paths: PathRows,
    /// By server and client; `None` within a service.
    pairs: HashMap<Pair, Option<Edge>>,
    /// Numbers of names, whichever batches they are in.
    names: HashTable<u32>,
    rows: HashMap<(u32, UnixNanos), u32>,
    counter: Counter<3>,
}

impl<'m> Tally<'m> {
    /// Of traces whose spans lie in the same batches.
    pub fn new(known: &'m mut KnownPaths) -> Self {
        Self {
            known,
            paths: PathRows::default(),
            pairs: HashMap::new(),
            names: HashTable::new(),
            rows: HashMap::new(),
            counter: Counter::with_capacity(0),
        }
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
        let window = window_of(head.start);
        let pair = (server.batch, head.template, client.batch, caller_template);
        let edge = match self.pairs.get_mut(&pair) {
            Some(edge) => edge,
            None => {
                let texts = batch.texts();
                let names = [caller.texts().text(caller_service), texts.text(service), texts.text(template.span_name)];
                let edge = (names[0] != names[1]).then(|| {
                    let weight = match template.trace_state {
                        none if none.is_none() => Head::without(batch),
                        state => Head::of(texts.text(state), Head::without(batch)),
                    };
                    let is_error = texts.bytes(template.status_code) == STATUS_ERROR.as_bytes();
                    Edge { head: weight, is_error, names: self.number(names), window, row: NO_ROW }
                });
                self.pairs.entry(pair).or_insert(edge)
            }
        };
        let Some(edge) = edge else { return };
        if edge.row == NO_ROW || edge.window != window {
            let (names, counter) = (edge.names, &mut self.counter);
            edge.window = window;
            edge.row = *self.rows.entry((names, window)).or_insert_with(|| counter.add_row(window, names));
        }
        self.counter.add_span(edge.row, head.duration_nanos, edge.head, edge.is_error);
    }

    fn number(&mut self, names: [&str; 3]) -> u32 {
        let Self { names: numbers, counter, .. } = self;
        let known = numbers.find(hash_of(names), |number| counter.names(*number).each() == names);
        if let Some(number) = known {
            return *number;
        }
        let number = counter.add_names(names);
        numbers.insert_unique(hash_of(names), number, |number| hash_of(counter.names(*number).each()));
        number
    }

    /// The calls from service to service, and the paths that were not known.
    pub fn finish(self) -> (Counts<3>, PathRows) {
        (self.counter.finish(), self.paths)
    }
}

const NO_ROW: u32 = u32::MAX;

fn hash_of(names: [&str; 3]) -> u64 {
    let mut hasher = hasher();
    names.hash(&mut hasher);
    hasher.finish()
}
