//! HTTP/1.1 on a bare socket: nothing between a test and what the server really says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<Response> {
    request(address, "GET", path, &[], &[])
}

/// In the form that `accept` names.
pub fn get_as(address: SocketAddr, path: &str, accept: &str) -> anyhow::Result<Response> {
    request(address, "GET", path, &[("accept", accept)], &[])
}

pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> anyhow::Result<Response> {
    request(address, "POST", path, headers, body)
}

pub fn put(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> anyhow::Result<Response> {
    request(address, "PUT", path, headers, body)
}

fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    read_response(BufReader::new(stream))
}

fn read_response(mut stream: BufReader<TcpStream>) -> anyhow::Result<Response> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split_whitespace().nth(1).context("no status line")?.parse()?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("the head was cut short");
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).context("a chunk without its size")?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            if size == 0 {
                return Ok(response);
            }
            response.body.extend_from_slice(&chunk[..size]);
        }
    }
    match response.header("content-length").map(str::parse::<usize>).transpose()? {
        Some(length) => {
            response.body.resize(length, 0);
            stream.read_exact(&mut response.body)?;
        }
        None => {
            stream.read_to_end(&mut response.body)?;
        }
    }
    Ok(response)
}
