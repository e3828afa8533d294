//! Scans made by code; no patient's.

use std::io::{Cursor, Write};

use imaging::encode::{Series, dicom, nifti_gz};
use imaging::phantom::{Phantom, Settings};
use imaging::{Shape, Volume, slice_png};

/// One slice of a phantom head as PNG.
pub fn png(seed: u64, tumour: bool) -> Vec<u8> {
    let phantom = Phantom::new(&Settings { tumour, ..Settings::slice(seed) }).expect("a phantom");
    slice_png(&phantom.volume, 0).expect("a PNG")
}

/// The same, higher than wide.
pub fn oblong(seed: u64) -> Vec<u8> {
    let shape = Shape { slices: 1, rows: 256, columns: 224 };
    let phantom = Phantom::new(&Settings { shape, ..Settings::slice(seed) }).expect("a phantom");
    slice_png(&phantom.volume, 0).expect("a PNG")
}

/// A head in twelve thick axial slices with a tumour.
pub fn stack(seed: u64) -> Volume {
    let shape = Shape { slices: 12, rows: 96, columns: 96 };
    let settings = Settings {
        shape,
        spacing: [6.0, 2.5, 2.5],
        lesion_ml: Some(20.0),
        ..Settings::slice(seed)
    };
    Phantom::new(&settings).expect("a phantom").volume
}

/// A volume as a NIfTI file whose axes lead where these letters say.
pub fn nifti_as(volume: &Volume, storage: &str) -> Vec<u8> {
    let stored = volume.stored_as(storage).expect("a storage order");
    // As scanners count: whole numbers, which DICOM holds too.
    let voxels: Vec<f32> = stored.voxels.iter().map(|value| value.round()).collect();
    nifti_gz(&voxels, stored.shape, stored.geometry.as_ref()).expect("a NIfTI file")
}

/// A volume as a zip of DICOM slices whose columns, rows and stack lead where these letters say.
pub fn dicom_as(volume: &Volume, storage: &str) -> Vec<u8> {
    zip_of(slices_as(volume, storage, 7))
}

/// The same as files of their own, of the study and series of that seed.
pub fn slices_as(volume: &Volume, storage: &str, seed: u64) -> Vec<Vec<u8>> {
    let stored = volume.stored_as(storage).expect("a storage order");
    let series = Series::of_seed(seed);
    let slices = (0..stored.shape.slices).map(|slice| dicom(&stored, &series, slice));
    slices.map(|file| file.expect("a DICOM slice")).collect()
}

/// A zip of DICOM slices.
pub fn zip_of(slices: Vec<Vec<u8>>) -> Vec<u8> {
    let names: Vec<String> = (0..slices.len()).map(|slice| format!("{slice:03}.dcm")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(String::as_str).zip(slices).collect();
    zip(&files)
}

/// A zip of `(name, bytes)`.
pub fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).expect("a new entry");
        zip.write_all(bytes).expect("memory");
    }
    zip.finish().expect("memory").into_inner()
}

/// A grey square without anything on it.
pub fn flat(side: u32) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    let image = image::GrayImage::from_pixel(side, side, image::Luma([90]));
    image.write_to(&mut png, image::ImageFormat::Png).expect("memory");
    png.into_inner()
}
