//! The short text fields of a `multipart/form-data` body, found without copying its files.

use memchr::memmem;

/// A field larger than this is no name or number, and is not looked at.
const LONGEST_FIELD: usize = 1_024;

/// A form of ours has no more parts than this.
const MOST_PARTS: usize = 256;

/// One short text field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextField<'a> {
    /// The field's name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// The boundary a content type names; `None` where it is no multipart form.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';');
    let kind = parameters.next()?.trim();
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let named = name.trim().eq_ignore_ascii_case("boundary");
        (named && (1..=200).contains(&value.len())).then(|| value.to_owned())
    })
}

/// Every short field that is no file. A field that stands twice is listed twice.
pub(crate) fn text_fields<'a>(boundary: &str, body: &'a [u8]) -> Vec<TextField<'a>> {
    let delimiter = format!("--{boundary}");
    let finder = memmem::Finder::new(&delimiter);
    let mut borders = finder
        .find_iter(body)
        // A delimiter begins a line; the same bytes inside a file are not one.
        .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'))
        .take(MOST_PARTS)
        .peekable();
    let mut fields = Vec::new();
    while let Some(start) = borders.next() {
        let end = borders.peek().copied().unwrap_or(body.len());
        let part = body.get(start + delimiter.len()..end).unwrap_or_default();
        fields.extend(text_field(part));
    }
    fields
}

/// What of the beginning of a body is whole parts: up to the last delimiter in it, so that no
/// value is taken for whole that may go on.
pub(crate) fn whole_parts<'a>(boundary: &str, beginning: &'a [u8]) -> &'a [u8] {
    let delimiter = format!("\r\n--{boundary}");
    let end = memmem::rfind(beginning, delimiter.as_bytes()).unwrap_or(0);
    beginning.get(..end).unwrap_or_default()
}

fn text_field(part: &[u8]) -> Option<TextField<'_>> {
    let part = part.strip_prefix(b"\r\n")?;
    let head_end = memmem::find(part.get(..part.len().min(4_096))?, b"\r\n\r\n")?;
    let head = std::str::from_utf8(part.get(..head_end)?).ok()?;
    let value = part.get(head_end + 4..)?;
    let value = value.strip_suffix(b"\r\n").unwrap_or(value);
    if value.len() > LONGEST_FIELD {
        return None;
    }
    let disposition = head.lines().find(|line| starts_with_name(line, "content-disposition:"))?;
    let parameter = |name: &str| {
        disposition.split(';').skip(1).find_map(|parameter| {
            let (found, value) = parameter.trim().split_once('=')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
        })
    };
    if parameter("filename").is_some() {
        return None;
    }
    Some(TextField { name: parameter("name")?, value: std::str::from_utf8(value).ok()? })
}

fn starts_with_name(line: &str, name: &str) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_read_with_and_without_quotes() {
        let read = |text| boundary(text);
        assert_eq!(read("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(read("Multipart/Form-Data;boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(read("application/json"), None);
        assert_eq!(read("multipart/form-data"), None);
    }

    #[test]
    fn a_file_that_contains_the_delimiter_in_a_line_yields_no_false_field() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n\
            xx--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nfalse\r\n\
            --b\r\ncontent-disposition: form-data; name=model\r\n\r\ntrue\r\n--b--";
        let fields = text_fields("b", body);
        assert_eq!(fields, [TextField { name: "model", value: "true" }]);
    }

    #[test]
    fn a_beginning_yields_no_value_that_may_go_on() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\
            gpt-4o-transcribe\r\n--b--\r\n";
        for cut in 0..body.len() {
            let fields = text_fields("b", whole_parts("b", &body[..cut]));
            assert!(fields.iter().all(|it| it.value == "gpt-4o-transcribe"), "{cut}: {fields:?}");
        }
        assert_eq!(text_fields("b", whole_parts("b", body)).len(), 1);
    }

    #[test]
    fn a_form_cut_anywhere_is_read_without_a_panic() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n";
        for cut in 0..body.len() {
            let _ = text_fields("b", &body[..cut]);
        }
        assert_eq!(text_fields("b", body).len(), 1);
    }
}
