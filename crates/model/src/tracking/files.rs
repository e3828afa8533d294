use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// Who writes a run's folder.
pub const LOCK_FILE: &str = "lock";

/// Opens a lock that one process has at a time; `WouldBlock` while another has it.
pub fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another process writes there"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Empties the folder of a run that was there before, but for its lock.
pub fn cleared(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            _ if entry.file_name() == LOCK_FILE => {}
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Cuts off what a process left that ended amid a line.
pub fn without_half_a_line(path: &Path) -> io::Result<()> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes?,
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < bytes.len() {
        OpenOptions::new().write(true).open(path)?.set_len(whole as u64)?;
    }
    Ok(())
}

/// Adds lines in one piece, so that a reader sees none that is half there.
pub fn append<T: Serialize>(path: &Path, values: &[T]) -> io::Result<()> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, value)?;
        lines.push(b'\n');
    }
    OpenOptions::new().create(true).append(true).open(path)?.write_all(&lines)
}

/// The name of a file that lies inside of the folder, whatever it is called.
pub fn inside(name: &str) -> String {
    let parts = name.split('/').filter(|part| !part.trim_matches('.').is_empty());
    parts.map(|part| part.replace('\\', "_")).collect::<Vec<_>>().join("/")
}
