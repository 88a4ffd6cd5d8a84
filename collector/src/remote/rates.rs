//! What every operation costs its service's instances, as the sampler measures it and the answers to polls need it.
//!
//! A table is a value: built at once, published by exchanging a pointer, and read without waiting for the next one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::strategy::{MAX_OPERATION_BYTES, MAX_OPERATIONS};

/// Services with rates; of more, those with the fewest spans are left out, and keep everything.
pub const MAX_SERVICES: usize = 4_096;

/// Traces that begin in `service` with `operation`.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationRate {
    pub service: Arc<str>,
    /// The name of the service's span that has no parent: for such a span its SDK asks the strategy.
    pub operation: Arc<str>,
    /// Spans that the service itself makes for them, and the traces. Both as they would be without head sampling: what
    /// arrived, divided by the probability it was sampled with. Otherwise a lowered probability would look like less
    /// traffic, rise again, and swing.
    pub spans_per_second: f64,
    pub traces_per_second: f64,
    /// Of the traces, those in which the root or an entry span failed.
    pub error_share: f64,
    /// What the tail sampler keeps normal traces with.
    pub tail_probability: f64,
    /// Instances of the service that send.
    pub instances: u32,
}

/// The rates of all services at one time; bounded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RateTable {
    services: HashMap<Arc<str>, ServiceRates>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRates {
    /// Those with the most spans, at most [`MAX_OPERATIONS`]; the most first.
    operations: Vec<OperationRate>,
    /// All others as one.
    rest: Option<OperationRate>,
    spans_per_second: f64,
    instances: u32,
}

impl RateTable {
    pub fn new(rates: impl IntoIterator<Item = OperationRate>) -> Self {
        let mut by_service: HashMap<Arc<str>, Vec<OperationRate>> = HashMap::new();
        for rate in rates {
            by_service.entry(Arc::clone(&rate.service)).or_default().push(rate);
        }
        let mut services: Vec<_> =
            by_service.into_iter().map(|(service, rates)| (service, ServiceRates::new(rates))).collect();
        services.sort_by(|(_, one), (_, other)| other.spans_per_second.total_cmp(&one.spans_per_second));
        services.truncate(MAX_SERVICES);
        Self { services: services.into_iter().collect() }
    }

    pub fn service(&self, service: &str) -> Option<&ServiceRates> {
        self.services.get(service)
    }
}

impl ServiceRates {
    fn new(rates: Vec<OperationRate>) -> Self {
        // An SDK asks by name alone: operations that differ in kind have one probability.
        let mut by_name: HashMap<Arc<str>, OperationRate> = HashMap::new();
        for rate in rates {
            let merged = match by_name.remove(&rate.operation) {
                Some(known) => known.and(&rate),
                None => rate,
            };
            by_name.insert(Arc::clone(&merged.operation), merged);
        }
        let mut rates: Vec<OperationRate> = by_name.into_values().collect();
        rates.sort_by(|one, other| other.spans_per_second.total_cmp(&one.spans_per_second));
        let spans_per_second = rates.iter().map(|rate| rate.spans_per_second).sum();
        let instances = rates.iter().map(|rate| rate.instances).max().unwrap_or(1).max(1);
        let mut operations: Vec<OperationRate> = Vec::new();
        let mut rest: Option<OperationRate> = None;
        for rate in rates {
            if operations.len() < MAX_OPERATIONS && rate.operation.len() <= MAX_OPERATION_BYTES {
                operations.push(rate);
            } else {
                rest = Some(rest.map_or_else(|| rate.clone(), |rest| rest.and(&rate)));
            }
        }
        Self { operations, rest, spans_per_second, instances }
    }

    pub fn operations(&self) -> &[OperationRate] {
        &self.operations
    }

    pub fn rest(&self) -> Option<&OperationRate> {
        self.rest.as_ref()
    }

    pub fn spans_per_second_and_instance(&self) -> f64 {
        self.spans_per_second / f64::from(self.instances)
    }
}

impl OperationRate {
    /// Both as if they were one operation, which errors no less and is kept no less than either.
    fn and(self, other: &Self) -> Self {
        let traces_per_second = self.traces_per_second + other.traces_per_second;
        let failed = self.traces_per_second * self.error_share + other.traces_per_second * other.error_share;
        Self {
            spans_per_second: self.spans_per_second + other.spans_per_second,
            traces_per_second,
            error_share: if traces_per_second > 0.0 { failed / traces_per_second } else { 0.0 },
            tail_probability: self.tail_probability.max(other.tail_probability),
            ..self
        }
    }
}

/// The table of the moment: the sampler's loop publishes, polls read.
#[derive(Debug, Default)]
pub struct SharedRates(RwLock<Option<Arc<RateTable>>>);

impl SharedRates {
    pub fn publish(&self, table: RateTable) {
        // The lock is held for the exchange alone; the last table is freed after it.
        let table = Some(Arc::new(table));
        let last = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), table);
        drop(last);
    }

    /// `None` until the first is published: after a start nobody knows what is rare.
    pub fn current(&self) -> Option<Arc<RateTable>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(service: &str, operation: &str, spans_per_second: f64) -> OperationRate {
        OperationRate {
            service: service.into(),
            operation: operation.into(),
            spans_per_second,
            traces_per_second: spans_per_second / 10.0,
            error_share: 0.01,
            tail_probability: 0.05,
            instances: 4,
        }
    }

    #[test]
    fn the_largest_operations_stand_for_themselves_and_the_rest_for_one() {
        let long = "x".repeat(MAX_OPERATION_BYTES + 1);
        let many = (0..300).map(|number| rate("cart", &format!("GET /{number}"), f64::from(number)));
        let table = RateTable::new(many.chain([rate("cart", &long, 1_000.0), rate("other", "GET /", 1.0)]));
        let cart = table.service("cart").unwrap();
        assert_eq!(cart.operations().len(), MAX_OPERATIONS);
        assert_eq!(&*cart.operations()[0].operation, "GET /299");
        assert_eq!(&*cart.operations()[255].operation, "GET /44");
        let rest = cart.rest().unwrap();
        assert_eq!(rest.spans_per_second, 1_000.0 + f64::from((0..44).sum::<u32>()));
        assert!((rest.error_share - 0.01).abs() < 1e-12);
        let all = f64::from((0..300).sum::<u32>()) + 1_000.0;
        assert_eq!(cart.spans_per_second_and_instance(), all / 4.0);
        assert_eq!(table.service("other").unwrap().rest(), None);
        assert_eq!(table.service("unknown"), None);
    }

    #[test]
    fn the_services_are_bounded() {
        let many = (0..MAX_SERVICES + 10).map(|number| rate(&format!("service-{number}"), "GET /", number as f64));
        let table = RateTable::new(many);
        assert_eq!(table.services.len(), MAX_SERVICES);
        assert!(table.service("service-9").is_none() && table.service("service-10").is_some());
    }

    #[test]
    fn who_has_a_table_keeps_it_while_the_next_is_published() {
        let shared = SharedRates::default();
        let before = shared.current();
        shared.publish(RateTable::new([rate("cart", "GET /", 1.0)]));
        assert!(before.is_none() && shared.current().unwrap().service("cart").is_some());
    }

    #[test]
    fn operations_of_one_name_are_one() {
        let table = RateTable::new([rate("cart", "GET /", 1.0), rate("cart", "GET /", 2.0)]);
        let operations = table.service("cart").unwrap().operations();
        assert_eq!((operations.len(), operations[0].spans_per_second), (1, 3.0));
    }
}
