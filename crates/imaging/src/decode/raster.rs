//! PNG, JPEG, TIFF and WebP: grey slices, whatever the file's colours are.

mod jpeg;
mod pages;

use std::io::Cursor;
use std::ops::Range;

use image::metadata::Orientation as Turn;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use self::jpeg::Frame;
use super::{Kind, Limits};
use crate::label_map::{PixelContent, pixel_content};
use crate::{Format, ImageKind, Orientation, Protocol, Refusal, RefusalReason, Volume};

/// Bytes of one pixel in the widest form that a codec unpacks to (RGBA, 32 bit).
const PIXEL_BYTES_MAX: usize = 16;

/// What a picture holds.
#[derive(Debug)]
pub(super) struct Picture {
    /// One slice; the pages of a TIFF are as many.
    pub volume: Volume,
    /// How many its samples have: those of one depth are on one scale.
    pub bits: u16,
}

pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &Limits,
) -> Result<Picture, Refusal> {
    if format != ImageFormat::Tiff {
        complete(bytes, format)?;
        return picture(bytes, format, limits);
    }
    let pages = pages::full(bytes)?;
    if let Some(refusal) = pages::hidden(bytes, &pages) {
        return Err(refusal);
    }
    match *pages {
        [page] if page == pages::first(bytes) => picture(bytes, format, limits),
        ref pages => stacked(bytes, pages, limits),
    }
}

/// The pages of a TIFF as slices, without the label maps among them.
fn stacked(bytes: &[u8], pages: &[usize], limits: &Limits) -> Result<Picture, Refusal> {
    let mut bytes = bytes.to_vec();
    let (mut whole, mut left): (Option<Picture>, usize) = (None, limits.voxels);
    let (mut labels, mut empty) = (Vec::new(), Vec::new());
    for (number, page) in (1..).zip(pages) {
        pages::begun_at(&mut bytes, *page);
        let at = |refusal: Refusal| refusal.at(&format!("Slice {number} of {}", pages.len()));
        let limits = Limits { voxels: left, ..*limits };
        let Picture { volume: page, bits } =
            picture(&bytes, ImageFormat::Tiff, &limits).map_err(at)?;
        match pixel_content(&page.voxels, page.shape.columns) {
            PixelContent::Labels(_) if pages.len() > 1 => {
                labels.push(number);
                continue;
            }
            PixelContent::Blank => empty.push(number),
            _ => {}
        }
        left -= page.voxels.len();
        let Some(Picture { volume: whole, bits: bits_before }) = &mut whole else {
            whole = Some(Picture { volume: page, bits });
            continue;
        };
        let size = |volume: &Volume| (volume.shape.rows, volume.shape.columns);
        if size(&page) != size(whole) {
            return Err(at(
                RefusalReason::MixedSeries.refuse("It has another size than those before.")
            ));
        }
        if bits != *bits_before {
            let what = format!("It has {bits} bits, those before have {bits_before}.");
            return Err(at(RefusalReason::MixedSeries.refuse(what)));
        }
        whole.shape.slices += 1;
        whole.window[1] = whole.window[1].max(page.window[1]);
        whole.voxels.extend(page.voxels);
    }
    if let ([_, ..], [page, ..]) = (&*labels, &*empty) {
        return Err(RefusalReason::MixedSeries.refuse(format!(
            "The file holds slices and label maps, and page {page} is empty and may be either."
        )));
    }
    let mut picture = whole.ok_or_else(super::label_map_alone)?;
    let Volume { shape, remarks, .. } = &mut picture.volume;
    limits.shape(shape.slices, shape.rows, shape.columns)?;
    if let [first, ..] = &*labels {
        remarks.push(match labels.len() {
            1 => format!("page {first} is a label map and was left out"),
            all => format!("{all} pages are label maps and were left out, page {first} first"),
        });
    }
    Ok(picture)
}

