//! The same values in each way that PS3.5 has to write them.

use super::*;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// Pixels of one byte each, in one or several samples.
fn bytes_a_pixel(writer: Writer, vr: &'static str, data: &[u8], more: &[Element]) -> Vec<Element> {
    let bits = [
        writer.us(tags::BITS_ALLOCATED, 8),
        writer.us(tags::BITS_STORED, 8),
        writer.us(tags::HIGH_BIT, 7),
        (tags::PIXEL_DATA, vr, data.to_vec()),
    ];
    [&bits[..], more].concat()
}

#[test]
fn a_value_stands_in_the_bits_below_its_high_bit() {
    const SIGNED: [i32; 8] = [0, -1, -2048, 2047, 5, -5, 7, 8];
    for high_bit in [11, 13, 15] {
        for (representation, values) in [(0, PIXELS), (1, SIGNED)] {
            let shift = high_bit - 11;
            let foreign = !(0x0fff << shift);
            let sample = |value: i32| (value as u16 & 0x0fff) << shift | foreign;
            let data = values.iter().flat_map(|value| EXPLICIT.u16(sample(*value))).collect();
            let elements = [
                EXPLICIT.us(tags::HIGH_BIT, high_bit),
                EXPLICIT.us(tags::PIXEL_REPRESENTATION, representation),
                (tags::PIXEL_DATA, "OW", data),
            ];
            let read = volume(EXPLICIT, &elements).voxels;
            assert_eq!(read, floats(&values), "high bit {high_bit}, sign {representation}");
        }
    }
}

#[test]
fn bytes_that_were_written_as_words_are_swapped_with_them_and_others_are_not() {
    let pixels = [10, 200, 30, 90, 250, 60, 120, 180];
    let swapped = [200, 10, 90, 30, 60, 250, 180, 120];
    // PS3.5, 7.3: OW is subject to byte ordering, OB is not.
    for (writer, vr, data) in [
        (EXPLICIT, "OB", pixels),
        (EXPLICIT, "OW", pixels),
        (BIG, "OB", pixels),
        (BIG, "OW", swapped),
    ] {
        let read = volume(writer, &bytes_a_pixel(writer, vr, &data, &[])).voxels;
        assert_eq!(read, pixels.map(f32::from), "{vr}, {}", writer.syntax);
    }
}

#[test]
fn colours_are_the_same_grey_pixel_by_pixel_and_plane_by_plane() {
    let colours: [[u8; 3]; 8] = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [90, 90, 90],
        [10, 20, 30],
        [200, 100, 50],
        [0, 0, 0],
        [7, 70, 170],
    ];
    // ITU-R BT.709, and of YBR the first sample, which is the luminance itself (PS3.3, C.7.6.3.1.2).
    let luma =
        |[r, g, b]: [u8; 3]| 0.2126 * f32::from(r) + 0.7152 * f32::from(g) + 0.0722 * f32::from(b);
    let cases: [(&str, [f32; 8]); 2] =
        [("RGB", colours.map(luma)), ("YBR_FULL", colours.map(|colour| f32::from(colour[0])))];
    let by_pixel = colours.concat();
    let by_plane: Vec<u8> =
        (0..3).flat_map(|sample| colours.map(|colour| colour[sample])).collect();
    for (photometric, expected) in cases {
        for (planar, data) in [(0, &by_pixel), (1, &by_plane)] {
            let colour = [
                EXPLICIT.us(tags::SAMPLES_PER_PIXEL, 3),
                EXPLICIT.us(tags::PLANAR_CONFIGURATION, planar),
                (tags::PHOTOMETRIC_INTERPRETATION, "CS", text(photometric)),
            ];
            let read = volume(EXPLICIT, &bytes_a_pixel(EXPLICIT, "OB", data, &colour)).voxels;
            let apart = read.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-3, "{photometric} {planar}: {read:?}");
        }
    }
}

