//! The door of this room: a dropped file, its parts, and the rows of each.

use std::io::{Read, Seek};

use crate::invoice::container::Dropped;
use crate::invoice::refusal::Refusal;
use crate::invoice::rows::Rows;

/// A dropped file and the key under which its personal columns are hashed.
pub struct Export<R> {
    dropped: Dropped<R>,
    personal_key: Vec<u8>,
}

impl<R: Read + Seek> Export<R> {
    /// Opens a plain file, a gzip or a zip; what it is, its bytes say, not its name.
    ///
    /// # Errors
    /// A [`Refusal`] that says what it is instead, or which limit it breaks.
    pub fn open(file_name: &str, source: R, personal_key: &[u8]) -> Result<Self, Refusal> {
        let dropped = Dropped::open(file_name, source)?;
        Ok(Self { dropped, personal_key: personal_key.to_vec() })
    }

    /// The names of the files inside, without folders: one, unless it is a zip.
    pub fn parts(&self) -> &[String] {
        self.dropped.parts()
    }

    /// Begins to read a part from its first row; may be called again, for a preview and then for
    /// the import.
    ///
    /// # Errors
    /// A [`Refusal`] for what is no export of ours.
    pub fn read(&mut self, part: usize) -> Result<Rows<'_>, Refusal> {
        let name =
            self.dropped.parts().get(part).cloned().ok_or(Refusal::NoSuchPart { index: part })?;
        let bytes = self.dropped.unpack(part)?;
        Rows::open(&name, bytes, &self.personal_key)
    }
}
