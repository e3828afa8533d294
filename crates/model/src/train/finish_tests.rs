use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use imaging::ImageKind;
use imaging::phantom::{self, Phantom};

use super::tests::{cpu, settings};
use super::*;
use crate::weights::Weights;
use crate::{Segmenter, evaluate};

/// Three patients with a volume of two slices each, or with two slices alone each and turned from bright to dark, in a
/// folder of that name.
fn manifest(folder: &Path, name: &str, volumes: bool) -> PathBuf {
    let folder = folder.join(name);
    fs::create_dir_all(&folder).unwrap();
    let mut lines = "patient,slice,image,mask\n".to_owned();
    for seed in 0..6 {
        let Phantom { volume, truth, .. } = Phantom::new(&phantom::Settings::slice(seed)).unwrap();
        let png = |name: &str, value: &dyn Fn(usize) -> u8| {
            let at = |x: u32, y: u32| Luma([value((y * 256 + x) as usize)]);
            GrayImage::from_fn(256, 256, at).save(folder.join(name)).unwrap();
        };
        let grey = |index: usize| (volume.voxels[index] / 5.0) as u8;
        png(&format!("{seed}.png"), &|index| match (volumes, grey(index)) {
            (true, grey) => grey,
            (false, grey) if grey > 20 => 255 - grey,
            (false, grey) => grey,
        });
        png(&format!("{seed}_mask.png"), &|index| 255 * truth[index]);
        let slice = if volumes { seed % 2 + 1 } else { 10 * seed + 7 };
        lines += &format!("{name}{},{slice},{seed}.png,{seed}_mask.png\n", seed / 2);
    }
    let path = folder.join("manifest.csv");
    fs::write(&path, lines).unwrap();
    path
}

fn of_two_kinds(folder: &Path) -> Settings {
    let manifests = vec![manifest(folder, "a-flair", true), manifest(folder, "b-t1ce", false)];
    Settings { manifests, validation: 0.34, mirrored: true, ..settings(folder) }
}

fn again(settings: &Settings, folder: &Path) -> Again {
    Again {
        from: settings.model.clone(),
        manifests: settings.manifests.clone(),
        data: "Phantoms again.".into(),
        seed: settings.seed,
        validation: settings.validation,
        model: folder.join("again"),
        run: folder.join("run-again"),
        version: "2".into(),
        mirrored: false,
        judged_phantoms: 0,
        cross_validation: None,
        tracking: Tracking::default(),
    }
}

#[test]
fn a_finished_model_reads_each_kind_in_its_own_way_and_finishing_again_keeps_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let settings = of_two_kinds(folder.path());
    run(&settings, cpu()).unwrap();
    let made = Weights::read(&settings.model).unwrap();
    let kinds = [ImageKind::Flair, ImageKind::T1Contrast];
    assert_eq!(made.facts.model.classes, kinds);
    let readings = &made.facts.model.readings;
    assert!(readings.kinds.keys().eq(kinds.iter()));
    // Of the second kind there are no volumes to choose on.
    let [slice, volume] = [1, 9].map(|slices| readings.of(kinds[1], slices));
    assert_eq!((slice.input, slice.operating_point), (volume.input, volume.operating_point));
    assert!(volume.grows_from.is_none() && volume.expected_dice.is_none());
    assert_eq!(readings.general.volume.grows_from, None);

    let again = again(&settings, folder.path());
    let card = fs::read_to_string(finish_again(&again, cpu()).unwrap()).unwrap();
    let anew = Weights::read(&again.model).unwrap();
    assert_eq!(anew.facts.model.version, "2");
    assert_eq!(anew.facts.model.data_version, made.facts.model.data_version);
    assert_eq!(data_version(&card), Some(anew.facts.model.data_version.as_str()));
    assert_ne!(anew.sha256, made.sha256);
    for (a, b) in made.units.iter().zip(&anew.units) {
        assert!(a.weight.equal(&b.weight) && a.bias.equal(&b.bias));
    }
    assert_eq!(anew.kind_head.unwrap().weights.len(), 2);
    assert!(anew.facts.model.readings.all().all(|reading| !reading.input.mirrored));
    let before = fs::read_to_string(settings.model.join(CARD_FILE)).unwrap();
    let section = |card: &str| {
        let from = card.find("## Data").unwrap();
        card[from..card.find("## Figures").unwrap()].to_owned()
    };
    assert_eq!(section(&card), section(&before));
    for words in
        ["# tiny 2", "## Judged by what was chosen on others", "contrast-enhanced T1, slices alone"]
    {
        assert!(card.contains(words), "{card}");
    }
}

