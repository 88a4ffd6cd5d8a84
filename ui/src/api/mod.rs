//! The HTTP API, a file for each group of routes.

use std::sync::Arc;

use axum::Router;
use query::Engine;

use crate::config::Config;
use crate::control::ServerControl;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) engine: Arc<Engine>,
    pub(crate) control: Arc<dyn ServerControl>,
    pub(crate) config: Arc<Config>,
}

/// Everything that the page's port serves.
pub fn router(engine: Arc<Engine>, control: Arc<dyn ServerControl>, config: Config) -> Router {
    Router::new().with_state(Server { engine, control, config: Arc::new(config) })
}
