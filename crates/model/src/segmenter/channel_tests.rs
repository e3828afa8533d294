use imaging::phantom::{Phantom, Settings};
use imaging::prepare;

use super::*;
use crate::weights::tests::{facts, units};

fn tile(seed: u64) -> Prepared {
    let volume = Phantom::new(&Settings::slice(seed)).unwrap().volume;
    prepare(volume.slice(0), 256, 256, 32).unwrap()
}

fn with_neighbours(
    before: Option<&Prepared>,
    own: &Prepared,
    after: Option<&Prepared>,
) -> Prepared {
    let pixels = |tile: Option<&Prepared>| tile.map(|tile| tile.pixels.clone());
    Prepared { neighbours: [pixels(before), pixels(after)], ..own.clone() }
}

#[test]
fn the_channels_of_a_pixel_are_the_slice_before_itself_and_the_one_after() {
    let three = |before: Option<Vec<f32>>, after: Option<Vec<f32>>| {
        let own = Prepared { pixels: vec![1.0, 2.0], neighbours: [before, after], ..tile(1) };
        side_by_side(&own, 3)
    };
    let (before, after) = (Some(vec![3.0, 4.0]), Some(vec![5.0, 6.0]));
    assert_eq!(three(before.clone(), after.clone()), [3.0, 1.0, 5.0, 4.0, 2.0, 6.0]);
    // At an end of the volume a slice stands in for the neighbour that is not there.
    assert_eq!(three(None, after), [1.0, 1.0, 5.0, 2.0, 2.0, 6.0]);
    assert_eq!(three(before, None), [3.0, 1.0, 1.0, 4.0, 2.0, 2.0]);
    assert_eq!(three(None, None), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
}

#[test]
fn a_flip_turns_columns_about_and_neither_rows_nor_channels() {
    // Two rows of three pixels, each with two channels.
    let rows = [[11.0, 12.0, 21.0, 22.0, 31.0, 32.0], [41.0, 42.0, 51.0, 52.0, 61.0, 62.0]];
    let turned = [[31.0, 32.0, 21.0, 22.0, 11.0, 12.0], [61.0, 62.0, 51.0, 52.0, 41.0, 42.0]];
    assert_eq!(flipped(rows.as_flattened(), 3, 2), turned.as_flattened());
    assert_eq!(flipped(&[1.0, 2.0, 3.0, 4.0], 2, 1), [2.0, 1.0, 4.0, 3.0]);
}

#[test]
fn the_slice_before_is_not_taken_for_the_one_after() {
    let facts = facts();
    let weights =
        Weights { units: units(facts.design), facts, sha256: "00".into(), kind_head: None };
    let mut segmenter = Segmenter::new(weights, Device::choose("cpu").unwrap().exact()).unwrap();
    let (before, own, after) = (tile(1), tile(2), tile(3));
    let tiles = [
        with_neighbours(Some(&before), &own, Some(&after)),
        with_neighbours(Some(&after), &own, Some(&before)),
        with_neighbours(Some(&own), &own, Some(&own)),
        with_neighbours(None, &own, None),
    ];
    let seen = segmenter.predict(&tiles, false).unwrap();
    let off = |a: usize, b: usize| {
        let pairs = seen[a].probabilities.iter().zip(&seen[b].probabilities);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(off(0, 1) > 1e-4, "{}", off(0, 1));
    assert!(off(2, 3) < 1e-5, "a slice alone is its own neighbour: {}", off(2, 3));
}
