use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::{Geometry, Known, Shape};

mod forms;

/// A header in which fields are set one by one.
struct Writer {
    bytes: Vec<u8>,
    wide: bool,
    big_endian: bool,
}

impl Writer {
    /// 3 columns, 2 rows and 2 slices of i16 behind an sform.
    fn new(wide: bool, big_endian: bool) -> Writer {
        let size: u32 = if wide { 540 } else { 348 };
        let mut writer = Writer { bytes: vec![0; size as usize + 4], wide, big_endian };
        writer.put(0, &size.to_le_bytes());
        let magic = if wide { 4 } else { 344 };
        writer.bytes[magic..magic + 3].copy_from_slice(if wide { b"n+2" } else { b"n+1" });
        for (index, size) in [3, 3, 2, 2, 1, 1, 1, 1].into_iter().enumerate() {
            writer.dim(index, size);
        }
        writer.int(if wide { 12 } else { 70 }, 2, 4);
        if wide {
            writer.int(168, 8, 544)
        } else {
            writer.real(108, 352.0)
        }
        writer.sform([[-2.0, 0.0, 0.0, 10.0], [0.0, -3.0, 0.0, 20.0], [0.0, 0.0, 4.0, 30.0]]);
        writer.pixdim([2.0, 3.0, 4.0]);
        writer
    }

    /// Writes a field given in little endian.
    fn put(&mut self, at: usize, little_endian: &[u8]) {
        let mut field = little_endian.to_vec();
        if self.big_endian {
            field.reverse();
        }
        self.bytes[at..at + field.len()].copy_from_slice(&field);
    }

    fn int(&mut self, at: usize, width: usize, value: i64) {
        self.put(at, &value.to_le_bytes()[..width]);
    }

    fn real(&mut self, at: usize, value: f64) {
        if self.wide {
            self.put(at, &value.to_le_bytes())
        } else {
            self.put(at, &(value as f32).to_le_bytes())
        }
    }

    fn dim(&mut self, index: usize, size: i64) {
        if self.wide {
            self.int(16 + 8 * index, 8, size)
        } else {
            self.int(40 + 2 * index, 2, size)
        }
    }

    fn sform(&mut self, rows: [[f64; 4]; 3]) {
        let (code, width) = if self.wide { (348, 4) } else { (254, 2) };
        self.int(code, width, 1);
        let (at, width) = if self.wide { (400, 8) } else { (280, 4) };
        for (index, value) in rows.into_iter().flatten().enumerate() {
            self.real(at + index * width, value);
        }
    }

    fn pixdim(&mut self, sizes: [f64; 3]) {
        let (at, width) = if self.wide { (104, 8) } else { (76, 4) };
        for (index, size) in (1..).zip(sizes) {
            self.real(at + index * width, size);
        }
    }

    /// NIfTI-1's.
    fn qoffset(&mut self, offset: [f64; 3]) {
        for (at, value) in [268, 272, 276].into_iter().zip(offset) {
            self.real(at, value);
        }
    }

    fn file(&self, data: &[u8]) -> Vec<u8> {
        [&self.bytes[..], data].concat()
    }

    fn shorts(&self, values: impl IntoIterator<Item = i16>) -> Vec<u8> {
        let bytes =
            |value: i16| if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        values.into_iter().flat_map(bytes).collect()
    }

    fn whole(&self) -> Vec<u8> {
        self.file(&self.shorts(-6..6))
    }
}

fn read(bytes: &[u8]) -> Result<Volume, Refusal> {
    decode(bytes, &Limits::default())
}

fn problem(change: impl FnOnce(&mut Writer)) -> RefusalReason {
    let mut writer = Writer::new(false, false);
    change(&mut writer);
    read(&writer.whole()).unwrap_err().problem
}

#[test]
fn both_versions_in_both_byte_orders_are_the_same_volume() {
    for (wide, big_endian) in [(false, false), (false, true), (true, false), (true, true)] {
        let volume = read(&Writer::new(wide, big_endian).whole()).unwrap();
        assert_eq!(volume.shape, Shape { slices: 2, rows: 2, columns: 3 });
        assert_eq!(volume.voxels, (-6..6).map(|value| value as f32).collect::<Vec<_>>());
        // RAS turned into LPS: x and y change their signs.
        let geometry = Geometry {
            origin: [-10.0, -20.0, 30.0],
            slice_step: [0.0, 0.0, 4.0],
            row_step: [0.0, 3.0, 0.0],
            column_step: [2.0, 0.0, 0.0],
            known: Known::Place,
        };
        assert_eq!(volume.geometry, Some(geometry), "NIfTI-2: {wide}, big endian: {big_endian}");
    }
}

