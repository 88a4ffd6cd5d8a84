//! Which pending traces a tick decides, and how long a time they came in.

use std::sync::Arc;

use storage::model::{TraceId, UnixNanos};
use storage::{PendingTrace, Remembered, Store};

/// A trace to decide.
#[derive(Debug)]
pub struct Due {
    pub trace_id: TraceId,
    pub first_arrival: UnixNanos,
    pub late: Option<Arc<Remembered>>,
}

/// The traces that `choose` takes, in the order of their arrival, so that those that came together are decided together.
pub fn due(store: &Store, mut choose: impl FnMut(bool, &TraceId, &PendingTrace) -> bool) -> Vec<Due> {
    let mut due = Vec::new();
    store.pending(|decided, trace_id, trace| {
        if choose(decided.is_some(), trace_id, trace) {
            due.push(Due { trace_id: *trace_id, first_arrival: trace.first_arrival, late: decided.cloned() });
        }
    });
    due.sort_unstable_by_key(|due| (due.first_arrival, due.trace_id));
    due
}

/// How long a time fresh traces came in: twice their mean age, as if evenly, but not before the first. So a single old one does
/// not bring the budget of all the time it waited.
pub fn time_of(due: &[Due], now: UnixNanos) -> u64 {
    let age = |due: &Due| u64::try_from(now.since(due.first_arrival)).unwrap_or_default();
    let ages = due.iter().filter(|due| due.late.is_none()).map(age);
    let (count, sum, oldest) = ages.fold((0_u128, 0_u128, 0), |(count, sum, oldest), age| {
        (count + 1, sum + u128::from(age), u64::max(oldest, age))
    });
    let even = (2 * sum).checked_div(count).map_or(0, |even| u64::try_from(even).unwrap_or(u64::MAX));
    even.min(oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_came_in_the_time_that_most_of_them_took() {
        let check = |ages_millis: &[i64], expected_millis: u64| {
            let due: Vec<Due> = ages_millis
                .iter()
                .map(|age| Due {
                    trace_id: TraceId::from_bytes([1; 16]).unwrap(),
                    first_arrival: UnixNanos(1_000_000_000_000 - age * 1_000_000),
                    late: None,
                })
                .collect();
            assert_eq!(time_of(&due, UnixNanos(1_000_000_000_000)), expected_millis * 1_000_000, "{ages_millis:?}");
        };
        check(&[], 0);
        check(&[300], 300);
        check(&[300, 300], 300);
        check(&(0..=2_000).collect::<Vec<_>>(), 2_000);
        check(&[&[29_000][..], &[1_000; 279]].concat(), 2_200);
        check(&[-5, 100], 100);
    }
}
