//! The app as Vite built it, embedded in the binary.
//!
//! Files under `assets/` have a hash in their name and never change under it; everything else is checked by ETag. The
//! page itself carries a nonce that is new in every answer, so it is never kept.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

/// What `index.html` has where the nonce belongs.
const NONCE_PLACE: &str = "__CSP_NONCE__";

#[cfg(web_app)]
#[derive(rust_embed::RustEmbed)]
#[folder = "web/dist"]
struct App;

struct File {
    data: std::borrow::Cow<'static, [u8]>,
    etag: String,
}

#[cfg(web_app)]
fn file(path: &str) -> Option<File> {
    let file = <App as rust_embed::RustEmbed>::get(path)?;
    let hash = file.metadata.sha256_hash();
    let etag = format!("\"{}\"", STANDARD_NO_PAD.encode(&hash[..12]));
    Some(File { data: file.data, etag })
}

#[cfg(not(web_app))]
fn file(_path: &str) -> Option<File> {
    None
}

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Spanhouse</title></head><body>\
<h1>Spanhouse runs, but without its page</h1>\
<p>This binary was built without the web app. The API works: <a href=\"/api/spanhouse/openapi.json\">/api/spanhouse/openapi.json</a>.</p>\
<p>To have the page, run <code>make run</code>, or <code>npm ci &amp;&amp; npm run build</code> in <code>ui/web</code> and build the binary \
again with the feature <code>web</code>.</p></body></html>";

/// Answers whatever is not the API's: a file of the app, or the page for the app's own addresses.
pub(crate) async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if !path.is_empty()
        && path != "index.html"
        && let Some(file) = file(path)
    {
        return asset(path, file, &headers);
    }
    // Addresses of the app have no dot; a file that is not there is not the page.
    if path.rsplit('/').next().is_some_and(|last| last.contains('.')) && path != "index.html" {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    }
    page()
}

fn asset(path: &str, file: File, headers: &HeaderMap) -> Response {
    let unchanged = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == file.etag.as_bytes());
    let kept = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(file.data.into_owned()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        response
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    if let Ok(etag) = HeaderValue::from_str(&file.etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn page() -> Response {
    let nonce = STANDARD_NO_PAD.encode(rand::random::<[u8; 16]>());
    let html = match file("index.html") {
        Some(file) => String::from_utf8_lossy(&file.data).replace(NONCE_PLACE, &nonce),
        None => NOT_BUILT.to_owned(),
    };
    let mut response = Response::new(Body::from(html));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = format!("{}; style-src 'self' 'nonce-{nonce}'", crate::guard::POLICY);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