fn picture(bytes: &[u8], format: ImageFormat, limits: &Limits) -> Result<Picture, Refusal> {
    let image = match format {
        ImageFormat::Jpeg => match jpeg::frame(bytes) {
            Frame::Usual => unpacked(bytes, format, limits)?,
            Frame::Lossless => jpeg::lossless(bytes, limits)?,
            Frame::Unsupported(how) => return Err(jpeg::unsupported(how)),
        },
        _ => unpacked(bytes, format, limits)?,
    };
    let shape = limits.shape(1, image.height() as usize, image.width() as usize)?;
    let colour = image.color();
    let bits = colour.bits_per_pixel() / u16::from(colour.channel_count());
    let (voxels, window) = grey(image)?;
    let format = match format {
        ImageFormat::Png => Format::Png,
        ImageFormat::Jpeg => Format::Jpeg,
        ImageFormat::Tiff => Format::Tiff,
        _ => Format::WebP,
    };
    let volume = Volume {
        shape,
        voxels,
        geometry: None,
        modality: None,
        kind: ImageKind::Unknown,
        format,
        window,
        remarks: Vec::new(),
        stored: Orientation::default(),
        protocol: Protocol::default(),
    };
    Ok(Picture { volume, bits })
}

fn unpacked(bytes: &[u8], format: ImageFormat, limits: &Limits) -> Result<DynamicImage, Refusal> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut caps = image::Limits::default();
    caps.max_image_width = u32::try_from(limits.side).ok();
    caps.max_image_height = caps.max_image_width;
    caps.max_alloc = Some((limits.voxels * PIXEL_BYTES_MAX) as u64);
    reader.limits(caps);
    let mut decoder = reader.into_decoder().map_err(image_refusal)?;
    let (columns, rows) = decoder.dimensions();
    limits.shape(1, rows as usize, columns as usize)?;
    let way_up = way_up(bytes, format, &mut decoder)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(image_refusal)?;
    image.apply_orientation(way_up);
    Ok(image)
}

/// How the picture is to be turned before it is shown, as every viewer does: by TIFF's own tag, or by Exif's.
fn way_up(
    bytes: &[u8],
    format: ImageFormat,
    decoder: &mut impl ImageDecoder,
) -> Result<Turn, Refusal> {
    let exif = match format {
        ImageFormat::Tiff => return decoder.orientation().map_err(image_refusal),
        // The codec sees it before the pixels only; it may stand behind them.
        ImageFormat::Png => png_chunk(bytes, b"eXIf").map(|content| bytes[content].to_vec()),
        _ => decoder.exif_metadata().map_err(image_refusal)?,
    };
    Ok(turn(&exif.unwrap_or_default()))
}

/// What an Exif block says of it; nothing where there is none.
fn turn(exif: &[u8]) -> Turn {
    // Some writers keep the header that only JPEG has.
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    pages::way_up(exif).and_then(Turn::from_exif).unwrap_or(Turn::NoTransforms)
}

/// Where the content of a PNG's first chunk of that name lies.
fn png_chunk(bytes: &[u8], name: &[u8; 4]) -> Option<Range<usize>> {
    let mut at: usize = 8;
    loop {
        let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let found = rest.first_chunk::<4>()?;
        let from = at + 8;
        let to = from.checked_add(u32::from_be_bytes(*length) as usize)?;
        if found == name {
            return (to <= bytes.len()).then_some(from..to);
        }
        // The chunk's checksum follows it.
        at = to.checked_add(4)?;
    }
}

fn image_refusal(error: ImageError) -> Refusal {
    match error {
        ImageError::Limits(_) => {
            RefusalReason::TooLarge.refuse("The image has more pixels than are read here.")
        }
        ImageError::Unsupported(_) => RefusalReason::Unsupported
            .refuse("The image uses a variant of its format that is not read here."),
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            RefusalReason::Truncated.refuse("The file ends before the image does.")
        }
        _ => RefusalReason::Corrupt.refuse("The image data cannot be decoded."),
    }
}

/// Checks that the file's own end is there: some codecs fill what is missing with grey and say nothing.
fn complete(bytes: &[u8], format: ImageFormat) -> Result<(), Refusal> {
    if is_animated(bytes, format) {
        return Err(RefusalReason::Unsupported.refuse("It is an animation, not one picture."));
    }
    let whole = match format {
        ImageFormat::Png => bytes.windows(4).rev().any(|name| name == b"IEND"),
        ImageFormat::Jpeg => jpeg::end(bytes).is_some(),
        ImageFormat::WebP => webp_is_whole(bytes),
        _ => true,
    };
    if !whole {
        return Err(RefusalReason::Truncated.refuse("The file ends before the image does."));
    }
    if followed(bytes, format) {
        return Err(RefusalReason::Unsupported.refuse(
            "It holds several pictures one behind the other, of which one would be read.",
        ));
    }
    Ok(())
}

