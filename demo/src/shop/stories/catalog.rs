//! Products. Version 3.12.0 reads the images of a list one by one: the N+1 fault.

use crate::shop::calls::http::Route;
use crate::shop::calls::sql::{CATALOG, Statement};
use crate::shop::trace::{Failure, Here, Reply, Trace};
use crate::shop::world::{PRODUCTS, Product};

pub static GET_PRODUCT: Route =
    Route { method: "GET", route: "/products/{sku}", name: "GET /products/{sku}", success: 200 };
pub static LIST_PRODUCTS: Route = Route { method: "GET", route: "/products", name: "GET /products", success: 200 };

static SELECT_PRODUCT: Statement = Statement {
    summary: "SELECT products",
    operation: "SELECT",
    collection: "products",
    text: "SELECT sku, name, description, category, attributes FROM products WHERE tenant = $1 AND sku = $2",
};
static SELECT_PRODUCTS: Statement = Statement {
    summary: "SELECT products",
    operation: "SELECT",
    collection: "products",
    text: "SELECT sku, name, category FROM products WHERE tenant = $1 AND category = $2 ORDER BY popularity DESC LIMIT $3",
};
static SELECT_ALL_IMAGES: Statement = Statement {
    summary: "SELECT product_images",
    operation: "SELECT",
    collection: "product_images",
    text: "SELECT sku, url, width, height FROM product_images WHERE sku = ANY($1)",
};
static SELECT_ONE_IMAGE: Statement = Statement {
    summary: "SELECT product_images",
    operation: "SELECT",
    collection: "product_images",
    text: "SELECT url, width, height FROM product_images WHERE sku = $1",
};

pub fn some_product(t: &mut Trace) -> &'static Product {
    &PRODUCTS[t.rng.skewed(PRODUCTS.len() as u64) as usize]
}

pub fn product_path(product: &Product) -> String {
    format!("/products/{}", product.sku)
}

pub fn get_product(t: &mut Trace, here: &mut Here, product: &'static Product) -> Reply {
    t.set(here, "shop.product.sku", product.sku);
    t.set(here, "shop.product.name", product.name);
    t.set(here, "shop.product.category", product.category);
    t.set(here, "thread.name", "http-nio-8080-exec");
    let thread = t.rng.between(21, 60);
    t.set(here, "thread.id", thread as i64);
    t.work(here, 220.0);
    t.redis(here, "GET", "GET product:?");
    if t.rng.chance(0.2) {
        t.sql(here, &CATALOG, &SELECT_PRODUCT, 1_400.0, 1);
        t.redis(here, "SETEX", "SETEX product:? ? ?");
    }
    if t.rng.chance(0.004) {
        return Err(Failure::new(404, "NOT_FOUND", "404", format!("no product {}", product.sku)));
    }
    Ok(())
}

pub fn list_products(t: &mut Trace, here: &mut Here) -> Reply {
    let products = t.rng.between(12, 36);
    t.work(here, 300.0);
    t.sql(here, &CATALOG, &SELECT_PRODUCTS, 4_200.0, products as i64);
    if t.version(here.instance) == "3.12.0" {
        for _ in 0..products {
            t.sql(here, &CATALOG, &SELECT_ONE_IMAGE, 1_300.0, 3);
            t.work(here, 40.0);
        }
    } else {
        t.sql(here, &CATALOG, &SELECT_ALL_IMAGES, 2_800.0, products as i64 * 3);
    }
    t.step(here, "render products", 900.0);
    t.set(here, "shop.products.count", products as i64);
    Ok(())
}