/// A sequence of one item; whether the sequence's length and the item's are told.
fn sequence(writer: Writer, tag: Tag, told: [bool; 2], item: &[Element]) -> Vec<u8> {
    let end = |tag: Tag| writer.with_length(tag, "", 0, &[]);
    let of_length = |tag: Tag, vr: &str, told: bool, body: Vec<u8>, closing: Tag| match told {
        true => writer.with_length(tag, vr, body.len() as u32, &body),
        false => [writer.with_length(tag, vr, u32::MAX, &body), end(closing)].concat(),
    };
    let body = item.iter().flat_map(|element| writer.element(element)).collect();
    let item = of_length(ITEM, "", told[1], body, ITEM_END);
    of_length(tag, "SQ", told[0], item, SEQUENCE_END)
}

#[test]
fn sequences_and_items_mean_the_same_whether_their_length_is_told_or_not() {
    for writer in [EXPLICIT, IMPLICIT, BIG] {
        let words = |values: &[u16]| values.iter().flat_map(|v| writer.u16(*v)).collect::<Vec<_>>();
        let falling: Vec<u16> = (0..4096).rev().collect();
        let table = [
            (tags::LUT_DESCRIPTOR, "US", words(&[4096, 0, 16])),
            (tags::LUT_DATA, "OW", words(&falling)),
        ];
        let (pixels, others): (Vec<Element>, Vec<Element>) =
            slice(writer, &PIXELS, &[]).into_iter().partition(|(tag, ..)| *tag == tags::PIXEL_DATA);
        for told in [[true, true], [true, false], [false, true], [false, false]] {
            let table = sequence(writer, tags::MODALITY_LUT_SEQUENCE, told, &table);
            let set = [writer.data_set(&others), table, writer.data_set(&pixels)].concat();
            let read = decode::decode(&writer.file(&set), &limits()).unwrap().volume.voxels;
            let expected = PIXELS.map(|pixel| (4095 - pixel) as f32);
            assert_eq!(read, expected, "{told:?}, {}", writer.syntax);
        }
    }
}

/// Pixel data with that offset table in front of its fragments.
fn fragments(table: &[usize], fragments: &[&[u8]]) -> Vec<u8> {
    let item = |bytes: &[u8]| EXPLICIT.with_length(ITEM, "", bytes.len() as u32, bytes);
    let table: Vec<u8> = table.iter().flat_map(|offset| (*offset as u32).to_le_bytes()).collect();
    let items = fragments.iter().map(|fragment| item(fragment));
    let items: Vec<u8> = std::iter::once(item(&table)).chain(items).flatten().collect();
    let end = EXPLICIT.with_length(SEQUENCE_END, "", 0, &[]);
    EXPLICIT.with_length(tags::PIXEL_DATA, "OB", u32::MAX, &[items, end].concat())
}

