use std::cell::Cell;
use std::time::Instant;

use domain::{ErrorKind, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::Settings;
use super::display::Display;
use super::objective::{HeldOut, Objective, objective};
use super::picture::{Batch, Darkroom, Softness};
use super::pool::Pool;
use super::state::State;
use crate::Device;
use crate::dataset::Split;
use crate::network::Network;
use crate::parallel::in_parallel;
use crate::parameters::{Normalising, Parameters};
use crate::segmenter::broken;

/// Steps between two looks at the loss: each makes a GPU wait.
const READ_STEPS: u64 = 20;
/// How often, in all of training, the held-out patients are looked at: at checkpoints, and no more often than those come.
const VALIDATIONS: f64 = 10.0;
/// The most that one step counts: what takes longer is a machine that was stopped and not a machine at work.
const STEP_SECONDS_MAX: f64 = 120.0;
/// Pictures on which a finished network's normalisations are measured, where it has seen as many.
const MEASURED: u64 = 2048;

/// Trains on until that part of the training is done (up to 1), and saves the state; at the end with statistics that
/// are measured anew on pictures without variation.
pub fn learn(
    settings: &Settings,
    device: Device,
    split: &Split,
    state: &mut State,
    until: f64,
) -> Result<()> {
    let schedule = settings.schedule();
    if schedule.done(state.gone()) >= until {
        return Ok(());
    }
    crate::device::keep_memory();
    device.tune();
    let network = Network::new(settings.design);
    let display = Display::new();
    let pool = Pool::load(&split.training, settings.phantoms, device, || display.loaded())?
        .for_use_in("training")?;
    let held_out = HeldOut::load(&split.validation, device, || display.loaded())?;
    let trainer = Trainer::new(settings, device, &network, &pool);
    let mut stopwatch = Instant::now();
    let mut saved = state.progress.seconds;
    let mut next_look = schedule.done(state.gone()) + 1.0 / VALIDATIONS;
    loop {
        let done = schedule.done(state.gone());
        if done >= until {
            break;
        }
        let seen = trainer.step(state, schedule.side(done), schedule.strength(done), done)?;
        state.progress.views += settings.batch as u64;
        state.progress.seconds += stopwatch.elapsed().as_secs_f64().min(STEP_SECONDS_MAX);
        let steps = state.optimiser.steps as u64;
        let now_done = schedule.done(state.gone());
        if steps.is_multiple_of(READ_STEPS) || now_done >= until {
            let [loss, dice] = seen.read();
            trainer.check(state, loss)?;
            display.step(state.gone(), now_done, schedule.side(done), loss, dice);
        }
        if state.progress.seconds - saved >= 60.0 * settings.checkpoint_minutes {
            trainer.save(split, state)?;
            saved = state.progress.seconds;
            if now_done >= next_look {
                let side = schedule.side(done);
                display.validated(&held_out.validate(&network, &state.average, side, device)?);
                next_look = now_done + 1.0 / VALIDATIONS;
            }
        }
        // Neither saving nor validating is training.
        stopwatch = Instant::now();
    }
    if schedule.done(state.gone()) >= 1.0 {
        trainer.measure(state, settings.side)?;
        display.validated(&held_out.validate(&network, &state.average, settings.side, device)?);
    }
    trainer.save(split, state)?;
    display.done();
    Ok(())
}

/// What stays the same from step to step.
pub struct Trainer<'a> {
    settings: &'a Settings,
    device: Device,
    network: &'a Network,
    pool: &'a Pool,
    darkroom: Darkroom<'a>,
    /// How many shares a batch is looked at in: more than the replicas where memory ran out.
    shares: Cell<usize>,
}

/// What one replica made of its share of a batch.
struct Share {
    seen: Objective,
    gradient: Tensor,
    statistics: Tensor,
}

impl Objective {
    /// Loss and Dice as numbers; waits for the device.
    pub fn read(&self) -> [f64; 2] {
        [&self.loss, &self.dice].map(|value| value.double_value(&[]))
    }
}

