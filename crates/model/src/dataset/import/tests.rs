use std::fs;

use imaging::encode::{Series, dicom, nifti_gz};
use imaging::phantom::{Phantom, Settings};
use imaging::{Shape, Volume, slice_png};
use tempfile::TempDir;

use super::*;
use crate::dataset::{Labelled, Patient, read, validate};

const SLICES: usize = 24;

/// A head of some slices with a tumour.
fn head(seed: u64) -> Phantom {
    let shape = Shape { slices: SLICES, rows: 64, columns: 64 };
    let spacing = [5.0, 3.75, 3.75];
    Phantom::new(&Settings { shape, spacing, ..Settings::slice(seed) }).unwrap()
}

fn write(source: &TempDir, name: &str, bytes: impl AsRef<[u8]>) {
    let path = source.path().join("source").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn nifti(volume: &Volume) -> Vec<u8> {
    nifti_gz(&volume.voxels, volume.shape, volume.geometry.as_ref()).unwrap()
}

fn mask(head: &Phantom) -> Volume {
    let voxels = head.truth.iter().map(|inside| f32::from(*inside)).collect();
    Volume { voxels, window: [0.0, 1.0], ..head.volume.clone() }
}

fn imported(source: &TempDir, sequence: Option<ImageKind>) -> Result<Imported> {
    let out = source.path().join("out");
    Import { source: source.path().join("source"), out, sequence }.run()
}

/// The patients of an import that is sound.
fn sound(imported: &Imported) -> Vec<Patient> {
    let validated = validate(&imported.manifest).unwrap();
    assert!(validated.faults.is_empty(), "{:?}", validated.faults);
    assert_eq!((validated.patients, validated.slices), (imported.patients, imported.slices));
    read(&imported.manifest).unwrap()
}

fn told(of: &[LeftOut]) -> Vec<(&str, &str)> {
    of.iter().map(|it| (it.name.as_str(), it.why.as_str())).collect()
}

/// That these slices are that head, voxel by voxel.
fn assert_is(patient: &Patient, head: &Phantom) {
    let [scan] = patient.scans().try_into().unwrap();
    let Labelled { volume, truth } = Labelled::load(scan).unwrap();
    assert_eq!(volume.shape, head.volume.shape);
    let off = volume.voxels.iter().zip(&head.volume.voxels).map(|(a, b)| (a - b).abs());
    assert!(off.fold(0.0, f32::max) <= 0.5, "DICOM's values are whole numbers");
    assert!(truth == head.truth && truth.contains(&1));
}

#[test]
fn brats_pairs_are_taken_by_sequence_whatever_way_they_are_stored() {
    let source = tempfile::tempdir().unwrap();
    let (new, old) = (head(1), head(2));
    let name = |what: &str| format!("BraTS-GLI-00005-100/BraTS-GLI-00005-100-{what}.nii.gz");
    for sequence in ["t2f", "t1c", "t1n"] {
        write(&source, &name(sequence), nifti(&new.volume.stored_as("RAS").unwrap()));
    }
    write(&source, &name("seg"), nifti(&mask(&new).stored_as("RAS").unwrap()));
    write(&source, "BraTS19_A_1/BraTS19_A_1_flair.nii.gz", nifti(&old.volume));
    write(&source, "BraTS19_A_1/BraTS19_A_1_seg.nii.gz", nifti(&mask(&old)));
    let imported = imported(&source, Some(ImageKind::Flair)).unwrap();
    let patients = sound(&imported);
    let ids: Vec<&str> = patients.iter().map(|patient| patient.id.as_str()).collect();
    assert_eq!(ids, ["BraTS-GLI-00005-100", "BraTS19_A_1"]);
    assert!(patients.iter().all(|patient| patient.kind == ImageKind::Flair));
    assert_is(&patients[0], &new);
    assert_is(&patients[1], &old);
    assert!(imported.left_out.is_empty(), "{:?}", imported.left_out);
    let passed = told(&imported.passed_over);
    assert_eq!(
        passed,
        [(name("t1c").as_str(), "another sequence"), (name("t1n").as_str(), "another sequence")]
    );
}

#[test]
fn visits_of_one_patient_are_patients_of_one_fold() {
    let source = tempfile::tempdir().unwrap();
    for (seed, case) in ["BraTS-GLI-00005-100", "BraTS-GLI-00005-101", "BraTS-GLI-00006-100"]
        .into_iter()
        .enumerate()
    {
        let head = head(seed as u64);
        write(&source, &format!("{case}/{case}-t2f.nii.gz"), nifti(&head.volume));
        write(&source, &format!("{case}/{case}-seg.nii.gz"), nifti(&mask(&head)));
    }
    let patients = sound(&imported(&source, None).unwrap());
    let folds: Vec<Option<&str>> = patients.iter().map(|patient| patient.fold.as_deref()).collect();
    assert_eq!(folds, [Some("BraTS-GLI-00005-100"), Some("BraTS-GLI-00005-100"), None]);
}

#[test]
fn what_does_not_fit_together_is_left_out_by_name() {
    let source = tempfile::tempdir().unwrap();
    let good = head(1);
    write(&source, "good.nii.gz", nifti(&good.volume));
    write(&source, "good_mask.nii.gz", nifti(&mask(&good)));
    write(&source, "alone.nii.gz", nifti(&good.volume));
    write(&source, "lost_mask.nii.gz", nifti(&mask(&good)));
    write(&source, "broken.nii.gz", &nifti(&good.volume)[..500]);
    write(&source, "broken_mask.nii.gz", nifti(&mask(&good)));
    let mut moved = mask(&good);
    moved.geometry.as_mut().unwrap().origin[0] += 20.0;
    write(&source, "moved.nii.gz", nifti(&good.volume));
    write(&source, "moved_mask.nii.gz", nifti(&moved));
    write(&source, "twice.nii.gz", nifti(&good.volume));
    write(&source, "twice_mask.nii.gz", nifti(&good.volume));
    write(&source, "read me.txt", "notes");
    let imported = imported(&source, None).unwrap();
    let [patient] = sound(&imported).try_into().unwrap();
    assert_eq!(patient.id, "good");
    let left = told(&imported.left_out);
    let why = |name: &str| left.iter().find(|(other, _)| *other == name).unwrap().1;
    assert_eq!(left.len(), 5, "{left:?}");
    assert_eq!(why("alone.nii.gz"), "no mask beside it");
    assert_eq!(why("lost_mask.nii.gz"), "no image of that sequence beside it");
    assert!(!why("broken.nii.gz").is_empty());
    assert_eq!(why("moved.nii.gz"), "its mask does not fit: it lies 20.0 mm away from its image");
    assert_eq!(why("twice.nii.gz"), "what is named as its mask is an image");
    assert_eq!(told(&imported.passed_over), [("read me.txt", "no image")]);
}

#[test]
fn a_series_of_dicom_files_has_a_volume_as_its_mask_or_a_picture_for_each_file() {
    let source = tempfile::tempdir().unwrap();
    let heads = [head(3), head(4)];
    for (patient, head) in heads.iter().enumerate() {
        let series = Series::of_seed(patient as u64);
        for slice in 0..SLICES {
            // In no order of their names: where they lie says which is which.
            let name = format!("p{patient}/scan/{:03}", (slice * 7) % SLICES);
            write(&source, &format!("{name}.dcm"), dicom(&head.volume, &series, slice).unwrap());
            if patient == 1 {
                let png = slice_png(&mask(head), slice).unwrap();
                write(&source, &format!("{name}_mask.png"), png);
            }
        }
    }
    write(&source, "p0/mask.nii.gz", nifti(&mask(&heads[0])));
    let imported = imported(&source, Some(ImageKind::Flair)).unwrap();
    let patients = sound(&imported);
    let ids: Vec<&str> = patients.iter().map(|patient| patient.id.as_str()).collect();
    assert!(imported.left_out.is_empty(), "{:?}", imported.left_out);
    assert_eq!(ids, ["p0", "p1"]);
    for (patient, head) in patients.iter().zip(&heads) {
        assert_is(patient, head);
    }
}

#[test]
fn a_series_that_lacks_masks_is_left_out_whole() {
    let source = tempfile::tempdir().unwrap();
    let head = head(3);
    for patient in ["p0", "p1"] {
        for slice in 0..SLICES {
            let name = format!("{patient}/{slice:03}");
            let series = Series::of_seed(u64::from(patient == "p1"));
            write(&source, &format!("{name}.dcm"), dicom(&head.volume, &series, slice).unwrap());
        }
    }
    write(&source, "p1/003_mask.png", slice_png(&mask(&head), 3).unwrap());
    let why = imported(&source, None).unwrap_err().to_string();
    for words in ["nothing in", "p0: no mask beside it", "p1: 23 of its 24 slices have no mask"] {
        assert!(why.contains(words), "{why}");
    }
    assert!(!source.path().join("out/manifest.csv").is_file());
}

/// A picture of the public LGG set: FLAIR between two others.
fn lgg(flair: &Phantom) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixel = |x: u32, y: u32| {
        let at = y as usize * 256 + x as usize;
        let green = (flair.volume.voxels[at] / flair.volume.window[1] * 255.0) as u8;
        image::Rgb([green / 2, green, 255 - green])
    };
    let picture = image::RgbImage::from_fn(256, 256, pixel);
    picture.write_to(&mut bytes, image::ImageFormat::Tiff).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_of_the_public_lgg_set_are_taken_by_their_channel() {
    for (sequence, channel) in [(None, 1), (Some(ImageKind::T1Contrast), 2)] {
        let source = tempfile::tempdir().unwrap();
        let head = Phantom::new(&Settings::slice(5)).unwrap();
        let case = "kaggle_3m/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909";
        for slice in 1..=2 {
            write(&source, &format!("{case}_{slice}.tif"), lgg(&head));
            let mask = slice_png(&mask(&head), 0).unwrap();
            write(&source, &format!("{case}_{slice}_mask.tif"), mask);
        }
        write(&source, "kaggle_3m/data.csv", "Patient,RNASeqCluster\n");
        let imported = imported(&source, sequence).unwrap();
        let [patient] = sound(&imported).try_into().unwrap();
        assert_eq!(
            (patient.id.as_str(), patient.site.as_deref()),
            ("TCGA_CS_4941_19960909", Some("CS"))
        );
        assert_eq!(patient.kind, sequence.unwrap_or(ImageKind::Flair));
        let numbers: Vec<u32> = patient.slices.iter().map(|entry| entry.slice).collect();
        assert_eq!(numbers, [1, 2]);
        let written = image::open(&patient.slices[0].image).unwrap().into_luma8();
        let there = image::load_from_memory(&lgg(&head)).unwrap().into_rgb8();
        let same = written.pixels().zip(there.pixels()).all(|(a, b)| a.0[0] == b.0[channel]);
        assert!(same, "channel {channel}");
        assert_eq!(told(&imported.passed_over), [("kaggle_3m/data.csv", "no image")]);
    }
}

#[test]
fn pictures_without_a_mask_and_masks_without_a_picture_are_left_out() {
    let source = tempfile::tempdir().unwrap();
    let head = Phantom::new(&Settings::slice(5)).unwrap();
    let [image, mask] = [&head.volume, &mask(&head)].map(|of| slice_png(of, 0).unwrap());
    for (name, bytes) in [
        ("a_1.png", &image),
        ("a_1_mask.png", &mask),
        ("a_2.png", &image),
        ("b_3_mask.png", &mask),
        ("more/a_4.png", &image),
        ("more/a_4_mask.png", &mask),
    ] {
        write(&source, name, bytes);
    }
    let imported = imported(&source, None).unwrap();
    assert_eq!((imported.patients, imported.slices), (1, 1));
    assert_eq!(
        told(&imported.left_out),
        [
            ("a_2.png", "no mask beside it"),
            ("more/a_4.png", "another scan is called a, too"),
            ("b_3_mask.png", "no image beside it"),
        ]
    );
}

#[test]
fn empty_slices_at_the_ends_of_a_volume_are_told_and_not_learned_from() {
    let source = tempfile::tempdir().unwrap();
    let mut head = head(1);
    let length = head.volume.shape.slice_len();
    for slice in [0, SLICES - 1] {
        head.volume.voxels[slice * length..][..length].fill(0.0);
        head.truth[slice * length..][..length].fill(0);
    }
    write(&source, "p_flair.nii.gz", nifti(&head.volume));
    write(&source, "p_seg.nii.gz", nifti(&mask(&head)));
    let imported = imported(&source, None).unwrap();
    let [patient] = sound(&imported).try_into().unwrap();
    assert_eq!((patient.slices.len(), patient.scans().len()), (SLICES - 2, 1));
    assert_eq!(told(&imported.passed_over), [("p_flair.nii.gz", "2 empty slices at its ends")]);
}
