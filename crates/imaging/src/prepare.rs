use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::Volume;

/// How the slices of a volume become the network's. Weights fit the one way they were trained with and name it;
/// whatever changes a pixel is a new way with a new name.
/// The newest stands last.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq, VariantArray)]
pub enum Preprocessing {
    /// Each slice has levels and a place of its own.
    #[strum(serialize = "head-square-1")]
    HeadSquare1,
    /// The slices of a volume share their levels and their place; a slice that came alone is prepared as ever.
    #[strum(serialize = "head-square-2")]
    HeadSquare2,
}

impl Preprocessing {
    /// What models are trained with.
    pub const NEWEST: Preprocessing = Preprocessing::HeadSquare2;

    /// The name that weights files and results carry.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The way of that name; `Invalid`, with all names, where there is none.
    pub fn named(name: &str) -> Result<Preprocessing> {
        name.parse().map_err(|_| {
            let known: Vec<&str> = Preprocessing::VARIANTS.iter().map(|way| way.name()).collect();
            let known = known.join(" and ");
            ErrorKind::Invalid.error(format!("preprocessing {name} is unknown here: {known} are"))
        })
    }
}

/// Air is this after normalisation, the head's median 0, and what is twice as bright 1.
const DARKEST: f32 = -1.0;
const BRIGHTEST: f32 = 3.0;
/// Room left around the head, as a part of its longer side.
const MARGIN: f64 = 0.08;
/// The smallest square that is cut out, as a part of the image's longer side: without it the slices at
/// the top of a head would be blown up to the size of those in the middle.
const EXTENT_MIN: f64 = 0.55;
/// What is this far up from air to the brightest tissue belongs to the head.
const HEAD_LEVEL: f32 = 0.15;
/// A row or column belongs to the head when this part of it does; specks and wires stay outside.
const HEAD_PART: f64 = 0.02;

/// Where a prepared tile lies in its slice, in pixels of the slice: pixel centres are at whole
/// numbers, so the first pixel reaches from -0.5 to 0.5.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct TilePlacement {
    /// The slice's own size.
    pub rows: usize,
    /// Pixels of a row of the slice.
    pub columns: usize,
    /// Pixels along the tile's side.
    pub side: usize,
    /// The tile's upper left corner; it may lie outside the slice.
    pub top: f64,
    /// The column of that corner.
    pub left: f64,
    /// The length of the tile's side, in widths of a pixel.
    pub extent: f64,
    /// How high a pixel is for its width: the tile is square in millimetres, so that oblong pixels stretch no head.
    pub aspect: f64,
}

/// A slice as the network takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// `side * side` values from -1 (air) over 0 (the head's median) to 3, row by row.
    pub pixels: Vec<f32>,
    /// The slices before and after it in the same place and on the same scale. None beyond the ends of a volume, and
    /// of a slice that came alone.
    pub neighbours: [Option<Vec<f32>>; 2],
    /// The way back to the slice.
    pub placement: TilePlacement,
}

/// How a slice's values become the network's: `(value - middle) / (middle - air)`, cut to -1..3.
///
/// Both levels are percentiles, so any positive linear map of the values (8 bit, 16 bit, raw) gives the
/// same result; and as a lesion moves the median little, it stays bright in proportion to the brain.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Levels {
    air: f32,
    middle: f32,
    /// From here on a pixel belongs to the head.
    head: f32,
}

/// Crops the head out of one slice that came alone (`rows * columns` values, all finite, square pixels), as a tile of
/// `side` pixels of normalised brightness, aspect kept and antialiased.
///
/// `Invalid` when there is no pixel, the length is not `rows * columns`, or a value is not finite.
pub fn prepare(slice: &[f32], rows: usize, columns: usize, side: usize) -> Result<Prepared> {
    crop(slice, Pixels { rows, columns, aspect: 1.0 }, side)
}

/// A volume whose slices are about to be prepared: what they have in common is measured once.
pub struct Framed<'a> {
    volume: &'a Volume,
    pixels: Pixels,
    /// What all slices share; None where each has its own.
    shared: Option<(Levels, Frame)>,
}

