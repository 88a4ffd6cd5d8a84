//! The instrumentation libraries that the shop's services would use: what OTLP calls a scope.

use super::world::Language;

#[derive(Debug, PartialEq, Eq)]
pub struct Scope {
    pub name: &'static str,
    pub version: &'static str,
}

/// What kind of code a span comes from.
#[derive(Debug, Clone, Copy)]
pub enum Layer {
    Http,
    Grpc,
    Sql,
    Redis,
    Kafka,
    /// The shop's own spans.
    App,
}

const fn scope(name: &'static str, version: &'static str) -> Scope {
    Scope { name, version }
}

static NODE: [Scope; 6] = [
    scope("@opentelemetry/instrumentation-http", "0.207.0"),
    scope("@opentelemetry/instrumentation-grpc", "0.207.0"),
    scope("@opentelemetry/instrumentation-pg", "0.60.0"),
    scope("@opentelemetry/instrumentation-redis", "0.56.0"),
    scope("@opentelemetry/instrumentation-kafkajs", "0.17.0"),
    scope("shop", ""),
];
static GO: [Scope; 6] = [
    scope("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.63.0"),
    scope("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "0.63.0"),
    scope("github.com/XSAM/otelsql", "0.40.0"),
    scope("github.com/redis/go-redis/extra/redisotel", "9.14.0"),
    scope("github.com/twmb/franz-go/plugin/kotel", "1.6.0"),
    scope("shop", ""),
];
static DOTNET: [Scope; 6] = [
    scope("OpenTelemetry.Instrumentation.AspNetCore", "1.13.0"),
    scope("OpenTelemetry.Instrumentation.GrpcNetClient", "1.13.0-beta.1"),
    scope("Npgsql", "9.0.4"),
    scope("OpenTelemetry.Instrumentation.StackExchangeRedis", "1.13.0-beta.1"),
    scope("OpenTelemetry.Instrumentation.ConfluentKafka", "0.2.0-alpha.1"),
    scope("shop", ""),
];
static JAVA: [Scope; 6] = [
    scope("io.opentelemetry.tomcat-10.0", "2.21.0-alpha"),
    scope("io.opentelemetry.grpc-1.6", "2.21.0-alpha"),
    scope("io.opentelemetry.jdbc", "2.21.0-alpha"),
    scope("io.opentelemetry.lettuce-5.1", "2.21.0-alpha"),
    scope("io.opentelemetry.kafka-clients-2.6", "2.21.0-alpha"),
    scope("shop", ""),
];
static RUST: [Scope; 6] = [
    scope("axum-otel", "0.31.0"),
    scope("tonic-otel", "0.31.0"),
    scope("sqlx-otel", "0.8.6"),
    scope("fred-otel", "10.1.0"),
    scope("rdkafka-otel", "0.38.0"),
    scope("shop", ""),
];
static PYTHON: [Scope; 6] = [
    scope("opentelemetry.instrumentation.httpx", "0.59b0"),
    scope("opentelemetry.instrumentation.grpc", "0.59b0"),
    scope("opentelemetry.instrumentation.psycopg", "0.59b0"),
    scope("opentelemetry.instrumentation.redis", "0.59b0"),
    scope("opentelemetry.instrumentation.confluent_kafka", "0.59b0"),
    scope("shop", ""),
];

pub fn scope_of(language: Language, layer: Layer) -> &'static Scope {
    let table = match language {
        Language::Node => &NODE,
        Language::Go => &GO,
        Language::Dotnet => &DOTNET,
        Language::Java => &JAVA,
        Language::Rust => &RUST,
        Language::Python => &PYTHON,
    };
    &table[layer as usize]
}
