//! What a file says, as the DICOM JSON model has it (PS3.18, F), and where in it stands what is too long for that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use serde_json::{Map, Number, Value, json};

use super::character_set;
use super::reader::{DataSet, Element, File, PixelData};
use crate::decode::Limits;
use crate::instance::{Extent, Instance, PixelExtents};
use crate::{Refusal, RefusalReason};

/// Longer values have an address in place of the value.
const INLINE_BYTES_MAX: usize = 1024;
/// Sequences within sequences beyond this are left out.
const DEPTH_MAX: usize = 16;

/// What the file says of itself.
pub(in crate::decode) fn instance(bytes: &[u8], limits: &Limits) -> Result<Instance, Refusal> {
    let file = File::read(bytes, limits)?;
    let set = file.data_set()?;
    let unnamed = || RefusalReason::Corrupt.refuse("The DICOM file names no instance.");
    let sop_instance = set.text(tags::SOP_INSTANCE_UID).ok_or_else(unnamed)?;
    let sop_class = set.text(tags::SOP_CLASS_UID).or_else(|| file.sop_class.clone());
    let has_pixels = set.elements.contains_key(&tags::PIXEL_DATA);
    let frames = set.decimals(tags::NUMBER_OF_FRAMES).and_then(|frames| frames.first().copied());
    let frames = frames.map_or(1, |frames| frames.clamp(1.0, f64::from(u32::MAX)) as u32);
    let frames = if has_pixels { frames } else { 0 };
    Ok(Instance {
        sop_class: sop_class.unwrap_or_default(),
        sop_instance,
        transfer_syntax: file.transfer_syntax.clone(),
        attributes: attributes(&set, "", 0),
        frames,
        pixels: pixels(&set, bytes, frames)?,
        bulk: bulk(&set, bytes),
    })
}

/// Where `part` stands in `file`; None of what was unpacked elsewhere.
fn extent(file: &[u8], part: &[u8]) -> Option<Extent> {
    let at = part.as_ptr().addr().checked_sub(file.as_ptr().addr())?;
    let end = at.checked_add(part.len())?;
    (end <= file.len()).then_some(Extent { at: at as u64, bytes: part.len() as u64 })
}

/// The long values, but for the pixels.
fn bulk(set: &DataSet, file: &[u8]) -> Vec<(String, Extent)> {
    let long = set.elements.iter().filter(|(tag, element)| {
        **tag != tags::PIXEL_DATA
            && !element.undefined
            && is_bulk(vr_of(**tag, element, set), element)
    });
    long.filter_map(|(tag, element)| Some((name_of(*tag), extent(file, element.bytes)?))).collect()
}

fn pixels(set: &DataSet, file: &[u8], frames: u32) -> Result<Option<PixelExtents>, Refusal> {
    Ok(match set.pixel_data()? {
        None => None,
        Some(PixelData::Native { bytes, words, big_endian }) => {
            let number = |tag| u64::from(set.short(tag).unwrap_or_default());
            let samples = u64::from(set.short(tags::SAMPLES_PER_PIXEL).unwrap_or(1));
            let bits = number(tags::BITS_ALLOCATED);
            let frame_bits = number(tags::ROWS) * number(tags::COLUMNS) * samples * bits;
            let fits = frame_bits.saturating_mul(u64::from(frames)) <= 8 * bytes.len() as u64;
            let all = extent(file, bytes).filter(|_| fits && frame_bits > 0);
            // PS3.5, 7.3: words are subject to byte ordering, bytes are not.
            all.map(|all| PixelExtents::Native { all, frame_bits, swapped: big_endian && words })
        }
        Some(PixelData::Encapsulated { offsets, fragments }) => {
            let of_frames = shared_out(&offsets, &fragments, frames as usize);
            let of_frame = |parts: Vec<&[u8]>| {
                parts.into_iter().map(|part| extent(file, part)).collect::<Option<Vec<_>>>()
            };
            let extents: Option<Vec<Vec<Extent>>> =
                of_frames.and_then(|all| all.into_iter().map(of_frame).collect());
            extents.map(PixelExtents::Encapsulated)
        }
    })
}

