//! From the bits of a file to what they measure.

use super::*;

fn tall(pixels: [u32; 8], more: &[Element]) -> Vec<Element> {
    let data = pixels.iter().flat_map(|pixel| EXPLICIT.u32(*pixel)).collect();
    let bits = [
        EXPLICIT.us(tags::BITS_ALLOCATED, 32),
        EXPLICIT.us(tags::BITS_STORED, 32),
        EXPLICIT.us(tags::HIGH_BIT, 31),
        (tags::PIXEL_DATA, "OW", data),
    ];
    [&bits[..], more].concat()
}

#[test]
fn pixels_of_32_bits_are_as_large_as_they_say() {
    let pixels = [0, 1 << 20, 1 << 30, (1 << 31) - 1024, 1 << 31, 3 << 30, u32::MAX, 7];
    assert_eq!(volume(EXPLICIT, &tall(pixels, &[])).voxels, pixels.map(|pixel| pixel as f32));
    let signed = [EXPLICIT.us(tags::PIXEL_REPRESENTATION, 1)];
    let expected = pixels.map(|pixel| pixel as i32 as f32);
    assert_eq!(volume(EXPLICIT, &tall(pixels, &signed)).voxels, expected);
    let inverse = [(tags::PHOTOMETRIC_INTERPRETATION, "CS", text("MONOCHROME1"))];
    let turned = volume(EXPLICIT, &tall(pixels, &inverse)).voxels;
    assert_eq!(turned, pixels.map(|pixel| 4_294_967_296.0 - pixel as f32));
    // Too near to each other, so far from nought, to stay different.
    let near = [0, 1, 2, 3, 4, 5, 6, 7].map(|step| (1 << 31) + step);
    assert_eq!(refused(&tall(near, &[])), RefusalReason::Unsupported);
}

/// A modality table with that descriptor.
fn table(writer: Writer, descriptor: [u16; 3], data: Vec<u8>) -> Element {
    let descriptor = descriptor.iter().flat_map(|value| writer.u16(*value)).collect();
    let item = vec![(tags::LUT_DESCRIPTOR, "US", descriptor), (tags::LUT_DATA, "OW", data)];
    writer.sequence(tags::MODALITY_LUT_SEQUENCE, &[item])
}

#[test]
fn entries_of_a_modality_table_have_8_or_16_bits() {
    let entries: Vec<u8> = (0..4096).map(|value| (value / 16) as u8).collect();
    let words = |writer: Writer| -> Vec<u8> {
        entries.iter().flat_map(|value| writer.u16(u16::from(*value))).collect()
    };
    let swapped: Vec<u8> = entries.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    let cases = [
        ("packed", EXPLICIT, 8, entries.clone()),
        ("packed", IMPLICIT, 8, entries.clone()),
        ("packed, in words that are swapped", BIG, 8, swapped),
        ("one a word", EXPLICIT, 8, words(EXPLICIT)),
        ("one a word", BIG, 8, words(BIG)),
        ("16 bits", BIG, 16, words(BIG)),
    ];
    for (name, writer, bits, data) in cases {
        let mapped = volume(writer, &[table(writer, [4096, 0, bits], data)]).voxels;
        assert_eq!(mapped, PIXELS.map(|pixel| (pixel / 16) as f32), "{name}, {}", writer.syntax);
    }
    for bits in [8, 16] {
        let short = table(EXPLICIT, [4096, 0, bits], entries[..4000].to_vec());
        assert_eq!(refused(&[short]), RefusalReason::Corrupt, "{bits}");
    }
}

#[test]
fn the_first_value_of_a_modality_table_is_signed_as_the_pixels_are() {
    let entries: Vec<u8> = (0..5000_u16).flat_map(u16::to_le_bytes).collect();
    for (signed, first) in [(0, 32768), (0, 60000), (0, 100), (1, 0x10000 - 1000), (1, 100)] {
        let first = first as u16;
        let pixels =
            PIXELS.iter().flat_map(|pixel| EXPLICIT.u16(first.wrapping_add(*pixel as u16)));
        let elements = [
            EXPLICIT.us(tags::BITS_STORED, 16),
            EXPLICIT.us(tags::HIGH_BIT, 15),
            EXPLICIT.us(tags::PIXEL_REPRESENTATION, signed),
            (tags::PIXEL_DATA, "OW", pixels.collect()),
            table(EXPLICIT, [5000, first, 16], entries.clone()),
        ];
        assert_eq!(volume(EXPLICIT, &elements).voxels, floats(&PIXELS), "{signed} {first}");
    }
}

