//! Placing an order: the longest way through the shop.

use crate::shop::calls::http::Request;
use crate::shop::calls::sql::{ORDERS, Statement};
use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Here, Reply, Trace};
use crate::shop::world::Service;

use super::{auth, cart, catalog, inventory, payment, pricing, recommendation, shipping};

pub const PLACE_ORDER: &str = "shop.checkout.v1.CheckoutService/PlaceOrder";

const RESERVE_TIMEOUT_NANOS: u64 = 400_000_000;
const RESERVE_TRIES: u16 = 4;

static INSERT_ORDER: Statement = Statement {
    summary: "INSERT orders",
    operation: "INSERT",
    collection: "orders",
    text: "INSERT INTO orders (id, tenant, user_id, total, currency, status) VALUES ($1, $2, $3, $4, $5, 'placed')",
};
static INSERT_ITEMS: Statement = Statement {
    summary: "INSERT order_items",
    operation: "INSERT",
    collection: "order_items",
    text: "INSERT INTO order_items (order_id, sku, quantity, amount) SELECT * FROM unnest($1, $2, $3, $4)",
};

pub fn place_order(t: &mut Trace, here: &mut Here) -> Reply {
    let items = 1 + t.rng.skewed(9);
    let order_id = format!("ord-{}", t.rng.word(10));
    let products: Vec<_> = (0..items).map(|_| catalog::some_product(t)).collect();
    let amount = products.iter().map(|product| product.price).sum::<f64>();
    let amount = (amount * 100.0).round() / 100.0;
    t.set(here, "shop.order.id", order_id.clone());
    t.set(here, "shop.order.amount", amount);
    t.set(here, "shop.order.skus", products.iter().map(|product| product.sku.to_owned()).collect::<Vec<_>>());
    t.set(here, "shop.cart.items", items as i64);

    t.grpc_call(here, Service::Auth, auth::VALIDATE_SESSION, auth::validate_session)?;
    let request = Request::new(&cart::GET_CART, cart::path(t, ""));
    t.http_call(here, Service::Cart, request, |t, here| cart::get_cart(t, here, items))?;

    let mut priced = Ok(());
    let mut quoted = Ok(());
    t.parallel(
        here,
        &mut [
            &mut |t, here| {
                priced = t.grpc_call(here, Service::Pricing, pricing::PRICE_CART, |t, here| {
                    pricing::price_cart(t, here, items)
                });
            },
            &mut |t, here| {
                let request = Request::new(&shipping::QUOTE, "/quotes");
                quoted = t.http_call(here, Service::Shipping, request, shipping::quote);
            },
        ],
    );
    priced?;
    quoted?;

    reserve(t, here, items)?;
    t.grpc_call(here, Service::Payment, payment::CHARGE, |t, here| payment::charge(t, here, &order_id, amount))?;

    let mut saving = t.child(here, Kind::Internal, Layer::App, "save order");
    t.sql(&mut saving, &ORDERS, &INSERT_ORDER, 2_700.0, 0);
    t.sql(&mut saving, &ORDERS, &INSERT_ITEMS, 2_200.0, 0);
    t.finish(&saving);
    here.now_unix_nanos = saving.now_unix_nanos;

    t.kafka_send(here, order_id);
    let request = Request::new(&cart::EMPTY_CART, cart::path(t, ""));
    t.http_call(here, Service::Cart, request, cart::empty_cart)?;

    // Nobody waits for these two: they may end after the order is answered.
    t.detached(here, |t, here| {
        let _ = t.grpc_call(here, Service::Recommendation, recommendation::RECORD, recommendation::record_purchase);
    });
    t.detached(here, |t, here| {
        let request = Request::new(&shipping::BOOK_SLOT, "/slots");
        let _ = t.http_call(here, Service::Shipping, request, shipping::book_slot);
    });
    t.succeed(here);
    Ok(())
}

fn reserve(t: &mut Trace, here: &mut Here, items: u64) -> Reply {
    let mut tries = 0;
    loop {
        let request = Request {
            resend: tries,
            timeout_nanos: Some(RESERVE_TIMEOUT_NANOS),
            ..Request::new(&inventory::RESERVE, "/reservations")
        };
        let reply = t.http_call(here, Service::Inventory, request, |t, here| inventory::reserve(t, here, items));
        tries += 1;
        match reply {
            Err(failure) if failure.http >= 500 && tries < RESERVE_TRIES => {
                let attributes =
                    vec![("shop.retry", i64::from(tries).into()), ("error.type", failure.error_type.into())];
                t.event(here, "retry", attributes);
                // Far too eager, which is what makes it a storm.
                t.work(here, 20_000.0);
            }
            Err(failure) => {
                let stacktrace = format!(
                    "goroutine 4711 [running]:\nshop/checkout.(*Service).reserve(0x40004b2000, {{0x1a2b3c0, 0x4000712300}}, \
                     {items})\n\t/src/checkout/reserve.go:73 +0x2f4\nshop/checkout.(*Service).PlaceOrder(...)\n\t\
                     /src/checkout/place_order.go:118 +0x9c8"
                );
                if failure.http >= 500 {
                    t.exception(here, "*checkout.ReservationError", failure.message.clone(), stacktrace);
                }
                return Err(failure);
            }
            Ok(()) => return Ok(()),
        }
    }
}
