//! Quotes from carriers.

use crate::shop::calls::http::{Request, Route};
use crate::shop::trace::{Here, Reply, Trace};

pub static QUOTE: Route = Route { method: "POST", route: "/quotes", name: "POST /quotes", success: 200 };
pub static BOOK_SLOT: Route = Route { method: "POST", route: "/slots", name: "POST /slots", success: 202 };

static RATES: Route = Route { method: "GET", route: "/v2/rates", name: "GET /v2/rates", success: 200 };

pub fn quote(t: &mut Trace, here: &mut Here) -> Reply {
    t.work(here, 50.0);
    t.redis(here, "GET", "GET quote:?");
    if t.rng.chance(0.4) {
        let carrier = *t.rng.pick(&["api.parcelway.example", "rates.northpost.example"]);
        let country = *t.rng.pick(&["DE", "AT", "CH", "FR", "NL"]);
        let request = Request::new(&RATES, "/v2/rates").query(format!("country={country}&weight=1200"));
        t.http_external(here, carrier, &request, 62_000.0, Ok(()))?;
        t.redis(here, "SETEX", "SETEX quote:? ? ?");
    }
    Ok(())
}

pub fn book_slot(t: &mut Trace, here: &mut Here) -> Reply {
    t.work(here, 30_000.0);
    t.redis(here, "ZADD", "ZADD slots:? ? ?");
    Ok(())
}
