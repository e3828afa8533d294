//! What a header says of the series that its file is an instance of, as far as the choice among a study's series hangs on it.

use std::collections::BTreeSet;

use dicom_dictionary_std::tags;

use super::class::is_capture;
use super::geometry::{self, Plane};
use super::reader::DataSet;
use super::{equipment, kind, kind_of};
use crate::picker::{Mark, SeriesFacts, SeriesGrid};
use crate::volume::length;
use crate::{Geometry, ImageKind, Modality};

/// A description beyond this is none: LO has 64 characters, in whichever character set.
const DESCRIPTION_CHARS_MAX: usize = 128;

/// What values of ImageType say, beyond original and primary (PS3.3, C.7.6.1.1.2, C.8.3.1.1.1 and what vendors write).
const TERMS: [(Mark, &[&str]); 6] = [
    (Mark::Localizer, &["LOCALIZER", "SCOUT"]),
    (Mark::Mosaic, &["MOSAIC"]),
    (
        Mark::Projection,
        &["PROJECTION IMAGE", "MIP", "MINIP", "MAX_IP", "MIN_IP", "MNIP", "VOLREN", "VRT", "SSD"],
    ),
    (Mark::Subtraction, &["SUBTRACT", "SUBTRACTION", "SUB"]),
    (
        Mark::Map,
        &[
            "ADC",
            "EADC",
            "FA",
            "TRACEW",
            "TENSOR",
            "CBF",
            "CBV",
            "RCBF",
            "RCBV",
            "RELCBF",
            "RELCBV",
            "MTT",
            "TTP",
            "TMAX",
            "PBP",
            "GBP",
            "T1 MAP",
            "T2 MAP",
            "T2_STAR MAP",
            "FIELD_MAP",
            "VELOCITY",
            "PHASE MAP",
            "SWI",
        ],
    ),
    (Mark::MotionCorrected, &["MOCO"]),
];

/// What words of a description say: the last to be asked, for whoever typed them may have typed the last ones. None that means
/// something else as often: `FA` is a flip angle, too, and `SUB` stands in `sub-mm`.
const WORDS: [(Mark, &[&str]); 5] = [
    (
        Mark::Localizer,
        &["LOC", "LOCALIZER", "LOCALISER", "LOCALIZERS", "SCOUT", "SURVEY", "3PLANE"],
    ),
    (Mark::Projection, &["MIP", "MINIP", "VRT", "VOLREN"]),
    (Mark::Subtraction, &["SUBTRACTION", "SUBTRACTED"]),
    (Mark::Map, &["ADC", "EADC", "CBF", "CBV", "RCBV", "MTT", "TTP"]),
    (Mark::Motion, &["MOTION", "MOVED", "BEWEGT", "BEWEGUNG", "BOUGE"]),
];

/// What one file says of its series.
pub(in crate::decode) struct Instance {
    modality: String,
    by_attributes: ImageKind,
    said: ImageKind,
    marks: BTreeSet<Mark>,
    planes: Vec<Plane>,
    site: String,
    description: String,
}

impl Instance {
    /// Of a header. What cannot be read says nothing here: whoever decodes the file refuses it.
    pub(super) fn of(set: &DataSet) -> Instance {
        let shared = set.items(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).ok();
        let shared = shared.and_then(|items| items.into_iter().next()).unwrap_or_default();
        let modality = set.text(tags::MODALITY).unwrap_or_default();
        let of_mr = modality == Modality::MagneticResonance.term();
        let description = set.text(tags::SERIES_DESCRIPTION).unwrap_or_default();
        Instance {
            by_attributes: if of_mr {
                kind::of_attributes(set, &shared)
            } else {
                ImageKind::Unknown
            },
            said: kind_of(set).unwrap_or_default(),
            marks: marks(set),
            planes: planes(set, &shared),
            site: equipment(set).site.unwrap_or_default(),
            description: description.chars().take(DESCRIPTION_CHARS_MAX).collect(),
            modality,
        }
    }
}

