use std::fs::{self, File};
use std::future::ready;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use axum::body::{Body, Bytes};
use domain::hex;
use domain::limits::UPLOAD_FILES_MAX;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use service::{CHUNK_BYTES, system_random};
use sha2::{Digest, Sha256};
use tokio_util::io::ReaderStream;

/// What files of scans are called, in lower case: their results need not be. A UID has points, too, that are no endings.
const ENDINGS: [&str; 11] =
    ["dcm", "dicom", "ima", "jpeg", "jpg", "nii", "png", "tif", "tiff", "webp", "zip"];
/// Bytes of a folder's name: file systems take 255, and a number may follow.
const NAME_BYTES_MAX: usize = 200;

/// One file, or the files of a folder, which are handed in together.
pub struct Input {
    name: String,
    files: Vec<Source>,
}

/// A file, and what it is called in the form.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
struct Source {
    name: String,
    path: PathBuf,
    bytes: u64,
}

impl Input {
    /// What lies at `path`; an error where it cannot be read.
    pub fn at(path: &Path) -> anyhow::Result<Input> {
        let about = fs::metadata(path).context("it cannot be read")?;
        let mut files = Vec::new();
        if about.is_dir() {
            collect(path, path, &mut files)?;
            files.sort();
        } else if about.is_file() {
            File::open(path).context("it cannot be read")?;
            files.push(Source { name: file_name(path), path: path.to_owned(), bytes: about.len() });
        } else {
            bail!("it is neither a file nor a folder");
        }
        let name = if about.is_dir() { file_name(path) } else { stem(&file_name(path)).to_owned() };
        Ok(Input { name: shortened(name), files })
    }

    /// What its results are called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How large it is.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// SHA-256, in hex, of what makes it this scan: of one file its bytes, whatever it is called, and of several their
    /// names, too, as a server keeps them.
    pub fn sha256(&self) -> anyhow::Result<String> {
        let mut digest = Sha256::new();
        for file in &self.files {
            if self.files.len() > 1 {
                digest.update((file.name.len() as u64).to_le_bytes());
                digest.update(&file.name);
                digest.update(file.bytes.to_le_bytes());
            }
            let unreadable = || format!("{} cannot be read", file.path.display());
            let mut content = File::open(&file.path).with_context(unreadable)?;
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                match content.read(&mut chunk).with_context(unreadable)? {
                    0 => break,
                    read => digest.update(&chunk[..read]),
                }
            }
        }
        Ok(hex(&digest.finalize()))
    }

    /// A form with its files, opened one after another, and the media type of it.
    pub fn form(&self) -> (String, Body) {
        let boundary = hex(&system_random().bytes::<16>());
        let media_type = format!("multipart/form-data; boundary={boundary}");
        let end = Bytes::from(format!("--{boundary}--\r\n"));
        let fields = stream::iter(self.files.clone()).flat_map(move |file| field(&boundary, file));
        let form = fields.chain(stream::once(ready(Ok(end))));
        (media_type, Body::from_stream(form))
    }
}

fn field(boundary: &str, file: Source) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    // Quotes, backslashes and line ends are the form's own; the name is a hint only.
    let own = |letter: char| letter.is_control() || ['"', '\\'].contains(&letter);
    let name = file.name.replace(own, "_");
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    );
    let opened = stream::once(tokio::fs::File::open(file.path));
    let pieces = opened.map_ok(|file| ReaderStream::with_capacity(file, CHUNK_BYTES)).try_flatten();
    let piece = |bytes: Bytes| stream::once(ready(Ok(bytes)));
    piece(head.into()).chain(pieces).chain(piece(Bytes::from_static(b"\r\n")))
}

/// Adds the files below `folder`, named as they lie below `root`.
fn collect(root: &Path, folder: &Path, files: &mut Vec<Source>) -> anyhow::Result<()> {
    let unreadable = || format!("{} cannot be read", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(unreadable)?);
        if kind.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        // Links may lead to files, never to folders: those may lead back.
        let about =
            fs::metadata(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        if about.is_file() {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(Source { name, path, bytes: about.len() });
        }
        if files.len() > UPLOAD_FILES_MAX {
            // One too many: the refusal says how many there may be.
            break;
        }
    }
    Ok(())
}

/// The last part of the path, also where it is written as `.` or ends in `..`.
fn file_name(path: &Path) -> String {
    let named = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let whole = || path.canonicalize().ok().and_then(|whole| named(&whole));
    named(path).or_else(whole).unwrap_or_else(|| "scan".to_owned())
}

/// The name without the ending of a format, as in `head.nii.gz`.
fn stem(name: &str) -> &str {
    let packed = name.len().checked_sub(3).filter(|&at| name.is_char_boundary(at));
    let plain = match packed.map(|at| name.split_at(at)) {
        Some((plain, ending)) if ending.eq_ignore_ascii_case(".gz") => plain,
        _ => name,
    };
    match plain.rsplit_once('.') {
        Some((stem, ending))
            if !stem.is_empty() && ENDINGS.contains(&&*ending.to_ascii_lowercase()) =>
        {
            stem
        }
        _ => name,
    }
}

fn shortened(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_called_as_the_file_without_the_ending_of_a_format() {
        for (name, expected) in [
            ("scan.dcm", "scan"),
            ("HEAD.NII.GZ", "HEAD"),
            ("head.nii", "head"),
            ("1.2.840.113619.2", "1.2.840.113619.2"),
            ("patient.7.png", "patient.7"),
            (".png", ".png"),
            ("notes.txt", "notes.txt"),
            ("é.gz", "é.gz"),
            ("gz", "gz"),
        ] {
            assert_eq!(stem(name), expected, "{name}");
        }
        assert_eq!(shortened("é".repeat(150)).len(), NAME_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_folder_is_a_form_with_its_files_in_their_order_and_no_name_leaves_its_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("b")).unwrap();
        for (name, content) in [("b/2", "two"), ("a\"\r\n1", "one"), ("c", "")] {
            fs::write(at(name), content).unwrap();
        }
        let input = Input::at(folder.path()).unwrap();
        assert_eq!((input.bytes(), input.files.len()), (6, 3));
        let (media_type, body) = input.form();
        let boundary = media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let form = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let field = |name: &str, content: &str| {
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; \
                 filename=\"{name}\"\r\n\r\n{content}\r\n"
            )
        };
        let fields = [field("a___1", "one"), field("b/2", "two"), field("c", "")].concat();
        assert_eq!(
            String::from_utf8(form.to_vec()).unwrap(),
            format!("{fields}--{boundary}--\r\n")
        );
    }

    #[test]
    fn a_file_is_the_same_scan_under_any_name_and_a_series_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let sha256 = |name: &str| Input::at(&folder.path().join(name)).unwrap().sha256().unwrap();
        for path in ["one/a", "other/a", "other/b"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "abc").unwrap();
        }
        // FIPS 180-4's own example.
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for name in ["one", "one/a", "other/b"] {
            assert_eq!(sha256(name), of_abc, "{name}");
        }
        let before = sha256("other");
        fs::rename(folder.path().join("other/b"), folder.path().join("other/c")).unwrap();
        assert_ne!(sha256("other"), before);
        // The end of one file is not the beginning of the next.
        fs::write(folder.path().join("other/a"), "ab").unwrap();
        fs::write(folder.path().join("other/c"), "cabc").unwrap();
        assert_ne!(sha256("other"), before);
    }

    #[test]
    fn what_is_not_there_and_what_is_no_file_is_unreadable() {
        assert!(Input::at(Path::new("/no/such.png")).is_err());
        assert!(Input::at(Path::new("/dev/null")).is_err());
    }
}
