//! One body on one side of a head, in each of the 48 orders that a file can have, as each form of it and in each format. That each door makes
//! the same of them, `services/ingest/tests/suite/orders.rs` shows.

use imaging::encode::{Series, dicom as image, nifti_gz, zip};
use imaging::phantom::{Solid, SolidSettings};
use imaging::{Limits, Plane, View, WayBack, Witness, decode, mask_png};
use report::{contours, fhir, hl7};

use super::*;

/// SNOMED CT's codes of the sides.
const LEFT: &str = "7771000";
const RIGHT: &str = "24028007";
/// Halfway between head and solid.
const THRESHOLD: f32 = 710.0;
/// The distance between slices: further off, and a middle is another place.
const SLICE_MM: f64 = 7.0;

/// Not even in any direction, and on the patient's left.
fn solid() -> Solid {
    let settings = SolidSettings {
        plane: Plane::Axial,
        shape: Shape { slices: 10, rows: 64, columns: 66 },
        spacing: [SLICE_MM, 3.2, 3.0],
        oblique_degrees: [0.0; 3],
        tilt_degrees: 0.0,
        radii_mm: [24.0, 20.0, 25.0],
        turned_degrees: [15.0, 0.0, 30.0],
        near: [5.0, 27.0, 40.0],
    };
    Solid::new(&settings).unwrap()
}

/// Where columns, rows and slices may lead: each along one of the patient's axes, either way.
fn orders() -> Vec<String> {
    const AXES: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['S', 'I']];
    let exchanged = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let along = |axes: [usize; 3], ways: usize| {
        (0..3).map(|place| AXES[axes[place]][ways >> place & 1]).collect::<String>()
    };
    exchanged.iter().flat_map(|axes| (0..8).map(move |ways| along(*axes, ways))).collect()
}