/// What is known of a series whose files are these; None of no file.
pub(in crate::decode) fn facts(study: &str, instances: &[Instance]) -> Option<SeriesFacts> {
    let first = instances.first()?;
    let planes: Vec<Plane> =
        instances.iter().flat_map(|instance| instance.planes.iter().cloned()).collect();
    // A capture among slices is left out of them; a series is one where all of it is.
    let everywhere = |mark: Mark| instances.iter().all(|instance| instance.marks.contains(&mark));
    let mut marks: BTreeSet<Mark> =
        first.marks.iter().copied().filter(|mark| everywhere(*mark)).collect();
    let grid = match &*planes {
        [plane] => plane.alone().map(|geometry| grid(&geometry, 1)),
        planes => match geometry::stack(planes) {
            Ok((_, geometry)) => Some(grid(&geometry, planes.len())),
            Err(_) if planes.iter().any(|plane| !plane.is_parallel_to(&planes[0])) => {
                marks.insert(Mark::Crossed);
                None
            }
            Err(_) => None,
        },
    };
    Some(SeriesFacts {
        study: study.to_owned(),
        modality: first.modality.clone(),
        kind_by_attributes: kind::common(instances.iter().map(|one| one.by_attributes)),
        kind_by_content: None,
        kind_said: kind::common(instances.iter().map(|one| one.said)),
        marks,
        slices: planes.len(),
        grid,
        site: first.site.clone(),
        description: first.description.clone(),
    })
}

/// The distances of a grid of so many slices, in millimetres.
fn grid(geometry: &Geometry, slices: usize) -> SeriesGrid {
    let slice_mm = length(geometry.slice_step);
    SeriesGrid {
        slice_mm,
        pixel_mm: [length(geometry.row_step), length(geometry.column_step)],
        coverage_mm: slice_mm * slices as f64,
    }
}

fn marks(set: &DataSet) -> BTreeSet<Mark> {
    let image_type = set.text(tags::IMAGE_TYPE).unwrap_or_default().to_uppercase();
    let values: Vec<&str> = image_type.split('\\').map(str::trim).collect();
    let words = kind::words(set, tags::SERIES_DESCRIPTION);
    let of_type = TERMS
        .into_iter()
        .filter(|(_, terms)| values.iter().skip(2).any(|value| terms.contains(value)));
    let of_words =
        WORDS.into_iter().filter(|(_, known)| words.iter().any(|word| known.contains(&&**word)));
    let mut marks: BTreeSet<Mark> = of_type.chain(of_words).map(|(mark, _)| mark).collect();
    if values.first() == Some(&"DERIVED") {
        marks.insert(Mark::Derived);
    }
    if is_capture(set.text(tags::SOP_CLASS_UID).as_deref()) {
        marks.insert(Mark::Capture);
    }
    marks
}

