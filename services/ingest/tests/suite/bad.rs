//! Bad inputs, all of them through the decoder's process: each is refused in words or is a sound volume, the service
//! lives, no process outgrows its limits, and nothing is left in the spool.

use futures::{StreamExt, stream};
use imaging::encode::zip;
use imaging::{RefusalReason, Volume};

use crate::files;
use crate::world::World;

type Input = (String, Vec<u8>);

/// Cut after each twentieth of the file.
fn truncations() -> Vec<Input> {
    let cuts = |(kind, bytes): (&'static str, Vec<u8>)| {
        (0..20).map(move |part| {
            (format!("{kind} cut at {part}/20"), bytes[..bytes.len() * part / 20].to_vec())
        })
    };
    files::all().into_iter().flat_map(cuts).collect()
}

/// Each with a few bits flipped, most of them near its head, where headers are.
fn flips(seed: u64) -> Vec<Input> {
    let mut state = seed;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut inputs = Vec::new();
    for (kind, bytes) in files::all() {
        for round in 0..12 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + random() % 6 {
                let reach = if random() % 4 == 0 { bytes.len() } else { bytes.len().min(700) };
                bytes[random() % reach] ^= 1 << (random() % 8);
            }
            inputs.push((format!("{kind} with flipped bits, {seed} {round}"), bytes));
        }
    }
    inputs
}

/// `bytes` with `patch` written over it.
fn patched(bytes: &[u8], at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::best())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

/// Headers that declare what is not there, and bombs.
fn lies() -> Vec<Input> {
    let of = |wanted: &str| files::all().into_iter().find(|(kind, _)| *kind == wanted).unwrap().1;
    let (png, nifti, dicom, tiff) = (of("png"), of("nifti"), of("dicom"), of("tiff"));
    let mut inputs: Vec<Input> = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| inputs.push((name, bytes));
    for side in [0u32, 1, 65_535, 1 << 20, u32::MAX] {
        // The checksum of the header is wrong now as well; a decoder that ignores it meets the lie.
        add(format!("png of {side} columns"), patched(&png, 16, &side.to_be_bytes()));
        add(
            format!("png with the checksum too, {side}"),
            with_checksum(&patched(&png, 16, &side.to_be_bytes())),
        );
        add(format!("tiff that begins at {side}"), patched(&tiff, 4, &side.to_le_bytes()));
    }
    for dim in [-1i16, 0, 9, 200, i16::MAX] {
        for index in 0..5 {
            add(
                format!("nifti with dim[{index}] = {dim}"),
                patched(&nifti, 40 + 2 * index, &dim.to_le_bytes()),
            );
        }
        add(format!("nifti of type {dim}"), patched(&nifti, 70, &dim.to_le_bytes()));
    }
    for offset in [f32::NAN, f32::INFINITY, -1.0, 0.0, 351.5, 1e9, 3e38] {
        add(
            format!("nifti whose voxels begin at {offset}"),
            patched(&nifti, 108, &offset.to_le_bytes()),
        );
        add(format!("nifti with a slope of {offset}"), patched(&nifti, 112, &offset.to_le_bytes()));
    }
    for at in (132..dicom.len().min(900)).step_by(37) {
        add(format!("dicom with 4 GiB at {at}"), patched(&dicom, at, &[0xff; 4]));
    }
    let zeros = vec![0; 48 << 20];
    let bomb = [&nifti[..352], &zeros].concat();
    add("gzip bomb".into(), deflated(&patched(&bomb, 42, &[0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f])));
    add("gzip of a gzip".into(), deflated(&deflated(&nifti)));
    add("zip of a zip".into(), zip(&[("a.zip".into(), files::png_zip())]).unwrap());
    add("zip of nothing".into(), zip(&[]).unwrap());
    add(
        "zip with a path upwards".into(),
        zip(&[("../../etc/passwd".into(), b"x".to_vec())]).unwrap(),
    );
    let entries: Vec<_> = (0..5000).map(|index| (format!("{index}"), Vec::new())).collect();
    add("zip of many entries".into(), zip(&entries).unwrap());
    inputs
}

/// A PNG whose header's checksum is right for what now stands there.
fn with_checksum(png: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    patched(png, 29, &crc.sum().to_be_bytes())
}

