use std::collections::BTreeSet;

use imaging::{Calibration, ImageKind, Modality, ModelFacts, OperatingPoint, Reading, Readings};

use super::*;
use crate::network::Design;

const OPERATING_POINT: OperatingPoint = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
const TINY: Design = Design { width: 8, depths: [1, 1, 1, 1], neighbours: true };

pub(crate) fn facts() -> WeightsFacts {
    let model = ModelFacts {
        name: "tiny".into(),
        version: "1".into(),
        data_version: String::new(),
        preprocessing: imaging::Preprocessing::NEWEST.name().into(),
        modalities: vec![Modality::MagneticResonance],
        classes: Vec::new(),
        readings: Readings::alike(Reading::plain(32, OPERATING_POINT)),
    };
    WeightsFacts { model, design: TINY, side: 32 }
}

/// The facts with something else known of the model.
fn facts_but(change: impl FnOnce(&mut ModelFacts)) -> WeightsFacts {
    let mut facts = facts();
    change(&mut facts.model);
    facts
}

/// The facts with one reading for everything.
fn reading(change: impl FnOnce(&mut Reading)) -> WeightsFacts {
    let mut reading = Reading::plain(32, OPERATING_POINT);
    change(&mut reading);
    facts_but(|model| model.readings = Readings::alike(reading))
}

fn write(folder: &Path, facts: &WeightsFacts, units: &[Folded]) -> Result<Manifest> {
    let quantised = Quantised::new(&Network::new(facts.design), units);
    Weights::write(folder, facts, &quantised, None)
}

/// Random weights of a design.
pub(crate) fn units(design: Design) -> Vec<Folded> {
    tch::manual_seed(5);
    let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, tch::Device::Cpu)) * 0.1;
    let unit =
        |unit: &Unit| Folded { weight: random(&unit.shape()), bias: random(&[unit.outputs]) };
    Network::new(design).units().iter().map(unit).collect()
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &facts(), &units(TINY)).unwrap();
    folder
}

/// Why a folder's model is refused.
fn refusal(folder: &Path) -> String {
    Weights::read(folder).err().expect("the model must be refused").to_string()
}

