//! The room left on the data folder's file system: said when it gets low, and before it is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the file system is asked.
const EVERY: Duration = Duration::from_secs(30);

/// Below this share of the whole, in percent, it is said.
const LOW_PERCENT: u64 = 15;

/// Below this share of the whole, in percent, the gateway is not ready.
const SCARCE_PERCENT: u64 = 5;

/// Below so many bytes the gateway is not ready, however small the whole is.
const SCARCE_BYTES: u64 = 256 << 20;

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreeSpace {
    /// What this user may still write.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// How much that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Enough.
    Enough,
    /// Less than 15 %.
    Low,
    /// Less than 5 %, or less than 256 MiB.
    Scarce,
}

/// Whether room is scarce, as was found last.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpaceWatch {
    scarce: Arc<AtomicBool>,
}

impl FreeSpace {
    /// Asks the file system a folder is on.
    ///
    /// # Errors
    /// It cannot be asked, or not on this system.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    /// Not known on this system.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_folder: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How much that is.
    pub(crate) const fn level(self) -> Level {
        let hundredth = self.total / 100;
        if self.free < hundredth.saturating_mul(SCARCE_PERCENT) || self.free < SCARCE_BYTES {
            Level::Scarce
        } else if self.free < hundredth.saturating_mul(LOW_PERCENT) {
            Level::Low
        } else {
            Level::Enough
        }
    }
}

impl SpaceWatch {
    /// Whether room is scarce.
    pub(crate) fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }

    /// Watches until it is dropped, and says every change once.
    pub(crate) async fn run(self, folder: PathBuf) {
        let mut known = Level::Enough;
        loop {
            match FreeSpace::of(&folder) {
                Ok(space) => {
                    let level = space.level();
                    self.scarce.store(level == Level::Scarce, Ordering::Relaxed);
                    if level != known {
                        say(level, space, &folder);
                        known = level;
                    }
                }
                // Unknown is not scarce: the journal itself says when it cannot write.
                Err(error) => {
                    self.scarce.store(false, Ordering::Relaxed);
                    tracing::debug!(%error, "the room left on the disk is not known");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

fn say(level: Level, space: FreeSpace, folder: &Path) {
    let (free_mib, total_mib) = (space.free >> 20, space.total >> 20);
    let folder = folder.display();
    match level {
        Level::Enough => tracing::info!(free_mib, total_mib, %folder, "there is room again"),
        Level::Low => tracing::warn!(free_mib, total_mib, %folder, "the disk is getting full"),
        Level::Scarce => tracing::error!(
            free_mib, total_mib, %folder,
            "the disk is nearly full: /readyz fails until there is room; a full journal takes no calls"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_low_below_fifteen_percent_and_scarce_below_five_or_a_quarter_gibibyte() {
        let level = |free: u64, total: u64| FreeSpace { free, total }.level();
        let gib = 1 << 30;
        assert_eq!(level(15 * gib, 100 * gib), Level::Enough);
        assert_eq!(level(15 * gib - 1, 100 * gib), Level::Low);
        assert_eq!(level(5 * gib, 100 * gib), Level::Low);
        assert_eq!(level(5 * gib - 1, 100 * gib), Level::Scarce);
        assert_eq!(level(SCARCE_BYTES, gib), Level::Enough);
        assert_eq!(level(SCARCE_BYTES - 1, gib), Level::Scarce);
        assert_eq!(level(0, 0), Level::Scarce);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_says_its_room_and_a_missing_folder_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let space = FreeSpace::of(folder.path()).unwrap();
        assert!(space.free <= space.total && space.total > 0, "{space:?}");
        assert!(FreeSpace::of(&folder.path().join("not there")).is_err());
    }
}
