//! HTTP, inside the shop and to the outside world.

use std::borrow::Cow;

use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Failure, Here, Reply, Trace};
use crate::shop::world::{InstanceId, Service};

/// A route of a service. The span names are written out, so that telling a trace allocates little.
#[derive(Debug)]
pub struct Route {
    pub method: &'static str,
    pub route: &'static str,
    /// Method and route: the name of the server's span.
    pub name: &'static str,
    /// Status when all is well.
    pub success: u16,
}

pub struct Request {
    pub route: &'static Route,
    pub path: Cow<'static, str>,
    pub query: Option<String>,
    /// How often it was sent before.
    pub resend: u16,
    /// The client gives up then; the server does not notice.
    pub timeout_nanos: Option<u64>,
}

impl Request {
    pub fn new(route: &'static Route, path: impl Into<Cow<'static, str>>) -> Self {
        Self { route, path: path.into(), query: None, resend: 0, timeout_nanos: None }
    }

    pub fn query(self, query: String) -> Self {
        Self { query: Some(query), ..self }
    }
}

impl Trace<'_> {
    /// A request from a browser or a prober: a root.
    pub fn http_root(
        &mut self,
        instance: InstanceId,
        request: Request,
        start_unix_nanos: u64,
        handler: impl FnOnce(&mut Self, &mut Here) -> Reply,
    ) -> Reply {
        let mut here = self.root(instance, Kind::Server, Layer::Http, request.route.name, start_unix_nanos);
        self.server_attributes(&here, &request, self.visitor.address.clone(), "shop.example.com", 443);
        self.set(&here, "user_agent.original", self.visitor.user_agent);
        self.set(&here, "session.id", self.visitor.session_id.clone());
        let reply = handler(self, &mut here);
        self.finish_server(&here, &request, &reply);
        reply
    }

    /// A request from one service to another.
    pub fn http_call(
        &mut self,
        here: &mut Here,
        callee: Service,
        request: Request,
        handler: impl FnOnce(&mut Self, &mut Here) -> Reply,
    ) -> Reply {
        let facts = callee.facts();
        let mut client = self.child(here, Kind::Client, Layer::Http, request.route.method);
        self.client_attributes(&client, &request, "http", facts.address, facts.port);
        let arrives = client.now_unix_nanos + self.network();
        let instance = self.world.pick(callee, arrives, &mut self.rng);
        let mut server = self.remote_child(&client, instance, Kind::Server, Layer::Http, request.route.name, arrives);
        let caller = self.world.instance(here.instance).map(|caller| caller.address.clone()).unwrap_or_default();
        self.server_attributes(&server, &request, caller, facts.address, facts.port);
        let reply = handler(self, &mut server);
        self.finish_server(&server, &request, &reply);

        let answered = server.now_unix_nanos + self.network();
        let gives_up = request.timeout_nanos.map(|timeout| client.now_unix_nanos + timeout);
        let reply = match gives_up {
            Some(gives_up) if gives_up < answered => {
                client.now_unix_nanos = gives_up;
                Err(Failure::new(504, "DEADLINE_EXCEEDED", "timeout", "no answer in time"))
            }
            _ => {
                client.now_unix_nanos = answered;
                reply
            }
        };
        self.finish_client(&client, &request, &reply);
        here.now_unix_nanos = client.now_unix_nanos;
        reply
    }

    /// A request to somebody who sends us no spans.
    pub fn http_external(
        &mut self,
        here: &mut Here,
        host: &'static str,
        request: &Request,
        median_micros: f64,
        reply: Reply,
    ) -> Reply {
        let mut client = self.child(here, Kind::Client, Layer::Http, request.route.method);
        self.client_attributes(&client, request, "https", host, 443);
        self.work(&mut client, median_micros);
        self.finish_client(&client, request, &reply);
        here.now_unix_nanos = client.now_unix_nanos;
        reply
    }

    fn server_attributes(&mut self, here: &Here, request: &Request, client: String, host: &'static str, port: u16) {
        self.set(here, "http.request.method", request.route.method);
        self.set(here, "http.route", request.route.route);
        self.set(here, "url.scheme", if port == 443 { "https" } else { "http" });
        self.set(here, "url.path", request.path.clone());
        if let Some(query) = &request.query {
            self.set(here, "url.query", query.clone());
        }
        self.set(here, "server.address", host);
        self.set(here, "server.port", port);
        self.set(here, "client.address", client);
        self.set(here, "network.protocol.version", if port == 443 { "2" } else { "1.1" });
        self.baggage(here);
    }

    fn client_attributes(&mut self, here: &Here, request: &Request, scheme: &str, host: &'static str, port: u16) {
        self.set(here, "http.request.method", request.route.method);
        let query = request.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
        let full = match port {
            443 => format!("{scheme}://{host}{}{query}", request.path),
            _ => format!("{scheme}://{host}:{port}{}{query}", request.path),
        };
        self.set(here, "url.full", full);
        self.set(here, "server.address", host);
        self.set(here, "server.port", port);
        self.set(here, "network.protocol.version", "1.1");
        if request.resend > 0 {
            self.set(here, "http.request.resend_count", request.resend);
        }
    }

    /// Who it is for. Services copy this from baggage to their entry spans.
    pub fn baggage(&mut self, here: &Here) {
        self.set(here, "user.id", self.visitor.user_id.clone());
        self.set(here, "tenant.id", self.visitor.tenant);
    }

    fn finish_server(&mut self, here: &Here, request: &Request, reply: &Reply) {
        match reply {
            Ok(()) => self.set(here, "http.response.status_code", request.route.success),
            Err(failure) => {
                self.set(here, "http.response.status_code", failure.http);
                // A client's mistake is no error of the server.
                if failure.http >= 500 {
                    self.fail(here, failure.error_type, failure.message.clone());
                }
            }
        }
        self.finish(here);
    }

    fn finish_client(&mut self, here: &Here, request: &Request, reply: &Reply) {
        match reply {
            Ok(()) => self.set(here, "http.response.status_code", request.route.success),
            Err(failure) if failure.error_type == "timeout" => {
                self.fail(here, failure.error_type, failure.message.clone());
            }
            Err(failure) => {
                self.set(here, "http.response.status_code", failure.http);
                self.fail(here, failure.error_type, failure.message.clone());
            }
        }
        self.finish(here);
    }
}
