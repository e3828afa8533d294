//! Measurement groups: of each finding one with its numbers, and one with its box (TID 1411; without a segmentation TID 1501).

use dicom_dictionary_std::tags;
use imaging::{Diameter, Finding, Geometry, Unit};

use super::content::{Content, Relation};
use crate::dicom::element::{Code, reference, whole};
use crate::dicom::source::Place;
use crate::dicom::{DicomResult, coded_side, codes, equipment, kind_of, seg};
use crate::plain::called;
use crate::{FINDINGS_MAX, names};

/// The groups of the findings, in their order.
pub fn all(of: &DicomResult, segmentation: Option<&str>) -> Vec<Content> {
    let place = of.source.place().ok();
    let findings = (1_u16..).zip(of.result.findings.iter().take(FINDINGS_MAX));
    let groups = findings.flat_map(|(segment, finding)| {
        let measured =
            measured(of, finding, place.as_ref(), segmentation.map(|uid| (uid, segment)));
        let boxed = place.as_ref().map(|place| boxed(of, finding, place));
        [Some(measured), boxed].into_iter().flatten()
    });
    groups.collect()
}

/// The numbers of a finding, of which its segment is the region.
fn measured(
    of: &DicomResult,
    finding: &Finding,
    place: Option<&Place<'_>>,
    segment: Option<(&str, u16)>,
) -> Content {
    let follows = if segment.is_some() { "1411" } else { "1501" };
    let mut below = identified(of, finding);
    if let Some((uid, number)) = segment {
        let number = whole(tags::REFERENCED_SEGMENT_NUMBER, number);
        let image = reference(seg::KIND.class, uid, Some(number));
        below.push(Content::image(Relation::Contains, Some(codes::REFERENCED_SEGMENT), image));
        below.push(Content::uid(Relation::Contains, codes::SOURCE_SERIES, &of.source.series));
    }
    below.extend(numbers(finding, place));
    Content::container(Relation::Contains, codes::MEASUREMENT_GROUP, Some(follows), below)
}

/// What both groups of a finding say of it: that it is one and the same, what it is and where, and who says so.
fn identified(of: &DicomResult, finding: &Finding) -> Vec<Content> {
    let mut site = Content::code(Relation::Modifies, codes::FINDING_SITE, codes::BRAIN);
    if let Some(side) = finding.laterality {
        let side = Content::code(Relation::Modifies, codes::LATERALITY, coded_side(side));
        site = site.with(vec![side]);
    }
    let text = |relation, concept: Code, words: &str| Content::text(relation, concept, words);
    let mut all = vec![
        text(Relation::Observes, codes::TRACKING_IDENTIFIER, &called(finding)),
        Content::uid(
            Relation::Observes,
            codes::TRACKING_UID,
            &names::tracking_uid(&of.result, finding),
        ),
        Content::code(Relation::Contains, codes::FINDING, kind_of(finding)),
        site,
        text(Relation::Modifies, codes::ALGORITHM_NAME, &equipment::model_name(&of.result)),
        text(Relation::Modifies, codes::ALGORITHM_VERSION, &equipment::model_version(&of.result)),
    ];
    let parameters = equipment::parameters(&of.result);
    all.extend(
        parameters.map(|words| text(Relation::Modifies, codes::ALGORITHM_PARAMETERS, &words)),
    );
    all
}

fn numbers(finding: &Finding, place: Option<&Place<'_>>) -> Vec<Content> {
    let unit = match finding.unit {
        Unit::Millimetre => codes::MILLIMETRE,
        Unit::Pixel => codes::PIXEL,
    };
    let axis = |concept: Code, diameter: &Diameter| {
        let number = Content::number(concept, diameter.length, unit);
        let Some(place) = place else { return number };
        let ends = diameter
            .ends
            .map(|[row, column]| place.shown.position(finding.diameter_slice as f64, row, column));
        let frame = place.frame_of_reference;
        number.with(vec![Content::drawn(Relation::Inferred, codes::PATH, "POLYLINE", &ends, frame)])
    };
    let volume = finding.volume_ml.map(|ml| Content::number(codes::VOLUME, ml, codes::MILLILITRE));
    // Of a slice of unknown thickness there is no volume.
    let area = finding.area_mm2.filter(|_| finding.volume_ml.is_none());
    let area = area.map(|mm2| Content::number(codes::AREA, mm2, codes::SQUARE_MILLIMETRE));
    let certainty = Content::number(codes::CERTAINTY, 100.0 * finding.confidence, codes::PERCENT);
    let axes = [
        axis(codes::LONG_AXIS, &finding.longest_diameter),
        axis(codes::SHORT_AXIS, &finding.perpendicular_diameter),
    ];
    volume.into_iter().chain(area).chain(axes).chain([certainty]).collect()
}

/// The box around a finding: the outlines of its first and its last face, voxels' own extent included.
fn boxed(of: &DicomResult, finding: &Finding, place: &Place<'_>) -> Content {
    let mut below = identified(of, finding);
    let purpose = Content::code(Relation::Modifies, codes::PURPOSE_OF_REGION, codes::BOUNDED_BY);
    below.push(purpose);
    for face in faces(finding, &place.shown) {
        let frame = place.frame_of_reference;
        below.push(Content::drawn(
            Relation::Contains,
            codes::VOLUME_SURFACE,
            "POLYGON",
            &face,
            frame,
        ));
    }
    below.push(Content::uid(Relation::Contains, codes::SOURCE_SERIES, &of.source.series));
    Content::container(Relation::Contains, codes::MEASUREMENT_GROUP, Some("1411"), below)
}

/// Both faces of a finding's box, each a closed outline. Of a slice of unknown thickness both are one.
fn faces(finding: &Finding, shown: &Geometry) -> [[[f64; 3]; 5]; 2] {
    let [from, to] =
        [finding.bounds.from, finding.bounds.to].map(|at| at.map(|at| at as f64 - 0.5));
    [from[0], to[0]].map(|slice| {
        [[from[1], from[2]], [from[1], to[2]], [to[1], to[2]], [to[1], from[2]], [from[1], from[2]]]
            .map(|[row, column]| shown.position(slice, row, column))
    })
}
