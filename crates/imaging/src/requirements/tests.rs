use std::path::Path;

use super::*;
use crate::phantom::{Phantom, Settings};
use crate::{Geometry, ImageKind, Known, Limits, Orientation, Protocol, decode};

const ANY: [Modality; 2] = [Modality::MagneticResonance, Modality::ComputedTomography];

fn picture(side: usize, value: impl Fn(usize, usize) -> f32) -> Volume {
    Volume {
        shape: Shape { slices: 1, rows: side, columns: side },
        voxels: (0..side * side).map(|at| value(at % side, at / side)).collect(),
        geometry: None,
        modality: None,
        kind: ImageKind::Unknown,
        format: Format::Png,
        window: [0.0, 255.0],
        remarks: Vec::new(),
        stored: Orientation::default(),
        protocol: Protocol::default(),
    }
}

/// A made-up head as an 8 bit picture.
fn head(seed: u64) -> Volume {
    let made = Phantom::new(&Settings::slice(seed)).unwrap().volume;
    let [black, white] = made.window;
    let shown = |voxel: f32| ((voxel - black) / (white - black) * 255.0).clamp(0.0, 255.0).round();
    picture(256, |x, y| shown(made.voxels[y * 256 + x]))
}

fn problem(volume: &Volume) -> Option<RefusalReason> {
    check(volume, &ANY).err().map(|refusal| refusal.problem)
}

fn noise(x: usize, y: usize) -> f32 {
    let mut state = (x * 7919 + y * 104_729 + 1) as u32;
    for shift in [13, 17, 5] {
        state ^= state << shift;
        state = state.wrapping_mul(2_654_435_761);
    }
    (state >> 24) as f32
}

#[test]
fn made_up_heads_pass_as_pictures_and_as_volumes() {
    for seed in 0..40 {
        assert_eq!(problem(&head(seed)), None, "picture of seed {seed}");
        assert_eq!(
            problem(&Phantom::new(&Settings::slice(seed)).unwrap().volume),
            None,
            "seed {seed}"
        );
    }
    let shape = Shape { slices: 24, rows: 96, columns: 96 };
    for seed in 0..4 {
        let settings = Settings { shape, spacing: [6.0, 2.4, 2.4], ..Settings::slice(seed) };
        assert_eq!(
            problem(&Phantom::new(&settings).unwrap().volume),
            None,
            "volume of seed {seed}"
        );
    }
}

#[test]
fn a_head_in_oblong_pixels_is_a_head() {
    for seed in 0..10 {
        let whole = head(seed);
        let narrow = Volume {
            shape: Shape { columns: 128, ..whole.shape },
            voxels: whole.voxels.iter().copied().step_by(2).collect(),
            geometry: Some(Geometry::of_distances([5.0, 0.8, 1.6])),
            ..whole.clone()
        };
        let low = Volume {
            shape: Shape { rows: 128, ..whole.shape },
            voxels: whole.voxels.chunks(512).flat_map(|rows| rows[..256].to_vec()).collect(),
            geometry: Some(Geometry::of_distances([5.0, 1.6, 0.8])),
            ..whole
        };
        assert_eq!([&narrow, &low].map(problem), [None, None], "seed {seed}");
    }
}

#[test]
fn other_pictures_are_no_heads() {
    type Drawing = Box<dyn Fn(usize, usize) -> f32>;
    let others: [(&str, Drawing); 9] = [
        ("noise", Box::new(noise)),
        ("a checkerboard", Box::new(|x, y| if (x / 16 + y / 16) % 2 == 0 { 20.0 } else { 220.0 })),
        ("a gradient", Box::new(|x, _| x as f32)),
        ("bars", Box::new(|x, _| if x / 20 % 2 == 0 { 200.0 } else { 10.0 })),
        (
            "text",
            Box::new(|x, y| if y % 12 < 8 && noise(x / 3, y / 3) > 128.0 { 20.0 } else { 230.0 }),
        ),
        (
            "a plain disc",
            Box::new(|x, y| {
                if x.abs_diff(128).pow(2) + y.abs_diff(128).pow(2) < 6400 { 150.0 } else { 0.0 }
            }),
        ),
        (
            "a long bone",
            Box::new(|x, y| if x.abs_diff(128) < 30 { 90.0 + noise(x, y) / 4.0 } else { 3.0 }),
        ),
        (
            "a frame",
            Box::new(
                |x, y| if x.min(y) < 40 || x.max(y) > 215 { 60.0 + noise(x, y) / 3.0 } else { 5.0 },
            ),
        ),
        (
            "two pictures",
            Box::new(|x, y| {
                let (dx, dy) = ((x % 128).abs_diff(64), y.abs_diff(128));
                if dx * dx * 4 + dy * dy < 10_000 { 60.0 + noise(x / 2, y / 2) / 4.0 } else { 3.0 }
            }),
        ),
    ];
    for (name, value) in others {
        assert_eq!(problem(&picture(256, value)), Some(RefusalReason::NotAHead), "{name}");
    }
}

