use std::path::Path;
use std::time::{Duration, Instant};

use imaging::phantom::{Phantom, Settings};
use imaging::{NetworkInput, Prepared, prepare};
use model::{Device, Segmenter};

/// The batch sizes among which the bare loop's best is looked for.
const BATCHES: [usize; 5] = [1, 2, 4, 8, 16];

/// The times of the network alone, in this process.
pub struct NetworkOnly {
    pub forward: Duration,
    pub best_batch: usize,
    /// Slices per second at the best batch size.
    pub throughput: f64,
    pub facts: String,
}

impl NetworkOnly {
    pub fn measure(model: &Path, device: &str, scans: u64) -> anyhow::Result<NetworkOnly> {
        let mut segmenter = Segmenter::load(model, Device::choose(device)?)?;
        let model_info = segmenter.model_info();
        // How an upload is given to the network whose header says no kind, as these.
        let NetworkInput { side, mirrored } = model_info.facts.readings.general.slice.input;
        let (name, version) = (&model_info.facts.name, &model_info.facts.version);
        let times = if mirrored { ", flipped too" } else { "" };
        let device = &model_info.device;
        let facts = format!("{name} {version}, squares of {side} pixels{times}, {device}");
        let tile = tile(side)?;
        let mut pass = |batch: &[Prepared]| pass(&mut segmenter, batch, mirrored);
        let one = std::slice::from_ref(&tile);
        for _ in 0..5 {
            pass(one)?;
        }
        let forward = median((0..scans).map(|_| pass(one)).collect::<anyhow::Result<Vec<_>>>()?);
        let (mut best_batch, mut throughput) = (1, 0.0);
        for size in BATCHES {
            let batch = vec![tile.clone(); size];
            pass(&batch)?;
            let times = (0..(scans as usize / size).max(3)).map(|_| pass(&batch));
            let rate =
                size as f64 / median(times.collect::<anyhow::Result<Vec<_>>>()?).as_secs_f64();
            if rate > throughput {
                (best_batch, throughput) = (size, rate);
            }
        }
        Ok(NetworkOnly { forward, best_batch, throughput, facts })
    }
}

/// How long the network takes for that batch.
pub fn pass(
    segmenter: &mut Segmenter,
    batch: &[Prepared],
    mirrored: bool,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    segmenter.predict(batch, mirrored)?;
    Ok(start.elapsed())
}

/// The tile that is predicted again and again.
pub fn tile(side: usize) -> anyhow::Result<Prepared> {
    Ok(prepare(Phantom::new(&Settings::slice(0))?.volume.slice(0), 256, 256, side)?)
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
