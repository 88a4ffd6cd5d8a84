//! Settings: defaults, then a TOML file, then `SPANHOUSE_...` variables, then flags. Unknown keys are errors.
//!
//! A key `[wal] durability` is the variable `SPANHOUSE_WAL_DURABILITY`.

mod layers;
mod rules;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use collector::remote::{HeadConfig, LedgerConfig};
use serde::{Deserialize, Serialize};

use crate::cli::{Address, ServerArgs};

/// The whole of it. Every key has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub wal: Wal,
    pub flush: Flush,
    pub assembly: Assembly,
    pub memory: Memory,
    /// What is kept, and why.
    pub sampling: sampling::Policy,
    pub head_sampling: HeadSampling,
    pub limits: collector::Limits,
    pub query: Query,
    pub compaction: Compaction,
    pub promotion: Promotion,
    pub retention: Retention,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Data directory.
    pub data: PathBuf,
    #[serde(with = "layers::address")]
    pub otlp_grpc: Address,
    #[serde(with = "layers::address")]
    pub otlp_http: Address,
    #[serde(with = "layers::address")]
    pub http: Address,
    #[serde(with = "layers::address")]
    pub postgres: Address,
    #[serde(with = "layers::address")]
    pub sampling_http: Address,
    #[serde(with = "layers::address")]
    pub sampling_grpc: Address,
    /// Listen beyond loopback, without authentication.
    pub allow_remote: bool,
    /// Further names under which this server is reached.
    pub host_names: Vec<String>,
    /// Origins of web pages that may send spans over HTTP.
    pub cors_origins: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wal {
    /// `fsync`: an answer means that the device has the spans. `os`: that the operating system has them.
    pub durability: Durability,
    /// Size of one log file.
    pub file_bytes: u64,
    /// Requests that may wait for the disk.
    pub queue_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    Fsync,
    Os,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flush {
    /// Decided spans become a segment at this age ...
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// ... or at this size in memory.
    pub max_bytes: usize,
}

/// When small segments become large ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compaction {
    /// Without it segments are merged on demand alone.
    pub enabled: bool,
    /// How many small segments make a larger one.
    pub merge_segments: usize,
    /// A merge makes none that is larger.
    pub max_segment_bytes: u64,
    /// How long files stay that a merge has replaced, or that expired.
    #[serde(with = "humantime_serde")]
    pub keep_replaced: Duration,
}

/// Which attributes get a column of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Promotion {
    /// At most so many; with 0 none is added.
    pub columns: usize,
    /// The share of the last hour's spans that must have the key.
    pub share: f64,
}

/// What is stored for how long. Without a limit everything is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Of the live segments of all tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The first one that matches a span says for how long it is stored. No variable sets them.
    #[serde(deserialize_with = "rules::read", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<rules::Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Assembly {
    /// How long a trace waits for more spans once its root is there: `adaptive`, or a time for all.
    #[serde(with = "layers::root_grace")]
    pub root_grace: Option<Duration>,
    /// Between these it is adapted to how long an operation's spans have needed.
    #[serde(with = "humantime_serde")]
    pub root_grace_min: Duration,
    #[serde(with = "humantime_serde")]
    pub root_grace_max: Duration,
    /// How long a trace waits at most.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// A trace with this many spans waits no longer.
    pub max_spans: usize,
    /// How long late spans of a decided trace wait for each other.
    #[serde(with = "humantime_serde")]
    pub late_grace: Duration,
    /// Spans that are decided at once; requests behind them wait meanwhile.
    pub spans_per_record: usize,
}