/// Puts `bytes` in the place of the weights, with a manifest that vouches for them.
fn vouch(folder: &Path, bytes: &[u8], facts: &WeightsFacts) {
    let manifest = Manifest {
        file: WEIGHTS_FILE.into(),
        bytes: bytes.len() as u64,
        sha256: hex(&Sha256::digest(bytes)),
        facts: facts.clone(),
    };
    fs::write(folder.join(WEIGHTS_FILE), bytes).unwrap();
    fs::write(folder.join(MANIFEST_FILE), serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn weights_survive_their_file_to_half_a_step() {
    let folder = written();
    for path in [
        folder.path().to_owned(),
        folder.path().join(MANIFEST_FILE),
        folder.path().join(WEIGHTS_FILE),
    ] {
        let read = Weights::read(&path).unwrap();
        assert_eq!((&read.facts, read.sha256.len()), (&facts(), 64));
        for (read, made) in read.units.iter().zip(units(TINY)) {
            let step = made.weight.abs().amax([1, 2, 3], true) / 127.0;
            let off = ((&read.weight - &made.weight).abs() / step).max().double_value(&[]);
            assert!(off <= 0.5 + 1e-3 && read.bias.equal(&made.bias), "{off} steps");
        }
    }
}

#[test]
fn a_damaged_file_is_refused_wherever_the_damage_is() {
    let folder = written();
    let file = folder.path().join(WEIGHTS_FILE);
    let whole = fs::read(&file).unwrap();
    for at in [0, 9, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert!(refusal(folder.path()).contains("SHA-256"), "byte {at}");
    }
    for length in [0, 7, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(refusal(folder.path()).contains("bytes in place of"), "{length} bytes");
    }
    fs::remove_file(&file).unwrap();
    assert!(refusal(folder.path()).contains("cannot read"));
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_even_if_its_manifest_vouches_for_what_is_left() {
    let folder = written();
    let whole = fs::read(folder.path().join(WEIGHTS_FILE)).unwrap();
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let edges = [0, 1, 7, 8, 9, header - 1, header, header + 1, whole.len() - 4, whole.len() - 1];
    for length in edges.into_iter().chain((1..16).map(|part| whole.len() * part / 16)) {
        vouch(folder.path(), &whole[..length], &facts());
        let why = refusal(folder.path());
        assert!(why.contains("does not say what it is"), "{length} bytes: {why}");
    }
    vouch(folder.path(), &whole, &facts());
    assert!(Weights::read(folder.path()).is_ok());
}

#[test]
fn a_file_that_nobody_vouches_for_is_refused() {
    let folder = written();
    fs::remove_file(folder.path().join(MANIFEST_FILE)).unwrap();
    assert!(refusal(&folder.path().join(WEIGHTS_FILE)).contains("cannot read"));
    fs::write(folder.path().join(MANIFEST_FILE), "{}").unwrap();
    assert!(refusal(folder.path()).contains("no manifest"));
}

#[test]
fn a_manifest_vouches_for_its_own_folder_and_its_own_model_only() {
    let folder = written();
    let path = folder.path().join(MANIFEST_FILE);
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replace(WEIGHTS_FILE, "../weights.safetensors")).unwrap();
    assert!(refusal(folder.path()).contains("elsewhere"));
    fs::write(&path, manifest.replacen("\"threshold\": 0.5", "\"threshold\": 0.25", 1)).unwrap();
    assert!(refusal(folder.path()).contains("another model"));
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for bad in [f64::NAN, f64::INFINITY] {
        for part in ["bias", "scale"] {
            let mut units = units(TINY);
            let _ = match part {
                "bias" => units[3].bias.fill_(bad),
                _ => units[3].weight.narrow(0, 0, 1).fill_(bad),
            };
            write(folder.path(), &facts(), &units).unwrap();
            let why = refusal(folder.path());
            assert!(why.contains(&format!(".{part} holds a number")), "{bad}: {why}");
        }
    }
}

#[test]
fn tensors_of_another_design_are_refused() {
    let folder = written();
    let other = Design { width: 16, ..TINY };
    write(folder.path(), &WeightsFacts { design: other, ..facts() }, &units(other)).unwrap();
    let bytes = fs::read(folder.path().join(WEIGHTS_FILE)).unwrap();
    // The same length of text, so that the header stays sound: only what the file says of itself changes.
    let (from, to) = (b"\\\"width\\\":16", b"\\\"width\\\": 8");
    let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
    let lying = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
    vouch(folder.path(), &lying, &facts());
    assert!(refusal(folder.path()).contains("wrong shape"));
}

#[test]
fn facts_that_this_program_cannot_follow_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (facts_but(|model| model.preprocessing = "other".into()), "preprocessing"),
        (WeightsFacts { side: 40, ..facts() }, "side"),
        (reading(|reading| reading.operating_point.threshold = 1.5), "threshold"),
        (reading(|reading| reading.input.side = 48), "side"),
        (reading(|reading| reading.grows_from = Some(0.6)), "grow"),
        (reading(|reading| reading.calibration.slope = -1.0), "calibration"),
        (facts_but(|model| model.classes = vec![ImageKind::Other]), "kinds"),
    ];
    for (facts, word) in cases {
        write(folder.path(), &facts, &units(TINY)).unwrap();
        assert!(refusal(folder.path()).contains(word), "{word}");
    }
}

/// Where the test below, started again with no room for its files, writes.
const NO_ROOM: &str = "MEDSEG_TEST_NO_ROOM";

#[test]
fn a_full_disk_keeps_the_old_model() {
    if let Some(folder) = std::env::var_os(NO_ROOM) {
        let newer = facts_but(|model| model.version = "2".into());
        let again = write(Path::new(&folder), &newer, &units(TINY)).unwrap_err();
        print!("{:?}: {again}", again.kind());
        return;
    }
    let folder = written();
    let names = || {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
        files.collect::<BTreeSet<_>>()
    };
    let before = (fs::read(folder.path().join(WEIGHTS_FILE)).unwrap(), names());
    // Room for one kibibyte; the signal would end the process at once.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact --nocapture \
        weights::tests::a_full_disk_keeps_the_old_model";
    let output = std::process::Command::new("bash")
        .args(["-c".as_ref(), script.as_ref(), std::env::current_exe().unwrap().as_os_str()])
        .env(NO_ROOM, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("Unavailable: cannot write") && said.contains(WEIGHTS_FILE), "{said}");
    assert_eq!((fs::read(folder.path().join(WEIGHTS_FILE)).unwrap(), names()), before);
    assert_eq!(Weights::read(folder.path()).unwrap().facts.model.version, "1");
}

fn head() -> KindHead {
    let features = Network::new(TINY).features() as usize;
    let row = |first: f32| (0..features).map(|i| first + i as f32).collect();
    KindHead { weights: vec![row(0.5), row(-0.5)], biases: vec![0.25, -0.25] }
}

