//! Which warnings a client hears: SDKs log each one, so of a service and cause one a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use storage::model::UnixNanos;

use crate::otlp::{Cause, Warning, Warnings};

const PAUSE_NANOS: i64 = 60_000_000_000;

/// Services that send oddities at the same time; of more, some hear nothing.
const MAX_TOLD: usize = 1_024;

/// Longer service names share their entry with their prefix.
const MAX_NAME_BYTES: usize = 128;

#[derive(Debug, Default)]
pub struct Told(Mutex<HashMap<(Cause, String), UnixNanos>>);

impl Told {
    /// The warnings that are due, as text; empty if none is.
    pub fn due(&self, warnings: &Warnings, now: UnixNanos) -> String {
        if warnings.is_empty() {
            return String::new();
        }
        let due: Vec<String> = warnings
            .iter()
            .filter(|warning| warning.cause.is_told())
            .filter(|warning| self.is_due(warning, now))
            .map(|warning| {
                let Warning { cause, count, first_service } = warning;
                format!("{} ({count} times, service {:?})", cause.message(), name(first_service))
            })
            .collect();
        due.join("; ")
    }

    fn is_due(&self, warning: &Warning, now: UnixNanos) -> bool {
        // The map is whole between any two of its calls, even if a thread panicked there.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (warning.cause, name(&warning.first_service).to_owned());
        if told.get(&key).is_some_and(|last| now.since(*last) < PAUSE_NANOS) {
            return false;
        }
        if told.len() >= MAX_TOLD {
            told.retain(|_, last| now.since(*last) < PAUSE_NANOS);
        }
        if told.len() >= MAX_TOLD {
            return false;
        }
        told.insert(key, now);
        true
    }
}

fn name(service: &str) -> &str {
    service.get(..service.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_607_a_warning_is_told_once_a_minute_per_service_and_cause() {
        let told = Told::default();
        let warning = |service: &str| {
            let mut warnings = Warnings::default();
            warnings.add(Cause::NotUtf8, 2, service);
            warnings.add(Cause::EndBeforeStart, 2, service);
            warnings
        };
        let first = told.due(&warning("a"), UnixNanos(0));
        assert_eq!(first, "text that is no UTF-8 was stored with U+FFFD (2 times, service \"a\")");
        assert_eq!(told.due(&warning("a"), UnixNanos(PAUSE_NANOS - 1)), "");
        assert_ne!(told.due(&warning("b"), UnixNanos(PAUSE_NANOS - 1)), "");
        assert_ne!(told.due(&warning("a"), UnixNanos(PAUSE_NANOS)), "");
    }

    #[test]
    fn the_memory_of_what_was_told_is_bounded() {
        let told = Told::default();
        for service in 0..2 * MAX_TOLD {
            let mut warnings = Warnings::default();
            warnings.add(Cause::TooLong, 1, &service.to_string());
            let _ = told.due(&warnings, UnixNanos(0));
        }
        assert!(told.0.lock().is_ok_and(|told| told.len() == MAX_TOLD));
    }
}
