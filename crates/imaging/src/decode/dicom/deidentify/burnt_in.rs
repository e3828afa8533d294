//! Text that is a part of the picture: what may have some is not exported.

use std::collections::BTreeSet;

use dicom_dictionary_std::tags;

use super::super::class::is_capture;
use super::super::pixel_format::PixelFormat;
use super::super::reader::DataSet;
use crate::{Modality, Refusal, RefusalReason};

/// Letters are written in one value, the brightest; no anatomy has it so often.
const PIXELS_MIN: usize = 60;
/// How far from the edge annotations are written: this part of the picture's side.
const BORDER: f64 = 0.2;
/// How many of the brightest pixels stand there, of all that are so bright.
const SHARE_MIN: f64 = 0.8;
/// A picture with fewer grey levels than this is a mask or a drawing, and its brightest pixels are no letters.
const LEVELS_MIN: usize = 8;

/// Refuses what says that it has text in its pixels, what may have and does not deny it, and what looks as if it had.
pub fn refuse(
    set: &DataSet,
    class: Option<&str>,
    values: &[f32],
    format: &PixelFormat,
) -> Result<(), Refusal> {
    let refused = |what: &str| {
        Err(RefusalReason::Unsupported
            .refuse(format!("{what}: it is not exported, for the text may name somebody.")))
    };
    let said = set.text(tags::BURNED_IN_ANNOTATION);
    let own = set.text(tags::SOP_CLASS_UID);
    let modality = set.text(tags::MODALITY).as_deref().and_then(Modality::of_term);
    let may_have = is_capture(own.as_deref().or(class)) || modality.is_none();
    match said.as_deref() {
        Some("YES") => return refused("It says that there is text in its pixels"),
        Some("NO") => {}
        // No value that the standard has, and no denial.
        Some(_) => return refused("It does not deny that there is text in its pixels"),
        None if may_have => {
            return refused(
                "It is a captured picture and does not say that it has no text in its pixels",
            );
        }
        None => {}
    }
    let (columns, rows) = (format.shape.columns, format.shape.rows);
    match values.chunks(format.shape.slice_len()).any(|frame| is_lettered(frame, rows, columns)) {
        true => refused("There seems to be text at the edges of its pixels"),
        false => Ok(()),
    }
}

/// Whether the brightest value is written at the edges, as letters are.
fn is_lettered(frame: &[f32], rows: usize, columns: usize) -> bool {
    let high = frame.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut levels = BTreeSet::<u32>::new();
    for value in frame {
        levels.insert(value.to_bits());
        if levels.len() >= LEVELS_MIN {
            break;
        }
    }
    if levels.len() < LEVELS_MIN {
        return false;
    }
    let [top, left] = [rows, columns].map(|side| (BORDER * side as f64) as usize);
    let at_edge = |at: usize| {
        let (row, column) = (at / columns, at % columns);
        row < top || row >= rows - top || column < left || column >= columns - left
    };
    let brightest = frame.iter().enumerate().filter(|(_, value)| value.to_bits() == high.to_bits());
    let places: Vec<usize> = brightest.map(|(at, _)| at).collect();
    let outside = places.iter().filter(|at| at_edge(**at)).count();
    places.len() >= PIXELS_MIN && outside as f64 >= SHARE_MIN * places.len() as f64
}
