//! Real traces, where the folder with them lies beside the workspace, and requests of the demo's shop.

use std::path::PathBuf;

use anyhow::Context;
use prost::Message;
use serde_json::Value;

/// A folder of requests with known counts.
#[derive(Debug)]
pub struct TraceSet {
    pub name: &'static str,
    pub folder: PathBuf,
    pub stats: Value,
}

impl TraceSet {
    pub fn spans(&self) -> i64 {
        self.stats["spans"].as_i64().unwrap_or_default()
    }

    pub fn traces(&self) -> i64 {
        self.stats["traces"].as_i64().unwrap_or_default()
    }

    pub fn by_service(&self) -> anyhow::Result<Vec<(String, i64)>> {
        let services = self.stats["spans_by_service"].as_object().context("no spans_by_service")?;
        let mut counts: Vec<(String, i64)> =
            services.iter().filter_map(|(name, count)| Some((name.clone(), count.as_i64()?))).collect();
        counts.sort();
        Ok(counts)
    }
}

/// The named set, or `None` with a word about it.
pub fn real_traces(name: &'static str) -> anyhow::Result<Option<TraceSet>> {
    let folder = crate::workspace().join("../shared/traces").join(name);
    if !folder.is_dir() {
        eprintln!("skipped: no ../shared/traces");
        return Ok(None);
    }
    let stats = std::fs::read(folder.join("stats.json"))?;
    Ok(Some(TraceSet { name, folder, stats: serde_json::from_slice(&stats)? }))
}

/// An encoded request, and the ids of its spans.
pub type Payload = (Vec<u8>, Vec<Vec<u8>>);

/// `spans` spans of the shop, always the same.
pub fn payloads(spans: u64, seed: u64) -> anyhow::Result<Vec<Payload>> {
    let config = demo::shop::Config { seed, spans: Some(spans), ..demo::shop::Config::default() };
    let requests = demo::export::requests(config)?;
    Ok(requests
        .map(|export| {
            let ids = export
                .request
                .resource_spans
                .iter()
                .flat_map(|resource| &resource.scope_spans)
                .flat_map(|scope| &scope.spans)
                .map(|span| span.span_id.clone())
                .collect();
            (export.request.encode_to_vec(), ids)
        })
        .collect())
}
