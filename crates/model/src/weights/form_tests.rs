use imaging::{Calibration, OperatingPoint, Reading, Readings};

use super::tests::{facts, units};
use super::*;
use crate::network::Design;

/// Whether facts with that change to their one reading can be followed.
fn reads(change: impl FnOnce(&mut Reading)) -> bool {
    let mut facts = facts();
    let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
    let mut reading = Reading::plain(32, operating_point);
    change(&mut reading);
    facts.model.readings = Readings::alike(reading);
    facts.check().is_ok()
}

#[test]
fn a_reading_is_followed_up_to_its_edges_and_not_beyond() {
    for (threshold, is_good) in
        [(0.0, true), (0.999, true), (1.0, false), (-0.001, false), (f32::NAN, false)]
    {
        assert_eq!(reads(|reading| reading.operating_point.threshold = threshold), is_good);
    }
    for (from, is_good) in
        [(0.0, true), (0.5, true), (0.501, false), (-0.1, false), (f32::NAN, false)]
    {
        assert_eq!(reads(|reading| reading.grows_from = Some(from)), is_good, "{from}");
    }
    for (slope, offset, is_good) in [
        (0.001, -40.0, true),
        (0.0, 0.0, false),
        (f32::INFINITY, 0.0, false),
        (f32::NAN, 0.0, false),
        (1.0, f32::NEG_INFINITY, false),
        (1.0, f32::NAN, false),
    ] {
        let calibration = Calibration { slope, offset };
        assert_eq!(reads(|reading| reading.calibration = calibration), is_good, "{calibration:?}");
    }
}

#[test]
fn a_network_is_built_within_bounds_that_memory_allows() {
    for (side, is_good) in [(32, true), (1024, true), (0, false), (33, false), (1056, false)] {
        assert_eq!(WeightsFacts { side, ..facts() }.check().is_ok(), is_good, "{side}");
        assert_eq!(reads(|reading| reading.input.side = side), is_good, "{side}");
    }
    for (width, depths, is_good) in [
        (4, [1, 1, 1, 1], true),
        (256, [64, 1, 1, 64], true),
        (0, [1, 1, 1, 1], false),
        (-8, [1, 1, 1, 1], false),
        (6, [1, 1, 1, 1], false),
        (260, [1, 1, 1, 1], false),
        (8, [1, 0, 1, 1], false),
        (8, [1, 1, 1, 65], false),
    ] {
        let design = Design { width, depths, neighbours: true };
        assert_eq!(WeightsFacts { design, ..facts() }.check().is_ok(), is_good, "{design:?}");
    }
    for (sure_from, is_good) in [(0.0, true), (1.0, true), (1.01, false), (f64::NAN, false)] {
        let mut facts = facts();
        facts.model.readings.sure_from = sure_from;
        assert_eq!(facts.check().is_ok(), is_good, "{sure_from}");
    }
}

#[test]
fn a_channel_of_noughts_and_one_of_tiny_weights_survive_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let facts = facts();
    let made = units(facts.design);
    let _ = made[0].weight.narrow(0, 0, 1).fill_(0.0);
    let _ = made[0].weight.narrow(0, 1, 1).g_mul_scalar_(1e-6);
    let quantised = Quantised::new(&Network::new(facts.design), &made);
    Weights::write(folder.path(), &facts, &quantised, None).unwrap();
    let read = Weights::read(folder.path()).unwrap().units;
    assert_eq!(read[0].weight.narrow(0, 0, 1).abs().max().double_value(&[]), 0.0);
    let tiny = |units: &[Folded]| units[0].weight.narrow(0, 1, 1);
    let off = (tiny(&read) - tiny(&made)).abs().max() / tiny(&made).abs().max();
    assert!(off.double_value(&[]) <= 0.5 / 127.0 + 1e-6, "{off:?}");
}

#[test]
fn a_manifest_that_claims_too_much_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let facts = facts();
    let quantised = Quantised::new(&Network::new(facts.design), &units(facts.design));
    let manifest = Weights::write(folder.path(), &facts, &quantised, None).unwrap();
    let claims = Manifest { bytes: BYTES_MAX + 1, ..manifest };
    fs::write(folder.path().join(MANIFEST_FILE), serde_json::to_vec(&claims).unwrap()).unwrap();
    fs::remove_file(folder.path().join(WEIGHTS_FILE)).unwrap();
    let refused = Weights::read(folder.path()).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("more than 256 MB"), "{refused}");
}

#[test]
fn a_wider_unit_sees_its_slice_between_two_neighbours_that_weigh_nothing() {
    let unit = |inputs: i64| Unit { name: "unit".into(), inputs, outputs: 1, kernel: 1, stride: 1 };
    let folded = |weights: &[f32]| Folded {
        weight: Tensor::from_slice(weights).view([1, 1, 1, -1]),
        bias: Tensor::from_slice(&[0.25f32]),
    };
    let widened = |weights: &[f32], inputs: i64| {
        let Folded { weight, bias } = folded(weights).widened(&unit(inputs));
        assert_eq!(bias.double_value(&[0]), 0.25);
        Vec::<f32>::try_from(&weight.contiguous().view([-1])).unwrap()
    };
    assert_eq!(widened(&[7.0], 3), [0.0, 7.0, 0.0]);
    // The last level's: what came from below stands before the slice.
    assert_eq!(widened(&[1.0, 2.0, 7.0], 5), [1.0, 2.0, 0.0, 7.0, 0.0]);
    assert_eq!(widened(&[1.0, 2.0, 7.0], 3), [1.0, 2.0, 7.0], "as wide as it was");
}
