use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use durable::Draft;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::optimiser::Optimiser;
use super::schedule::Gone;
use crate::network::{Design, Network};
use crate::parameters::Parameters;
use crate::weights::missing;

/// All that training changes: saved from time to time, and enough to go on as if never stopped.
pub struct State {
    /// As the last step left them.
    pub parameters: Parameters,
    /// The moving average of the parameters: steadier than they are, and what is evaluated and shipped.
    pub average: Parameters,
    /// The moments of the gradient.
    pub optimiser: Optimiser,
    /// How far it has come, and of what.
    pub progress: Progress,
}

/// How far training has come.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Progress {
    /// The checkpoint fits no other network.
    pub design: Design,
    /// Of the run: going on with another would draw another split.
    pub seed: u64,
    /// Names the patients on both sides.
    pub split: String,
    /// Pictures that were learned from.
    pub views: u64,
    /// Spent on training.
    pub seconds: f64,
}

/// The longest memory of the moving average, in steps.
const AVERAGE_STEPS: f64 = 250.0;

impl State {
    /// Before the first step.
    pub fn new(parameters: Parameters, progress: Progress, decay: f64) -> State {
        let average = parameters.copy();
        let optimiser = Optimiser::new(&parameters.flat, parameters.decaying, decay);
        State { parameters, average, optimiser, progress }
    }

    /// One step down a gradient.
    pub fn step(&mut self, gradient: &Tensor, rate: f64) {
        self.optimiser.step(&mut self.parameters.flat, gradient, rate);
        let steps = self.optimiser.steps as f64;
        // Young averages forget fast, so that the random start leaves no trace.
        let share = (1.0 / AVERAGE_STEPS).max(1.0 / (1.0 + steps / 4.0));
        let _ = self.average.flat.lerp_(&self.parameters.flat, share);
        let _ = self.average.statistics.lerp_(&self.parameters.statistics, share);
    }

    /// How far it has come.
    pub fn gone(&self) -> Gone {
        Gone { views: self.progress.views, seconds: self.progress.seconds }
    }

    /// Writes the state to `path`: whole or not at all, so that a full disk costs the new state and not the old. The state
    /// that was there stays beside it as [`before`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut progress = HashMap::new();
        let text = serde_json::to_string(&self.progress).expect("progress is plain data");
        progress.insert("progress".to_owned(), text);
        progress.insert("steps".to_owned(), self.optimiser.steps.to_string());
        let tensors: Vec<(&str, Vec<u8>)> =
            self.tensors().into_iter().map(|(name, tensor)| (name, bytes(tensor))).collect();
        let views = tensors.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            (*name, view.expect("a flat vector's length is its shape"))
        });
        let written = || -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let draft = Draft::beside(path)?;
            safetensors::serialize_to_file(views, Some(progress), draft.path())?;
            // What it has written is a file of its own, which has taken the draft's name.
            File::open(draft.path())?.sync_all()?;
            let written = draft.finish()?;
            if path.is_file() {
                fs::rename(path, before(path))?;
            }
            Ok(written.replace(path)?)
        };
        written().map_err(|error| {
            let message = format!("cannot write {}: the state before it stays", path.display());
            ErrorKind::Unavailable.error(message).because(error)
        })
    }

    /// Reads back what [`save`](State::save) wrote.
    pub fn load(path: &Path, decay: f64, device: Device) -> Result<State> {
        let invalid = |why: &str| {
            ErrorKind::Invalid.error(format!("{} is no checkpoint: {why}", path.display()))
        };
        let file = fs::read(path).map_err(|error| missing(path, error))?;
        let (_, metadata) =
            SafeTensors::read_metadata(&file).map_err(|_| invalid("not a safetensors file"))?;
        let texts = metadata.metadata().clone().unwrap_or_default();
        let text = texts.get("progress").ok_or_else(|| invalid("no progress"))?;
        let progress: Progress =
            serde_json::from_str(text).map_err(|_| invalid("unreadable progress"))?;
        let steps = texts.get("steps").and_then(|steps| steps.parse().ok());
        let tensors = SafeTensors::deserialize(&file).map_err(|_| invalid("truncated"))?;
        let network = Network::new(progress.design);
        let parameters = Parameters::fresh(&network, progress.seed as i64, device);
        let mut state = State::new(parameters, progress, decay);
        state.optimiser.steps = steps.ok_or_else(|| invalid("no step count"))?;
        for (name, tensor) in state.tensors() {
            let view = tensors.tensor(name).map_err(|_| invalid(name))?;
            if view.shape() != [tensor.numel()] || view.dtype() != Dtype::F32 {
                return Err(invalid(&format!("{name} has the wrong shape")));
            }
            let read = Tensor::from_data_size(view.data(), &tensor.size(), Kind::Float);
            tensor.shallow_clone().copy_(&read);
        }
        Ok(state)
    }

    fn tensors(&self) -> [(&'static str, &Tensor); 6] {
        [
            ("parameters", &self.parameters.flat),
            ("statistics", &self.parameters.statistics),
            ("average", &self.average.flat),
            ("average_statistics", &self.average.statistics),
            ("gradient_mean", &self.optimiser.mean),
            ("gradient_square", &self.optimiser.square),
        ]
    }
}

/// Where the state before the last one lies.
pub fn before(path: &Path) -> PathBuf {
    path.with_extension("before.safetensors")
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; 4 * tensor.numel()];
    tensor.to_device(Device::Cpu).copy_data_u8(&mut bytes, tensor.numel());
    bytes
}
