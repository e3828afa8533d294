//! The network on OpenVINO, whose convolutions keep their weights laid out and do what follows them in one go.

use domain::{Error, ErrorKind, Result};
use imaging::phantom::{Phantom, Settings};
use imaging::prepare;
use openvino::{
    CompiledModel, Core, DeviceType, ElementType, InferRequest, InferenceError, RwPropertyKey,
    Shape, Tensor,
};
use tch::Kind;

use super::graph::Graph;
use super::torch::Torch;
use super::{Output, Runtime, library_error, side_by_side};
use crate::Device;
use crate::device::Library;
use crate::network::{Design, Network, SIDE_MULTIPLE};
use crate::weights::Folded;

/// How many compiled networks are kept: each side has two, for one image and for several.
const COMPILED_MAX: usize = 6;
/// How far a probability may be from libtorch's: the order of sums, and the few digits of bfloat16.
const OFF_MAX: f32 = 1e-3;
const OFF_MAX_BFLOAT16: f32 = 5e-2;
/// How many times as far from float32 as libtorch's own bfloat16: in a network that has hardly learned anything, digits count for more.
const BFLOAT16_TIMES: f32 = 2.0;
/// The phantom and the side, in pixels, on which both are compared.
const SEED: u64 = 11;
const SIDE: usize = 3 * SIDE_MULTIPLE;
/// No image takes an hour.
const PATIENCE_MS: i64 = 3_600_000;

/// The network in OpenVINO's hands.
pub struct OpenVino {
    core: Core,
    graph: Graph,
    constants: Tensor,
    channels: usize,
    threads: usize,
    /// The latest used last.
    compiled: Vec<Compiled>,
}

/// The network for images of one side, so many at a time.
struct Compiled {
    side: usize,
    requests: Vec<InferRequest>,
    /// After the requests, which are its.
    _model: CompiledModel,
}

/// What predicts on that device, and what results call it.
pub fn runtime(
    design: Design,
    units: &[Folded],
    device: Device,
) -> Result<(Box<dyn Runtime>, String)> {
    let torch = || Torch::new(Network::new(design), units, device);
    let plain = || (Box::new(torch()) as Box<dyn Runtime>, device.to_string());
    if device.library == Library::Torch {
        return Ok(plain());
    }
    let exact = || Torch::new(Network::new(design), units, device.exact());
    let openvino = OpenVino::new(design, units, device);
    match openvino.and_then(|it| it.compared_with(torch(), exact, device)) {
        Ok(openvino) => Ok((Box::new(openvino), format!("{device} openvino"))),
        // One that is there and predicts something else is not passed over in silence.
        Err(error)
            if device.library == Library::Fastest && error.kind() == ErrorKind::Unavailable =>
        {
            Ok(plain())
        }
        Err(error) => Err(error),
    }
}

impl OpenVino {
    /// `Unavailable` where OpenVINO is not installed.
    fn new(design: Design, units: &[Folded], device: Device) -> Result<OpenVino> {
        let missing = |error| {
            let message =
                "OpenVINO is not there: `scripts/openvino.sh` fetches it, or use the device `cpu`";
            ErrorKind::Unavailable.error(message).because(error)
        };
        let mut core = Core::new().map_err(missing)?;
        let threads = device.cores();
        let precision = if device.kind == Kind::BFloat16 { "bf16" } else { "f32" };
        let properties = [
            (RwPropertyKey::HintInferencePrecision, precision),
            (RwPropertyKey::InferenceNumThreads, &threads.to_string()),
            // The machine is not ours alone.
            (RwPropertyKey::HintEnableCpuPinning, "NO"),
        ];
        core.set_properties(&DeviceType::CPU, properties).map_err(failed)?;
        let network = Network::new(design);
        let channels = network.channels() as usize;
        let mut graph = Graph::new(network, units);
        let bytes = graph.take_constants();
        let shape = Shape::new(&[bytes.len() as i64]).map_err(failed)?;
        let mut constants = Tensor::new(ElementType::U8, &shape).map_err(failed)?;
        constants.get_raw_data_mut().map_err(failed)?.copy_from_slice(&bytes);
        Ok(OpenVino { core, graph, constants, channels, threads, compiled: Vec::new() })
    }

