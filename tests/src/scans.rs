//! Scans made by code; no patient's.

use std::io::{Cursor, Write};

use imaging::phantom::{Phantom, Settings};
use imaging::{Shape, preview_png};

/// One slice of a phantom head as PNG.
pub fn png(seed: u64, tumour: bool) -> Vec<u8> {
    let phantom = Phantom::new(&Settings { tumour, ..Settings::slice(seed) }).expect("a phantom");
    preview_png(&phantom.volume).expect("a PNG")
}

/// The same, higher than wide.
pub fn oblong(seed: u64) -> Vec<u8> {
    let shape = Shape { slices: 1, rows: 256, columns: 224 };
    let phantom = Phantom::new(&Settings { shape, ..Settings::slice(seed) }).expect("a phantom");
    preview_png(&phantom.volume).expect("a PNG")
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
