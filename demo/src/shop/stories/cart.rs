//! Carts live in Redis.

use crate::shop::calls::http::{Request, Route};
use crate::shop::trace::{Here, Reply, Trace};
use crate::shop::world::Service;

use super::catalog;

pub static GET_CART: Route =
    Route { method: "GET", route: "/carts/{cart_id}", name: "GET /carts/{cart_id}", success: 200 };
pub static ADD_ITEM: Route =
    Route { method: "POST", route: "/carts/{cart_id}/items", name: "POST /carts/{cart_id}/items", success: 201 };
pub static EMPTY_CART: Route =
    Route { method: "DELETE", route: "/carts/{cart_id}", name: "DELETE /carts/{cart_id}", success: 204 };

pub fn path(t: &Trace, suffix: &str) -> String {
    format!("/carts/{}{suffix}", t.visitor.user_id)
}

pub fn get_cart(t: &mut Trace, here: &mut Here, items: u64) -> Reply {
    t.work(here, 150.0);
    t.redis(here, "HGETALL", "HGETALL cart:?");
    t.set(here, "shop.cart.items", items as i64);
    Ok(())
}

pub fn add_item(t: &mut Trace, here: &mut Here) -> Reply {
    t.work(here, 150.0);
    let product = catalog::some_product(t);
    let request = Request::new(&catalog::GET_PRODUCT, catalog::product_path(product));
    t.http_call(here, Service::Catalog, request, |t, here| catalog::get_product(t, here, product))?;
    t.redis(here, "HSET", "HSET cart:? ? ?");
    t.redis(here, "EXPIRE", "EXPIRE cart:? ?");
    Ok(())
}

pub fn empty_cart(t: &mut Trace, here: &mut Here) -> Reply {
    t.redis(here, "DEL", "DEL cart:?");
    Ok(())
}