impl Framed<'_> {
    /// The volume `volume`, prepared in that way.
    ///
    /// `Invalid` when there is no pixel, or a value is not finite.
    pub fn new(volume: &Volume, preprocessing: Preprocessing) -> Result<Framed<'_>> {
        let pixels = Pixels::of(volume);
        let rows = pixels.rows.saturating_mul(volume.shape.slices);
        check(&volume.voxels, Pixels { rows, ..pixels })?;
        let alone = volume.shape.slices == 1 || preprocessing == Preprocessing::HeadSquare1;
        let shared = (!alone).then(|| framed(&volume.voxels, pixels));
        Ok(Framed { volume, pixels, shared })
    }

    /// The slice at `index` with its neighbours, as tiles of `side` pixels.
    ///
    /// `Invalid` when `side` is nought. Panics where the volume has no such slice.
    pub fn slice(&self, index: usize, side: usize) -> Result<Prepared> {
        let slice = self.volume.slice(index);
        let (levels, frame) = self.shared.unwrap_or_else(|| framed(slice, self.pixels));
        let placement = frame.placement(self.pixels, side)?;
        let pixels = levels.sampled(slice, &placement);
        let neighbour = |index: Option<usize>| {
            let index = index.filter(|index| *index < self.volume.shape.slices)?;
            Some(levels.sampled(self.volume.slice(index), &placement))
        };
        let neighbours = [neighbour(index.checked_sub(1)), neighbour(index.checked_add(1))];
        Ok(Prepared { pixels, neighbours, placement })
    }
}

/// A slice's size, and its pixels' form.
#[derive(Clone, Copy)]
struct Pixels {
    rows: usize,
    columns: usize,
    aspect: f64,
}

impl Pixels {
    fn of(volume: &Volume) -> Pixels {
        let (rows, columns) = (volume.shape.rows, volume.shape.columns);
        Pixels { rows, columns, aspect: volume.pixel_aspect() }
    }
}

fn crop(slice: &[f32], pixels: Pixels, side: usize) -> Result<Prepared> {
    check(slice, pixels)?;
    let (levels, frame) = framed(slice, pixels);
    let placement = frame.placement(pixels, side)?;
    let pixels = levels.sampled(slice, &placement);
    Ok(Prepared { pixels, neighbours: [None, None], placement })
}

/// The levels and the place of these slices together.
fn framed(slices: &[f32], pixels: Pixels) -> (Levels, Frame) {
    let levels = levels(slices);
    (levels, frame(slices, pixels, levels.head))
}

fn check(values: &[f32], Pixels { rows, columns, .. }: Pixels) -> Result<()> {
    if values.is_empty() || rows.checked_mul(columns) != Some(values.len()) {
        return Err(ErrorKind::Invalid.error("a slice needs rows times columns pixels"));
    }
    all_finite(values)
}

fn all_finite(slice: &[f32]) -> Result<()> {
    match slice.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(ErrorKind::Invalid.error("a pixel is not a finite number")),
    }
}

/// A tile's values (probabilities, say) in the geometry of the slice that it was cropped from: `rows *
/// columns` values, zero outside of the tile.
pub fn restore(tile: &[f32], placement: &TilePlacement) -> Vec<f32> {
    let TilePlacement { rows, columns, side, top, left, extent, aspect } = *placement;
    let [down, across] = [extent / aspect, extent].map(|length| side as f64 / length);
    let down = Axis::new(rows, side, -top * down - 0.5, down);
    let across = Axis::new(columns, side, -left * across - 0.5, across);
    resample(tile, side, &down, &across, 0.0)
}

impl TilePlacement {
    /// Another channel of the same slice (a mask, say) in the tile; `outside` stands for what the slice lacks.
    pub fn sample(&self, slice: &[f32], outside: f32) -> Vec<f32> {
        let [down, across] = self.steps();
        let down = Axis::new(self.side, self.rows, self.top + 0.5 * down, down);
        let across = Axis::new(self.side, self.columns, self.left + 0.5 * across, across);
        resample(slice, self.columns, &down, &across, outside)
    }

    /// Slice pixels that one pixel of the tile covers.
    pub fn pixel_area(&self) -> f64 {
        let [down, across] = self.steps();
        down * across
    }

    /// Slice pixels from one pixel of the tile to the next, down and across.
    fn steps(&self) -> [f64; 2] {
        let across = self.extent / self.side as f64;
        [across / self.aspect, across]
    }
}

impl Levels {
    fn sampled(&self, slice: &[f32], placement: &TilePlacement) -> Vec<f32> {
        let values = placement.sample(slice, self.air).into_iter();
        values.map(|value| self.normalised(value)).collect()
    }

    fn normalised(&self, value: f32) -> f32 {
        let range = self.middle - self.air;
        // A slice without contrast is all air: the network then sees nothing, not amplified noise.
        if range <= f32::EPSILON * self.middle.abs().max(self.air.abs()) {
            return DARKEST;
        }
        ((value - self.middle) / range).clamp(DARKEST, BRIGHTEST)
    }
}

fn levels(slice: &[f32]) -> Levels {
    let mut sorted = slice.to_vec();
    let air = percentile(&mut sorted, 0.05);
    let brightest = percentile(&mut sorted, 0.99);
    let head = air + HEAD_LEVEL * (brightest - air);
    let mut inside: Vec<f32> = slice.iter().copied().filter(|value| *value > head).collect();
    let middle = if inside.is_empty() { air } else { percentile(&mut inside, 0.5) };
    Levels { air, middle, head }
}

