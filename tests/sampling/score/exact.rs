//! What the metrics say, against all spans of the stream: counts, errors, and quantiles by span name.

use std::collections::HashMap;

use super::{Figures, figures, quantile};
use crate::timeline::Timeline;
use crate::world::World;

const MIN_SPANS: usize = 100;

pub fn exact(world: &World, timeline: &Timeline) -> Figures {
    let mut all: HashMap<u16, (u64, Vec<f64>)> = HashMap::new();
    for trace in &world.traces {
        let nodes = world.nodes(trace);
        for span in world.spans(trace) {
            if let Some(node) = nodes.get(usize::from(span.node)) {
                let (errors, durations) = all.entry(node.name).or_default();
                *errors += u64::from(span.error);
                durations.push(f64::from(span.duration_micros) * 1e3);
            }
        }
    }
    let merged = timeline.metrics.merged();
    let (mut wrong, mut worst) = (0.0, 0.0_f64);
    for (name, (errors, durations)) in &mut all {
        let row = merged.get(name);
        let counted = row.map_or((0, 0), |row| (row.errors, row.durations.count()));
        wrong += f64::from(u8::from(counted != (*errors, durations.len() as u64)));
        for q in [0.5, 0.95, 0.99] {
            let found = row.and_then(|row| row.durations.quantile(q)).unwrap_or(0.0);
            if durations.len() >= MIN_SPANS {
                worst = worst.max(100.0 * (found / quantile(durations, q) - 1.0).abs());
            }
        }
    }
    figures([("metrics_wrong_counts", wrong), ("metrics_quantile_error_worst_percent", worst)])
}
