use tch::{Kind, TchError, Tensor};

/// One convolution without bias, its normalisation, and (mostly) a rectifier; the network is made of these.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unit {
    /// The tensor's name in weights files and checkpoints.
    pub name: String,
    /// Channels that go in.
    pub inputs: i64,
    /// Channels that come out.
    pub outputs: i64,
    /// The kernel's side in pixels.
    pub kernel: i64,
    /// Pixels from one place of the kernel to the next: 2 halves the image.
    pub stride: i64,
}

impl Unit {
    /// The weight's shape: output channel, kernel row, kernel column, input channel, so that the
    /// channels-last layout that convolutions want is the stored one.
    pub fn shape(&self) -> [i64; 4] {
        [self.outputs, self.kernel, self.kernel, self.inputs]
    }

    /// Weights in this unit.
    pub fn weights(&self) -> i64 {
        self.shape().iter().product()
    }

    /// The convolution of `x` (N, C, H, W) with a weight of [`shape`](Unit::shape), of the same kind as `x`.
    pub fn convolve(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let weight = weight.f_permute([0, 3, 1, 2])?;
        let padding = self.kernel / 2;
        x.f_conv2d(&weight, bias, [self.stride; 2], [padding; 2], [1, 1], 1)
    }
}

/// A unit's place in [`Network::units`].
pub type UnitId = usize;

/// A ResNet bottleneck (He et al. 2016): 1x1, 3x3 (strided, as in version 1.5), 1x1, and the way around.
#[derive(Debug)]
struct Bottleneck {
    reduce: UnitId,
    spatial: UnitId,
    expand: UnitId,
    project: Option<UnitId>,
}

/// One step up: what came from below, doubled in size, beside the encoder's features of that size.
#[derive(Debug)]
struct Level {
    skip: Option<UnitId>,
    merge: UnitId,
    refine: Option<UnitId>,
}

/// What a network is made of; [`Design::RESNET50`] is the one that ships, smaller ones are for tests.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Design {
    /// Channels after the stem; a multiple of four. ResNet-50 has 64.
    pub width: i64,
    /// Bottlenecks in each of the four stages.
    pub depths: [usize; 4],
    /// Whether it sees the slices before and after, too; a slice without them stands in for them itself.
    #[serde(default)]
    pub neighbours: bool,
}

impl Design {
    /// The plain ResNet-50 encoder, for three neighbouring slices.
    pub const RESNET50: Design = Design { width: 64, depths: [3, 4, 6, 3], neighbours: true };

    /// Channels of an image.
    pub fn channels(self) -> i64 {
        if self.neighbours { 3 } else { 1 }
    }
}

/// The U-Net's structure: which units there are and how an image passes through them.
///
/// It holds no weights, so that training (batch statistics) and inference (folded weights) share one
/// structure and cannot differ in it.
#[derive(Debug)]
pub struct Network {
    design: Design,
    units: Vec<Unit>,
    stem: UnitId,
    stages: Vec<Vec<Bottleneck>>,
    bridge: UnitId,
    levels: Vec<Level>,
    head: UnitId,
}

/// How far a unit's output goes through the rectifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Activation {
    /// Nothing below zero goes on.
    Relu,
    /// All of it: before a sum, and of the head's logits.
    None,
}

impl Activation {
    /// `y` after it; `y` itself is used up.
    pub fn applied(self, mut y: Tensor) -> Result<Tensor, TchError> {
        match self {
            Activation::Relu => y.f_relu_(),
            Activation::None => Ok(y),
        }
    }
}

/// Input sides must be a multiple of this: five halvings.
pub const SIDE_MULTIPLE: usize = 32;

impl Network {
    /// The structure of that design.
    pub fn new(design: Design) -> Network {
        let width = design.width;
        let mut units = Vec::new();
        let stem = unit(&mut units, "encoder.stem", [design.channels(), width], 7, 2);
        let mut stages = Vec::new();
        let mut inputs = width;
        for (stage, depth) in design.depths.into_iter().enumerate() {
            let inner = width << stage;
            let blocks = (0..depth).map(|block| {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("encoder.{stage}.{block}");
                let made = bottleneck(&mut units, &name, inputs, inner, stride);
                inputs = inner * 4;
                made
            });
            stages.push(blocks.collect());
        }
        let bridge = unit(&mut units, "decoder.bridge", [inputs, width * 4], 1, 1);
        let levels = decoder(&mut units, width, design.channels());
        let head = unit(&mut units, "head", [width / 4, 1], 1, 1);
        Network { design, units, stem, stages, bridge, levels, head }
    }