#[test]
fn a_gzipped_volume_is_the_same_and_what_it_unpacks_to_is_limited() {
    let plain = Writer::new(false, false).whole();
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&plain).unwrap();
    let packed = packed.finish().unwrap();
    let unpacked = |bytes: &[u8], limits| crate::decode::decode(bytes, &limits);
    let volume = unpacked(&packed, Limits::default()).unwrap().volume;
    assert_eq!(volume, read(&plain).unwrap());
    let cut = unpacked(&packed[..packed.len() - 9], Limits::default()).unwrap_err();
    assert_eq!(cut.problem, RefusalReason::Truncated);
    let limits = Limits { bytes: plain.len() - 1, ..Limits::default() };
    assert_eq!(unpacked(&packed, limits).unwrap_err().problem, RefusalReason::TooLarge);
}

#[test]
fn a_quaternion_turns_the_volume() {
    let mut writer = Writer::new(false, false);
    writer.int(254, 2, 0);
    writer.int(252, 2, 1);
    // A half turn about z (a = 0, d = 1), voxels of 2 x 3 x 4 mm, mirrored slices.
    for (at, value) in [
        (264, 1.0),
        (76, -1.0),
        (80, 2.0),
        (84, 3.0),
        (88, 4.0),
        (268, 10.0),
        (272, 20.0),
        (276, 30.0),
    ] {
        writer.real(at, value);
    }
    let geometry = read(&writer.whole()).unwrap().geometry.unwrap();
    assert_eq!(geometry.column_step, [2.0, 0.0, 0.0]);
    assert_eq!(geometry.row_step, [0.0, 3.0, 0.0]);
    assert_eq!(geometry.slice_step, [0.0, 0.0, -4.0]);
    assert_eq!(geometry.origin, [-10.0, -20.0, 30.0]);
}

#[test]
fn values_are_scaled_and_nan_is_the_darkest_of_them() {
    let mut writer = Writer::new(false, false);
    writer.real(112, 0.5);
    writer.real(116, 100.0);
    assert_eq!(read(&writer.whole()).unwrap().voxels[..2], [97.0, 97.5]);
    let mut writer = Writer::new(false, true);
    writer.int(70, 2, 16);
    let floats: Vec<u8> = (0..12)
        .map(|n| if n == 3 { f32::NAN } else { n as f32 - 5.0 })
        .flat_map(f32::to_be_bytes)
        .collect();
    assert_eq!(read(&writer.file(&floats)).unwrap().voxels[3], -5.0);
    let nothing = [f32::NAN; 12].map(f32::to_be_bytes).concat();
    assert_eq!(read(&writer.file(&nothing)).unwrap_err().problem, RefusalReason::Blank);
}

#[test]
fn every_plain_number_is_read() {
    let types: [(i64, usize); 10] = [
        (2, 1),
        (256, 1),
        (4, 2),
        (512, 2),
        (8, 4),
        (768, 4),
        (16, 4),
        (1024, 8),
        (1280, 8),
        (64, 8),
    ];
    for (code, bytes) in types {
        let mut writer = Writer::new(false, false);
        writer.int(70, 2, code);
        let one = match code {
            16 => 1f32.to_le_bytes().to_vec(),
            64 => 1f64.to_le_bytes().to_vec(),
            _ => 1u64.to_le_bytes()[..bytes].to_vec(),
        };
        let volume = read(&writer.file(&one.repeat(12))).unwrap();
        assert_eq!(volume.voxels, [1.0; 12], "type {code}");
        assert_eq!(
            read(&writer.file(&one.repeat(11))).unwrap_err().problem,
            RefusalReason::Truncated
        );
    }
}

