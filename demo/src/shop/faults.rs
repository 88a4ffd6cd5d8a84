//! What goes wrong in the shop, and when: a pure function of time and seed.
//!
//! Faults follow each other in a cycle of twelve minutes, with healthy half minutes between them to compare with. So a
//! history of fifteen minutes holds each of them, and whenever a shop starts, one is there within a minute.

use super::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Version 2.4.1 of pricing rolls out pod by pod; its new statement cannot use the index.
    SlowPricing,
    /// The payment gateway answers 503 or not at all.
    PaymentErrors,
    /// A lock in inventory's database makes checkout time out and try again, which makes the lock worse.
    RetryStorm,
    /// Version 3.12.0 of catalog reads the images of a list product by product.
    NPlusOne,
}

/// When one fault is there. Ends are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub fault: Fault,
    pub start_unix_nanos: u64,
    pub end_unix_nanos: u64,
}

const SECOND: u64 = 1_000_000_000;
const CYCLE: u64 = 720 * SECOND;

impl Fault {
    pub const ALL: [Self; 4] = [Self::SlowPricing, Self::PaymentErrors, Self::RetryStorm, Self::NPlusOne];

    /// Start and end inside the cycle.
    const fn window_in_cycle(self) -> (u64, u64) {
        match self {
            Self::SlowPricing => (0, 240 * SECOND),
            Self::PaymentErrors => (210 * SECOND, 330 * SECOND),
            Self::RetryStorm => (360 * SECOND, 480 * SECOND),
            Self::NPlusOne => (510 * SECOND, 690 * SECOND),
        }
    }

    /// One word, for log fields.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlowPricing => "slow_pricing",
            Self::PaymentErrors => "payment_errors",
            Self::RetryStorm => "retry_storm",
            Self::NPlusOne => "n_plus_one",
        }
    }

    /// For the log of the demo.
    pub const fn description(self) -> &'static str {
        match self {
            Self::SlowPricing => {
                "pricing 2.4.1 is rolling out: lower(sku) in its statement cannot use the index, so carts price slowly \
                 on the new pods"
            }
            Self::PaymentErrors => "the payment gateway fails: about a third of all charges end in an error",
            Self::RetryStorm => {
                "stock rows are locked: checkout times out on inventory, tries again up to four times and so keeps \
                 the lock busy"
            }
            Self::NPlusOne => {
                "catalog 3.12.0 reads product images one by one: a list of products is dozens of statements"
            }
        }
    }

    /// A query that finds it.
    pub const fn query(self) -> &'static str {
        match self {
            Self::SlowPricing => {
                "SELECT resource['service.version'] AS version, attributes['db.query.text'] AS statement, count(*) AS \
                 spans, max(duration_ns) / 1e6 AS slowest_ms FROM spans WHERE service_name = 'pricing' AND \
                 attributes['db.system.name'] = 'postgresql' GROUP BY 1, 2 ORDER BY slowest_ms DESC"
            }
            Self::PaymentErrors => {
                "SELECT date_trunc('minute', start_time) AS minute, attributes['error.type'] AS error, count(*) AS \
                 spans FROM spans WHERE service_name = 'payment' AND kind = 'client' AND status_code = 'error' GROUP \
                 BY 1, 2 ORDER BY 1"
            }
            Self::RetryStorm => {
                "SELECT attributes['http.request.resend_count'] AS resends, count(*) AS spans FROM spans WHERE \
                 service_name = 'checkout' AND attributes['http.request.resend_count'] IS NOT NULL GROUP BY 1 ORDER BY 1"
            }
            Self::NPlusOne => {
                "SELECT trace_id, count(*) AS statements FROM spans WHERE service_name = 'catalog' AND span_name = \
                 'SELECT product_images' GROUP BY trace_id ORDER BY statements DESC LIMIT 10"
            }
        }
    }
}

#[derive(Debug, Clone)]
pub struct Schedule {
    phase_nanos: u64,
}

impl Schedule {
    pub const fn new(seed: u64) -> Self {
        Self { phase_nanos: Rng::new(seed, 0xfa_17).below(CYCLE) }
    }

    const fn in_cycle(&self, at_unix_nanos: u64) -> u64 {
        (at_unix_nanos % CYCLE + self.phase_nanos) % CYCLE
    }

    pub const fn is_active(&self, fault: Fault, at_unix_nanos: u64) -> bool {
        let (start, end) = fault.window_in_cycle();
        let now = self.in_cycle(at_unix_nanos);
        start <= now && now < end
    }

    pub fn active(&self, at_unix_nanos: u64) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.is_active(*fault, at_unix_nanos))
    }

    /// How far into its window a fault is, from 0 to 1.
    pub fn progress(&self, fault: Fault, at_unix_nanos: u64) -> Option<f64> {
        let (start, end) = fault.window_in_cycle();
        let now = self.in_cycle(at_unix_nanos);
        (start <= now && now < end).then(|| (now - start) as f64 / (end - start) as f64)
    }

    /// The windows that touch a stretch of time, in order of their start.
    pub fn windows(&self, from_unix_nanos: u64, to_unix_nanos: u64) -> Vec<Window> {
        let mut windows = Vec::new();
        let mut cycle_start = from_unix_nanos as i128 - i128::from(self.in_cycle(from_unix_nanos)) - i128::from(CYCLE);
        while cycle_start < i128::from(to_unix_nanos) {
            for fault in Fault::ALL {
                let (start, end) = fault.window_in_cycle();
                let (start, end) = (cycle_start + i128::from(start), cycle_start + i128::from(end));
                if let (Ok(start_unix_nanos), Ok(end_unix_nanos)) = (u64::try_from(start.max(0)), u64::try_from(end))
                    && end_unix_nanos > from_unix_nanos
                    && start_unix_nanos < to_unix_nanos
                {
                    windows.push(Window { fault, start_unix_nanos, end_unix_nanos });
                }
            }
            cycle_start += i128::from(CYCLE);
        }
        windows.sort_by_key(|window| window.start_unix_nanos);
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_767_614_400 * SECOND;

    #[test]
    fn some_fault_is_there_within_any_minute() {
        for seed in 0..20 {
            let schedule = Schedule::new(seed);
            for start in (0..CYCLE / SECOND).map(|second| NOON + second * SECOND) {
                let windows = schedule.windows(start, start + 60 * SECOND);
                assert!(!windows.is_empty(), "seed {seed}, second {}", (start - NOON) / SECOND);
            }
        }
    }

    #[test]
    fn windows_say_the_same_as_is_active() {
        let schedule = Schedule::new(3);
        let windows = schedule.windows(NOON, NOON + 2 * CYCLE);
        for at in (NOON..NOON + 2 * CYCLE).step_by(SECOND as usize) {
            for fault in Fault::ALL {
                let inside = windows
                    .iter()
                    .any(|window| window.fault == fault && window.start_unix_nanos <= at && at < window.end_unix_nanos);
                assert_eq!(schedule.is_active(fault, at), inside, "{fault:?} at {at}");
                assert_eq!(schedule.progress(fault, at).is_some(), inside);
            }
        }
    }

    #[test]
    fn there_are_healthy_moments() {
        let schedule = Schedule::new(3);
        let healthy = (0..CYCLE / SECOND).filter(|second| schedule.active(NOON + second * SECOND).count() == 0).count();
        assert!(healthy >= 60, "{healthy} s of {}", CYCLE / SECOND);
    }
}
