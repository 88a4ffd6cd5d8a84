//! What SDKs are told of head sampling: two listeners, and the ledger of what they told.

use std::net::SocketAddr;
use std::sync::Arc;

use collector::config::ReceiverConfig;
use collector::remote::{KeepAll, Ledger, Metrics, Remote};
use storage::Clock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::Server;
use crate::listeners::{self, SAMPLING_GRPC, SAMPLING_HTTP};

/// Connections a listener keeps at once: SDKs poll once a minute, and need none in between.
const MAX_CONNECTIONS: usize = 1_024;

/// Both listeners, bound and not served yet.
pub struct HeadSampling {
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
    remote: Arc<Remote>,
}

impl HeadSampling {
    pub async fn bind(server: &Server, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let http = listeners::bind(SAMPLING_HTTP, server.sampling_http).await?;
        let grpc = listeners::bind(SAMPLING_GRPC, server.sampling_grpc).await?;
        let connections = ReceiverConfig {
            http_address: listeners::local_address(http.as_ref()),
            grpc_address: listeners::local_address(grpc.as_ref()),
            host_names: server.host_names.clone(),
            max_connections: MAX_CONNECTIONS,
            ..ReceiverConfig::default()
        };
        // There is no budget to thin for yet.
        let remote = Remote::new(connections, Arc::new(KeepAll), Arc::new(Ledger::default().into()), clock);
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
