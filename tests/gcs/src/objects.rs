use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tempfile::NamedTempFile;

/// The objects of the bucket, each a file.
pub struct Objects {
    folder: PathBuf,
    known: BTreeMap<String, Meta>,
    generations: i64,
}

#[derive(Clone)]
pub struct Meta {
    pub size: u64,
    pub crc32c: u32,
    pub generation: i64,
    pub created: Duration,
}

impl Objects {
    pub fn open(folder: &Path) -> anyhow::Result<Objects> {
        fs::create_dir_all(folder)?;
        let mut objects =
            Objects { folder: folder.to_owned(), known: BTreeMap::new(), generations: 1 };
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if file.starts_with('.') {
                fs::remove_file(&path)?;
                continue;
            }
            let bytes = fs::read(&path)?;
            let created = path.metadata()?.modified()?.duration_since(UNIX_EPOCH)?;
            let (size, crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
            let name = file.replace("%2F", "/");
            objects.insert(name, size, crc32c, created);
        }
        Ok(objects)
    }

    pub fn get(&self, name: &str) -> Option<&Meta> {
        self.known.get(name)
    }

    pub fn names(&self) -> Vec<String> {
        self.known.keys().cloned().collect()
    }

    /// At most `count` objects whose names begin with `prefix`, after the name `after`.
    pub fn page(&self, prefix: &str, after: &str, count: usize) -> Vec<(String, Meta)> {
        let all = self.known.range(after.to_owned()..);
        let after = all.filter(|(name, _)| *name != after && name.starts_with(prefix));
        after.take(count).map(|(name, meta)| (name.clone(), meta.clone())).collect()
    }

    pub fn read(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.path(name))?)
    }

    /// Where an upload goes until it is whole.
    pub fn unfinished(&self) -> anyhow::Result<NamedTempFile> {
        Ok(tempfile::Builder::new().prefix(".").tempfile_in(&self.folder)?)
    }

    pub fn put(
        &mut self,
        name: &str,
        file: NamedTempFile,
        size: u64,
        crc32c: u32,
    ) -> anyhow::Result<Meta> {
        file.persist(self.path(name))?;
        #[expect(clippy::disallowed_methods, reason = "the double is a world of its own")]
        let created = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(self.insert(name.to_owned(), size, crc32c, created))
    }

    pub fn remove(&mut self, name: &str) -> anyhow::Result<bool> {
        if self.known.remove(name).is_none() {
            return Ok(false);
        }
        fs::remove_file(self.path(name))?;
        Ok(true)
    }

    pub fn flip(&mut self, name: &str) -> anyhow::Result<()> {
        let mut bytes = self.read(name)?;
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).context("an empty object has no bit")? ^= 1;
        Ok(fs::write(self.path(name), bytes)?)
    }

    fn insert(&mut self, name: String, size: u64, crc32c: u32, created: Duration) -> Meta {
        self.generations += 1;
        let meta = Meta { size, crc32c, generation: self.generations, created };
        self.known.insert(name, meta.clone());
        meta
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name.replace('/', "%2F"))
    }
}
