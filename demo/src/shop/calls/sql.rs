//! PostgreSQL, and Elasticsearch for the search: databases that send no spans themselves.

use crate::shop::scopes::Layer;
use crate::shop::span::Kind;
use crate::shop::trace::{Here, Trace};

#[derive(Debug)]
pub struct Statement {
    /// `db.query.summary`, which is the span's name.
    pub summary: &'static str,
    pub operation: &'static str,
    pub collection: &'static str,
    pub text: &'static str,
}

#[derive(Debug)]
pub struct Database {
    pub system: &'static str,
    pub namespace: &'static str,
    pub address: &'static str,
    pub port: u16,
}

pub static ORDERS: Database = postgres("orders", "orders-db.shop.svc.cluster.local");
pub static CATALOG: Database = postgres("catalog", "catalog-db.shop.svc.cluster.local");
pub static STOCK: Database = postgres("stock", "stock-db.shop.svc.cluster.local");
pub static ACCOUNTS: Database = postgres("accounts", "accounts-db.shop.svc.cluster.local");

const fn postgres(namespace: &'static str, address: &'static str) -> Database {
    Database { system: "postgresql", namespace, address, port: 5432 }
}

impl Trace<'_> {
    pub fn sql(
        &mut self,
        here: &mut Here,
        database: &'static Database,
        statement: &'static Statement,
        median_micros: f64,
        rows: i64,
    ) {
        let mut client = self.database_span(here, database, statement);
        self.work(&mut client, median_micros);
        self.set(&client, "db.response.returned_rows", rows);
        self.finish(&client);
        here.now_unix_nanos = client.now_unix_nanos;
    }

    /// A statement that the database ended with an error, given as SQLSTATE.
    pub fn sql_fails(
        &mut self,
        here: &mut Here,
        database: &'static Database,
        statement: &'static Statement,
        median_micros: f64,
        state: &'static str,
        message: &'static str,
    ) {
        let mut client = self.database_span(here, database, statement);
        self.work(&mut client, median_micros);
        self.set(&client, "db.response.status_code", state);
        self.fail(&client, state, message.into());
        self.finish(&client);
        here.now_unix_nanos = client.now_unix_nanos;
    }

    fn database_span(&mut self, here: &Here, database: &'static Database, statement: &'static Statement) -> Here {
        let client = self.child(here, Kind::Client, Layer::Sql, statement.summary);
        self.set(&client, "db.system.name", database.system);
        self.set(&client, "db.namespace", database.namespace);
        self.set(&client, "db.operation.name", statement.operation);
        self.set(&client, "db.collection.name", statement.collection);
        self.set(&client, "db.query.summary", statement.summary);
        self.set(&client, "db.query.text", statement.text);
        self.set(&client, "server.address", database.address);
        self.set(&client, "server.port", database.port);
        client
    }
}
