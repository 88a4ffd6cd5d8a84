use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use demo::export::requests;
use demo::send::Compression;
use demo::shop;
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// One request as the server saw it.
#[derive(Debug, Clone, Default)]
struct Seen {
    content_type: String,
    content_encoding: String,
    body: Vec<u8>,
}

/// Just enough of HTTP/1.1: refuses every body that contains `refused`.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all)));
            }
        });
        Self { address, seen }
    }

    async fn import(&self, files: &[&Path], more: &[&str]) -> anyhow::Result<()> {
        let args = ImportArgs {
            files: files.iter().map(|file| file.to_path_buf()).collect(),
            to: self.address.clone(),
            parallel: if more.contains(&"parallel") { 4 } else { 1 },
            shift_to_now: more.contains(&"shift_to_now"),
        };
        run(args).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, all: Arc<Mutex<Vec<Seen>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut seen = Seen::default();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "content-type" => seen.content_type = value.trim().to_owned(),
                "content-encoding" => seen.content_encoding = value.trim().to_owned(),
                _ => {}
            }
        }
        seen.body.resize(length, 0);
        stream.read_exact(&mut seen.body).await?;
        let is_refused = seen.body.windows(7).any(|window| window == b"refused");
        all.lock().unwrap().push(seen);
        let reply = match is_refused {
            true => {
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n{\"code\":3,\"message\":\"bad at byte 7\"}"
            }
            false => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn protobuf() -> Vec<u8> {
    let mut exports = requests(shop::Config { spans: Some(50), ..shop::Config::default() }).unwrap();
    exports.next().unwrap().request.encode_to_vec()
}

const JSON: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","startTimeUnixNano":"1655753657874176001","endTimeUnixNano":"1655753657874176002"}]}]}]}"#;

#[tokio::test]
async fn files_go_out_byte_for_byte_in_their_order() {
    let (server, folder) = (Server::start().await, TempDir::new().unwrap());
    let plain = protobuf();
    let gzip = Compression::Gzip.compress(plain.clone()).unwrap();
    let zstd = Compression::Zstd.compress(plain.clone()).unwrap();
    write(&folder, "0.pb", &plain);
    write(&folder, "1.pb.gz", &gzip);
    write(&folder, "2.pb.zst", &zstd);
    write(&folder, "3.json", JSON.as_bytes());
    server.import(&[folder.path()], &[]).await.unwrap();
    let seen = server.seen();
    let heads: Vec<_> = seen.iter().map(|s| (s.content_type.as_str(), s.content_encoding.as_str())).collect();
    assert_eq!(
        heads,
        [
            ("application/x-protobuf", ""),
            ("application/x-protobuf", "gzip"),
            ("application/x-protobuf", "zstd"),
            ("application/json", "")
        ]
    );
    assert_eq!(seen[0].body, plain);
    assert_eq!(seen[1].body, gzip);
    assert_eq!(seen[2].body, zstd);
    assert_eq!(seen[3].body, JSON.as_bytes());
}

#[tokio::test]
async fn every_line_is_a_request_also_in_a_file_named_json() {
    let (server, folder) = (Server::start().await, TempDir::new().unwrap());
    let lines = format!("{JSON}\n\n{JSON}\n{JSON}");
    let named_lines = write(&folder, "a.jsonl.gz", &Compression::Gzip.compress(lines.clone().into_bytes()).unwrap());
    let named_json = write(&folder, "b.json", lines.as_bytes());
    server.import(&[&named_lines, &named_json], &["parallel"]).await.unwrap();
    assert_eq!(server.seen().len(), 6);
    let pretty = JSON.replace(',', ",\n");
    let pretty = write(&folder, "c.json", pretty.as_bytes());
    server.import(&[&pretty], &[]).await.unwrap();
    assert_eq!(server.seen().len(), 7);
}

#[tokio::test]
async fn a_folder_may_hold_other_json_too() {
    let (server, folder) = (Server::start().await, TempDir::new().unwrap());
    write(&folder, "00000.pb", &protobuf());
    write(&folder, "index.json", b"{\"files\": []}");
    write(&folder, "list.json", b"[1, 2]");
    write(&folder, "notes.txt", b"no");
    server.import(&[folder.path()], &[]).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_request_is_counted_and_the_others_go_on() {
    let (server, folder) = (Server::start().await, TempDir::new().unwrap());
    write(&folder, "0.pb", b"refused");
    write(&folder, "1.pb", &protobuf());
    let error = server.import(&[folder.path()], &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of 2 requests failed");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_when_a_name_is_wrong() {
    let (server, folder) = (Server::start().await, TempDir::new().unwrap());
    let good = write(&folder, "0.pb", &protobuf());
    let unknown = write(&folder, "1.txt", b"");
    let missing = folder.path().join("missing.pb");
    let empty = TempDir::new().unwrap();
    for (wrong, expected) in [
        (unknown.as_path(), "is of no known kind"),
        (&missing, "missing.pb"),
        (empty.path(), "no .pb, .json or .jsonl"),
    ] {
        let error = server.import(&[&good, wrong], &[]).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error:#}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_remedy() {
    let folder = TempDir::new().unwrap();
    let file = write(&folder, "0.pb", &protobuf());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let args = ImportArgs { files: vec![file], to: address.clone(), parallel: 4, shift_to_now: false };
    let error = run(args).await.unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("spanhouse serve"), "{error}");
}

#[tokio::test]
async fn shifted_times_keep_their_distances_and_end_now() {
    let (server, folder) = (Server::start().await, TempDir::new().unwrap());
    let plain = protobuf();
    let newest = wire::facts(&plain).unwrap().newest_end_unix_nanos.unwrap();
    write(&folder, "0.pb.zst", &Compression::Zstd.compress(plain).unwrap());
    write(&folder, "1.json", JSON.as_bytes());
    let before = SystemClock.now().0 as u64;
    server.import(&[folder.path()], &["shift_to_now"]).await.unwrap();
    let after = SystemClock.now().0 as u64;
    let unpack = |seen: &Seen| {
        let mut bytes = Vec::new();
        let mut decoder = flate2::write::GzDecoder::new(&mut bytes);
        decoder.write_all(&seen.body).unwrap();
        decoder.finish().unwrap();
        bytes
    };
    let seen = server.seen();
    let now = wire::facts(&unpack(&seen[0])).unwrap().newest_end_unix_nanos.unwrap();
    assert!((before..=after).contains(&now), "{before} {now} {after}");
    let json: serde_json::Value = serde_json::from_slice(&unpack(&seen[1])).unwrap();
    let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    let expected = (1_655_753_657_874_176_002 + (now - newest)).to_string();
    assert_eq!(span["endTimeUnixNano"], expected);
}
