use imaging::Known;

use super::*;

const SHAPE: Shape = Shape { slices: 2, rows: 3, columns: 4 };

fn geometry(known: Known) -> Geometry {
    Geometry {
        origin: [10.0, 20.0, 30.0],
        slice_step: [0.0, 0.0, 5.0],
        row_step: [0.0, 1.0, 0.0],
        column_step: [1.0, 0.0, 0.0],
        known,
    }
}

fn nifti(geometry: Option<Geometry>, marked: &[usize]) -> Outline {
    let mut voxels = vec![0; SHAPE.len()];
    marked.iter().for_each(|at| voxels[*at] = 1);
    Outline {
        format: "nifti".into(),
        shape: SHAPE,
        geometry,
        stored: Orientation::default(),
        marked: voxels.into(),
    }
}

fn placed(marked: &[usize]) -> Outline {
    nifti(Some(geometry(Known::Place)), marked)
}

/// The same voxels in the patient, of a file that stores its columns the other way.
fn mirrored(outline: &Outline) -> Outline {
    let stored = Orientation { flipped: [false, false, true], ..Orientation::default() };
    Outline { stored, ..outline.clone() }
}

fn dice_of(drawn: &Outline, own: &Outline) -> Result<f64, String> {
    drawn.check(own).unwrap().map(|checked| checked.dice)
}

#[test]
fn the_dice_of_two_masks_is_twice_what_both_mark_over_what_each_marks() {
    // Counted by hand; two empty masks agree.
    for (drawn, own, expected) in [
        (&[0, 1, 2][..], &[1, 2, 3][..], 4.0 / 6.0),
        (&[5][..], &[5][..], 1.0),
        (&[5][..], &[6][..], 0.0),
        (&[][..], &[6][..], 0.0),
        (&[][..], &[][..], 1.0),
    ] {
        assert_eq!(dice_of(&placed(drawn), &placed(own)), Ok(expected), "{drawn:?} {own:?}");
    }
}

#[test]
fn slices_are_counted_by_who_marks_anything_in_them_however_files_store_them() {
    let slices = |drawn: &Outline, own: &Outline| {
        let checked = drawn.check(own).unwrap().map(|checked| checked.slices).unwrap();
        [checked.both, checked.model_only, checked.reader_only, checked.neither]
    };
    // A slice has twelve voxels, so that voxel 12 is the first of the second slice.
    for (drawn, own, counts) in [
        (&[0, 1][..], &[5, 13][..], [1, 1, 0, 0]),
        (&[12][..], &[13][..], [1, 0, 0, 1]),
        (&[12][..], &[0][..], [0, 1, 1, 0]),
        (&[][..], &[][..], [0, 0, 0, 2]),
    ] {
        assert_eq!(slices(&placed(drawn), &placed(own)), counts, "{drawn:?} {own:?}");
        assert_eq!(slices(&mirrored(&placed(drawn)), &placed(own)), counts, "{drawn:?} {own:?}");
    }
    let stored = Orientation { flipped: [true, false, false], ..Orientation::default() };
    let own = Outline { stored, ..placed(&[0]) };
    // What does not say where it lies is taken as it is stored: its last slice is the first of the pictures.
    assert_eq!(slices(&nifti(None, &[12]), &own), [1, 0, 0, 1]);
}

#[test]
fn a_mask_on_another_grid_is_told_so() {
    let own = placed(&[0]);
    let smaller =
        Outline { shape: Shape { columns: 3, ..SHAPE }, marked: vec![0; 18].into(), ..placed(&[]) };
    assert!(dice_of(&smaller, &own).unwrap_err().contains("4 x 3 pixels"));
    for (moved_mm, fits) in [(0.1, true), (-0.2, true), (1.0, false), (0.5, false)] {
        let mut moved = geometry(Known::Place);
        moved.origin[1] += moved_mm;
        let moved = nifti(Some(moved), &[0]);
        assert_eq!(dice_of(&moved, &own).is_ok(), fits, "{moved_mm} mm");
    }
    let mut stretched = geometry(Known::Place);
    stretched.slice_step[2] = 6.0;
    assert!(dice_of(&nifti(Some(stretched), &[0]), &own).unwrap_err().contains("elsewhere"));
}

#[test]
fn a_mask_that_does_not_say_where_it_lies_is_taken_as_it_is_stored() {
    let own = mirrored(&placed(&[0]));
    for geometry in [None, Some(geometry(Known::Distances))] {
        // The voxel at one end of a row is at the other in the file.
        assert_eq!(dice_of(&nifti(geometry, &[3]), &own), Ok(1.0));
        assert_eq!(dice_of(&nifti(geometry, &[0]), &own), Ok(0.0));
    }
}

#[test]
fn a_mask_in_another_storage_order_marks_the_same_voxels_and_is_kept_in_the_scans_own() {
    let (plain, other) = (placed(&[0, 5]), mirrored(&placed(&[0, 5])));
    for (drawn, own) in [(&plain, &other), (&other, &plain), (&plain, &plain)] {
        assert_eq!(dice_of(drawn, own), Ok(1.0));
        let file = drawn.check(own).unwrap().map(|checked| checked.file).unwrap();
        let (shape, geometry) = own.own_grid();
        assert_eq!(file, nifti_gz(&own.as_stored(), shape, geometry.as_ref()).unwrap());
    }
}

#[test]
fn a_picture_is_kept_as_a_picture_with_white_in_what_is_marked() {
    let shape = Shape { slices: 1, rows: 2, columns: 2 };
    let picture = |marked: [u8; 4]| Outline {
        format: "png".into(),
        shape,
        geometry: None,
        stored: Orientation::default(),
        marked: marked.to_vec().into(),
    };
    let checked = picture([0, 1, 1, 0]).check(&picture([0, 1, 0, 0])).unwrap();
    let checked = checked.map(|checked| (checked.file, checked.dice, checked.is_empty));
    let file = grey_png(&[0, 255, 255, 0], 2, 2).unwrap();
    assert_eq!(checked, Ok((file, 2.0 / 3.0, false)));
    let nothing = picture([0; 4]).check(&picture([0, 1, 0, 0])).unwrap();
    assert_eq!(nothing.map(|checked| (checked.dice, checked.is_empty)), Ok((0.0, true)));
}

#[test]
fn a_grid_that_no_mask_lies_on_is_not_believed() {
    let facts = |shape, axes| OutlineFacts {
        format: "nifti".into(),
        shape,
        geometry: None,
        stored: Orientation { axes, flipped: [true, false, true] },
    };
    assert_eq!(voxels_of(&facts(SHAPE, [2, 0, 1])), Some(24));
    let large = 1 << 20;
    for (shape, axes) in [
        (SHAPE, [0, 0, 1]),
        (SHAPE, [0, 1, 3]),
        (Shape { rows: 0, ..SHAPE }, [0, 1, 2]),
        (Shape { rows: usize::MAX, ..SHAPE }, [0, 1, 2]),
        (Shape { rows: large, columns: large, ..SHAPE }, [0, 1, 2]),
    ] {
        assert_eq!(voxels_of(&facts(shape, axes)), None, "{shape:?} {axes:?}");
    }
}
