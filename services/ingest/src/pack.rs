//! Several files of one upload as one archive.

use std::collections::HashSet;
use std::io::{Read, Seek};

use domain::{ErrorKind, Result, hex};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::reserve::Reserve;
use crate::spool::{Spooled, WRITE_BYTES, unusable};

/// A zip of the files, stored as they are: equal files give equal bytes.
pub fn packed(
    archive: NamedTempFile,
    files: &[(String, Spooled)],
    reserve: &Reserve,
) -> Result<Spooled> {
    let unwritable =
        |error| ErrorKind::Unavailable.error("uploads cannot be packed").because(error);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let (file, path) = archive.into_parts();
    let mut zip = ZipWriter::new(file);
    for (name, (_, spooled)) in distinct(files).into_iter().zip(files) {
        zip.start_file(name, options).map_err(unwritable)?;
        let mut original = std::fs::File::open(spooled.path()).map_err(unusable)?;
        reserve.require_room(original.metadata().map_err(unusable)?.len())?;
        std::io::copy(&mut original, &mut zip).map_err(unusable)?;
    }
    let mut file = zip.finish().map_err(unwritable)?;
    file.rewind().map_err(unusable)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; WRITE_BYTES];
    loop {
        match file.read(&mut chunk).map_err(unusable)? {
            0 => return Ok(Spooled::new(path, hex(&digest.finalize()))),
            read => digest.update(&chunk[..read]),
        }
    }
}

/// The files' names, told apart where browsers and scripts send one name twice.
fn distinct(files: &[(String, Spooled)]) -> Vec<String> {
    let mut seen = HashSet::new();
    let named = (1..).zip(files).map(|(number, (name, _))| {
        let clean: String = name.chars().filter(|c| !c.is_control()).collect();
        let name = if clean.is_empty() { format!("file {number}") } else { clean };
        if seen.insert(name.clone()) { name } else { format!("file {number}/{name}") }
    });
    named.collect()
}
