mod facts;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::{Error, ErrorKind, Result, hex};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

pub use self::facts::WeightsFacts;
use crate::kind_head::KindHead;
use crate::network::{Network, Unit};

/// `model.json`, which lies beside the weights file and vouches for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Manifest {
    /// The weights file's name, in the same folder.
    pub file: String,
    /// The length of the weights file.
    pub bytes: u64,
    /// Of the weights file, in lower-case hex.
    pub sha256: String,
    /// What the weights file says of itself, for whoever does not open it.
    #[serde(flatten)]
    pub facts: WeightsFacts,
}

/// A unit's convolution with its normalisation folded in, f32.
pub struct Folded {
    /// [`Unit::shape`].
    pub weight: Tensor,
    /// One for each output channel, f32.
    pub bias: Tensor,
}

impl Folded {
    /// The same for `unit`, whose last two inputs may be new: neighbouring slices, with weights of zero. The slice itself
    /// lies between them.
    pub fn widened(self, unit: &Unit) -> Folded {
        if self.weight.size()[3] + 2 != unit.inputs {
            return self;
        }
        let slice = self.weight.size()[3] - 1;
        let others = self.weight.narrow(3, 0, slice);
        let own = self.weight.narrow(3, slice, 1);
        let nothing = own.zeros_like();
        Folded { weight: Tensor::cat(&[&others, &nothing, &own, &nothing], 3), bias: self.bias }
    }
}

/// A weights file that was read whole, verified, and expanded.
pub struct Weights {
    /// What the file says of itself.
    pub facts: WeightsFacts,
    /// Of the file's bytes, in lower-case hex.
    pub sha256: String,
    /// In the order of [`Network::units`].
    pub units: Vec<Folded>,
    /// There exactly where the facts name classes.
    pub kind_head: Option<KindHead>,
}

/// A network's weights as files hold them: int8 with one scale per output channel.
pub struct Quantised(Vec<Part>);

/// The name of a model's weights file.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// The name of the manifest beside it.
pub const MANIFEST_FILE: &str = "model.json";
/// Where the file's header keeps the facts.
const FACTS: &str = "medseg";
/// No weights file of ours is larger; a manifest that claims more is wrong.
const BYTES_MAX: u64 = 256 << 20;

