use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

use super::*;
use crate::Shape;

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn read(bytes: &[u8], format: ImageFormat) -> Result<Volume, Refusal> {
    decode(bytes, format, &Limits::default())
}

/// Three columns and two rows of 0, 10, … 50.
fn ramp() -> ImageBuffer<Luma<u8>, Vec<u8>> {
    ImageBuffer::from_fn(3, 2, |x, y| Luma([(x + 3 * y) as u8 * 10]))
}

const RAMP: [f32; 6] = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0];

#[test]
fn lossless_formats_give_the_pixels_that_were_written() {
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        let volume = read(&encoded(ramp(), format), format).unwrap();
        assert_eq!(volume.shape, Shape { slices: 1, rows: 2, columns: 3 });
        assert_eq!((&volume.voxels[..], volume.window), (&RAMP[..], [0.0, 255.0]));
        let wide = ImageBuffer::from_fn(3, 2, |x, y| Luma([(x + 3 * y) as u16 * 500]));
        let volume = read(&encoded(wide, format), format).unwrap();
        assert_eq!(volume.voxels, RAMP.map(|value| value * 50.0));
        // The largest value, 2500, needs 12 bits.
        assert_eq!(volume.window, [0.0, 4095.0]);
    }
}

#[test]
fn colour_becomes_grey_and_what_is_transparent_black() {
    let rgb = ImageBuffer::from_fn(3, 2, |x, y| Rgb([(x + 3 * y) as u8 * 10; 3]));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        assert_eq!(read(&encoded(rgb.clone(), format), format).unwrap().voxels, RAMP);
    }
    let red = ImageBuffer::from_pixel(1, 1, Rgb([200u8, 0, 0]));
    let luma = read(&encoded(red, ImageFormat::Png), ImageFormat::Png).unwrap().voxels[0];
    assert!((luma - 0.2126 * 200.0).abs() < 1e-3, "{luma}");
    let half = ImageBuffer::from_pixel(1, 1, LumaA([100u8, 51]));
    assert_eq!(read(&encoded(half, ImageFormat::Png), ImageFormat::Png).unwrap().voxels, [20.0]);
    let none = ImageBuffer::from_pixel(1, 1, Rgba([100u16, 100, 100, 0]));
    assert_eq!(read(&encoded(none, ImageFormat::Png), ImageFormat::Png).unwrap().voxels, [0.0]);
}

#[test]
fn a_jpeg_is_read_nearly_as_it_was() {
    let even = ImageBuffer::from_pixel(16, 16, Luma([90u8]));
    let volume = read(&encoded(even, ImageFormat::Jpeg), ImageFormat::Jpeg).unwrap();
    assert!(volume.voxels.iter().all(|voxel| (voxel - 90.0).abs() <= 2.0));
}

#[test]
fn a_jpeg_without_its_end_is_truncated_even_if_its_thumbnail_has_one() {
    let jpeg = encoded(ramp(), ImageFormat::Jpeg);
    let cut = &jpeg[..jpeg.len() - 2];
    assert_eq!(read(cut, ImageFormat::Jpeg).unwrap_err().problem, Problem::Truncated);
    let thumbnail = [&[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9][..], &cut[2..]].concat();
    let with_thumbnail = [&[0xff, 0xd8][..], &thumbnail].concat();
    assert_eq!(read(&with_thumbnail, ImageFormat::Jpeg).unwrap_err().problem, Problem::Truncated);
}

#[test]
fn a_tiff_of_several_pages_is_refused_and_not_cut() {
    let mut tiff = encoded(ramp(), ImageFormat::Tiff);
    let page = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_le_bytes([tiff[page], tiff[page + 1]]));
    let next = page + 2 + 12 * entries;
    tiff[next..next + 4].copy_from_slice(&8u32.to_le_bytes());
    assert_eq!(read(&tiff, ImageFormat::Tiff).unwrap_err().problem, Problem::Unsupported);
}

#[test]
fn a_size_beyond_the_limits_is_refused_before_it_is_unpacked() {
    let png = encoded(ramp(), ImageFormat::Png);
    let limits = Limits { side: 2, ..Limits::default() };
    assert_eq!(decode(&png, ImageFormat::Png, &limits).unwrap_err().problem, Problem::TooLarge);
    let limits = Limits { voxels: 5, ..Limits::default() };
    assert_eq!(decode(&png, ImageFormat::Png, &limits).unwrap_err().problem, Problem::TooLarge);
}
