//! Redis: caches and carts.

use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Here, Trace};

impl Trace<'_> {
    /// `text` has `?` where values would be, as instrumentations write it.
    pub fn redis(&mut self, here: &mut Here, operation: &'static str, text: &'static str) {
        let mut client = self.child(here, Kind::Client, Layer::Redis, operation);
        self.set(&client, "db.system.name", "redis");
        self.set(&client, "db.namespace", "0");
        self.set(&client, "db.operation.name", operation);
        self.set(&client, "db.query.text", text);
        self.set(&client, "server.address", "redis.shop.svc.cluster.local");
        self.set(&client, "server.port", 6379_u16);
        self.work(&mut client, 320.0);
        self.finish(&client);
        here.now_unix_nanos = client.now_unix_nanos;
    }
}