impl<'a> Trainer<'a> {
    /// Borrows all that stays; where memory runs out, a batch is later looked at in more shares.
    pub fn new(
        settings: &'a Settings,
        device: Device,
        network: &'a Network,
        pool: &'a Pool,
    ) -> Trainer<'a> {
        let darkroom = Darkroom::new(pool, network.channels(), device);
        let shares = Cell::new(settings.replicas);
        Trainer { settings, device, network, pool, darkroom, shares }
    }

    /// One step on squares of that side, varied with that strength, when that part of training is done.
    pub fn step(
        &self,
        state: &mut State,
        side: usize,
        strength: f32,
        done: f64,
    ) -> Result<Objective> {
        let step = state.optimiser.steps as u64;
        // All cores until the replicas begin.
        self.device.take_threads(self.device.cores());
        let batch = self.batch(step, side, strength);
        let shares = self.looked_at(state, &batch)?;
        self.device.take_threads(self.device.cores());
        let mean = |part: &dyn Fn(&Share) -> Tensor| {
            let mut mean = part(&shares[0]);
            for share in &shares[1..] {
                let _ = mean.g_add_(&part(share));
            }
            mean.g_div_scalar_(shares.len() as f64)
        };
        tch::no_grad(|| {
            state.parameters.statistics.copy_(&mean(&|share| share.statistics.shallow_clone()));
            let rate = self.settings.schedule().rate(step, done);
            // The memory of the first gradient holds the mean of all.
            state.step(&mean(&|share| share.gradient.shallow_clone()), rate);
            Ok(Objective {
                loss: mean(&|share| share.seen.loss.detach().copy()),
                dice: mean(&|share| share.seen.dice.copy()),
            })
        })
    }

    /// What is shown in a step: it depends on the seed and on nothing else.
    fn batch(&self, step: u64, side: usize, strength: f32) -> Batch {
        let mut random = ChaCha8Rng::seed_from_u64(self.settings.seed);
        random.set_stream(step);
        let softness = Softness::draw(&mut random);
        let pictures: Vec<_> =
            (0..self.settings.batch).map(|_| self.pool.draw(strength, &mut random)).collect();
        self.darkroom.varied(&pictures, side, softness)
    }

    /// What each share of the batch comes to; in more and smaller shares where they do not fit the memory.
    fn looked_at(&self, state: &State, batch: &Batch) -> Result<Vec<Share>> {
        loop {
            let shares = self.shares.get();
            let count = self.settings.batch / shares;
            let cores = self.device.cores();
            let works = (0..shares).map(|share| {
                let part = batch.part((share * count) as i64, count as i64);
                let parameters = state.parameters.sharing_weights();
                let (network, device) = (self.network, self.device);
                move || {
                    device.take_threads((cores / shares).max(1));
                    look(network, parameters, &part)
                }
            });
            let looked_at = match cores {
                1 => works.map(|work| work()).collect(),
                _ => in_parallel(works),
            };
            match looked_at {
                Err(error) if error.kind() == ErrorKind::Exhausted && count > 1 => {
                    let smaller = (shares + 1..=self.settings.batch)
                        .find(|shares| self.settings.batch.is_multiple_of(*shares));
                    let shares = smaller.unwrap_or(self.settings.batch);
                    eprintln!("out of memory: {shares} shares of each batch, one after another");
                    self.shares.set(shares);
                }
                looked_at => return looked_at,
            }
        }
    }

    /// The average's statistics, as the mean over many pictures as they are: those of training follow pictures that are
    /// varied, and the average's own are an average of weights that are gone.
    fn measure(&self, state: &mut State, side: usize) -> Result<()> {
        let _guard = tch::no_grad_guard();
        self.device.take_threads(self.device.cores());
        let mut random = ChaCha8Rng::seed_from_u64(self.settings.seed);
        random.set_stream(u64::MAX);
        let cut = state.average.cut(self.network, false);
        let pictures = MEASURED.min(state.progress.views);
        for batch in 1..=pictures.div_ceil(self.settings.batch as u64) {
            let drawn = (0..self.settings.batch).map(|_| self.pool.draw(1.0, &mut random).slices());
            let plain = self.darkroom.plain(&drawn.collect::<Vec<_>>(), side);
            let normalising = Normalising::Measured(batch as u32);
            let _ = cut.forward(&plain.images, normalising).map_err(broken)?;
        }
        Ok(())
    }

    /// Whether a state may be kept: neither its loss nor any of its weights is anything but a number.
    fn check(&self, state: &State, loss: f64) -> Result<()> {
        let total = state.parameters.flat.abs().sum(tch::Kind::Double).double_value(&[]);
        if loss.is_finite() && total.is_finite() {
            return Ok(());
        }
        let (step, kept) = (state.optimiser.steps, self.settings.checkpoint());
        let message = format!(
            "after step {step} the loss is not a number: stopped; the last good state is {}",
            kept.display()
        );
        Err(ErrorKind::Internal.error(message))
    }

    fn save(&self, split: &Split, state: &State) -> Result<()> {
        self.check(state, 0.0)?;
        state.save(&self.settings.checkpoint())?;
        if self.settings.unjudged {
            super::unjudged(self.settings, split, state)?;
        }
        Ok(())
    }
}

/// One share of a batch, forwards and back.
fn look(network: &Network, parameters: Parameters, batch: &Batch) -> Result<Share> {
    let cut = parameters.cut(network, true);
    let logits = cut.forward(&batch.images, Normalising::Batch).map_err(broken)?;
    let seen = objective(&logits, &batch.targets);
    let gradient = cut.gradient(&seen.loss).map_err(broken)?;
    Ok(Share { seen, gradient, statistics: parameters.statistics })
}
