//! What an image costs in tokens, from its size; its size, from the first bytes of the file.
//!
//! Only images that stand in the request are measured. An address is never fetched: that would let a
//! caller send the gateway anywhere.

/// How a model counts an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageRule {
    /// Fit into 2048 × 2048, shrink the short side to 768, then so many tokens per 512-pixel tile.
    Tiles {
        /// Tokens for the image; all there is at low detail.
        base: u64,
        /// Tokens for each tile.
        tile: u64,
    },
    /// Patches of 32 × 32 pixels, shrunk to at most `cap` of them, times a factor.
    Patches {
        /// Tokens for a thousand patches.
        permille: u64,
        /// The most patches an image is shown in.
        cap: u64,
    },
    /// Patches of 28 × 28 pixels, one token each, at most `cap`.
    ClaudePatches {
        /// The most tokens of an image.
        cap: u64,
    },
}

impl ImageRule {
    /// The tile rule of GPT-4o.
    pub(super) const TILES: Self = Self::tiles(85, 170);

    pub(super) const fn tiles(base: u64, tile: u64) -> Self {
        Self::Tiles { base, tile }
    }

    pub(super) const fn patches(permille: u64, cap: u64) -> Self {
        Self::Patches { permille, cap }
    }

    /// Tokens of an image. Where the size is unknown, 1024 × 1024 is assumed.
    pub(crate) fn tokens(self, size: Option<ImageSize>, low_detail: bool) -> u64 {
        let size = size.unwrap_or(ImageSize { width: 1024, height: 1024 });
        match self {
            Self::Tiles { base, .. } if low_detail => base,
            Self::Tiles { base, tile } => base + tile * tiles(size),
            Self::Patches { permille, cap } => {
                (u128::from(patches(size, cap)) * u128::from(permille)).div_ceil(1_000) as u64
            }
            Self::ClaudePatches { cap } => {
                let (width, height) = (size.width.div_ceil(28), size.height.div_ceil(28));
                (u64::from(width) * u64::from(height)).min(cap)
            }
        }
    }
}

/// Pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageSize {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

fn tiles(size: ImageSize) -> u64 {
    let (mut width, mut height) = (u64::from(size.width), u64::from(size.height));
    let long = width.max(height);
    if long > 2_048 {
        (width, height) = (width * 2_048 / long, height * 2_048 / long);
    }
    let short = width.min(height);
    if short > 768 {
        (width, height) = (width * 768 / short, height * 768 / short);
    }
    width.div_ceil(512) * height.div_ceil(512)
}

/// Patches after shrinking: the larger scale at which one side is whole patches and all fit.
fn patches(size: ImageSize, cap: u64) -> u64 {
    let (width, height) = (u64::from(size.width.max(1)), u64::from(size.height.max(1)));
    let full = width.div_ceil(32) * height.div_ceil(32);
    if full <= cap {
        return full;
    }
    let across = (cap * width / height).isqrt().max(1);
    let down = (cap * height / width).isqrt().max(1);
    let shrunk = if across * height <= down * width {
        across * (across * height).div_ceil(width)
    } else {
        down * (down * width).div_ceil(height)
    };
    shrunk.min(cap)
}

/// The size of an image that stands in a `data:` address; none for any other address.
pub(crate) fn size_in_data_url(address: &str) -> Option<ImageSize> {
    let (kind, data) = address.strip_prefix("data:")?.split_once(',')?;
    kind.ends_with(";base64").then(|| size_in_base64(data))?
}

/// The size of an image given in base64, read from its first bytes (PNG, JPEG, GIF, WebP).
pub(crate) fn size_in_base64(data: &str) -> Option<ImageSize> {
    let head = decode_head(data);
    png(&head).or_else(|| gif(&head)).or_else(|| webp(&head)).or_else(|| jpeg(&head))
}

/// A JPEG may carry a preview and a color profile before its size.
const HEAD_BYTES: usize = 256 * 1024;

/// The first bytes of base64 text, of either alphabet, up to the first character that is neither.
fn decode_head(data: &str) -> Vec<u8> {
    let mut head = Vec::with_capacity(1024);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for symbol in data.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            head.push((bits >> held & 0xFF) as u8);
        }
        if head.len() >= HEAD_BYTES {
            break;
        }
    }
    head
}

fn bytes_at<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn png(head: &[u8]) -> Option<ImageSize> {
    if !head.starts_with(b"\x89PNG\r\n\x1a\n") || bytes_at(head, 12)? != *b"IHDR" {
        return None;
    }
    let width = u32::from_be_bytes(bytes_at(head, 16)?);
    let height = u32::from_be_bytes(bytes_at(head, 20)?);
    Some(ImageSize { width, height })
}

fn gif(head: &[u8]) -> Option<ImageSize> {
    if !head.starts_with(b"GIF8") {
        return None;
    }
    let width = u16::from_le_bytes(bytes_at(head, 6)?).into();
    let height = u16::from_le_bytes(bytes_at(head, 8)?).into();
    Some(ImageSize { width, height })
}

