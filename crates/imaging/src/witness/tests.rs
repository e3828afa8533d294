use super::*;
use crate::encode::nifti_gz;
use crate::phantom::{Phantom, Settings};
use crate::{Criteria, Orientation, mask_nifti};

/// A head with a lesion on one side, in the order of that file, and what was found in it.
fn found(order: &str) -> (Volume, Findings) {
    let settings = Settings {
        shape: Shape { slices: 12, rows: 72, columns: 80 },
        spacing: [6.0, 3.0, 2.8],
        lesion_ml: Some(15.0),
        ..Settings::slice(2)
    };
    let Phantom { volume, truth, .. } = Phantom::new(&settings).unwrap();
    let shown = volume.stored_as(order).unwrap().radiological();
    let probabilities: Vec<f32> = truth.iter().map(|inside| f32::from(*inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let findings =
        Findings::new(&probabilities, shown.shape, shown.geometry.as_ref(), criteria).unwrap();
    (shown, findings)
}

fn refused(volume: &Volume, findings: &Findings, written: &[u8]) -> String {
    let error = Witness::of_file(volume, findings, written).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    error.to_string()
}

#[test]
fn each_marked_voxel_comes_back_through_the_file_in_every_order() {
    for order in ["LPS", "RAS", "LAI", "RPS", "LIA", "PSR", "ASL", "SRA"] {
        let (volume, findings) = found(order);
        let written = mask_nifti(&volume, &findings).unwrap();
        let witness = Witness::of_file(&volume, &findings, &written).unwrap().unwrap();
        let marked = findings.mask.iter().filter(|label| **label != 0).count();
        assert_eq!((witness.by, witness.round_trips), (WayBack::MaskFile, marked + 8), "{order}");
        // What single precision leaves.
        assert!(witness.largest_error_voxels < 1e-4, "{order}: {witness:?}");
        let witness = Witness::of_grid(&volume).unwrap().unwrap();
        assert_eq!((witness.by, witness.round_trips), (WayBack::OwnGrid, 8), "{order}");
    }
}

#[test]
fn a_mask_on_the_other_side_is_refused_whichever_of_voxels_and_affine_is_wrong() {
    let (volume, findings) = found("RAS");
    let (shape, geometry) = volume.own_grid();
    let mask = volume.stored.inverse().turned(&findings.mask, volume.shape);
    let mirror = Orientation { axes: [0, 1, 2], flipped: [false, false, true] };
    // The voxels are turned round and the affine is not, or the other way.
    let voxels = nifti_gz(&mirror.turned(&mask, shape), shape, geometry.as_ref()).unwrap();
    assert!(refused(&volume, &findings, &voxels).contains("nothing was found"));
    let turned = mirror.geometry(&geometry.unwrap(), shape);
    let affine = nifti_gz(&mask, shape, Some(&turned)).unwrap();
    assert!(refused(&volume, &findings, &affine).contains("no side can be told"));
    // Both: the file is another one, and says the same.
    let both = nifti_gz(&mirror.turned(&mask, shape), shape, Some(&turned)).unwrap();
    assert!(refused(&volume, &findings, &both).contains("astray"));
}

#[test]
fn a_mask_that_lacks_something_or_lies_nowhere_is_refused() {
    let (volume, findings) = found("LPS");
    let (shape, geometry) = volume.own_grid();
    let nothing = nifti_gz(&vec![0_u8; shape.len()], shape, geometry.as_ref()).unwrap();
    assert!(refused(&volume, &findings, &nothing).contains("lacks"));
    let nowhere = nifti_gz(&findings.mask, shape, None).unwrap();
    assert!(refused(&volume, &findings, &nowhere).contains("another grid"));
    assert!(refused(&volume, &findings, b"no gzip").contains("read back"));
}

#[test]
fn a_scan_that_does_not_say_where_it_lies_has_no_witness() {
    let (volume, findings) = found("LPS");
    let written = mask_nifti(&volume, &findings).unwrap();
    for known in [Known::Distances, Known::Directions] {
        let geometry = Some(Geometry { known, ..volume.geometry.unwrap() });
        let volume = Volume { geometry, ..volume.clone() };
        assert_eq!(Witness::of_file(&volume, &findings, &written).unwrap(), None);
        assert_eq!(Witness::of_grid(&volume).unwrap(), None);
    }
}

#[test]
fn a_single_slice_comes_back_within_itself() {
    let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(1)).unwrap();
    let flat = Geometry { slice_step: [0.0; 3], ..volume.geometry.unwrap() };
    let volume = Volume { geometry: Some(flat), ..volume }.radiological();
    let probabilities: Vec<f32> = truth.iter().map(|inside| f32::from(*inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let findings =
        Findings::new(&probabilities, volume.shape, volume.geometry.as_ref(), criteria).unwrap();
    let written = mask_nifti(&volume, &findings).unwrap();
    let witness = Witness::of_file(&volume, &findings, &written).unwrap().unwrap();
    assert!(witness.largest_error_voxels < 1e-4, "{witness:?}");
}