/// The fragments of each frame; None where nothing says which they are.
fn shared_out<'a>(
    offsets: &[u32],
    fragments: &[(usize, &'a [u8])],
    frames: usize,
) -> Option<Vec<Vec<&'a [u8]>>> {
    if frames == 1 {
        return Some(vec![fragments.iter().map(|(_, bytes)| *bytes).collect()]);
    }
    if fragments.len() == frames {
        return Some(fragments.iter().map(|(_, bytes)| vec![*bytes]).collect());
    }
    if offsets.len() != frames {
        return None;
    }
    let mut shared = vec![Vec::new(); frames];
    for (at, bytes) in fragments {
        let begun = offsets.iter().filter(|offset| **offset as usize <= *at).count();
        shared.get_mut(begun.checked_sub(1)?)?.push(*bytes);
    }
    Some(shared)
}

/// The tag as JSON names attributes.
fn name_of(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.group(), tag.element())
}

/// The elements of a file or an item. `sets`: the character sets of what is around it.
fn attributes(set: &DataSet, sets: &str, depth: usize) -> Map<String, Value> {
    let own = set.elements.get(&tags::SPECIFIC_CHARACTER_SET);
    let own = own.map(|own| String::from_utf8_lossy(own.bytes).into_owned());
    let sets = own.as_deref().unwrap_or(sets);
    let told = set.elements.iter().filter(|(tag, _)| {
        // Lengths of groups, and what was before the data set.
        tag.element() != 0 && !matches!(tag.group(), 2 | 0xfffe)
    });
    told.map(|(tag, element)| (name_of(*tag), attribute(*tag, element, set, sets, depth))).collect()
}

fn attribute(tag: Tag, element: &Element, set: &DataSet, sets: &str, depth: usize) -> Value {
    let vr = vr_of(tag, element, set);
    let name = VR::to_string(vr);
    if tag == tags::SPECIFIC_CHARACTER_SET {
        // JSON is UTF-8, whatever the file is in.
        return json!({ "vr": name, "Value": ["ISO_IR 192"] });
    }
    let is_long = tag == tags::PIXEL_DATA || (!element.undefined && is_bulk(vr, element));
    if depth == 0 && is_long {
        return json!({ "vr": name, "BulkDataURI": format!("bulkdata/{}", name_of(tag)) });
    }
    if is_binary(vr) {
        // A long one in a sequence has no address, and is left out.
        let fits = !element.bytes.is_empty() && element.bytes.len() <= INLINE_BYTES_MAX;
        let inline = Some(element).filter(|_| fits && !element.undefined);
        return match inline {
            Some(element) => {
                let bytes = little_endian(vr, element);
                json!({ "vr": name, "InlineBinary": STANDARD.encode(bytes) })
            }
            None => json!({ "vr": name }),
        };
    }
    let values = match vr {
        VR::SQ => items(tag, set, sets, depth),
        _ => values(vr, element, sets),
    };
    if values.is_empty() { json!({ "vr": name }) } else { json!({ "vr": name, "Value": values }) }
}

fn items(tag: Tag, set: &DataSet, sets: &str, depth: usize) -> Vec<Value> {
    if depth >= DEPTH_MAX {
        return Vec::new();
    }
    // What cannot be read within one sequence takes nothing from the others.
    let items = set.items(tag).unwrap_or_default();
    items.iter().map(|item| Value::Object(attributes(item, sets, depth + 1))).collect()
}

/// The representation that the file or, where it does not say, the dictionary gives.
fn vr_of(tag: Tag, element: &Element, set: &DataSet) -> VR {
    if let Some(vr) = VR::from_binary(element.vr).filter(|_| element.encoding.explicit) {
        return vr;
    }
    if element.undefined && tag != tags::PIXEL_DATA {
        return VR::SQ;
    }
    // The creators of private blocks (PS3.5, 7.8.1).
    if tag.group() % 2 == 1 {
        return if (0x10..0x100).contains(&tag.element()) { VR::LO } else { VR::UN };
    }
    let known = StandardDataDictionary.by_tag(tag).map(|entry| entry.vr());
    match known {
        Some(VirtualVr::Xs) if set.short(tags::PIXEL_REPRESENTATION) == Some(1) => VR::SS,
        Some(vr) => vr.relaxed(),
        None => VR::UN,
    }
}

fn is_binary(vr: VR) -> bool {
    matches!(vr, VR::OB | VR::OW | VR::OD | VR::OF | VR::OL | VR::OV | VR::UN)
}

