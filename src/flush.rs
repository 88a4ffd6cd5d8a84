//! `spanhouse flush`: make what is in memory a segment now.

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::FlushArgs;
use crate::client::Client;

pub async fn run(arguments: FlushArgs) -> anyhow::Result<()> {
    let answer = Client::new(&arguments.to)?.post("/api/spanhouse/flush", &json!({})).await?;
    let answer: Value = serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
    let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    println!("flushed {} spans of {} traces into {} segments", count("spans"), count("traces"), count("segments"));
    Ok(())
}
