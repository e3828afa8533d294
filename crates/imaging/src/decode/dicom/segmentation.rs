//! The Segmentation IOD (PS3.3, A.51): which pixels of which planes in the patient somebody has marked, whatever the segment.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::class::{self, Class};
use super::geometry::Plane;
use super::pixel_format::PixelFormat;
use super::pixels;
use super::reader::{DataSet, File, PixelData};
use crate::decode::Limits;
use crate::{Geometry, Refusal, RefusalReason, SegmentationFacts, Shape};

/// A longer UID is none (PS3.5, 9.1).
const UID_BYTES_MAX: usize = 64;

/// What a segmentation says and which pixels of its planes it marks, 1 or 0, plane after plane; None: the file is none.
pub(in crate::decode) fn segmentation(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Option<(SegmentationFacts, Vec<u8>)>, Refusal> {
    let file = File::read(bytes, limits)?;
    let set = file.data_set()?;
    match class::of(&file, &set)? {
        Class::LabelMap => read(&file, &set, limits).map(Some),
        Class::Image | Class::Other(_) => Ok(None),
    }
}

fn read(
    file: &File,
    set: &DataSet,
    limits: &Limits,
) -> Result<(SegmentationFacts, Vec<u8>), Refusal> {
    let frames = set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE)?;
    let shared = set.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE)?;
    let shared = shared.into_iter().next().unwrap_or_default();
    let frame = frame_shape(set, limits)?;
    if declared(set) != frames.len() || frames.is_empty() {
        return Err(
            RefusalReason::Corrupt.refuse("The segmentation does not describe each of its frames.")
        );
    }
    let pixels = Pixels::read(file, set, frame.slice_len(), frames.len(), limits)?;
    let mut stack = Stack::new(frame, *limits);
    for (number, own) in frames.iter().enumerate() {
        let plane = Plane::of_frame(own, &shared)?.placed().ok_or_else(|| unplaced(number + 1))?;
        let first = number * frame.slice_len();
        stack.mark(plane, |pixel| pixels.is_marked(first + pixel))?;
    }
    let [series, instances] = drawn_on(set, &frames, &shared, limits)?;
    let Stack { planes, marked, .. } = stack;
    let facts = SegmentationFacts {
        frame_of_reference: uid(set, tags::FRAME_OF_REFERENCE_UID),
        series,
        instances,
        shape: Shape { slices: planes.len(), ..frame },
        planes,
    };
    Ok((facts, marked))
}

fn unplaced(number: usize) -> Refusal {
    RefusalReason::UnknownOrientation.refuse(format!(
        "Frame {number} of the segmentation does not say where it lies in the patient."
    ))
}

/// One frame.
fn frame_shape(set: &DataSet, limits: &Limits) -> Result<Shape, Refusal> {
    let side = |tag| {
        set.short(tag).map(usize::from).ok_or_else(|| {
            RefusalReason::Corrupt.refuse("The DICOM file does not say how its pixels are stored.")
        })
    };
    limits.shape(1, side(tags::ROWS)?, side(tags::COLUMNS)?)
}

/// How many frames there are, as the file says.
fn declared(set: &DataSet) -> usize {
    let frames = set.decimals(tags::NUMBER_OF_FRAMES);
    frames.and_then(|frames| frames.first().copied()).unwrap_or(1.0) as usize
}

/// What the pixels of all frames say, one after another.
enum Pixels<'a> {
    /// One bit each, without a gap between frames, the first in the lowest bit (PS3.5, 8.1.1).
    Bits(&'a [u8]),
    /// How much of each is marked, or how probably, and what is half of that.
    Fractions { values: Vec<f32>, half: f32 },
}

impl<'a> Pixels<'a> {
    fn read(
        file: &File,
        set: &DataSet<'a>,
        frame: usize,
        frames: usize,
        limits: &Limits,
    ) -> Result<Pixels<'a>, Refusal> {
        let kind = set.text(tags::SEGMENTATION_TYPE);
        match (kind.as_deref(), set.short(tags::BITS_ALLOCATED)) {
            (Some("BINARY"), Some(1)) => Ok(Pixels::Bits(bits(set, frame, frames)?)),
            (Some("FRACTIONAL"), Some(8)) => {
                let format = PixelFormat::read(set, limits)?;
                let values = pixels::stored_values(set, &file.transfer_syntax, &format)?;
                if values.len() != frame * frames {
                    return Err(not_as_declared());
                }
                let most = set.short(tags::MAXIMUM_FRACTIONAL_VALUE).unwrap_or(255);
                Ok(Pixels::Fractions { values, half: f32::from(most) / 2.0 })
            }
            _ => Err(RefusalReason::Unsupported.refuse(
                "The segmentation is of another type than BINARY (one bit a pixel) and FRACTIONAL (eight): save it as one of these.",
            )),
        }
    }

    /// Of fractions what is above half, as of any softened mask.
    fn is_marked(&self, pixel: usize) -> bool {
        match self {
            Pixels::Bits(bytes) => {
                bytes.get(pixel / 8).is_some_and(|byte| byte >> (pixel % 8) & 1 == 1)
            }
            Pixels::Fractions { values, half } => {
                values.get(pixel).is_some_and(|value| value > half)
            }
        }
    }
}

