//! The training reference of each model: what it was trained on came with its version.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{ErrorKind, Result};
use proto::events::ModelIdentity;
use proto::registry::FileRef;
use proto::registry::models_client::ModelsClient;
use service::Peer;
use service::claims::authorised;

use crate::reference::Reference;
use crate::report::Window;

const FILE: &str = "reference.json";
/// Beyond so many versions those that were asked for before are forgotten, and asked for again.
const KEPT: usize = 16;

/// What reports compare with: the reference of the model that has judged most of the window's scans, from the registry; where
/// it knows none, the one that was named at the start.
#[derive(Clone)]
pub struct References {
    named: Arc<Reference>,
    models: Option<ModelsClient<Peer>>,
    kept: Arc<Mutex<BTreeMap<ModelIdentity, Arc<Reference>>>>,
}

impl References {
    pub fn new(named: Reference, registry: Option<Peer>) -> References {
        let models = registry.map(ModelsClient::new);
        References { named: Arc::new(named), models, kept: Arc::default() }
    }

    /// The registry, where there is one.
    pub fn registry(&self) -> Option<ModelsClient<Peer>> {
        self.models.clone()
    }

    /// The reference for `window`, asked for in the name of the bearer of `token`.
    pub async fn of(&self, window: &Window, token: &str) -> Result<Arc<Reference>> {
        self.of_model(most_seen(window).as_ref(), token).await
    }

    /// The same for scans of that model.
    pub async fn of_model(
        &self,
        model: Option<&ModelIdentity>,
        token: &str,
    ) -> Result<Arc<Reference>> {
        let (Some(models), Some(model)) = (&self.models, model) else {
            return Ok(self.named.clone());
        };
        if let Some(kept) = self.kept().get(model) {
            return Ok(kept.clone());
        }
        let reference = match fetch(models.clone(), model, token).await {
            // One that the registry does not know, or that came without.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(self.named.clone()),
            fetched => Arc::new(Reference::parse(&fetched?)?),
        };
        if reference.embedding.is_none() {
            tracing::info!(
                model = model.name,
                version = model.version,
                "a training reference tells nothing of embeddings, which are left out of windows: `medseg finish --embeddings` fills them in"
            );
        }
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(model.clone(), reference.clone());
        Ok(reference)
    }

    /// The reference of that model, as far as nobody has to be asked: none where there is a registry, which has not told it yet.
    pub fn at_hand(&self, model: &ModelIdentity) -> Arc<Reference> {
        let kept = self.kept().get(model).cloned();
        let unknown = || if self.models.is_some() { Arc::default() } else { self.named.clone() };
        kept.unwrap_or_else(unknown)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<ModelIdentity, Arc<Reference>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(
    mut models: ModelsClient<Peer>,
    model: &ModelIdentity,
    token: &str,
) -> Result<String> {
    let (name, version) = (model.name.clone(), model.version.clone());
    let of = FileRef { name, version, file: FILE.to_owned() };
    let mut chunks = models.read(authorised(of, token)).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        bytes.extend_from_slice(&chunk.data);
    }
    String::from_utf8(bytes)
        .map_err(|error| ErrorKind::Internal.error("the reference is no text").because(error))
}

/// The model that has judged most of the window's scans.
fn most_seen(window: &Window) -> Option<ModelIdentity> {
    let mut counts = BTreeMap::<&ModelIdentity, usize>::new();
    let seen = window.scans.iter().filter_map(|scan| scan.observation.as_ref()?.model.as_ref());
    seen.for_each(|model| *counts.entry(model).or_default() += 1);
    counts.into_iter().max_by_key(|(_, scans)| *scans).map(|(model, _)| model.clone())
}

#[cfg(test)]
mod tests {
    use domain::Answer;
    use proto::events::Observation;

    use super::*;
    use crate::report::CompletedScan;

    #[test]
    fn the_model_that_has_judged_most_counts() {
        let scan = |version: Option<&str>| {
            let model = version.map(|version| ModelIdentity {
                name: "m".into(),
                version: version.into(),
                sha256: String::new(),
            });
            let observation = Some(Observation { model, ..Observation::default() });
            CompletedScan { answer: Answer::Found, response_ms: None, observation }
        };
        let scans = [Some("1"), None, Some("2"), Some("2"), None, None].map(scan).into();
        let window = Window { from_ms: 0, to_ms: 1, scans, cut: false };
        assert_eq!(most_seen(&window).unwrap().version, "2");
        assert_eq!(most_seen(&Window { scans: Vec::new(), ..window }), None);
    }
}