/// What SDKs are told that ask how much to sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadSampling {
    pub when: HeadSamplingWhen,
    /// Spans that one instance of a service may make a second before its traces are thinned.
    pub max_spans_per_second: f64,
    /// How often SDKs poll.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// How far apart the clocks of clients and this machine may be.
    #[serde(with = "humantime_serde")]
    pub clock_slack: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadSamplingWhen {
    /// As far as the budget leaves the tail sampler more than it can keep.
    OnBudget,
    /// Also where the tail sampler would keep everything.
    Always,
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Spans in memory, pending or decided; beyond, clients are told to slow down.
    pub spans_bytes: usize,
    /// Traces whose late spans are recognised.
    pub decided_traces: usize,
    /// Rows of exact metrics, after which they become a segment.
    pub metric_rows: usize,
    /// Call paths that get a row in `paths`.
    pub known_paths: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Memory that all running queries share.
    pub memory_limit_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub time_limit: Duration,
    /// Rows of an answer whose request names no limit.
    pub default_row_limit: usize,
    pub max_row_limit: usize,
    pub max_concurrent_queries: usize,
    /// Parquet footers and indexes kept in memory.
    pub metadata_cache_bytes: usize,
    /// What is kept in memory of where traces are in segments; 0 for nothing.
    pub trace_index_bytes: usize,
    /// Dictionaries of segments' columns kept in memory; 0 for none.
    pub dictionary_cache_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        let storage = storage::Config::default();
        let assembly = collector::sampler::AssemblyConfig::default();
        let query = query::Config::default();
        let bounds = collector::sampler::Bounds::default();
        let (head, ledger) = (HeadConfig::default(), LedgerConfig::default());
        let local = |port| Address::At(([127, 0, 0, 1], port).into());
        Self {
            server: Server {
                data: PathBuf::from(crate::serve::DEFAULT_DATA),
                otlp_grpc: local(4317),
                otlp_http: local(4318),
                http: local(7317),
                postgres: local(5433),
                sampling_http: local(5778),
                sampling_grpc: local(5779),
                allow_remote: false,
                host_names: Vec::new(),
                cors_origins: Vec::new(),
            },
            wal: Wal {
                durability: Durability::Fsync,
                file_bytes: storage.wal.file_bytes,
                queue_bytes: storage.wal.queue_bytes,
            },
            flush: Flush { max_age: storage.flush_age, max_bytes: storage.flush_bytes },
            assembly: Assembly {
                root_grace: None,
                root_grace_min: bounds.least,
                root_grace_max: bounds.most,
                max_age: assembly.max_age,
                max_spans: assembly.max_spans,
                late_grace: assembly.late_grace,
                spans_per_record: assembly.spans_per_record,
            },
            memory: Memory {
                spans_bytes: storage.memory_bytes,
                decided_traces: storage.decided_traces,
                metric_rows: storage.metric_rows,
                known_paths: storage.known_paths,
            },
            sampling: sampling::Policy::default(),
            head_sampling: HeadSampling {
                when: HeadSamplingWhen::OnBudget,
                max_spans_per_second: head.max_spans_per_second,
                poll_interval: head.poll_interval,
                clock_slack: ledger.clock_slack,
            },
            limits: collector::Limits::default(),
            query: Query {
                memory_limit_bytes: query.memory_limit_bytes,
                time_limit: query.time_limit,
                default_row_limit: query.default_row_limit,
                max_row_limit: query.max_row_limit,
                max_concurrent_queries: query.max_concurrent_queries,
                metadata_cache_bytes: query.metadata_cache_bytes,
                trace_index_bytes: query.trace_index_bytes,
                dictionary_cache_bytes: query.dictionary_cache_bytes,
            },
            compaction: Compaction {
                enabled: storage.compaction.enabled,
                merge_segments: storage.compaction.merge_segments,
                max_segment_bytes: storage.compaction.max_segment_bytes,
                keep_replaced: storage.compaction.keep_replaced,
            },
            promotion: Promotion { columns: storage.promotion.columns, share: storage.promotion.share },
            retention: Retention::default(),
        }
    }
}

macro_rules! default_from_config {
    ($($section:ident: $name:ident),*) => {$(
        impl Default for $section {
            fn default() -> Self {
                Config::default().$name
            }
        }
    )*};
}
default_from_config!(
    Server: server,
    Wal: wal,
    Flush: flush,
    Assembly: assembly,
    HeadSampling: head_sampling,
    Memory: memory,
    Query: query,
    Compaction: compaction,
    Promotion: promotion
);

impl Config {
    pub fn storage(&self) -> storage::Config {
        let defaults = storage::Config::default();
        storage::Config {
            wal: storage::wal::WalConfig {
                durability: match self.wal.durability {
                    Durability::Fsync => storage::wal::Durability::Fsync,
                    Durability::Os => storage::wal::Durability::Os,
                },
                file_bytes: self.wal.file_bytes,
                queue_bytes: self.wal.queue_bytes,
                ..defaults.wal
            },
            flush_bytes: self.flush.max_bytes,
            flush_age: self.flush.max_age,
            memory_bytes: self.memory.spans_bytes,
            decided_traces: self.memory.decided_traces,
            metric_rows: self.memory.metric_rows,
            known_paths: self.memory.known_paths,
            compaction: storage::CompactSettings {
                enabled: self.compaction.enabled,
                merge_segments: self.compaction.merge_segments,
                max_segment_bytes: self.compaction.max_segment_bytes,
                keep_replaced: self.compaction.keep_replaced,
            },
            promotion: storage::PromotionSettings { columns: self.promotion.columns, share: self.promotion.share },
            retention: self.retention(),
            ..defaults
        }
    }

    pub fn retention(&self) -> storage::RetentionSettings {
        let Retention { max_age, max_bytes, rules } = &self.retention;
        let rules = rules.iter().map(rules::Rule::settings).collect();
        storage::RetentionSettings { max_age: *max_age, max_bytes: *max_bytes, rules }
    }

