//! What was dropped in: a plain file, a gzip, a zip of several files, or something that is no CSV.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::invoice::foreign;
use crate::invoice::refusal::{InStream, Refusal, excerpt};

/// Bytes of a compressed file that are opened at most: 50 MiB.
pub(crate) const COMPRESSED_LIMIT: u64 = 50 << 20;
/// Bytes that come out of a compressed file at most: 1 GiB. Plain files have no limit; they are
/// read in constant memory.
pub(crate) const UNPACKED_LIMIT: u64 = 1 << 30;
/// Bytes out per byte in at most, once [`RATIO_FLOOR`] bytes came out.
pub(crate) const RATIO_LIMIT: u64 = 200;
/// Below this, a high ratio is only a short repetitive file: 16 MiB.
pub(crate) const RATIO_FLOOR: u64 = 16 << 20;
/// Entries of a zip that are looked at, at most.
pub(crate) const ENTRY_LIMIT: usize = 256;

/// Bytes looked at to tell what a file is.
const SNIFFED: usize = 4_096;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// A dropped file, opened as far as needed to know its parts.
pub(crate) struct Dropped<R> {
    parts: Vec<String>,
    packing: Packing<R>,
}

enum Packing<R> {
    Plain(R),
    Gzip(R),
    Zip { archive: ZipArchive<R>, indexes: Vec<usize> },
}

impl<R: Read + Seek> Dropped<R> {
    /// Looks at the first bytes, never at the extension, and lists what can be read.
    ///
    /// # Errors
    /// A [`Refusal`] for archives beyond the limits, without a CSV or damaged, and for spreadsheets.
    pub(crate) fn open(file_name: &str, mut source: R) -> Result<Self, Refusal> {
        let bytes = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let mut magic = Vec::new();
        source.by_ref().take(8).read_to_end(&mut magic)?;
        source.seek(SeekFrom::Start(0))?;
        let name = base_name(file_name);
        let zipped = magic.starts_with(b"PK\x03\x04") || magic.starts_with(b"PK\x05\x06");
        let gzipped = magic.starts_with(GZIP_MAGIC);
        if (zipped || gzipped) && bytes > COMPRESSED_LIMIT {
            return Err(Refusal::CompressedTooLarge { bytes, limit: COMPRESSED_LIMIT });
        }
        if zipped {
            return Self::open_zip(source);
        }
        let packing = if gzipped { Packing::Gzip(source) } else { Packing::Plain(source) };
        Ok(Self { parts: vec![name], packing })
    }

    fn open_zip(mut source: R) -> Result<Self, Refusal> {
        let count = declared_entries(&mut source)?;
        if count > ENTRY_LIMIT {
            return Err(Refusal::TooManyEntries { count, limit: ENTRY_LIMIT });
        }
        let mut archive = ZipArchive::new(source).map_err(|error| damaged_zip(&error, 0))?;
        if archive.len() > ENTRY_LIMIT {
            return Err(Refusal::TooManyEntries { count: archive.len(), limit: ENTRY_LIMIT });
        }
        let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
        if let Some(what) = foreign::office_document(&names) {
            return Err(Refusal::NotCsv { what: what.into(), advice: SAVE_AS_CSV.into() });
        }
        let (mut parts, mut indexes, mut declared) = (Vec::new(), Vec::new(), 0_u64);
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(|error| damaged_zip(&error, 0))?;
            if entry.is_dir() || !holds_csv(entry.name()) {
                continue;
            }
            if entry.encrypted() {
                let what = format!("a zip whose {:?} is encrypted", excerpt(entry.name()));
                return Err(Refusal::NotCsv { what, advice: "unpack it first".into() });
            }
            declared = declared.saturating_add(entry.size());
            parts.push(base_name(entry.name()));
            indexes.push(index);
        }
        if declared > UNPACKED_LIMIT {
            return Err(Refusal::UnpackedTooLarge { limit: UNPACKED_LIMIT });
        }
        if parts.is_empty() {
            let shown: Vec<String> = names.iter().take(5).map(|name| excerpt(name)).collect();
            let names = if shown.is_empty() { "nothing".into() } else { shown.join(", ") };
            return Err(Refusal::NoCsvInZip { names });
        }
        Ok(Self { parts, packing: Packing::Zip { archive, indexes } })
    }

    /// The names of the files inside, without folders; one for a plain file or a gzip.
    pub(crate) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The bytes of one part from its beginning, unpacked within the limits as they are read.
    ///
    /// # Errors
    /// A [`Refusal`] if the part holds no CSV; the limits raise theirs from the reader.
    pub(crate) fn unpack(&mut self, index: usize) -> Result<Box<dyn Read + '_>, Refusal> {
        match &mut self.packing {
            Packing::Plain(source) => {
                source.seek(SeekFrom::Start(0))?;
                sniffed(Box::new(source))
            }
            Packing::Gzip(source) => {
                source.seek(SeekFrom::Start(0))?;
                sniffed(Box::new(gunzip(source)))
            }
            Packing::Zip { archive, indexes } => {
                let entry = *indexes.get(index).ok_or(Refusal::NoSuchPart { index })?;
                let entry = archive.by_index(entry).map_err(|error| damaged_zip(&error, 0))?;
                let packed = Rc::new(Cell::new(entry.compressed_size()));
                let mut bounded = Bounded { inner: entry, packed, unpacked: 0, archive: "zip" };
                let mut magic = Vec::new();
                bounded.by_ref().take(2).read_to_end(&mut magic).map_err(Refusal::from_io)?;
                let gzipped = magic == GZIP_MAGIC;
                let whole = Cursor::new(magic).chain(bounded);
                if gzipped { sniffed(Box::new(gunzip(whole))) } else { sniffed(Box::new(whole)) }
            }
        }
    }
}