#[test]
fn frames_in_several_fragments_are_put_together_by_the_offset_table_and_never_by_guess() {
    const ITEM_HEADER: usize = 8;
    let frame = |pixels: [i32; 8]| {
        let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| EXPLICIT.u16(*pixel as u16)).collect();
        let (width, height) = (4, 2);
        let info = charls::FrameInfo { width, height, bits_per_sample: 12, component_count: 1 };
        charls::CharLS::default().encode(info, 0, &bytes).unwrap()
    };
    let mut backwards = PIXELS;
    backwards.reverse();
    let (first, second) = (frame(PIXELS), frame(backwards));
    let halves =
        |frame: &[u8]| [frame[..frame.len() / 2].to_vec(), frame[frame.len() / 2..].to_vec()];
    let [a, b] = halves(&first);
    let [c, d] = halves(&second);
    let writer = Writer { syntax: "1.2.840.10008.1.2.4.80", ..EXPLICIT };
    let mut elements = slice(writer, &PIXELS, &enhanced(&[(0.0, "1"), (2.0, "1")]));
    elements.retain(|(tag, ..)| *tag != tags::PIXEL_DATA);
    let read = |table: &[usize], parts: &[&[u8]]| {
        let set = [writer.data_set(&elements), fragments(table, parts)].concat();
        decode::decode(&writer.file(&set), &limits()).map(|decoded| decoded.volume)
    };
    // Offsets count from the first fragment's item on (PS3.5, A.4).
    let begins = 2 * ITEM_HEADER + first.len();
    let uneven = ITEM_HEADER + first.len();
    let expected = [floats(&PIXELS), floats(&backwards)].concat();
    let whole: [(&[usize], &[&[u8]]); 4] = [
        (&[0, begins], &[&a, &b, &c, &d]),
        (&[0, uneven], &[&first, &c, &d]),
        (&[0, begins], &[&a, &b, &second]),
        // One fragment for each frame needs no table.
        (&[], &[&first, &second]),
    ];
    for (table, parts) in whole {
        assert_eq!(read(table, parts).unwrap().voxels, expected, "{table:?}");
    }
    let refused = |table: &[usize], parts: &[&[u8]]| {
        let refusal = read(table, parts).unwrap_err();
        (refusal.problem, refusal.detail.contains("where its frames begin"))
    };
    assert_eq!(refused(&[], &[&a, &b, &c, &d]), (RefusalReason::Corrupt, true));
    assert_eq!(refused(&[], &[&first]), (RefusalReason::Truncated, false));
    assert_eq!(refused(&[0, begins, begins], &[&a, &b, &c, &d]), (RefusalReason::Corrupt, false));
}

#[test]
fn runs_and_literals_of_run_length_coding_give_the_same_pixels() {
    let pixels = [10.0, 10.0, 10.0, 10.0, 20.0, 30.0, 30.0, 30.0];
    let writer = Writer { syntax: "1.2.840.10008.1.2.5", ..EXPLICIT };
    let mut elements = slice(writer, &PIXELS, &bytes_a_pixel(writer, "OB", &[], &[]));
    elements.retain(|(tag, ..)| *tag != tags::PIXEL_DATA);
    let read = |segment: &[u8]| {
        let header = [1u32, 64].into_iter().chain([0; 14]).flat_map(u32::to_le_bytes);
        let frame: Vec<u8> = header.chain(segment.iter().copied()).collect();
        let set = [writer.data_set(&elements), fragments(&[], &[&frame])].concat();
        let decoded = decode::decode(&writer.file(&set), &limits());
        decoded.map(|decoded| decoded.volume.voxels).map_err(|refusal| refusal.problem)
    };
    // PS3.5, G.3: n from 0 to 127 is followed by n + 1 literal bytes, -n by one that is there n + 1 times, -128 by nothing.
    for segment in [
        &[253, 10, 0, 20, 254, 30][..],
        &[7, 10, 10, 10, 10, 20, 30, 30, 30],
        &[128, 255, 10, 255, 10, 128, 128, 1, 20, 30, 255, 30],
        &[253, 10, 0, 20, 254, 30, 0],
    ] {
        assert_eq!(read(segment), Ok(pixels.to_vec()), "{segment:?}");
    }
    for cut in [&[253, 10, 0, 20][..], &[253], &[7, 10, 10], &[]] {
        assert_eq!(read(cut), Err(RefusalReason::Corrupt), "{cut:?}");
    }
}

#[test]
fn a_slope_that_leads_beyond_all_numbers_is_refused() {
    let steep = [(tags::RESCALE_SLOPE, "DS", text("1e38"))];
    let elements = slice(EXPLICIT, &PIXELS, &steep);
    let file = EXPLICIT.file(&EXPLICIT.data_set(&elements));
    let refusal = decode::decode(&file, &limits()).unwrap_err();
    assert_eq!(refusal.problem, RefusalReason::Corrupt);
    assert!(refusal.detail.starts_with("The image holds values that are no numbers."), "{refusal}");
}
