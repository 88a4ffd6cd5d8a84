//! A request's spans, counted before anyone holds memory.
//!
//! Names are the batch's own numbers, read as text only where they are new. Most spans of a template lie in the same window,
//! so that they find their row without a search.

use hashbrown::HashMap;

use super::counts::Counter;
use super::{Counts, Head, WINDOW_NANOS, window_of};
use crate::model::{SpanBatch, TextId, UnixNanos};

/// What was counted of one request, by service, span name, kind and status.
pub type BatchCounts = Counts<4>;

/// Where the spans of a template were counted last.
#[derive(Debug, Clone, Copy)]
struct Slot {
    window: UnixNanos,
    row: u32,
    names: u32,
    head: Head,
}

const NO_ROW: u32 = u32::MAX;

impl BatchCounts {
    pub fn of(batch: &SpanBatch) -> Self {
        let empty = Slot { window: UnixNanos(0), row: NO_ROW, names: 0, head: Head::without(batch) };
        let mut slots = vec![empty; batch.templates().len()];
        let counter = Counter::with_capacity(batch.span_count());
        let mut rows = Rows { batch, counter, names: HashMap::new(), rows: HashMap::new() };
        for head in batch.heads() {
            let slot = &mut slots[head.template as usize];
            let is_within = (0..WINDOW_NANOS).contains(&head.start.since(slot.window));
            if slot.row == NO_ROW || !is_within {
                rows.find(slot, head.template, window_of(head.start));
            }
            rows.counter.add_span(slot.row, head.duration_nanos, slot.head, false);
        }
        rows.counter.finish()
    }
}

struct Rows<'b> {
    batch: &'b SpanBatch,
    counter: Counter<4>,
    names: HashMap<[TextId; 4], u32>,
    rows: HashMap<(u32, UnixNanos), u32>,
}

impl Rows<'_> {
    /// Sets a template's slot to its row of `window`.
    fn find(&mut self, slot: &mut Slot, template: u32, window: UnixNanos) {
        let Self { batch, counter, names, rows } = self;
        if slot.row == NO_ROW {
            let template = &batch.templates()[template as usize];
            let texts = batch.texts();
            if !template.trace_state.is_none() {
                slot.head = Head::of(texts.text(template.trace_state), slot.head);
            }
            let ids = [batch.service_name(template), template.span_name, template.kind, template.status_code];
            slot.names = *names.entry(ids).or_insert_with(|| counter.add_names(ids.map(|id| texts.text(id))));
        }
        slot.window = window;
        slot.row = *rows.entry((slot.names, window)).or_insert_with(|| counter.add_row(window, slot.names));
    }
}
