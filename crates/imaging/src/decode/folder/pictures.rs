//! Pictures as slices: in the order of their names' numbers, without the masks among them.

use super::several;
use crate::decode::left_out::LeftOut;
use crate::decode::{Limits, raster};
use crate::label_map::{EVEN_MIN, PixelContent, pixel_content, softened};
use crate::names::{gap, says_mask, series, shown};
use crate::{Format, ImageKind, Orientation, Protocol, Refusal, RefusalReason, Shape, Volume};

pub(super) struct Picture {
    name: String,
    shape: Shape,
    bits: u16,
    content: PixelContent,
    /// None of a label map, which is no slice.
    volume: Option<Volume>,
}

impl Picture {
    /// Classifies the picture by its values: an image, a label map, or something between.
    pub fn new(name: &str, raster::Picture { volume, bits }: raster::Picture) -> Picture {
        let (shape, content) = (volume.shape, pixel_content(&volume.voxels, volume.shape.columns));
        let volume = (!matches!(content, PixelContent::Labels(_))).then_some(volume);
        Picture { name: name.to_owned(), shape, bits, content, volume }
    }

    /// How much of the limit it takes.
    pub fn voxels(&self) -> usize {
        self.volume.as_ref().map_or(0, |volume| volume.voxels.len())
    }

    /// Whether it looks like a label map through a lossy codec, which the last slices of a head may, too.
    fn is_soft(&self) -> bool {
        let is_image = self.bits == 8 && self.content == PixelContent::Image;
        let volume = self.volume.as_ref().filter(|_| is_image);
        volume.is_some_and(|volume| softened(&volume.voxels, self.shape.columns, EVEN_MIN))
    }

    fn is_labels(&self) -> bool {
        matches!(self.content, PixelContent::Labels(_))
    }
}

/// The volume of one series of pictures; None when they are label maps all of them.
pub(super) fn join(
    pictures: Vec<Picture>,
    limits: &Limits,
    left_out: &mut LeftOut,
) -> Result<Option<Volume>, Refusal> {
    let names: Vec<String> = pictures.iter().map(|picture| picture.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut pictures: Vec<Option<Picture>> = pictures.into_iter().map(Some).collect();
    let mut runs: Vec<Vec<Picture>> = Vec::new();
    for run in series(&names) {
        let run = run.into_iter().filter_map(|index| pictures[index].take()).collect();
        let slices = without_labels(run, left_out)?;
        if !slices.is_empty() {
            runs.push(slices);
        }
    }
    one_size(runs.iter().flatten())?;
    one_scale(runs.iter().flatten())?;
    match &*runs {
        [] => return Ok(None),
        [one, other, ..] => {
            let what =
                "are no slices of one series, whose names differ only in the number of the slice";
            return Err(several(&one[0].name, &other[0].name, what));
        }
        [_] => {}
    }
    pile(runs.swap_remove(0), limits).map(Some)
}

/// So many soft pictures of a run, and this part of it, are label maps: no head has as many ends.
const SOFT_MIN: usize = 3;
const SOFT_PART: usize = 5;

/// The slices of a run, its label maps left out.
fn without_labels(mut run: Vec<Picture>, left_out: &mut LeftOut) -> Result<Vec<Picture>, Refusal> {
    if run.len() >= SOFT_MIN {
        let soft: Vec<usize> = (0..run.len()).filter(|at| run[*at].is_soft()).collect();
        if soft.len() >= SOFT_MIN && SOFT_PART * soft.len() >= run.len() {
            for at in soft {
                (run[at].content, run[at].volume) = (PixelContent::Labels(0), None);
            }
        }
    }
    let labels = run.iter().filter(|picture| picture.is_labels()).count();
    let images = run.iter().filter(|picture| picture.content == PixelContent::Image).count();
    // Between masks, and under a mask's name, what is empty is an empty mask.
    let empty_too = images == 0 && (labels > 0 || run.iter().all(|slice| says_mask(&slice.name)));
    if labels > 0 && images > 0 {
        unambiguous(&run)?;
    }
    let (slices, masks): (Vec<_>, Vec<_>) =
        run.into_iter().partition(|picture| !empty_too && !picture.is_labels());
    masks.iter().for_each(|mask| left_out.label_map(&mask.name));
    Ok(slices)
}

/// Where images and masks are mixed under one kind of name, an empty picture among them may be either.
fn unambiguous(run: &[Picture]) -> Result<(), Refusal> {
    match run.iter().find(|picture| picture.content == PixelContent::Blank) {
        Some(empty) => Err(RefusalReason::MixedSeries.refuse(format!(
            "The archive holds slices and label maps, and {} is empty and may be either.",
            shown(&empty.name)
        ))),
        None => Ok(()),
    }
}

fn one_size<'a>(mut slices: impl Iterator<Item = &'a Picture>) -> Result<(), Refusal> {
    let Some(first) = slices.next() else { return Ok(()) };
    let size = |picture: &Picture| (picture.shape.rows, picture.shape.columns);
    match slices.find(|picture| size(picture) != size(first)) {
        Some(other) => {
            let words = |(rows, columns)| format!("{columns} x {rows}");
            let (one_size, other_size) = (words(size(first)), words(size(other)));
            let what = format!("have different sizes ({one_size} and {other_size} pixels)");
            Err(several(&first.name, &other.name, &what))
        }
        None => Ok(()),
    }
}

