//! Instances of a service poll at their own times while its rates change, and each samples as it was told last. Whatever
//! happens, the ledger never says a probability that an instance did not have, and no instance sees one rise too fast.

use proptest::prelude::*;
use storage::model::UnixNanos;

use crate::remote::{Head, HeadConfig, Ledger, OperationRate, RateTable, head};

const OPERATIONS: [&str; 2] = ["GET /cart", "POST /cart"];
const POLL_SECONDS: i64 = 60;
const SECONDS: i64 = 1_200;

fn at(seconds: i64) -> UnixNanos {
    UnixNanos((1_800_000_000 + seconds) * 1_000_000_000)
}

/// Spans that an instance makes a second, and the share of traces that fail, from a second on.
fn changes() -> impl Strategy<Value = Vec<(i64, f64, f64)>> {
    let change = (0..SECONDS, prop_oneof![Just(100.0), 100.0..100_000.0], prop_oneof![Just(0.0), 0.0..0.5]);
    prop::collection::vec(change, 1..6)
}

fn table(changes: &[(i64, f64, f64)], second: i64) -> RateTable {
    let last = changes.iter().filter(|(from, _, _)| *from <= second).max_by_key(|(from, _, _)| *from);
    let Some((_, spans_per_second, error_share)) = last else { return RateTable::default() };
    RateTable::new([OperationRate {
        service: "cart".into(),
        operation: OPERATIONS[0].into(),
        spans_per_second: *spans_per_second,
        traces_per_second: spans_per_second / 10.0,
        error_share: *error_share,
        tail_probability: 0.001,
        instances: 1,
    }])
}

proptest! {
    #[test]
    fn the_ledger_knows_what_each_instance_had(
        changes in changes(),
        phases in prop::collection::vec(0..POLL_SECONDS, 1..5),
    ) {
        let mut ledger = Ledger::default();
        // What each instance had, from a second on.
        let mut had: Vec<Vec<(i64, [f64; 2])>> = vec![Vec::new(); phases.len()];
        for second in 0..SECONDS {
            for (phase, had) in phases.iter().zip(&mut had) {
                if second % POLL_SECONDS != *phase {
                    continue;
                }
                let held = ledger.held("cart", at(second));
                let wanted = head::strategy(table(&changes, second).service("cart"), &held, &HeadConfig { max_spans_per_second: 2_000.0, ..HeadConfig::default() });
                let served = ledger.serve("cart", wanted, at(second)).strategy;
                let told = OPERATIONS.map(|operation| served.probability(operation));
                if let Some((_, before)) = had.last() {
                    for (now, before) in told.iter().zip(before) {
                        prop_assert!(*now <= before * 1.5 + 1e-9, "{before} rose to {now}");
                    }
                }
                had.push((second, told));
            }
        }
        let mut known = 0;
        for had in &had {
            for second in 0..SECONDS {
                let now = had.iter().rfind(|(from, _)| *from <= second).map_or([1.0; 2], |(_, told)| *told);
                for (operation, own) in OPERATIONS.iter().zip(now) {
                    match ledger.head("cart", operation, at(second)) {
                        Head::Known(said) => {
                            prop_assert_eq!(said, own);
                            known += 1;
                        }
                        Head::Between { lowest, highest } => prop_assert!(lowest <= own && own <= highest),
                        Head::Unserved => prop_assert_eq!(1.0, own, "at {} s", second),
                        other => prop_assert!(false, "{other:?} at {second} s"),
                    }
                }
            }
        }
        prop_assert!(known > 0);
    }
}
