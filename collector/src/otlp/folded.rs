//! What has a field of its own in OTLP and no column: attributes of these keys have it.

pub const SCHEMA_URL: &str = "otel.schema_url";
pub const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
pub const DROPPED_EVENTS: &str = "otel.dropped_events_count";
pub const DROPPED_LINKS: &str = "otel.dropped_links_count";
/// A span has its scope's attributes under this and their key.
pub const SCOPE_PREFIX: &str = "otel.scope.";
/// Behind the prefix.
pub const SCOPE_DROPPED: &str = "dropped_attributes_count";