#[test]
fn sizes_and_sides_that_contradict_each_other_are_refused_by_name() {
    let contradicts = |change: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new(false, false);
        change(&mut writer);
        read(&writer.whole()).map(|volume| volume.geometry.unwrap().spacing())
    };
    let problem =
        |change: &dyn Fn(&mut Writer)| contradicts(change).map_err(|refusal| refusal.problem);
    assert_eq!(problem(&|_| ()), Ok([4.0, 3.0, 2.0]));
    // Rounding is no contradiction.
    assert_eq!(problem(&|w| w.pixdim([2.01, 3.0, 4.0])), Ok([4.0, 3.0, 2.0]));
    assert_eq!(problem(&|w| w.pixdim([1.0, 1.0, 1.0])), Err(RefusalReason::ContradictoryGeometry));
    let refusal = contradicts(&|w| w.pixdim([2.0, 2.0, 2.0])).unwrap_err();
    assert!(
        refusal.detail.contains("2.000 x 3.000 x 4.000 mm, its pixdim 2.000 x 2.000 x 2.000"),
        "{refusal}"
    );
    // A qform that turns left and right round.
    let sides = |w: &mut Writer, half_turn: f64| {
        w.int(252, 2, 1);
        w.real(76, 1.0);
        w.real(264, half_turn);
        w.qoffset([10.0, 20.0, 30.0]);
    };
    assert_eq!(problem(&|w| sides(w, 1.0)), Ok([4.0, 3.0, 2.0]));
    assert_eq!(problem(&|w| sides(w, 0.0)), Err(RefusalReason::ContradictoryGeometry));
    for impossible in [0.0, -2.0, f64::NAN, f64::INFINITY] {
        let refusal = contradicts(&|w| w.pixdim([2.0, impossible, 4.0])).unwrap_err();
        assert_eq!(refusal.problem, RefusalReason::Corrupt, "{impossible}");
        assert!(refusal.detail.contains("pixdim"), "{refusal}");
    }
}

