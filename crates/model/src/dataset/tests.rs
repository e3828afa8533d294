use imaging::encode::nifti;
use imaging::phantom::{Phantom, Settings};
use imaging::{Geometry, slice_png};

use super::*;

/// A folder with two files and a manifest of these lines.
fn folder(lines: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    fs::write(folder.path().join("manifest.csv"), lines).unwrap();
    folder
}

#[test]
fn slices_are_sorted_by_number() {
    let folder = folder(
        "mask,extra,image,slice,patient\nb.png,x,a.png,10,p\nb.png,x,a.png,9,p\n\nb.png,,a.png,1,o\n",
    );
    let patients = read(&folder.path().join("manifest.csv")).unwrap();
    let seen: Vec<(&str, Vec<u32>)> = patients
        .iter()
        .map(|p| (p.id.as_str(), p.slices.iter().map(|s| s.slice).collect()))
        .collect();
    assert_eq!(seen, [("o", vec![1]), ("p", vec![9, 10])]);
    assert_eq!(patients[0].slices[0].image, folder.path().join("a.png"));
}

#[test]
fn slices_numbered_without_a_gap_are_one_volume_and_others_come_alone() {
    let scans = |numbers: &str| {
        let line = |number: &str| format!("p,{number},a.png,b.png\n");
        let lines: String = numbers.split(' ').map(line).collect();
        let folder = folder(&format!("patient,slice,image,mask\n{lines}"));
        let patients = read(&folder.path().join("manifest.csv")).unwrap();
        patients[0].scans().iter().map(|scan| scan.len()).collect::<Vec<_>>()
    };
    assert_eq!(scans("2 1 3"), [3]);
    assert_eq!((scans("2 3"), scans("1 3"), scans("1 1")), (vec![1, 1], vec![1, 1], vec![1, 1]));
}

#[test]
fn a_volumes_slices_and_masks_are_as_large_as_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let png = |name: &str, side: u32, texture: u32, value: u8| {
        let path = folder.path().join(name);
        let pixel = |x, y| image::Luma([value + ((x * 7 + y * 13) % texture) as u8]);
        image::GrayImage::from_fn(side, side, pixel).save(&path).unwrap();
        path
    };
    let (a, b) = (png("a.png", 32, 41, 10), png("b.png", 32, 41, 200));
    let (large, mask) = (png("large.png", 48, 41, 10), png("mask.png", 32, 1, 255));
    let large_mask = png("large-mask.png", 48, 1, 255);
    let entry =
        |image: &Path, mask: &Path| Entry { slice: 1, image: image.into(), mask: mask.into() };
    let Labelled { volume, truth } = Labelled::load(&[entry(&a, &mask), entry(&b, &mask)]).unwrap();
    assert_eq!((volume.shape.slices, volume.voxels[0], volume.voxels[32 * 32]), (2, 10.0, 200.0));
    assert_eq!((truth.len(), truth.iter().all(|inside| *inside == 1)), (2 * 32 * 32, true));
    let refused = |scan: &[Entry]| Labelled::load(scan).err().unwrap().to_string();
    assert!(refused(&[entry(&a, &large)]).contains("large.png is not as large as its image"));
    let why = refused(&[entry(&a, &mask), entry(&large, &large_mask)]);
    assert!(why.contains("large.png is not as large as the slices before"), "{why}");
}

#[test]
fn a_mask_lies_on_its_image_whatever_order_both_are_stored_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: Vec<u8>| {
        fs::write(folder.path().join(name), bytes).unwrap();
        folder.path().join(name)
    };
    let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(4)).unwrap();
    let voxels = truth.iter().map(|inside| f32::from(*inside)).collect();
    let mask = Volume { voxels, window: [0.0, 1.0], ..volume.clone() };
    for storage in ["LPS", "RAS", "PLS", "LIA"] {
        let nifti = |volume: &Volume| {
            let stored = volume.stored_as(storage).unwrap();
            nifti(&stored.voxels, stored.shape, stored.geometry.as_ref()).unwrap()
        };
        let (image, own) = (file("image.nii", nifti(&volume)), file("mask.nii", nifti(&mask)));
        let picture = slice_png(&mask.stored_as(storage).unwrap(), 0);
        let mut masks = vec![own];
        if storage != "LIA" {
            // A picture has no third axis to tell which way it was cut.
            masks.push(file("mask.png", picture.unwrap()));
        }
        for mask in masks {
            let entry = Entry { slice: 1, image: image.clone(), mask };
            let labelled = Labelled::load(&[entry]).unwrap();
            assert_eq!(labelled.truth, truth, "{storage}");
        }
    }
}

#[test]
fn a_mask_that_knows_its_distances_only_is_turned_with_its_image() {
    let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(4)).unwrap();
    let voxels = truth.iter().map(|inside| f32::from(*inside)).collect();
    let mask = Volume { voxels, ..volume.clone() };
    for storage in ["LPS", "RAS", "PLS", "LIA"] {
        let image = volume.stored_as(storage).unwrap().radiological();
        let drawn = mask.stored_as(storage).unwrap();
        let spacing = drawn.geometry.as_ref().unwrap().spacing();
        let drawn = Volume { geometry: Some(Geometry::of_distances(spacing)), ..drawn };
        let shown = beside(&image, drawn);
        let is_inside = shown.voxels.iter().map(|value| u8::from(*value > 0.5));
        assert!(is_inside.eq(truth.iter().copied()), "{storage}");
        let [own, other] = [&image, &shown].map(|it| it.geometry.as_ref().unwrap().spacing());
        assert_eq!((shown.shape, other), (image.shape, own), "{storage}");
    }
}

#[test]
fn the_kind_of_image_stands_in_the_folders_name() {
    let named = ["lgg-flair", "figshare-t1ce", "T1Gd 2024", "reflairs"].map(kind_of_folder);
    let t1 = ImageKind::T1Contrast;
    assert_eq!(named, [ImageKind::Flair, t1, t1, ImageKind::Unknown]);
}

#[test]
fn a_softened_mask_counts_from_half_and_an_image_is_no_mask() {
    let folder = tempfile::tempdir().unwrap();
    let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(3)).unwrap();
    let write = |name: &str, voxels: &[f32]| {
        let file = folder.path().join(name);
        let bytes = nifti(voxels, volume.shape, volume.geometry.as_ref()).unwrap();
        fs::write(&file, bytes).unwrap();
        file
    };
    let exact: Vec<f32> = truth.iter().map(|inside| f32::from(*inside)).collect();
    let columns = volume.shape.columns;
    // As resampling leaves it: each row's rim is a ramp of values.
    let soft = |at: usize| {
        let around = exact[at.saturating_sub(1)..(at + 2).min(exact.len())].iter();
        around.sum::<f32>() / 3.0 * (1.0 - (at % columns) as f32 * 1e-5)
    };
    let soft: Vec<f32> = (0..exact.len()).map(soft).collect();
    let image = write("image.nii", &volume.voxels);
    let labelled = |image: &Path, mask: PathBuf| {
        Labelled::load(&[Entry { slice: 1, image: image.to_owned(), mask }])
    };
    for mask in [&exact, &soft] {
        assert_eq!(labelled(&image, write("mask.nii", mask)).unwrap().truth, truth);
    }
    let why = labelled(&image, image.clone()).err().unwrap().to_string();
    assert!(why.contains("image.nii is no mask, but an image"), "{why}");
    let mask = write("mask.nii", &exact);
    let why = labelled(&mask, mask.clone()).err().unwrap().to_string();
    assert!(why.contains("mask.nii is no image, but a mask"), "{why}");
}
