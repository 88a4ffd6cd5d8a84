//! The time of day, handed in so that tests can set it.

use std::time::SystemTime;

use crate::model::UnixNanos;

pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> UnixNanos;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixNanos {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
        SystemTime::now().into()
    }
}
