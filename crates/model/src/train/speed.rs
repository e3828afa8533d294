use std::time::Instant;

use domain::Result;

use super::learn::Trainer;
use super::{Pool, Progress, Settings, State};
use crate::Device;
use crate::network::Network;
use crate::parameters::Parameters;

/// Steps before the clock starts: caches and allocators are warm then.
const WARM_STEPS: u64 = 5;

/// Trains on phantoms alone, on squares of the full side, for that many steps; answers how many images that was a
/// second. Drawing and varying them is part of it.
pub fn speed(settings: &Settings, steps: u64, device: Device) -> Result<f64> {
    crate::device::keep_memory();
    device.tune();
    let network = Network::new(settings.design);
    let pool = Pool::load(&[], settings.phantoms, device, || {})?;
    let parameters = Parameters::fresh(&network, settings.seed as i64, device.place);
    let progress = Progress {
        design: settings.design,
        seed: settings.seed,
        split: String::new(),
        views: 0,
        seconds: 0.0,
    };
    let mut state = State::new(parameters, progress, settings.decay);
    let trainer = Trainer::new(settings, device, &network, &pool);
    let mut run = |steps: u64| -> Result<()> {
        let mut last = None;
        for _ in 0..steps {
            last = Some(trainer.step(&mut state, settings.side, 1.0, 0.5)?);
        }
        // Reading waits for all that the device has still to do.
        let _ = last.map(|seen| seen.read());
        Ok(())
    };
    run(WARM_STEPS)?;
    let began = Instant::now();
    run(steps)?;
    Ok((steps * settings.batch as u64) as f64 / began.elapsed().as_secs_f64())
}
