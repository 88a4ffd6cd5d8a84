//! Calls between services, as instrumentation libraries record them.
//!
//! Names and attributes are those of the OpenTelemetry semantic conventions 1.43: `http` and `database` in their
//! stable form, `rpc` as release candidate, `messaging` in development.

pub mod grpc;
pub mod http;
pub mod kafka;
pub mod redis;
pub mod sql;

pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.43.0";
