//! Cases of OTLP about a start with a log that takes long to read.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tests::{Server, get, spanhouse};

/// Just below what a request may be, inflated.
const INFLATED_BYTES: usize = 60 << 20;

/// A span with a text that is almost all of its request.
fn request(number: u8) -> Vec<u8> {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64);
    let text = any_value::Value::StringValue("a".repeat(INFLATED_BYTES));
    let value = Some(AnyValue { value: Some(text) });
    let span = Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        name: "bomb".to_owned(),
        start_time_unix_nano: now,
        end_time_unix_nano: now,
        attributes: vec![KeyValue { key: "text".to_owned(), value, ..KeyValue::default() }],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// The most that a block of zstd stands for.
const BLOCK_BYTES: usize = 128 << 10;

/// A frame of zstd in which a block of one byte again and again takes four.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    // Magic number, no checksum and no size, a window of one block.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
    let blocks = bytes.chunks(BLOCK_BYTES);
    let last = blocks.len() - 1;
    for (at, block) in blocks.enumerate() {
        let is_run = block.iter().all(|byte| *byte == block[0]);
        let header = (block.len() as u32) << 3 | u32::from(is_run) << 1 | u32::from(at == last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(if is_run { &block[..1] } else { block });
    }
    frame
}

/// Makes a log of `bombs` requests, and kills the server that wrote it.
fn log_of_bombs(directory: &Path, bombs: u8) -> anyhow::Result<Server> {
    let mut server = Server::on(directory).variable("SPANHOUSE_ASSEMBLY_MAX_AGE", "1h").start()?;
    for number in 1..=bombs {
        let body = zstd(&request(number));
        ensure!(body.len() < INFLATED_BYTES / 300, "{} bytes are no bomb", body.len());
        let answer = server.export(&body, Some("zstd"))?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    }
    server.kill()?;
    Ok(server)
}

fn peak_memory_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

#[test]
#[cfg(target_os = "linux")]
fn otlp_809_bombs_in_the_log_are_inflated_one_at_a_time_at_a_start() -> anyhow::Result<()> {
    const BOMBS: u8 = 8;
    let directory = tempfile::tempdir()?;
    let server = log_of_bombs(directory.path(), BOMBS)?.start_again()?;
    let peak = peak_memory_bytes(server.pid())?;
    ensure!(peak < 6 * INFLATED_BYTES as u64, "the start took {peak} bytes");
    ensure!(server.count("SELECT count(*) FROM spans WHERE span_name = 'bomb'")? == i64::from(BOMBS));
    Ok(())
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn otlp_907_the_ingest_ports_are_closed_until_the_log_is_read() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let _killed = log_of_bombs(directory.path(), 3)?;
    // Known before they are open: whoever listens on port 0 says where only when it is ready.
    let free = || -> anyhow::Result<SocketAddr> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?) };
    let [grpc, otlp_http, http] = [free()?, free()?, free()?];
    let addresses = [grpc, otlp_http, http].map(|address| address.to_string());
    let data = directory.path().display().to_string();
    let mut child = spanhouse(&["serve", "--data", &data])
        .args(["--otlp-grpc", &addresses[0], "--otlp-http", &addresses[1], "--http", &addresses[2]])
        .args(["--sampling-http", "off", "--sampling-grpc", "off"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let log = BufReader::new(child.stderr.take().context("no standard error")?);
    let _child = Killed(child);
    let is_replayed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_replayed);
    std::thread::spawn(move || {
        log.lines().map_while(Result::ok).for_each(|line| {
            seen.fetch_or(line.contains("replayed the WAL"), Ordering::Relaxed);
        });
    });

    let readiness = || get(http, "/readyz").ok().map(|answer| answer.status);
    let is_open = |port: SocketAddr| match TcpStream::connect_timeout(&port, Duration::from_secs(1)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error),
    };
    let mut refused = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let status = readiness();
        if is_open(grpc)? || is_open(otlp_http)? {
            // The line was written before; it may be under way.
            std::thread::sleep(Duration::from_millis(200));
            ensure!(is_replayed.load(Ordering::Relaxed), "an ingest port is open during replay");
            ensure!(refused > 0, "replay was too short to be seen");
        } else if status == Some(503) {
            refused += 1;
        }
        if status == Some(200) {
            ensure!(is_open(grpc)? && is_open(otlp_http)?, "an ingest port is closed after replay");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("it did not become ready")
}