    /// Channels of an image.
    pub fn channels(&self) -> i64 {
        self.design.channels()
    }

    /// All units, in the order in which checkpoints hold them.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The last unit: it makes the logit, and alone has a bias in place of a normalisation.
    pub fn head(&self) -> UnitId {
        self.head
    }

    /// The unit that ends the way down: what it gives knows most of the image as a whole.
    pub fn bottleneck(&self) -> UnitId {
        self.bridge
    }

    /// How many features the bottleneck gives.
    pub fn features(&self) -> i64 {
        self.units[self.bridge].outputs
    }

    /// The logits (N, 1, S, S) of the images `x` (N, C, S, S), in `x`'s kind. `apply` says what a unit does.
    pub fn forward(
        &self,
        x: &Tensor,
        apply: impl FnMut(UnitId, &Tensor, Activation) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        self.pass(x, &mut OnTensors(apply))
    }

    /// What the images `x` come to on their way through the network: the logits.
    pub fn pass<W: Way>(&self, x: &W::Images, way: &mut W) -> Result<W::Images, W::Error> {
        let stem = way.unit(self.stem, x, Activation::Relu)?;
        let mut features = way.pooled(&stem)?;
        let mut skips = vec![way.shared(x), stem];
        for stage in &self.stages {
            for block in stage {
                features = block.pass(&features, way)?;
            }
            skips.push(way.shared(&features));
        }
        skips.pop();
        let mut y = way.unit(self.bridge, &features, Activation::Relu)?;
        for level in &self.levels {
            let skip = skips.pop().expect("a skip for each level: four stages make five");
            y = level.pass(&y, skip, way)?;
        }
        way.unit(self.head, &y, Activation::None)
    }
}

/// What images pass through on their way, in whichever arithmetic; all share the structure, and cannot differ in it.
pub trait Way {
    /// Images, or what stands for them.
    type Images;
    /// How it may fail.
    type Error;

    /// What a unit makes of `x`.
    fn unit(
        &mut self,
        id: UnitId,
        x: &Self::Images,
        activation: Activation,
    ) -> Result<Self::Images, Self::Error>;

    /// The largest of three by three pixels, at every other pixel of each row and column.
    fn pooled(&mut self, x: &Self::Images) -> Result<Self::Images, Self::Error>;

    /// The rectified sum of both.
    fn added(
        &mut self,
        y: Self::Images,
        around: &Self::Images,
    ) -> Result<Self::Images, Self::Error>;

    /// `y` at twice its size (bilinear, corners not aligned), and then the channels of `skip`.
    fn joined(&mut self, y: &Self::Images, skip: Self::Images)
    -> Result<Self::Images, Self::Error>;

    /// The same images, once more.
    fn shared(&self, x: &Self::Images) -> Self::Images;
}

/// libtorch's arithmetic; the function says what a unit does.
struct OnTensors<F>(F);

impl<F> Way for OnTensors<F>
where
    F: FnMut(UnitId, &Tensor, Activation) -> Result<Tensor, TchError>,
{
    type Images = Tensor;
    type Error = TchError;

    fn unit(&mut self, id: UnitId, x: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
        (self.0)(id, x, activation)
    }

    fn pooled(&mut self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
    }

    fn added(&mut self, mut y: Tensor, around: &Tensor) -> Result<Tensor, TchError> {
        let _ = y.f_add_(around)?;
        y.f_relu_()
    }

    fn joined(&mut self, y: &Tensor, skip: Tensor) -> Result<Tensor, TchError> {
        let (_, _, rows, columns) = skip.size4()?;
        let y = y.f_upsample_bilinear2d([rows, columns], false, None, None)?;
        Tensor::f_cat(&[y, skip], 1)
    }

    fn shared(&self, x: &Tensor) -> Tensor {
        x.shallow_clone()
    }
}

impl Bottleneck {
    fn pass<W: Way>(&self, x: &W::Images, way: &mut W) -> Result<W::Images, W::Error> {
        let y = way.unit(self.reduce, x, Activation::Relu)?;
        let y = way.unit(self.spatial, &y, Activation::Relu)?;
        let y = way.unit(self.expand, &y, Activation::None)?;
        match self.project {
            Some(id) => {
                let around = way.unit(id, x, Activation::None)?;
                way.added(y, &around)
            }
            None => way.added(y, x),
        }
    }
}

