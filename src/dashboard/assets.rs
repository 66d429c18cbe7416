//! The pages' style sheet and script, in the binary, under names that change with their bytes.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::digest::sha256;

/// Where the assets are served.
#[derive(Debug)]
pub(crate) struct Assets {
    /// Path of the style sheet.
    pub style: String,
    /// Path of the script.
    pub script: String,
}

const STYLE: &str = include_str!("../../templates/style.css");
const SCRIPT: &str = include_str!("../../templates/page.js");

/// The names of this build.
pub(crate) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: format!("/assets/style.{}.css", fingerprint(STYLE)),
    script: format!("/assets/page.{}.js", fingerprint(SCRIPT)),
});

/// `GET /assets/{name}`: for ever the same bytes under a name.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let path = format!("/assets/{name}");
    let (kind, body) = if path == ASSETS.style {
        ("text/css; charset=utf-8", STYLE)
    } else if path == ASSETS.script {
        ("text/javascript; charset=utf-8", SCRIPT)
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, body).into_response()
}

fn fingerprint(text: &str) -> String {
    let mut digits = sha256(text);
    digits.truncate(12);
    digits
}
