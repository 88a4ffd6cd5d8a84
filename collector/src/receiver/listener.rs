//! Listeners: connections accepted within a bound, and drained at the shutdown.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::metrics::add;
use super::places::Places;
use super::protocol::{self, Service};

/// A pause after a failed accept, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `shutdown`, then drains.
pub async fn serve<S: Service>(service: S, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
    let service = Arc::new(service);
    let (drain, draining) = watch::channel(false);
    let places = Arc::new(Places::new(service.config().max_connections, service.shares_of_open_files()));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                is_failing = false;
                let work = protocol::run(Arc::clone(&service), stream, Arc::clone(&places), draining.clone());
                connections.spawn(async move {
                    work.await;
                    drop(place);
                });
            }
            Err(error) => {
                add(&service.connections().accept_failures, 1);
                // Once for a run of failures: out of descriptors, each try is one.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // New clients are refused by the system from here on, and try again elsewhere or later.
    drop(listener);
    let _ = drain.send(true);
    let drained = timeout(service.config().drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "connections did not end within the drain time");
        connections.shutdown().await;
    }
}

async fn accept(listener: &TcpListener, places: &Places) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.take().await.ok_or_else(|| io::Error::other("the listener is closed"))?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}