/// By what a scan may come in, and whose it is then.
fn doors(stored: &Volume) -> [(&'static str, Vec<u8>); 2] {
    let nifti = nifti_gz(&stored.voxels, stored.shape, stored.geometry.as_ref()).unwrap();
    let series = Series::of_seed(5);
    let slice = |slice| (format!("{slice:03}.dcm"), image(stored, &series, slice).unwrap());
    let slices: Vec<(String, Vec<u8>)> = (0..stored.shape.slices).map(slice).collect();
    [("NIfTI", nifti), ("DICOM", zip(&slices).unwrap())]
}

fn analysed(volume: Volume) -> Head {
    let above: Vec<f32> =
        volume.voxels.iter().map(|voxel| f32::from(u8::from(*voxel >= THRESHOLD))).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let found = Findings::new(&above, volume.shape, volume.geometry.as_ref(), criteria);
    let found = found.unwrap().located(&volume).unwrap();
    let grid = StoredGrid::read(&volume.to_bytes()).unwrap().unwrap();
    Head { volume, found, grid }
}

/// The mean place in the patient of what a mask's file marks, as anybody's reader sees it.
fn marked_mm(mask: &[u8]) -> [f64; 3] {
    let mask = decode(mask, &Limits::default()).unwrap().volume;
    let (shape, geometry) = (mask.shape, mask.geometry.unwrap());
    let marked = (0..shape.len()).filter(|index| mask.voxels[*index] > 0.0);
    let places: Vec<[f64; 3]> = marked
        .map(|index| {
            let (slice, rest) = (index / shape.slice_len(), index % shape.slice_len());
            let [slice, row, column] =
                [slice, rest / shape.columns, rest % shape.columns].map(|at| at as f64);
            geometry.position(slice, row, column)
        })
        .collect();
    std::array::from_fn(|axis| places.iter().map(|at| at[axis]).sum::<f64>() / places.len() as f64)
}

fn assert_near(place: [f64; 3], centre: [f64; 3], whose: &str) {
    let near = place.iter().zip(centre).all(|(a, b)| (a - b).abs() < SLICE_MM);
    assert!(near, "{whose}: {place:?}, where it is {centre:?}");
}

#[test]
fn in_each_of_the_48_orders_by_each_door_every_format_says_the_same_side() {
    let solid = solid();
    let (axial, centre) = (solid.volume(), solid.truth().centre_mm);
    let mut pictures = std::collections::BTreeMap::new();
    let orders = orders();
    assert_eq!(orders.iter().collect::<std::collections::BTreeSet<_>>().len(), 48);
    for order in &orders {
        for (door, file) in doors(&axial.stored_as(order).unwrap()) {
            let whose = format!("{order}, {door}");
            let decoded = decode(&file, &Limits::default());
            let decoded = decoded.unwrap_or_else(|refusal| panic!("{whose}: {refusal:?}"));
            // A DICOM file rounds what it keeps.
            let pairs = decoded.volume.voxels.iter().zip(&axial.voxels);
            let differ = pairs.filter(|(a, b)| (*a - *b).abs() > 0.5).collect::<Vec<_>>();
            assert!(differ.is_empty(), "{whose}: another picture: {:?}", &differ[..9]);
            let head = analysed(decoded.volume);
            let [finding] = &head.found.findings[..] else { panic!("{whose}: not one finding") };
            assert_eq!(finding.laterality, Some(Laterality::Left), "{whose}");
            assert_near(finding.centroid_mm.unwrap(), centre, &whose);

            let mask = mask_nifti(&head.volume, &head.found).unwrap();
            let witness = Witness::of_file(&head.volume, &head.found, &mask).unwrap().unwrap();
            assert!(
                witness.by == WayBack::MaskFile && witness.largest_error_voxels < 0.01,
                "{whose}: {witness:?}"
            );
            assert_near(marked_mm(&mask), centre, &whose);

            let view = View::of(&head.volume.geometry.unwrap()).unwrap();
            assert_eq!([view.left, view.right, view.top, view.bottom], ['R', 'L', 'A', 'P']);
            let slice = shown_slice(head.volume.shape, &head.found);
            let picture = mask_png(head.volume.shape, &head.found, slice).unwrap();
            assert!(right_of_the_middle(&picture), "{whose}: the patient's left is on the right");
            let overlay = overlay_png(&head.volume, &head.found, slice).unwrap();
            let first = pictures.entry(door).or_insert_with(|| [picture.clone(), overlay.clone()]);
            assert!(*first == [picture, overlay], "{whose}: another mask or other letters");

            let document = result(&head, Answer::Found);
            let outlines = contours::written(&mask, &head.grid, &document).unwrap();
            assert!(outlined_right_of(&outlines, 33.0), "{whose}: outlines are elsewhere");
            let nobody = decoded.identity.clone().unwrap_or_default();
            for told in
                [fhir::bundle(&nobody, &document, None).unwrap(), hl7::message(&nobody, &document)]
            {
                let told = String::from_utf8(told).unwrap();
                assert!(told.contains(LEFT) && !told.contains(RIGHT), "{whose}: {told}");
            }

            if let Some(identity) = decoded.identity {
                let dicom = DicomResult::new(identity, &head.grid, document).unwrap();
                let (_, middle) = seen(&dicom.segmentation(&mask, &head.grid).unwrap());
                assert_near(middle, centre, &whose);
                let report = read(&dicom.structured_report().unwrap());
                assert_eq!(coded(named(&report, "272741003")[0]), LEFT, "{whose}");
                let capture = read(&dicom.capture(&first[1]).unwrap());
                assert_eq!(text(&capture, tags::PATIENT_ORIENTATION), "L\\P", "{whose}");
                let in_words = dicom.basic_text().unwrap();
                let on_the_left = b", on the left";
                assert!(in_words.windows(on_the_left.len()).any(|said| said == on_the_left));
            }
        }
    }
}

/// Whether what is outlined lies there, by the columns of its corners.
fn outlined_right_of(outlines: &[u8], middle: f64) -> bool {
    let outlines: serde_json::Value = serde_json::from_slice(outlines).unwrap();
    let features = outlines["features"].as_array().unwrap();
    let polygons = features.iter().flat_map(|it| it["geometry"]["coordinates"].as_array().unwrap());
    let rings = polygons.flat_map(|polygon| polygon.as_array().unwrap());
    let corners = rings.flat_map(|ring| ring.as_array().unwrap());
    let columns: Vec<f64> = corners.map(|corner| corner[0].as_f64().unwrap()).collect();
    columns.iter().sum::<f64>() / columns.len() as f64 > middle
}

/// Whether what a mask of one slice marks lies there, by its columns.
fn right_of_the_middle(png: &[u8]) -> bool {
    let mask = decode(png, &Limits::default()).unwrap().volume;
    let columns = mask.shape.columns;
    let marked: Vec<usize> =
        (0..mask.voxels.len()).filter(|index| mask.voxels[*index] > 0.0).collect();
    let mean =
        marked.iter().map(|index| (index % columns) as f64).sum::<f64>() / marked.len() as f64;
    mean > columns as f64 / 2.0
}
