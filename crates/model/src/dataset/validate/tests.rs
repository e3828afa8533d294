use std::fs;

use imaging::phantom::{Phantom, Settings};
use imaging::slice_png;
use tempfile::TempDir;

use super::*;

/// Two patients with a slice each, whose manifest has these further columns.
struct Data {
    folder: TempDir,
}

impl Data {
    fn new(manifest: &str) -> Data {
        let folder = tempfile::tempdir().unwrap();
        for seed in 0..2 {
            let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(seed)).unwrap();
            let voxels = truth.into_iter().map(f32::from).collect();
            let mask = Volume { voxels, window: [0.0, 1.0], ..volume.clone() };
            for (name, of) in [("", &volume), ("_mask", &mask)] {
                let path = folder.path().join(format!("{seed}{name}.png"));
                fs::write(path, slice_png(of, 0).unwrap()).unwrap();
            }
        }
        fs::write(folder.path().join("manifest.csv"), manifest).unwrap();
        Data { folder }
    }

    fn faults(&self) -> Vec<String> {
        validate(self.folder.path()).unwrap().faults
    }

    /// That one thing is wrong, and that all of these words tell of it.
    #[track_caller]
    fn assert_fault(&self, words: &[&str]) {
        let faults = self.faults();
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(words.iter().all(|word| fault.contains(word)), "{fault}");
    }
}

const SOUND: &str = "patient,slice,image,mask\np,1,0.png,0_mask.png\nq,1,1.png,1_mask.png\n";

#[test]
fn a_sound_data_set_has_no_fault() {
    let validated = validate(Data::new(SOUND).folder.path()).unwrap();
    assert_eq!((validated.patients, validated.slices, validated.faults.len()), (2, 2, 0));
    assert_eq!(validated.without_tumour, 0);
}

#[test]
fn patients_in_whom_nothing_is_marked_are_counted() {
    let data = Data::new(
        "patient,slice,image,mask\np,1,0.png,0_mask.png\nq,1,1.png,none.png\nr,1,half.png,none.png\n",
    );
    let none = imaging::encode::grey_png(&[0; 256 * 256], 256, 256).unwrap();
    fs::write(data.folder.path().join("none.png"), none).unwrap();
    fs::write(data.folder.path().join("half.png"), "half a file").unwrap();
    let validated = validate(data.folder.path()).unwrap();
    assert_eq!((validated.patients, validated.without_tumour), (3, 1));
}

#[test]
fn each_file_that_is_missing_unreadable_or_no_mask_is_named_with_its_line() {
    let data = Data::new(
        "patient,slice,image,mask\np,1,gone.png,0_mask.png\nq,1,1.png,1.png\nr,one,0.png,0_mask.png\ns,1,half.png,0_mask.png\n",
    );
    let png = fs::read(data.folder.path().join("0.png")).unwrap();
    fs::write(data.folder.path().join("half.png"), &png[..png.len() / 2]).unwrap();
    let faults = data.faults();
    let words = [
        ["line 2, column image: no file", "gone.png"],
        ["line 3: ", "1.png is no mask, but an image"],
        ["line 4, column slice: ", "not a whole number"],
        ["line 5: cannot decode", "half.png"],
    ];
    assert_eq!(faults.len(), words.len(), "{faults:?}");
    for (fault, words) in faults.iter().zip(words) {
        assert!(words.iter().all(|word| fault.contains(word)), "{fault}");
    }
}

#[test]
fn a_mask_of_another_size_is_named_with_its_line() {
    let data = Data::new(SOUND);
    let mask = image::GrayImage::from_pixel(64, 64, image::Luma([0]));
    mask.save(data.folder.path().join("1_mask.png")).unwrap();
    data.assert_fault(&["manifest.csv line 3: ", "1_mask.png is not as large as its image"]);
}

#[test]
fn a_file_that_was_changed_has_not_its_digest_any_more() {
    let data = Data::new(SOUND);
    let digest = |name: &str| digest::digest(&data.folder.path().join(name)).unwrap();
    let lines = format!(
        "patient,slice,image,mask,image_sha256,mask_sha256\np,1,0.png,0_mask.png,{},{}\nq,1,1.png,1_mask.png,{},\n",
        digest("0.png"),
        digest("0_mask.png"),
        digest("1.png"),
    );
    fs::write(data.folder.path().join("manifest.csv"), lines).unwrap();
    assert_eq!(data.faults(), [""; 0]);
    fs::copy(data.folder.path().join("1_mask.png"), data.folder.path().join("0_mask.png")).unwrap();
    data.assert_fault(&["line 2, column mask_sha256", "0_mask.png has the digest"]);
}

#[test]
fn a_patient_in_two_parts_and_one_in_none_are_faults() {
    let lines =
        "patient,slice,image,mask,part\np,1,0.png,0_mask.png,training\np,2,1.png,1_mask.png,test\n";
    Data::new(lines).assert_fault(&["line 3", "patient p is in two parts"]);
    let lines =
        "patient,slice,image,mask,part\np,1,0.png,0_mask.png,training\nq,1,1.png,1_mask.png,\n";
    Data::new(lines).assert_fault(&["patient q is in no part"]);
}

#[test]
fn the_same_pixels_under_two_patients_are_a_fault_whatever_their_files_are() {
    let data = Data::new(SOUND);
    let picture = image::open(data.folder.path().join("0.png")).unwrap();
    picture.save(data.folder.path().join("1.png")).unwrap();
    data.assert_fault(&["line 3", "patient q has the same pixels as patient p", "line 2"]);
    // Slices of air are alike in everybody.
    for name in ["0.png", "1.png", "0_mask.png", "1_mask.png"] {
        let air = image::GrayImage::from_pixel(64, 64, image::Luma([0]));
        air.save(data.folder.path().join(name)).unwrap();
    }
    assert_eq!(data.faults(), [""; 0]);
}

#[test]
fn slices_of_a_volume_that_do_not_belong_together_are_a_fault_of_the_patient() {
    let lines = "patient,slice,image,mask\np,1,0.png,0_mask.png\np,2,small.png,small_mask.png\n";
    let data = Data::new(lines);
    let textured = |x: u32, y: u32| image::Luma([10 + ((x * 7 + y * 13) % 41) as u8]);
    let small = |name: &str| data.folder.path().join(name);
    image::GrayImage::from_fn(64, 64, textured).save(small("small.png")).unwrap();
    image::GrayImage::from_pixel(64, 64, image::Luma([0])).save(small("small_mask.png")).unwrap();
    data.assert_fault(&["patient p: ", "small.png is not as large as the slices before"]);
}
