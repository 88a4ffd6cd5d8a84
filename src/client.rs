//! Asks a running server over HTTP.

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

pub struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Client {
    /// `url` is the page's address, as `http://127.0.0.1:7317`.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: hyper::Uri = base.parse().with_context(|| format!("{url:?} is no URL"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            bail!("{url:?} must begin with http:// and a host");
        }
        Ok(Self { http: HttpClient::builder(TokioExecutor::new()).build_http(), base })
    }

    /// Posts JSON and returns the answer's bytes; an error answer becomes an error with the server's message.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Bytes> {
        self.ask(Method::POST, path, Bytes::from(body.to_string())).await
    }

    /// The same without a body.
    pub async fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = self.http.request(request).await.with_context(|| {
            format!("cannot reach {}; is a server running there? `spanhouse serve` starts one", self.base)
        })?;
        let status = response.status();
        let body = response.into_body().collect().await.context("the answer was cut short")?.to_bytes();
        if status == StatusCode::OK {
            return Ok(body);
        }
        let told = serde_json::from_slice::<Value>(&body).ok();
        match told.as_ref().and_then(|told| told.pointer("/error/message")).and_then(Value::as_str) {
            Some(message) => bail!("{message}"),
            None => bail!("{}{path} answered {status}", self.base),
        }
    }
}