/// Whether another picture of the format begins right behind the first: some cameras and tools write them so. Whatever else
/// stands there is padding.
fn followed(bytes: &[u8], format: ImageFormat) -> bool {
    let end = match format {
        ImageFormat::Png => png_end(bytes),
        ImageFormat::Jpeg => jpeg::end(bytes),
        _ => None,
    };
    let Some(behind) = end.and_then(|end| bytes.get(end..)) else { return false };
    let padding = behind.iter().take_while(|byte| **byte == 0).count();
    matches!(Kind::of(&behind[padding..]), Some(Kind::Raster(_)))
}

/// Where the chunk ends that ends a PNG.
fn png_end(bytes: &[u8]) -> Option<usize> {
    const CHECKSUM: usize = 4;
    png_chunk(bytes, b"IEND").map(|content| content.end + CHECKSUM)
}

fn webp_is_whole(bytes: &[u8]) -> bool {
    bytes.get(4..8).and_then(|size| size.try_into().ok()).is_some_and(|size| {
        // The size counts from after itself, without the padding of an odd one.
        u32::from_le_bytes(size) as usize + 8 <= bytes.len() + 1
    })
}

/// Whether the file is one picture after another: to judge the first and stay silent on the rest would be a false
/// promise.
fn is_animated(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        // The control chunk of an APNG stands before the pixels.
        ImageFormat::Png => {
            let head = bytes.windows(4).take_while(|name| *name != b"IDAT");
            head.into_iter().any(|name| name == b"acTL")
        }
        ImageFormat::WebP => {
            const ANIMATION: u8 = 0x02;
            bytes.get(12..16) == Some(b"VP8X")
                && bytes.get(20).is_some_and(|flags| flags & ANIMATION != 0)
        }
        _ => false,
    }
}

/// One grey value per pixel, and the values that stand for black and white.
fn grey(image: DynamicImage) -> Result<(Vec<f32>, [f32; 2]), Refusal> {
    let white = match image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) => 255.0,
        DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => 255.0,
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => 65535.0,
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => 65535.0,
        _ => {
            return Err(
                RefusalReason::Unsupported.refuse("The image's pixels are neither 8 nor 16 bit.")
            );
        }
    };
    let voxels: Vec<f32> = match image {
        DynamicImage::ImageLuma8(grey) => grey.into_raw().into_iter().map(f32::from).collect(),
        DynamicImage::ImageLuma16(grey) => grey.into_raw().into_iter().map(f32::from).collect(),
        DynamicImage::ImageLumaA8(pixels) => over_black(pixels.as_raw(), 2, white),
        DynamicImage::ImageRgb8(pixels) => over_black(pixels.as_raw(), 3, white),
        DynamicImage::ImageRgba8(pixels) => over_black(pixels.as_raw(), 4, white),
        DynamicImage::ImageLumaA16(pixels) => over_black(pixels.as_raw(), 2, white),
        DynamicImage::ImageRgb16(pixels) => over_black(pixels.as_raw(), 3, white),
        DynamicImage::ImageRgba16(pixels) => over_black(pixels.as_raw(), 4, white),
        _ => Vec::new(),
    };
    let window = [0.0, if white > 255.0 { bits_in_use(&voxels) } else { white }];
    Ok((voxels, window))
}

/// The luma of pixels of `channels` samples, the last of which is opacity when their number is even.
fn over_black<T: Copy + Into<f32>>(samples: &[T], channels: usize, white: f32) -> Vec<f32> {
    let pixel = |samples: &[T]| {
        let luma = match *samples {
            [grey] | [grey, _] => grey.into(),
            [red, green, blue, ..] => luma(red.into(), green.into(), blue.into()),
            [] => 0.0,
        };
        let opacity =
            if channels.is_multiple_of(2) { samples[channels - 1].into() / white } else { 1.0 };
        luma * opacity
    };
    samples.chunks_exact(channels).map(pixel).collect()
}

/// Rec. 709 luma; a grey stored as colour keeps its exact value.
pub(super) fn luma(red: f32, green: f32, blue: f32) -> f32 {
    if red == green && green == blue { red } else { 0.2126 * red + 0.7152 * green + 0.0722 * blue }
}

/// White of a 16 bit file: scanners' 10, 12 and 14 bit values are stored in it unscaled.
fn bits_in_use(voxels: &[f32]) -> f32 {
    let highest = voxels.iter().copied().fold(255.0, f32::max) as u32;
    ((highest + 1).next_power_of_two() - 1) as f32
}

#[cfg(test)]
mod tests;
