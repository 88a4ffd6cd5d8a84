//! What SDKs are told of head sampling: two listeners, and the ledger of what they told, which outlives the process.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use collector::config::ReceiverConfig;
use collector::remote::{ByRates, HeadRates, KeepAll, Ledger, LedgerConfig, Metrics, Remote, Strategies};
use storage::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::{Config, HeadSamplingWhen};
use crate::data_file::DataFile;
use crate::listeners::{self, SAMPLING_GRPC, SAMPLING_HTTP};

const LEDGER: &str = "head_sampling.json";

/// What was told so far, of which nothing may be lost: spans that were sampled by it are still to come.
pub fn read_ledger(config: &Config, clock: &dyn Clock) -> anyhow::Result<HeadRates> {
    let ledger_config = LedgerConfig {
        poll_interval: config.head_sampling.poll_interval,
        clock_slack: config.head_sampling.clock_slack,
        ..LedgerConfig::default()
    };
    let file = DataFile::new(&config.server.data, LEDGER);
    let ledger = match file.read()? {
        None => Ledger::new(ledger_config),
        Some(bytes) => Ledger::restore(ledger_config, &bytes, clock.now()).with_context(|| {
            let shown = file.path().display();
            format!("{shown} is damaged; remove it, and spans that were sampled by it count as unsampled")
        })?,
    };
    Ok(HeadRates { ledger: Arc::new(ledger.into()), ..HeadRates::default() })
}

/// Connections a listener keeps at once: SDKs poll once a minute, and need none in between.
const MAX_CONNECTIONS: usize = 1_024;

/// Both listeners, bound and not served yet.
pub struct HeadSampling {
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
    remote: Arc<Remote>,
}

impl HeadSampling {
    pub async fn bind(config: &Config, heads: HeadRates, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let server = &config.server;
        let http = listeners::bind(SAMPLING_HTTP, server.sampling_http).await?;
        let grpc = listeners::bind(SAMPLING_GRPC, server.sampling_grpc).await?;
        let connections = ReceiverConfig {
            http_address: listeners::local_address(http.as_ref()),
            grpc_address: listeners::local_address(grpc.as_ref()),
            host_names: server.host_names.clone(),
            max_connections: MAX_CONNECTIONS,
            ..ReceiverConfig::default()
        };
        let strategies: Arc<dyn Strategies> = match config.head_sampling.when {
            HeadSamplingWhen::Never => Arc::new(KeepAll),
            HeadSamplingWhen::OnBudget | HeadSamplingWhen::Always => Arc::new(ByRates {
                rates: heads.rates,
                ledger: Arc::clone(&heads.ledger),
                clock: Arc::clone(&clock),
                config: config.head(),
            }),
        };
        let file = Arc::new(DataFile::new(&server.data, LEDGER));
        let remote = Remote::new(connections, strategies, heads.ledger, file, clock);
        Ok(Self { http, grpc, remote })
    }

    pub fn addresses(&self) -> [(&'static str, Option<SocketAddr>); 2] {
        [
            (SAMPLING_HTTP, listeners::local_address(self.http.as_ref())),
            (SAMPLING_GRPC, listeners::local_address(self.grpc.as_ref())),
        ]
    }

    pub fn metrics(&self) -> Arc<Metrics> {
        self.remote.metrics()
    }

    /// Serves until what `stopped` gives resolves; the handles resolve once polls in flight are answered.
    pub fn serve<S>(self, stopped: impl Fn() -> S) -> Vec<JoinHandle<()>>
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let http = self.http.map(|listener| tokio::spawn(Arc::clone(&self.remote).serve_http(listener, stopped())));
        let grpc = self.grpc.map(|listener| tokio::spawn(Arc::clone(&self.remote).serve_grpc(listener, stopped())));
        http.into_iter().chain(grpc).collect()
    }
}
