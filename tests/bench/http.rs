//! HTTP/1.1 on a kept connection, with as little work as it takes.

use std::io::{BufRead, BufReader, IoSlice, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

const MAX_ANSWER_BYTES: usize = 16 << 20;
/// A flush of everything on a slow machine takes its time.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
    closes: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { address, stream: BufReader::new(stream) })
    }

    /// For an answer that takes longer than most.
    pub fn wait_for(&mut self, timeout: Duration) -> anyhow::Result<()> {
        Ok(self.stream.get_ref().set_read_timeout(Some(timeout))?)
    }

    pub fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.exchange(head.as_bytes(), &[])
    }

    /// `headers` are lines with their ends.
    pub fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let (address, length) = (self.address, body.len());
        let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: {length}\r\n\r\n");
        self.exchange(head.as_bytes(), body)
    }

    pub fn post_json(&mut self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.post(path, "content-type: application/json\r\n", body.to_string().as_bytes())
    }

    fn exchange(&mut self, head: &[u8], body: &[u8]) -> anyhow::Result<Answer> {
        let stream = self.stream.get_mut();
        // One system call for both, and no copy of the body.
        let written = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)])?;
        stream.write_all(head.get(written..).unwrap_or_default())?;
        stream.write_all(body.get(written.saturating_sub(head.len())..).unwrap_or_default())?;
        let answer = read_answer(&mut self.stream)?;
        if answer.closes {
            *self = Self::open(self.address)?;
        }
        Ok(answer)
    }
}

fn read_answer(stream: &mut impl BufRead) -> anyhow::Result<Answer> {
    let mut line = String::new();
    let mut next_line = |stream: &mut dyn BufRead| -> anyhow::Result<String> {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end().to_owned())
    };
    let status_line = next_line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut answer =
        Answer { status: status.with_context(|| format!("no status: {status_line}"))?, ..Answer::default() };
    let (mut length, mut chunked) = (0_usize, false);
    loop {
        let header = next_line(stream)?;
        let Some((name, value)) = header.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().with_context(|| header.clone())?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "retry-after" => answer.retry_after = value.parse().ok().map(Duration::from_secs),
            "connection" => answer.closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    loop {
        if chunked {
            let size = next_line(stream)?;
            length = usize::from_str_radix(&size, 16).with_context(|| format!("no size of a chunk: {size}"))?;
        }
        let before = answer.body.len();
        if length > MAX_ANSWER_BYTES - before {
            bail!("an answer of more than {MAX_ANSWER_BYTES} bytes");
        }
        answer.body.resize(before + length, 0);
        stream.read_exact(answer.body.get_mut(before..).unwrap_or_default())?;
        if !chunked {
            return Ok(answer);
        }
        next_line(stream)?;
        if length == 0 {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &str, status: u16, retry_after: Option<u64>, body: &str) {
        // The next answer stands right behind, and must stay there.
        let bytes = format!("{bytes}HTTP/1.1 204 No Content\r\n\r\n");
        let mut stream = bytes.as_bytes();
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        assert_eq!(answer.retry_after, retry_after.map(Duration::from_secs));
        assert_eq!(read_answer(&mut stream).unwrap().status, 204);
    }

    #[test]
    fn answers_end_where_they_say() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, None, "{}");
        check("HTTP/1.1 429 Too Many\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nbusy", 429, Some(3), "busy");
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            200,
            None,
            "abc0123456789",
        );
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for bytes in ["", "what\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "HTTP/1.1 200 OK\r\n"] {
            assert!(read_answer(&mut bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        let vast = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
        assert!(read_answer(&mut vast.as_bytes()).unwrap_err().to_string().contains("more than"));
    }
}
