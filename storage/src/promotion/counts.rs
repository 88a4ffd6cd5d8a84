//! How many spans have a key.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{SpanBatch, TypedKey};
use crate::rows::SpanRows;
use crate::schema::promoted::{Promoted, PromotedType, Scope, is_name};

/// Counts lose a half in 42 minutes, and speak of spans that are an hour old on average.
const AGE_NANOS: f64 = 3_600e9;
/// So many keys are counted; twice as many for as long as it takes to tell which are frequent.
pub(super) const MOST_KEYS: usize = 4_096;

/// Spans, and those among them that have a key, by key; old ones count less.
#[derive(Debug, Clone, Default)]
pub struct KeyCounts {
    spans: f64,
    keys: HashMap<Promoted, f64>,
}

impl KeyCounts {
    /// Of rows, where `template_rows` says how many each template of all batches has.
    pub fn of(spans: &SpanRows, template_rows: &[u32]) -> Self {
        let mut counts = Self { spans: spans.len() as f64, keys: HashMap::new() };
        let mut of_templates = template_rows.iter().copied();
        let [mut attributes, mut resources] = [BatchKeys::default(), BatchKeys::default()];
        for batch in &spans.batches {
            let mut of_resources = vec![0; batch.resource_count()];
            for (template, rows) in batch.templates().iter().zip(of_templates.by_ref()) {
                if rows > 0 {
                    of_resources[batch.resource_of(template).index()] += rows;
                    batch.keys(template).iter().for_each(|key| attributes.add(batch, *key, rows));
                }
            }
            for (resource, rows) in batch.resources().zip(of_resources) {
                if rows > 0 {
                    batch.resource(resource).iter().for_each(|entry| resources.add(batch, entry.key, rows));
                }
            }
            attributes.finish(batch, Scope::Attributes, &mut counts);
            resources.finish(batch, Scope::Resource, &mut counts);
        }
        counts
    }

    /// Time has passed since they were counted.
    pub fn age(&mut self, nanos: i64) {
        let left = (-(nanos.max(0) as f64) / AGE_NANOS).exp();
        self.spans *= left;
        self.keys.values_mut().for_each(|count| *count *= left);
        self.keys.retain(|_, count| *count >= 0.5);
    }

    pub fn add(&mut self, other: Self) {
        self.spans += other.spans;
        other.keys.into_iter().for_each(|(key, count)| self.add_key(key, count));
        self.keep(MOST_KEYS);
    }

    pub(super) fn add_key(&mut self, key: Promoted, count: f64) {
        *self.keys.entry(key).or_default() += count;
        if self.keys.len() > 2 * MOST_KEYS {
            self.keep(MOST_KEYS);
        }
    }

    /// Keeps the most frequent keys.
    fn keep(&mut self, most: usize) {
        if self.keys.len() <= most {
            return;
        }
        let mut counts: Vec<f64> = self.keys.values().copied().collect();
        let (_, least, _) = counts.select_nth_unstable_by(most, |one, other| other.total_cmp(one));
        let least = *least;
        // Where many are equally rare, none of them is worth a place.
        self.keys.retain(|_, count| *count > least);
    }

    pub fn spans(&self) -> f64 {
        self.spans
    }

    pub fn keys(&self) -> impl Iterator<Item = (&Promoted, f64)> {
        self.keys.iter().map(|(key, count)| (key, *count))
    }

    #[cfg(test)]
    pub fn from_pairs(spans: f64, keys: impl IntoIterator<Item = (Promoted, f64)>) -> Self {
        Self { spans, keys: keys.into_iter().collect() }
    }
}

/// The keys of one scope in one batch, so that a name is looked up once a batch.
#[derive(Debug, Default)]
struct BatchKeys {
    /// By text and type.
    rows: Vec<[u32; PromotedType::ALL.len()]>,
    seen: Vec<(TypedKey, PromotedType)>,
}

impl BatchKeys {
    fn add(&mut self, batch: &SpanBatch, key: TypedKey, rows: u32) {
        let Some(value_type) = PromotedType::of(key.value_type()) else { return };
        if self.rows.is_empty() {
            self.rows.resize(batch.texts().len(), Default::default());
        }
        let known = &mut self.rows[key.key().0 as usize][value_type as usize];
        if *known == 0 {
            self.seen.push((key, value_type));
        }
        *known += rows;
    }

    fn finish(&mut self, batch: &SpanBatch, scope: Scope, counts: &mut KeyCounts) {
        for (key, value_type) in self.seen.drain(..) {
            let name = batch.texts().text(key.key());
            if is_name(name) {
                let promoted = Promoted { scope, value_type, key: Arc::from(name) };
                counts.add_key(promoted, f64::from(self.rows[key.key().0 as usize][value_type as usize]));
            }
        }
        self.rows.clear();
    }
}
