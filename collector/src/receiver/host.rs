//! The names under which a loopback listener may be called.
//!
//! A web page can make its own name resolve to a loopback address; the browser then sends that name as host.

use std::net::{IpAddr, SocketAddr};

/// `host` as in a `Host` header or `:authority`, with or without a port.
pub fn is_allowed(host: &str, listener: SocketAddr, names: &[String]) -> bool {
    if !listener.ip().is_loopback() {
        return true;
    }
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || names.iter().any(|allowed| name.eq_ignore_ascii_case(allowed))
}

fn without_port(host: &str) -> &str {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_1004_loopback_listeners_know_their_names() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 4318));
        let names = ["spans.example".to_owned()];
        for host in
            ["localhost", "LOCALHOST:4318", "127.0.0.1:1", "127.0.0.2", "[::1]:4318", "[::1]", "spans.example:4318"]
        {
            assert!(is_allowed(host, loopback, &names), "{host}");
        }
        for host in
            ["evil.example", "evil.example:4318", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""]
        {
            assert!(!is_allowed(host, loopback, &names), "{host}");
        }
        assert!(is_allowed("evil.example", SocketAddr::from(([0, 0, 0, 0], 4318)), &names));
    }
}
