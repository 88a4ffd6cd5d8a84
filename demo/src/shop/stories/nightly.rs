//! Counting the stock: a long trace of several hundred spans. The shop's nights come every five minutes.

use crate::shop::calls::http::Request;
use crate::shop::calls::sql::STOCK;
use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::Trace;
use crate::shop::world::{PRODUCTS, Service};

use super::{catalog, inventory};

pub fn count_stock(t: &mut Trace, start_unix_nanos: u64) {
    let instance = t.world.nightly();
    let mut job = t.root(instance, Kind::Internal, Layer::App, "nightly stock count", start_unix_nanos);
    let warehouses = t.rng.between(2, 5);
    for warehouse in 0..warehouses {
        let mut batch = t.child(&job, Kind::Internal, Layer::App, "count warehouse");
        t.set(&batch, "shop.warehouse", format!("wh-{warehouse}"));
        for product in &PRODUCTS {
            t.sql(&mut batch, &STOCK, &inventory::SELECT_STOCK, 1_000.0, 1);
            let request = Request::new(&catalog::GET_PRODUCT, catalog::product_path(product));
            let known =
                t.http_call(&mut batch, Service::Catalog, request, |t, here| catalog::get_product(t, here, product));
            if known.is_ok() && t.rng.chance(0.3) {
                t.sql(&mut batch, &STOCK, &inventory::UPDATE_STOCK, 1_400.0, 0);
            }
            t.work(&mut batch, 9_000.0);
        }
        t.finish(&batch);
        job.now_unix_nanos = batch.now_unix_nanos;
    }
    t.set(&job, "shop.products.count", (PRODUCTS.len() as u64 * warehouses) as i64);
    t.finish(&job);
}
