//! What a scan must be before anything is segmented in it. By content alone: no name, no header is believed where
//! the pixels can tell.

mod head;
mod mask;

use crate::decode::label_map_alone;
use crate::label_map::is_label_map;
use crate::{Format, Modality, Refusal, RefusalReason, Shape, Volume};

/// Fewer pixels than this a side show no lesion.
const SIDE_MIN: usize = 64;
/// A newborn's head is wider,
const FIELD_OF_VIEW_MM_MIN: f64 = 60.0;
/// and no scanner's bore is.
const FIELD_OF_VIEW_MM_MAX: f64 = 1000.0;
/// Slices of a volume that are looked at, evenly spread over its middle.
const LOOKED_AT: usize = 9;
/// Of the display range: less between dark and bright is blank, less in the brightest places is too dark.
const BLANK: f32 = 0.008;
const DARK: f32 = 0.08;
/// The share of pure white from which a picture is overexposed; real slices have none.
const CLIPPED: f64 = 0.05;

/// Checks that `volume` can be judged by one of the `registered` models: large enough, neither blank, dark nor
/// overexposed, a head and no map of labels, and of a modality that some model was trained on. A file that does not say its modality passes.
pub fn check(volume: &Volume, registered: &[Modality]) -> Result<(), Refusal> {
    large_enough(volume)?;
    if is_label_map(volume) {
        return Err(label_map_alone());
    }
    visible(volume)?;
    a_head(volume)?;
    not_clipped(volume)?;
    match volume.modality {
        Some(modality) if !registered.contains(&modality) => {
            Err(wrong_modality(&format!("It is a {} scan.", modality.term())))
        }
        _ => Ok(()),
    }
}

/// The refusal of an image whose header names a modality that is neither MR nor CT.
pub(crate) fn foreign(volume: &Volume) -> Refusal {
    match a_head(volume) {
        Err(refusal) => refusal,
        Ok(()) => wrong_modality("Its header says that it is neither an MR nor a CT scan."),
    }
}

fn wrong_modality(what: &str) -> Refusal {
    RefusalReason::WrongModality.refuse(what)
}

/// The body part, if DICOM's BodyPartExamined names one that shows no brain.
pub(crate) fn other_body_part(term: &str) -> Option<&'static str> {
    const OTHERS: [&str; 29] = [
        "ABDOMEN",
        "ANKLE",
        "ARM",
        "BREAST",
        "CALCANEUS",
        "CHEST",
        "CLAVICLE",
        "COCCYX",
        "ELBOW",
        "EXTREMITY",
        "FEMUR",
        "FINGER",
        "FOOT",
        "HAND",
        "HEART",
        "HIP",
        "KNEE",
        "LEG",
        "LIVER",
        "LSPINE",
        "PELVIS",
        "PROSTATE",
        "RIB",
        "SHOULDER",
        "SSPINE",
        "THUMB",
        "TOE",
        "TSPINE",
        "WRIST",
    ];
    OTHERS.into_iter().find(|other| term.trim().eq_ignore_ascii_case(other))
}

fn large_enough(volume: &Volume) -> Result<(), Refusal> {
    let (rows, columns) = (volume.shape.rows, volume.shape.columns);
    if rows.min(columns) < SIDE_MIN {
        return Err(RefusalReason::TooSmall.refuse(format!("It is {columns} x {rows} pixels.")));
    }
    let Some([_, row_mm, column_mm]) = volume.geometry.map(|geometry| geometry.spacing()) else {
        return Ok(());
    };
    let (high, wide) = (row_mm * rows as f64, column_mm * columns as f64);
    if high.min(wide) < FIELD_OF_VIEW_MM_MIN {
        return Err(RefusalReason::NotAHead
            .refuse(format!("It shows {wide:.0} x {high:.0} mm, less than a head.")));
    }
    if high.max(wide) > FIELD_OF_VIEW_MM_MAX {
        return Err(RefusalReason::NotAHead
            .refuse(format!("It shows {wide:.0} x {high:.0} mm, more than a scanner can.")));
    }
    Ok(())
}

/// The values below which 0.5 % and 99.5 % of the whole volume's lie.
fn levels(volume: &Volume) -> [f32; 2] {
    // A few thousand voxels, evenly spread, give the percentiles well enough, and a volume has millions.
    let step = (volume.voxels.len() / 50_000).max(1);
    let mut sample: Vec<f32> = volume.voxels.iter().copied().step_by(step).collect();
    [0.005, 0.995].map(|share| head::percentile(&mut sample, share))
}

fn visible(volume: &Volume) -> Result<(), Refusal> {
    let [low, high] = levels(volume);
    let [black, white] = volume.window;
    let range = if absolute(volume) { (white - black).abs() } else { low.abs().max(high.abs()) };
    if range == 0.0 || (high - low) / range < BLANK {
        return Err(RefusalReason::Blank.refuse("All its pixels have the same brightness."));
    }
    if absolute(volume) && (high - black) / range < DARK {
        return Err(RefusalReason::TooDark.refuse("Its brightest parts are nearly black."));
    }
    Ok(())
}

fn not_clipped(volume: &Volume) -> Result<(), Refusal> {
    let white = volume.window[1];
    let clipped = volume.voxels.iter().filter(|voxel| **voxel >= white).count();
    if absolute(volume) && clipped as f64 > CLIPPED * volume.voxels.len() as f64 {
        let percent = 100 * clipped / volume.voxels.len();
        return Err(RefusalReason::Clipped.refuse(format!("{percent} % of it is pure white.")));
    }
    Ok(())
}

/// Whether black and white are the file's, so that dark and bright mean something: in MR they do not.
pub(crate) fn absolute(volume: &Volume) -> bool {
    let picture = matches!(volume.format, Format::Png | Format::Jpeg | Format::Tiff | Format::WebP);
    picture || (volume.format == Format::Zip && volume.geometry.is_none())
}

fn a_head(volume: &Volume) -> Result<(), Refusal> {
    let slices = volume.shape.slices;
    // A head's first and last slices are caps of skin.
    let (from, to) = (slices / 4, slices - slices / 4);
    let step = (to - from).div_ceil(LOOKED_AT).max(1);
    let looked_at: Vec<usize> = (from..to).step_by(step).collect();
    let heads = looked_at.iter().filter(|index| shows_head(volume, **index));
    if 2 * heads.count() >= looked_at.len() {
        return Ok(());
    }
    let what = if slices == 1 { "The picture lacks" } else { "Most of its slices lack" };
    let what =
        format!("{what} what a head's slice shows: one rounded outline on a quiet background.");
    Err(RefusalReason::NotAHead.refuse(what))
}

fn shows_head(volume: &Volume, index: usize) -> bool {
    /// In Hounsfield units: what is below is not measured, but filled in around a round field of view.
    const AIR: f32 = -1000.0;
    let Shape { rows, columns, .. } = volume.shape;
    let lowest = match volume.modality {
        Some(Modality::ComputedTomography) => AIR,
        _ => f32::NEG_INFINITY,
    };
    let (values, aspect) = (volume.slice(index), volume.pixel_aspect());
    let picture = head::View { width: columns, height: rows, values, lowest, aspect };
    // A scanner may make air bright (real inversion recovery); a picture of a head is not a negative.
    head::is_head(&picture, !absolute(volume))
}

#[cfg(test)]
mod tests;
