//! The server's addresses: who may be bound, and what is said of them.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use crate::cli::Address;
use crate::config::Server;

/// A listener's name on the command line and in messages.
pub const OTLP_GRPC: &str = "otlp-grpc";
pub const OTLP_HTTP: &str = "otlp-http";
pub const HTTP: &str = "http";
pub const SAMPLING_HTTP: &str = "sampling-http";
pub const SAMPLING_GRPC: &str = "sampling-grpc";

/// What this version does not listen on yet, although the flag is there.
pub const LATER: [&str; 1] = ["postgres"];

/// Refuses addresses that others can reach, unless that was asked for by name.
pub fn check(server: &Server) -> anyhow::Result<()> {
    let all = [
        (OTLP_GRPC, server.otlp_grpc),
        (OTLP_HTTP, server.otlp_http),
        (HTTP, server.http),
        (SAMPLING_HTTP, server.sampling_http),
        (SAMPLING_GRPC, server.sampling_grpc),
    ];
    for (name, address) in all {
        if let Address::At(address) = address
            && !address.ip().is_loopback()
            && !server.allow_remote
        {
            bail!(
                "--{name} {address} is reachable from other machines, and there is no authentication yet; \
                 use 127.0.0.1, or add --allow-remote if the network is trusted"
            );
        }
    }
    Ok(())
}

/// Binds an address, unless it is off.
pub async fn bind(name: &str, address: Address) -> anyhow::Result<Option<TcpListener>> {
    let Address::At(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for {name}; choose another with --{name} ADDR, or --{name} off")
    })?;
    Ok(Some(listener))
}

/// The address that a listener really has.
pub fn local_address(listener: Option<&TcpListener>) -> Option<SocketAddr> {
    listener.and_then(|listener| listener.local_addr().ok())
}

/// One line a listener, on standard output.
pub fn announce(addresses: &[(&str, Option<SocketAddr>)]) {
    let mut text = String::new();
    for (name, address) in addresses {
        let line = match address {
            Some(address) if *name == HTTP => format!("{name} listening on {address}: http://{address}/\n"),
            Some(address) => format!("{name} listening on {address}\n"),
            None => format!("{name} off\n"),
        };
        text.push_str(&line);
    }
    for name in LATER {
        text.push_str(&format!("{name} off: not in this version\n"));
    }
    let mut out = std::io::stdout().lock();
    // Nobody reading is no reason to stop.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
