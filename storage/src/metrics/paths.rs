//! Which call paths are known, and rows of those that were not.
//!
//! `paths` has one row a path, so that joining it multiplies nothing, and no row is ever removed. Names that clients make up
//! by the million would fill it without end; so beyond a limit new paths are not written, and are said once.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Builder, Int64Array, Int64Builder, RecordBatch, StringViewBuilder};
use arrow::error::ArrowError;
use hashbrown::HashSet;

use crate::derive::{PathId, SpanShape};
use crate::model::{SpanBatch, Template};
use crate::rows::SpanRef;
use crate::schema::paths as schema;

/// The paths that are in the table or on the way to it.
#[derive(Debug)]
pub struct KnownPaths {
    /// As the table has them.
    ids: HashSet<i64>,
    limit: usize,
    is_full: bool,
}

impl KnownPaths {
    pub fn new(limit: usize) -> Self {
        Self { ids: HashSet::new(), limit, is_full: false }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The table has this one, whatever the limit.
    pub fn is_stored(&mut self, id: i64) {
        self.ids.insert(id);
    }

    /// No table has it after all.
    pub fn forget(&mut self, id: i64) {
        self.ids.remove(&id);
    }

    /// Whether the path is new, and gets its row now.
    fn is_new(&mut self, path: PathId) -> bool {
        let id = path.signed();
        if self.ids.contains(&id) {
            return false;
        }
        if self.ids.len() >= self.limit {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::warn!(
                    paths = self.limit,
                    "there are too many call paths; further ones are not written to paths"
                );
            }
            return false;
        }
        self.ids.insert(id)
    }
}

/// A longer chain is cut at its beginning.
const CHAIN_BYTES: usize = 4_096;
const ARROW: &str = " > ";

/// Builds rows of `paths`.
#[derive(Debug, Default)]
pub struct PathRows {
    pub ids: Vec<i64>,
    parents: Int64Builder,
    depths: Int32Builder,
    services: StringViewBuilder,
    names: StringViewBuilder,
    kinds: StringViewBuilder,
    chains: StringViewBuilder,
}

impl PathRows {
    /// Adds a row for each path of a trace that is not known.
    pub(super) fn push_new(
        &mut self,
        known: &mut KnownPaths,
        batches: &[Arc<SpanBatch>],
        spans: &[SpanRef],
        shapes: &[SpanShape],
    ) {
        for (index, shape) in shapes.iter().enumerate() {
            if let Some(path) = shape.path.filter(|path| known.is_new(*path)) {
                self.ids.push(path.signed());
                self.push(batches, spans, shapes, index);
            }
        }
    }

    fn push(&mut self, batches: &[Arc<SpanBatch>], spans: &[SpanRef], shapes: &[SpanShape], index: usize) {
        let shape = &shapes[index];
        let parent = shape.parent.and_then(|parent| shapes[parent].path);
        self.parents.append_option(parent.map(PathId::signed));
        self.depths.append_option(shape.depth);
        let (batch, template) = read(batches, spans[index]);
        let texts = batch.texts();
        self.services.append_value(texts.text(batch.service_name(template)));
        self.names.append_value(texts.text(template.span_name));
        self.kinds.append_value(texts.text(template.kind));
        self.chains.append_value(chain(batches, spans, shapes, index));
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids of the paths, and their rows.
    pub fn finish(mut self) -> Result<(Vec<i64>, RecordBatch), ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(self.ids.iter().copied())),
            Arc::new(self.parents.finish()),
            Arc::new(self.depths.finish()),
            Arc::new(self.services.finish()),
            Arc::new(self.names.finish()),
            Arc::new(self.kinds.finish()),
            Arc::new(self.chains.finish()),
        ];
        // What builders took in advance is a hundred times what a few paths need.
        columns.iter_mut().for_each(Array::shrink_to_fit);
        Ok((self.ids, RecordBatch::try_new(schema::stored(), columns)?))
    }
}

fn read(batches: &[Arc<SpanBatch>], span: SpanRef) -> (&SpanBatch, &Template) {
    let batch = &batches[span.batch as usize];
    (batch, batch.template(span.row as usize))
}

/// `service:name > service:name`, from the beginning to this span.
fn chain(batches: &[Arc<SpanBatch>], spans: &[SpanRef], shapes: &[SpanShape], index: usize) -> String {
    let mut steps: Vec<(&str, &str)> = Vec::new();
    let mut bytes = 0;
    let mut next = Some(index);
    let mut top = index;
    // A span with a path is in no cycle, so this ends.
    while let Some(at) = next {
        let (batch, template) = read(batches, spans[at]);
        let step = (batch.texts().text(batch.service_name(template)), batch.texts().text(template.span_name));
        bytes += step.0.len() + 1 + step.1.len() + if steps.is_empty() { 0 } else { ARROW.len() };
        if bytes > CHAIN_BYTES && !steps.is_empty() {
            break;
        }
        steps.push(step);
        top = at;
        next = shapes[at].parent;
    }
    let mut chain = match (next, shapes[top].is_root) {
        (Some(_), _) => format!("...{ARROW}"),
        (None, false) => format!("?{ARROW}"),
        (None, true) => String::new(),
    };
    for (at, (service, name)) in steps.iter().rev().enumerate() {
        let before = if at == 0 { "" } else { ARROW };
        // Writing into a String cannot fail.
        let _ = write!(chain, "{before}{service}:{name}");
    }
    if chain.len() > 2 * CHAIN_BYTES {
        // One step alone, whose columns have it whole.
        let end = (0..=2 * CHAIN_BYTES).rev().find(|end| chain.is_char_boundary(*end)).unwrap_or(0);
        chain.truncate(end);
        chain.push_str("...");
    }
    chain
}