fn telling() -> WeightsFacts {
    facts_but(|model| model.classes = vec![ImageKind::Flair, ImageKind::T1Contrast])
}

#[test]
fn the_head_survives_the_file_and_the_units_do_not_change_with_it() {
    let (folder, again) = (written(), tempfile::tempdir().unwrap());
    let units = Weights::quantised(folder.path()).unwrap();
    Weights::write(again.path(), &telling(), &units, Some(&head())).unwrap();
    assert_eq!(Weights::read(again.path()).unwrap().kind_head, Some(head()));
    assert!(Weights::read(folder.path()).unwrap().kind_head.is_none());
    assert!(Weights::quantised(again.path()).unwrap().0 == units.0);
}

#[test]
fn a_head_that_is_missing_or_of_another_shape_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let quantised = Quantised::new(&Network::new(TINY), &units(TINY));
    Weights::write(folder.path(), &telling(), &quantised, None).unwrap();
    assert!(refusal(folder.path()).contains("lacks kind.weight"));
    let mut short = head();
    short.weights[0].pop();
    short.weights[1].pop();
    Weights::write(folder.path(), &telling(), &quantised, Some(&short)).unwrap();
    assert!(refusal(folder.path()).contains("kind.weight has the wrong shape"));
    let mut broken = head();
    broken.biases[1] = f32::NAN;
    Weights::write(folder.path(), &telling(), &quantised, Some(&broken)).unwrap();
    assert!(refusal(folder.path()).contains("kind.bias holds a number that is not finite"));
}

#[test]
fn facts_are_written_as_one_object_in_the_order_of_every_version() {
    let json = serde_json::to_string(&telling()).unwrap();
    let fields =
        ["name", "version", "design", "side", "preprocessing", "modalities", "tells", "readings"];
    let places = fields.map(|field| json.find(&format!("\"{field}\":")));
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{json}");
    assert!(json.starts_with(r#"{"name":"tiny","version":"1","design":{"#), "{json}");
    let plain = serde_json::to_string(&facts()).unwrap();
    assert!(!plain.contains("tells") && !plain.contains("data_version"), "{plain}");
}

#[test]
fn the_version_of_the_data_lies_in_the_file_and_one_without_it_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let facts = facts_but(|model| model.data_version = "d1".into());
    write(folder.path(), &facts, &units(TINY)).unwrap();
    assert_eq!(Weights::read(folder.path()).unwrap().facts.model.data_version, "d1");
    let before = written();
    assert_eq!(Weights::read(before.path()).unwrap().facts.model.data_version, "");
}

/// The facts of medseg-mr 0.3.0, written before there were kinds.
const BEFORE_KINDS: &str = r#"{
  "name": "old", "version": "1", "design": {"width": 8, "depths": [1, 1, 1, 1]}, "side": 192,
  "preprocessing": "head-square-1", "threshold": 0.25, "minimum_pixels": 24,
  "volumes": {"threshold": 0.5, "minimum_pixels": 48}, "modalities": ["MR"], "mirrored": true,
  "calibration": {"slope": 0.4, "offset": -0.3},
  "doubt": {"volume": null, "slice": {"weights": [0.1, 0.2, 0.3], "errors": [-1.0, 1.0]}}
}"#;

#[test]
fn facts_without_kinds_read_every_kind_in_their_one_way() {
    let facts: WeightsFacts = serde_json::from_str(BEFORE_KINDS).unwrap();
    let [slice, volume] = [1, 20].map(|slices| facts.model.readings.of(ImageKind::Flair, slices));
    assert_eq!((slice.operating_point.threshold, slice.operating_point.minimum_pixels), (0.25, 24));
    assert_eq!(
        (volume.operating_point.threshold, volume.operating_point.minimum_pixels),
        (0.5, 48)
    );
    for reading in [slice, volume] {
        assert_eq!(
            (reading.input.side, reading.input.mirrored, reading.grows_from),
            (192, true, None)
        );
        assert_eq!(reading.calibration, Calibration { slope: 0.4, offset: -0.3 });
    }
    assert!(slice.expected_dice.is_some() && volume.expected_dice.is_none());
    assert_eq!(facts.model.readings.of(ImageKind::Unknown, 1), slice);
    // Written again, it is in the new form and means the same.
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<WeightsFacts>(&json).unwrap(), facts);
    let lacking = BEFORE_KINDS.replace("\"threshold\": 0.25,", "");
    let facts: WeightsFacts = serde_json::from_str(&lacking).unwrap();
    assert!(facts.check().unwrap_err().contains("threshold"));
}
