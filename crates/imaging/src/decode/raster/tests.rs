use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

use super::*;
use crate::Shape;

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn read(bytes: &[u8], format: ImageFormat) -> Result<Volume, Refusal> {
    decode(bytes, format, &Limits::default()).map(|picture| picture.volume)
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
    assert_eq!(read(cut, ImageFormat::Jpeg).unwrap_err().problem, RefusalReason::Truncated);
    let thumbnail = [&[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9][..], &cut[2..]].concat();
    let with_thumbnail = [&[0xff, 0xd8][..], &thumbnail].concat();
    assert_eq!(
        read(&with_thumbnail, ImageFormat::Jpeg).unwrap_err().problem,
        RefusalReason::Truncated
    );
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
    assert_eq!(other.problem, RefusalReason::MixedSeries);
    assert!(other.detail.starts_with("Slice 2 of 2: "), "{other}");
    let wide = ImageBuffer::from_fn(64, 64, |x, y| Luma([(x * 7919 + y * 104_729) as u16]));
    let wide = read(&pages(&[page(0), encoded(wide, ImageFormat::Tiff)]), ImageFormat::Tiff);
    let wide = wide.unwrap_err();
    assert_eq!(wide.problem, RefusalReason::MixedSeries);
    assert!(wide.detail.contains("It has 16 bits, those before have 8."), "{wide}");
}

#[test]
fn pages_that_run_in_a_circle_end_all_the_same() {
    let mut tiff = encoded(ramp(), ImageFormat::Tiff);
    let page = u32::from_le_bytes(tiff[4..8].try_into().unwrap());
    let at = page as usize;
    let entries = usize::from(u16::from_le_bytes([tiff[at], tiff[at + 1]]));
    let next = at + 2 + 12 * entries;
    tiff[next..next + 4].copy_from_slice(&page.to_le_bytes());
    assert_eq!(read(&tiff, ImageFormat::Tiff).unwrap_err().problem, RefusalReason::Corrupt);
}

#[test]
fn an_animation_is_refused_as_what_it_is() {
    let mut png = encoded(ramp(), ImageFormat::Png);
    // Behind the header: signature, length, name, thirteen bytes and a checksum.
    png.splice(33..33, [&[0, 0, 0, 8][..], b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0], &[0; 4]].concat());
    let webp = [&b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0"[..], &[0; 20]].concat();
    for (file, format) in [(png, ImageFormat::Png), (webp, ImageFormat::WebP)] {
        let refusal = read(&file, format).unwrap_err();
        assert_eq!(refusal.problem, RefusalReason::Unsupported, "{refusal}");
        assert!(refusal.detail.contains("animation"), "{refusal}");
    }
}

