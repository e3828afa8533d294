//! What is written of a result: the mask in the grid of the scan's own file, pictures, and the facts beside them.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::io::Read;

use flate2::read::GzDecoder;
use imaging::phantom::{Phantom, Settings};
use imaging::{
    ClassifiedKind, Criteria, Findings, Geometry, ImageFacts, Known, Role, Shape, Totals, Unit,
    Volume, lettered_png, mask_nifti, overlay_png, shown_slice,
};

const CRITERIA: Criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };

fn head(shape: Shape, spacing: [f64; 3]) -> Volume {
    let settings = Settings { shape, spacing, tumour: false, ..Settings::slice(3) };
    Phantom::new(&settings).unwrap().volume
}

/// A NIfTI-1 file as nifti1.h describes it, read by nobody's decoder: its three sizes, its sform and its voxels.
struct Nifti {
    sizes: [usize; 3],
    sform: [[f32; 4]; 3],
    voxels: Vec<u8>,
}

impl Nifti {
    fn unpacked(file: &[u8]) -> Nifti {
        let mut bytes = Vec::new();
        GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
        let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let float = |at: usize| f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((short(40), short(70), short(254)), (3, 2, 1), "three sizes, bytes, an sform");
        Nifti {
            sizes: [42, 44, 46].map(|at| short(at) as usize),
            sform: [280, 296, 312].map(|row| [0, 4, 8, 12].map(|at| float(row + at))),
            voxels: bytes[float(108) as usize..].to_vec(),
        }
    }

    /// Where the one voxel with that label lies in the patient, in DICOM's LPS.
    fn place(&self, label: u8) -> [f64; 3] {
        let found: Vec<usize> =
            (0..self.voxels.len()).filter(|at| self.voxels[*at] == label).collect();
        let [at] = found[..] else { panic!("{} voxels of {label}", found.len()) };
        let [x, y, _] = self.sizes;
        let index = [at % x, at / x % y, at / x / y].map(|part| part as f32);
        let ras = self.sform.map(|[a, b, c, d]| a * index[0] + b * index[1] + c * index[2] + d);
        [-ras[0], -ras[1], ras[2]].map(f64::from)
    }
}

#[test]
fn the_mask_lies_in_the_patient_where_it_was_found_whichever_way_the_file_is_stored() {
    let shape = Shape { slices: 7, rows: 66, columns: 70 };
    let scan = head(shape, [14.0, 2.5, 3.0]);
    // One voxel of each label, on no axis of symmetry.
    let (main, lesser) = ([1, 5, 60], [6, 50, 11]);
    for storage in ["LPS", "RAS", "LAS", "RPI", "LIA", "PSR", "SPL", "ARI", "IRA"] {
        let file = scan.stored_as(storage).unwrap();
        let (own_shape, shown) = (file.shape, file.radiological());
        assert_eq!(shown.shape, shape, "{storage}");
        let mut mask = vec![0; shape.len()];
        for ([slice, row, column], role) in [(main, Role::Main), (lesser, Role::Lesser)] {
            mask[(slice * shape.rows + row) * shape.columns + column] = role.label();
        }
        let written = mask_nifti(&shown, &Findings { mask, findings: Vec::new() }).unwrap();
        let written = Nifti::unpacked(&written);
        let Shape { slices, rows, columns } = own_shape;
        assert_eq!(written.sizes, [columns, rows, slices], "{storage}: the file's own grid");
        for (index, label) in [(main, 1), (lesser, 2)] {
            let [slice, row, column] = index.map(|part| part as f64);
            let found = shown.geometry.unwrap().position(slice, row, column);
            let place = written.place(label);
            let apart = place.into_iter().zip(found).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f64::max) < 1e-3, "{storage}: {place:?} for {found:?}");
        }
    }
}

fn colours(png: &[u8]) -> Vec<[u8; 3]> {
    image::load_from_memory(png).unwrap().into_rgb8().into_raw().as_chunks::<3>().0.to_vec()
}

#[test]
fn lines_around_a_finding_at_the_edge_do_not_come_in_again_on_the_other_side() {
    let shape = Shape { slices: 1, rows: 64, columns: 64 };
    let volume = head(shape, [5.0, 3.75, 3.75]);
    let plain = colours(&lettered_png(&volume, 0).unwrap());
    // The finding's first and last rows and columns, and how far its outline and its box may reach.
    for (rows, columns, reach) in [
        (10..14, 0..3, [4..20, 0..9]),
        (10..14, 61..64, [4..20, 55..64]),
        (0..3, 40..44, [0..9, 34..50]),
        (62..64, 62..64, [56..64, 56..64]),
    ] {
        let inside = |at: usize| rows.contains(&(at / 64)) && columns.contains(&(at % 64));
        let probabilities: Vec<f32> = (0..shape.len()).map(|at| f32::from(inside(at))).collect();
        let geometry = volume.geometry.as_ref();
        let found = Findings::new(&probabilities, shape, geometry, CRITERIA).unwrap();
        let overlay = colours(&overlay_png(&volume, &found, 0).unwrap());
        let painted: Vec<usize> =
            (0..shape.len()).filter(|at| overlay[*at] != plain[*at]).collect();
        assert!(painted.len() > 10, "{rows:?} {columns:?}: nothing is drawn");
        let [near_rows, near_columns] = reach;
        for at in painted {
            let near = near_rows.contains(&(at / 64)) && near_columns.contains(&(at % 64));
            assert!(near, "{rows:?} {columns:?}: row {}, column {}", at / 64, at % 64);
        }
    }
}