/// The values of 8 and of 16 bits mean different things.
fn one_scale<'a>(mut slices: impl Iterator<Item = &'a Picture>) -> Result<(), Refusal> {
    let Some(first) = slices.next() else { return Ok(()) };
    match slices.find(|picture| picture.bits != first.bits) {
        Some(other) => {
            let what =
                format!("have pixels of different depth ({} and {} bits)", first.bits, other.bits);
            Err(several(&first.name, &other.name, &what))
        }
        None => Ok(()),
    }
}

fn pile(pictures: Vec<Picture>, limits: &Limits) -> Result<Volume, Refusal> {
    if let [one, other, ..] = &*pictures
        && let Some(pages) = pictures.iter().find(|picture| picture.shape.slices > 1)
    {
        let besides = if pages.name == one.name { other } else { one };
        let what = "are two scans: the one has several pages";
        return Err(several(&pages.name, &besides.name, what));
    }
    let names: Vec<&str> = pictures.iter().map(|picture| picture.name.as_str()).collect();
    let gap = gap(&names).map(|(before, after)| {
        let (before, after) = (shown(before), shown(after));
        format!("by their names, slices are missing between {before} and {after}")
    });
    let volumes: Vec<Volume> = pictures.into_iter().filter_map(|picture| picture.volume).collect();
    let Some(Shape { rows, columns, .. }) = volumes.first().map(|volume| volume.shape) else {
        return Err(RefusalReason::NotAnImage.refuse("The archive holds no image."));
    };
    let slices = volumes.iter().map(|volume| volume.shape.slices).sum();
    let shape = limits.shape(slices, rows, columns)?;
    let white = volumes.iter().map(|volume| volume.window[1]).fold(0.0, f32::max);
    let mut remarks: Vec<String> =
        volumes.iter().flat_map(|volume| volume.remarks.iter().cloned()).collect();
    remarks.dedup();
    remarks.extend(gap);
    let mut voxels = Vec::with_capacity(shape.len());
    for volume in volumes {
        // Each slice is dropped once it is copied.
        voxels.extend(volume.voxels);
    }
    Ok(Volume {
        shape,
        voxels,
        geometry: None,
        modality: None,
        kind: ImageKind::Unknown,
        format: Format::Zip,
        window: [0.0, white],
        remarks,
        stored: Orientation::default(),
        protocol: Protocol::default(),
    })
}
