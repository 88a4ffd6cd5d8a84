//! Stock. During the retry storm its rows are locked, and callers that try again keep the lock busy.

use crate::shop::calls::http::Route;
use crate::shop::calls::sql::{STOCK, Statement};
use crate::shop::faults::Fault;
use crate::shop::trace::{Failure, Here, Reply, Trace};

pub static GET_STOCK: Route = Route { method: "GET", route: "/stock/{sku}", name: "GET /stock/{sku}", success: 200 };
pub static RESERVE: Route = Route { method: "POST", route: "/reservations", name: "POST /reservations", success: 201 };

pub static SELECT_STOCK: Statement = Statement {
    summary: "SELECT stock",
    operation: "SELECT",
    collection: "stock",
    text: "SELECT warehouse, on_hand, reserved FROM stock WHERE sku = $1",
};
static LOCK_STOCK: Statement = Statement {
    summary: "SELECT stock",
    operation: "SELECT",
    collection: "stock",
    text: "SELECT sku, on_hand, reserved FROM stock WHERE sku = ANY($1) FOR UPDATE",
};
pub static UPDATE_STOCK: Statement = Statement {
    summary: "UPDATE stock",
    operation: "UPDATE",
    collection: "stock",
    text: "UPDATE stock SET reserved = reserved + $2 WHERE sku = $1",
};
static INSERT_RESERVATION: Statement = Statement {
    summary: "INSERT reservations",
    operation: "INSERT",
    collection: "reservations",
    text: "INSERT INTO reservations (id, order_id, sku, quantity, expires_at) SELECT * FROM unnest($1, $2, $3, $4, $5)",
};

pub fn get_stock(t: &mut Trace, here: &mut Here, sku: &'static str) -> Reply {
    t.set(here, "shop.product.sku", sku);
    t.work(here, 60.0);
    t.sql(here, &STOCK, &SELECT_STOCK, 900.0, 2);
    Ok(())
}

pub fn reserve(t: &mut Trace, here: &mut Here, items: u64) -> Reply {
    t.set(here, "shop.cart.items", items as i64);
    t.work(here, 80.0);
    if t.world.schedule().is_active(Fault::RetryStorm, here.now_unix_nanos) && t.rng.chance(0.7) {
        if t.rng.chance(0.3) {
            let message = "canceling statement due to lock timeout";
            t.sql_fails(here, &STOCK, &LOCK_STOCK, 1_000_000.0, "55P03", message);
            return Err(Failure::new(503, "UNAVAILABLE", "lock_timeout", "stock rows are locked"));
        }
        t.sql(here, &STOCK, &LOCK_STOCK, 850_000.0, items as i64);
    } else {
        t.sql(here, &STOCK, &LOCK_STOCK, 2_400.0, items as i64);
    }
    if t.rng.chance(0.01) {
        return Err(Failure::new(409, "FAILED_PRECONDITION", "409", "out of stock"));
    }
    for _ in 0..items.min(3) {
        t.sql(here, &STOCK, &UPDATE_STOCK, 1_300.0, 0);
    }
    t.sql(here, &STOCK, &INSERT_RESERVATION, 1_600.0, items as i64);
    Ok(())
}
