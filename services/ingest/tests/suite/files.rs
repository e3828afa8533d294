//! Sound uploads of each kind, made from phantoms.

use std::io::Cursor;

use image::{ExtendedColorType, ImageFormat};
use imaging::encode::{Series, dicom, nifti, nifti_gz, zip};
use imaging::phantom::{Phantom, Settings};
use imaging::{Shape, Volume};

pub fn slice() -> Volume {
    Phantom::new(&Settings::slice(1)).unwrap().volume
}

pub fn stack() -> Volume {
    let shape = Shape { slices: 8, rows: 96, columns: 96 };
    Phantom::new(&Settings { shape, spacing: [14.0, 2.4, 2.4], ..Settings::slice(2) })
        .unwrap()
        .volume
}

/// The middle slice in 8 bits.
fn grey(volume: &Volume) -> Vec<u8> {
    let [black, white] = volume.window;
    let shown = |voxel: &f32| ((voxel - black) / (white - black) * 255.0).clamp(0.0, 255.0) as u8;
    volume.slice(volume.shape.slices / 2).iter().map(shown).collect()
}

pub fn picture(volume: &Volume, format: ImageFormat) -> Vec<u8> {
    let (width, height) = (volume.shape.columns as u32, volume.shape.rows as u32);
    let mut file = Cursor::new(Vec::new());
    let (pixels, colour) = match format {
        // The encoder of lossless WebP knows no grey.
        ImageFormat::WebP => (
            grey(volume).into_iter().flat_map(|pixel| [pixel; 3]).collect(),
            ExtendedColorType::Rgb8,
        ),
        _ => (grey(volume), ExtendedColorType::L8),
    };
    image::write_buffer_with_format(&mut file, &pixels, width, height, colour, format).unwrap();
    file.into_inner()
}

pub fn png_16() -> Vec<u8> {
    let pixels: Vec<u8> = grey(&slice())
        .into_iter()
        .flat_map(|pixel| (u16::from(pixel) * 16).to_ne_bytes())
        .collect();
    let mut file = Cursor::new(Vec::new());
    let (format, colour) = (ImageFormat::Png, ExtendedColorType::L16);
    image::write_buffer_with_format(&mut file, &pixels, 256, 256, colour, format).unwrap();
    file.into_inner()
}

pub fn dicom_slice() -> Vec<u8> {
    dicom(&slice(), &Series::of_seed(1), 0).unwrap()
}

/// The same slice with its pixels as a baseline JPEG (PS3.5, A.4.1), whose decoder would start threads.
pub fn dicom_jpeg() -> Vec<u8> {
    let mut file = dicom_slice();
    for (element, value) in [(0x0100u16, 8u16), (0x0101, 8), (0x0102, 7)] {
        let head = [&[0x28, 0][..], &element.to_le_bytes(), b"US\x02\0"].concat();
        let at = place(&file, &head) + head.len();
        file[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    let mut jpeg = picture(&slice(), ImageFormat::Jpeg);
    jpeg.resize(jpeg.len().next_multiple_of(2), 0);
    let item = |length: usize| [&b"\xfe\xff\0\xe0"[..], &(length as u32).to_le_bytes()].concat();
    file.truncate(place(&file, b"\xe0\x7f\x10\0OW"));
    file.extend(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff");
    file.extend([item(0), item(jpeg.len()), jpeg, b"\xfe\xff\xdd\xe0\0\0\0\0".into()].concat());
    // The name of the transfer syntax grows by two bytes, and with it its group.
    let (plain, baseline) =
        (b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.4.50");
    let at = place(&file, plain);
    file.splice(at..at + plain.len(), *baseline);
    let at = place(&file, b"\x02\0\0\0UL\x04\0") + 8;
    file[at] += 2;
    file
}

fn place(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).unwrap()
}

/// Slices of these series in turn, not in the order of their positions.
pub fn dicom_slices(series: &[Series]) -> Vec<(String, Vec<u8>)> {
    let volume = stack();
    let file = |slice: usize| {
        (format!("IM{slice}"), dicom(&volume, &series[slice % series.len()], slice).unwrap())
    };
    [5, 0, 3, 7, 1, 6, 2, 4].map(file).into()
}

pub fn dicom_zip(series: &[Series]) -> Vec<u8> {
    zip(&dicom_slices(series)).unwrap()
}

pub fn png_zip() -> Vec<u8> {
    zip(&png_slices()).unwrap()
}

pub fn png_slices() -> Vec<(String, Vec<u8>)> {
    let volume = stack();
    let png = |index: usize| {
        let shape = Shape { slices: 1, ..volume.shape };
        let slice = Volume { shape, voxels: volume.slice(index).to_vec(), ..volume.clone() };
        (format!("slice-{index}.png"), picture(&slice, ImageFormat::Png))
    };
    [0, 1, 2, 3, 4, 5, 6, 7].map(png).into()
}

/// An elliptic mask for each of those.
pub fn masks() -> Vec<(String, Vec<u8>)> {
    let mask = |index: usize| {
        let inside = |at: usize| (at % 96).abs_diff(40) + (at / 96).abs_diff(50) < 3 + index;
        let pixels: Vec<u8> = (0..96 * 96).map(|at| if inside(at) { 255 } else { 0 }).collect();
        let mut file = Cursor::new(Vec::new());
        let (format, colour) = (ImageFormat::Png, ExtendedColorType::L8);
        image::write_buffer_with_format(&mut file, &pixels, 96, 96, colour, format).unwrap();
        (format!("slice-{index}_mask.png"), file.into_inner())
    };
    [0, 1, 2, 3, 4, 5, 6, 7].map(mask).into()
}

/// One file of each kind that is accepted.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let (slice, stack) = (slice(), stack());
    vec![
        ("png", picture(&slice, ImageFormat::Png)),
        ("png-16", png_16()),
        ("jpeg", picture(&slice, ImageFormat::Jpeg)),
        ("tiff", picture(&slice, ImageFormat::Tiff)),
        ("webp", picture(&slice, ImageFormat::WebP)),
        ("dicom", dicom_slice()),
        ("nifti", nifti(&stack.voxels, stack.shape, stack.geometry.as_ref()).unwrap()),
        ("nifti-gz", nifti_gz(&stack.voxels, stack.shape, stack.geometry.as_ref()).unwrap()),
        ("dicom-zip", dicom_zip(&[Series::of_seed(2)])),
        ("png-zip", png_zip()),
    ]
}
