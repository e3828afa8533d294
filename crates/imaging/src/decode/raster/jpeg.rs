//! What a JPEG's frame header says (ITU T.81, B.2.2), and the lossless frames that the common decoder does not read.

use image::{DynamicImage, ImageBuffer};
use jpeg_decoder::{Decoder, Error, PixelFormat};

use super::{Limits, turn};
use crate::{Refusal, RefusalReason};

/// How a frame is coded, by its marker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Frame {
    /// Baseline, extended or progressive Huffman coding of 8 bits.
    Usual,
    Lossless,
    /// Another, and which.
    Unsupported(&'static str),
}

const LOSSLESS: u8 = 0xc3;
const JPEG_LS: u8 = 0xf7;
const SCAN: u8 = 0xda;
const END: [u8; 2] = [0xff, 0xd9];

/// The first frame's coding; a file without one is left to the decoder to judge.
pub(super) fn frame(bytes: &[u8]) -> Frame {
    for (marker, at) in segments(bytes) {
        match (marker, bytes.get(at + 2)) {
            (0xc0..=0xc2, Some(8)) => return Frame::Usual,
            (0xc0..=0xc2, Some(_)) => {
                return Frame::Unsupported("of more than 8 bits, with losses");
            }
            (LOSSLESS, _) => return Frame::Lossless,
            (0xc5..=0xc7, _) => return Frame::Unsupported("in layers"),
            (0xc9..=0xcb | 0xcd..=0xcf, _) => return Frame::Unsupported("with arithmetic coding"),
            (JPEG_LS, _) => return Frame::Unsupported("of another standard (JPEG-LS)"),
            _ => {}
        }
    }
    Frame::Usual
}

/// Where the image itself (not a thumbnail in its header) ends, behind its end marker.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    let (_, scan) = segments(bytes).find(|(marker, _)| *marker == SCAN)?;
    let length = bytes.get(scan..)?.windows(END.len()).position(|pair| pair == END)?;
    Some(scan + length + END.len())
}

/// The segments in front of the pixels, and that which begins them: each one's marker, and where its length stands. Any
/// number of fill bytes may stand before a marker (B.1.1.2).
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut at = Some(2);
    std::iter::from_fn(move || {
        let begin = at?;
        let fill = bytes.get(begin..)?.iter().take_while(|byte| **byte == 0xff).count();
        let length_at = begin + fill + 1;
        let (&marker, length) = bytes.get(length_at - 1..)?.split_first()?;
        let length = usize::from(u16::from_be_bytes(*length.first_chunk()?));
        at = (marker != SCAN).then_some(length_at + length.max(2));
        (fill > 0).then_some((marker, length_at))
    })
}

/// Decodes a lossless frame of grey pixels, turned as its Exif tag says.
pub(super) fn lossless(bytes: &[u8], limits: &Limits) -> Result<DynamicImage, Refusal> {
    let broken = || RefusalReason::Corrupt.refuse("The image data cannot be decoded.");
    let refused = |error| match error {
        Error::Unsupported(_) => unsupported("without losses, in a rare variant"),
        _ => broken(),
    };
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(4 * limits.voxels);
    decoder.read_info().map_err(refused)?;
    let info = decoder.info().ok_or_else(broken)?;
    limits.shape(1, info.height.into(), info.width.into())?;
    let (width, height) = (info.width.into(), info.height.into());
    let samples = decoder.decode().map_err(refused)?;
    let image = match info.pixel_format {
        PixelFormat::L8 => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
        }
        PixelFormat::L16 => {
            let (words, _) = samples.as_chunks::<2>();
            let words = words.iter().map(|word| u16::from_ne_bytes(*word)).collect();
            ImageBuffer::from_raw(width, height, words).map(DynamicImage::ImageLuma16)
        }
        PixelFormat::RGB24 | PixelFormat::CMYK32 => {
            return Err(unsupported("without losses, in colour"));
        }
    };
    let mut image = image.ok_or_else(broken)?;
    image.apply_orientation(turn(decoder.exif_data().unwrap_or_default()));
    Ok(image)
}

pub(super) fn unsupported(how: &str) -> Refusal {
    RefusalReason::Unsupported.refuse(format!("It is a JPEG {how}, which is not read here."))
}