    /// This, if it predicts what libtorch does, or is as near as that to what is `exact`; `Internal` if not.
    fn compared_with(
        mut self,
        mut torch: Torch,
        exact: impl FnOnce() -> Torch,
        device: Device,
    ) -> Result<OpenVino> {
        let volume = Phantom::new(&Settings::slice(SEED))?.volume;
        let (rows, columns) = (volume.shape.rows, volume.shape.columns);
        let tile = prepare(volume.slice(0), rows, columns, SIDE)?;
        let pixels = side_by_side(&tile, self.channels);
        let (own, other) = (self.forward(&pixels, SIDE)?, torch.forward(&pixels, SIDE)?);
        let off_max = if device.kind == Kind::Float { OFF_MAX } else { OFF_MAX_BFLOAT16 };
        let off = apart(&own, &other);
        if off <= off_max {
            return Ok(self);
        }
        let exact = exact().forward(&pixels, SIDE)?;
        if !as_near(&own, &other, &exact, device.kind) {
            let message = format!(
                "OpenVINO predicts something else here than libtorch ({off} off): use the device `cpu`"
            );
            return Err(ErrorKind::Internal.error(message));
        }
        Ok(self)
    }

    /// The network for images of that side, `at_once` of them.
    fn compiled(&mut self, side: usize, at_once: usize) -> Result<&mut Compiled, InferenceError> {
        let is_that = |it: &Compiled| (it.side, it.requests.len()) == (side, at_once);
        let compiled = match self.compiled.iter().position(is_that) {
            Some(there) => self.compiled.remove(there),
            None => self.compile(side, at_once)?,
        };
        if self.compiled.len() >= COMPILED_MAX {
            self.compiled.remove(0);
        }
        self.compiled.push(compiled);
        Ok(self.compiled.last_mut().expect("it was pushed a moment ago"))
    }

    /// Each image is a stream's of its own: threads that meet once an image lose far less than those that meet in each layer.
    fn compile(&mut self, side: usize, at_once: usize) -> Result<Compiled, InferenceError> {
        let streams = at_once.to_string();
        self.core.set_property(&DeviceType::CPU, &RwPropertyKey::NumStreams, &streams)?;
        let xml = self.graph.xml(1, side);
        let model = self.core.read_model_from_buffer(xml.as_bytes(), Some(&self.constants))?;
        let mut model = self.core.compile_model(&model, DeviceType::CPU)?;
        let requests = (0..at_once).map(|_| model.create_infer_request());
        let requests = requests.collect::<Result<_, _>>()?;
        Ok(Compiled { side, requests, _model: model })
    }

    fn predicted(&mut self, pixels: &[f32], side: usize) -> Result<Output, InferenceError> {
        let image = side * side * self.channels;
        // Two forms for each side, whatever the number of images: each takes half a second to compile.
        let at_once = if pixels.len() > image { self.threads } else { 1 };
        let requests = &mut self.compiled(side, at_once)?.requests;
        let mut output = Output::default();
        // Each takes its next image as soon as its last is read: none waits for the others.
        for (index, image) in pixels.chunks(image).enumerate() {
            let request = &mut requests[index % at_once];
            if index >= at_once {
                read(request, &mut output)?;
            }
            request.get_input_tensor()?.get_data_mut::<f32>()?.copy_from_slice(image);
            request.infer_async()?;
        }
        let images = pixels.len() / image;
        for index in images.saturating_sub(at_once)..images {
            read(&mut requests[index % at_once], &mut output)?;
        }
        Ok(output)
    }
}

impl Runtime for OpenVino {
    fn forward(&mut self, pixels: &[f32], side: usize) -> Result<Output> {
        self.predicted(pixels, side).map_err(|error| {
            // Requests that were begun are let go.
            self.compiled.clear();
            failed(error)
        })
    }
}

/// Appends what was predicted for the request's image, as soon as it is.
fn read(request: &mut InferRequest, output: &mut Output) -> Result<(), InferenceError> {
    request.wait(PATIENCE_MS)?;
    let values = |index| request.get_output_tensor_by_index(index);
    output.probabilities.extend_from_slice(values(0)?.get_data::<f32>()?);
    output.features.extend_from_slice(values(1)?.get_data::<f32>()?);
    Ok(())
}

/// Whether in bfloat16 it is about as near to what is `exact` as the `other` is.
fn as_near(own: &Output, other: &Output, exact: &Output, kind: Kind) -> bool {
    let (own, other) = (apart(own, exact), apart(other, exact));
    kind == Kind::BFloat16 && other.is_finite() && own <= BFLOAT16_TIMES * other
}

