use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use domain::{ErrorKind, Priority, Result};
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use imaging::{ModelInfo, Prepared, TilePrediction};
use metrics::{counter, gauge, histogram};
use service::Turns;
use tokio::sync::{mpsc, oneshot};

use crate::cores::{Cores, Whose};
use crate::engine::Engine;

/// Opens the engine: at the start, and again after it has failed.
type Open = Box<dyn Fn() -> Result<Box<dyn Engine>> + Send>;

/// The model, alone on its own thread, where it may block; clones share it.
///
/// Slices wait in one line for each priority, where each hospital gets places in turn. The thread takes what is there, the
/// urgent ones first, up to the best batch size, whenever it is free: a lone slice never waits for company, and a busy model
/// always has the next batch prepared. Tiles of one size and one augmentation go to the engine together. What is of no scan is
/// looked at while no scan's slice waits, and fills up no batch of theirs.
///
/// An engine that fails or panics is dropped and opened anew: the slices in hand fail as something
/// that may pass, those in line go on. Where it cannot be opened again (a CUDA context that is beyond
/// repair, say), the thread ends, and with it the process: see [`Ended`].
#[derive(Clone)]
pub struct Model {
    queues: Queues<Line>,
    cores: Cores,
    model_info: Arc<ModelInfo>,
    channels: usize,
    batch: usize,
}

/// Tells why the model's thread ended.
pub type Ended = oneshot::Receiver<Result<()>>;

/// Waits for the thread's end: `Ok` when nobody held the model any more, else why.
pub async fn end_of(ended: Ended) -> Result<()> {
    ended.await.map_err(|_| ErrorKind::Internal.error("the model's thread is gone"))?
}

/// The model's output for one slice.
#[derive(Debug)]
pub struct Prediction {
    /// As many probabilities as the tile has pixels.
    pub output: TilePrediction,
    /// The slice's share of the time that its batch took.
    pub compute_ms: f64,
}

/// One for each priority, and one for what has none.
#[derive(Clone)]
struct Queues<T> {
    stat: T,
    routine: T,
    bare: T,
}

/// Where slices wait, and the hospitals' turns at it and at the thread's hands.
#[derive(Clone)]
struct Line {
    slices: mpsc::Sender<Pending>,
    turns: Turns<Arc<str>>,
}

struct Pending {
    tile: Prepared,
    mirrored: bool,
    answer: oneshot::Sender<Result<Prediction>>,
}

