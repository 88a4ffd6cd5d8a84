//! Prices with discounts. Version 2.4.1 looks SKUs up without regard to case, which no index serves: the slow rollout.

use crate::shop::calls::sql::{CATALOG, Statement};
use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Here, Reply, Trace};

pub const GET_PRICES: &str = "shop.pricing.v1.PricingService/GetPrices";
pub const PRICE_CART: &str = "shop.pricing.v1.PricingService/PriceCart";

/// The version that the slow rollout brings.
pub const SLOW_VERSION: &str = "2.4.1";

static SELECT_RULES: Statement = Statement {
    summary: "SELECT price_rules",
    operation: "SELECT",
    collection: "price_rules",
    text: "SELECT sku, amount, currency, valid_until FROM price_rules WHERE tenant = $1 AND sku = ANY($2)",
};
static SELECT_RULES_SLOW: Statement = Statement {
    summary: "SELECT price_rules",
    operation: "SELECT",
    collection: "price_rules",
    text: "SELECT sku, amount, currency, valid_until FROM price_rules WHERE tenant = $1 AND lower(sku) = ANY(SELECT lower(x) FROM unnest($2) AS x)",
};
static SELECT_PROMOTIONS: Statement = Statement {
    summary: "SELECT promotions",
    operation: "SELECT",
    collection: "promotions",
    text: "SELECT code, percent FROM promotions WHERE tenant = $1 AND now() BETWEEN starts_at AND ends_at",
};

pub fn get_prices(t: &mut Trace, here: &mut Here, items: u64) -> Reply {
    t.work(here, 120.0);
    t.redis(here, "MGET", "MGET price:? price:?");
    if t.rng.chance(0.35) {
        rules(t, here, items);
    }
    Ok(())
}

pub fn price_cart(t: &mut Trace, here: &mut Here, items: u64) -> Reply {
    t.work(here, 180.0);
    let mut inner = t.child(here, Kind::Internal, Layer::App, "PriceCalculator.calculate");
    t.set(&inner, "code.function.name", "com.example.shop.pricing.PriceCalculator.calculate");
    t.set(&inner, "shop.cart.items", items as i64);
    rules(t, &mut inner, items);
    t.sql(&mut inner, &CATALOG, &SELECT_PROMOTIONS, 1_100.0, 2);
    t.work(&mut inner, 400.0);
    let discount = t.rng.chance(0.3);
    if discount {
        let attributes = vec![("shop.promotion.code", "AUTUMN10".into()), ("shop.promotion.percent", 10_i64.into())];
        t.event(&inner, "promotion.applied", attributes);
    }
    t.finish(&inner);
    here.now_unix_nanos = inner.now_unix_nanos;
    t.set(here, "shop.discounted", discount);
    Ok(())
}

fn rules(t: &mut Trace, here: &mut Here, items: u64) {
    if t.version(here.instance) == SLOW_VERSION {
        t.sql(here, &CATALOG, &SELECT_RULES_SLOW, 320_000.0 + 60_000.0 * items as f64, items as i64);
    } else {
        t.sql(here, &CATALOG, &SELECT_RULES, 2_100.0, items as i64);
    }
}
