//! The Segmentation IOD (PS3.3 A.51): one bit a pixel, one segment a finding, one frame for each slice that a finding is in.

use std::collections::BTreeMap;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use domain::{Answer, ErrorKind, Result};
use imaging::{Finding, Geometry, Role, Run, Shape, StoredGrid, regions};

use super::element::{
    Element, Item, bytes, code, decimals, item, long_string, pointer, sequence, text, whole, wholes,
};
use super::file::{self, Kind};
use super::source::Place;
use super::{DicomResult, Unmade, codes, equipment, kind_of};
use crate::names;
use crate::plain::called;

pub const KIND: Kind = Kind {
    name: "seg.dcm",
    class: uids::SEGMENTATION_STORAGE,
    modality: "SEG",
    series_number: 9401,
    description: "medseg: findings (research)",
};

const NOTHING: &str = "nothing was found, so that there is nothing to mark: sr.dcm says the answer";
const TOO_MANY: &str = "there are more findings than one segmentation holds: mask.nii.gz has them";

/// What is held in memory at once, in frames and in bytes of pixels: these are there twice while the file is written.
const FRAMES_MAX: usize = 8192;
const PIXEL_BYTES_MAX: usize = 64 << 20;

/// The frames by finding (from 0) and slice of the files' grid, each with its place among them.
type Frames = BTreeMap<(usize, usize), usize>;

/// The UID of the segmentation, where there is one.
pub fn instance_uid(of: &DicomResult) -> Result<String, Unmade> {
    possible(of)?;
    Ok(of.uid(&[KIND.name, "instance"]))
}

pub fn written(of: &DicomResult, mask: &[u8], grid: &StoredGrid) -> Result<Vec<u8>, Unmade> {
    let place = possible(of)?;
    let labels = grid.labels(mask)?;
    let regions = regions(&labels, of.source.shape, &of.result.findings)?;
    let frames = frames(of, &regions)?;
    let mut elements = image(of, frames.len())?;
    elements.extend(file::lossy(of));
    elements.extend(about(of, &place));
    elements.push(segments(of));
    elements.extend(dimensions(of));
    elements.push(sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared(&place)]));
    let per_frame = framed(of, &place, &frames.keys().copied().collect::<Vec<_>>());
    elements.push(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, per_frame));
    elements.push(bytes(tags::PIXEL_DATA, packed(of, &regions, &frames)));
    file::written(of, &KIND, &[], elements)
}

/// Where the voxels lie, if a segmentation can be made: told by the result alone, so that the structured report refers to none that
/// is not there.
fn possible(of: &DicomResult) -> Result<Place<'_>, Unmade> {
    let findings = &of.result.findings;
    if of.result.answer != Answer::Found || findings.is_empty() {
        return Err(Unmade::Absent(NOTHING));
    }
    let axis = of.source.to_own_grid.axes[0];
    let slices = findings.iter().map(|finding| finding.bounds.to[axis] - finding.bounds.from[axis]);
    let frames: usize = slices.sum();
    let pixel_bytes = frames.saturating_mul(of.source.own_shape.slice_len()) / 8;
    if frames > FRAMES_MAX || pixel_bytes > PIXEL_BYTES_MAX {
        return Err(Unmade::Absent(TOO_MANY));
    }
    of.source.place()
}

/// The findings' voxels, turned back to the grid of the files: of which finding (from 0), and its slice, row and column. None is held
/// in memory, as there may be as many as the volume has.
fn marked(of: &DicomResult, regions: &[Vec<Run>]) -> impl Iterator<Item = (usize, [usize; 3])> {
    let (to_own_grid, shape) = (of.source.to_own_grid, of.source.shape);
    regions.iter().enumerate().flat_map(move |(finding, runs)| {
        runs.iter().flat_map(move |run| {
            (run.from..run.to).map(move |column| {
                let index = [run.slice, run.row, column].map(|at| at as f64);
                (finding, to_own_grid.index(index, shape).map(|at| at as usize))
            })
        })
    })
}