impl Model {
    /// Opens the engine on a thread of its own; returns when it is ready, or why it is not.
    pub async fn start(
        open: impl Fn() -> Result<Box<dyn Engine>> + Send + 'static,
        batch: usize,
    ) -> Result<(Model, Ended)> {
        let batch = batch.max(1);
        // One batch in the thread's hands, one in each line.
        let (stat, urgent) = mpsc::channel(batch);
        let (routine, others) = mpsc::channel(batch);
        let (bare, last) = mpsc::channel(batch);
        let line = |slices| Line { slices, turns: Turns::of(2 * batch) };
        let queues = Queues { stat: line(stat), routine: line(routine), bare: line(bare) };
        let inbox = Queues { stat: urgent, routine: others, bare: last };
        let (ready, opened) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let run = move || {
            let engine = match open() {
                Ok(engine) => engine,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let model_info = engine.model_info();
            if ready.send(Ok((model_info.clone(), engine.channels()))).is_ok() {
                let thread = Thread { open: Box::new(open), engine, model_info, batch };
                let _ = end.send(thread.serve(inbox));
            }
        };
        thread::Builder::new().name("model".into()).spawn(run).map_err(|error| {
            ErrorKind::Internal.error("cannot start the model's thread").because(error)
        })?;
        let panicked = |_| ErrorKind::Internal.error("the model panicked when it was opened");
        let (model_info, channels) = opened.await.map_err(panicked)??;
        let model_info = Arc::new(model_info);
        tracing::info!(
            model = model_info.facts.name,
            version = model_info.facts.version,
            device = model_info.device,
            "a model is loaded"
        );
        let cores = Cores::of_machine();
        Ok((Model { queues, cores, model_info, channels, batch }, ended))
    }

    /// The model that the engine runs.
    pub fn model_info(&self) -> &ModelInfo {
        &self.model_info
    }

    /// Where its scans are prepared, and what it says of them is measured.
    pub fn cores(&self) -> &Cores {
        &self.cores
    }

    /// The same model, said to be trained on this version of the data where its weights do not say on which.
    pub fn of_data(mut self, version: &str) -> Model {
        if self.model_info.facts.data_version.is_empty() {
            version.clone_into(&mut Arc::make_mut(&mut self.model_info).facts.data_version);
        }
        self
    }

    /// The same model, whose scans take their turns at those cores: however many models serve, the machine has no more.
    pub fn on(mut self, cores: &Cores) -> Model {
        self.cores = cores.clone();
        self
    }

    /// How many channels of a tile the engine looks at.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Whether the thread still takes slices.
    pub fn check(&self) -> Result<()> {
        if self.queues.routine.slices.is_closed() {
            return Err(gone());
        }
        Ok(())
    }

    /// Predicts each tile, in their order; with test-time augmentation by a flip where `mirrored`.
    ///
    /// Dropping the future takes back the slices that still wait. `Internal` when what comes out is
    /// no probability or of the wrong shape; any other failure may pass.
    pub async fn predict(
        &self,
        tiles: Vec<Prepared>,
        mirrored: bool,
        whose: &Whose,
    ) -> Result<Vec<Prediction>> {
        // Enough of a tall volume to fill a batch and have the next one ready; the rest waits its turn
        // here, so that other scans come in between.
        let ahead = 2 * self.batch;
        let seen = stream::iter(tiles).map(|tile| self.predict_one(tile, mirrored, whose));
        seen.buffered(ahead).try_collect().await
    }

    async fn predict_one(
        &self,
        tile: Prepared,
        mirrored: bool,
        whose: &Whose,
    ) -> Result<Prediction> {
        let _pending = PendingCount::new();
        let (answer, seen) = oneshot::channel();
        let line = match whose.priority {
            Some(Priority::Stat) => &self.queues.stat,
            Some(Priority::Routine) => &self.queues.routine,
            None => &self.queues.bare,
        };
        let _turn = line.turns.take(whose.tenant.clone()).await;
        line.slices.send(Pending { tile, mirrored, answer }).await.map_err(|_| gone())?;
        seen.await.map_err(|_| gone())?
    }
}

impl Queues<mpsc::Receiver<Pending>> {
    /// Waits for the next slice, the most urgent that is there, and says whether it is a scan's; none once nobody holds the
    /// model any more.
    fn wait(&mut self) -> Option<(Pending, bool)> {
        block_on(async {
            tokio::select! {
                biased;
                Some(urgent) = self.stat.recv() => Some((urgent, true)),
                Some(routine) = self.routine.recv() => Some((routine, true)),
                Some(bare) = self.bare.recv() => Some((bare, false)),
                else => None,
            }
        })
    }

    /// The next scan's slice, if one is there.
    fn take(&mut self) -> Option<Pending> {
        self.stat.try_recv().or_else(|_| self.routine.try_recv()).ok()
    }

    /// The next slice for a batch, if one is there, and whether it is a scan's: a batch that holds one of a scan is made no
    /// longer by those of none.
    fn fitting(&mut self, with_a_scan: bool) -> Option<(Pending, bool)> {
        match self.take() {
            Some(pending) => Some((pending, true)),
            None if with_a_scan => None,
            None => Some((self.bare.try_recv().ok()?, false)),
        }
    }
}

fn gone() -> domain::Error {
    ErrorKind::Unavailable.error("the model is not running")
}

/// Counts the slices that somebody waits for.
struct PendingCount;

impl PendingCount {
    fn new() -> PendingCount {
        gauge!("medseg_inference_pending_slices").increment(1.0);
        PendingCount
    }
}

impl Drop for PendingCount {
    fn drop(&mut self) {
        gauge!("medseg_inference_pending_slices").decrement(1.0);
    }
}

/// What lives on the model's thread.
struct Thread {
    open: Open,
    engine: Box<dyn Engine>,
    model_info: ModelInfo,
    /// Shrinks when memory runs out.
    batch: usize,
}

impl Thread {
    /// Works until nobody holds the model any more, or the engine is beyond repair.
    fn serve(mut self, mut inbox: Queues<mpsc::Receiver<Pending>>) -> Result<()> {
        while let Some(first) = inbox.wait() {
            let mut next = Some(first);
            let mut batch = Vec::with_capacity(self.batch);
            let mut with_a_scan = false;
            while let Some((pending, of_a_scan)) = next {
                with_a_scan |= of_a_scan;
                // A caller that has gone away wants no work done.
                if !pending.answer.is_closed() {
                    batch.push(pending);
                }
                next = if batch.len() < self.batch { inbox.fitting(with_a_scan) } else { None };
            }
            for alike in by_input(batch) {
                self.run(alike)?;
            }
        }
        Ok(())
    }