fn percentile(values: &mut [f32], part: f64) -> f32 {
    let rank = ((values.len() - 1) as f64 * part).round() as usize;
    *values.select_nth_unstable_by(rank, f32::total_cmp).1
}

/// A square around the head: its upper left corner in pixels, and its side in widths of a pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame {
    top: f64,
    left: f64,
    extent: f64,
}

impl Frame {
    fn placement(self, pixels: Pixels, side: usize) -> Result<TilePlacement> {
        if side == 0 {
            return Err(ErrorKind::Invalid.error("a tile has at least one pixel"));
        }
        let (Frame { top, left, extent }, Pixels { rows, columns, aspect }) = (self, pixels);
        Ok(TilePlacement { rows, columns, side, top, left, extent, aspect })
    }
}

/// The square around the head in all of these slices together: each line counts where it shows most of the head.
fn frame(slices: &[f32], Pixels { rows, columns, aspect }: Pixels, head: f32) -> Frame {
    let (mut per_row, mut per_column) = (vec![0; rows], vec![0; columns]);
    for slice in slices.chunks(rows * columns) {
        let mut in_column = vec![0; columns];
        for (most, row) in per_row.iter_mut().zip(slice.chunks(columns)) {
            let inside = row.iter().zip(&mut in_column).filter(|(value, _)| **value > head);
            *most = inside.map(|(_, count)| *count += 1).count().max(*most);
        }
        for (most, count) in per_column.iter_mut().zip(in_column) {
            *most = count.max(*most);
        }
    }
    let (first_row, last_row) = span(&per_row, columns);
    let (first_column, last_column) = span(&per_column, rows);
    let high = |rows: usize| rows as f64 * aspect;
    let longer = high(last_row - first_row + 1).max((last_column - first_column + 1) as f64);
    let extent = (longer * (1.0 + MARGIN)).max(EXTENT_MIN * high(rows).max(columns as f64));
    let top = (first_row + last_row) as f64 / 2.0 - extent / aspect / 2.0;
    let left = (first_column + last_column) as f64 / 2.0 - extent / 2.0;
    Frame { top, left, extent }
}

/// The first and last line with enough of the head on it; all lines when none has.
fn span(counts: &[usize], length: usize) -> (usize, usize) {
    let enough = |count: &usize| *count as f64 > HEAD_PART * length as f64;
    let first = counts.iter().position(enough);
    let last = counts.iter().rposition(enough);
    first.zip(last).unwrap_or((0, counts.len() - 1))
}

/// Along one axis: for each output pixel, the first input pixel that it sees and the weights from there on.
struct Axis(Vec<(usize, Vec<f32>)>);

impl Axis {
    /// Output pixel `o` is centred at input position `start + o * step`. The kernel is a triangle as
    /// wide as the coarser grid (linear interpolation going up, antialiased going down). Weights of
    /// positions outside the input are left out, so a sum below one says how much is missing.
    fn new(outputs: usize, inputs: usize, start: f64, step: f64) -> Axis {
        let radius = step.max(1.0);
        let line = |output: usize| {
            let centre = start + output as f64 * step;
            let from = (centre - radius).ceil() as i64;
            let to = (centre + radius).floor() as i64;
            let kernel = |at: i64| (1.0 - (at as f64 - centre).abs() / radius).max(0.0);
            let total: f64 = (from..=to).map(kernel).sum();
            let inside = from.max(0)..(to + 1).min(inputs as i64);
            let first = inside.start as usize;
            (first, inside.map(|at| (kernel(at) / total) as f32).collect())
        };
        Axis((0..outputs).map(line).collect())
    }
}

/// The values at the outputs of both axes; `outside` fills what the input lacks.
fn resample(input: &[f32], columns: usize, down: &Axis, across: &Axis, outside: f32) -> Vec<f32> {
    let width = across.0.len();
    let seen = down.0.iter().filter(|(_, weights)| !weights.is_empty());
    let used = seen.map(|(first, weights)| first + weights.len()).max().unwrap_or(0);
    let mut narrowed = vec![0.0; used * width];
    for row in 0..used {
        let line = &input[row * columns..][..columns];
        for (value, (first, weights)) in narrowed[row * width..].iter_mut().zip(&across.0) {
            *value = weights
                .iter()
                .zip(&line[(*first).min(columns)..])
                .map(|(w, v)| w * (v - outside))
                .sum();
        }
    }
    let mut output = vec![outside; down.0.len() * width];
    for (line, (first, weights)) in output.chunks_exact_mut(width).zip(&down.0) {
        for (row, weight) in weights.iter().enumerate() {
            let from = &narrowed[(first + row) * width..][..width];
            for (value, part) in line.iter_mut().zip(from) {
                *value += weight * part;
            }
        }
    }
    output
}

#[cfg(test)]
mod tests;
