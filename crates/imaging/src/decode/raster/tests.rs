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

/// The TIFF files as pages of one.
fn pages(files: &[Vec<u8>]) -> Vec<u8> {
    let number =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut whole: Vec<u8> = Vec::new();
    let mut link = 4;
    for file in files {
        let (base, page) = (whole.len() as u32, number(file, 4) as usize);
        let entries = usize::from(u16::from_le_bytes([file[page], file[page + 1]]));
        let mut file = file.clone();
        for entry in (0..entries).map(|index| page + 2 + 12 * index) {
            let tag = u16::from_le_bytes([file[entry], file[entry + 1]]);
            let size = [0, 1, 1, 2, 4, 8][usize::from(file[entry + 2]).min(5)];
            // Offsets count from the file's begin: of values that do not fit in an entry, and of the strips.
            if tag == 273 || size * number(&file, entry + 4) as usize > 4 {
                let moved = number(&file, entry + 8) + base;
                file[entry + 8..entry + 12].copy_from_slice(&moved.to_le_bytes());
            }
        }
        whole.extend(file);
        let begin = base + page as u32;
        whole[link..link + 4].copy_from_slice(&begin.to_le_bytes());
        link = begin as usize + 2 + 12 * entries;
    }
    whole
}

#[test]
fn the_pages_of_a_tiff_are_slices_and_a_label_map_among_them_is_none() {
    let page = |add: u8| {
        let pixels = ImageBuffer::from_fn(64, 64, |x, y| {
            Luma([((x * 7919 + y * 104_729 + u32::from(add)) % 251) as u8])
        });
        encoded(pixels, ImageFormat::Tiff)
    };
    let mask = ImageBuffer::from_fn(64, 64, |x, y| Luma([if x.max(y) < 20 { 255u8 } else { 0 }]));
    let mask = encoded(mask, ImageFormat::Tiff);
    let alone = |file: &[u8]| read(file, ImageFormat::Tiff).unwrap().voxels;
    let whole = read(&pages(&[page(0), mask, page(9)]), ImageFormat::Tiff).unwrap();
    assert_eq!(whole.shape, Shape { slices: 2, rows: 64, columns: 64 });
    assert!(whole.voxels == [alone(&page(0)), alone(&page(9))].concat());
    assert_eq!(whole.remarks, ["page 2 is a label map and was left out"]);
    let other = read(&pages(&[page(0), encoded(ramp(), ImageFormat::Tiff)]), ImageFormat::Tiff);
    let other = other.unwrap_err();
    assert_eq!(other.problem, Problem::MixedSeries);
    assert!(other.detail.starts_with("Slice 2 of 2: "), "{other}");
}

#[test]
fn pages_that_run_in_a_circle_end_all_the_same() {
    let mut tiff = encoded(ramp(), ImageFormat::Tiff);
    let page = u32::from_le_bytes(tiff[4..8].try_into().unwrap());
    let at = page as usize;
    let entries = usize::from(u16::from_le_bytes([tiff[at], tiff[at + 1]]));
    let next = at + 2 + 12 * entries;
    tiff[next..next + 4].copy_from_slice(&page.to_le_bytes());
    assert_eq!(read(&tiff, ImageFormat::Tiff).unwrap_err().problem, Problem::Corrupt);
}

#[test]
fn an_animation_is_refused_as_what_it_is() {
    let mut png = encoded(ramp(), ImageFormat::Png);
    // Behind the header: signature, length, name, thirteen bytes and a checksum.
    png.splice(33..33, [&[0, 0, 0, 8][..], b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0], &[0; 4]].concat());
    let webp = [&b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0"[..], &[0; 20]].concat();
    for (file, format) in [(png, ImageFormat::Png), (webp, ImageFormat::WebP)] {
        let refusal = read(&file, format).unwrap_err();
        assert_eq!(refusal.problem, Problem::Unsupported, "{refusal}");
        assert!(refusal.detail.contains("animation"), "{refusal}");
    }
}

#[test]
fn a_jpeg_that_is_coded_in_another_way_is_unsupported_and_not_corrupt() {
    let jpeg = encoded(ramp(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    // Extended with 12 bits, arithmetic, hierarchical.
    for (at, value) in [(frame + 4, 12), (frame + 1, 0xc9), (frame + 1, 0xc5)] {
        let mut other = jpeg.clone();
        other[at] = value;
        let refusal = read(&other, ImageFormat::Jpeg).unwrap_err();
        assert_eq!(refusal.problem, Problem::Unsupported, "{refusal}");
    }
}

#[test]
fn a_size_beyond_the_limits_is_refused_before_it_is_unpacked() {
    let png = encoded(ramp(), ImageFormat::Png);
    let limits = Limits { side: 2, ..Limits::default() };
    assert_eq!(decode(&png, ImageFormat::Png, &limits).unwrap_err().problem, Problem::TooLarge);
    let limits = Limits { voxels: 5, ..Limits::default() };
    assert_eq!(decode(&png, ImageFormat::Png, &limits).unwrap_err().problem, Problem::TooLarge);
}
