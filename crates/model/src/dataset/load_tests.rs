use imaging::encode::nifti;
use imaging::phantom::{Phantom, Settings};
use tempfile::TempDir;

use super::*;

const SIDE: u32 = 48;

/// A picture of that name whose pixels have these values by column and row.
fn png(folder: &TempDir, name: &str, value: impl Fn(u32, u32) -> u8) -> PathBuf {
    let path = folder.path().join(name);
    image::GrayImage::from_fn(SIDE, SIDE, |x, y| image::Luma([value(x, y)])).save(&path).unwrap();
    path
}

fn textured(x: u32, y: u32) -> u8 {
    10 + ((x * 7 + y * 13) % 41) as u8
}

fn entry(image: PathBuf, mask: PathBuf) -> Entry {
    Entry { slice: 1, image, mask }
}

#[test]
fn every_label_but_nought_is_tumour_and_each_pixel_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    // Three bands of the labels that BraTS has, high up at the left.
    let label = |x: u32, y: u32| match (x, y) {
        (2..26, 3..9) => [1, 2, 4][(x as usize - 2) / 8],
        _ => 0,
    };
    let image = png(&folder, "image.png", textured);
    let mask = png(&folder, "mask.png", label);
    let Labelled { volume, truth } = Labelled::load(&[entry(image, mask)]).unwrap();
    for (at, inside) in (0..).zip(&truth) {
        let (x, y) = (at % SIDE, at / SIDE);
        assert_eq!(*inside, u8::from((2..26).contains(&x) && (3..9).contains(&y)), "{x}, {y}");
        assert_eq!(volume.voxels[at as usize], f32::from(textured(x, y)), "{x}, {y}");
    }
    assert_eq!(truth.len(), (SIDE * SIDE) as usize);
}

#[test]
fn a_slice_that_is_shown_alone_is_that_slice_with_its_own_truth() {
    let folder = tempfile::tempdir().unwrap();
    let slice = |number: u32| {
        let image = png(&folder, &format!("{number}.png"), |x, y| textured(x, y) + number as u8);
        // The mask moves down from slice to slice.
        let rows = 10 * number..10 * number + 8;
        let inside = |x: u32, y: u32| 255 * u8::from(x < 8 && rows.contains(&y));
        entry(image, png(&folder, &format!("{number}_mask.png"), inside))
    };
    let scan = [slice(0), slice(1), slice(2)];
    let whole = Labelled::load(&scan).unwrap();
    for (index, entry) in scan.iter().enumerate() {
        let (alone, own) =
            (whole.alone(index), Labelled::load(std::slice::from_ref(entry)).unwrap());
        assert_eq!(alone.volume.shape, own.volume.shape);
        assert!(alone.volume.voxels == own.volume.voxels, "slice {index}");
        assert!(alone.truth == own.truth && own.truth.contains(&1), "slice {index}");
    }
}

#[test]
fn what_is_no_slice_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (good, gone) = (png(&folder, "good.png", textured), folder.path().join("gone.png"));
    let garbage = folder.path().join("garbage.png");
    fs::write(&garbage, b"no picture").unwrap();
    let shape = Shape { slices: 3, rows: 64, columns: 64 };
    let settings =
        Settings { shape, spacing: [5.0, 3.75, 3.75], tumour: false, ..Settings::slice(1) };
    let volume = Phantom::new(&settings).unwrap().volume;
    let several = folder.path().join("several.nii");
    let bytes = nifti(&volume.voxels, volume.shape, volume.geometry.as_ref()).unwrap();
    fs::write(&several, bytes).unwrap();
    for (image, mask, kind, words) in [
        (&gone, &good, ErrorKind::NotFound, "gone.png"),
        (&good, &gone, ErrorKind::NotFound, "gone.png"),
        (&garbage, &good, ErrorKind::Invalid, "garbage.png"),
        (&several, &good, ErrorKind::Invalid, "several.nii holds 3 slices in place of one"),
    ] {
        let refused = Labelled::load(&[entry(image.clone(), mask.clone())]).err().unwrap();
        assert_eq!(refused.kind(), kind, "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert_eq!(Labelled::load(&[]).err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn a_barcode_names_its_site_and_nothing_else_does() {
    for (id, site) in [
        ("TCGA-DU-7013", Some("DU")),
        ("TCGA_HT_A616_19991226", Some("HT")),
        ("TCGA-DU", Some("DU")),
        ("TCGA-DUX-1", None),
        ("TCGA", None),
        ("TCGA-", None),
        ("TCGAä-DU", None),
        ("tcga-DU-7013", None),
        ("p1", None),
    ] {
        assert_eq!(barcode_site(id), site, "{id}");
    }
}
