use std::cell::Cell;
use std::time::Instant;

use domain::{ErrorKind, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::Settings;
use super::darkroom::{Batch, Darkroom, Softness};
use super::display::Display;
use super::losses::Losses;
use super::objective::{HeldOut, Objective, objective};
use super::pool::Pool;
use super::report::Reporter;
use super::state::State;
use crate::Device;
use crate::dataset::Split;
use crate::network::Network;
use crate::parallel::in_parallel;
use crate::parameters::{Normalising, Parameters};
use crate::segmenter::torch_error;

/// Steps between two readings of the loss: each makes a GPU wait.
const READ_STEPS: u64 = 20;
/// How often, in all of training, the held-out patients are evaluated: at checkpoints, and no more often than those come.
const VALIDATIONS: f64 = 10.0;
/// The most that one step counts: what takes longer is a machine that was stopped and not a machine at work.
const STEP_SECONDS_MAX: f64 = 120.0;
/// Pictures on which a finished network's normalisations are measured, where it has seen as many.
const MEASURED: u64 = 2048;

/// Trains on until that part of the training is done (up to 1), and saves the state; at the end with statistics that
/// are measured anew on pictures without variation. The split comes with the version of its data.
pub fn learn(
    settings: &Settings,
    device: Device,
    (split, data_version): (&Split, &str),
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
    let mut losses = Losses::open(&settings.run, state.optimiser.steps as u64)?;
    let pool = Pool::load(&split.training, settings.phantoms, device, || display.loaded())?
        .for_use_in("training")?;
    let held_out = HeldOut::load(&split.validation, device, || display.loaded())?;
    let trainer = Trainer::new(settings, device, &network, &pool);
    let reporter = Reporter::new(settings, state);
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
            losses.add(steps, state.gone(), loss, dice)?;
            reporter.step(state, done, loss, dice);
        }
        if state.progress.seconds - saved >= 60.0 * settings.checkpoint_minutes {
            trainer.save(split, state, data_version)?;
            saved = state.progress.seconds;
            if now_done >= next_look {
                let side = schedule.side(done);
                let dice = held_out.validate(&network, &state.average, side, device)?;
                display.validated(&dice);
                reporter.validated(state, &dice);
                next_look = now_done + 1.0 / VALIDATIONS;
            }
        }
        // Neither saving nor validating is training.
        stopwatch = Instant::now();
    }
    if schedule.done(state.gone()) >= 1.0 {
        trainer.measure(state, settings.side)?;
        let dice = held_out.validate(&network, &state.average, settings.side, device)?;
        display.validated(&dice);
        reporter.validated(state, &dice);
    }
    trainer.save(split, state, data_version)?;
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
    /// How many shards a batch is divided into: more than the replicas where memory ran out.
    shards: Cell<usize>,
}

/// The result of one replica for its shard of a batch.
struct Shard {
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
    /// Borrows all that stays; where memory runs out, a batch is later divided into more shards.
    pub fn new(
        settings: &'a Settings,
        device: Device,
        network: &'a Network,
        pool: &'a Pool,
    ) -> Trainer<'a> {
        let darkroom = Darkroom::new(pool, network.channels(), device);
        let shards = Cell::new(settings.replicas);
        Trainer { settings, device, network, pool, darkroom, shards }
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
        let shards = self.run_shards(state, &batch)?;
        self.device.take_threads(self.device.cores());
        let mean = |part: &dyn Fn(&Shard) -> Tensor| {
            let mut mean = part(&shards[0]);
            for shard in &shards[1..] {
                let _ = mean.g_add_(&part(shard));
            }
            mean.g_div_scalar_(shards.len() as f64)
        };
        tch::no_grad(|| {
            state.parameters.statistics.copy_(&mean(&|shard| shard.statistics.shallow_clone()));
            let rate = self.settings.schedule().rate(step, done);
            // The memory of the first gradient holds the mean of all.
            state.step(&mean(&|shard| shard.gradient.shallow_clone()), rate);
            Ok(Objective {
                loss: mean(&|shard| shard.seen.loss.detach().copy()),
                dice: mean(&|shard| shard.seen.dice.copy()),
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

    /// Runs each shard of the batch; more and smaller ones where they do not fit the memory.
    fn run_shards(&self, state: &State, batch: &Batch) -> Result<Vec<Shard>> {
        loop {
            let shards = self.shards.get();
            let count = self.settings.batch / shards;
            let cores = self.device.cores();
            let works = (0..shards).map(|shard| {
                let part = batch.part((shard * count) as i64, count as i64);
                let parameters = state.parameters.sharing_weights();
                let (network, device) = (self.network, self.device);
                move || {
                    device.take_threads((cores / shards).max(1));
                    forward_backward(network, parameters, &part)
                }
            });
            let done = match cores {
                1 => works.map(|work| work()).collect(),
                _ => in_parallel(works),
            };
            match done {
                Err(error) if error.kind() == ErrorKind::Exhausted && count > 1 => {
                    let smaller = (shards + 1..=self.settings.batch)
                        .find(|shards| self.settings.batch.is_multiple_of(*shards));
                    let shards = smaller.unwrap_or(self.settings.batch);
                    eprintln!("out of memory: {shards} shares of each batch, one after another");
                    self.shards.set(shards);
                }
                done => return done,
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
        let unit_parameters = state.average.by_unit(self.network, false);
        let pictures = MEASURED.min(state.progress.views);
        for batch in 1..=pictures.div_ceil(self.settings.batch as u64) {
            let drawn = (0..self.settings.batch).map(|_| self.pool.draw(1.0, &mut random).slices);
            let plain = self.darkroom.plain(&drawn.collect::<Vec<_>>(), side);
            let normalising = Normalising::Measured(batch as u32);
            let _ = unit_parameters.forward(&plain.images, normalising).map_err(torch_error)?;
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

    fn save(&self, split: &Split, state: &State, data_version: &str) -> Result<()> {
        self.check(state, 0.0)?;
        state.save(&self.settings.checkpoint())?;
        if self.settings.unjudged {
            super::unjudged(self.settings, split, state, data_version)?;
        }
        Ok(())
    }
}

/// The forward and backward pass of one shard.
fn forward_backward(network: &Network, parameters: Parameters, batch: &Batch) -> Result<Shard> {
    let unit_parameters = parameters.by_unit(network, true);
    let logits = unit_parameters.forward(&batch.images, Normalising::Batch).map_err(torch_error)?;
    let seen = objective(&logits, &batch.targets);
    let gradient = unit_parameters.gradient(&seen.loss).map_err(torch_error)?;
    Ok(Shard { seen, gradient, statistics: parameters.statistics })
}
