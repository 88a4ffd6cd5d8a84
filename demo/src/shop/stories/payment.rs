//! Charging cards at a gateway that is not ours, and sometimes not well.

use crate::shop::calls::http::{Request, Route};
use crate::shop::calls::sql::{ORDERS, Statement};
use crate::shop::faults::Fault;
use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Failure, Here, Reply, Trace};

pub const CHARGE: &str = "shop.payment.v1.PaymentService/Charge";
const GATEWAY: &str = "api.paygate.example";

static CREATE_CHARGE: Route = Route { method: "POST", route: "/v1/charges", name: "POST /v1/charges", success: 201 };

static INSERT_PAYMENT: Statement = Statement {
    summary: "INSERT payments",
    operation: "INSERT",
    collection: "payments",
    text: "INSERT INTO payments (order_id, amount, currency, method, gateway_reference) VALUES ($1, $2, $3, $4, $5)",
};

pub fn charge(t: &mut Trace, here: &mut Here, order_id: &str, amount: f64) -> Reply {
    let method = *t.rng.pick(&["card", "card", "card", "wallet", "invoice"]);
    t.set(here, "shop.order.id", order_id.to_owned());
    t.set(here, "shop.order.amount", amount);
    t.set(here, "shop.payment.method", method);
    t.work(here, 140.0);
    t.redis(here, "SET", "SET idempotency:? ? NX EX ?");

    let mut attempt = t.child(here, Kind::Internal, Layer::App, "gateway charge");
    let reply = gateway(t, &mut attempt, method);
    if let Err(failure) = &reply
        && failure.http >= 500
    {
        let stacktrace = format!(
            "GatewayError: {}\n    at Gateway.charge (/app/src/gateway.js:88:13)\n    at process.processTicksAndRejections \
             (node:internal/process/task_queues:105:5)\n    at async PaymentService.charge (/app/src/service.js:41:22)\n    \
             at async /app/node_modules/@grpc/grpc-js/build/src/server.js:1024:9",
            failure.message
        );
        t.exception(&attempt, "GatewayError", failure.message.clone(), stacktrace);
        t.fail(&attempt, "GatewayError", failure.message.clone());
    }
    t.finish(&attempt);
    here.now_unix_nanos = attempt.now_unix_nanos;
    reply?;

    t.sql(here, &ORDERS, &INSERT_PAYMENT, 2_300.0, 0);
    t.succeed(here);
    Ok(())
}

fn gateway(t: &mut Trace, here: &mut Here, method: &'static str) -> Reply {
    let request = Request::new(&CREATE_CHARGE, "/v1/charges");
    let failing = t.world.schedule().is_active(Fault::PaymentErrors, here.now_unix_nanos);
    if failing && t.rng.chance(0.35) {
        if t.rng.chance(0.4) {
            let failure = Failure::new(504, "UNAVAILABLE", "timeout", "gateway did not answer within 3 s");
            return t.http_external(here, GATEWAY, &request, 3_000_000.0, Err(failure));
        }
        let failure = Failure::new(503, "UNAVAILABLE", "503", "gateway answered 503: upstream acquirer unavailable");
        return t.http_external(here, GATEWAY, &request, 90_000.0, Err(failure));
    }
    if method == "card" && t.rng.chance(0.03) {
        let failure = Failure::new(402, "FAILED_PRECONDITION", "402", "card declined: insufficient funds");
        return t.http_external(here, GATEWAY, &request, 160_000.0, Err(failure));
    }
    t.http_external(here, GATEWAY, &request, 160_000.0, Ok(()))
}