fn frames(of: &DicomResult, regions: &[Vec<Run>]) -> Result<Frames> {
    let own = of.source.own_shape;
    let mut frames = Frames::new();
    for (finding, [slice, row, column]) in marked(of, regions) {
        if slice >= own.slices || row >= own.rows || column >= own.columns {
            return Err(ErrorKind::Internal.error("a finding lies outside of its images"));
        }
        frames.insert((finding, slice), 0);
    }
    for (number, frame) in frames.values_mut().enumerate() {
        *frame = number;
    }
    Ok(frames)
}

/// One bit a pixel, frame after frame without a gap, the first pixel in the lowest bit (PS3.5 8.1.1).
fn packed(of: &DicomResult, regions: &[Vec<Run>], frames: &Frames) -> Vec<u8> {
    let own = of.source.own_shape;
    let mut packed = vec![0_u8; (frames.len() * own.slice_len()).div_ceil(8)];
    for (finding, [slice, row, column]) in marked(of, regions) {
        if let Some(frame) = frames.get(&(finding, slice)) {
            let bit = frame * own.slice_len() + row * own.columns + column;
            packed[bit / 8] |= 1 << (bit % 8);
        }
    }
    packed
}

/// The pixels' form.
fn image(of: &DicomResult, frames: usize) -> Result<Vec<Element>> {
    let Shape { rows, columns, .. } = of.source.own_shape;
    Ok(vec![
        text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY"),
        whole(tags::SAMPLES_PER_PIXEL, 1),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        text(tags::NUMBER_OF_FRAMES, VR::IS, frames.to_string()),
        whole(tags::ROWS, side(rows)?),
        whole(tags::COLUMNS, side(columns)?),
        whole(tags::BITS_ALLOCATED, 1),
        whole(tags::BITS_STORED, 1),
        whole(tags::HIGH_BIT, 0),
        whole(tags::PIXEL_REPRESENTATION, 0),
        text(tags::SEGMENTATION_TYPE, VR::CS, "BINARY"),
    ])
}

/// A picture's side, as DICOM can say it.
pub fn side(pixels: usize) -> Result<u16> {
    u16::try_from(pixels).map_err(|error| {
        ErrorKind::Internal.error("a picture is too large for DICOM").because(error)
    })
}

fn about(of: &DicomResult, place: &Place<'_>) -> Vec<Element> {
    vec![
        text(tags::CONTENT_LABEL, VR::CS, "FINDINGS"),
        text(tags::CONTENT_DESCRIPTION, VR::LO, "Found by software, for research use only"),
        text(tags::CONTENT_CREATOR_NAME, VR::PN, "medseg^software"),
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, place.frame_of_reference),
        text(tags::POSITION_REFERENCE_INDICATOR, VR::LO, ""),
        text(tags::BODY_PART_EXAMINED, VR::CS, "BRAIN"),
        of.source.referenced_series(),
    ]
}

fn segments(of: &DicomResult) -> Element {
    let segment = |(number, finding): (u16, &Finding)| {
        item(vec![
            whole(tags::SEGMENT_NUMBER, number),
            text(tags::SEGMENT_LABEL, VR::LO, called(finding)),
            text(tags::SEGMENT_DESCRIPTION, VR::ST, described(finding)),
            text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC"),
            long_string(tags::SEGMENT_ALGORITHM_NAME, &algorithm_name(of)),
            equipment::algorithm(&of.result),
            code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, codes::ABNORMAL),
            code(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, kind_of(finding)),
            code(tags::ANATOMIC_REGION_SEQUENCE, codes::BRAIN),
            text(tags::TRACKING_ID, VR::UT, called(finding)),
            text(tags::TRACKING_UID, VR::UI, names::tracking_uid(&of.result, finding)),
        ])
    };
    sequence(tags::SEGMENT_SEQUENCE, (1..).zip(&of.result.findings).map(segment).collect())
}

fn algorithm_name(of: &DicomResult) -> String {
    let (name, version) = (equipment::model_name(&of.result), equipment::model_version(&of.result));
    format!("{name} {version}")
}