impl Level {
    fn pass<W: Way>(
        &self,
        y: &W::Images,
        skip: W::Images,
        way: &mut W,
    ) -> Result<W::Images, W::Error> {
        let skip = match self.skip {
            Some(id) => way.unit(id, &skip, Activation::Relu)?,
            None => skip,
        };
        let both = way.joined(y, skip)?;
        let y = way.unit(self.merge, &both, Activation::Relu)?;
        match self.refine {
            Some(id) => way.unit(id, &y, Activation::Relu),
            None => Ok(y),
        }
    }
}

fn unit(
    units: &mut Vec<Unit>,
    name: &str,
    [inputs, outputs]: [i64; 2],
    kernel: i64,
    stride: i64,
) -> UnitId {
    units.push(Unit { name: name.to_owned(), inputs, outputs, kernel, stride });
    units.len() - 1
}

fn bottleneck(
    units: &mut Vec<Unit>,
    name: &str,
    inputs: i64,
    inner: i64,
    stride: i64,
) -> Bottleneck {
    let outputs = inner * 4;
    Bottleneck {
        reduce: unit(units, &format!("{name}.reduce"), [inputs, inner], 1, 1),
        spatial: unit(units, &format!("{name}.spatial"), [inner, inner], 3, stride),
        expand: unit(units, &format!("{name}.expand"), [inner, outputs], 1, 1),
        project: (inputs != outputs || stride != 1)
            .then(|| unit(units, &format!("{name}.project"), [inputs, outputs], 1, stride)),
    }
}

/// Narrow on purpose: nine tenths of the weights stay in the encoder, so that int8 weights fit a repository.
fn decoder(units: &mut Vec<Unit>, width: i64, channels: i64) -> Vec<Level> {
    // From the deepest up: the encoder's channels of that size, how many of them are kept, channels out.
    let rows = [
        (width * 16, Some(width * 2), width * 3),
        (width * 8, Some(width), width * 2),
        (width * 4, Some(width), width),
        (width, Some(width / 2), width / 2),
        (channels, None, width / 4),
    ];
    let mut below = width * 4;
    let levels = rows.into_iter().enumerate().map(|(depth, (available, kept, outputs))| {
        let name = |part: &str| format!("decoder.{depth}.{part}");
        let inputs = below + kept.unwrap_or(available);
        below = outputs;
        Level {
            skip: kept.map(|kept| unit(units, &name("skip"), [available, kept], 1, 1)),
            merge: unit(units, &name("merge"), [inputs, outputs], 3, 1),
            // The two finest levels hold most pixels and little to decide: one convolution each.
            refine: (depth < 3).then(|| unit(units, &name("refine"), [outputs, outputs], 3, 1)),
        }
    });
    levels.collect()
}

/// Pixels of images, each with its channels side by side, as (N, channels, side, side) of that kind, channels last.
pub fn images(
    pixels: &[f32],
    channels: i64,
    side: usize,
    kind: Kind,
    device: tch::Device,
) -> Tensor {
    let side = side as i64;
    Tensor::from_slice(pixels)
        .view([-1, side, side, channels])
        .to_device(device)
        .to_kind(kind)
        .permute([0, 3, 1, 2])
}

#[cfg(test)]
mod layout_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_int8_the_network_fits_a_repository() {
        let network = Network::new(Design::RESNET50);
        let bytes: i64 = network.units().iter().map(|unit| unit.weights() + 8 * unit.outputs).sum();
        assert!(bytes < 28_000_000, "{bytes} bytes");
        // ResNet-50 has 23.5 million weights without its classifier (He et al. 2016).
        let encoder = network.units().iter().filter(|unit| unit.name.starts_with("encoder."));
        assert_eq!(encoder.map(|unit| unit.weights()).sum::<i64>(), 23_454_912);
    }

    #[test]
    fn every_unit_has_a_name_of_its_own_and_takes_part() {
        let network = Network::new(Design { width: 8, depths: [2, 1, 1, 1], neighbours: true });
        let mut names: Vec<&str> = network.units().iter().map(|unit| unit.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), network.units().len());
        let mut used = vec![0; names.len()];
        let x = images(&[0.5; 2 * 64 * 64 * 3], 3, 64, Kind::Float, tch::Device::Cpu);
        let y = network.forward(&x, |id, x, _| {
            used[id] += 1;
            let weight = Tensor::ones(network.units()[id].shape(), (Kind::Float, tch::Device::Cpu));
            network.units()[id].convolve(x, &(weight * 1e-3), None)
        });
        assert_eq!(y.unwrap().size(), [2, 1, 64, 64]);
        assert!(used.iter().all(|times| *times == 1), "{used:?}");
    }
}
