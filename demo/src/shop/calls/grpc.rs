//! gRPC between services.

use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Here, Reply, Trace};
use crate::shop::world::Service;

impl Trace<'_> {
    /// `method` is the full name, `package.Service/Method`, and so is the name of both spans.
    pub fn grpc_call(
        &mut self,
        here: &mut Here,
        callee: Service,
        method: &'static str,
        handler: impl FnOnce(&mut Self, &mut Here) -> Reply,
    ) -> Reply {
        let mut client = self.child(here, Kind::Client, Layer::Grpc, method);
        self.rpc_attributes(&client, callee, method);
        let arrives = client.now_unix_nanos + self.network();
        let instance = self.world.pick(callee, arrives, &mut self.rng);
        let mut server = self.remote_child(&client, instance, Kind::Server, Layer::Grpc, method, arrives);
        self.rpc_attributes(&server, callee, method);
        self.baggage(&server);
        let reply = handler(self, &mut server);
        self.finish_rpc(&server, &reply, is_server_error);
        client.now_unix_nanos = server.now_unix_nanos + self.network();
        self.finish_rpc(&client, &reply, |_| true);
        here.now_unix_nanos = client.now_unix_nanos;
        reply
    }

    fn rpc_attributes(&mut self, here: &Here, callee: Service, method: &'static str) {
        let facts = callee.facts();
        self.set(here, "rpc.system.name", "grpc");
        self.set(here, "rpc.method", method);
        self.set(here, "server.address", facts.address);
        self.set(here, "server.port", facts.port);
        self.set(here, "network.transport", "tcp");
    }

    fn finish_rpc(&mut self, here: &Here, reply: &Reply, is_error: fn(&str) -> bool) {
        match reply {
            Ok(()) => self.set(here, "rpc.response.status_code", "OK"),
            Err(failure) => {
                self.set(here, "rpc.response.status_code", failure.grpc);
                if is_error(failure.grpc) {
                    self.fail(here, failure.grpc, failure.message.clone());
                }
            }
        }
        self.finish(here);
    }
}

/// The codes that the conventions count as errors of a server; the others are the client's.
fn is_server_error(code: &str) -> bool {
    matches!(code, "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS")
}