/// Uploads all of them, a few at a time; says which were accepted.
async fn survive(inputs: Vec<Input>) -> Vec<String> {
    let world = World::with(|config| config.decode_mib = 1024).await;
    let uploads = stream::iter(&inputs).map(async |(name, bytes)| {
        let answer = world.upload(bytes).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        if let Err(refusal) = &answer {
            assert!(RefusalReason::named(&refusal.problem).is_some(), "{name}: {refusal:?}");
            assert!(refusal.detail.len() > 20, "{name}: {refusal:?}");
            // Limits are for what nobody foresaw: none of these may need them.
            assert!(!refusal.detail.starts_with("Decoding it takes"), "{name}: {refusal:?}");
        }
        (name, answer.ok())
    });
    let answered: Vec<_> = uploads.buffered(4).collect().await;
    let accepted: Vec<_> =
        answered.into_iter().filter_map(|(name, scan)| Some((name, scan?))).collect();
    for (name, scan) in &accepted {
        let volume = Volume::from_bytes(&world.storage.kept(scan).await.volume).unwrap();
        assert!(volume.voxels.iter().all(|voxel| voxel.is_finite()), "{name}");
    }
    let kept = usize::try_from(world.storage.count("scans").await).unwrap();
    assert_eq!((kept, world.spooled()), (accepted.len(), 0));
    accepted.into_iter().map(|(name, _)| name.clone()).collect()
}

/// The largest picture that is read: a slope of brightness with some noise, in an even frame. No head.
fn largest_picture() -> Vec<u8> {
    const SIDE: usize = 4096;
    const FRAME: usize = 64;
    const NOISE: usize = 40;
    let inside = SIDE - 2 * FRAME;
    let row = |shift: usize| -> Vec<u8> {
        let value = |x: usize| 60 + 100 * x / inside + (7 * x + shift) % NOISE;
        let row = (0..inside).map(|x| value(x) as u8);
        [0; FRAME].into_iter().chain(row).chain([0; FRAME]).collect()
    };
    let rows: Vec<Vec<u8>> = (0..NOISE).map(row).collect();
    let mut pixels = vec![0; SIDE * SIDE];
    for (y, line) in pixels.chunks_exact_mut(SIDE).enumerate().skip(FRAME).take(inside) {
        line.copy_from_slice(&rows[13 * y % NOISE]);
    }
    let mut file = std::io::Cursor::new(Vec::new());
    let (colour, format) = (image::ExtendedColorType::L8, image::ImageFormat::Png);
    let side = SIDE as u32;
    image::write_buffer_with_format(&mut file, &pixels, side, side, colour, format).unwrap();
    file.into_inner()
}

#[tokio::test]
async fn the_largest_picture_is_judged_in_the_room_of_its_voxels_and_one_copy() {
    // 64 MiB each, and what the program takes.
    let world = World::with(|config| config.decode_mib = 2 * 64 + 160).await;
    let refusal = world.upload(&largest_picture()).await.unwrap().unwrap_err();
    assert_eq!(refusal.problem, RefusalReason::NotAHead.name());
}

#[tokio::test]
async fn every_truncation_is_refused() {
    assert_eq!(survive(truncations()).await, Vec::<String>::new());
}

#[tokio::test]
async fn flipped_bits_are_refused_or_make_a_sound_volume() {
    // `make mutated` asks for very many, which are not all made at once.
    let wanted = std::env::var("MUTATED_FILES").map_or(1, |files| files.parse().unwrap());
    let (mut files, mut sound, mut seed) = (0, 0, 0);
    while files < wanted {
        seed += 1;
        let inputs = flips(seed);
        files += inputs.len();
        sound += survive(inputs).await.len();
    }
    println!("{files} damaged files: {sound} are sound volumes, the others were refused in words");
}

#[tokio::test]
async fn lies_and_bombs_are_refused_or_make_a_sound_volume() {
    let accepted = survive(lies()).await;
    // A slope is any number, a fourth size without a fourth dimension means nothing, and four bytes of a value are
    // no length.
    let harmless = ["nifti with a slope", "nifti with dim[4]", "dicom with 4 GiB"];
    let others: Vec<_> = accepted
        .iter()
        .filter(|name| !harmless.iter().any(|start| name.starts_with(start)))
        .collect();
    assert_eq!(others, Vec::<&String>::new());
}
