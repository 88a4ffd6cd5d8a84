//! What the integration tests are written with: a real server as a process, an HTTP client on bare sockets, and the
//! real traces where they are at hand.

mod http;
mod server;
mod traces;

pub use http::{Response, get, get_as, post, put};
pub use server::{Server, ServerBuilder, binary, spanhouse};
pub use traces::{TraceSet, payloads, real_traces};

use std::path::PathBuf;

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}

/// The Python with the packages of `tests/requirements.txt`, which `make test` sets up; without it the test says so.
pub fn python() -> Option<PathBuf> {
    let found = std::env::var_os("SPANHOUSE_TEST_PYTHON").map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: SPANHOUSE_TEST_PYTHON is not set; `make test` sets up the Python packages");
    }
    found
}

/// The folder with the packages of `tests/package.json` for Node, likewise.
pub fn node_modules() -> Option<PathBuf> {
    let found = std::env::var_os("SPANHOUSE_TEST_NODE_MODULES").map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: SPANHOUSE_TEST_NODE_MODULES is not set; `make test` sets up the Node packages");
    }
    found
}
