use std::time::Instant;

use domain::Result;

use super::{Loader, Parameters, Pool, Progress, Settings, State, Trainer};
use crate::Device;
use crate::network::Network;

/// Steps before the clock starts: caches and allocators are warm then.
const WARM_STEPS: u64 = 5;

/// Trains on phantoms alone, on squares of the full side, for as many steps as an epoch has; answers how many images that
/// was a second. Drawing and varying them is part of it.
pub fn speed(settings: &Settings, device: Device) -> Result<f64> {
    crate::device::keep_memory();
    // All of it at the full side, and no schedule to begin with small ones.
    let steps = settings.steps + WARM_STEPS;
    let settings = Settings { epochs: 1000, steps, manifests: Vec::new(), ..settings.clone() };
    let network = Network::new(settings.design);
    let pool = Pool::load(&[], settings.phantoms, || {})?;
    let parameters = Parameters::fresh(&network, settings.seed as i64, device.place);
    let progress = Progress {
        design: settings.design,
        seed: settings.seed,
        split: String::new(),
        epoch: settings.epochs - 1,
    };
    let mut state = State::new(parameters, progress, settings.decay);
    let first = (settings.epochs - 1) * steps;
    let shares = [first, first + steps].map(|step| step * settings.replicas as u64);
    std::thread::scope(|scope| {
        let loader = Loader::start(scope, &settings, &pool, shares, device.loaders());
        let trainer = Trainer { settings: &settings, device, network: &network };
        let mut began = Instant::now();
        for step in first..first + steps {
            if step == first + WARM_STEPS {
                began = Instant::now();
            }
            trainer.step(&mut state, step, settings.side, &loader)?;
        }
        Ok((settings.steps * settings.batch as u64) as f64 / began.elapsed().as_secs_f64())
    })
}
