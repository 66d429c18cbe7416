//! A form as it passes: a field that money or routing hangs on may stand in it once only.

use memchr::memmem;

use super::request::{DuplicateMember, SINGLE};

/// The head of a part is no longer than this for any server that reads forms.
const LONGEST_HEAD: usize = 16 * 1024;

/// Looks at the heads of a form's parts, and at nothing between them.
#[derive(Debug)]
pub(crate) struct FormWatch {
    delimiter: Vec<u8>,
    /// The end of what was fed, where something may begin that is not whole yet.
    carried: Vec<u8>,
    in_head: bool,
    at_line_start: bool,
    seen: u32,
}

impl FormWatch {
    /// Watches a form with this boundary.
    pub(crate) fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("--{boundary}").into_bytes(),
            carried: Vec::new(),
            in_head: false,
            at_line_start: true,
            seen: 0,
        }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// A field that may stand once only begins a second time in them. The body must not go on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), DuplicateMember> {
        let mut joined = std::mem::take(&mut self.carried);
        let mut rest = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        loop {
            let found = if self.in_head { self.head(rest)? } else { self.delimiter(rest) };
            match found {
                Ok(end) => rest = rest.get(end..).unwrap_or_default(),
                Err(kept) => {
                    let from = rest.len().saturating_sub(kept);
                    self.carried = rest.get(from..).unwrap_or_default().to_vec();
                    return Ok(());
                }
            }
        }
    }

    /// Where the next part begins, or how much of the end may be its beginning.
    fn delimiter(&mut self, rest: &[u8]) -> Result<usize, usize> {
        // A delimiter begins a line; the same bytes inside a file are not one.
        let begins = |at: usize| match at.checked_sub(1) {
            Some(before) => rest.get(before) == Some(&b'\n'),
            None => self.at_line_start,
        };
        let at = memmem::find_iter(rest, &self.delimiter).find(|at| begins(*at));
        let length = self.delimiter.len();
        if at.is_none() && rest.len() >= length {
            self.at_line_start = false;
        }
        self.in_head = at.is_some();
        at.map(|at| at + length).ok_or(length)
    }

    /// Where a part's content begins, or how much must be kept until its head has come.
    fn head(&mut self, rest: &[u8]) -> Result<Result<usize, usize>, DuplicateMember> {
        let end = memmem::find(rest, b"\r\n\r\n").map(|at| at + 4);
        let end = match end {
            None if rest.len() <= LONGEST_HEAD => return Ok(Err(rest.len())),
            None => LONGEST_HEAD,
            Some(end) => end.min(LONGEST_HEAD),
        };
        self.note(rest.get(..end).unwrap_or_default())?;
        (self.in_head, self.at_line_start) = (false, true);
        Ok(Ok(end))
    }

    fn note(&mut self, head: &[u8]) -> Result<(), DuplicateMember> {
        let head = String::from_utf8_lossy(head);
        let dispositions = head.lines().filter(|line| {
            let name = line.split(':').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("content-disposition")
        });
        let parameters = dispositions.flat_map(|line| line.split(';').skip(1));
        for (name, value) in parameters.filter_map(|it| it.trim().split_once('=')) {
            let value = value.trim().trim_matches('"');
            let single = SINGLE.iter().position(|single| *single == value);
            let Some(index) = single.filter(|_| name.trim().eq_ignore_ascii_case("name")) else {
                continue;
            };
            if self.seen & 1 << index != 0 {
                return Err(DuplicateMember(SINGLE.get(index).copied().unwrap_or_default()));
            }
            self.seen |= 1 << index;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\
        \r\n\r\nx--b\r\nname=\"model\"\r\n\0\r\n-\r\n--\r\n";

    fn field(name: &str, value: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn watched(form: &str, cuts: usize) -> Result<(), DuplicateMember> {
        let mut watch = FormWatch::new("b");
        form.as_bytes().chunks(cuts).try_for_each(|piece| watch.feed(piece))
    }

    #[test]
    fn a_form_whose_single_fields_stand_once_passes_however_it_is_cut() {
        let model = field("model", "--b is no delimiter here");
        let more = [field("image[]", "1"), field("image[]", "2"), field("n", "")].concat();
        for cuts in 1..200 {
            for form in [
                format!("{model}{FILE}{more}--b--\r\n"),
                format!("{FILE}{model}{more}--b--"),
                format!("preamble\r\n{more}{FILE}{model}--b--"),
            ] {
                assert_eq!(watched(&form, cuts), Ok(()), "{cuts}: {form}");
            }
        }
    }

    #[test]
    fn a_second_one_is_found_wherever_it_stands_and_however_it_is_spelled() {
        let model = field("model", "a");
        for second in [
            field("model", "b"),
            model.replace("Content-Disposition", "CONTENT-DISPOSITION"),
            model.replace("\"model\"", "model"),
            model.replace("form-data;", "form-data; filename=\"x\";"),
            model.replace("name=", "name=\"x\"; name="),
            model.replace("\r\n\r\n", "\r\nx-long: yes\r\n\r\n"),
        ] {
            for form in [
                format!("{model}{FILE}{second}--b--"),
                format!("{second}{model}{FILE}"),
                format!("{model}{}{second}", FILE.repeat(20)),
            ] {
                for cuts in [1, 2, 3, 5, 7, 64, 1 << 20] {
                    let said = watched(&form, cuts);
                    assert_eq!(said, Err(DuplicateMember("model")), "{cuts}: {form}");
                }
            }
        }
    }
}
