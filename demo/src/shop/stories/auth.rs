//! Sessions and users.

use crate::shop::calls::sql::{ACCOUNTS, Statement};
use crate::shop::trace::{Failure, Here, Reply, Trace};

pub const VALIDATE_SESSION: &str = "shop.auth.v1.AuthService/ValidateSession";
pub const LOGIN: &str = "shop.auth.v1.AuthService/Login";
pub const GET_USER: &str = "shop.auth.v1.AuthService/GetUser";

static SELECT_USER: Statement = Statement {
    summary: "SELECT users",
    operation: "SELECT",
    collection: "users",
    text: "SELECT id, email, locale, password_hash FROM users WHERE tenant = $1 AND email = $2",
};
static UPDATE_USER: Statement = Statement {
    summary: "UPDATE users",
    operation: "UPDATE",
    collection: "users",
    text: "UPDATE users SET last_login_at = now() WHERE id = $1",
};

pub fn validate_session(t: &mut Trace, here: &mut Here) -> Reply {
    t.work(here, 90.0);
    t.redis(here, "GET", "GET session:?");
    // Sessions fall out of the cache now and then.
    if t.rng.chance(0.06) {
        t.sql(here, &ACCOUNTS, &SELECT_USER, 1_900.0, 1);
        t.redis(here, "SETEX", "SETEX session:? ? ?");
    }
    Ok(())
}

pub fn login(t: &mut Trace, here: &mut Here) -> Reply {
    t.sql(here, &ACCOUNTS, &SELECT_USER, 1_900.0, 1);
    t.step(here, "verify password", 48_000.0);
    if t.rng.chance(0.12) {
        return Err(Failure::new(401, "UNAUTHENTICATED", "UNAUTHENTICATED", "wrong email or password"));
    }
    t.sql(here, &ACCOUNTS, &UPDATE_USER, 2_600.0, 0);
    t.redis(here, "SETEX", "SETEX session:? ? ?");
    Ok(())
}

pub fn get_user(t: &mut Trace, here: &mut Here) -> Reply {
    t.sql(here, &ACCOUNTS, &SELECT_USER, 1_900.0, 1);
    Ok(())
}
