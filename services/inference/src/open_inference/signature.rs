//! What a model takes and gives, as tensors: checked before the model sees any of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use domain::{ErrorKind, Result};
use imaging::{Prepared, TilePlacement, TilePrediction};

use crate::model::Model;

/// The input: tiles, as (N, side, side, channels).
pub const TILE: &str = "tile";
/// Of tumour in each pixel, as (N, side, side).
pub const PROBABILITY: &str = "probability";
/// Of each kind of image, as (N, kinds).
pub const KIND: &str = "kind";
/// The one datatype of all of them.
pub const FP32: &str = "FP32";

/// Prepared slices are from -1 to 3. What is far beyond could make an engine overflow, and with it fail others.
const VALUE_MAX: f32 = 1000.0;
const VALUE_BYTES: usize = size_of::<f32>();

/// The lengths of a model's tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// Of the tiles that the model reads; no other was measured.
    pub sides: Vec<usize>,
    pub channels: usize,
    /// How many kinds of image it tells; none of a model that cannot.
    pub kinds: usize,
}

/// An input tensor as it came.
pub struct Input {
    pub name: String,
    pub datatype: String,
    pub shape: Vec<i64>,
    pub contents: Contents,
}

pub enum Contents {
    Values(Vec<f32>),
    /// Little-endian.
    Raw(Bytes),
}

/// An output tensor.
#[derive(Debug, PartialEq)]
pub struct Tensor {
    pub name: &'static str,
    pub shape: Vec<i64>,
    pub values: Vec<f32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    Probability,
    Kind,
}

impl Output {
    pub fn name(self) -> &'static str {
        match self {
            Output::Probability => PROBABILITY,
            Output::Kind => KIND,
        }
    }
}

impl Signature {
    pub fn of(model: &Model) -> Signature {
        let facts = &model.model_info().facts;
        let sides: BTreeSet<_> = facts.readings.all().map(|reading| reading.input.side).collect();
        let (channels, kinds) = (model.channels(), facts.classes.len());
        Signature { sides: sides.into_iter().collect(), channels, kinds }
    }

    /// The input's shape; -1 for what varies.
    pub fn input_shape(&self) -> Vec<i64> {
        vec![-1, self.told_side(), self.told_side(), length(self.channels)]
    }

    /// The shape of an output; -1 for what varies.
    pub fn output_shape(&self, output: Output) -> Vec<i64> {
        match output {
            Output::Probability => vec![-1, self.told_side(), self.told_side()],
            Output::Kind => vec![-1, length(self.kinds)],
        }
    }

    fn told_side(&self) -> i64 {
        if let [side] = self.sides[..] { length(side) } else { -1 }
    }

    /// The sides, as people read them.
    pub fn told_sides(&self) -> String {
        let sides: Vec<_> = self.sides.iter().map(usize::to_string).collect();
        sides.join(",")
    }

    /// All that the model gives.
    pub fn outputs(&self) -> Vec<Output> {
        let kind = (self.kinds > 0).then_some(Output::Kind);
        [Output::Probability].into_iter().chain(kind).collect()
    }

    /// The outputs of those names; all, where none is named.
    pub fn asked(&self, names: &[String]) -> Result<Vec<Output>> {
        let all = self.outputs();
        if names.is_empty() {
            return Ok(all);
        }
        let mut asked = Vec::new();
        for name in names {
            let output = all.iter().copied().find(|output| output.name() == name);
            let output =
                output.ok_or_else(|| invalid(format!("the model has no output `{name}`")))?;
            if asked.contains(&output) {
                return Err(invalid(format!("the output `{name}` is asked for twice")));
            }
            asked.push(output);
        }
        Ok(asked)
    }

