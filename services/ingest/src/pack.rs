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
        // What ends like a folder would be unpacked as one, and its bytes be lost.
        let clean = clean.trim_end_matches(['/', '\\']);
        let mut name = if clean.is_empty() { format!("file {number}") } else { clean.to_owned() };
        // Another file may be called just what this one would be called instead.
        while !seen.insert(name.clone()) {
            name = format!("file {number}/{name}");
        }
        name
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use imaging::{Archive, Limits};

    use super::*;

    fn spooled(bytes: &[u8]) -> Spooled {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Spooled::new(file.into_temp_path(), String::new())
    }

    fn files(names: &[&str]) -> Vec<(String, Spooled)> {
        let file = |(number, name): (usize, &&str)| {
            ((*name).to_owned(), spooled(format!("bytes of {number}").as_bytes()))
        };
        names.iter().enumerate().map(file).collect()
    }

    fn pack(names: &[&str]) -> Spooled {
        let all_room = Reserve::new(|| Ok(u64::MAX), 0);
        packed(NamedTempFile::new().unwrap(), &files(names), &all_room).unwrap()
    }

    #[test]
    fn no_file_is_lost_whatever_files_are_called() {
        let cases: [&[&str]; 7] = [
            &["a.dcm", "b.dcm"],
            &["a.dcm", "a.dcm", "a.dcm"],
            // Called what another one is called instead.
            &["x", "file 3/x", "x"],
            &["x", "x", "file 2/x", "file 3/file 2/x"],
            &["file 2", "", "file 2"],
            &["", "\u{1b}", "\r\n"],
            &["folder/", "folder", "/", "disc\\"],
        ];
        for names in cases {
            let archive = std::fs::File::open(pack(names).path()).unwrap();
            let mut archive = Archive::open(archive, Limits::default()).unwrap();
            let mut contents: Vec<Vec<u8>> =
                (0..archive.len()).map(|place| archive.read(place).unwrap()).collect();
            contents.sort();
            let sent = (0..names.len()).map(|number| format!("bytes of {number}").into_bytes());
            assert_eq!(contents, sent.collect::<Vec<_>>(), "{names:?}");
        }
    }

    #[test]
    fn names_that_differ_stay_as_they_are() {
        let names = ["IM 1", "series/IM2.dcm", "M\u{fc}ller.png", "series\\IM3"];
        assert_eq!(distinct(&files(&names)), names);
    }

    #[test]
    fn equal_files_give_equal_bytes_whenever_they_are_packed() {
        let [one, other] = [pack(&["a", "b"]), pack(&["a", "b"])];
        assert_eq!(one.sha256, other.sha256);
        let bytes = std::fs::read(one.path()).unwrap();
        assert_eq!(one.sha256, hex(&Sha256::digest(&bytes)));
        // No time of day: 1980-01-01, where MS-DOS begins to count (APPNOTE 4.4.6).
        assert_eq!(bytes[10..14], [0, 0, 0x21, 0]);
        assert_ne!(one.sha256, pack(&["b", "a"]).sha256);
    }
}