/// The bytes as readers of JSON take them, whatever the order in the file (PS3.18, F.2.7).
fn little_endian(vr: VR, element: &Element) -> Vec<u8> {
    let mut bytes = element.bytes.to_vec();
    let width = match vr {
        VR::OW => 2,
        VR::OF | VR::OL => 4,
        VR::OD | VR::OV => 8,
        _ => 1,
    };
    if element.encoding.big_endian {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    bytes
}

fn is_bulk(vr: VR, element: &Element) -> bool {
    is_binary(vr) && element.bytes.len() > INLINE_BYTES_MAX
}

fn values(vr: VR, element: &Element, sets: &str) -> Vec<Value> {
    let big_endian = element.encoding.big_endian;
    match vr {
        VR::US => {
            numbers(element.bytes, |bytes: [u8; 2]| u16::from_le_bytes(bytes).into(), big_endian)
        }
        VR::SS => {
            numbers(element.bytes, |bytes: [u8; 2]| i16::from_le_bytes(bytes).into(), big_endian)
        }
        VR::UL => {
            numbers(element.bytes, |bytes: [u8; 4]| u32::from_le_bytes(bytes).into(), big_endian)
        }
        VR::SL => {
            numbers(element.bytes, |bytes: [u8; 4]| i32::from_le_bytes(bytes).into(), big_endian)
        }
        VR::UV => {
            numbers(element.bytes, |bytes: [u8; 8]| u64::from_le_bytes(bytes).into(), big_endian)
        }
        VR::SV => {
            numbers(element.bytes, |bytes: [u8; 8]| i64::from_le_bytes(bytes).into(), big_endian)
        }
        VR::FL => numbers(
            element.bytes,
            |bytes: [u8; 4]| float(f32::from_le_bytes(bytes).into()),
            big_endian,
        ),
        VR::FD => {
            numbers(element.bytes, |bytes: [u8; 8]| float(f64::from_le_bytes(bytes)), big_endian)
        }
        VR::AT => tags_in(element.bytes, big_endian),
        VR::DS | VR::IS => split(element, "").iter().map(|text| decimal(text)).collect(),
        VR::PN => split_names(element, sets).iter().map(|name| person(name)).collect(),
        VR::LT | VR::ST | VR::UT | VR::UR => {
            let text = character_set::decoded(element.bytes, sets, false);
            let text = text.trim_end_matches(is_padding);
            if text.is_empty() { Vec::new() } else { vec![Value::from(text)] }
        }
        VR::LO | VR::SH | VR::UC => split(element, sets).iter().map(|text| said(text)).collect(),
        // Those that are ASCII whatever the file's character set is.
        _ => split(element, "").iter().map(|text| said(text)).collect(),
    }
}

fn numbers<const N: usize>(
    bytes: &[u8],
    value: impl Fn([u8; N]) -> Value,
    big_endian: bool,
) -> Vec<Value> {
    let (all, _) = bytes.as_chunks::<N>();
    let of = |bytes: &[u8; N]| {
        let mut bytes = *bytes;
        if big_endian {
            bytes.reverse();
        }
        value(bytes)
    };
    all.iter().map(of).collect()
}

fn tags_in(bytes: &[u8], big_endian: bool) -> Vec<Value> {
    let (all, _) = bytes.as_chunks::<4>();
    let half = |high: u8, low: u8| {
        if big_endian { u16::from_be_bytes([high, low]) } else { u16::from_le_bytes([high, low]) }
    };
    let of = |[a, b, c, d]: &[u8; 4]| Value::from(name_of(Tag(half(*a, *b), half(*c, *d))));
    all.iter().map(of).collect()
}

/// What is no number has no form in JSON.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn is_padding(letter: char) -> bool {
    letter.is_whitespace() || letter == '\0'
}

fn split(element: &Element, sets: &str) -> Vec<String> {
    separate(&character_set::decoded(element.bytes, sets, false))
}

fn split_names(element: &Element, sets: &str) -> Vec<String> {
    separate(&character_set::decoded(element.bytes, sets, true))
}

/// The values of a text, without padding; none of one that is empty.
fn separate(text: &str) -> Vec<String> {
    let text = text.trim_matches(is_padding);
    if text.is_empty() {
        return Vec::new();
    }
    text.split('\\').map(|value| value.trim_matches(is_padding).to_owned()).collect()
}

fn said(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// A number where it is one, else as it is written.
fn decimal(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    let number = text.parse::<f64>().ok().and_then(Number::from_f64);
    number.map_or_else(|| said(text), Value::Number)
}

fn person(name: &str) -> Value {
    let groups = ["Alphabetic", "Ideographic", "Phonetic"].into_iter().zip(name.split('='));
    let groups = groups.filter(|(_, group)| !group.is_empty());
    let groups: Map<String, Value> =
        groups.map(|(called, group)| (called.to_owned(), Value::from(group))).collect();
    if groups.is_empty() { Value::Null } else { Value::Object(groups) }
}
