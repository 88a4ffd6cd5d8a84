//! An OTLP server that answers as a test wants.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;

use ::http::HeaderMap;
use http_body_util::combinators::BoxBody;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use super::*;

type Body = BoxBody<Bytes, Infallible>;
pub(crate) type Reply = Response<Body>;

pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
    pub(crate) peer: u16,
}

/// A server to test against: answers requests in the order of its script, the last answer again and again.
pub(crate) struct FakeServer {
    address: String,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl FakeServer {
    pub(crate) async fn start(script: Vec<fn() -> Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((stream, peer)) = listener.accept().await {
                    let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await?.to_bytes();
                            let path = head.uri.path().to_owned();
                            let peer = peer.port();
                            seen.lock().unwrap().push(Seen {
                                path,
                                headers: head.headers,
                                body,
                                at: Instant::now(),
                                peer,
                            });
                            let mut script = script.lock().unwrap();
                            let reply = if script.len() > 1 { script.pop_front() } else { script.front().copied() };
                            Ok::<_, hyper::Error>(reply.unwrap()())
                        }
                    });
                    tokio::spawn(async move {
                        let _ = auto::Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            }
        });
        Self { address, seen }
    }

    pub(crate) fn endpoint(&self, transport: Transport) -> Endpoint {
        Endpoint::parse(&self.address, transport).unwrap()
    }

    pub(crate) fn client(&self, transport: Transport, retry: Retry) -> Client {
        let endpoint = self.endpoint(transport);
        let config = Config { timeout: Duration::from_millis(1_500), retry, jitter_seed: 1 };
        Client::new(endpoint, config)
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub(crate) fn reply(status: u16, headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Reply {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(Bytes::from(body)).boxed()).unwrap()
}

pub(crate) fn grpc(trailers: &[(&'static str, String)], message: Vec<u8>) -> Reply {
    let mut map = HeaderMap::new();
    for (name, value) in trailers {
        map.insert(*name, value.parse().unwrap());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    let body = Full::new(Bytes::from(frame)).with_trailers(async move { Some(Ok(map)) });
    Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
}

pub(crate) fn http_ok() -> Reply {
    reply(200, &[("content-type", "application/x-protobuf")], Vec::new())
}

pub(crate) fn grpc_ok() -> Reply {
    grpc(&[("grpc-status", "0".to_owned())], Vec::new())
}
