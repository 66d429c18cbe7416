//! Native paths: `/{provider}/REST` goes to `{base_url}/REST`, with labels before it if any.

/// A native path, taken apart. `/@search:web/openai/v1/models` is team `search`, app `web`,
/// provider `openai`, rest `/v1/models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NativePath<'a> {
    /// The team the path claims.
    pub team: Option<&'a str>,
    /// The application the path claims.
    pub app: Option<&'a str>,
    /// The first segment after the labels.
    pub provider: &'a str,
    /// Everything after it, with its slash; empty where nothing follows.
    pub rest: &'a str,
}

/// Why a path cannot be forwarded, whatever it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path holds a `.` or `..` segment, which a provider may resolve to another place")]
pub(crate) struct DottedPath;

/// Takes a path apart; a query is not part of it.
///
/// # Errors
/// A segment of dots, spelled out or percent-encoded.
pub(crate) fn read(path: &str) -> Result<NativePath<'_>, DottedPath> {
    if path.split('/').any(is_dotted) {
        return Err(DottedPath);
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let (labels, path) = match path.strip_prefix('@') {
        Some(labelled) => labelled.split_once('/').unwrap_or((labelled, "")),
        None => ("", path),
    };
    let (team, app) = labels.split_once(':').unwrap_or((labels, ""));
    let end = path.find('/').unwrap_or(path.len());
    let (provider, rest) = path.split_at(end);
    Ok(NativePath { team: non_empty(team), app: non_empty(app), provider, rest })
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn is_dotted(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    // A server that decodes %2f or %5c before resolving would see more segments than we do.
    let lower = plain.to_ascii_lowercase();
    let parts = lower.replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
    parts.split('/').any(|part| part == "." || part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart() {
        let plain = read("/openai/v1/chat/completions").unwrap();
        assert_eq!((plain.provider, plain.rest), ("openai", "/v1/chat/completions"));
        assert_eq!((plain.team, plain.app), (None, None));
        let labelled = read("/@search:web/anthropic/v1/messages").unwrap();
        assert_eq!((labelled.team, labelled.app), (Some("search"), Some("web")));
        assert_eq!((labelled.provider, labelled.rest), ("anthropic", "/v1/messages"));
        assert_eq!(read("/openai").unwrap().rest, "");
        assert_eq!(read("/").unwrap().provider, "");
        assert_eq!(read("/@search").unwrap().provider, "");
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        for path in ["/openai/../x", "/openai/%2e%2E/x", "/openai/./x", "/openai/a%2f..%2fx"] {
            assert_eq!(read(path), Err(DottedPath), "{path}");
        }
        assert!(read("/openai/v1/models/gpt-4.1").is_ok());
        assert!(read("/openai/v1/files/a..b").is_ok());
    }
}
