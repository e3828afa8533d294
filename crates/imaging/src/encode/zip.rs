use std::io::{Cursor, Write};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};
use domain::{ErrorKind, Result};

/// A zip of files, by name; equal files give equal bytes. They are stored as they are: images are
/// compressed already.
pub fn zip(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut write = || -> ::zip::result::ZipResult<()> {
        for (name, bytes) in files {
            archive.start_file(name.as_str(), options)?;
            archive.write_all(bytes)?;
        }
        Ok(())
    };
    let failed = |error| ErrorKind::Internal.error("a zip could not be written").because(error);
    write().map_err(failed)?;
    Ok(archive.finish().map_err(failed)?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn files_come_back_by_name() {
        let files = [("a.png".to_owned(), vec![1, 2]), ("b/c.dcm".to_owned(), vec![3; 5000])];
        let mut archive = ::zip::ZipArchive::new(Cursor::new(zip(&files).unwrap())).unwrap();
        for (name, bytes) in &files {
            let mut read = Vec::new();
            archive.by_name(name).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(&read, bytes);
        }
    }
}
