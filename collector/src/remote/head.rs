//! From an operation's rates to the probability that its traces are sampled with at the source; pure.
//!
//! ```text
//! target = clamp( min(1, S_max / spans a second and instance of the service), floor, 1 )
//! floor  = min(1, max( 8 * tail probability, 20 / (600 s * traces a second * max(error share, 1/1000)) ))
//! ```
//!
//! A head sampler throws failures away as well as the rest. The floor leaves what the tail sampler needs: eight times what
//! it keeps, and twenty failures in ten minutes. Where fewer failed than one in a thousand, as many are assumed: else a
//! service without failures would never be thinned. Whoever makes few traces is not thinned all the same.
//!
//! From the target to what is served: a fall takes effect at once, since it protects the service. A rise is at most by half
//! from one poll to the next. Changes of less than a fifth wait: every change makes spans whose probability is unclear, and
//! whose weight is therefore unknown, for as long as some instances have polled and others have not.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::rates::{OperationRate, ServiceRates};
use super::strategy::Strategy;

/// Failures to be seen within the window, and it.
const ERRORS: f64 = 20.0;
const WINDOW_SECONDS: f64 = 600.0;
/// What is assumed of services that fail less.
const LEAST_ERROR_SHARE: f64 = 0.001;
/// How many times more than the tail keeps is left to it.
const TAIL_SHARE: f64 = 8.0;

const MAX_RISE: f64 = 1.5;
const MIN_RISE: f64 = 1.25;
/// A fall of less than this factor is noise.
const MIN_FALL: f64 = 0.8;

#[derive(Debug, Clone, PartialEq)]
pub struct HeadConfig {
    /// `S_max`: spans a second that one instance may make before its traces are thinned.
    pub max_spans_per_second: f64,
    /// How often SDKs poll. Shorter than they do, probabilities rise faster than by half a poll.
    pub poll_interval: Duration,
    /// Whether the floor leaves the tail sampler its choice. Else services are protected even where the tail keeps everything.
    pub follows_budget: bool,
}

impl Default for HeadConfig {
    /// A span costs a Node service 12 to 16 us: so many are about 1 % of a core.
    fn default() -> Self {
        Self { max_spans_per_second: 700.0, poll_interval: Duration::from_secs(60), follows_budget: true }
    }
}

/// What an operation is not thinned below.
pub fn floor(rate: &OperationRate, config: &HeadConfig) -> f64 {
    // The larger of a number and none is the number.
    let errors = WINDOW_SECONDS * rate.traces_per_second * rate.error_share.max(LEAST_ERROR_SHARE);
    let for_errors = if errors > 0.0 { ERRORS / errors } else { 1.0 };
    let for_tail = if config.follows_budget { TAIL_SHARE * rate.tail_probability } else { 0.0 };
    for_tail.max(for_errors).min(1.0)
}

/// What an operation's probability should be.
pub fn target(spans_per_second_and_instance: f64, floor: f64, config: &HeadConfig) -> f64 {
    let affordable = config.max_spans_per_second / spans_per_second_and_instance;
    if affordable.is_nan() || floor.is_nan() { 1.0 } else { affordable.min(1.0).max(floor).min(1.0) }
}

/// What is served of a target, where the last answer had `last` and some instance may have had `lowest` since it polled.
pub fn step(target: f64, last: f64, lowest: f64) -> f64 {
    let allowed = target.min(lowest * MAX_RISE);
    if allowed < last {
        return if allowed >= last * MIN_FALL { last } else { allowed };
    }
    if allowed < last * MIN_RISE && allowed < 1.0 { last } else { allowed }
}

/// The next answer to a service's instances. `held` are the strategies that some of them may have, the last served last.
pub fn strategy(rates: Option<&ServiceRates>, held: &[Arc<Strategy>], config: &HeadConfig) -> Strategy {
    let target_of =
        |service: &ServiceRates, rate| target(service.spans_per_second_and_instance(), floor(rate, config), config);
    // Operations that nobody has met are rare ones: they are kept.
    let default_target = rates.and_then(|service| service.rest().map(|rest| target_of(service, rest))).unwrap_or(1.0);
    let Some(last) = held.last() else {
        let known = rates.into_iter().flat_map(|service| {
            let own = service.operations().iter();
            own.map(move |rate| (Arc::clone(&rate.operation), target_of(service, rate)))
        });
        return Strategy::new(default_target, known);
    };
    let stepped = |target, of: &dyn Fn(&Strategy) -> f64| {
        let lowest = held.iter().map(|strategy| of(strategy)).fold(f64::INFINITY, f64::min);
        step(target, of(last), lowest)
    };
    let own_step = |name: &Arc<str>, target| {
        (Arc::clone(name), stepped(target, &|strategy: &Strategy| strategy.probability(name)))
    };
    let known = rates
        .into_iter()
        .flat_map(|service| service.operations().iter().map(move |rate| (&rate.operation, target_of(service, rate))));
    let known: Vec<_> = known.map(|(name, target)| own_step(name, target)).collect();
    // Those that are gone from the rates rise step by step, too.
    let met: HashSet<_> = known.iter().map(|(name, _)| Arc::clone(name)).collect();
    let gone = last.operations().iter().filter(|(name, _)| !met.contains(name));
    let gone: Vec<_> = gone.map(|(name, _)| own_step(name, default_target)).collect();
    let default_probability = stepped(default_target, &Strategy::default_probability);
    Strategy::new(default_probability, known.into_iter().chain(gone))
}

#[cfg(test)]
mod tests {
    use super::super::rates::RateTable;
    use super::*;

    fn config() -> HeadConfig {
        HeadConfig { max_spans_per_second: 2_000.0, ..HeadConfig::default() }
    }

