use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of which series instances are that the jail has looked at before they came: nobody has it look once more. Cheap to clone. Known of those
/// that have arrived and are not filed, and in this process only: the next one has them looked at.
#[derive(Clone, Default)]
pub struct Looked(Arc<Mutex<HashMap<PathBuf, String>>>);

impl Looked {
    pub fn note(&self, path: &Path, series: String) {
        self.known().insert(path.to_owned(), series);
    }

    pub fn forget(&self, path: &Path) {
        self.known().remove(path);
    }

    pub fn series_of(&self, path: &Path) -> Option<String> {
        self.known().get(path).cloned()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, String>> {
        // The table is whole whatever panics beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