    /// The tiles that the inputs are, which is one tensor of as many as it likes.
    pub fn tiles(&self, inputs: Vec<Input>) -> Result<Vec<Prepared>> {
        let [Input { name, datatype, shape, contents }] = <[Input; 1]>::try_from(inputs)
            .map_err(|inputs| invalid(format!("{} inputs where `{TILE}` is one", inputs.len())))?;
        if name != TILE {
            return Err(invalid(format!("the model has no input `{name}`: it takes `{TILE}`")));
        }
        if datatype != FP32 {
            return Err(invalid(format!("`{TILE}` is {datatype} where it must be {FP32}")));
        }
        let (tiles, side) = self.measured(&shape)?;
        let values = contents.values()?;
        let (needed, channels) = (tiles.checked_mul(side * side * self.channels), self.channels);
        if needed != Some(values.len()) {
            let count = values.len();
            return Err(invalid(format!(
                "`{TILE}` has {count} values, not those of its shape {shape:?}"
            )));
        }
        // NaN is in no range.
        if !values.iter().all(|value| value.abs() <= VALUE_MAX) {
            return Err(invalid(format!(
                "`{TILE}` holds what is no prepared slice: a value that is no number, or beyond {VALUE_MAX}"
            )));
        }
        let tiles = values.chunks_exact(side * side * channels);
        Ok(tiles.map(|values| tile(values, side, channels)).collect())
    }

    /// How many tiles a tensor of that shape holds, and their side.
    fn measured(&self, shape: &[i64]) -> Result<(usize, usize)> {
        let wrong = || {
            let Signature { sides, channels, .. } = self;
            invalid(format!(
                "`{TILE}` has the shape {shape:?} where it must be [N, side, side, {channels}], N one or more and the side one of {sides:?}"
            ))
        };
        let [tiles, rows, columns, channels] = *shape else { return Err(wrong()) };
        let side = self.sides.iter().copied().find(|side| length(*side) == rows);
        let sound = rows == columns && channels == length(self.channels);
        let tiles = usize::try_from(tiles).ok().filter(|tiles| *tiles > 0 && sound);
        tiles.zip(side).ok_or_else(wrong)
    }

    /// How many numbers the model says of those tiles.
    pub fn numbers(&self, tiles: &[Prepared]) -> usize {
        tiles.iter().map(|tile| tile.pixels.len() + self.kinds).sum()
    }

    /// The outputs as tensors.
    ///
    /// `Internal` where the model gave none of that length.
    pub fn tensors(&self, outputs: &[Output], seen: Vec<TilePrediction>) -> Result<Vec<Tensor>> {
        let tiles = seen.len();
        let pixels = seen.first().map_or(0, |first| first.probabilities.len());
        let side = length(pixels.isqrt());
        let (probabilities, kinds): (Vec<_>, Vec<_>) =
            seen.into_iter().map(|seen| (seen.probabilities, seen.kinds)).unzip();
        let (mut probabilities, mut kinds) = (Some(probabilities), Some(kinds));
        let tensor = |output: &Output| {
            let (shape, values) = match output {
                Output::Probability => (vec![length(tiles), side, side], probabilities.take()),
                Output::Kind => (vec![length(tiles), length(self.kinds)], kinds.take()),
            };
            let values = values.unwrap_or_default().concat();
            if shape.iter().product::<i64>() != length(values.len()) {
                return Err(ErrorKind::Internal.error("the model's output has the wrong shape"));
            }
            Ok(Tensor { name: output.name(), shape, values })
        };
        outputs.iter().map(tensor).collect()
    }
}

impl Contents {
    fn values(self) -> Result<Vec<f32>> {
        let bytes = match self {
            Contents::Values(values) => return Ok(values),
            Contents::Raw(bytes) => bytes,
        };
        let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
        if !rest.is_empty() {
            let count = bytes.len();
            return Err(invalid(format!("`{TILE}` has {count} bytes, which are no whole {FP32}")));
        }
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }
}

impl Tensor {
    /// Little-endian.
    pub fn raw(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// Values that stand in for a prepared slice, which covers its tile and nothing else.
fn tile(values: &[f32], side: usize, channels: usize) -> Prepared {
    let channel =
        |at: usize| -> Vec<f32> { values.iter().skip(at).step_by(channels).copied().collect() };
    let length = side as f64;
    // Pixel centres are at whole numbers.
    let placement = TilePlacement {
        rows: side,
        columns: side,
        side,
        top: -0.5,
        left: -0.5,
        extent: length,
        aspect: 1.0,
    };
    match channels {
        3 => Prepared {
            pixels: channel(1),
            neighbours: [Some(channel(0)), Some(channel(2))],
            placement,
        },
        _ => Prepared { pixels: channel(0), neighbours: [None, None], placement },
    }
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn invalid(message: String) -> domain::Error {
    ErrorKind::Invalid.error(message)
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
