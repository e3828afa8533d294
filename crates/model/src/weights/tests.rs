use super::*;

const TINY: Design = Design { width: 8, depths: [1, 1, 1, 1], neighbours: true };

pub(crate) fn facts() -> Facts {
    Facts {
        name: "tiny".into(),
        version: "1".into(),
        design: TINY,
        side: 32,
        preprocessing: imaging::Preprocessing::NEWEST.name().into(),
        threshold: 0.5,
        minimum_pixels: 1,
        volumes: None,
        modalities: vec![Modality::MagneticResonance],
        mirrored: false,
        calibration: Calibration::default(),
        doubt: None,
    }
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
    Weights::write(folder.path(), &facts(), &units(TINY)).unwrap();
    folder
}

/// Why a folder's model is refused.
fn refusal(folder: &Path) -> String {
    Weights::read(folder).err().expect("the model must be refused").to_string()
}

/// Puts `bytes` in the place of the weights, with a manifest that vouches for them.
fn vouch(folder: &Path, bytes: &[u8], facts: &Facts) {
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
    fs::write(&path, manifest.replace("\"threshold\": 0.5", "\"threshold\": 0.25")).unwrap();
    assert!(refusal(folder.path()).contains("another model"));
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for bad in [f64::NAN, f64::INFINITY] {
        let mut units = units(TINY);
        let _ = units[3].bias.fill_(bad);
        Weights::write(folder.path(), &facts(), &units).unwrap();
        assert!(refusal(folder.path()).contains("not finite"), "{bad}");
    }
}

#[test]
fn tensors_of_another_design_are_refused() {
    let folder = written();
    let other = Design { width: 16, ..TINY };
    Weights::write(folder.path(), &Facts { design: other, ..facts() }, &units(other)).unwrap();
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
        (Facts { preprocessing: "other".into(), ..facts() }, "preprocessing"),
        (Facts { side: 40, ..facts() }, "side"),
        (Facts { threshold: 1.5, ..facts() }, "threshold"),
    ];
    for (facts, word) in cases {
        Weights::write(folder.path(), &facts, &units(TINY)).unwrap();
        assert!(refusal(folder.path()).contains(word), "{word}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_keeps_the_old_model() {
    let folder = written();
    let before = fs::read(folder.path().join(WEIGHTS_FILE)).unwrap();
    let part = folder.path().join(format!("{WEIGHTS_FILE}.part"));
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let again =
        Weights::write(folder.path(), &Facts { version: "2".into(), ..facts() }, &units(TINY));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fs::read(folder.path().join(WEIGHTS_FILE)).unwrap(), before);
    assert_eq!(Weights::read(folder.path()).unwrap().facts.version, "1");
}