fn described(finding: &Finding) -> &'static str {
    match finding.role {
        Role::Main => "Main finding: it counts in the totals",
        Role::Lesser => "Lesser finding, apart from the main one: it is in no total",
    }
}

/// Frames are counted by segment, then by place.
fn dimensions(of: &DicomResult) -> Vec<Element> {
    let organization = of.uid(&[KIND.name, "dimensions"]);
    let dimension = |pointed: Tag, group: Tag, label: &str| {
        item(vec![
            text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, &organization),
            pointer(tags::DIMENSION_INDEX_POINTER, pointed),
            pointer(tags::FUNCTIONAL_GROUP_POINTER, group),
            text(tags::DIMENSION_DESCRIPTION_LABEL, VR::LO, label),
        ])
    };
    let by_segment = dimension(
        tags::REFERENCED_SEGMENT_NUMBER,
        tags::SEGMENT_IDENTIFICATION_SEQUENCE,
        "Segment number",
    );
    let by_place = dimension(
        tags::IMAGE_POSITION_PATIENT,
        tags::PLANE_POSITION_SEQUENCE,
        "Image position (patient)",
    );
    let named = item(vec![text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, &organization)]);
    vec![
        sequence(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![named]),
        sequence(tags::DIMENSION_INDEX_SEQUENCE, vec![by_segment, by_place]),
    ]
}

/// What holds for all frames: directions and distances.
fn shared(place: &Place<'_>) -> Item {
    let Geometry { row_step, column_step, .. } = place.own;
    let [_, row_mm, column_mm] = place.own.spacing();
    let cosines =
        [column_step.map(|part| part / column_mm), row_step.map(|part| part / row_mm)].concat();
    let orientation = item(vec![decimals(tags::IMAGE_ORIENTATION_PATIENT, &cosines)]);
    let mut measures = vec![decimals(tags::PIXEL_SPACING, &[row_mm, column_mm])];
    // Between the planes: of a sheared stack that is less than from one origin to the next.
    let between_mm = place.own.voxel_mm3() / (row_mm * column_mm);
    if between_mm > 0.0 {
        measures.push(decimals(tags::SLICE_THICKNESS, &[between_mm]));
        measures.push(decimals(tags::SPACING_BETWEEN_SLICES, &[between_mm]));
    }
    item(vec![
        sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]),
        sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![item(measures)]),
    ])
}

fn framed(of: &DicomResult, place: &Place<'_>, frames: &[(usize, usize)]) -> Vec<Item> {
    let mut slices: Vec<usize> = frames.iter().map(|(_, slice)| *slice).collect();
    slices.sort_unstable();
    slices.dedup();
    let frame = |(finding, slice): &(usize, usize)| {
        // Places are counted from 1, in the order of the slices.
        let at = slices.partition_point(|other| other <= slice);
        let (segment, at) = (*finding as u32 + 1, at as u32);
        let position = item(vec![decimals(
            tags::IMAGE_POSITION_PATIENT,
            &place.own.position(*slice as f64, 0.0, 0.0),
        )]);
        let content = item(vec![wholes(tags::DIMENSION_INDEX_VALUES, VR::UL, vec![segment, at])]);
        let number = item(vec![whole(tags::REFERENCED_SEGMENT_NUMBER, *finding as u16 + 1)]);
        item(vec![
            sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content]),
            sequence(tags::PLANE_POSITION_SEQUENCE, vec![position]),
            sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation(of, *slice)]),
            // In each frame, also where there is one segment alone: readers look for it there.
            sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![number]),
        ])
    };
    frames.iter().map(frame).collect()
}

/// Of which slice of the images the frame is.
fn derivation(of: &DicomResult, slice: usize) -> Item {
    let purpose = code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, codes::SOURCE_IMAGE);
    let preserved = text(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES");
    let source = of.source.slice(slice, vec![purpose, preserved]);
    item(vec![
        code(tags::DERIVATION_CODE_SEQUENCE, codes::SEGMENTATION),
        sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![source]),
    ])
}