#[test]
fn of_slices_with_as_much_tumour_the_first_is_shown_and_of_none_the_middle_one() {
    let shape = Shape { slices: 5, rows: 1, columns: 3 };
    let found = |probabilities: [[f32; 3]; 5]| {
        Findings::new(&probabilities.concat(), shape, None, CRITERIA).unwrap()
    };
    let (none, one, two) = ([0.0; 3], [0.9, 0.0, 0.0], [0.9, 0.9, 0.0]);
    assert_eq!(shown_slice(shape, &found([none; 5])), 2);
    assert_eq!(shown_slice(shape, &found([one, two, one, two, none])), 1);
    // However much of a lesser finding another slice shows.
    let mut beside = found([none, none, none, one, none]);
    beside.mask[..3].fill(Role::Lesser.label());
    assert_eq!(shown_slice(shape, &beside), 3);
}

#[test]
fn areas_are_summed_up_in_a_single_slice_only_and_volumes_where_the_thickness_is_known() {
    let geometry = |thickness: f64| Geometry {
        origin: [0.0; 3],
        slice_step: [0.0, 0.0, thickness],
        row_step: [0.0, 0.5, 0.0],
        column_step: [2.0, 0.0, 0.0],
        known: Known::Place,
    };
    let totals = |slices: usize, geometry: Option<Geometry>| {
        let shape = Shape { slices, rows: 1, columns: 8 };
        // Two findings, of three and of one pixel, in each slice.
        let row = [0.9, 0.9, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0];
        let found = Findings::new(&row.repeat(slices), shape, geometry.as_ref(), CRITERIA).unwrap();
        Totals::new(&found.findings, shape)
    };
    // Pixels of 0.5 x 2 mm have 1 mm2.
    let one = totals(1, Some(geometry(5.0)));
    assert_eq!((one.findings, one.voxels, one.mask_fraction), (2, 4, 0.5));
    assert_eq!(one.area_mm2, Some(4.0));
    assert!((one.volume_ml.unwrap() - 0.02).abs() < 1e-12);
    let flat = totals(1, Some(geometry(0.0)));
    assert_eq!((flat.area_mm2, flat.volume_ml), (Some(4.0), None));
    let several = totals(3, Some(geometry(5.0)));
    assert_eq!((several.voxels, several.area_mm2), (12, None));
    assert!((several.volume_ml.unwrap() - 0.06).abs() < 1e-12);
    let nowhere = totals(3, None);
    assert_eq!((nowhere.voxels, nowhere.area_mm2, nowhere.volume_ml), (12, None, None));
}

#[test]
fn facts_are_of_the_shown_grid_and_lead_back_to_the_files_own() {
    let scan = head(Shape { slices: 7, rows: 66, columns: 70 }, [14.0, 2.5, 3.0]);
    // Columns to the head, rows to the back, slices to the left: what is shown is none of them.
    let shown = scan.stored_as("SPL").unwrap().radiological();
    let facts = ImageFacts::new(&shown, ClassifiedKind::default(), 3);
    assert_eq!((facts.shape, facts.unit), (scan.shape, Unit::Millimetre));
    let [slice_mm, row_mm, column_mm] = facts.spacing_mm.unwrap().map(Option::unwrap);
    assert!((slice_mm - 14.0).abs() + (row_mm - 2.5).abs() + (column_mm - 3.0).abs() < 1e-9);
    let own = facts.own_grid.unwrap();
    assert_eq!(own.shape, Shape { slices: 70, rows: 66, columns: 7 });
    assert_eq!(own.orientation.axes, [2, 1, 0]);
    let view = facts.view.unwrap();
    assert_eq!([view.left, view.right, view.top, view.bottom], ['R', 'L', 'A', 'P']);

    let shape = Shape { slices: 1, ..scan.shape };
    let voxels = scan.slice(0).to_vec();
    let geometry = scan.geometry.map(|geometry| Geometry { slice_step: [0.0; 3], ..geometry });
    let flat = Volume { shape, voxels, geometry, ..scan };
    let spacing = ImageFacts::new(&flat, ClassifiedKind::default(), 0).spacing_mm;
    assert_eq!(spacing, Some([None, Some(2.5), Some(3.0)]), "a thickness that nobody knows");
    let unsized_facts =
        ImageFacts::new(&Volume { geometry: None, ..flat }, ClassifiedKind::default(), 0);
    assert_eq!((unsized_facts.spacing_mm, unsized_facts.unit), (None, Unit::Pixel));
    assert!(unsized_facts.view.is_none());
}
