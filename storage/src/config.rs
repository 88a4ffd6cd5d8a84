//! The room's settings.

use std::time::Duration;

use crate::wal::WalConfig;

#[derive(Debug, Clone)]
pub struct Config {
    pub wal: WalConfig,
    /// A flush epoch is sealed at this size ...
    pub flush_bytes: usize,
    /// ... or at this age.
    pub flush_age: Duration,
    /// Spans in memory, pending or decided; beyond, requests are refused until a flush has made room.
    pub memory_bytes: usize,
    /// Decided traces remembered for their late spans.
    pub decided_traces: usize,
    /// How long a request is remembered, so that a repeated one is stored once.
    pub repeat_window: Duration,
    /// How many requests are remembered at most.
    pub repeat_requests: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wal: WalConfig::default(),
            flush_bytes: 24 << 20,
            flush_age: Duration::from_secs(15),
            memory_bytes: 128 << 20,
            decided_traces: 1_000_000,
            repeat_window: Duration::from_secs(600),
            repeat_requests: 200_000,
        }
    }
}
