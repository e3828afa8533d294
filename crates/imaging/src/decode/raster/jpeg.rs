//! What a JPEG's frame header says (ITU T.81, B.2.2), and the lossless frames that the common decoder does not read.

use image::{DynamicImage, ImageBuffer};
use jpeg_decoder::{Decoder, Error, PixelFormat};

use super::Limits;
use crate::{Problem, Refusal};

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

/// The first frame's coding; a file without one is left to the decoder to judge.
pub(super) fn frame(bytes: &[u8]) -> Frame {
    let mut at = 2;
    while let Some([0xff, marker, high, low, precision]) = bytes.get(at..at + 5) {
        match (*marker, *precision) {
            (0xc0..=0xc2, 8) => return Frame::Usual,
            (0xc0..=0xc2, _) => return Frame::Unsupported("of more than 8 bits, with losses"),
            (LOSSLESS, _) => return Frame::Lossless,
            (0xc5..=0xc7, _) => return Frame::Unsupported("in layers"),
            (0xc9..=0xcb | 0xcd..=0xcf, _) => return Frame::Unsupported("with arithmetic coding"),
            _ => {}
        }
        at += 2 + usize::from(u16::from_be_bytes([*high, *low])).max(2);
    }
    Frame::Usual
}

/// Decodes a lossless frame of grey pixels.
pub(super) fn lossless(bytes: &[u8], limits: &Limits) -> Result<DynamicImage, Refusal> {
    let broken = || Problem::Corrupt.refuse("The image data cannot be decoded.");
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
    image.ok_or_else(broken)
}

pub(super) fn unsupported(how: &str) -> Refusal {
    Problem::Unsupported.refuse(format!("It is a JPEG {how}, which is not read here."))
}
