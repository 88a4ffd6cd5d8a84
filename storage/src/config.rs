//! The room's settings.

mod compaction;
mod promotion;
mod retention;

use std::time::Duration;

use crate::wal::WalConfig;
use crate::{Error, Result};

pub use compaction::CompactSettings;
pub use promotion::PromotionSettings;
pub use retention::{RetentionRule, RetentionSettings};

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
    /// A flush epoch with so many rows of metrics and new paths is sealed, too.
    pub metric_rows: usize,
    /// Call paths that `paths` may have; further ones get no row.
    pub known_paths: usize,
    /// How long a request is remembered, so that a repeated one is stored once.
    pub repeat_window: Duration,
    /// How many requests are remembered at most.
    pub repeat_requests: usize,
    pub compaction: CompactSettings,
    pub promotion: PromotionSettings,
    /// What is in force at the start; see [`Store::set_retention`](crate::Store::set_retention).
    pub retention: RetentionSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wal: WalConfig::default(),
            flush_bytes: 24 << 20,
            flush_age: Duration::from_secs(15),
            memory_bytes: 128 << 20,
            decided_traces: 1_000_000,
            metric_rows: 100_000,
            known_paths: 200_000,
            repeat_window: Duration::from_secs(600),
            repeat_requests: 200_000,
            compaction: CompactSettings::default(),
            promotion: PromotionSettings::default(),
            retention: RetentionSettings::default(),
        }
    }
}

impl Config {
    /// One flush may hold all spans in memory, and numbers their texts with 32 bits.
    pub const MAX_MEMORY_BYTES: usize = 1_536 << 20;

    /// Settings are named as in the configuration file, where they are there.
    pub fn validate(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::Config(message));
        self.wal.validate()?;
        self.compaction.validate()?;
        self.promotion.validate()?;
        self.retention.validate()?;
        for (name, value) in [
            ("flush.max_bytes", self.flush_bytes),
            ("memory.decided_traces", self.decided_traces),
            ("memory.metric_rows", self.metric_rows),
            ("memory.known_paths", self.known_paths),
            ("repeat_requests", self.repeat_requests),
        ] {
            if value == 0 {
                return refuse(format!("{name} is 0, but must be at least 1"));
            }
        }
        for (name, time) in [("flush.max_age", self.flush_age), ("repeat_window", self.repeat_window)] {
            if time.is_zero() {
                return refuse(format!("{name} is 0, but must be longer"));
            }
        }
        if self.memory_bytes > Self::MAX_MEMORY_BYTES {
            return refuse(format!(
                "memory.spans_bytes is {}, but must be at most {}: a segment's texts are counted with 32 bits",
                self.memory_bytes,
                Self::MAX_MEMORY_BYTES
            ));
        }
        if self.memory_bytes < self.flush_bytes {
            return refuse(format!(
                "memory.spans_bytes ({}) must be at least flush.max_bytes ({})",
                self.memory_bytes, self.flush_bytes
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(config: Config, parts: &[&str]) {
        let Err(Error::Config(message)) = config.validate() else { panic!("{config:?} is taken") };
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }

    #[test]
    fn defaults_and_limits_themselves_are_valid() {
        Config::default().validate().unwrap();
        let most = Config::MAX_MEMORY_BYTES;
        Config { memory_bytes: most, flush_bytes: most, ..Config::default() }.validate().unwrap();
        let least =
            WalConfig { file_bytes: 1 << 16, queue_bytes: 1, group_bytes: 1, spare_files: 0, ..WalConfig::default() };
        let shortest = std::time::Duration::from_nanos(1);
        Config {
            wal: least,
            memory_bytes: 1,
            flush_bytes: 1,
            flush_age: shortest,
            decided_traces: 1,
            metric_rows: 1,
            known_paths: 1,
            repeat_window: shortest,
            repeat_requests: 1,
            compaction: CompactSettings {
                merge_segments: 2,
                max_segment_bytes: 1 << 20,
                keep_replaced: shortest,
                ..CompactSettings::default()
            },
            promotion: PromotionSettings { columns: 0, share: f64::MIN_POSITIVE },
            retention: RetentionSettings { max_age: Some(shortest), max_bytes: Some(1), rules: Vec::new() },
        }
        .validate()
        .unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let config = Config::default;
        let wal = WalConfig::default;
        let of_wal = |wal| Config { wal, ..config() };
        refused(of_wal(WalConfig { file_bytes: (1 << 16) - 1, ..wal() }), &["wal.file_bytes", "65535", "65536"]);
        refused(of_wal(WalConfig { queue_bytes: 0, ..wal() }), &["wal.queue_bytes"]);
        refused(of_wal(WalConfig { group_bytes: 0, ..wal() }), &["wal.group_bytes"]);
        let of_compaction = |compaction| Config { compaction, ..config() };
        let compaction = CompactSettings::default;
        for count in [0, 1, 129] {
            let settings = CompactSettings { merge_segments: count, ..compaction() };
            refused(of_compaction(settings), &["compaction.merge_segments", &count.to_string(), "2 to 128"]);
        }
        let small = CompactSettings { max_segment_bytes: (1 << 20) - 1, ..compaction() };
        refused(of_compaction(small), &["compaction.max_segment_bytes", "1048576"]);
        let at_once = CompactSettings { keep_replaced: Duration::ZERO, ..compaction() };
        refused(of_compaction(at_once), &["compaction.keep_replaced is 0"]);
        let of_promotion = |columns, share| Config { promotion: PromotionSettings { columns, share }, ..config() };
        of_promotion(1_000, 1.0).validate().unwrap();
        refused(of_promotion(1_001, 1.0), &["promotion.columns is 1001", "at most 1000"]);
        for share in [0.0, -0.5, 1.01, f64::NAN] {
            refused(of_promotion(1, share), &["promotion.share is", "above 0 and at most 1"]);
        }
        let of_retention = |max_age, max_bytes| Config {
            retention: RetentionSettings { max_age, max_bytes, rules: Vec::new() },
            ..config()
        };
        refused(of_retention(Some(Duration::ZERO), None), &["retention.max_age is 0"]);
        refused(of_retention(None, Some(0)), &["retention.max_bytes is 0"]);
        refused(Config { flush_bytes: 0, ..config() }, &["flush.max_bytes is 0"]);
        refused(Config { flush_age: Duration::ZERO, ..config() }, &["flush.max_age"]);
        refused(Config { decided_traces: 0, ..config() }, &["memory.decided_traces"]);
        refused(Config { metric_rows: 0, ..config() }, &["memory.metric_rows is 0"]);
        refused(Config { known_paths: 0, ..config() }, &["memory.known_paths is 0"]);
        refused(Config { repeat_window: Duration::ZERO, ..config() }, &["repeat_window"]);
        refused(Config { repeat_requests: 0, ..config() }, &["repeat_requests"]);
        let above = Config::MAX_MEMORY_BYTES + 1;
        refused(Config { memory_bytes: above, ..config() }, &["memory.spans_bytes", &above.to_string(), "32 bits"]);
        refused(Config { memory_bytes: 9, flush_bytes: 10, ..config() }, &["spans_bytes (9)", "flush.max_bytes (10)"]);
    }
}
