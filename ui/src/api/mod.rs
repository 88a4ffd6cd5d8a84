//! The HTTP API, a file for each group of routes.
//!
//! - `sql`: any read-only SQL. `explore`: lists and catalogues. `traces`: one trace, one span. `server`: the server itself.
//! - `export`: a trace that leaves as OTLP.
//! - `decisions`: what sampling decided, asked beside lists and traces.
//! - `body`, `error`: what comes in wrong, and every error's status. `encode`: batches over the wire.
//! - `openapi.json`: all of it described, for programs; a test keeps it complete.

mod body;
mod decisions;
pub(crate) mod encode;
pub(crate) mod error;
mod explore;
mod export;
mod server;
pub(crate) mod sql;
mod traces;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::handler::HandlerWithoutStateExt;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};
use http::Uri;
use query::Engine;
use tower_http::compression::CompressionLayer;

use crate::assets;
use crate::config::Config;
use crate::control::ServerControl;
use crate::guard;
use crate::otlp::OtlpEncoder;
use error::ApiError;

/// The content type of Arrow's streaming format.
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) engine: Arc<Engine>,
    pub(crate) control: Arc<dyn ServerControl>,
    pub(crate) otlp: Arc<dyn OtlpEncoder>,
    pub(crate) config: Arc<Config>,
}

/// Every route and the methods it takes.
fn routes() -> Vec<(&'static str, MethodRouter<Server>)> {
    vec![
        ("/api/sql", post(sql::run)),
        ("/api/spanhouse/status", get(server::status)),
        ("/api/spanhouse/flush", post(server::flush)),
        ("/api/spanhouse/compact", post(server::compact)),
        ("/api/spanhouse/retention", get(server::retention)),
        ("/api/spanhouse/sampling", get(server::sampling).put(server::set_sampling)),
        ("/api/spanhouse/sampling/preview", post(server::preview_sampling)),
        ("/api/spanhouse/services", get(explore::services)),
        ("/api/spanhouse/operations", get(explore::operations)),
        ("/api/spanhouse/attributes", get(explore::attributes)),
        ("/api/spanhouse/schema", get(explore::schema)),
        ("/api/spanhouse/query/list", post(explore::list)),
        ("/api/spanhouse/traces/{id}", get(traces::trace)),
        ("/api/spanhouse/traces/{id}/otlp", get(export::otlp)),
        ("/api/spanhouse/traces/{id}/spans/{span_id}", get(traces::span)),
        ("/api/spanhouse/openapi.json", get(server::openapi)),
        ("/healthz", get(server::healthz)),
        ("/readyz", get(server::readyz)),
        ("/metrics", get(server::metrics)),
    ]
}

/// Everything that the page's port serves.
pub fn router(
    engine: Arc<Engine>,
    control: Arc<dyn ServerControl>,
    otlp: Arc<dyn OtlpEncoder>,
    config: Config,
) -> Router {
    let max_body_bytes = config.max_body_bytes;
    let server = Server { engine, control, otlp, config: Arc::new(config) };
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods.fallback(wrong_method));
    }
    router
        .route("/api/{*rest}", axum::routing::any(no_route))
        .fallback_service(assets::serve.into_service())
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(server.clone(), guard::check))
        .with_state(server)
}

async fn no_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no {} here; see /api/spanhouse/openapi.json", uri.path()))
}

async fn wrong_method(method: http::Method, uri: Uri) -> ApiError {
    ApiError::wrong_method(format!("{} does not take {method}", uri.path()))
}
