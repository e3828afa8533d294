//! The disk that a folder lies on.

use std::io;
use std::path::Path;

use domain::{Error, ErrorKind};

/// How much room uploads leave on a disk unless another figure is set, in MiB.
pub const RESERVE_MIB: u64 = 512;

/// How many bytes may still be written beneath `folder`. Blocks.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// The refusal of an upload that would leave less room than the reserve.
pub fn full() -> Error {
    ErrorKind::Unavailable.error("the server's disk is full: nothing was stored")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_folder_that_is_not_there_is_an_error_and_no_number() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        let missing = free_bytes(&folder.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