    pub fn assembly(&self) -> collector::sampler::AssemblyConfig {
        let defaults = collector::sampler::AssemblyConfig::default();
        collector::sampler::AssemblyConfig {
            root_grace: self.assembly.root_grace.unwrap_or(defaults.root_grace),
            adaptive: self.assembly.root_grace.is_none().then_some(collector::sampler::Bounds {
                least: self.assembly.root_grace_min,
                most: self.assembly.root_grace_max,
            }),
            max_age: self.assembly.max_age,
            max_spans: self.assembly.max_spans,
            late_grace: self.assembly.late_grace,
            spans_per_record: self.assembly.spans_per_record,
        }
    }

    pub fn head(&self) -> HeadConfig {
        HeadConfig {
            max_spans_per_second: self.head_sampling.max_spans_per_second,
            poll_interval: self.head_sampling.poll_interval,
            follows_budget: self.head_sampling.when != HeadSamplingWhen::Always,
        }
    }

    pub fn query(&self) -> query::Config {
        query::Config {
            memory_limit_bytes: self.query.memory_limit_bytes,
            time_limit: self.query.time_limit,
            default_row_limit: self.query.default_row_limit,
            max_row_limit: self.query.max_row_limit,
            max_concurrent_queries: self.query.max_concurrent_queries,
            metadata_cache_bytes: self.query.metadata_cache_bytes,
            trace_index_bytes: self.query.trace_index_bytes,
            dictionary_cache_bytes: self.query.dictionary_cache_bytes,
            ..query::Config::default()
        }
    }

    fn validate(&self) -> anyhow::Result<()> {
        self.limits.validate()?;
        rules::validate(&self.retention.rules)?;
        self.storage().validate()?;
        self.assembly().validate()?;
        self.sampling.validate().context("[sampling]")?;
        let spans = self.head_sampling.max_spans_per_second;
        ensure!(
            spans.is_finite() && spans > 0.0,
            "invalid setting: head_sampling.max_spans_per_second must be above 0; to thin nothing, set head_sampling.when to \"never\""
        );
        ensure!(
            self.head_sampling.poll_interval >= SHORTEST_POLL_INTERVAL,
            "invalid setting: head_sampling.poll_interval must be at least 1s; write how often SDKs poll, at the rarest: \"60s\" unless they \
             were told otherwise"
        );
        self.query().validate().map_err(anyhow::Error::msg)?;
        let (keep, longest) = (self.compaction.keep_replaced, self.query.time_limit);
        ensure!(
            keep >= longest,
            "invalid setting: compaction.keep_replaced is {keep:?}, but a query may need the files for as long as query.time_limit, {longest:?}"
        );
        Ok(())
    }
}

/// Polls more often than this are no way to follow rates, which are published once a second.
const SHORTEST_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The effective configuration of a server.
pub fn load(arguments: &ServerArgs, default_data: &str) -> anyhow::Result<Config> {
    let mut defaults = Config::default();
    defaults.server.data = PathBuf::from(default_data);
    let file = arguments.config.as_deref().map(read).transpose()?;
    let mut config = layers::merge(&defaults, file, std::env::vars())?;
    let server = &mut config.server;
    let addresses = [
        (&mut server.otlp_grpc, arguments.otlp_grpc),
        (&mut server.otlp_http, arguments.otlp_http),
        (&mut server.http, arguments.http),
        (&mut server.postgres, arguments.postgres),
        (&mut server.sampling_http, arguments.sampling_http),
        (&mut server.sampling_grpc, arguments.sampling_grpc),
    ];
    for (setting, flag) in addresses {
        if let Some(address) = flag {
            *setting = address;
        }
    }
    if let Some(data) = &arguments.data {
        server.data.clone_from(data);
    }
    server.allow_remote |= arguments.allow_remote;
    server.host_names.extend(arguments.host_names.iter().cloned());
    config.validate()?;
    Ok(config)
}

/// What a file and the environment say of retention.
pub fn retention(file: Option<&Path>) -> anyhow::Result<storage::RetentionSettings> {
    let config = layers::merge(&Config::default(), file.map(read).transpose()?, std::env::vars())?;
    config.validate()?;
    Ok(config.retention())
}

/// Prints the configuration that `file` and the environment give, or says what is wrong with it.
pub fn check(file: &Path) -> anyhow::Result<()> {
    let config = layers::merge(&Config::default(), Some(read(file)?), std::env::vars())?;
    config.validate().with_context(|| format!("{}", file.display()))?;
    print!("{}", toml::to_string(&config)?);
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<layers::File> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    layers::File::parse(file, &text)
}
