//! What becomes of spans that come after their trace was decided.

use sampling::{Class, Facts, KeepReason};
use storage::model::TraceId;
use storage::{Decision, Remembered};

use super::Late;
use super::deciding::SHED;

/// Late spans follow the decision of their trace. Where they show that a dropped trace failed or that its root is slow, they are
/// stored all the same, with weight 0: the kept traces of its kind stand for it already, and any other weight would bias sums.
pub fn late(trace_id: TraceId, first: &Remembered, facts: &Facts, is_slow: bool) -> (Decision, Late) {
    let rescue = !first.keep
        && *first.keep_reason != *KeepReason::OptedOut.word()
        // Under overload most roots come late to traces that were shed, and storing them would undo it.
        && *first.keep_reason != *SHED
        && (is_slow || facts.class_by_itself(false) == Class::Error);
    let decision = Decision {
        trace_id,
        keep: first.keep || rescue,
        adjusted_count: if rescue { Some(0.0) } else { first.adjusted_count },
        head_count: first.head_count,
        keep_reason: if rescue { KeepReason::Rescued.word().into() } else { first.keep_reason.to_string().into() },
        class: first.class.to_string().into(),
        shape: facts.shape,
        policy_revision: first.policy_revision,
    };
    let late = match (first.keep, rescue) {
        (true, _) => Late::Kept,
        (false, true) => Late::Rescued,
        (false, false) => Late::Dropped,
    };
    (decision, late)
}