impl Weights {
    /// Reads a model from its folder, its manifest or its weights file.
    ///
    /// Refused (`NotFound`, `Invalid`) unless the file is exactly the one that the manifest vouches for, fits
    /// this program's preprocessing, and holds every tensor in the right shape with finite numbers.
    pub fn read(path: &Path) -> Result<Weights> {
        let manifest_path = manifest_path(path);
        let manifest = read_manifest(&manifest_path).map_err(|error| {
            let message = format!("cannot load the model {}: {error}", path.display());
            error.kind().error(message).because(error)
        })?;
        let file = manifest_path.with_file_name(&manifest.file);
        let refused = |why: &str| {
            ErrorKind::Invalid.error(format!("refused the weights {}: {why}", file.display()))
        };
        if manifest.bytes > BYTES_MAX {
            return Err(refused("the manifest claims more than 256 MB"));
        }
        let length = fs::metadata(&file).map_err(|error| missing(&file, error))?.len();
        if length != manifest.bytes {
            let message = format!("{length} bytes in place of {}", manifest.bytes);
            return Err(refused(&message));
        }
        let bytes = fs::read(&file).map_err(|error| missing(&file, error))?;
        if hex(&Sha256::digest(&bytes)) != manifest.sha256 {
            return Err(refused("its SHA-256 is not the manifest's"));
        }
        let facts = facts(&bytes).ok_or_else(|| refused("it does not say what it is"))?;
        if facts != manifest.facts {
            return Err(refused("the manifest describes another model"));
        }
        facts.check().map_err(|why| refused(&why))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|_| refused("not safetensors"))?;
        let network = Network::new(facts.design);
        let units = network.units().iter().map(|unit| expanded(unit, &tensors));
        let units = units.collect::<Result<_, String>>().map_err(|why| refused(&why))?;
        let features = network.features() as usize;
        let kind_head = kind_head(&facts, &tensors, features).map_err(|why| refused(&why))?;
        Ok(Weights { facts, sha256: manifest.sha256, units, kind_head })
    }

    /// Its units' tensors exactly as `path` (a folder, a manifest or a weights file) holds them.
    pub fn quantised(path: &Path) -> Result<Quantised> {
        // What is refused there is refused here.
        let Weights { facts, .. } = Weights::read(path)?;
        let manifest_path = manifest_path(path);
        let file = manifest_path.with_file_name(read_manifest(&manifest_path)?.file);
        let bytes = fs::read(&file).map_err(|error| missing(&file, error))?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| ErrorKind::Invalid.error("not safetensors any more").because(error))?;
        let mut parts = Vec::new();
        for unit in Network::new(facts.design).units() {
            for part in PARTS {
                let name = format!("{}.{part}", unit.name);
                let view = tensors.tensor(&name).map_err(|error| {
                    ErrorKind::Invalid.error(format!("it lacks {name}")).because(error)
                })?;
                parts.push((name, view.dtype(), view.shape().to_vec(), view.data().to_vec()));
            }
        }
        Ok(Quantised(parts))
    }

    /// Writes a model into `folder`: the weights with the head that classifies kinds, and the manifest. The weights come
    /// first, so that a manifest never vouches for a file that is not there.
    pub fn write(
        folder: &Path,
        facts: &WeightsFacts,
        Quantised(units): &Quantised,
        head: Option<&KindHead>,
    ) -> Result<Manifest> {
        let head = head.map(head_parts).unwrap_or_default();
        let views = units.iter().chain(&head).map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            (name.as_str(), view.expect("a tensor's bytes follow from its shape"))
        });
        let text = serde_json::to_string(facts).expect("facts are plain data");
        let header = HashMap::from([(FACTS.to_owned(), text)]);
        let bytes = safetensors::serialize(views, Some(header)).map_err(|error| {
            ErrorKind::Internal.error("cannot lay out the weights").because(error)
        })?;
        let manifest = Manifest {
            file: WEIGHTS_FILE.to_owned(),
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
            facts: facts.clone(),
        };
        let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        replace(&folder.join(WEIGHTS_FILE), &bytes)?;
        replace(&folder.join(MANIFEST_FILE), &text)?;
        Ok(manifest)
    }
}

/// Puts `bytes` at `path`, whole or not at all: when the disk is full, what was there stays.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    durable::replace(path, bytes).map_err(|error| {
        ErrorKind::Unavailable.error(format!("cannot write {}", path.display())).because(error)
    })
}

fn manifest_path(path: &Path) -> PathBuf {
    match path.extension().and_then(|extension| extension.to_str()) {
        _ if path.is_dir() => path.join(MANIFEST_FILE),
        Some("json") => path.to_owned(),
        _ => path.with_file_name(MANIFEST_FILE),
    }
}

/// A file or folder that cannot be read.
pub(crate) fn missing(path: &Path, error: std::io::Error) -> Error {
    ErrorKind::NotFound.error(format!("cannot read {}", path.display())).because(error)
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let text = fs::read(path).map_err(|error| missing(path, error))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        ErrorKind::Invalid.error(format!("{} is no manifest", path.display())).because(error)
    })?;
    // A name and no path: the manifest vouches for its own folder only.
    if Path::new(&manifest.file).file_name() != Some(manifest.file.as_ref()) {
        return Err(ErrorKind::Invalid.error(format!("{} names a file elsewhere", path.display())));
    }
    Ok(manifest)
}

fn facts(bytes: &[u8]) -> Option<WeightsFacts> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    serde_json::from_str(metadata.metadata().as_ref()?.get(FACTS)?).ok()
}

type Part = (String, Dtype, Vec<usize>, Vec<u8>);

/// What a unit's tensors are called after its name.
const PARTS: [&str; 3] = ["weight", "scale", "bias"];
/// The tensors of the head that classifies kinds, of no unit.
const HEAD_WEIGHT: &str = "kind.weight";
const HEAD_BIAS: &str = "kind.bias";

