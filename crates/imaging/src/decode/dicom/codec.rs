//! The compressed transfer syntaxes (PS3.5, Annex A.4). Each codec's own header is compared with the file's before
//! anything of the size that it declares is allocated.

use jpeg_decoder::PixelFormat as Jpeg;

use super::pixel_format::PixelFormat;
use crate::{Refusal, RefusalReason};

/// All that [`Codec::of`] knows, and no other, but JPEG Extended (…4.51): of that 8 bits are decoded, and 12, which are usual, are not.
/// Where it is not offered, a sender changes to another.
pub(in crate::decode) const TRANSFER_SYNTAXES: [&str; 12] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Codec {
    Native,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

impl Codec {
    /// The codec of a transfer syntax, by its UID (PS3.5, annex A). A [`Refusal`] where it is a vendor's own, or one that
    /// nothing here decodes.
    pub fn of(transfer_syntax: &str) -> Result<Codec, Refusal> {
        let Some(syntax) = transfer_syntax.strip_prefix("1.2.840.10008.1.2") else {
            return Err(RefusalReason::Unsupported
                .refuse("Its pixels are compressed in a vendor's own way."));
        };
        match syntax {
            "" | ".1" | ".1.99" | ".2" => Ok(Codec::Native),
            ".5" => Ok(Codec::Rle),
            ".4.50" | ".4.51" | ".4.57" | ".4.70" => Ok(Codec::Jpeg),
            ".4.80" | ".4.81" => Ok(Codec::JpegLs),
            ".4.90" | ".4.91" => Ok(Codec::Jpeg2000),
            _ => Err(RefusalReason::Unsupported
                .refuse("Its pixels are compressed in a way that is not read here.")),
        }
    }

    /// Says of `format` what is true of this codec's output.
    pub fn adjust(self, format: &mut PixelFormat) {
        if matches!(self, Codec::Jpeg | Codec::Jpeg2000) {
            // These decoders give pixels in turn, and turn YBR into RGB themselves.
            (format.planar, format.first_is_grey) = (false, false);
        }
        // RLE stores plane after plane whatever the file says (PS3.5, Annex G.2).
        format.planar = format.samples > 1 && (format.planar || self == Codec::Rle);
    }

    /// Whether an image begins with these bytes: in a fragment behind the first one, it is another frame.
    pub fn begins(self, bytes: &[u8]) -> bool {
        match self {
            Codec::Native => false,
            // How many segments there are, and that the first follows the header (PS3.5, Annex G.5).
            Codec::Rle => matches!(bytes, [1..=15, 0, 0, 0, 64, 0, 0, 0, ..]),
            Codec::Jpeg | Codec::JpegLs => bytes.starts_with(&[0xff, 0xd8, 0xff]),
            Codec::Jpeg2000 => bytes.starts_with(&[0xff, 0x4f, 0xff, 0x51]),
        }
    }

    /// The samples of one frame.
    pub fn decode(self, bytes: &[u8], format: &PixelFormat) -> Result<Vec<i64>, Refusal> {
        match self {
            Codec::Native => {
                Err(RefusalReason::Corrupt
                    .refuse("The image is compressed and says that it is not."))
            }
            Codec::Rle => rle(bytes, format),
            Codec::Jpeg => jpeg(bytes, format),
            Codec::JpegLs => jpeg_ls(bytes, format),
            Codec::Jpeg2000 => jpeg_2000(bytes, format),
        }
    }
}

fn corrupt_stream() -> Refusal {
    RefusalReason::Corrupt.refuse("The compressed image data cannot be decoded.")
}

/// Refuses a stream whose own header differs from the file's.
fn agree(format: &PixelFormat, columns: usize, rows: usize, samples: usize) -> Result<(), Refusal> {
    if (format.shape.columns, format.shape.rows, format.samples) == (columns, rows, samples) {
        return Ok(());
    }
    Err(RefusalReason::Corrupt
        .refuse("The compressed image has another size than the file declares."))
}

/// PS3.5, Annex G: one PackBits segment per byte of a sample, the most significant first.
fn rle(bytes: &[u8], format: &PixelFormat) -> Result<Vec<i64>, Refusal> {
    const HEADER_BYTES: usize = 64;
    let (words, _) = bytes.get(..HEADER_BYTES).ok_or_else(corrupt_stream)?.as_chunks::<4>();
    let word = |index: usize| u32::from_le_bytes(words[index]) as usize;
    let count = format.samples * format.bytes_per_sample;
    if word(0) != count || count >= words.len() {
        return Err(corrupt_stream());
    }
    let pixels = format.shape.slice_len();
    let mut samples = vec![0u32; pixels * format.samples];
    for segment in 0..count {
        let end = if segment + 1 < count { word(segment + 2) } else { bytes.len() };
        let packed = bytes.get(word(segment + 1)..end).ok_or_else(corrupt_stream)?;
        let plane = &mut samples[segment / format.bytes_per_sample * pixels..][..pixels];
        unpack_bits(packed, plane).ok_or_else(corrupt_stream)?;
    }
    Ok(samples.into_iter().map(|sample| format.value(sample)).collect())
}

/// Appends one unpacked byte to each sample; None when there are too few.
fn unpack_bits(mut packed: &[u8], samples: &mut [u32]) -> Option<()> {
    let mut left = samples.iter_mut();
    while left.len() > 0 {
        let (&control, rest) = packed.split_first()?;
        let run = match control {
            0..=127 => {
                let (literal, rest) = rest.split_at_checked(usize::from(control) + 1)?;
                packed = rest;
                left.by_ref()
                    .zip(literal)
                    .for_each(|(sample, byte)| *sample = *sample << 8 | u32::from(*byte));
                continue;
            }
            128 => 0,
            _ => 257 - usize::from(control),
        };
        packed = rest;
        if run > 0 {
            let (&byte, rest) = packed.split_first()?;
            packed = rest;
            left.by_ref().take(run).for_each(|sample| *sample = *sample << 8 | u32::from(byte));
        }
    }
    Some(())
}

fn jpeg(bytes: &[u8], format: &PixelFormat) -> Result<Vec<i64>, Refusal> {
    let refused = |error| match error {
        jpeg_decoder::Error::Unsupported(_) => RefusalReason::Unsupported
            .refuse("It is compressed in a rare variant of JPEG that is not read here."),
        _ => corrupt_stream(),
    };
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(format.samples_per_frame() * 4);
    decoder.read_info().map_err(refused)?;
    let info = decoder.info().ok_or_else(corrupt_stream)?;
    let samples = if info.pixel_format == Jpeg::RGB24 { 3 } else { 1 };
    agree(format, info.width.into(), info.height.into(), samples)?;
    let decoded = decoder.decode().map_err(refused)?;
    match info.pixel_format {
        Jpeg::L8 | Jpeg::RGB24 => {
            Ok(decoded.iter().map(|&byte| format.value(byte.into())).collect())
        }
        Jpeg::L16 => {
            let (words, _) = decoded.as_chunks::<2>();
            Ok(words.iter().map(|word| format.value(u16::from_ne_bytes(*word).into())).collect())
        }
        Jpeg::CMYK32 => {
            Err(RefusalReason::Unsupported.refuse("It is a JPEG for print, in four colours."))
        }
    }
}

fn jpeg_ls(bytes: &[u8], format: &PixelFormat) -> Result<Vec<i64>, Refusal> {
    // The frame header: marker SOF55, length, precision, lines, samples per line, components.
    let header = bytes
        .windows(10)
        .find(|window| window.starts_with(&[0xff, 0xf7]))
        .ok_or_else(corrupt_stream)?;
    let precision = header[4];
    let [lines, columns] =
        [5, 7].map(|at| usize::from(u16::from_be_bytes([header[at], header[at + 1]])));
    agree(format, columns, lines, header[9].into())?;
    if format.samples > 1 {
        return Err(RefusalReason::Unsupported
            .refuse("It is a JPEG-LS image in colour, which is not read here."));
    }
    let decode = |bytes: &[u8]| charls::CharLS::default().decode(bytes);
    let decoded = decode(bytes)
        .or_else(|error| decode(&unpadded(bytes).ok_or(error)?))
        .map_err(|_| corrupt_stream())?;
    if precision <= 8 {
        return Ok(decoded.iter().map(|&byte| format.value(byte.into())).collect());
    }
    let (words, _) = decoded.as_chunks::<2>();
    Ok(words.iter().map(|word| format.value(u16::from_ne_bytes(*word).into())).collect())
}

/// Without a zero before the end marker: some encoders pad there to an even length, where the standard has no room.
fn unpadded(bytes: &[u8]) -> Option<Vec<u8>> {
    const END: [u8; 2] = [0xff, 0xd9];
    let end = bytes.windows(2).rposition(|pair| pair == END)?;
    let stream = bytes[..end].strip_suffix(&[0])?;
    Some([stream, &END].concat())
}

fn jpeg_2000(bytes: &[u8], format: &PixelFormat) -> Result<Vec<i64>, Refusal> {
    let (columns, rows, samples) = jpeg_2000_size(bytes).ok_or_else(corrupt_stream)?;
    agree(format, columns, rows, samples)?;
    let strict = jpeg2k::DecodeParameters::new().strict(true);
    let image = jpeg2k::Image::from_bytes_with(bytes, strict).map_err(|_| corrupt_stream())?;
    let components = image.components();
    let whole = |component: &jpeg2k::ImageComponent| {
        (component.width() as usize, component.height() as usize) == (columns, rows)
    };
    if components.len() != samples || !components.iter().all(whole) {
        return Err(corrupt_stream());
    }
    let mut planes: Vec<Vec<i64>> =
        components.iter().map(|component| signed_as(component, format)).collect();
    drop(image);
    if samples == 1 {
        return planes.pop().ok_or_else(corrupt_stream);
    }
    let pixels = columns * rows;
    Ok((0..pixels).flat_map(|pixel| planes.iter().map(move |plane| plane[pixel])).collect())
}

/// A component's samples with the sign that the file, not the codestream, gives them (PS3.5, 8.2.4).
fn signed_as(component: &jpeg2k::ImageComponent, format: &PixelFormat) -> Vec<i64> {
    let bits = bits_within(component.precision(), component.is_signed(), format);
    component.data().iter().map(|&value| bits.value(value as u32)).collect()
}

/// Which bits of the decoder's samples are the value's: all of them where codestream and file agree on the sign, as the
/// decoder has extended it. Else the sign is the highest stored bit, in a codestream that is wider, too.
fn bits_within(precision: u32, signed: bool, format: &PixelFormat) -> PixelFormat {
    let bits = match signed == format.signed {
        true => 32,
        false => precision.clamp(1, 32).min(format.bits_stored),
    };
    PixelFormat { bits_stored: bits, high_bit: bits - 1, ..format.clone() }
}

/// Columns, rows and components that the codestream's SIZ marker declares (ISO 15444-1, A.5.1).
fn jpeg_2000_size(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let start = bytes.windows(4).position(|window| window == [0xff, 0x4f, 0xff, 0x51])?;
    let siz = bytes.get(start + 8..start + 42)?;
    let word = |at: usize| u32::from_be_bytes([siz[at], siz[at + 1], siz[at + 2], siz[at + 3]]);
    let columns = word(0).checked_sub(word(8))?;
    let rows = word(4).checked_sub(word(12))?;
    Some((columns as usize, rows as usize, usize::from(u16::from_be_bytes([siz[32], siz[33]]))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn the_highest_stored_bit_is_the_sign_in_a_wider_codestream_too() {
        let format = |bits_stored: u32, signed| PixelFormat {
            shape: Shape { slices: 1, rows: 1, columns: 1 },
            samples: 1,
            bytes_per_sample: 4,
            bits_stored,
            high_bit: bits_stored - 1,
            signed,
            inverted: false,
            first_is_grey: false,
            planar: false,
        };
        // The codestream's precision and sign, the file's stored bits and sign, what is decoded, and what it means.
        let cases: [(u32, bool, u32, bool, i32, i64); 10] = [
            (12, false, 12, true, 0x0fff, -1),
            (16, false, 12, true, 0x0fff, -1),
            (16, false, 12, true, 0xffff, -1),
            (16, false, 12, true, 0x07ff, 2047),
            (12, false, 16, true, 0x0fff, -1),
            (16, false, 16, true, 0x8000, -32768),
            (16, true, 16, false, -1, 0xffff),
            (14, true, 16, true, -2000, -2000),
            (16, false, 12, false, 4100, 4100),
            (32, false, 32, false, i32::MIN, 1 << 31),
        ];
        for (precision, own, stored, signed, decoded, value) in cases {
            let bits = bits_within(precision, own, &format(stored, signed));
            assert_eq!(bits.value(decoded as u32), value, "{precision} {own} {stored} {signed}");
        }
    }

    const JPEG_EXTENDED: &str = "1.2.840.10008.1.2.4.51";

    #[test]
    fn every_transfer_syntax_that_is_offered_is_decoded_and_no_other_is_known() {
        for syntax in TRANSFER_SYNTAXES {
            assert!(Codec::of(syntax).is_ok(), "{syntax}");
        }
        let numbers = (0..=255).map(|number| format!("1.2.840.10008.1.2.4.{number}"));
        let others = (0..=9).map(|number| format!("1.2.840.10008.1.2.{number}"));
        for syntax in numbers.chain(others).filter(|uid| Codec::of(uid).is_ok()) {
            let is_offered = TRANSFER_SYNTAXES.contains(&syntax.as_str());
            assert!(is_offered || syntax == JPEG_EXTENDED, "{syntax}");
        }
    }
}
