//! All that a span says, by value: batches number their texts each for itself, so spans of two are compared as this.

use std::sync::Arc;

use crate::model::{Entry, SpanBatch, TextId, TypedKey, ValueId, ValueType};
use crate::rows::SpanRef;

/// Writes it in place of what `out` has. Two spans say the same exactly if the bytes are equal; the order of attributes,
/// which means nothing, is left out.
pub(super) fn write(batches: &[Arc<SpanBatch>], span: SpanRef, out: &mut Vec<u8>) {
    out.clear();
    let row = span.row as usize;
    let mut content = Content { batch: &batches[span.batch as usize], out };
    let batch = content.batch;
    let head = &batch.heads()[row];
    content.bytes(head.trace_id.as_bytes());
    content.bytes(head.span_id.as_bytes());
    content.bytes(head.parent_span_id().as_ref().map_or(&[0; 8], |parent| parent.as_bytes()));
    content.bytes(&head.start.0.to_le_bytes());
    content.bytes(&head.duration_nanos.to_le_bytes());

    let template = batch.template(row);
    for text in [
        template.span_name,
        template.kind,
        template.status_code,
        template.status_message,
        template.trace_state,
        batch.service_name(template),
        batch.scope_name(template),
        batch.scope_version(template),
    ] {
        content.text(text);
    }
    content.bytes(&template.flags.to_le_bytes());
    content.attributes(batch.keys(template).iter().copied().zip(batch.values(row).iter().copied()));
    content.entries(batch.resource(batch.resource_of(template)));

    content.count(batch.events(row).len());
    for event in batch.events(row) {
        content.bytes(&event.time.0.to_le_bytes());
        content.text(event.name);
        content.entries(batch.event_attributes(event));
    }
    content.count(batch.links(row).len());
    for link in batch.links(row) {
        content.bytes(link.trace_id.as_bytes());
        content.bytes(link.span_id.as_bytes());
        content.text(link.trace_state);
        content.bytes(&link.flags.to_le_bytes());
        content.entries(batch.link_attributes(link));
    }
}

/// What always has the same length is written as it is, all else behind its length or count.
struct Content<'b> {
    batch: &'b SpanBatch,
    out: &'b mut Vec<u8>,
}

impl Content<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn count(&mut self, count: usize) {
        self.bytes(&(count as u64).to_le_bytes());
    }

    fn text(&mut self, text: TextId) {
        let bytes = self.batch.texts().bytes(text);
        // No text is not the empty one.
        self.count(if text.is_none() { usize::MAX } else { bytes.len() });
        self.bytes(bytes);
    }

    fn entries(&mut self, entries: &[Entry]) {
        self.attributes(entries.iter().map(|entry| (entry.key, entry.value)));
    }

    fn attributes(&mut self, attributes: impl Iterator<Item = (TypedKey, ValueId)>) {
        let mut attributes: Vec<(TypedKey, ValueId)> = attributes.collect();
        attributes.sort_by_key(|(key, _)| self.batch.texts().bytes(key.key()));
        self.count(attributes.len());
        for (key, value) in attributes {
            self.text(key.key());
            self.bytes(&[key.value_type() as u8]);
            match key.value_type() {
                ValueType::Text | ValueType::Json => self.text(TextId(value.0)),
                ValueType::Int | ValueType::Float => self.bytes(self.batch.word_bytes(value)),
                ValueType::Bool => self.bytes(&value.0.to_le_bytes()),
            }
        }
    }
}