#[test]
fn a_jpeg_that_is_coded_in_another_way_is_unsupported_and_not_corrupt() {
    let jpeg = encoded(ramp(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    // Extended with 12 bits, arithmetic, hierarchical, JPEG-LS.
    for (at, value) in [(frame + 4, 12), (frame + 1, 0xc9), (frame + 1, 0xc5), (frame + 1, 0xf7)] {
        let mut other = jpeg.clone();
        other[at] = value;
        let refusal = read(&other, ImageFormat::Jpeg).unwrap_err();
        assert_eq!(refusal.problem, RefusalReason::Unsupported, "{refusal}");
    }
}

#[test]
fn a_size_beyond_the_limits_is_refused_before_it_is_unpacked() {
    let png = encoded(ramp(), ImageFormat::Png);
    let limits = Limits { side: 2, ..Limits::default() };
    assert_eq!(
        decode(&png, ImageFormat::Png, &limits).unwrap_err().problem,
        RefusalReason::TooLarge
    );
    let limits = Limits { voxels: 5, ..Limits::default() };
    assert_eq!(
        decode(&png, ImageFormat::Png, &limits).unwrap_err().problem,
        RefusalReason::TooLarge
    );
}

/// An Exif block that says nothing but the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [&b"II*\0\x08\0\0\0\x01\0"[..], &entry, &[0; 4]].concat()
}

/// The PNG with one more chunk, before its pixels or behind them.
fn with_chunk(png: &[u8], before: &[u8; 4], name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let at = png.windows(4).position(|window| window == before).unwrap() - 4;
    let checked = [&name[..], content].concat();
    let mut checksum = flate2::Crc::new();
    checksum.update(&checked);
    let length = (content.len() as u32).to_be_bytes();
    [&png[..at], &length, &checked, &checksum.sum().to_be_bytes(), &png[at..]].concat()
}

/// What a viewer shows of the ramp's pixels with each orientation of Exif.
const SHOWN: [(u8, [usize; 2], [f32; 6]); 8] = [
    (1, [2, 3], [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]),
    (2, [2, 3], [20.0, 10.0, 0.0, 50.0, 40.0, 30.0]),
    (3, [2, 3], [50.0, 40.0, 30.0, 20.0, 10.0, 0.0]),
    (4, [2, 3], [30.0, 40.0, 50.0, 0.0, 10.0, 20.0]),
    (5, [3, 2], [0.0, 30.0, 10.0, 40.0, 20.0, 50.0]),
    (6, [3, 2], [30.0, 0.0, 40.0, 10.0, 50.0, 20.0]),
    (7, [3, 2], [50.0, 20.0, 40.0, 10.0, 30.0, 0.0]),
    (8, [3, 2], [20.0, 50.0, 10.0, 40.0, 0.0, 30.0]),
];

#[test]
fn a_picture_is_turned_as_its_tag_says() {
    let png = encoded(ramp(), ImageFormat::Png);
    for (orientation, [rows, columns], pixels) in SHOWN {
        let tag = exif(orientation);
        let jpegs = [b"Exif\0\0", &tag[..]].concat();
        for (place, content) in [(b"IDAT", &tag), (b"IEND", &tag), (b"IDAT", &jpegs)] {
            let volume =
                read(&with_chunk(&png, place, b"eXIf", content), ImageFormat::Png).unwrap();
            assert_eq!(volume.shape, Shape { slices: 1, rows, columns }, "{orientation}");
            assert_eq!(volume.voxels, pixels, "{orientation}");
        }
        let mut tiff = encoded(ramp(), ImageFormat::Tiff);
        tiff = with_tiff_orientation(&tiff, orientation);
        let volume = read(&tiff, ImageFormat::Tiff).unwrap();
        assert_eq!((volume.shape.rows, &volume.voxels[..]), (rows, &pixels[..]), "{orientation}");
    }
    let broken = with_chunk(&png, b"IDAT", b"eXIf", b"no Exif at all");
    assert_eq!(read(&broken, ImageFormat::Png).unwrap().voxels, RAMP);
}

/// A copy of the file's page with one more entry, at its end.
fn with_tiff_orientation(tiff: &[u8], orientation: u8) -> Vec<u8> {
    let short = |at: usize| u16::from_le_bytes([tiff[at], tiff[at + 1]]);
    let page = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let count = usize::from(short(page));
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    let mut entries: Vec<&[u8]> = tiff[page + 2..][..12 * count].chunks(12).collect();
    entries.push(&entry);
    entries.sort_by_key(|entry| u16::from_le_bytes([entry[0], entry[1]]));
    let start = (tiff.len() as u32).to_le_bytes();
    let entries = entries.concat();
    let head = [&tiff[..4], &start, &tiff[8..]].concat();
    [&head[..], &(count as u16 + 1).to_le_bytes(), &entries, &[0; 4]].concat()
}

#[test]
fn a_photograph_is_turned_as_its_tag_says() {
    let grey = ImageBuffer::from_fn(64, 32, |x, _| Luma([(4 * x) as u8]));
    let jpeg = encoded(grey, ImageFormat::Jpeg);
    let volume = read(&with_exif(&jpeg, &exif(6)), ImageFormat::Jpeg).unwrap();
    assert_eq!((volume.shape.rows, volume.shape.columns), (64, 32));
    // What grew to the right now grows downwards.
    assert!(volume.voxels[0] < 20.0 && volume.voxels[63 * 32] > 230.0);
}

/// The ramp as a lossless JPEG (one component of 8 bits, first predictor).
const LOSSLESS: [u8; 74] = [
    0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01,
    0x00, 0x01, 0x00, 0x00, 0xff, 0xc3, 0x00, 0x0b, 0x08, 0x00, 0x02, 0x00, 0x03, 0x01, 0x01, 0x11,
    0x00, 0xff, 0xc4, 0x00, 0x16, 0x00, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x05, 0x08, 0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00,
    0x01, 0x00, 0x00, 0xcf, 0xea, 0x55, 0xe5, 0x2b, 0xff, 0xd9,
];

/// The JPEG with that Exif block in front of everything else.
fn with_exif(jpeg: &[u8], exif: &[u8]) -> Vec<u8> {
    let tag = [b"Exif\0\0", exif].concat();
    let length = (tag.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &tag, &jpeg[2..]].concat()
}

#[test]
fn a_lossless_jpeg_is_turned_as_its_tag_says_too() {
    assert_eq!(read(&LOSSLESS, ImageFormat::Jpeg).unwrap().voxels, RAMP);
    for (orientation, [rows, columns], pixels) in SHOWN {
        let tagged = with_exif(&LOSSLESS, &exif(orientation));
        let volume = read(&tagged, ImageFormat::Jpeg).unwrap();
        assert_eq!(volume.shape, Shape { slices: 1, rows, columns }, "{orientation}");
        assert_eq!(volume.voxels, pixels, "{orientation}");
    }
}

#[test]
fn fill_bytes_before_a_marker_hide_nothing_of_a_jpeg() {
    let filled = |jpeg: &[u8], marker: u8| {
        let at = jpeg.windows(2).position(|pair| pair == [0xff, marker]).unwrap();
        [&jpeg[..at], &[0xff, 0xff], &jpeg[at..]].concat()
    };
    let jpeg = encoded(ramp(), ImageFormat::Jpeg);
    let plain = read(&jpeg, ImageFormat::Jpeg).unwrap();
    assert_eq!(read(&filled(&jpeg, 0xdb), ImageFormat::Jpeg).unwrap(), plain);
    let lossless = read(&filled(&LOSSLESS, 0xc3), ImageFormat::Jpeg).unwrap();
    assert_eq!(lossless.voxels, RAMP);
}

/// A big-endian Exif block that says of the way up what that type of integer writes so.
fn typed_exif(kind: u16, value: [u8; 4]) -> Vec<u8> {
    let header = [b"MM\0*", &8u32.to_be_bytes()[..], &1u16.to_be_bytes()].concat();
    let entry = [&274u16.to_be_bytes()[..], &kind.to_be_bytes(), &1u32.to_be_bytes(), &value];
    [header, entry.concat(), vec![0; 4]].concat()
}

#[test]
fn the_way_up_is_read_from_exif_in_whatever_type_of_integer() {
    let written = [
        (3, [0, 6, 0, 0]),
        (4, [0, 0, 0, 6]),
        (1, [6, 0, 0, 0]),
        (8, [0, 6, 0, 0]),
        (9, [0, 0, 0, 6]),
    ];
    for (kind, value) in written {
        assert_eq!(turn(&typed_exif(kind, value)), Turn::Rotate90, "type {kind}");
    }
    for block in
        [typed_exif(3, [0, 9, 0, 0]), typed_exif(2, [b'6', 0, 0, 0]), b"MM\0*".to_vec(), Vec::new()]
    {
        assert_eq!(turn(&block), Turn::NoTransforms);
    }
}

#[test]
fn a_second_picture_behind_the_first_is_not_left_out_in_silence() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let file = encoded(ramp(), format);
        let twice = [&file[..], &file].concat();
        let padded = [&file[..], &[0; 7], &file].concat();
        for bytes in [twice, padded] {
            assert_eq!(read(&bytes, format).unwrap_err().problem, RefusalReason::Unsupported);
        }
        for padding in [&[0; 512][..], b"trailing words"] {
            assert!(read(&[&file[..], padding].concat(), format).is_ok());
        }
    }
}

