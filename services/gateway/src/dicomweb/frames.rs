//! Frames of an instance, as they are stored (PS3.18, 10.4.1.1.6).

use std::collections::HashSet;

use bytes::Bytes;
use imaging::{Extent, PixelExtents};

use crate::problem::{INTERNAL, INVALID, NOT_ACCEPTABLE, NOT_FOUND, Problem};

/// Frames of one answer.
const FRAMES_MAX: usize = 4096;

/// The numbers, from 1, of a list such as `1,2,7`: each once, as PS3.18 has it, so that an answer is no larger than its file.
pub fn numbers(list: &str) -> Result<Vec<u32>, Problem> {
    let bad = || INVALID.problem("frames are a list of numbers from 1 on, each once, as in 1,2,7");
    let numbers =
        list.split(',').map(|number| number.parse::<u32>().ok().filter(|number| *number > 0));
    let numbers: Vec<u32> = numbers.collect::<Option<_>>().ok_or_else(bad)?;
    let mut seen = HashSet::new();
    let each_once = numbers.iter().all(|number| seen.insert(*number));
    if numbers.len() > FRAMES_MAX || !each_once { Err(bad()) } else { Ok(numbers) }
}

/// What frames of that transfer syntax are (PS3.18, 8.7.3.3).
pub fn media_type(transfer_syntax: &str) -> &'static str {
    match transfer_syntax {
        "1.2.840.10008.1.2.5" => "image/dicom-rle",
        "1.2.840.10008.1.2.4.50"
        | "1.2.840.10008.1.2.4.51"
        | "1.2.840.10008.1.2.4.57"
        | "1.2.840.10008.1.2.4.70" => "image/jpeg",
        "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => "image/jls",
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => "image/jp2",
        _ => "application/octet-stream",
    }
}

/// Whether octets are what any reader of explicit little endian takes them for.
pub fn is_plain(pixels: &PixelExtents) -> bool {
    matches!(pixels, PixelExtents::Native { .. })
}

/// One frame of the file, in little endian where it is not compressed.
pub fn cut(file: &Bytes, pixels: Option<&PixelExtents>, number: u32) -> Result<Bytes, Problem> {
    let Some(pixels) = pixels else {
        return Err(NOT_ACCEPTABLE.problem(
            "this instance has no pixels, or they cannot be told apart as it is written: ask for all of it",
        ));
    };
    let index = number as usize - 1;
    match pixels {
        PixelExtents::Encapsulated(frames) => {
            let fragments = frames.get(index).ok_or_else(no_such)?;
            let pieces = fragments.iter().map(|fragment| part(file, *fragment));
            Ok(pieces.collect::<Result<Vec<_>, _>>()?.concat().into())
        }
        PixelExtents::Native { all, frame_bits, swapped } => {
            let from = frame_bits.saturating_mul(index as u64);
            if from.saturating_add(*frame_bits) > all.bytes.saturating_mul(8) {
                return Err(no_such());
            }
            let cut = if *swapped { swapped_bits } else { bits };
            Ok(cut(part(file, *all)?, from, *frame_bits).into())
        }
    }
}

fn no_such() -> Problem {
    NOT_FOUND.problem("the instance has no such frame")
}

/// Those bytes of the file.
pub fn part(file: &[u8], extent: Extent) -> Result<&[u8], Problem> {
    let (at, end) = (extent.at as usize, extent.end() as usize);
    file.get(at..end).ok_or_else(|| INTERNAL.problem("internal error"))
}

/// So many bits from that one on, the first in the lowest place (PS3.5, 8.1.1): frames of single bits need not begin with a byte.
fn bits(all: &[u8], from: u64, count: u64) -> Vec<u8> {
    let (first, shift) = ((from / 8) as usize, (from % 8) as u32);
    let length = count.div_ceil(8) as usize;
    if shift == 0 && count.is_multiple_of(8) {
        return all[first..first + length].to_vec();
    }
    let byte = |at: usize| u16::from(all.get(at).copied().unwrap_or_default());
    let shifted = |at: usize| ((byte(first + at) | (byte(first + at + 1) << 8)) >> shift) as u8;
    let mut bits: Vec<u8> = (0..length).map(shifted).collect();
    if let Some(last) = bits.last_mut().filter(|_| !count.is_multiple_of(8)) {
        *last &= (1_u8 << (count % 8)) - 1;
    }
    bits
}

/// The same of words of two bytes with the high one first: a frame need not begin with a word.
fn swapped_bits(all: &[u8], from: u64, count: u64) -> Vec<u8> {
    const WORD_BITS: u64 = 16;
    let (first, end) = (from / WORD_BITS, (from + count).div_ceil(WORD_BITS));
    let end = all.len().min(2 * end as usize);
    bits(&little_endian(&all[2 * first as usize..end]), from % WORD_BITS, count)
}

/// Words of two bytes with the low one first.
fn little_endian(words: &[u8]) -> Vec<u8> {
    words.chunks(2).flat_map(|word| word.iter().rev().copied()).collect()
}

/// All pixels that are not compressed, in little endian.
pub fn octets(file: &Bytes, all: Extent, swapped: bool) -> Result<Bytes, Problem> {
    let octets = part(file, all)?;
    Ok(if swapped { little_endian(octets).into() } else { file.slice_ref(octets) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_from_one() {
        assert_eq!(numbers("1,3,2").unwrap(), [1, 3, 2]);
        for bad in ["", "0", "1,", "a", "-1", "1;2", "1,2,1"] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_frame_is_its_own_bytes_in_little_endian() {
        let file = Bytes::from_static(&[9, 1, 2, 3, 4, 5, 6, 7, 8]);
        let all = Extent { at: 1, bytes: 8 };
        let native = |swapped| PixelExtents::Native { all, frame_bits: 32, swapped };
        assert_eq!(cut(&file, Some(&native(false)), 2).unwrap(), &[5, 6, 7, 8][..]);
        assert_eq!(cut(&file, Some(&native(true)), 1).unwrap(), &[2, 1, 4, 3][..]);
        assert!(cut(&file, Some(&native(false)), 3).is_err());
        // Of three bytes a frame, the second begins within a word.
        let odd = Extent { at: 1, bytes: 6 };
        let odd = PixelExtents::Native { all: odd, frame_bits: 24, swapped: true };
        assert_eq!(cut(&file, Some(&odd), 1).unwrap(), &[2, 1, 4][..]);
        assert_eq!(cut(&file, Some(&odd), 2).unwrap(), &[3, 6, 5][..]);
        assert_eq!(octets(&file, all, true).unwrap(), &[2, 1, 4, 3, 6, 5, 8, 7][..]);
        assert_eq!(octets(&file, all, false).unwrap(), &file[1..]);
        let pieces = vec![
            vec![Extent { at: 0, bytes: 1 }],
            vec![Extent { at: 1, bytes: 1 }, Extent { at: 8, bytes: 1 }],
        ];
        let fragments = PixelExtents::Encapsulated(pieces);
        assert_eq!(cut(&file, Some(&fragments), 2).unwrap(), &[1, 8][..]);
        assert!(cut(&file, None, 1).is_err());
    }

    #[test]
    fn a_frame_of_single_bits_need_not_begin_with_a_byte() {
        // Three frames of five pixels: 10110, 01101 and 11000, the first pixel in the lowest place.
        let bytes = [0b1100_1101, 0b0000_1110];
        let frames = [0, 5, 10].map(|from| bits(&bytes, from, 5));
        assert_eq!(frames, [[0b01101], [0b10110], [0b00011]]);
    }
}
