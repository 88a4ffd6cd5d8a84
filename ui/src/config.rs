//! Settings of the HTTP server on the page's port.

/// Whom it answers and how much it takes.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names and addresses, without port, that a `Host` header may have beside localhost, 127.0.0.1 and `[::1]`: the
    /// listen address, and what `--host-name` gave.
    pub host_names: Vec<String>,
    /// Largest body of a request.
    pub max_body_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { host_names: Vec::new(), max_body_bytes: 2 << 20 }
    }
}
