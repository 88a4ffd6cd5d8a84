//! What a shape follows from that spans of a template have in common, read once a template.

use std::sync::Arc;

use super::path::Step;
use crate::model::{SpanBatch, Template};
use crate::rows::SpanRef;

/// What of a span's kind says who called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Calls,
    Receives,
    Neither,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'b> {
    pub service_name: &'b [u8],
    pub role: Role,
    pub step: Step,
}

/// Numbers operations by batch and template.
#[derive(Debug)]
pub(super) struct Operations<'b> {
    batches: &'b [Arc<SpanBatch>],
    /// By batch: the number of its first template.
    firsts: Vec<usize>,
    /// Read when first asked for: few of a batch's templates may be.
    read: Vec<Option<Operation<'b>>>,
    scratch: Vec<u8>,
}

impl<'b> Operations<'b> {
    pub fn new(batches: &'b [Arc<SpanBatch>]) -> Self {
        let mut count = 0;
        let first = |batch: &Arc<SpanBatch>| {
            let first = count;
            count += batch.templates().len();
            first
        };
        let firsts = batches.iter().map(first).collect();
        Self { batches, firsts, read: vec![None; count], scratch: Vec::new() }
    }

    pub fn of(&mut self, span: SpanRef, template: u32) -> Operation<'b> {
        let number = self.firsts[span.batch as usize] + template as usize;
        if let Some(operation) = self.read[number] {
            return operation;
        }
        let batch = &self.batches[span.batch as usize];
        let operation = read(batch, &batch.templates()[template as usize], &mut self.scratch);
        self.read[number] = Some(operation);
        operation
    }
}

fn read<'b>(batch: &'b SpanBatch, template: &Template, scratch: &mut Vec<u8>) -> Operation<'b> {
    let texts = batch.texts();
    let (service_name, kind) = (texts.bytes(batch.service_name(template)), texts.bytes(template.kind));
    Operation {
        service_name,
        role: match kind {
            b"server" | b"consumer" => Role::Receives,
            b"client" | b"producer" => Role::Calls,
            _ => Role::Neither,
        },
        step: Step::of(service_name, texts.bytes(template.span_name), kind, scratch),
    }
}
