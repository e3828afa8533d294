//! What other programs read of an evaluation.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use model::evaluate::Evaluation;
use serde_json::{Map, Value, json};

/// The figures that models are compared by, each a number. One that there is not is missing.
pub fn metrics(evaluation: &Evaluation) -> Value {
    let figures = [
        ("dice_mean", evaluation.dice_mean),
        ("dice_median", evaluation.dice_median),
        ("dice_from", evaluation.dice_interval.map(|[from, _]| from)),
        ("dice_to", evaluation.dice_interval.map(|[_, to]| to)),
        ("slice_dice_mean", evaluation.slice_dice_mean),
        ("falsely_found", evaluation.far.rate),
        ("missed", evaluation.frr.rate),
        ("calibration_error", evaluation.calibration_error),
    ];
    let there =
        figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    let mut metrics: Map<String, Value> = there.collect();
    metrics.insert("patients".to_owned(), json!(evaluation.patients.len()));
    metrics.insert("slices".to_owned(), json!(evaluation.slices));
    metrics.into()
}

/// Each patient's Dice, the worst first, as CSV.
pub fn table(evaluation: &Evaluation) -> String {
    let mut patients: Vec<_> = evaluation.patients.iter().collect();
    patients.sort_by(|a, b| a.dice.total_cmp(&b.dice).then_with(|| a.id.cmp(&b.id)));
    let mut table = "patient,slices,dice\n".to_owned();
    for patient in patients {
        let id = patient.id.replace('"', "\"\"");
        // An id is data: quotes keep its commas from being columns.
        let _ = writeln!(table, "\"{id}\",{},{:.6}", patient.slices, patient.dice);
    }
    table
}

/// Writes a file that was asked for, in a folder that is made where it is missing.
pub fn write(path: &Path, text: String) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}
