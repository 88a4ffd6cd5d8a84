//! `spanhouse compact`: merge segments until nothing is due.

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::CompactArgs;
use crate::client::Client;

pub async fn run(arguments: CompactArgs) -> anyhow::Result<()> {
    let asked = json!({"to_the_end": arguments.to_the_end});
    let answer = Client::new(&arguments.to)?.post("/api/spanhouse/compact", &asked).await?;
    let answer: Value = serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
    let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    println!(
        "merged {} segments to {} in {} merges: read {} bytes, wrote {}, took {:.1} s",
        count("segments_before"),
        count("segments_after"),
        count("merges"),
        count("read_bytes"),
        count("written_bytes"),
        answer.get("ms").and_then(Value::as_f64).unwrap_or(0.0) / 1e3
    );
    Ok(())
}