/// The ramp as a TIFF of one page with that description.
fn described(description: &str) -> Vec<u8> {
    const HEADER: usize = 8;
    let text = [description.as_bytes(), b"\0\0\0\0\0"].concat();
    let (pixels_at, directory_at) = (HEADER + text.len(), HEADER + text.len() + RAMP.len());
    let long = |value: usize| (value as u32).to_le_bytes();
    let entry = |tag: u16, kind: u16, count: usize, value: usize| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &long(count), &long(value)].concat()
    };
    let entries = [
        entry(256, 4, 1, 3),
        entry(257, 4, 1, 2),
        entry(258, 3, 1, 8),
        entry(259, 3, 1, 1),
        entry(262, 3, 1, 1),
        entry(270, 2, text.len(), HEADER),
        entry(273, 4, 1, pixels_at),
        entry(277, 3, 1, 1),
        entry(278, 4, 1, 2),
        entry(279, 4, 1, RAMP.len()),
    ];
    let pixels = RAMP.map(|value| value as u8);
    let begin = [&b"II*\0"[..], &long(directory_at), &text, &pixels].concat();
    let count = (entries.len() as u16).to_le_bytes();
    [begin, count.to_vec(), entries.concat(), vec![0; 4]].concat()
}

#[test]
fn a_stack_behind_one_page_is_refused() {
    for stack in
        ["ImageJ=1.11a\nimages=10\nslices=10\n", r#"{"shape": [10, 2, 3], "truncated": true}"#]
    {
        let refusal = read(&described(stack), ImageFormat::Tiff).unwrap_err();
        assert_eq!(refusal.problem, RefusalReason::Unsupported, "{refusal}");
    }
    for one in ["ImageJ=1.11a\nimages=1\n", r#"{"shape": [2, 3]}"#, "a head", ""] {
        assert_eq!(read(&described(one), ImageFormat::Tiff).unwrap().voxels, RAMP, "{one}");
    }
}

#[test]
fn an_empty_page_among_slices_and_label_maps_may_be_either() {
    let noise = ImageBuffer::from_fn(64, 64, |x, y| Luma([((x * 7919 + y * 104_729) % 251) as u8]));
    let mask = ImageBuffer::from_fn(64, 64, |x, y| Luma([if x.max(y) < 20 { 255u8 } else { 0 }]));
    let empty = ImageBuffer::from_pixel(64, 64, Luma([0u8]));
    let [noise, mask, empty] = [noise, mask, empty].map(|image| encoded(image, ImageFormat::Tiff));
    let file = pages(&[noise.clone(), mask, noise.clone(), empty.clone()]);
    let refusal = read(&file, ImageFormat::Tiff).unwrap_err();
    assert!(refusal.detail.contains("page 4 is empty and may be either"), "{refusal}");
    assert_eq!(read(&pages(&[noise, empty]), ImageFormat::Tiff).unwrap().shape.slices, 2);
}