fn reference_in(folder: &Path) -> serde_json::Value {
    let text = fs::read_to_string(folder.join(REFERENCE_FILE)).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_reference_says_where_the_scans_lie_that_the_model_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let settings = of_two_kinds(folder.path());
    run(&settings, cpu()).unwrap();
    let made = reference_in(&settings.model);
    let embedding = &made["embedding"];
    let weights = Weights::read(&settings.model).unwrap().sha256;
    assert_eq!(
        (&embedding["weights"], &embedding["projection"]),
        (&weights.into(), &"signs-32".into())
    );
    let scans = embedding["scans"].as_array().unwrap();
    let of = |kind: &str, slices: u64| {
        scans.iter().filter(|it| it["image_kind"] == kind && it["slices"] == slices).count()
    };
    // Too few to leave out those that were learned from: three volumes of two slices, and six slices of each kind.
    assert_eq!(
        [of("flair", 2), of("flair", 1), of("t1_contrast", 1), of("t1_contrast", 2)],
        [3, 6, 6, 0]
    );
    assert!(scans.iter().all(|scan| scan["values"].as_array().unwrap().len() == 32));

    // Of a model from before there were any, they are filled in, and nothing else changes.
    let path = settings.model.join(REFERENCE_FILE);
    let mut before = made.clone();
    for part in ["embedding", "acquisition"] {
        before.as_object_mut().unwrap().remove(part).unwrap();
    }
    before["features"].as_object_mut().unwrap().remove("noise").unwrap();
    fs::write(&path, before.to_string()).unwrap();
    let before = reference_in(&settings.model);
    let again = Again { from: settings.model.clone(), ..again(&settings, folder.path()) };
    let others =
        [CARD_FILE, "model.json", "weights.safetensors"].map(|name| settings.model.join(name));
    let others = || others.each_ref().map(|path| fs::read(path).unwrap());
    let untouched = others();
    assert_eq!(refer_again(&again, cpu()).unwrap(), path);
    assert!(others() == untouched);
    let mut anew = reference_in(&settings.model);
    assert_eq!((&anew["acquisition"], &anew["embedding"]), (&made["acquisition"], embedding));
    let noise = anew["features"].as_object_mut().unwrap().remove("noise").unwrap();
    assert_eq!((&noise, &anew["features"]), (&made["features"]["noise"], &before["features"]));
    let once = fs::read(&path).unwrap();
    refer_again(&again, cpu()).unwrap();
    assert!(fs::read(&path).unwrap() == once);
    let why = refer_again(&Again { seed: 8, ..again.clone() }, cpu()).unwrap_err().to_string();
    assert!(why.contains("another split"), "{why}");
    for (text, words) in [(Some("[]"), "not a training reference"), (None, "medseg finish")] {
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let why = refer_again(&again, cpu()).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn evaluation_comes_to_what_the_card_says_and_tells_the_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let settings = of_two_kinds(folder.path());
    run(&settings, cpu()).unwrap();
    let card = fs::read_to_string(settings.model.join(CARD_FILE)).unwrap();
    let mut segmenter = Segmenter::load(&settings.model, cpu()).unwrap();
    let validation = settings.split().unwrap().validation;
    for patient in &validation {
        let one = std::slice::from_ref(patient);
        let evaluation =
            evaluate::evaluate(&mut segmenter, one, false, |_, _, _, _| Ok(())).unwrap();
        let dice = evaluation.patients[0].dice;
        assert!(card.contains(&format!("| {} | 2 | {dice:.3} |", patient.id)), "{card}");
        // Bright and dark: at worst it is not sure.
        assert_eq!(evaluation.kinds.unwrap().wrong, 0, "{card}");
    }
}

#[test]
fn a_model_is_not_judged_by_what_it_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let settings = of_two_kinds(folder.path());
    run(&settings, cpu()).unwrap();
    let again = again(&settings, folder.path());
    let refused = |again: Again| finish_again(&again, cpu()).unwrap_err().to_string();
    let why = refused(Again { seed: 8, ..again.clone() });
    assert!(why.contains("another split"), "{why}");
    let other = manifest(folder.path(), "c-flair", true);
    fs::write(&other, fs::read_to_string(&other).unwrap() + "\n").unwrap();
    let why = refused(Again { manifests: vec![other], ..again.clone() });
    assert!(why.contains("other manifests"), "{why}");
    assert!(!again.model.join("weights.safetensors").try_exists().unwrap());
    // Without a card it is for the caller to know.
    fs::remove_file(settings.model.join(CARD_FILE)).unwrap();
    let card = fs::read_to_string(finish_again(&again, cpu()).unwrap()).unwrap();
    assert!(card.contains("Phantoms again.") && card.contains("(seed 7, part 0.34)"), "{card}");
}
