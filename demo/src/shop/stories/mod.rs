//! What each service does when it is called: one file per service.
//!
//! A handler gets its place inside the server span and moves the clock on; it knows its callees, not its caller.

pub mod auth;
pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod frontend;
pub mod inventory;
pub mod nightly;
pub mod notification;
pub mod payment;
pub mod pricing;
pub mod recommendation;
pub mod search;
pub mod shipping;