/// How far two outputs are apart.
fn apart(own: &Output, other: &Output) -> f32 {
    off(&own.probabilities, &other.probabilities).max(off(&own.features, &other.features))
}

/// How far the two are apart at most, for what is largest in `other`. What is no number is as far off as can be.
fn off(own: &[f32], other: &[f32]) -> f32 {
    // `max` would pass over it.
    let sound = own.iter().chain(other).all(|value| value.is_finite());
    if !sound || own.len() != other.len() {
        return f32::INFINITY;
    }
    let largest = other.iter().map(|value| value.abs()).fold(1.0, f32::max);
    own.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

fn failed(error: InferenceError) -> Error {
    library_error(error, ["bad_alloc", "allocate memory"], "OpenVINO failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::tests::units;

    const TINY: Design = Design { width: 8, depths: [1, 1, 1, 1], neighbours: true };

    fn device(name: &str) -> Device {
        Device::choose(name).unwrap().exact()
    }

    fn openvino(units: &[Folded]) -> OpenVino {
        OpenVino::new(TINY, units, device("openvino")).expect("scripts/openvino.sh fetches it")
    }

    fn torch(units: &[Folded]) -> Torch {
        Torch::new(Network::new(TINY), units, device("cpu"))
    }

    #[test]
    fn it_predicts_what_libtorch_does_for_any_number_of_images_of_any_side() {
        let units = units(TINY);
        let (mut openvino, mut torch) = (openvino(&units), torch(&units));
        for (count, side) in [(1, 32), (5, 64), (2, 96), (1, 64), (3, 32), (5, 64)] {
            let value = |at: usize| ((at * 7919) % 1013) as f32 / 253.0 - 1.0;
            let pixels: Vec<f32> = (0..count * side * side * 3).map(value).collect();
            let own = openvino.forward(&pixels, side).unwrap();
            let other = torch.forward(&pixels, side).unwrap();
            let near = |own: &[f32], other: &[f32]| {
                own.len() == other.len()
                    && own.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-3 * (1.0 + b.abs()))
            };
            assert!(near(&own.probabilities, &other.probabilities), "{count} of {side}");
            assert!(near(&own.features, &other.features), "{count} of {side}");
            assert!(own.probabilities.iter().any(|p| (p - own.probabilities[0]).abs() > 1e-2));
        }
        assert!(openvino.compiled.len() <= COMPILED_MAX);
    }

    #[test]
    fn what_is_no_number_is_near_to_nothing() {
        assert!(off(&[0.5, 2.0], &[0.5, 4.0]) == 0.5);
        for own in [f32::NAN, f32::INFINITY] {
            assert!(off(&[0.5, own], &[0.5, 0.5]).is_infinite(), "{own}");
            assert!(off(&[0.5, 0.5], &[own, 0.5]).is_infinite(), "{own}");
        }
        assert!(off(&[f32::NAN], &[f32::NAN]).is_infinite() && off(&[0.5], &[]).is_infinite());
    }

    #[test]
    fn what_bfloat16_leaves_of_digits_is_no_other_network() {
        let of = |values: &[f32]| Output { probabilities: values.to_vec(), features: vec![1.0] };
        let (exact, other) = (of(&[0.5, 0.5]), of(&[0.5, 0.53]));
        let near = |own: &[f32], kind| as_near(&of(own), &other, &exact, kind);
        assert!(near(&[0.45, 0.5], Kind::BFloat16) && !near(&[0.45, 0.5], Kind::Float));
        assert!(!near(&[0.43, 0.5], Kind::BFloat16) && !near(&[f32::NAN, 0.5], Kind::BFloat16));
        let nowhere = of(&[f32::NAN, 0.5]);
        assert!(!as_near(&nowhere, &nowhere, &exact, Kind::BFloat16));
    }

    #[test]
    fn one_that_predicts_something_else_is_refused() {
        let ours = units(TINY);
        let compared = |ours: &[Folded], others: &[Folded]| {
            openvino(ours).compared_with(torch(others), || torch(others), device("openvino"))
        };
        assert!(compared(&ours, &ours).is_ok());
        let mut others = units(TINY);
        others[0].weight = &others[0].weight * -1.0;
        let mut nowhere = units(TINY);
        let _ = nowhere[0].bias.fill_(f64::NAN);
        for (openvino, torch) in [(&ours, &others), (&others, &ours), (&nowhere, &ours)] {
            let refused = compared(openvino, torch);
            assert_eq!(refused.err().unwrap().kind(), ErrorKind::Internal);
        }
    }
}
