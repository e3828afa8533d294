//! The bugs made on purpose: each is a patch in `tests/seeded`, which `make seeded` applies to a copy of the tree.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The first patch, which is no bug: it adds the question that all others ask, whether a process is to have theirs.
pub const SWITCH: &str = "switch";

/// `NN-name.patch`.
pub struct Patch {
    pub name: String,
    pub text: String,
    pub path: PathBuf,
}

/// All of them, in the order in which they are applied.
pub fn all() -> anyhow::Result<Vec<Patch>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("seeded"))? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension() == Some(OsStr::new("patch")));
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> anyhow::Result<Patch> {
    let stem = path.file_stem().and_then(OsStr::to_str).context("a patch without a name")?;
    let (_, name) = stem.split_once('-').with_context(|| format!("{stem} has no number"))?;
    Ok(Patch { name: name.to_owned(), text: std::fs::read_to_string(&path)?, path })
}
