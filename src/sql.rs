//! `spanhouse sql`: a query against a server, or straight on a data directory that has none.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use collector::{Limits, OtlpDecoder};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use storage::{ReadOnlyStore, SystemClock};

use crate::cli::{Format, SqlArgs};
use crate::client::Client;

const DEFAULT_SERVER: &str = "http://127.0.0.1:7317";

struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    truncated: bool,
}

pub async fn run(arguments: SqlArgs) -> anyhow::Result<()> {
    let rows = match &arguments.data {
        Some(directory) => from_directory(directory, &arguments).await?,
        None => from_server(arguments.to.as_deref().unwrap_or(DEFAULT_SERVER), &arguments).await?,
    };
    let mut out = std::io::stdout().lock();
    write(&rows, arguments.format, &mut out)?;
    out.flush()?;
    if rows.truncated {
        eprintln!("spanhouse: there are more rows; --limit raises how many are shown");
    }
    Ok(())
}

async fn from_server(url: &str, arguments: &SqlArgs) -> anyhow::Result<Rows> {
    let mut body = json!({"query": arguments.query, "format": "arrow"});
    if let Some(limit) = arguments.limit {
        body["limit"] = limit.into();
    }
    let stream = Client::new(url)?.post("/api/sql", &body).await?;
    let reader = StreamReader::try_new(&stream[..], None).context("the server's answer is no Arrow stream")?;
    let schema = reader.schema();
    let truncated = schema.metadata().get("spanhouse.truncated").is_some_and(|truncated| truncated == "true");
    let batches = reader.collect::<Result<_, _>>().context("the server's answer was cut short")?;
    Ok(Rows { schema, batches, truncated })
}

async fn from_directory(directory: &Path, arguments: &SqlArgs) -> anyhow::Result<Rows> {
    let decoder = Arc::new(OtlpDecoder { limits: Limits::default() });
    let store =
        ReadOnlyStore::open(directory, &storage::Config::default(), &SystemClock, decoder).await.map_err(|error| {
            match error {
                storage::Error::Locked { .. } => {
                    anyhow::Error::new(error).context("its server answers with --to http://127.0.0.1:7317")
                }
                other => other.into(),
            }
        })?;
    let engine = query::Engine::new(query::Config::default(), Arc::new(store))?;
    let request = query::SqlRequest { query: arguments.query.clone(), limit: arguments.limit, ..Default::default() };
    let mut answer = engine.sql(request).await?;
    let batches = answer.collect().await?;
    Ok(Rows { schema: answer.schema(), batches, truncated: answer.truncated() })
}

fn write(rows: &Rows, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    match format {
        Format::Table | Format::Csv | Format::Json => writeln!(out, "{:?}", rows.batches)?,
        Format::Arrow => {
            let mut writer = StreamWriter::try_new(out, &rows.schema)?;
            for batch in &rows.batches {
                writer.write(batch)?;
            }
            writer.finish()?;
        }
        Format::Parquet => {
            let mut bytes = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&rows.schema), None)?;
            for batch in &rows.batches {
                writer.write(batch)?;
            }
            writer.close()?;
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}