fn not_as_declared() -> Refusal {
    RefusalReason::Corrupt
        .refuse("The segmentation does not hold as many pixels as its frames have.")
}

/// The bytes of that many frames of one bit a pixel.
fn bits<'a>(set: &DataSet<'a>, frame: usize, frames: usize) -> Result<&'a [u8], Refusal> {
    let bytes = match set.pixel_data()? {
        Some(PixelData::Native { bytes, big_endian: false, .. }) => bytes,
        Some(_) => {
            return Err(RefusalReason::Unsupported.refuse(
                "The bits of the segmentation are compressed, or in big-endian words: save it as Explicit VR Little Endian.",
            ));
        }
        None => {
            return Err(RefusalReason::Truncated.refuse("The file ends before its pixels begin."));
        }
    };
    let needed = frame.checked_mul(frames).ok_or_else(not_as_declared)?.div_ceil(8);
    if bytes.len() < needed {
        return Err(RefusalReason::Truncated
            .refuse("The file does not hold all the pixels that it declares."));
    }
    // Made even (PS3.5, 7.1.1). More than that is another packing, in which each pixel would be taken for its neighbour.
    if bytes.len() > needed.next_multiple_of(2) {
        return Err(not_as_declared());
    }
    Ok(bytes)
}

/// What is marked so far: each plane once, however many segments have frames in it.
struct Stack {
    frame: Shape,
    limits: Limits,
    places: BTreeMap<[[u64; 3]; 3], usize>,
    planes: Vec<Geometry>,
    marked: Vec<u8>,
}

impl Stack {
    fn new(frame: Shape, limits: Limits) -> Stack {
        let (places, planes, marked) = (BTreeMap::new(), Vec::new(), Vec::new());
        Stack { frame, limits, places, planes, marked }
    }

    /// Marks those pixels of that plane, too.
    fn mark(&mut self, plane: Geometry, is_marked: impl Fn(usize) -> bool) -> Result<(), Refusal> {
        let length = self.frame.slice_len();
        let place = [plane.origin, plane.row_step, plane.column_step];
        let place = place.map(|vector| vector.map(f64::to_bits));
        let known = self.planes.len();
        let number = *self.places.entry(place).or_insert(known);
        if number == known {
            self.limits.shape(known + 1, self.frame.rows, self.frame.columns)?;
            self.planes.push(plane);
            self.marked.resize((known + 1) * length, 0);
        }
        for (pixel, marked) in self.marked[number * length..][..length].iter_mut().enumerate() {
            *marked |= u8::from(is_marked(pixel));
        }
        Ok(())
    }
}

fn uid(set: &DataSet, tag: Tag) -> Option<String> {
    set.text(tag).filter(|uid| uid.len() <= UID_BYTES_MAX)
}

/// The series and the instances that it names as those it is drawn on, each once.
fn drawn_on(
    set: &DataSet,
    frames: &[DataSet],
    shared: &DataSet,
    limits: &Limits,
) -> Result<[Vec<String>; 2], Refusal> {
    let (mut series, mut instances) = (BTreeSet::new(), BTreeSet::new());
    for named in set.items(tags::REFERENCED_SERIES_SEQUENCE)? {
        series.extend(uid(&named, tags::SERIES_INSTANCE_UID));
        for instance in named.items(tags::REFERENCED_INSTANCE_SEQUENCE)? {
            instances.extend(uid(&instance, tags::REFERENCED_SOP_INSTANCE_UID));
        }
    }
    for groups in frames.iter().chain([shared]) {
        for derivation in groups.items(tags::DERIVATION_IMAGE_SEQUENCE)? {
            for source in derivation.items(tags::SOURCE_IMAGE_SEQUENCE)? {
                instances.extend(uid(&source, tags::REFERENCED_SOP_INSTANCE_UID));
            }
        }
    }
    if series.len().max(instances.len()) > limits.slices {
        return Err(RefusalReason::TooLarge.refuse(format!(
            "The segmentation names more than {} images that it is drawn on.",
            limits.slices
        )));
    }
    Ok([series, instances].map(|uids| uids.into_iter().collect()))
}