/// How many entries the end of a zip declares, before any of its directory is read into memory.
fn declared_entries<R: Read + Seek>(source: &mut R) -> Result<usize, Refusal> {
    const END_OF_DIRECTORY: &[u8] = b"PK\x05\x06";
    const LONGEST_END: u64 = 22 + 65_535;
    let bytes = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(bytes.saturating_sub(LONGEST_END)))?;
    let mut tail = Vec::new();
    source.by_ref().take(LONGEST_END).read_to_end(&mut tail)?;
    source.seek(SeekFrom::Start(0))?;
    let counts = memchr::memmem::find_iter(&tail, END_OF_DIRECTORY).filter_map(|at| {
        let count = tail.get(at + 10..at + 12)?.try_into().ok()?;
        Some(usize::from(u16::from_le_bytes(count)))
    });
    Ok(counts.max().unwrap_or(0))
}

const SAVE_AS_CSV: &str = "download the provider's CSV export, or save the sheet as CSV (UTF-8)";

/// Refuses what is no CSV by its first bytes; otherwise gives them back with the rest.
fn sniffed<'a>(mut bytes: Box<dyn Read + 'a>) -> Result<Box<dyn Read + 'a>, Refusal> {
    let mut prefix = Vec::with_capacity(SNIFFED);
    let wanted = SNIFFED as u64;
    bytes.by_ref().take(wanted).read_to_end(&mut prefix).map_err(Refusal::from_io)?;
    if prefix.iter().all(|byte| byte.is_ascii_whitespace()) && prefix.len() < SNIFFED {
        return Err(Refusal::Empty);
    }
    match foreign::not_csv(&prefix) {
        Some(refusal) => Err(refusal),
        None => Ok(Box::new(Cursor::new(prefix).chain(bytes))),
    }
}

/// Whether the name inside a zip is one of a CSV a person dropped, not of what an archiver added.
fn holds_csv(name: &str) -> bool {
    let base = base_name(name).to_lowercase();
    let junk = name.starts_with("__MACOSX/") || base.starts_with("._") || base.starts_with('.');
    !junk && [".csv", ".csv.gz", ".tsv"].iter().any(|ending| base.ends_with(ending))
}

/// The last segment of a path in either notation: a name to show, never a path to open.
fn base_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    base.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

fn damaged_zip(error: &ZipError, position: u64) -> Refusal {
    Refusal::Damaged { archive: "zip", position, reason: error.to_string() }
}

fn gunzip<R: Read>(source: R) -> Bounded<MultiGzDecoder<Counted<R>>> {
    let packed = Rc::new(Cell::new(0));
    let counted = Counted { inner: source, count: Rc::clone(&packed) };
    Bounded { inner: MultiGzDecoder::new(counted), packed, unpacked: 0, archive: "gzip" }
}

/// Counts the compressed bytes that went in.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Holds the limits while bytes come out of an archive.
struct Bounded<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
    archive: &'static str,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.inner.read(buffer) {
            Ok(read) => read,
            Err(error) if is_damage(&error) => {
                let (archive, position) = (self.archive, self.unpacked);
                let reason = error.to_string();
                return Err(Refusal::Damaged { archive, position, reason }.into_io());
            }
            Err(error) => return Err(error),
        };
        self.unpacked += read as u64;
        if self.unpacked > UNPACKED_LIMIT {
            return Err(Refusal::UnpackedTooLarge { limit: UNPACKED_LIMIT }.into_io());
        }
        let packed = self.packed.get();
        if self.unpacked > RATIO_FLOOR && self.unpacked / packed.max(1) > RATIO_LIMIT {
            let (unpacked, limit) = (self.unpacked, RATIO_LIMIT);
            return Err(Refusal::RatioTooHigh { unpacked, packed, limit }.into_io());
        }
        Ok(read)
    }
}

fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let ours = error.get_ref().is_some_and(|inner| inner.is::<InStream>());
    !ours && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | Other)
}
