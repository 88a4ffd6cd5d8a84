//! The pages of the shop: where most traces begin.

use crate::shop::calls::http::{Request, Route};
use crate::shop::trace::{Failure, Here, Trace};
use crate::shop::world::{CATEGORIES, InstanceId, Service};

use super::{auth, cart, catalog, checkout, inventory, pricing, recommendation, search};

static HOME: Route = Route { method: "GET", route: "/", name: "GET /", success: 200 };
static CATEGORY: Route = Route { method: "GET", route: "/c/{category}", name: "GET /c/{category}", success: 200 };
static PRODUCT: Route = Route { method: "GET", route: "/p/{sku}", name: "GET /p/{sku}", success: 200 };
static SEARCH: Route = Route { method: "GET", route: "/search", name: "GET /search", success: 200 };
static CART: Route = Route { method: "GET", route: "/cart", name: "GET /cart", success: 200 };
static ADD_TO_CART: Route = Route { method: "POST", route: "/cart/items", name: "POST /cart/items", success: 303 };
static CHECKOUT: Route = Route { method: "POST", route: "/checkout", name: "POST /checkout", success: 201 };
static LOGIN: Route = Route { method: "POST", route: "/login", name: "POST /login", success: 303 };
static HEALTH: Route = Route { method: "GET", route: "/healthz", name: "GET /healthz", success: 200 };

/// One request of one visitor.
pub fn visit(t: &mut Trace, start_unix_nanos: u64) {
    let frontend = t.world.pick(Service::Frontend, start_unix_nanos, &mut t.rng);
    match t.rng.below(100) {
        0..14 => {
            let _ = t.http_root(frontend, Request::new(&HOME, "/"), start_unix_nanos, |t, here| {
                session(t, here);
                list_page(t, here, "outdoor");
                Ok(())
            });
        }
        14..32 => {
            let category = *t.rng.pick(&CATEGORIES);
            let request = Request::new(&CATEGORY, format!("/c/{category}"));
            let _ = t.http_root(frontend, request, start_unix_nanos, |t, here| {
                session(t, here);
                list_page(t, here, category);
                Ok(())
            });
        }
        32..56 => product_page(t, frontend, start_unix_nanos),
        56..72 => search_page(t, frontend, start_unix_nanos),
        72..82 => {
            let _ = t.http_root(frontend, Request::new(&ADD_TO_CART, "/cart/items"), start_unix_nanos, |t, here| {
                session(t, here);
                let request = Request::new(&cart::ADD_ITEM, cart::path(t, "/items"));
                t.http_call(here, Service::Cart, request, cart::add_item)
            });
        }
        82..88 => {
            let _ = t.http_root(frontend, Request::new(&CART, "/cart"), start_unix_nanos, |t, here| {
                session(t, here);
                let items = 1 + t.rng.skewed(9);
                let request = Request::new(&cart::GET_CART, cart::path(t, ""));
                t.http_call(here, Service::Cart, request, |t, here| cart::get_cart(t, here, items))?;
                t.grpc_call(here, Service::Pricing, pricing::PRICE_CART, |t, here| {
                    pricing::price_cart(t, here, items)
                })?;
                t.step(here, "render cart", 1_800.0);
                Ok(())
            });
        }
        88..97 => {
            let _ = t.http_root(frontend, Request::new(&CHECKOUT, "/checkout"), start_unix_nanos, |t, here| {
                t.work(here, 350.0);
                t.grpc_call(here, Service::Checkout, checkout::PLACE_ORDER, checkout::place_order)?;
                t.step(here, "render confirmation", 1_300.0);
                Ok(())
            });
        }
        _ => {
            let _ = t.http_root(frontend, Request::new(&LOGIN, "/login"), start_unix_nanos, |t, here| {
                t.work(here, 250.0);
                t.grpc_call(here, Service::Auth, auth::LOGIN, auth::login)
            });
        }
    }
}

/// The probe that Kubernetes sends to a pod.
pub fn health_check(t: &mut Trace, start_unix_nanos: u64) {
    let service = *t.rng.pick(&[
        Service::Frontend,
        Service::Cart,
        Service::Catalog,
        Service::Inventory,
        Service::Shipping,
        Service::Search,
    ]);
    let instance = t.world.pick(service, start_unix_nanos, &mut t.rng);
    t.visitor.user_agent = "kube-probe/1.34";
    let _ = t.http_root(instance, Request::new(&HEALTH, "/healthz"), start_unix_nanos, |t, here| {
        t.work(here, 60.0);
        Ok(())
    });
}

fn session(t: &mut Trace, here: &mut Here) {
    t.work(here, 300.0);
    // Most visitors are not logged in, and a page is shown without a session too.
    if t.rng.chance(0.4) {
        let _ = t.grpc_call(here, Service::Auth, auth::VALIDATE_SESSION, auth::validate_session);
    }
}

fn list_page(t: &mut Trace, here: &mut Here, category: &'static str) {
    t.parallel(
        here,
        &mut [
            &mut |t, here| {
                let request = Request::new(&catalog::LIST_PRODUCTS, "/products").query(format!("category={category}"));
                let _ = t.http_call(here, Service::Catalog, request, catalog::list_products);
            },
            &mut |t, here| {
                let _ = t.grpc_call(here, Service::Recommendation, recommendation::LIST, recommendation::list);
            },
        ],
    );
    let _ = t.grpc_call(here, Service::Pricing, pricing::GET_PRICES, |t, here| pricing::get_prices(t, here, 24));
    t.step(here, "render page", 3_200.0);
}

fn product_page(t: &mut Trace, frontend: InstanceId, start_unix_nanos: u64) {
    let product = catalog::some_product(t);
    let sku = product.sku;
    let _ = t.http_root(frontend, Request::new(&PRODUCT, format!("/p/{sku}")), start_unix_nanos, |t, here| {
        session(t, here);
        let mut found = Ok(());
        t.parallel(
            here,
            &mut [
                &mut |t, here| {
                    let request = Request::new(&catalog::GET_PRODUCT, catalog::product_path(product));
                    found =
                        t.http_call(here, Service::Catalog, request, |t, here| catalog::get_product(t, here, product));
                },
                &mut |t, here| {
                    let _ = t.grpc_call(here, Service::Pricing, pricing::GET_PRICES, |t, here| {
                        pricing::get_prices(t, here, 1)
                    });
                },
                &mut |t, here| {
                    let request = Request::new(&inventory::GET_STOCK, format!("/stock/{sku}"));
                    let _ =
                        t.http_call(here, Service::Inventory, request, |t, here| inventory::get_stock(t, here, sku));
                },
            ],
        );
        found.map_err(|failure| Failure { error_type: "404", ..failure })?;
        t.step(here, "render page", 2_400.0);
        Ok(())
    });
}

fn search_page(t: &mut Trace, frontend: InstanceId, start_unix_nanos: u64) {
    let term = *t.rng.pick(&search::TERMS);
    let query = format!("q={}", term.replace(' ', "+"));
    let request = Request::new(&SEARCH, "/search").query(query.clone());
    let _ = t.http_root(frontend, request, start_unix_nanos, |t, here| {
        session(t, here);
        let request = Request::new(&search::SEARCH, "/search").query(query);
        t.http_call(here, Service::Search, request, |t, here| search::search(t, here, term))?;
        t.grpc_call(here, Service::Pricing, pricing::GET_PRICES, |t, here| pricing::get_prices(t, here, 24))?;
        t.step(here, "render results", 2_600.0);
        Ok(())
    });
}