fn webp(head: &[u8]) -> Option<ImageSize> {
    if !head.starts_with(b"RIFF") || bytes_at(head, 8)? != *b"WEBP" {
        return None;
    }
    match &bytes_at(head, 12)? {
        b"VP8 " => {
            let width = u16::from_le_bytes(bytes_at(head, 26)?) & 0x3FFF;
            let height = u16::from_le_bytes(bytes_at(head, 28)?) & 0x3FFF;
            Some(ImageSize { width: width.into(), height: height.into() })
        }
        b"VP8L" => {
            let packed = u32::from_le_bytes(bytes_at(head, 21)?);
            let (width, height) = ((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1);
            Some(ImageSize { width, height })
        }
        b"VP8X" => {
            let [width @ .., _] = bytes_at::<4>(head, 24)?;
            let [height @ .., _] = bytes_at::<4>(head, 27)?;
            Some(ImageSize { width: less_one(width), height: less_one(height) })
        }
        _ => None,
    }
}

/// A length stored in three bytes as one less than it is.
fn less_one([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0]) + 1
}

/// Walks the segments of a JPEG to the frame header that holds its size.
fn jpeg(head: &[u8]) -> Option<ImageSize> {
    if !head.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    let mut at = 2;
    loop {
        let [0xFF, marker] = bytes_at(head, at)? else { return None };
        match marker {
            // A fill byte, and markers without a body.
            0xFF => at += 1,
            0x01 | 0xD0..=0xD8 => at += 2,
            // Frame headers; C4, C8 and CC are tables that share their range.
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                let height = u16::from_be_bytes(bytes_at(head, at + 5)?).into();
                let width = u16::from_be_bytes(bytes_at(head, at + 7)?).into();
                return Some(ImageSize { width, height });
            }
            // The image data begins, or the file ends, with no frame header before it.
            0xD9 | 0xDA => return None,
            _ => at += 2 + usize::from(u16::from_be_bytes(bytes_at(head, at + 2)?)).max(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(bytes: &[u8]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let mut block = [0; 4];
            block[1..=chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes(block);
            for place in 0..=chunk.len() {
                text.push(char::from(alphabet[(bits >> (18 - 6 * place) & 63) as usize]));
            }
        }
        text
    }

    fn size(width: u32, height: u32) -> Option<ImageSize> {
        Some(ImageSize { width, height })
    }

    #[test]
    fn the_size_stands_in_the_first_bytes_of_each_format() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x03\x20\0\0\x02\x58";
        assert_eq!(size_in_base64(&base64(png)), size(800, 600));
        assert_eq!(size_in_base64(&base64(b"GIF89a\x20\x03\x58\x02")), size(800, 600));
        let lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x20\x03\x58\x02";
        assert_eq!(size_in_base64(&base64(lossy)), size(800, 600));
        let lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x1f\xc3\x95\0";
        assert_eq!(size_in_base64(&base64(lossless)), size(800, 600));
        let extended = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x1f\x03\0\x57\x02\0\0";
        assert_eq!(size_in_base64(&base64(extended)), size(800, 600));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc4\0\x02\xff\xc0\0\x0b\x08\x02\x58\x03\x20\x03";
        assert_eq!(size_in_base64(&base64(jpeg)), size(800, 600));
        let address = format!("data:image/gif;base64,{}", base64(b"GIF89a\x20\x03\x58\x02"));
        assert_eq!(size_in_data_url(&address), size(800, 600));
    }

    #[test]
    fn a_broken_or_foreign_image_has_no_size_and_no_address_is_followed() {
        for bytes in [&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF8", b""]
        {
            assert_eq!(size_in_base64(&base64(bytes)), None, "{bytes:?}");
        }
        assert_eq!(size_in_base64("!!!"), None);
        assert_eq!(size_in_data_url("https://example.com/a.png"), None);
        assert_eq!(size_in_data_url("data:image/png,plain"), None);
    }

    #[test]
    fn the_published_examples_come_out() {
        let high = |rule: ImageRule, width, height| rule.tokens(size(width, height), false);
        assert_eq!(high(ImageRule::TILES, 1024, 1024), 765);
        assert_eq!(high(ImageRule::TILES, 2048, 4096), 1_105);
        assert_eq!(ImageRule::TILES.tokens(size(4096, 8192), true), 85);
        let plain = ImageRule::patches(1_000, 1_536);
        assert_eq!(high(plain, 1024, 1024), 1_024);
        assert_eq!(high(plain, 1800, 2400), 1_452);
    }

    #[test]
    fn no_size_overflows_or_divides_by_nothing() {
        let rules = [
            ImageRule::TILES,
            ImageRule::patches(1_200, 1_536),
            ImageRule::patches(1_200, u64::MAX),
            ImageRule::ClaudePatches { cap: 1_560 },
        ];
        for rule in rules {
            for (width, height) in [(0, 0), (1, u32::MAX), (u32::MAX, 1), (u32::MAX, u32::MAX)] {
                let _ = rule.tokens(size(width, height), false);
            }
        }
    }
}
