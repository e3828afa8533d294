//! Which model answers.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::{ErrorKind, Result};
use imaging::ImageKind;

use crate::model::Model;

/// How often it is looked whether the first model is loaded.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// The modality whose model takes what does not say how it was made.
const DEFAULT: &str = "MR";

/// The models that answer, by modality and kind of image. A job keeps the one that it began with: a change of the
/// table reaches the next job, never a part of one.
#[derive(Clone, Default)]
pub struct Serving(Arc<RwLock<Table>>);

/// What serves each modality (a DICOM term) and, in place of that, single kinds of its images (empty: all others).
pub type Table = BTreeMap<(String, String), Served>;

/// A model that answers.
#[derive(Clone)]
pub struct Served {
    pub model: Model,
    /// Why it serves although the registry's gate refused it; empty: it did not.
    pub forced_because: String,
    /// What looks on.
    pub shadow: Option<Box<Served>>,
}

impl Served {
    /// A model that nobody had to force, and that nothing looks on at.
    pub fn by(model: Model) -> Served {
        Served { model, forced_because: String::new(), shadow: None }
    }
}

impl Serving {
    /// One model for everything.
    pub fn only(model: Model) -> Serving {
        let serving = Serving::default();
        let served = Served::by(model);
        serving.replace(BTreeMap::from([((DEFAULT.to_owned(), String::new()), served)]));
        serving
    }

    /// Serves by that table from the next job on.
    pub fn replace(&self, table: Table) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// The model for scans of that modality (empty: not told) and kind: the kind's own, or else the modality's. Where none is
    /// made for the modality, the one that says so.
    ///
    /// The kind is what is known before a model has looked; a kind that only a model tells chooses no other model, for no
    /// result is of two. `Unavailable` while no model is loaded.
    pub fn of(&self, modality: &str, kind: ImageKind) -> Result<Served> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let place = |modality: &str, kind: &str| table.get(&(modality.to_owned(), kind.to_owned()));
        let of = |modality| place(modality, kind.name()).or_else(|| place(modality, ""));
        let served = of(modality).or_else(|| of(DEFAULT)).or_else(|| table.values().next());
        served.cloned().ok_or_else(|| ErrorKind::Unavailable.error("no model is loaded yet"))
    }

    /// What serves under that name, in that version if one is told (empty: not told; then what takes scans of no modality
    /// goes first).
    ///
    /// `NotFound` where nothing does, `Unavailable` while no model is loaded.
    pub fn named(&self, name: &str, version: &str) -> Result<Served> {
        let asked = |served: &Served| {
            let facts = &served.model.model_info().facts;
            facts.name == name && (version.is_empty() || facts.version == version)
        };
        let unknown = || match version {
            "" => ErrorKind::NotFound.error(format!("no model `{name}` serves here")),
            _ => ErrorKind::NotFound
                .error(format!("no model `{name}` of version `{version}` serves here")),
        };
        self.all()?.into_iter().find(asked).ok_or_else(unknown)
    }

    /// The versions of that name that serve.
    pub fn versions(&self, name: &str) -> Vec<String> {
        let mut versions = Vec::new();
        for served in self.all().unwrap_or_default() {
            let facts = &served.model.model_info().facts;
            // One version may serve several modalities and kinds.
            if facts.name == name && !versions.contains(&facts.version) {
                versions.push(facts.version.clone());
            }
        }
        versions
    }

    /// Whatever serves, that for scans of no modality first.
    fn all(&self) -> Result<Vec<Served>> {
        let first = self.any()?;
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(std::iter::once(first).chain(table.values().cloned()).collect())
    }

    /// What takes scans of which nothing is told.
    fn any(&self) -> Result<Served> {
        self.of(DEFAULT, ImageKind::Unknown)
    }

    /// Waits until a model serves: until then no job is taken.
    pub async fn one_serves(&self) {
        while self.any().is_err() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Whether every model that serves still takes slices.
    pub fn check(&self) -> Result<()> {
        self.any()?;
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.values().try_for_each(|served| served.model.check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    async fn served(name: &'static str) -> Served {
        let (model, _) = Model::start(move || engine::open(name, "cpu", true), 1).await.unwrap();
        Served::by(model)
    }

    fn name(serving: &Serving, modality: &str) -> String {
        name_of(serving, modality, ImageKind::Unknown)
    }

    fn name_of(serving: &Serving, modality: &str, kind: ImageKind) -> String {
        serving.of(modality, kind).unwrap().model.model_info().facts.name.clone()
    }

    fn place(modality: &str, kind: &str) -> (String, String) {
        (modality.to_owned(), kind.to_owned())
    }

    #[tokio::test]
    async fn a_kind_has_its_model_and_what_is_not_told_or_has_none_has_that_of_its_modality() {
        let (own, flair, ct) =
            (served("threshold:").await, served("echo:").await, served("stub:").await);
        let serving = Serving::default();
        let table = [(place("MR", ""), own), (place("MR", "flair"), flair), (place("CT", ""), ct)];
        serving.replace(BTreeMap::from(table));
        for (modality, kind, expected) in [
            ("MR", ImageKind::Flair, "echo"),
            ("MR", ImageKind::T1Contrast, "threshold"),
            ("MR", ImageKind::Other, "threshold"),
            ("MR", ImageKind::Unknown, "threshold"),
            ("", ImageKind::Unknown, "threshold"),
            ("", ImageKind::Flair, "echo"),
            ("CT", ImageKind::Flair, "stub"),
        ] {
            assert_eq!(name_of(&serving, modality, kind), expected, "{modality} {kind:?}");
        }
        serving.named("echo", "").unwrap();
        assert_eq!(serving.any().unwrap().model.model_info().facts.name, "threshold");
    }

    #[tokio::test]
    async fn each_modality_has_its_model_and_what_does_not_say_has_that_of_mr() {
        let serving = Serving::default();
        assert_eq!(serving.check().unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(serving.named("echo", "").err().unwrap().kind(), ErrorKind::Unavailable);
        let (mr, ct) = (served("threshold:").await, served("echo:").await);
        let began = {
            serving.replace(BTreeMap::from([(place("MR", ""), mr.clone())]));
            serving.of("MR", ImageKind::Unknown).unwrap()
        };
        assert_eq!(["MR", "", "CT"].map(|of| name(&serving, of)), ["threshold"; 3]);
        serving.replace(BTreeMap::from([(place("MR", ""), ct), (place("CT", ""), mr)]));
        assert_eq!(["MR", "", "CT"].map(|of| name(&serving, of)), ["echo", "echo", "threshold"]);
        serving.check().unwrap();
        assert_eq!(
            serving.named("threshold", "").unwrap().model.model_info().facts.name,
            "threshold"
        );
        let version = serving.versions("echo");
        assert_eq!(version.len(), 1);
        serving.named("echo", &version[0]).unwrap();
        for (name, version) in [("echo", "none such"), ("none such", "")] {
            let error = serving.named(name, version).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains("none such"), "{error}");
        }
        assert!(serving.versions("none such").is_empty());
        // Whoever has begun goes on with what it began with.
        assert_eq!(began.model.model_info().facts.name, "threshold");
    }
}
