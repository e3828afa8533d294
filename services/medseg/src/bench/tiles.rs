//! Labelled tiles in plain files, by which another engine shows that it is the same network.
//!
//! Little-endian and in order, without a header: `tiles.f32` (tile, channel, row, column; the channels are the slice before, itself
//! and the one after), `truth.u8` (1 where more than half of a pixel is tumour), `probabilities.f32`, and `timed.f32`, the batch that
//! is timed. `tiles.json` says which tiles are one scan, and from which probability on its pixels count.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use imaging::phantom::{Phantom, Settings};
use imaging::{Framed, ImageKind, Prepared, Reading, TilePrediction};
use model::Segmenter;
use model::dataset::{self, Labelled, Patient, Split};
use serde_json::{Value, json};

/// Slices that stand in for patients where no manifest is named.
const PHANTOMS: u64 = 32;
/// How `train` draws unless it is told otherwise.
const VALIDATION: f64 = 0.17;
const SPLIT_SEED: u64 = 7;
/// Tiles predicted at once.
const BATCH: usize = 8;

/// The patients of that manifest whom `train` keeps for validation.
pub fn validation(manifest: &Path) -> anyhow::Result<Vec<Patient>> {
    Ok(Split::draw(dataset::read(manifest)?, VALIDATION, SPLIT_SEED)?.validation)
}

/// Writes the batch that is timed.
pub fn write_timed(folder: &Path, images: &[Prepared]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut file = create(folder, "timed.f32")?;
    images.iter().try_for_each(|image| write_floats(&mut file, &channels(image)))?;
    Ok(file.flush()?)
}

/// Writes the tiles of these patients, or of phantoms, with their truth and the network's probabilities.
pub fn write(
    folder: &Path,
    segmenter: &mut Segmenter,
    side: usize,
    patients: Option<Vec<Patient>>,
) -> anyhow::Result<()> {
    let mut files = Files::create(folder)?;
    let mut scans = Vec::new();
    for patient in patients.iter().flatten() {
        for scan in patient.scans() {
            let labelled = Labelled::load(scan)?;
            scans.push(files.scan(segmenter, side, &patient.id, patient.kind, &labelled)?);
        }
    }
    if patients.is_none() {
        for seed in 0..PHANTOMS {
            let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(seed))?;
            let labelled = Labelled { volume, truth };
            let name = format!("phantom {seed}");
            scans.push(files.scan(segmenter, side, &name, ImageKind::Unknown, &labelled)?);
        }
    }
    files.flush()?;
    let document = json!({ "side": side, "scans": scans });
    Ok(fs::write(folder.join("tiles.json"), document.to_string())?)
}

struct Files {
    tiles: BufWriter<File>,
    truth: BufWriter<File>,
    probabilities: BufWriter<File>,
}

impl Files {
    fn create(folder: &Path) -> anyhow::Result<Files> {
        Ok(Files {
            tiles: create(folder, "tiles.f32")?,
            truth: create(folder, "truth.u8")?,
            probabilities: create(folder, "probabilities.f32")?,
        })
    }

    /// Writes a scan's slices, and answers its line of `tiles.json`.
    fn scan(
        &mut self,
        segmenter: &mut Segmenter,
        side: usize,
        patient: &str,
        kind: ImageKind,
        Labelled { volume, truth }: &Labelled,
    ) -> anyhow::Result<Value> {
        let framed = Framed::new(volume, segmenter.model_info().preprocessing()?)?;
        let slices = volume.shape.slices;
        let tiles = (0..slices).map(|slice| framed.slice(slice, side));
        let tiles = tiles.collect::<domain::Result<Vec<_>>>()?;
        for (tile, truth) in tiles.iter().zip(truth.chunks(volume.shape.slice_len())) {
            write_floats(&mut self.tiles, &channels(tile))?;
            let truth: Vec<f32> = truth.iter().map(|inside| f32::from(*inside)).collect();
            let inside = tile.placement.sample(&truth, 0.0);
            let inside: Vec<u8> = inside.into_iter().map(|part| u8::from(part > 0.5)).collect();
            self.truth.write_all(&inside)?;
        }
        for batch in tiles.chunks(BATCH) {
            for TilePrediction { probabilities, .. } in segmenter.predict(batch, false)? {
                write_floats(&mut self.probabilities, &probabilities)?;
            }
        }
        let cut = cut(segmenter.model_info().facts.readings.of(kind, slices));
        Ok(json!({ "patient": patient, "slices": slices, "cut": cut }))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.tiles.flush()?;
        self.truth.flush()?;
        self.probabilities.flush()
    }
}

/// From which probability on, as the network gives it, a pixel counts: the reading's own threshold is of calibrated ones.
fn cut(reading: &Reading) -> f32 {
    let (threshold, calibration) = (reading.operating_point.threshold, reading.calibration);
    let logit = ((threshold / (1.0 - threshold)).ln() - calibration.offset) / calibration.slope;
    1.0 / (1.0 + (-logit).exp())
}

/// A tile's channels one after another. A slice stands in for neighbours that it has not.
fn channels(tile: &Prepared) -> Vec<f32> {
    let [before, after] = tile.neighbours.each_ref().map(|other| other.as_ref());
    let own = &tile.pixels;
    [before.unwrap_or(own), own, after.unwrap_or(own)].into_iter().flatten().copied().collect()
}

fn create(folder: &Path, name: &str) -> anyhow::Result<BufWriter<File>> {
    let path = folder.join(name);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::new(file))
}

fn write_floats(file: &mut impl Write, values: &[f32]) -> std::io::Result<()> {
    values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use imaging::{Calibration, OperatingPoint};

    use super::*;

    #[test]
    fn the_cut_is_where_the_calibrated_probability_reaches_the_threshold() {
        let calibration = Calibration { slope: 0.4, offset: -0.3 };
        let operating_point =
            OperatingPoint { threshold: calibration.apply(0.7), minimum_pixels: 1 };
        let reading = Reading { calibration, ..Reading::plain(32, operating_point) };
        assert!((cut(&reading) - 0.7).abs() < 1e-5);
    }
}