#[test]
fn a_slope_that_is_no_number_is_refused_by_name_and_an_empty_one_is_none() {
    let refusal = |tag, words: &str| {
        let elements = slice(EXPLICIT, &PIXELS, &[(tag, "DS", text(words))]);
        decode::decode(&EXPLICIT.file(&EXPLICIT.data_set(&elements)), &limits()).unwrap_err()
    };
    for (tag, words, name) in [
        (tags::RESCALE_SLOPE, "0,5", "RescaleSlope"),
        (tags::RESCALE_SLOPE, "1\\2", "RescaleSlope"),
        (tags::RESCALE_SLOPE, "NaN", "RescaleSlope"),
        (tags::RESCALE_INTERCEPT, "-1024,0", "RescaleIntercept"),
    ] {
        let refusal = refusal(tag, words);
        assert_eq!(refusal.problem, RefusalReason::Corrupt, "{words}");
        let expected = format!("The DICOM file's {name} is not a number.");
        assert!(refusal.detail.starts_with(&expected), "{refusal}");
    }
    for tag in [tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT] {
        assert_eq!(volume(EXPLICIT, &[(tag, "DS", text(" "))]).voxels, floats(&PIXELS));
    }
}

#[test]
fn padding_is_told_by_the_stored_bits_alone() {
    let pixels = [-2048, 9, 12, 300, 900, 1000, 2000, 5];
    let data: Vec<u8> =
        pixels.iter().flat_map(|pixel| EXPLICIT.u16(*pixel as i16 as u16 & 0x0fff)).collect();
    for padding in [0x0800, 0xf800] {
        let elements = [
            EXPLICIT.us(tags::PIXEL_REPRESENTATION, 1),
            EXPLICIT.us(tags::PIXEL_PADDING_VALUE, padding),
            (tags::PIXEL_DATA, "OW", data.clone()),
        ];
        let padded = volume(EXPLICIT, &elements).voxels;
        assert_eq!(padded[..2], [5.0, 9.0], "{padding:x}");
    }
}

#[test]
fn pixels_of_more_frames_than_are_declared_are_refused_and_padding_is_not() {
    let plain: Vec<u8> = PIXELS.iter().flat_map(|pixel| EXPLICIT.u16(*pixel as u16)).collect();
    let longer = |more: usize| {
        let data = [plain.clone(), plain[..more].to_vec()].concat();
        slice(EXPLICIT, &PIXELS, &[(tags::PIXEL_DATA, "OW", data)])
    };
    let file = |more| EXPLICIT.file(&EXPLICIT.data_set(&longer(more)));
    let padded = decode::decode(&file(plain.len() - 2), &limits()).unwrap();
    assert_eq!(padded.volume.voxels, floats(&PIXELS));
    assert_eq!(problem(&file(plain.len())), RefusalReason::Corrupt);

    let info = charls::FrameInfo { width: 4, height: 2, bits_per_sample: 12, component_count: 1 };
    let jls = charls::CharLS::default().encode(info, 0, &plain).unwrap();
    let writer = Writer { syntax: "1.2.840.10008.1.2.4.80", ..EXPLICIT };
    let mut elements = slice(writer, &PIXELS, &[]);
    elements.retain(|(tag, ..)| *tag != tags::PIXEL_DATA);
    let compressed = |fragments: &[&[u8]]| {
        writer.file(&[writer.data_set(&elements), writer.encapsulated(fragments)].concat())
    };
    // One frame in two fragments, and two frames.
    let (head, tail) = jls.split_at(jls.len() / 2);
    let whole = decode::decode(&compressed(&[head, tail]), &limits()).unwrap().volume;
    assert_eq!(whole.voxels, floats(&PIXELS));
    assert_eq!(problem(&compressed(&[&jls, &jls])), RefusalReason::Corrupt);
}

#[test]
fn one_frame_may_be_described_by_shared_groups_alone() {
    let mut elements = enhanced(&[(4.0, "1")]);
    elements.retain(|(tag, ..)| *tag != tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let geometry = volume(EXPLICIT, &elements).geometry.unwrap();
    assert_eq!(geometry.known, crate::Known::Directions);
    assert_eq!(geometry.spacing(), [9.0, 0.5, 0.25]);
    // What the groups leave out may stand beside them.
    elements.extend_from_slice(&place(4.0)[..1]);
    let geometry = volume(EXPLICIT, &elements).geometry.unwrap();
    assert_eq!((geometry.known, geometry.origin), (crate::Known::Place, [-10.0, -20.0, 4.0]));
}