/// Where the frames lie, one plane each; one that cannot be read lies nowhere.
fn planes(set: &DataSet, shared: &DataSet) -> Vec<Plane> {
    let own = set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).unwrap_or_default();
    if own.is_empty() {
        return vec![Plane::of_image(set).unwrap_or_default()];
    }
    own.iter().map(|own| Plane::of_frame(own, shared).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::write::{EXPLICIT, Element, place, slice, text};
    use super::super::{facts, slice_of};
    use super::*;
    use crate::decode::Limits;

    /// What is known of a series of so many slices, 4 mm apart, whose headers say this besides.
    fn series(slices: usize, more: &[Element]) -> SeriesFacts {
        let instance = |number: usize| {
            let said = [place(4.0 * number as f64), more.to_vec()].concat();
            let elements = slice(EXPLICIT, &[0, 1, 2, 3, 4, 5, 6, 7], &said);
            let file = EXPLICIT.file(&EXPLICIT.data_set(&elements));
            slice_of(&file, &Limits::default()).unwrap().unwrap().1
        };
        facts("1.2", &(0..slices).map(instance).collect::<Vec<_>>()).unwrap()
    }

    fn typed(image_type: &str) -> Element {
        (tags::IMAGE_TYPE, "CS", text(image_type))
    }

    fn described(words: &str) -> Element {
        (tags::SERIES_DESCRIPTION, "LO", text(words))
    }

    #[test]
    fn a_series_is_known_by_its_grid_and_by_what_all_its_headers_say() {
        let found = series(20, &[typed("ORIGINAL\\PRIMARY\\M\\ND"), described("AX FLAIR")]);
        let grid = found.grid.unwrap();
        assert!((grid.slice_mm - 4.0).abs() < 1e-9 && (grid.coverage_mm - 80.0).abs() < 1e-9);
        assert!((grid.pixel_mm[0] - 0.5).abs() < 1e-9 && (grid.pixel_mm[1] - 0.25).abs() < 1e-9);
        assert_eq!((found.slices, &*found.modality, &*found.study), (20, "MR", "1.2"));
        let kinds = (found.kind_by_attributes, found.kind_said);
        assert_eq!(kinds, (ImageKind::Unknown, ImageKind::Flair));
        assert!(found.marks.is_empty(), "{:?}", found.marks);
    }

    #[test]
    fn times_tell_the_kind_without_a_word() {
        let times = [
            (tags::REPETITION_TIME, "DS", text("9000")),
            (tags::ECHO_TIME, "DS", text("120")),
            (tags::INVERSION_TIME, "DS", text("2500")),
        ];
        let found = series(3, &times);
        assert_eq!(
            (found.kind_by_attributes, found.kind_said),
            (ImageKind::Flair, ImageKind::Flair)
        );
    }

    #[test]
    fn what_is_no_image_for_a_model_is_marked() {
        let marks = |more: &[Element]| -> Vec<Mark> { series(3, more).marks.into_iter().collect() };
        let cases = [
            (typed("ORIGINAL\\PRIMARY\\LOCALIZER"), vec![Mark::Localizer]),
            (typed("ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC"), vec![Mark::Mosaic]),
            (typed("DERIVED\\SECONDARY\\MIP"), vec![Mark::Projection, Mark::Derived]),
            (typed("DERIVED\\PRIMARY\\DIFFUSION\\ADC"), vec![Mark::Map, Mark::Derived]),
            (typed("DERIVED\\PRIMARY\\M\\SUB"), vec![Mark::Subtraction, Mark::Derived]),
            (described("3-plane LOC"), vec![Mark::Localizer]),
            (described("AX FLAIR motion"), vec![Mark::Motion]),
            (typed("ORIGINAL\\PRIMARY\\M"), vec![]),
            (described("Lobus frontalis"), vec![]),
            (described("T1 SPGR FA 15 sub-mm"), vec![]),
            (described("T1 SUBTRACTION"), vec![Mark::Subtraction]),
        ];
        for (said, expected) in cases {
            assert_eq!(marks(std::slice::from_ref(&said)), expected, "{said:?}");
        }
    }

    #[test]
    fn slices_in_several_directions_are_crossed_and_no_grid() {
        let turned = (tags::IMAGE_ORIENTATION_PATIENT, "DS", text("0\\1\\0\\0\\0\\-1"));
        let file = |turned: Option<&Element>, z: f64| {
            let mut said = place(z);
            if let Some(turned) = turned {
                said.retain(|(tag, ..)| *tag != tags::IMAGE_ORIENTATION_PATIENT);
                said.push(turned.clone());
            }
            let elements = slice(EXPLICIT, &[0; 8], &said);
            let file = EXPLICIT.file(&EXPLICIT.data_set(&elements));
            slice_of(&file, &Limits::default()).unwrap().unwrap().1
        };
        let crossed = [file(None, 0.0), file(Some(&turned), 4.0), file(None, 8.0)];
        let found = facts("1.2", &crossed).unwrap();
        assert!(found.marks.contains(&Mark::Crossed) && found.grid.is_none(), "{found:?}");
        assert!(facts("1.2", &[]).is_none());
    }
}