#[test]
fn a_sheet_of_several_heads_is_no_scan() {
    let heads: Vec<Volume> = (0..12).map(head).collect();
    for (across, down) in [(4, 3), (2, 2), (2, 1), (1, 2)] {
        let side = 256 * across.max(down);
        let sheet = picture(side, |x, y| match (x / 256 < across, y / 256 < down) {
            (true, true) => heads[y / 256 * across + x / 256].voxels[y % 256 * 256 + x % 256],
            _ => 0.0,
        });
        assert_eq!(problem(&sheet), Some(RefusalReason::NotAHead), "{across} x {down}");
    }
}

#[test]
fn each_requirement_is_a_problem_of_its_own() {
    let small = picture(63, |x, y| (x + y) as f32);
    assert_eq!(problem(&small), Some(RefusalReason::TooSmall));
    assert_eq!(problem(&picture(64, |_, _| 77.0)), Some(RefusalReason::Blank));
    let scaled = |factor: f32| {
        let mut scaled = head(1);
        scaled
            .voxels
            .iter_mut()
            .for_each(|voxel| *voxel = (*voxel * factor).clamp(0.0, 255.0).round());
        scaled
    };
    assert_eq!(problem(&scaled(0.06)), Some(RefusalReason::TooDark));
    assert_eq!(problem(&scaled(6.0)), Some(RefusalReason::Clipped));
    assert_eq!(problem(&scaled(0.5)), None);
    let ct = Volume { modality: Some(Modality::ComputedTomography), ..head(1) };
    let refused = check(&ct, &[Modality::MagneticResonance]).unwrap_err();
    assert_eq!(refused.problem, RefusalReason::WrongModality);
    assert_eq!(check(&ct, &ANY), Ok(()));
    let step =
        |axis: usize, mm: f64| std::array::from_fn(|index| if index == axis { mm } else { 0.0 });
    for mm in [0.1, 5.0] {
        let geometry = Geometry {
            origin: [0.0; 3],
            slice_step: step(2, 1.0),
            row_step: step(1, mm),
            column_step: step(0, mm),
            known: Known::Place,
        };
        let sized = Volume { geometry: Some(geometry), ..head(1) };
        assert_eq!(problem(&sized), Some(RefusalReason::NotAHead), "{mm} mm");
    }
}

#[test]
fn the_body_part_is_believed_when_it_is_another() {
    assert_eq!(other_body_part("knee "), Some("KNEE"));
    for term in ["HEAD", "BRAIN", "", "SKULL", "WHOLEBODY"] {
        assert_eq!(other_body_part(term), None);
    }
}

/// One in so many of the real slices is looked at: all of them take a minute.
const ONE_IN: usize = 9;

/// The accepted ones among the slices with a tumour, and all of those.
fn acceptance(set: &str) -> Option<[usize; 2]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(set);
    let manifest = std::fs::read_to_string(folder.join("manifest.csv")).ok()?;
    let rows = manifest.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let with_tumour = rows.filter(|row| row[4] != "0").step_by(ONE_IN);
    let accepted = |image: &str| {
        let bytes = std::fs::read(folder.join(image)).unwrap();
        let volume = decode(&bytes, &Limits::default()).unwrap().volume;
        let refusal = check(&volume, &ANY).err();
        refusal.inspect(|refusal| println!("{set}/{image}: {refusal}")).is_none()
    };
    let accepted: Vec<bool> = with_tumour.map(|row| accepted(row[2])).collect();
    Some([accepted.iter().filter(|accepted| **accepted).count(), accepted.len()])
}

#[test]
fn real_slices_with_a_tumour_are_accepted() {
    for set in ["lgg-flair", "figshare-t1ce"] {
        let Some([accepted, all]) = acceptance(set) else {
            println!("skipped: no shared data");
            return;
        };
        assert!((all - accepted) * 100 <= all, "{set}: {accepted} of {all}");
    }
}
