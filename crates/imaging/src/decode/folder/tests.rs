use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma};

use super::*;
use crate::encode::{Series, dicom, nifti, zip};
use crate::phantom::{Phantom, Settings};
use crate::{Grouping, Shape};

type Files = Vec<(String, Vec<u8>)>;

fn head() -> Phantom {
    let shape = Shape { slices: 6, rows: 96, columns: 96 };
    Phantom::new(&Settings { shape, spacing: [14.0, 2.4, 2.4], ..Settings::slice(2) }).unwrap()
}

fn written(rows: u32, columns: u32, pixels: Vec<u8>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    GrayImage::from_raw(columns, rows, pixels).unwrap().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn png(pixels: Vec<u8>) -> Vec<u8> {
    written(96, 96, pixels, ImageFormat::Png)
}

fn slice_png(slice: usize) -> Vec<u8> {
    let Volume { voxels, window, shape, .. } = head().volume;
    let shown = |voxel: &f32| (voxel / window[1] * 255.0).clamp(0.0, 255.0) as u8;
    png(voxels[slice * shape.slice_len()..][..shape.slice_len()].iter().map(shown).collect())
}

fn mask_png(slice: usize) -> Vec<u8> {
    let Phantom { truth, volume, .. } = head();
    let size = volume.shape.slice_len();
    png(truth[slice * size..][..size].iter().map(|inside| 255 * inside).collect())
}

fn slices(name: impl Fn(usize) -> String) -> Files {
    (0..6).map(|slice| (name(slice), slice_png(slice))).collect()
}

fn masks(name: impl Fn(usize) -> String) -> Files {
    (0..6).map(|slice| (name(slice), mask_png(slice))).collect()
}

fn dicoms(seed: u64, name: impl Fn(usize) -> String) -> Files {
    let Phantom { volume, .. } = head();
    let file = |slice| (name(slice), dicom(&volume, &Series::of_seed(seed), slice).unwrap());
    (0..6).map(file).collect()
}

fn read(files: &[Files]) -> Result<Volume, Refusal> {
    let archive = zip(&files.concat()).unwrap();
    decode(&archive, &Limits::default()).map(|decoded| decoded.volume)
}

fn refused(files: &[Files]) -> String {
    read(files).unwrap_err().to_string()
}

fn file(name: &str, bytes: &[u8]) -> Files {
    vec![(name.to_owned(), bytes.to_vec())]
}

#[test]
fn masks_beside_their_slices_change_nothing_but_a_remark() {
    let alone = read(&[slices(|n| format!("{n}.png"))]).unwrap();
    assert_eq!((alone.shape.slices, &*alone.remarks), (6, &[][..]));
    let layouts: [(Files, Files); 4] = [
        (slices(|n| format!("p/p_{n}.tif")), masks(|n| format!("p/p_{n}_mask.tif"))),
        (slices(|n| format!("{n:03}.png")), masks(|n| format!("{n:03}_seg.png"))),
        (slices(|n| format!("images/{n}.png")), masks(|n| format!("masks/{n}.png"))),
        // Nothing in their names says what they are.
        (slices(|n| format!("a{n}.png")), masks(|n| format!("b{n}.png"))),
    ];
    for (images, labels) in layouts {
        let name = labels[0].0.clone();
        let volume = read(&[images, labels]).unwrap();
        assert!(volume.voxels == alone.voxels, "{name}");
        let [remark] = &*volume.remarks else { panic!("{name}: {:?}", volume.remarks) };
        // Without their names, in which patients may be named.
        assert_eq!(remark, "6 label maps were left out");
    }
}

#[test]
fn slices_and_masks_under_one_kind_of_name_are_told_apart_by_what_they_show() {
    // The phantom's middle slices have a tumour.
    let with_tumour: Vec<usize> =
        (0..6).filter(|slice| mask_png(*slice) != png(vec![0; 96 * 96])).collect();
    let mixed = |slices: &[usize]| -> Files {
        let files = slices.iter().flat_map(|slice| [slice_png(*slice), mask_png(*slice)]);
        (1..).zip(files).map(|(number, file)| (format!("{number}.png"), file)).collect()
    };
    let volume = read(&[mixed(&with_tumour)]).unwrap();
    assert_eq!(volume.shape.slices, with_tumour.len());
    assert_eq!(
        volume.voxels[..96 * 96],
        read(&[file("1.png", &slice_png(with_tumour[0]))]).unwrap().voxels
    );
    // An empty one among them may be a slice or a mask.
    let ambiguous = refused(&[mixed(&[0, 1, 2, 3, 4, 5])]);
    assert!(
        ambiguous.starts_with("mixed-series") && ambiguous.contains("may be either"),
        "{ambiguous}"
    );
}

#[test]
fn a_slice_in_a_format_that_is_not_read_is_no_hole_and_a_logo_is_left_out() {
    let gif = |name: &str| file(name, b"GIF89a\x60\0\x60\0");
    let refusal = refused(&[slices(|n| format!("{n}.png")), gif("6.gif")]);
    let expected = "unsupported: Slice 7 of 7 (6.gif): This is a GIF file, which is not read here.";
    assert!(refusal.starts_with(expected), "{refusal}");
    let volume = read(&[slices(|n| format!("{n}.png")), gif("viewer/logo.gif")]).unwrap();
    assert_eq!(volume.remarks, ["1 file that is no slice was left out: a GIF file"]);
}

#[test]
fn pictures_of_8_and_of_16_bits_are_no_series() {
    let wide = ImageBuffer::from_fn(96, 96, |x, y| Luma([(500 * x + 13 * y) as u16]));
    let mut png = Cursor::new(Vec::new());
    DynamicImage::from(wide).write_to(&mut png, ImageFormat::Png).unwrap();
    let refusal = refused(&[slices(|n| format!("{n}.png")), file("6.png", png.get_ref())]);
    let expected = "mixed-series: 0.png and 6.png have pixels of different depth (8 and 16 bits).";
    assert!(refusal.starts_with(expected), "{refusal}");
}

#[test]
fn a_label_map_is_never_a_scan() {
    for files in [masks(|n| format!("{n}_mask.png")), masks(|n| format!("{n}.png"))] {
        let first = files[0].0.clone();
        let refusal = refused(&[files]);
        assert!(
            refusal.starts_with(&format!("not-a-head: {first} holds a label map")),
            "{refusal}"
        );
    }
    let Phantom { truth, volume, .. } = head();
    let labels: Vec<f32> = truth.iter().map(|label| f32::from(*label)).collect();
    let labels = nifti(&labels, volume.shape, volume.geometry.as_ref()).unwrap();
    let scan = nifti(&volume.voxels, volume.shape, volume.geometry.as_ref()).unwrap();
    let with_labels = [file("case_flair.nii", &scan), file("case_seg.nii", &labels)];
    let read = read(&with_labels).unwrap();
    assert!(read.voxels == volume.voxels);
    assert_eq!(read.remarks, ["1 label map was left out"]);
    assert!(refused(&[file("seg.nii", &labels)]).starts_with("not-a-head: seg.nii holds"));
    let alone = super::super::decode(&labels, &Limits::default()).unwrap().volume;
    let refusal = crate::check(&alone, &[]).unwrap_err();
    assert!(refusal.detail.contains("A label map is never a scan."), "{refusal}");
}

#[test]
fn two_series_two_patients_and_two_sizes_are_refused_with_the_names_of_both() {
    let two = |one: &str, other: &str| {
        slices(|n| format!("{one}{n}.png"))
            .into_iter()
            .chain(slices(|n| format!("{other}{n}.png")))
            .collect::<Files>()
    };
    let large =
        written(64, 96, (0..96 * 64).map(|at| (at % 251) as u8).collect(), ImageFormat::Png);
    let Phantom { volume, .. } = head();
    let scan = nifti(&volume.voxels, volume.shape, volume.geometry.as_ref()).unwrap();
    let im = |n: usize| format!("IM{n}");
    let cases: [(Vec<Files>, &str, &str); 7] = [
        (vec![two("flair_", "t1_")], "flair_0.png and t1_0.png", "no slices of one series"),
        (vec![two("p1/", "p2/")], "p1/0.png and p2/0.png", "no slices of one series"),
        (
            vec![slices(|n| format!("{n}.png")), file("6.png", &large)],
            "0.png and 6.png",
            "(96 x 96 and 96 x 64 pixels)",
        ),
        (vec![dicoms(1, im), dicoms(2, |n| format!("JM{n}"))], "IM0 and JM0", "two patients"),
        (vec![dicoms(1, im), file("a.nii", &scan)], "IM0 and a.nii", "two scans"),
        (vec![file("b.nii", &scan), file("a.nii", &scan)], "a.nii and b.nii", "two scans"),
        (
            vec![file("flair.png", &slice_png(1)), file("t1.png", &slice_png(2))],
            "flair.png and t1.png",
            "no slices",
        ),
    ];
    for (files, names, what) in cases {
        let refusal = refused(&files);
        assert!(
            refusal.starts_with("mixed-series") && refusal.contains(names),
            "{names}: {refusal}"
        );
        assert!(refusal.contains(what), "{refusal}");
    }
}

#[test]
fn what_is_no_slice_on_a_disc_is_left_out_and_listed() {
    let alone = read(&[dicoms(1, |n| format!("IM{n}"))]).unwrap();
    let disc = [
        dicoms(1, |n| format!("DICOM/IM{n}")),
        file("VIEWER/logo.png", &slice_png(3)),
        file("VIEWER/splash.jpg", b"\xff\xd8\xff\xe0 and no picture"),
        file("VIEWER/viewer.exe", b"MZ"),
        file("VIEWER/lib.jar", b"PK\x03\x04"),
        file("README.TXT", b"Patient CD"),
    ];
    let volume = read(&disc).unwrap();
    assert!(volume.voxels == alone.voxels && volume.geometry == alone.geometry);
    let [remark] = &*volume.remarks else { panic!("{:?}", volume.remarks) };
    assert_eq!(
        remark,
        "5 files that are no slices were left out: a picture (2), another archive, no image (2)"
    );
    let nothing = refused(&[file("README.TXT", b"Patient CD")]);
    assert!(nothing.contains("but README.TXT (no image)"), "{nothing}");
}

#[test]
fn a_slice_that_is_there_twice_is_taken_once() {
    let mut files = dicoms(1, |n| format!("IM{n}"));
    files.push(("IM3 (1)".into(), files[3].1.clone()));
    let volume = read(&[files]).unwrap();
    assert_eq!(volume.shape.slices, 6);
    assert_eq!(volume.remarks, ["1 copy of a slice was left out"]);
}

#[test]
fn a_refusal_says_which_file_it_speaks_of() {
    let mut files = slices(|n| format!("{n}.png"));
    let half = files[4].1.len() / 2;
    files[4].1.truncate(half);
    let refusal = refused(&[files]);
    assert!(refusal.starts_with("truncated: Slice 5 of 6 (4.png): "), "{refusal}");
}

#[test]
fn a_missing_number_is_remarked() {
    let mut files = slices(|n| format!("{n}.png"));
    files.remove(2);
    let remarks = read(&[files]).unwrap().remarks;
    assert_eq!(remarks, ["by their names, slices are missing between 1.png and 3.png"]);
}

#[test]
fn files_are_shared_out_by_series_number_and_kind() {
    let all = [
        dicoms(1, |n| format!("IM{n}")),
        dicoms(2, |n| format!("JM{n}")),
        slices(|n| format!("flair_{n}.png")),
        masks(|n| format!("flair_{n}_mask.png")),
        file("letter.txt", b"hello"),
        file("one.png", &slice_png(1)),
    ];
    let archive = zip(&all.concat()).unwrap();
    let groups = |grouping| {
        let mut archive = Archive::open(Cursor::new(&archive), Limits::default()).unwrap();
        let names: Vec<String> = archive.names().map(str::to_owned).collect();
        let groups = archive.groups(grouping).unwrap().into_iter();
        groups.map(|g| (names[g.places[0]].clone(), g.places.len(), g.scan)).collect::<Vec<_>>()
    };
    let group = |name: &str, files: usize, scan: bool| (name.to_owned(), files, scan);
    assert_eq!(
        groups(Grouping::Numbered),
        [
            group("IM0", 6, true),
            group("JM0", 6, true),
            group("flair_0.png", 6, true),
            group("flair_0_mask.png", 6, false),
            group("letter.txt", 1, false),
            group("one.png", 1, true),
        ]
    );
    let alone = groups(Grouping::Alone);
    assert_eq!(
        (alone.len(), &alone[..2]),
        (2 + 12 + 2, &[group("IM0", 6, true), group("JM0", 6, true)][..])
    );
}

#[test]
fn a_slice_that_cannot_be_read_is_missed_and_not_left_out() {
    let lost = |mut files: Files, bytes: &[u8]| {
        files.last_mut().unwrap().1 = bytes.to_vec();
        read(&[files]).unwrap_err()
    };
    let pngs = || slices(|slice| format!("{slice}.png"));
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n";
    let of_dicom = || dicoms(1, |slice| format!("IM{slice}"));
    for files in [pngs(), of_dicom()] {
        let name = files.last().unwrap().0.clone();
        for (bytes, problem) in [
            (&b""[..], RefusalReason::Truncated),
            (&[0; 3000], RefusalReason::Corrupt),
            (pointer, RefusalReason::Corrupt),
        ] {
            let refusal = lost(files.clone(), bytes);
            assert_eq!(refusal.problem, problem, "{refusal}");
            assert!(refusal.detail.starts_with(&format!("Slice 6 of 6 ({name})")), "{refusal}");
        }
    }
    // What is called otherwise is no slice.
    let beside: Files =
        vec![("README".into(), b"words".to_vec()), ("notes_7.txt".into(), Vec::new())];
    assert_eq!(read(&[of_dicom(), beside]).unwrap().shape.slices, 6);
}

#[test]
fn a_form_keeps_what_it_cannot_read_with_the_slices_that_miss_it() {
    let mut files = dicoms(1, |slice| format!("a{slice}"));
    files[5].1.clear();
    files.push(("words.txt".into(), b"words".to_vec()));
    let archive = zip(&files).unwrap();
    let mut archive = Archive::open(Cursor::new(archive), Limits::default()).unwrap();
    let groups = archive.groups(Grouping::Numbered).unwrap();
    let scans: Vec<_> = groups.iter().filter(|group| group.scan).collect();
    assert_eq!(scans.len(), 1);
    assert_eq!(scans[0].places.len(), 6);
    assert_eq!(groups.len(), 2);
}

#[test]
fn an_empty_segmentation_is_no_second_scan() {
    let Phantom { volume, .. } = head();
    let written = |voxels: &[f32]| nifti(voxels, volume.shape, volume.geometry.as_ref()).unwrap();
    let scan: Files = vec![("a-t2f.nii".into(), written(&volume.voxels))];
    let mask: Files = vec![("a-seg.nii".into(), written(&vec![0.0; volume.voxels.len()]))];
    let read = read(&[scan, mask]).unwrap();
    assert_eq!(
        (read.shape.slices, &*read.remarks),
        (6, &["1 label map was left out".to_owned()][..])
    );
}

#[test]
fn masks_through_a_lossy_codec_are_no_slices_behind_their_images() {
    let soft = |slice: usize| {
        let level = |x: f32, y: f32| match x.hypot(1.3 * y) {
            r if r < 12.0 + slice as f32 => 240u8,
            r if r < 46.0 => 120,
            _ => 0,
        };
        let pixels = (0..96 * 96).map(|at| level((at % 96) as f32 - 48.0, (at / 96) as f32 - 48.0));
        written(96, 96, pixels.collect(), ImageFormat::Jpeg)
    };
    let behind: Files = (0..6).map(|slice| (format!("{}.jpg", slice + 6), soft(slice))).collect();
    let volume = read(&[slices(|slice| format!("{slice}.png")), behind]).unwrap();
    assert_eq!((volume.shape.slices, &*volume.remarks[0]), (6, "6 label maps were left out"));
}