#[test]
fn lengths_are_in_the_files_own_unit() {
    for (unit, millimetres) in [(0, 1.0), (2, 1.0), (1, 1000.0), (3, 0.001), (2 | 8, 1.0)] {
        let mut writer = Writer::new(false, false);
        writer.int(123, 1, unit);
        let scaled = |row: [f64; 4]| row.map(|part| part / millimetres);
        writer.sform(
            [[2.0, 0.0, 0.0, 10.0], [0.0, 3.0, 0.0, 20.0], [0.0, 0.0, 4.0, 30.0]].map(scaled),
        );
        writer.pixdim([2.0, 3.0, 4.0].map(|mm| mm / millimetres));
        let spacing = read(&writer.whole()).unwrap().geometry.unwrap().spacing();
        assert!(
            spacing.iter().zip([4.0, 3.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-5),
            "{unit}: {spacing:?}"
        );
    }
    assert_eq!(problem(|w| w.int(123, 1, 5)), RefusalReason::Corrupt);
}

#[test]
fn what_says_nothing_of_where_it_lies_is_read_as_a_picture_and_nothing_else_is() {
    let flat = |change: fn(&mut Writer)| {
        let mut writer = Writer::new(false, false);
        writer.int(254, 2, 0);
        writer.pixdim([1.0, 1.0, 1.0]);
        change(&mut writer);
        crate::decode_flat(&writer.whole(), &Limits::default())
    };
    let picture = flat(|_| ()).unwrap();
    assert_eq!((picture.shape, picture.geometry), (Shape { slices: 2, rows: 2, columns: 3 }, None));
    let placed = read(&Writer::new(false, false).whole()).unwrap();
    assert_eq!(picture.voxels, placed.voxels, "row by row, as stored");
    let problem = |change: fn(&mut Writer)| flat(change).unwrap_err().problem;
    assert_eq!(problem(|w| w.int(254, 2, 1)), RefusalReason::Unsupported);
    assert_eq!(problem(|w| w.int(252, 2, 1)), RefusalReason::Unsupported);
    assert_eq!(problem(|w| w.pixdim([1.0, 2.0, 1.0])), RefusalReason::UnknownOrientation);
    let png = crate::encode::grey_png(&[0; 4], 2, 2).unwrap();
    assert!(crate::decode_flat(&png, &Limits::default()).is_err());
}

#[test]
fn each_lie_has_its_name() {
    assert_eq!(problem(|w| w.int(254, 2, 0)), RefusalReason::UnknownOrientation);
    assert_eq!(problem(|w| w.sform([[0.0; 4]; 3])), RefusalReason::UnknownOrientation);
    assert_eq!(problem(|w| w.sform([[f64::NAN; 4]; 3])), RefusalReason::UnknownOrientation);
    for dimensions in [0, 1, 8, 200, -1] {
        assert_eq!(problem(|w| w.dim(0, dimensions)), RefusalReason::Corrupt, "{dimensions}");
    }
    assert_eq!(problem(|w| w.dim(1, -1)), RefusalReason::Corrupt);
    assert_eq!(problem(|w| w.dim(2, 32767)), RefusalReason::TooLarge);
    assert_eq!(problem(|w| w.dim(2, 300)), RefusalReason::Truncated);
    let several = |w: &mut Writer| {
        w.dim(0, 4);
        w.dim(4, 2);
    };
    assert_eq!(problem(several), RefusalReason::Unsupported);
    for other in [0, 1, 32, 128, 1536] {
        assert_eq!(problem(|w| w.int(70, 2, other)), RefusalReason::Unsupported, "type {other}");
    }
    for offset in [f64::NAN, f64::INFINITY, -352.0, 0.0, 348.0, 352.5, 1e30] {
        assert_eq!(problem(|w| w.real(108, offset)), RefusalReason::Corrupt, "{offset}");
    }
    assert_eq!(problem(|w| w.real(108, 1e9)), RefusalReason::Truncated);
    assert_eq!(problem(|w| w.bytes[345] = b'i'), RefusalReason::Unsupported);
}

#[test]
fn what_single_precision_cannot_hold_is_refused_by_name_and_not_as_blank() {
    let offset = |offset: i64, factor: i64| -> (i64, Vec<u8>) {
        (1024, (0..12).flat_map(|value| (offset + factor * value).to_le_bytes()).collect())
    };
    let doubles = |factor: f64| -> (i64, Vec<u8>) {
        (64, (0..12).flat_map(|value| (f64::from(value) * factor).to_le_bytes()).collect())
    };
    let shorts = || (4, Writer::new(false, false).shorts(0..12));
    let cases = [
        ("a large factor", doubles(1e300), (0.0, 0.0), false),
        ("a tiny factor", doubles(1e-300), (0.0, 0.0), false),
        ("a large offset", offset(1 << 40, 1), (0.0, 0.0), false),
        ("a large intercept", shorts(), (1.0, 1e9), false),
        ("a large slope", shorts(), (1e38, 0.0), false),
        ("a negative one", shorts(), (-1e38, 0.0), false),
        ("doubles", doubles(0.5), (0.0, 0.0), true),
        ("a large offset of large steps", offset(1 << 40, 1 << 30), (0.0, 0.0), true),
        ("an intercept", shorts(), (1.0, -1024.0), true),
        ("a large and sound slope", shorts(), (1e30, 0.0), true),
    ];
    for (name, (code, data), (slope, intercept), sound) in cases {
        let mut writer = Writer::new(false, false);
        writer.int(70, 2, code);
        writer.real(112, slope);
        writer.real(116, intercept);
        let outcome = read(&writer.file(&data)).map(|_| ()).map_err(|refusal| refusal.problem);
        let expected = if sound { Ok(()) } else { Err(RefusalReason::Unsupported) };
        assert_eq!(outcome, expected, "{name}");
    }
    // Stored in single precision, values are what they are.
    let mut writer = Writer::new(false, false);
    writer.int(70, 2, 16);
    let near: Vec<f32> = (0..12).map(|value| 1.0 + value as f32 * f32::EPSILON).collect();
    let bytes: Vec<u8> = near.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(read(&writer.file(&bytes)).unwrap().voxels, near);
}

#[test]
fn more_slices_than_are_declared_are_refused_and_padding_is_not() {
    let file = |more: &[u8]| [Writer::new(false, false).whole(), more.to_vec()].concat();
    // A slice has 12 bytes.
    assert_eq!(read(&file(&[7; 11])).unwrap(), read(&file(&[])).unwrap());
    for more in [vec![7; 12], vec![0; 500], file(&[])] {
        assert_eq!(
            read(&file(&more)).unwrap_err().problem,
            RefusalReason::Corrupt,
            "{}",
            more.len()
        );
    }
}
