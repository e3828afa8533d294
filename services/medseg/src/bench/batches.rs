use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use imaging::Prepared;
use model::{Device, Segmenter};
use serde_json::{Value, json};

use super::network::{median, pass, tile};
use super::{process, tiles};

/// Passes before the clock counts: caches, allocators and threads are warm after them.
const WARM_PASSES: usize = 3;

/// The network alone, at chosen sizes: what other engines are measured beside.
#[derive(clap::Args)]
pub struct Batches {
    /// Measure the network alone: each pass, from the start to the first answer, and the peak of memory.
    #[arg(long, conflicts_with = "clients")]
    pub network_only: bool,

    /// The side of the images in pixels.
    #[arg(long, default_value_t = 192, requires = "network_only")]
    side: usize,

    /// How many images are predicted at once: a slice and its mirror, by turns. May be said several times.
    #[arg(long, default_values = ["2", "8"], requires = "network_only")]
    batch: Vec<NonZeroUsize>,

    /// How many threads a CPU gives; one for each core unless set.
    #[arg(long, requires = "network_only")]
    threads: Option<NonZeroUsize>,

    /// Calculate in float32 whatever else the processor multiplies.
    #[arg(long, requires = "network_only")]
    exact: bool,

    /// Print JSON in place of a table.
    #[arg(long, requires = "network_only")]
    json: bool,

    /// Also write labelled tiles, and what the network says to them, to this folder, for another engine to be compared.
    #[arg(long, requires = "network_only")]
    tiles: Option<PathBuf>,

    /// The tiles are those of this manifest's patients whom `train` keeps for validation, and not phantoms.
    #[arg(long, requires = "tiles")]
    manifest: Option<PathBuf>,
}

/// The times of one batch size.
struct Timed {
    batch: usize,
    passes: Vec<Duration>,
}

impl Batches {
    pub fn run(&self, model: &Path, device: &str, passes: u64) -> anyhow::Result<()> {
        // What is wrong with the data is said before the model has been waited for.
        let patients = self.manifest.as_deref().map(tiles::validation).transpose()?;
        let mut segmenter = Segmenter::load(model, self.device(device)?)?;
        let first = [tile(self.side)?];
        pass(&mut segmenter, &first, false)?;
        let first_answer = process::since_start();
        let timed = self.timed(&mut segmenter, &first[0], passes)?;
        // Before the tiles, whose memory is not the network's.
        let peak_mib = process::peak_mib();
        if let Some(folder) = &self.tiles {
            let largest = self.batch.iter().max().context("a batch size")?.get();
            tiles::write_timed(folder, &by_turns(&first[0], largest))?;
            tiles::write(folder, &mut segmenter, self.side, patients)?;
        }
        match self.json {
            true => println!("{}", self.document(&segmenter, first_answer, peak_mib, &timed)),
            false => print_table(&segmenter, first_answer, peak_mib, &timed),
        }
        Ok(())
    }

    fn device(&self, name: &str) -> anyhow::Result<Device> {
        let device = Device::choose(name)?;
        let device = if self.exact { device.exact() } else { device };
        Ok(self.threads.map_or(device, |threads| device.limited(threads)))
    }

    fn timed(
        &self,
        segmenter: &mut Segmenter,
        tile: &Prepared,
        passes: u64,
    ) -> anyhow::Result<Vec<Timed>> {
        let timed = self.batch.iter().map(|batch| {
            let images = by_turns(tile, batch.get());
            for _ in 0..WARM_PASSES {
                pass(segmenter, &images, false)?;
            }
            let passes = (0..passes).map(|_| pass(segmenter, &images, false));
            Ok(Timed { batch: batch.get(), passes: passes.collect::<anyhow::Result<_>>()? })
        });
        timed.collect()
    }

    fn document(
        &self,
        segmenter: &Segmenter,
        first_answer: Option<Duration>,
        peak_mib: Option<f64>,
        timed: &[Timed],
    ) -> Value {
        let model = segmenter.model_info();
        let batches = timed.iter().map(|Timed { batch, passes }| {
            json!({ "batch": batch, "ms": passes.iter().copied().map(ms).collect::<Vec<_>>() })
        });
        json!({
            "model": format!("{} {}", model.facts.name, model.facts.version),
            "device": model.device,
            "side": self.side,
            "first_answer_ms": first_answer.map(ms),
            "peak_mib": peak_mib,
            "batches": batches.collect::<Vec<_>>(),
        })
    }
}

/// The tile and its mirror by turns.
fn by_turns(tile: &Prepared, count: usize) -> Vec<Prepared> {
    let mirror = |pixels: &Vec<f32>| -> Vec<f32> {
        pixels.chunks(tile.placement.side).flat_map(|row| row.iter().rev().copied()).collect()
    };
    let mirrored = Prepared {
        pixels: mirror(&tile.pixels),
        neighbours: tile.neighbours.each_ref().map(|pixels| pixels.as_ref().map(mirror)),
        placement: tile.placement,
    };
    [tile, &mirrored].into_iter().cycle().take(count).cloned().collect()
}

fn print_table(
    segmenter: &Segmenter,
    first_answer: Option<Duration>,
    peak_mib: Option<f64>,
    timed: &[Timed],
) {
    println!("| images at once | median ms | least ms | images/s |");
    println!("|--:|--:|--:|--:|");
    for Timed { batch, passes } in timed {
        let median = median(passes.clone());
        println!(
            "| {batch} | {:.1} | {:.1} | {:.1} |",
            ms(median),
            passes.iter().min().copied().map_or(0.0, ms),
            *batch as f64 / median.as_secs_f64()
        );
    }
    let model = segmenter.model_info();
    println!("\nmodel: {} {}, {}", model.facts.name, model.facts.version, model.device);
    if let (Some(first_answer), Some(peak_mib)) = (first_answer, peak_mib) {
        println!("first answer {:.0} ms after the start, peak {peak_mib:.0} MiB", ms(first_answer));
    }
}

fn ms(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_image_is_the_mirror() {
        let tile = tile(32).unwrap();
        let images = by_turns(&tile, 3);
        assert_eq!((&images[0], &images[2]), (&tile, &tile));
        assert_ne!(images[1], tile);
        assert_eq!(by_turns(&images[1], 2)[1], tile);
    }
}
