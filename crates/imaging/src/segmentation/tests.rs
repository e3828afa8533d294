use super::*;
use crate::Known;

const SHAPE: Shape = Shape { slices: 2, rows: 3, columns: 4 };

/// A stack whose slices are shifted against one another, as a tilted gantry's.
fn grid() -> Geometry {
    Geometry {
        origin: [10.0, 20.0, 30.0],
        slice_step: [0.0, 0.5, 5.0],
        row_step: [0.0, 1.0, 0.0],
        column_step: [2.0, 0.0, 0.0],
        known: Known::Place,
    }
}

/// A plane whose first pixel is at that voxel, with steps along these axes of the grid, against them where a sign says so.
fn plane(first: [f64; 3], rows: (usize, f64), columns: (usize, f64)) -> Geometry {
    let [slice, row, column] = first;
    let along = |(axis, sign): (usize, f64)| grid().steps()[axis].map(|part| sign * part);
    Geometry {
        origin: grid().position(slice, row, column),
        slice_step: [0.0; 3],
        row_step: along(rows),
        column_step: along(columns),
        known: Known::Place,
    }
}

fn slice(number: f64) -> Geometry {
    plane([number, 0.0, 0.0], (1, 1.0), (2, 1.0))
}

fn facts(planes: Vec<Geometry>, rows: usize, columns: usize) -> SegmentationFacts {
    SegmentationFacts {
        frame_of_reference: Some("1.2.5".into()),
        series: vec!["1.2.4".into()],
        instances: vec!["1.2.4.1".into(), "1.2.4.2".into()],
        shape: Shape { slices: planes.len(), rows, columns },
        planes,
    }
}

fn laid(facts: &SegmentationFacts, marked: &[usize]) -> Result<Vec<usize>, String> {
    let mut pixels = vec![0; facts.shape.len()];
    marked.iter().for_each(|at| pixels[*at] = 1);
    let laid = facts.laid_on(&pixels, SHAPE, Some(&grid()))?;
    Ok((0..laid.len()).filter(|at| laid[*at] != 0).collect())
}

#[test]
fn planes_are_laid_on_the_slices_where_they_lie_in_any_order_and_the_others_are_empty() {
    let both = facts(vec![slice(1.0), slice(0.0)], 3, 4);
    assert_eq!(laid(&both, &[0, 12 + 5]), Ok(vec![5, 12]));
    let one = facts(vec![slice(1.0)], 3, 4);
    assert_eq!(laid(&one, &[0, 11]), Ok(vec![12, 23]));
    // Two that differ by what decimals leave are one slice.
    let mut rounded = slice(1.0);
    rounded.origin[0] += 0.01;
    assert_eq!(laid(&facts(vec![slice(1.0), rounded], 3, 4), &[0, 12 + 1]), Ok(vec![12, 13]));
}

#[test]
fn rows_and_columns_may_run_along_other_axes_of_the_grid_and_against_them() {
    // The last pixel of the first row, from the other end.
    let turned = facts(vec![plane([0.0, 2.0, 3.0], (1, -1.0), (2, -1.0))], 3, 4);
    assert_eq!(laid(&turned, &[0, 3]), Ok(vec![8, 11]));
    // Across columns, with rows along the slices.
    let across = facts(vec![plane([1.0, 0.0, 2.0], (0, -1.0), (1, 1.0))], 2, 3);
    assert_eq!(laid(&across, &[0, 4]), Ok(vec![6, 12 + 2]));
}

#[test]
fn what_does_not_lie_on_the_grid_is_told_so() {
    let why = |facts: &SegmentationFacts| laid(facts, &[]).unwrap_err();
    let outside = why(&facts(vec![slice(0.0), slice(2.0)], 3, 4));
    assert!(outside.contains("Plane 2 of 2 lies outside"), "{outside}");
    assert!(why(&facts(vec![slice(-1.0)], 3, 4)).contains("outside"));
    let size = why(&facts(vec![slice(0.0)], 3, 5));
    assert!(size.contains("5 x 3 pixels") && size.contains("4 x 3"), "{size}");
    let mut moved = slice(0.0);
    moved.origin[0] += 0.5;
    let mut stretched = slice(0.0);
    stretched.column_step[0] *= 1.2;
    let mut tilted = slice(0.0);
    tilted.row_step = [0.0, 0.9, 0.43];
    let between = slice(0.5);
    for plane in [moved, stretched, tilted, between] {
        assert!(why(&facts(vec![plane], 3, 4)).contains("elsewhere"), "{plane:?}");
    }
    let placed = facts(vec![slice(0.0)], 3, 4);
    let directions = Geometry { known: Known::Directions, ..grid() };
    for geometry in [None, Some(&directions)] {
        let why = placed.laid_on(&[0; 12], SHAPE, geometry).unwrap_err();
        assert!(why.contains("do not say where"), "{why}");
    }
}

#[test]
fn a_slice_of_unknown_thickness_is_laid_on_as_any_other() {
    let grid = Geometry { slice_step: [0.0; 3], ..grid() };
    let shape = Shape { slices: 1, ..SHAPE };
    let lies = |plane: Geometry| {
        let marked: Vec<u8> = (0..12).map(|at| u8::from(at == 7)).collect();
        facts(vec![plane], 3, 4).laid_on(&marked, shape, Some(&grid)).map(|laid| laid == marked)
    };
    assert_eq!(lies(slice(0.0)), Ok(true));
    assert!(lies(slice(1.0)).unwrap_err().contains("elsewhere"));
}

#[test]
fn it_is_of_the_scan_that_has_its_frame_of_reference_and_one_of_its_images() {
    let some = |uid: &str| Some(uid.to_owned());
    let scan = Identity {
        frame_of_reference_uid: some("1.2.5 "),
        series_instance_uid: some("1.2.4"),
        sop_instance_uids: vec!["1.2.4.1".into()],
        ..Identity::default()
    };
    let drawn = facts(Vec::new(), 3, 4);
    let (none, other) = (Vec::new(), vec!["9.9".to_owned()]);
    let frameless = SegmentationFacts { frame_of_reference: None, ..drawn.clone() };
    let by_series = SegmentationFacts { instances: none.clone(), ..drawn.clone() };
    let by_image = SegmentationFacts { series: none.clone(), ..drawn.clone() };
    let bare = SegmentationFacts { instances: none.clone(), ..by_image.clone() };
    for drawn in [&drawn, &frameless, &by_series, &by_image, &bare] {
        assert_eq!(drawn.check_source(&scan), Ok(()), "{drawn:?}");
    }
    let elsewhere = SegmentationFacts { frame_of_reference: some("9.9"), ..drawn.clone() };
    let foreign =
        SegmentationFacts { series: other.clone(), instances: other.clone(), ..drawn.clone() };
    let unnamed = SegmentationFacts { frame_of_reference: None, ..bare };
    let unplaced = Identity { frame_of_reference_uid: None, ..scan.clone() };
    for (drawn, scan, why) in [
        (&elsewhere, &scan, "another frame of reference"),
        (&foreign, &scan, "another series"),
        (&unnamed, &scan, "names neither"),
        (&drawn, &unplaced, "do not say where"),
        (&drawn, &Identity::default(), "do not say where"),
    ] {
        let said = drawn.check_source(scan).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}
