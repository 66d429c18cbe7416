//! Reads a copy of what a provider compressed against our wish; its own bytes go on untouched.

use std::io::Read;

/// The compressed copy that is kept: 8 MiB.
pub(crate) const LARGEST_COPY: usize = 8 * 1024 * 1024;

/// What it may grow to: 64 MiB, whatever the compressed bytes promise.
const LARGEST_PLAIN: u64 = 64 * 1024 * 1024;

/// Decodes a body by the name in its `content-encoding`. What could be read before a fault or the
/// end of the copy is returned; `None` where the encoding is not known or nothing could be read.
pub(crate) fn plain(encoding: &str, packed: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        "gzip" | "x-gzip" => read_out(flate2::read::MultiGzDecoder::new(packed)),
        "deflate" => read_out(flate2::read::ZlibDecoder::new(packed))
            .or_else(|| read_out(flate2::read::DeflateDecoder::new(packed))),
        "br" => read_out(brotli_decompressor::Decompressor::new(packed, 4096)),
        "zstd" => read_out(ruzstd::decoding::StreamingDecoder::new(packed).ok()?),
        _ => None,
    }
}

fn read_out(source: impl Read) -> Option<Vec<u8>> {
    let mut source = source.take(LARGEST_PLAIN);
    let mut plain = Vec::new();
    let mut piece = [0_u8; 8192];
    while let Ok(length) = source.read(&mut piece) {
        let read = piece.get(..length).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        plain.extend_from_slice(read);
    }
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_gzipped_body_is_read_even_when_cut_short() {
        let text = "a body that says something, ".repeat(100);
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        packer.write_all(text.as_bytes()).unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(plain("gzip", &packed).unwrap(), text.as_bytes());
        let cut = plain("gzip", &packed[..packed.len() / 2]).unwrap();
        assert!(text.as_bytes().starts_with(&cut) && cut.len() > 100);
    }

    #[test]
    fn an_unknown_or_broken_encoding_reads_as_nothing() {
        assert_eq!(plain("snappy", b"xx"), None);
        for encoding in ["gzip", "br", "zstd"] {
            assert_eq!(plain(encoding, b"\xff\xff\xffnot it"), None, "{encoding}");
        }
    }
}
