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
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use query::{SqlRequest, present};
use serde_json::json;
use storage::{ReadOnlyStore, SystemClock};

use crate::cli::{Format, SqlArgs};
use crate::client::Client;

const DEFAULT_SERVER: &str = "http://127.0.0.1:7317";
const DEFAULT_LIMIT: usize = 10_000;

struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

pub async fn run(arguments: SqlArgs) -> anyhow::Result<()> {
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT);
    // One more than is shown tells whether there are more.
    let asked = limit.saturating_add(1);
    let mut rows = match &arguments.data {
        Some(directory) => from_directory(directory, &arguments, asked).await?,
        None => from_server(arguments.to.as_deref().unwrap_or(DEFAULT_SERVER), &arguments, asked).await?,
    };
    let truncated = rows.cut(limit);
    let mut out = std::io::stdout().lock();
    match write(&rows, arguments.format, &mut out).and_then(|()| Ok(out.flush()?)) {
        // Whoever reads may have seen enough, as `head` does.
        Err(error) if error.downcast_ref().is_some_and(is_broken_pipe) => return Ok(()),
        written => written?,
    }
    if truncated {
        eprintln!("spanhouse: there are more than {limit} rows; --limit ROWS shows more");
    }
    Ok(())
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

async fn from_server(url: &str, arguments: &SqlArgs, limit: usize) -> anyhow::Result<Rows> {
    let body = json!({"query": arguments.query, "format": "arrow", "limit": limit});
    let stream = Client::new(url)?.post("/api/sql", &body).await?;
    let reader = StreamReader::try_new(&stream[..], None).context("the server's answer is no Arrow stream")?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<_, _>>().context("the server's answer was cut short")?;
    Ok(Rows { schema, batches })
}

async fn from_directory(directory: &Path, arguments: &SqlArgs, limit: usize) -> anyhow::Result<Rows> {
    let decoder = Arc::new(OtlpDecoder { limits: Limits::default() });
    let store =
        ReadOnlyStore::open(directory, &storage::Config::default(), &SystemClock, decoder).await.map_err(|error| {
            match error {
                storage::Error::Locked { .. } => anyhow::Error::new(error)
                    .context("a server has this directory; ask it with --to http://127.0.0.1:7317"),
                other => other.into(),
            }
        })?;
    let engine = query::Engine::new(query::Config::default(), Arc::new(store))?;
    let request = SqlRequest { limit: Some(limit), ..SqlRequest::new(&arguments.query) };
    let mut answer = engine.sql(request).await?;
    let batches = answer.collect().await?;
    Ok(Rows {
        schema: present::schema(&answer.schema()),
        batches: batches.iter().map(present::batch).collect::<Result<_, _>>()?,
    })
}

impl Rows {
    /// Cuts to `limit` rows; whether there were more.
    fn cut(&mut self, limit: usize) -> bool {
        let mut left = limit;
        let mut cut = false;
        for batch in &mut self.batches {
            cut |= batch.num_rows() > left;
            *batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
        }
        cut
    }
}

fn write(rows: &Rows, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    match format {
        Format::Table => out.write_all(ui::text::table(&rows.schema, &rows.batches)?.as_bytes())?,
        Format::Csv => out.write_all(ui::text::csv(&rows.schema, &rows.batches)?.as_bytes())?,
        Format::Json => out.write_all(ui::text::json(&rows.schema, &rows.batches)?.as_bytes())?,
        Format::Arrow => {
            let mut writer = StreamWriter::try_new(&mut *out, &rows.schema)?;
            for batch in &rows.batches {
                writer.write(batch)?;
            }
            writer.finish()?;
        }
        Format::Parquet => {
            let mut bytes = Vec::new();
            // What is said of types in memory stops some readers from filtering by texts.
            let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
            let mut writer = ArrowWriter::try_new_with_options(&mut bytes, Arc::clone(&rows.schema), options)?;
            for batch in &rows.batches {
                writer.write(batch)?;
            }
            writer.close()?;
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}
