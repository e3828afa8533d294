//! What a series looks like to the model that would judge it: asked by ingest, before one of a study's is chosen.

mod rpc;

use std::sync::Arc;

use domain::{Priority, Result};
use imaging::picker::shown_tiles;
use imaging::{ImageKind, Volume};

use crate::cores::Whose;
use crate::in_hand::InHand;
use crate::model::Prediction;
use crate::serving::Serving;

pub use rpc::server;

/// The models that serve, asked for kinds alone.
#[derive(Clone)]
pub struct Kinds {
    serving: Serving,
    in_hand: InHand,
}

/// What a model said.
pub struct Told {
    /// The mean probability of each kind that it tells, over the slices.
    kinds: Vec<(ImageKind, f64)>,
    model_name: String,
    model_version: String,
}

impl Kinds {
    pub fn new(serving: Serving, in_hand: InHand) -> Kinds {
        Kinds { serving, in_hand }
    }

    /// What the slices look like to the model of their modality. No kinds from one that tells none, or is not made for it.
    ///
    /// It waits among the scans of that hospital: whoever sent the slices waits for their scan.
    pub async fn told(&self, tenant: Arc<str>, shown: Volume) -> Result<Told> {
        let modality = shown.modality.map_or("", |modality| modality.term());
        let model = self.serving.of(modality, ImageKind::Unknown)?.model;
        let (facts, preprocessing) =
            (model.model_info().facts.clone(), model.model_info().preprocessing()?);
        let told = |kinds| Told {
            kinds,
            model_name: facts.name.clone(),
            model_version: facts.version.clone(),
        };
        let is_judged = shown.modality.is_none_or(|modality| facts.modalities.contains(&modality));
        if !is_judged || facts.classes.is_empty() {
            return Ok(told(Vec::new()));
        }
        let whose = Whose { tenant, priority: Some(Priority::Routine) };
        let side = facts.readings.of(ImageKind::Unknown, shown.shape.slices).input.side;
        let cut = move || shown_tiles(&shown, preprocessing, side);
        let _one = self.in_hand.one();
        let tiles = model.cores().calculate(&whose, cut).await?;
        let seen = model.predict(tiles, false, &whose).await?;
        Ok(told(means(&facts.classes, &seen)))
    }
}

fn means(kinds: &[ImageKind], seen: &[Prediction]) -> Vec<(ImageKind, f64)> {
    let mean = |(place, kind): (usize, &ImageKind)| {
        let told = seen.iter().filter_map(|slice| slice.output.kinds.get(place));
        (*kind, told.map(|p| f64::from(*p)).sum::<f64>() / seen.len().max(1) as f64)
    };
    kinds.iter().enumerate().map(mean).collect()
}
