//! Full-text search over Elasticsearch.

use crate::shop::calls::http::Route;
use crate::shop::calls::sql::{Database, Statement};
use crate::shop::trace::{Here, Reply, Trace};

pub static SEARCH: Route = Route { method: "GET", route: "/search", name: "GET /search", success: 200 };

static INDEX: Database = Database {
    system: "elasticsearch",
    namespace: "shop-search",
    address: "elastic.shop.svc.cluster.local",
    port: 9200,
};
static QUERY: Statement = Statement {
    summary: "search products",
    operation: "search",
    collection: "products",
    text: r#"{"query":{"bool":{"must":{"multi_match":{"query":"?","fields":["name^3","description"]}},"filter":{"term":{"tenant":"?"}}}},"size":24}"#,
};

pub static TERMS: [&str; 8] = ["tent", "coffee", "lamp", "gift", "rain jacket", "bread", "led", "knife"];

pub fn search(t: &mut Trace, here: &mut Here, term: &'static str) -> Reply {
    t.set(here, "shop.search.term", term);
    t.step(here, "parse query", 260.0);
    let hits = t.rng.below(240);
    // The word "gift" matches almost everything.
    let median_micros = if term == "gift" { 95_000.0 } else { 17_000.0 };
    t.sql(here, &INDEX, &QUERY, median_micros, hits.min(24) as i64);
    t.step(here, "rank", 1_400.0);
    t.set(here, "shop.search.hits", hits as i64);
    Ok(())
}
