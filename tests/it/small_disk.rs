//! A disk of so many kilobytes, to be filled.

use std::path::Path;
use std::process::Command;

/// A small file system of its own, if this user may mount one.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn mount(kilobytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", size.as_str(), "tmpfs"])
            .arg(folder.path())
            .output();
        mounted.is_ok_and(|it| it.status.success()).then_some(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}