impl Quantised {
    /// Rounds the weights of a network's units.
    pub fn new(network: &Network, units: &[Folded]) -> Quantised {
        let parts = network.units().iter().zip(units);
        Quantised(parts.flat_map(|(unit, folded)| quantised(unit, folded)).collect())
    }
}

fn head_parts(head: &KindHead) -> Vec<Part> {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = vec![head.weights.len(), head.weights.first().map_or(0, Vec::len)];
    let kinds = vec![head.biases.len()];
    vec![
        (HEAD_WEIGHT.into(), Dtype::F32, shape, bytes(&head.weights.concat())),
        (HEAD_BIAS.into(), Dtype::F32, kinds, bytes(&head.biases)),
    ]
}

/// The head for the kinds that the facts name.
fn kind_head(
    facts: &WeightsFacts,
    tensors: &SafeTensors,
    features: usize,
) -> Result<Option<KindHead>, String> {
    if facts.model.classes.is_empty() {
        return Ok(None);
    }
    let floats = |name: &str, shape: &[usize]| {
        let view = tensors.tensor(name).map_err(|_| format!("it lacks {name}"))?;
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            return Err(format!("{name} has the wrong shape or type"));
        }
        let (values, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(format!("{name} holds a number that is not finite")),
        }
    };
    let kinds = facts.model.classes.len();
    let weights = floats(HEAD_WEIGHT, &[kinds, features])?;
    let weights = weights.chunks(features).map(<[f32]>::to_vec).collect();
    Ok(Some(KindHead { weights, biases: floats(HEAD_BIAS, &[kinds])? }))
}

fn quantised(unit: &Unit, folded: &Folded) -> [Part; 3] {
    let weight = folded.weight.to_device(tch::Device::Cpu).to_kind(Kind::Float);
    let largest = weight.abs().amax([1, 2, 3], false);
    let scale = largest.clamp_min(1e-12) / 127.0;
    let levels = (weight / scale.view([-1, 1, 1, 1])).round().clamp(-127.0, 127.0);
    let shape = unit.shape().map(|length| length as usize).to_vec();
    let channels = vec![unit.outputs as usize];
    [
        (format!("{}.weight", unit.name), Dtype::I8, shape, bytes(&levels.to_kind(Kind::Int8))),
        (format!("{}.scale", unit.name), Dtype::F32, channels.clone(), bytes(&scale)),
        (format!("{}.bias", unit.name), Dtype::F32, channels, bytes(&folded.bias)),
    ]
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.to_device(tch::Device::Cpu).contiguous().copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

fn expanded(unit: &Unit, tensors: &SafeTensors) -> Result<Folded, String> {
    let tensor = |part: &str, dtype: Dtype, shape: &[i64]| {
        let name = format!("{}.{part}", unit.name);
        let view = tensors.tensor(&name).map_err(|_| format!("it lacks {name}"))?;
        let same = view.shape().iter().map(|length| *length as i64).eq(shape.iter().copied());
        if !same || view.dtype() != dtype {
            return Err(format!("{name} has the wrong shape or type"));
        }
        let kind = if dtype == Dtype::I8 { Kind::Int8 } else { Kind::Float };
        let tensor = Tensor::from_data_size(view.data(), shape, kind).to_kind(Kind::Float);
        if tensor.isfinite().all().int64_value(&[]) == 0 {
            return Err(format!("{name} holds a number that is not finite"));
        }
        Ok(tensor)
    };
    let channels = [unit.outputs];
    let levels = tensor("weight", Dtype::I8, &unit.shape())?;
    let scale = tensor("scale", Dtype::F32, &channels)?;
    let bias = tensor("bias", Dtype::F32, &channels)?;
    Ok(Folded { weight: levels * scale.view([-1, 1, 1, 1]), bias })
}

#[cfg(test)]
mod form_tests;
#[cfg(test)]
pub(crate) mod tests;
