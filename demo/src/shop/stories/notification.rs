//! Mails for orders, sent by a worker behind a queue. Its traces have roots of their own and link to the orders.

use crate::shop::calls::http::{Request, Route};
use crate::shop::calls::sql::{ORDERS, Statement};
use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Failure, Message, Trace};
use crate::shop::world::Service;

use super::auth;

static SEND_MAIL: Route = Route { method: "POST", route: "/v3/mail", name: "POST /v3/mail", success: 202 };

static INSERT_NOTIFICATION: Statement = Statement {
    summary: "INSERT notifications",
    operation: "INSERT",
    collection: "notifications",
    text: "INSERT INTO notifications (order_id, channel, sent_at) VALUES (%s, %s, now())",
};

/// One batch of messages.
pub fn consume(t: &mut Trace, messages: &[Message], start_unix_nanos: u64) {
    let instance = t.world.pick(Service::Notification, start_unix_nanos, &mut t.rng);
    let mut poll = t.kafka_poll(instance, messages, start_unix_nanos);
    for message in messages {
        let mut process = t.kafka_process(&poll, message);
        let mut outcome = t.grpc_call(&mut process, Service::Auth, auth::GET_USER, auth::get_user);
        if outcome.is_ok() {
            let mut render = t.child(&process, Kind::Internal, Layer::App, "render template");
            t.set(&render, "shop.template", "order-confirmation");
            t.work(&mut render, 5_200.0);
            t.finish(&render);
            process.now_unix_nanos = render.now_unix_nanos;
            let mail = if t.rng.chance(0.015) {
                Err(Failure::new(429, "RESOURCE_EXHAUSTED", "429", "mail provider: too many requests"))
            } else {
                Ok(())
            };
            let request = Request::new(&SEND_MAIL, "/v3/mail");
            outcome = t.http_external(&mut process, "api.mailer.example", &request, 84_000.0, mail);
        }
        match outcome {
            Ok(()) => t.sql(&mut process, &ORDERS, &INSERT_NOTIFICATION, 2_100.0, 0),
            Err(failure) => {
                let stacktrace = format!(
                    "Traceback (most recent call last):\n  File \"/app/worker.py\", line 64, in process\n    \
                     mailer.send(mail)\n  File \"/app/mailer.py\", line 31, in send\n    response.raise_for_status()\n\
                     mailer.MailError: {}\n",
                    failure.message
                );
                t.exception(&process, "mailer.MailError", failure.message.clone(), stacktrace);
                t.fail(&process, "mailer.MailError", failure.message);
            }
        }
        t.finish(&process);
        poll.now_unix_nanos = process.now_unix_nanos;
    }
    t.finish(&poll);
}
