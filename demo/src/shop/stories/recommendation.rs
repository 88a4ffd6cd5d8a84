//! Suggestions: a small model, a cache, and details from the catalog, side by side.

use crate::shop::calls::http::Request;
use crate::shop::trace::{Here, Reply, Trace};
use crate::shop::world::Service;

use super::catalog;

pub const LIST: &str = "shop.recommendation.v1.RecommendationService/List";
pub const RECORD: &str = "shop.recommendation.v1.RecommendationService/RecordPurchase";

pub fn list(t: &mut Trace, here: &mut Here) -> Reply {
    t.redis(here, "ZREVRANGE", "ZREVRANGE affinity:? ? ?");
    let variant = *t.rng.pick(&["control", "transformer-v2"]);
    t.event(
        here,
        "feature_flag.evaluation",
        vec![
            ("feature_flag.key", "recommendation-model".into()),
            ("feature_flag.result.variant", variant.into()),
            ("feature_flag.provider.name", "flagd".into()),
        ],
    );
    t.step(here, "score candidates", if variant == "control" { 2_500.0 } else { 6_500.0 });
    let products = [catalog::some_product(t), catalog::some_product(t), catalog::some_product(t)];
    let mut fetch = products.map(|product| {
        move |t: &mut Trace, here: &mut Here| {
            let request = Request::new(&catalog::GET_PRODUCT, catalog::product_path(product));
            // A missing product is left out of the list.
            let _ = t.http_call(here, Service::Catalog, request, |t, here| catalog::get_product(t, here, product));
        }
    });
    let [first, second, third] = &mut fetch;
    t.parallel(here, &mut [first, second, third]);
    Ok(())
}

pub fn record_purchase(t: &mut Trace, here: &mut Here) -> Reply {
    t.redis(here, "ZINCRBY", "ZINCRBY affinity:? ? ?");
    t.step(here, "update affinities", 14_000.0);
    Ok(())
}
