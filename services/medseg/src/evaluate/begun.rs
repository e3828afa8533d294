use std::path::PathBuf;

use imaging::ModelInfo;
use model::dataset::{self, Patient};
use model::tracking::Beginning;

use super::Evaluate;

/// What an evaluation begins with, for whoever compares it with others.
pub fn beginning(
    evaluate: &Evaluate,
    model: &ModelInfo,
    patients: &[Patient],
) -> anyhow::Result<Beginning> {
    let parameters = vec![
        ("model", format!("{} {}", model.facts.name, model.facts.version)),
        ("weights", model.sha256.clone()),
        ("device", model.device.clone()),
        ("alone", evaluate.alone.to_string()),
        ("patients", patients.len().to_string()),
        ("split", evaluate.split.map_or("all", |side| side.part().name()).to_owned()),
        ("validation", evaluate.validation.to_string()),
        ("seed", evaluate.seed.to_string()),
    ];
    let manifests: Vec<PathBuf> = evaluate.manifest.iter().cloned().collect();
    let tags = vec![("data_version", dataset::version_of(&manifests)?)];
    Ok(Beginning { goes_on: false, parameters, tags })
}