    /// 1,000 traces a second of ten spans in each of four instances; one in a hundred fails.
    fn busy() -> OperationRate {
        OperationRate {
            service: "cart".into(),
            operation: "GET /cart".into(),
            spans_per_second: 40_000.0,
            traces_per_second: 4_000.0,
            error_share: 0.01,
            tail_probability: 0.005,
            instances: 4,
        }
    }

    fn of(rates: &[OperationRate], held: &[Strategy]) -> Strategy {
        let table = RateTable::new(rates.iter().cloned());
        let held: Vec<_> = held.iter().cloned().map(Arc::new).collect();
        strategy(table.service("cart"), &held, &config())
    }

    #[track_caller]
    fn check(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{actual} instead of {expected}");
    }

    #[test]
    fn an_operation_is_thinned_once_its_instances_make_too_many_spans() {
        for (spans_per_second, expected) in [(100.0, 1.0), (8_000.0, 1.0), (16_000.0, 0.5), (40_000.0, 0.2)] {
            let strategy = of(&[OperationRate { spans_per_second, ..busy() }], &[]);
            check(strategy.probability("GET /cart"), expected);
            check(strategy.default_probability(), 1.0);
        }
    }

    #[test]
    fn the_rate_is_that_of_the_whole_instance() {
        let half = OperationRate { spans_per_second: 20_000.0, ..busy() };
        let other = OperationRate { operation: "GET /other".into(), ..half.clone() };
        let strategy = of(&[half, other], &[]);
        check(strategy.probability("GET /cart"), 0.2);
        check(strategy.probability("GET /other"), 0.2);
    }

    #[test]
    fn the_floor_leaves_the_tail_what_it_needs() {
        // Eight times what the tail keeps; 20 failures in ten minutes; of one in a thousand at least.
        for (tail_probability, error_share, expected) in [
            (0.05, 0.01, 0.4),
            (0.5, 0.01, 1.0),
            (0.0, 0.01, 20.0 / 24_000.0),
            (0.0, 0.000_05, 20.0 / 2_400.0),
            (0.0, 0.0, 20.0 / 2_400.0),
            (0.0, f64::NAN, 20.0 / 2_400.0),
        ] {
            check(floor(&OperationRate { tail_probability, error_share, ..busy() }, &config()), expected);
        }
        let seldom = OperationRate { tail_probability: 0.0, error_share: 0.0, traces_per_second: 20.0, ..busy() };
        check(floor(&seldom, &config()), 1.0);
        check(floor(&OperationRate { traces_per_second: 0.0, ..seldom }, &config()), 1.0);
        let always = HeadConfig { follows_budget: false, ..config() };
        check(floor(&OperationRate { tail_probability: 1.0, ..busy() }, &always), 20.0 / 24_000.0);
        let strategy = of(&[OperationRate { tail_probability: 0.05, ..busy() }], &[]);
        check(strategy.probability("GET /cart"), 0.4);
    }

    #[test]
    fn rates_that_are_none_keep_everything() {
        for spans in [0.0, f64::NAN, -1.0] {
            let target = target(spans, 0.1, &config());
            assert!((0.1..=1.0).contains(&target), "{spans}: {target}");
        }
        check(target(0.0, 0.1, &config()), 1.0);
        check(target(f64::INFINITY, 0.1, &config()), 0.1);
    }

    #[test]
    fn falls_are_at_once_and_rises_by_half_a_poll() {
        check(step(0.01, 1.0, 1.0), 0.01);
        check(step(1.0, 0.1, 0.1), 0.15);
        // Some instance still has what was served before the last rise.
        check(step(1.0, 0.15, 0.1), 0.15);
        check(step(1.0, 0.8, 0.8), 1.0);
        // A fall between two polls of an instance bounds its rise, too.
        check(step(1.0, 0.2, 0.1), 0.15);
    }

    #[test]
    fn small_changes_are_not_worth_one() {
        check(step(0.41, 0.5, 0.5), 0.5);
        check(step(0.39, 0.5, 0.5), 0.39);
        check(step(0.62, 0.5, 0.5), 0.5);
        check(step(0.63, 0.5, 0.5), 0.63);
        check(step(1.0, 0.97, 0.97), 1.0);
    }

    #[test]
    fn polls_lead_back_to_everything_once_the_load_is_gone() {
        let mut held = vec![of(&[busy()], &[])];
        let mut served = vec![held[0].probability("GET /cart")];
        for _ in 0..5 {
            held = vec![of(&[], &held)];
            served.push(held[0].probability("GET /cart"));
        }
        for (actual, expected) in served.iter().zip([0.2, 0.3, 0.45, 0.675, 1.0, 1.0]) {
            check(*actual, expected);
        }
        assert!(held[0].keeps_all());
    }

    #[test]
    fn operations_beyond_the_bound_share_a_probability() {
        let many = (0..1_000).map(|number| OperationRate {
            operation: format!("GET /{number}").into(),
            spans_per_second: 40.0,
            traces_per_second: 4.0,
            ..busy()
        });
        let strategy = of(&many.collect::<Vec<_>>(), &[]);
        // Each alone has few failures and keeps everything; together they are worth thinning.
        assert_eq!(strategy.operations().len(), 256);
        check(strategy.operations()[0].1, 20.0 / 24.0);
        check(strategy.default_probability(), 0.2);
    }

    #[test]
    fn an_operation_that_comes_new_steps_from_the_default() {
        let held = Strategy::new(0.2, []);
        let strategy = of(&[OperationRate { spans_per_second: 1.0, ..busy() }], &[held]);
        check(strategy.probability("GET /cart"), 0.3);
        check(strategy.default_probability(), 0.3);
    }
}