    /// Runs the engine on tiles that all have one input.
    fn run(&mut self, batch: Vec<Pending>) -> Result<()> {
        let Some(mirrored) = batch.first().map(|pending| pending.mirrored) else { return Ok(()) };
        let (tiles, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|w| (w.tile, w.answer)).unzip();
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.engine.predict(&tiles, mirrored)));
        let took = began.elapsed();
        match outcome {
            Ok(Ok(outputs)) => {
                histogram!("medseg_inference_batch_slices").record(tiles.len() as f64);
                histogram!("medseg_inference_compute_seconds").record(took.as_secs_f64());
                let compute_ms = took.as_secs_f64() * 1000.0 / tiles.len() as f64;
                reply(&tiles, answers, outputs, compute_ms);
                Ok(())
            }
            Ok(Err(error)) if error.kind() == ErrorKind::Exhausted && tiles.len() > 1 => {
                self.batch = tiles.len() / 2;
                tracing::warn!(batch = self.batch, "out of memory: making smaller batches");
                let mut again = tiles.into_iter().zip(answers).map(|(tile, answer)| Pending {
                    tile,
                    mirrored,
                    answer,
                });
                let half: Vec<_> = again.by_ref().take(self.batch).collect();
                self.run(half)?;
                self.run(again.collect())
            }
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the model failed");
                self.reopen(answers)
            }
            Err(_) => {
                tracing::error!("the model panicked");
                self.reopen(answers)
            }
        }
    }

    /// The slices in hand fail, and a new engine takes the next.
    fn reopen(&mut self, answers: Vec<oneshot::Sender<Result<Prediction>>>) -> Result<()> {
        counter!("medseg_inference_restarts_total").increment(1);
        let broken = || ErrorKind::Unavailable.error("the model broke off and was started anew");
        answers.into_iter().for_each(|answer| drop(answer.send(Err(broken()))));
        let engine = catch_unwind(AssertUnwindSafe(|| (self.open)())).unwrap_or_else(|_| {
            Err(ErrorKind::Internal.error("the model panicked when it was opened"))
        })?;
        // Results name the model that was there at the start.
        if engine.model_info() != self.model_info {
            return Err(ErrorKind::Internal.error("the model is another one than before"));
        }
        self.engine = engine;
        Ok(())
    }
}

/// A batch in parts of one tile size and one augmentation each, those who waited longest first: tiles of two sizes are no
/// batch, and a flip doubles the work.
fn by_input(batch: Vec<Pending>) -> Vec<Vec<Pending>> {
    let mut parts: Vec<Vec<Pending>> = Vec::new();
    let input = |pending: &Pending| (pending.tile.placement.side, pending.mirrored);
    for pending in batch {
        match parts.iter_mut().find(|part| input(&part[0]) == input(&pending)) {
            Some(part) => part.push(pending),
            None => parts.push(vec![pending]),
        }
    }
    parts
}

/// Answers each slice with its prediction, if that is valid.
fn reply(
    tiles: &[Prepared],
    answers: Vec<oneshot::Sender<Result<Prediction>>>,
    outputs: Vec<TilePrediction>,
    compute_ms: f64,
) {
    let mut outputs = outputs.into_iter();
    for (tile, answer) in tiles.iter().zip(answers) {
        let seen = outputs.next().ok_or_else(|| wrong("has too few slices")).and_then(|output| {
            checked(tile, &output)?;
            Ok(Prediction { output, compute_ms })
        });
        let _ = answer.send(seen);
    }
}

fn checked(
    tile: &Prepared,
    TilePrediction { probabilities, kinds, .. }: &TilePrediction,
) -> Result<()> {
    if probabilities.len() != tile.pixels.len() {
        return Err(wrong("has the wrong shape"));
    }
    // NaN is in no range.
    let sound = |values: &[f32]| values.iter().all(|p| (0.0..=1.0).contains(p));
    if !(sound(probabilities) && sound(kinds)) {
        return Err(wrong("is no probability"));
    }
    Ok(())
}

fn wrong(what: &str) -> domain::Error {
    ErrorKind::Internal.error(format!("the model's output {what}"))
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
