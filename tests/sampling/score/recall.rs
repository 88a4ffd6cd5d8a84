//! How much of what matters is kept.

use std::collections::HashMap;

use super::{Figures, Judge, figures};
use crate::outcome::Outcome;

#[derive(Default)]
struct Share {
    of: u64,
    kept: u64,
}

impl Share {
    fn add(&mut self, applies: bool, kept: bool) {
        self.of += u64::from(applies);
        self.kept += u64::from(applies && kept);
    }

    /// Not a number of nothing.
    fn percent(&self) -> f64 {
        100.0 * self.kept as f64 / self.of as f64
    }
}

/// The first of a new shape is the first that is decided: one that began before it and comes to its decision later cannot be
/// known then. `first_begun` is about the one that began first.
///
/// A rescued trace counts where its root or its failing span is what was looked for; `_whole` leaves rescued ones out.
pub fn recall(judge: &Judge, outcome: &Outcome) -> Figures {
    let [mut failed, mut failed_elsewhere, mut failed_whole, mut slow, mut slow_whole, mut any_error] =
        std::array::from_fn(|_| Share::default());
    let [mut rare, mut rare_operations, mut first, mut first_begun] = std::array::from_fn(|_| Share::default());
    // Of each new shape, when one was first decided, and whether that one is kept.
    let mut firsts: HashMap<u32, (u32, bool)> = HashMap::new();
    let mut covered = vec![(false, false); judge.truth.shapes];
    for at in judge.judged() {
        let (trace, known) = (&judge.world.traces[at], &judge.truth.traces[at]);
        let kept = outcome.kept[at];
        let found = kept || outcome.rescued[at];
        failed.add(trace.failed, found);
        failed_elsewhere.add(trace.failed && !known.of_incident, found);
        failed_whole.add(trace.failed, kept);
        slow.add(known.slow, found);
        slow_whole.add(known.slow, kept);
        any_error.add(trace.any_error, kept);
        rare.add(known.rare, kept);
        rare_operations.add(known.rare_operation, kept);
        first_begun.add(known.first_of_shape, kept);
        if known.new_shape {
            let decided = outcome.decided_millis[at];
            let earliest = firsts.entry(known.shape).or_insert((u32::MAX, false));
            if decided < earliest.0 {
                *earliest = (decided, kept);
            } else if decided == earliest.0 {
                earliest.1 |= kept;
            }
        }
        let shape = &mut covered[known.shape as usize];
        *shape = (shape.0 || known.whole, shape.1 || kept);
    }
    firsts.values().for_each(|(_, kept)| first.add(true, *kept));
    let mut shapes = Share::default();
    covered.into_iter().for_each(|(seen, kept)| shapes.add(seen, kept));
    figures([
        ("failed_recall_percent", failed.percent()),
        ("failed_recall_without_incident_percent", failed_elsewhere.percent()),
        ("failed_recall_whole_percent", failed_whole.percent()),
        ("slow_recall_percent", slow.percent()),
        ("slow_recall_whole_percent", slow_whole.percent()),
        ("shapes_covered_percent", shapes.percent()),
        ("first_of_new_shape_percent", first.percent()),
        ("first_begun_of_new_shape_percent", first_begun.percent()),
        ("rare_recall_percent", rare_operations.percent()),
        ("rare_shapes_recall_percent", rare.percent()),
        ("any_error_recall_percent", any_error.percent()),
        ("shapes", shapes.of as f64),
        ("new_shapes", first.of as f64),
        ("rare_traces", rare_operations.of as f64),
        ("traces_of_rare_shapes", rare.of as f64),
        ("failed_traces", failed.of as f64),
        ("slow_traces", slow.of as f64),
    ])
}
