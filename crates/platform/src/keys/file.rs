//! Keys as lines of a file: the first wraps, and all open. For one machine, or a secret that the platform mounts.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use domain::{ErrorKind, Random, Result, hex};
use durable::{Draft, flush_folder, folder_of};
use url::Url;

use super::{Backend, DataKey, KEY_BYTES, Wrapped, invalid};

/// As much of a key's digest as tells it from others.
const ID_CHARS: usize = 16;

struct File {
    /// The first wraps. Each with its id.
    keys: Vec<(String, DataKey)>,
    path: PathBuf,
    random: Random,
}

pub(super) fn connect(url: &Url, random: Random) -> Result<Arc<dyn Backend>> {
    let path = url.to_file_path().map_err(|()| invalid("it names no file"))?;
    let unreadable = |error| {
        let message = format!("cannot read the keys at {}", path.display());
        ErrorKind::Invalid.error(message).because(error)
    };
    let text = fs::read_to_string(&path).map_err(unreadable)?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|line| read(line, &path)).collect::<Result<Vec<_>>>()?;
    if keys.is_empty() {
        return Err(ErrorKind::Invalid.error(format!("there is no key at {}", path.display())));
    }
    tell_of_open(&path);
    Ok(Arc::new(File { keys, path, random }))
}

/// Makes a file with one new key at `path`, readable by its owner only, unless there is one.
pub fn make(path: &Path, random: &Random) -> Result<()> {
    let unmade = |error| {
        let message = format!("cannot make a key at {}", path.display());
        ErrorKind::Invalid.error(message).because(error)
    };
    if path.try_exists().map_err(unmade)? {
        return Ok(());
    }
    let line = format!("{}\n", hex(&random.bytes::<KEY_BYTES>()));
    match write(path, &line) {
        // Another process has just made it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        written => written.map_err(unmade),
    }
}

fn write(path: &Path, line: &str) -> io::Result<()> {
    let mut draft = Draft::private(path)?;
    draft.write_all(line.as_bytes())?;
    draft.finish()?.create(path)?;
    flush_folder(folder_of(path))
}

/// The key of a line, with its id.
fn read(line: &str, path: &Path) -> Result<(String, DataKey)> {
    let wrong = || {
        ErrorKind::Invalid.error(format!(
            "a line of {} is no key: it takes 64 hexadecimal digits, as `openssl rand -hex 32` writes them",
            path.display()
        ))
    };
    if line.len() != 2 * KEY_BYTES || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut bytes = [0; KEY_BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&line[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    let key = DataKey::of(bytes);
    let id = key.digest("id", "").chars().take(ID_CHARS).collect();
    Ok((id, key))
}

/// Warns of keys that every user of the machine can read: with them and a copy of the data, whoever it is reads all scans.
fn tell_of_open(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |about| about.permissions().mode());
    if mode & 0o007 != 0 {
        let path = path.display();
        tracing::warn!(file = %path, "everybody on this machine can read the data keys' key: chmod 600 it");
    }
}

#[async_trait]
impl Backend for File {
    async fn wrap(&self, key: &DataKey, whose: &str) -> Result<Wrapped> {
        let (id, wrapping) =
            self.keys.first().ok_or_else(|| ErrorKind::Internal.error("a ring without a key"))?;
        Ok(Wrapped { by: id.clone(), text: wrapping.wrap(key, whose, &self.random)? })
    }

    async fn open(&self, wrapped: &Wrapped, whose: &str) -> Result<DataKey> {
        let known = self.keys.iter().find(|(id, _)| *id == wrapped.by);
        let (_, wrapping) = known.ok_or_else(|| {
            ErrorKind::Internal.error(format!(
                "{} has not the key {} that a key was wrapped with: was it replaced, and not kept as a further line?",
                self.path.display(),
                wrapped.by
            ))
        })?;
        wrapping.open(&wrapped.text, whose)
    }
}
