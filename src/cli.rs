//! The command line. Names here are public.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::import::ImportArgs;

/// A lakehouse for spans: OpenTelemetry traces in, Delta tables, SQL and a web page out.
#[derive(Debug, Parser)]
#[command(name = "spanhouse", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: receivers, storage, queries, web page
    Serve(ServerArgs),
    /// The same on ./spanhouse-demo, plus a built-in shop of services that sends real OTLP
    Demo(DemoArgs),
    /// Send files of OTLP requests to a server
    Import(ImportArgs),
    /// Make what is in memory a segment now
    Flush(FlushArgs),
    /// Merge segments until nothing is due
    Compact(CompactArgs),
    /// Say what retention would take out of the tables
    Retention(RetentionArgs),
    /// Run a query and print its rows
    Sql(SqlArgs),
    /// Name damage in a data directory's write-ahead log, and cut it out after asking
    Repair(RepairArgs),
    /// Work with configuration files
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say what is wrong, or print the effective configuration
    Check { file: PathBuf },
}

#[derive(Debug, Default, Args)]
pub struct ServerArgs {
    /// Configuration file (TOML); SPANHOUSE_... variables and flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// OTLP over gRPC; "off" disables it, port 0 picks a free one [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR")]
    pub otlp_grpc: Option<Address>,
    /// OTLP over HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR")]
    pub otlp_http: Option<Address>,
    /// Web page, HTTP API, /metrics, /healthz, /readyz [default: 127.0.0.1:7317]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<Address>,
    /// Postgres wire; not in this version, so always off
    #[arg(long, value_name = "ADDR")]
    pub postgres: Option<Address>,
    /// Jaeger remote sampling over HTTP: what SDKs ask how much to sample [default: 127.0.0.1:5778]
    #[arg(long, value_name = "ADDR")]
    pub sampling_http: Option<Address>,
    /// Jaeger remote sampling over gRPC [default: 127.0.0.1:5779]
    #[arg(long, value_name = "ADDR")]
    pub sampling_grpc: Option<Address>,
    /// Listen beyond loopback although anyone who reaches the port may read and write
    #[arg(long)]
    pub allow_remote: bool,
    /// A further name under which browsers and clients reach this server; may be repeated
    #[arg(long = "host-name", value_name = "NAME")]
    pub host_names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Seed of the shop's traffic; without one it is another each time
    #[arg(long)]
    pub seed: Option<u64>,
    /// Visits to the shop in a second, each of them a trace
    #[arg(long, value_name = "RATE")]
    pub visits_per_second: Option<f64>,
}

#[derive(Debug, Args)]
pub struct FlushArgs {
    /// The server's page address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7317")]
    pub to: String,
}

#[derive(Debug, Args)]
pub struct CompactArgs {
    /// The server's page address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7317")]
    pub to: String,
    /// Take every date for over, so that as few segments as possible are left
    #[arg(long)]
    pub to_the_end: bool,
}

#[derive(Debug, Args)]
pub struct RetentionArgs {
    /// Change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Look into a data directory that has no server
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    pub data: Option<PathBuf>,
    /// Whose [retention] counts, with --data
    #[arg(long, value_name = "FILE", requires = "data")]
    pub config: Option<PathBuf>,
    /// Ask a server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7317")]
    pub to: String,
}

#[derive(Debug, Args)]
pub struct SqlArgs {
    /// One SELECT statement
    pub query: String,
    /// Read a data directory that has no server; writes nothing
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    pub data: Option<PathBuf>,
    /// Ask a server [default: http://127.0.0.1:7317]
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Rows at most
    #[arg(long, value_name = "ROWS")]
    pub limit: Option<usize>,
}

#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Data directory; no server may run on it
    #[arg(long, value_name = "DIR", default_value = crate::serve::DEFAULT_DATA)]
    pub data: PathBuf,
    /// Only name what is damaged; exit with 1 if anything is
    #[arg(long, conflicts_with = "yes")]
    pub check: bool,
    /// Cut without asking
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Csv,
    Json,
    /// An Arrow IPC stream
    Arrow,
    Parquet,
}

/// Where a listener is, or that it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    Off,
    At(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map(Self::At)
            .map_err(|_| format!("{text:?} is no address; write it as 127.0.0.1:4317 or [::1]:4317, or write off"))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => out.write_str("off"),
            Self::At(address) => address.fmt(out),
        }
    }
}
