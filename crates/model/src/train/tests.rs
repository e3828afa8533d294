use std::path::Path;
use std::sync::Arc;

use image::{GrayImage, Luma};
use imaging::phantom::{self, Phantom};
use tempfile::TempDir;

use super::darkroom::Softness;
use super::objective::objective;
use super::picture::Picture;
use super::pool::phantom as phantom_slice;
use super::variation::{Place, Variation};
use super::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::dataset::Labelled;
use crate::evaluate::GOLDEN_FILE;
use crate::parameters::Normalising;
use crate::tracking::{About, Journal, Record, Run};
use crate::weights::Weights;
use crate::{Segmenter, evaluate};
use darkroom::Batch;

const TINY: Design = Design { width: 8, depths: [1, 1, 1, 1], neighbours: true };

/// Eight phantoms as files with a manifest: four patients, each with a volume of two slices.
fn manifest(folder: &Path) -> PathBuf {
    let mut lines = "patient,slice,image,mask\n".to_owned();
    for seed in 0..8 {
        let tumour = seed % 4 != 3;
        let phantom = Phantom::new(&phantom::Settings { tumour, ..phantom::Settings::slice(seed) });
        let Phantom { volume, truth, .. } = phantom.unwrap();
        let png = |name: &str, value: &dyn Fn(usize) -> u8| {
            let at = |x: u32, y: u32| Luma([value((y * 256 + x) as usize)]);
            GrayImage::from_fn(256, 256, at).save(folder.join(name)).unwrap();
        };
        png(&format!("{seed}.png"), &|index| (volume.voxels[index] / 5.0) as u8);
        png(&format!("{seed}_mask.png"), &|index| 255 * truth[index]);
        lines += &format!("p{},{},{seed}.png,{seed}_mask.png\n", seed / 2, seed % 2 + 1);
    }
    let path = folder.join("manifest.csv");
    fs::write(&path, lines).unwrap();
    path
}

pub(super) fn settings(folder: &Path) -> Settings {
    Settings {
        manifests: vec![manifest(folder)],
        run: folder.join("run"),
        model: folder.join("model"),
        unjudged: false,
        fold: None,
        name: "tiny".into(),
        version: "1".into(),
        data: "Phantoms.".into(),
        design: TINY,
        from: None,
        side: 128,
        mirrored: false,
        length: Length::Views(16),
        checkpoint_minutes: 10.0,
        batch: 4,
        replicas: 2,
        rate: 1e-3,
        decay: 0.05,
        validation: 0.25,
        phantoms: 2,
        judged_phantoms: 0,
        cross_validation: None,
        seed: 7,
        resume: false,
        tracking: Tracking::default(),
    }
}

fn split(settings: &Settings) -> Split {
    settings.split().unwrap()
}

pub(super) fn cpu() -> Device {
    Device::choose("cpu").unwrap().exact()
}

fn refusal(settings: &Settings) -> String {
    run(settings, cpu()).unwrap_err().to_string()
}

fn phantoms(count: u64) -> Pool {
    Pool::load(&[], count, cpu(), || {}).unwrap()
}

#[test]
fn the_loss_falls_on_eight_phantoms() {
    let pool = phantoms(8);
    let network = Network::new(TINY);
    let progress = Progress { design: TINY, seed: 1, split: String::new(), views: 0, seconds: 0.0 };
    let parameters = Parameters::fresh(&network, 1, tch::Device::Cpu);
    let mut state = State::new(parameters, progress, 0.0);
    let slices: Vec<_> = (0..8).map(|at| [at; 3]).collect();
    let batch = Darkroom::new(&pool, 3, cpu()).plain(&slices, 32);
    let losses: Vec<f64> = (0..100)
        .map(|_| {
            let unit_parameters = state.parameters.by_unit(&network, true);
            let logits = unit_parameters.forward(&batch.images, Normalising::Batch).unwrap();
            let seen = objective(&logits, &batch.targets);
            let gradient = unit_parameters.gradient(&seen.loss).unwrap();
            tch::no_grad(|| state.step(&gradient, 1e-2));
            seen.loss.double_value(&[])
        })
        .collect();
    assert!(losses[99] < 0.5 * losses[0], "{} to {}", losses[0], losses[99]);
}

#[test]
fn a_small_tumour_counts_as_much_as_a_large_one() {
    let mask = |side: i64| {
        let mask = Tensor::zeros([1, 1, 64, 64], (tch::Kind::Float, tch::Device::Cpu));
        let _ = mask.narrow(2, 0, side).narrow(3, 0, side).fill_(1.0);
        mask
    };
    let (large, small) = (mask(40), mask(4));
    let targets = Tensor::cat(&[&large, &small], 0);
    let logits = |found: [&Tensor; 2]| (Tensor::cat(&found, 0) - 0.5) * 40.0;
    let nothing = mask(0);
    let dice_of = |found: [&Tensor; 2]| {
        let logits = logits(found);
        let entropy = logits.binary_cross_entropy_with_logits::<Tensor>(
            &targets,
            None,
            None,
            tch::Reduction::Mean,
        );
        (objective(&logits, &targets).loss - entropy).double_value(&[])
    };
    let (all, without_small) = (dice_of([&large, &small]), dice_of([&large, &nothing]));
    let without_large = dice_of([&nothing, &small]);
    assert!(all < 1e-3, "{all}");
    // Half of what is missing is the mean over both pictures: missing the small one costs a quarter, of 1 % of the pixels.
    assert!(without_small > 0.23 && without_large < 1.0, "{without_small} {without_large}");
}

#[test]
fn a_plain_picture_is_what_the_service_would_prepare() {
    let pool = phantoms(2);
    let darkroom = Darkroom::new(&pool, 1, cpu());
    // The pool's own phantoms: their seeds begin far from all others.
    let Labelled { volume, .. } = phantom_slice(1 << 40).unwrap();
    for side in [64, 96, 128, 192, 256] {
        let shown = darkroom.plain(&[[0; 3]], side).images.contiguous().view([-1]);
        let shown = Vec::<f32>::try_from(&shown).unwrap();
        let prepared = imaging::prepare(volume.slice(0), 256, 256, side).unwrap().pixels;
        let off = shown.iter().zip(&prepared).map(|(a, b)| (a - b).abs()).sum::<f32>();
        assert!(off / (shown.len() as f32) < 0.02, "{side}: {}", off / shown.len() as f32);
    }
}

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn varied(pool: &Pool, slice: i64, side: usize, strength: f32, seed: u64) -> Batch {
    let picture = Picture::new([slice; 3], Variation::draw(strength, &mut random(seed)));
    let softness = Softness::draw(&mut random(seed));
    Darkroom::new(pool, 3, cpu()).varied(&[picture], side, softness)
}

#[test]
fn the_mask_moves_with_the_lesion() {
    let pool = phantoms(2);
    for seed in 0..12 {
        let Batch { images, targets } = varied(&pool, 1, 128, 1.0, seed);
        let slice = images.narrow(1, 1, 1);
        let head = slice.gt(-0.6);
        let mean = |inside: bool| {
            let chosen = targets.gt(0.5).eq(i64::from(inside)).logical_and(&head);
            slice.masked_select(&chosen).mean(tch::Kind::Float).double_value(&[])
        };
        // A lesion may have been moved out of the square or faded, but never away from its mask.
        let none = targets.gt(0.5).any().int64_value(&[]) == 0;
        assert!(
            none || mean(true) > mean(false) - 0.05,
            "seed {seed}: {} {}",
            mean(true),
            mean(false)
        );
    }
}

#[test]
fn a_seed_gives_its_picture_again_and_another_another() {
    let pool = phantoms(2);
    let off =
        |a: Batch, b: Batch| (a.images - b.images).abs().mean(tch::Kind::Float).double_value(&[]);
    assert_eq!(off(varied(&pool, 1, 64, 1.0, 3), varied(&pool, 1, 64, 1.0, 3)), 0.0);
    assert!(off(varied(&pool, 1, 64, 1.0, 3), varied(&pool, 1, 64, 1.0, 4)) > 0.01);
    let plain = || Darkroom::new(&pool, 3, cpu()).plain(&[[1; 3]], 64);
    let unmirrored = (0..40).filter(|seed| {
        let Place(matrix) = Variation::draw(0.01, &mut random(*seed)).place;
        matrix[0] > 0.0 && matrix[4] > 0.0
    });
    for seed in unmirrored {
        let [weak, strong] =
            [0.01, 1.0].map(|strength| off(varied(&pool, 1, 64, strength, seed), plain()));
        assert!(weak < 0.06 && weak < strong, "seed {seed}: {weak} {strong}");
    }
}

#[test]
fn a_pasted_tumour_lies_in_the_head_with_its_mask_and_brightness() {
    let pool = phantoms(4);
    // The first phantom has no tumour (its seed is a multiple of three, or near it): find one of each.
    let darkroom = Darkroom::new(&pool, 3, cpu());
    let area = |slice: i64| {
        darkroom.plain(&[[slice; 3]], 128).targets.sum(tch::Kind::Float).double_value(&[])
    };
    let healthy = (0..4).find(|slice| area(*slice) == 0.0).unwrap();
    let ill = (0..4).find(|slice| area(*slice) > 50.0).unwrap();
    let still = Variation {
        place: Place([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        ..Variation::draw(1e-6, &mut random(1))
    };
    let mut pasted = 0;
    for seed in 0..8 {
        let picture = || Picture::new([healthy; 3], still.clone());
        let with = picture().with([ill; 3], &mut random(seed));
        let softness = Softness::draw(&mut random(0));
        let [before, after] =
            [picture(), with].map(|picture| darkroom.varied(&[picture], 128, softness));
        let inside = after.targets.gt(0.5);
        let changed = (&after.images - &before.images).abs();
        let outside =
            mean_where(&changed, &after.targets.le(0.0).logical_and(&far_from(&after.targets)));
        assert!(outside < 1e-6, "seed {seed}: {outside}");
        let air = before.images.narrow(1, 1, 1).le(-0.9).logical_and(&inside);
        assert_eq!(air.any().int64_value(&[]), 0, "seed {seed}: a tumour in the air");
        if inside.sum(tch::Kind::Int64).int64_value(&[]) > 20 {
            assert!(mean_where(&changed, &inside.expand_as(&changed)) > 0.1, "seed {seed}");
            pasted += 1;
        }
    }
    assert!(pasted >= 3, "{pasted}");
}

fn mean_where(values: &Tensor, chosen: &Tensor) -> f64 {
    values.masked_select(&chosen.expand_as(values)).mean(tch::Kind::Float).double_value(&[])
}

/// More than a few pixels from any tumour.
fn far_from(tumour: &Tensor) -> Tensor {
    tumour.max_pool2d([9, 9], [1, 1], [4, 4], [1, 1], false).le(0.0)
}

#[test]
fn training_ends_in_a_model_that_evaluates_as_its_card_says() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let about = About { pictures: true, ..About::default() };
    let random = domain::Random::new(|bytes| bytes.fill(1));
    let journal = Journal::new(&settings.run, about, domain::ManualClock::at(5).clock(), random);
    let settings = Settings { tracking: Tracking::by(Arc::new(journal)), ..settings };
    run(&settings, cpu()).unwrap();
    all_is_tracked(&settings);
    let mut segmenter = Segmenter::load(&settings.model, cpu()).unwrap();
    let split = split(&settings);
    let evaluation =
        evaluate::evaluate(&mut segmenter, &split.validation, false, |_, _, _, _| Ok(())).unwrap();
    let card = fs::read_to_string(settings.model.join(CARD_FILE)).unwrap();
    let dice = evaluation.patients[0].dice;
    assert!(card.contains(&format!("| {} | 2 | {dice:.3} |", evaluation.patients[0].id)), "{card}");
    assert!(card.contains(&Weights::read(&settings.model).unwrap().sha256));
    let reference = fs::read_to_string(settings.model.join(REFERENCE_FILE)).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&reference).unwrap();
    let counted = |name: &str| -> u64 {
        let counts = reference["features"][name]["counts"].as_array().unwrap();
        counts.iter().map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!((counted("sharpness"), counted("confidence")), (8, 2));
}

/// What the run was told to keep is what it was, and what it made.
fn all_is_tracked(settings: &Settings) {
    let record = Record::read(&settings.run).unwrap();
    let Run { parameters, tags, model, ended, .. } = &record.run;
    assert_eq!(
        (parameters["batch"].as_str(), parameters["training_patients"].as_str()),
        ("4", "3")
    );
    assert_eq!(tags["split"], split(settings).digest());
    let data_version = dataset::version_of(&settings.manifests).unwrap();
    let card = fs::read_to_string(settings.model.join(CARD_FILE)).unwrap();
    let facts = Weights::read(&settings.model).unwrap().facts.model;
    assert_eq!(tags["data_version"], data_version);
    assert_eq!(super::data_version(&card), Some(data_version.as_str()));
    assert_eq!(facts.data_version, data_version);
    assert_eq!(model.as_ref().map(|made| (&*made.name, &*made.version)), Some(("tiny", "1")));
    assert_eq!(ended.as_ref().map(|end| end.failed.clone()), Some(None));
    let points = record.metrics(0).unwrap();
    let last = |name: &str| points.iter().rfind(|point| point.name == name).map(|point| point.step);
    for name in ["loss", "learning_rate", "images_per_second"] {
        assert_eq!(last(name), Some(4), "{name} after four steps");
    }
    assert!(points.iter().any(|point| point.name.starts_with("validation_dice/")));
    assert!(
        points
            .iter()
            .any(|point| point.name.starts_with("volumes/") && point.name.ends_with("/dice_mean"))
    );
    let artefacts = record.artefacts().unwrap();
    for file in [MANIFEST_FILE, "weights.safetensors", CARD_FILE, REFERENCE_FILE, GOLDEN_FILE] {
        let kept = fs::read(record.path(&artefacts[&format!("model/{file}")])).unwrap();
        assert_eq!(kept, fs::read(settings.model.join(file)).unwrap(), "{file}");
    }
    for folder in ["plots/", "worst/"] {
        assert!(artefacts.keys().any(|name| name.starts_with(folder)), "nothing in {folder}");
    }
}

#[test]
fn resumed_training_ends_where_training_in_one_go_ends() {
    let (at_once, in_two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = settings(at_once.path());
    run(&whole, cpu()).unwrap();
    let first = settings(in_two.path());
    // Stopped half way: the schedule must not know.
    stopped_half_way(&first);
    run(&Settings { resume: true, ..first.clone() }, cpu()).unwrap();
    let flat = |settings: &Settings| {
        let state = State::load(&settings.checkpoint(), 0.05, tch::Device::Cpu).unwrap();
        (state.parameters.flat, state.average.flat, state.optimiser.steps)
    };
    let (a, b) = (flat(&whole), flat(&first));
    let off = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    assert_eq!(a.2, b.2);
    // Sums run in another order from time to time; a lost moment or seed would be a thousand times this.
    assert!(
        off(&a.0, &b.0) < 1e-6 && off(&a.1, &b.1) < 1e-6,
        "{} {}",
        off(&a.0, &b.0),
        off(&a.1, &b.1)
    );
}

fn stopped_half_way(settings: &Settings) {
    fs::create_dir_all(&settings.run).unwrap();
    let split = split(settings);
    let mut state = begin(settings, cpu(), &split).unwrap();
    learn(settings, cpu(), (&split, "data"), &mut state, 0.5).unwrap();
}

#[test]
fn training_goes_on_from_a_finished_model_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let first = settings(folder.path());
    run(&first, cpu()).unwrap();
    let finished = Weights::read(&first.model).unwrap();
    let on = Settings {
        from: Some(first.model.clone()),
        run: folder.path().join("run-2"),
        model: folder.path().join("model-2"),
        ..first.clone()
    };
    let network = Network::new(TINY);
    let state = begin(&on, cpu(), &split(&on)).unwrap();
    let begun = state.parameters.by_unit(&network, false).folded();
    for (unit, (begun, finished)) in network.units().iter().zip(begun.iter().zip(&finished.units)) {
        let off = (&begun.weight - &finished.weight).abs().max().double_value(&[]);
        let largest = finished.weight.abs().max().double_value(&[]);
        assert!(off <= 1e-3 * largest, "{}: {off} of {largest}", unit.name);
    }
    run(&on, cpu()).unwrap();
    let card = fs::read_to_string(on.model.join(CARD_FILE)).unwrap();
    assert!(
        card.contains(&format!("From the weights of tiny 1 (SHA-256 `{}`", finished.sha256)),
        "{card}"
    );
    let other = Settings { design: Design { width: 12, ..TINY }, run: folder.path().into(), ..on };
    assert!(refusal(&other).contains("another design"));
}

#[test]
fn a_loss_that_is_no_number_stops_training_and_keeps_the_last_good_state() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { rate: f64::NAN, ..settings(folder.path()) };
    fs::create_dir_all(&settings.run).unwrap();
    begin(&settings, cpu(), &split(&settings)).unwrap().save(&settings.checkpoint()).unwrap();
    let before = fs::read(settings.checkpoint()).unwrap();
    let why = refusal(&Settings { resume: true, ..settings.clone() });
    assert!(why.contains("not a number") && why.contains("last.safetensors"), "{why}");
    assert_eq!(fs::read(settings.checkpoint()).unwrap(), before);
    assert!(!settings.model.join("weights.safetensors").is_file());
}

#[test]
fn a_run_that_is_there_is_not_overwritten_and_another_run_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    assert!(refusal(&Settings { resume: true, ..settings.clone() }).contains("cannot read"));
    fs::create_dir_all(&settings.run).unwrap();
    begin(&settings, cpu(), &split(&settings)).unwrap().save(&settings.checkpoint()).unwrap();
    assert!(refusal(&settings).contains("already"));
    let other = Settings { resume: true, seed: 8, ..settings.clone() };
    assert!(refusal(&other).contains("another design or seed"));
    fs::write(settings.checkpoint(), b"cut short").unwrap();
    assert!(refusal(&Settings { resume: true, ..settings }).contains("no checkpoint"));
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_is_read() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let settings = Settings { manifests: vec!["/nowhere".into()], ..settings(folder.path()) };
    assert!(refusal(&Settings { side: 100, ..settings.clone() }).contains("side"));
    assert!(refusal(&Settings { replicas: 3, ..settings.clone() }).contains("replicas"));
    assert!(refusal(&Settings { length: Length::Views(0), ..settings.clone() }).contains("view"));
    assert!(refusal(&settings).contains("/nowhere"));
}

#[test]
fn one_slice_networks_learn_to_look_at_neighbours_which_at_first_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lone = Design { neighbours: false, ..TINY };
    let first = Settings { design: lone, ..settings(folder.path()) };
    run(&first, cpu()).unwrap();
    let on = Settings {
        from: Some(first.model.clone()),
        run: folder.path().join("run-2"),
        design: TINY,
        ..first.clone()
    };
    let state = begin(&on, cpu(), &split(&on)).unwrap();
    let pool = phantoms(3);
    let logits = |design: Design, parameters: &Parameters, slices: [i64; 3]| {
        let network = Network::new(design);
        let batch = Darkroom::new(&pool, network.channels(), cpu()).plain(&[slices], 64);
        let unit_parameters = parameters.by_unit(&network, false);
        unit_parameters.forward(&batch.images, Normalising::Running).unwrap()
    };
    let finished = Weights::read(&first.model).unwrap();
    let shown = Darkroom::new(&pool, 1, cpu()).plain(&[[1; 3]], 64).images;
    let alone = Parameters::unfolded(&Network::new(lone), &finished.units, &shown).unwrap();
    let expected = logits(lone, &alone, [1; 3]);
    // Whatever the neighbours are.
    let off = (logits(TINY, &state.parameters, [0, 1, 2]) - &expected).abs().max();
    let largest = expected.abs().max().double_value(&[]);
    assert!(off.double_value(&[]) < 1e-3 * largest, "{off:?} of {largest}");
    let back = Settings { design: lone, from: Some(on.model.clone()), ..on.clone() };
    run(&on, cpu()).unwrap();
    assert!(
        refusal(&Settings { run: folder.path().join("run-3"), ..back }).contains("another design")
    );
}

#[test]
fn training_and_looking_lay_neighbours_out_alike() {
    let folder = tempfile::tempdir().unwrap();
    let patients = dataset::read(&manifest(folder.path())).unwrap();
    let scan = Labelled::load(patients[0].scans()[0]).unwrap();
    let framed = imaging::Framed::new(&scan.volume, imaging::Preprocessing::NEWEST).unwrap();
    let pool = Pool::load(&patients[..1], 0, cpu(), || {}).unwrap();
    // The views of a patient come in the order of showing a tumour: the slice's own place tells which it is.
    for (_, view) in pool.views() {
        let index = (view.together != pool.views()[0].1.together) as usize;
        let seen = framed.slice(index, 256).unwrap();
        let seen = crate::segmenter::side_by_side(&seen, 3);
        let shown = Darkroom::new(&pool, 3, cpu()).plain(&[view.together], 256).images;
        let shown = shown.permute([0, 2, 3, 1]).contiguous().view([-1]);
        let shown: Vec<f32> = Vec::try_from(&shown).unwrap();
        let apart = |from: usize, to: usize| {
            let pairs = shown.iter().skip(from).step_by(3).zip(seen.iter().skip(to).step_by(3));
            pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / (256 * 256) as f32
        };
        for channel in 0..3 {
            assert!(apart(channel, channel) < 0.01, "{channel}: {}", apart(channel, channel));
        }
        // One neighbour is there, the other is the slice itself.
        let other = if index == 0 { 2 } else { 0 };
        assert!(apart(1, other) > 0.03, "{}", apart(1, other));
    }
}

#[test]
fn each_patient_is_judged_by_a_network_that_has_not_learned_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { length: Length::Views(8), ..settings(folder.path()) };
    let report = cross_validate(&settings, 2, cpu()).unwrap();
    let text = fs::read_to_string(&report).unwrap();
    assert!(text.contains("2 folds") && text.contains("4 volumes of 4 patients"), "{text}");
    let figures = || fs::read_to_string(settings.run.join(FIGURES_FILE)).unwrap();
    let first = figures();
    let seen: serde_json::Value = serde_json::from_str(&first).unwrap();
    let patients = seen["sources"][0]["figures"]["patients"].as_array().unwrap();
    let mut ids: Vec<&str> =
        patients.iter().map(|patient| patient["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["p0", "p1", "p2", "p3"]);
    // What is finished is not trained again.
    let checkpoint = settings.run.join("fold-2/last.safetensors");
    let before = fs::metadata(&checkpoint).unwrap().modified().unwrap();
    cross_validate(&settings, 2, cpu()).unwrap();
    assert_eq!(fs::metadata(&checkpoint).unwrap().modified().unwrap(), before);
    let sum = |text: &str| {
        let figures: serde_json::Value = serde_json::from_str(text).unwrap();
        figures["sources"][0]["figures"]["dice_mean"].as_f64().unwrap()
    };
    assert!((sum(&first) - sum(&figures())).abs() < 1e-9);
    let card = Settings {
        run: folder.path().join("run-2"),
        cross_validation: Some(report),
        judged_phantoms: 5,
        ..settings.clone()
    };
    let card = fs::read_to_string(run(&card, cpu()).unwrap()).unwrap();
    for title in ["## Cross-validation", "## Volumes of phantoms", "## Doubt", "## Use and limits"]
    {
        assert!(card.contains(title), "{card}");
    }
    assert!(refusal_of_folds(&settings, 5).contains("do not make 5 folds"));
}

#[test]
fn folds_that_were_trained_elsewhere_are_judged_by_patients_that_they_do_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { length: Length::Views(8), ..settings(folder.path()) };
    let elsewhere = |number: usize| {
        let at = |name: &str| folder.path().join(format!("{name}-{number}"));
        let fold = Some(Fold { number, of: 2 });
        let (run_folder, model) = (at("elsewhere"), at("model"));
        let settings = Settings {
            fold,
            unjudged: true,
            run: run_folder,
            model: model.clone(),
            ..settings.clone()
        };
        run(&settings, cpu()).unwrap();
        model
    };
    let models = [elsewhere(1), elsewhere(2)];
    let bring = |from: &Path, fold: usize| {
        let to = settings.run.join(format!("fold-{fold}"));
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(from).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    };
    // Exchanged on the way, they would be validated on their own lessons.
    bring(&models[1], 1);
    assert!(refusal_of_folds(&settings, 2).contains("was learned from"));
    bring(&models[0], 1);
    bring(&models[1], 2);
    let text = fs::read_to_string(cross_validate(&settings, 2, cpu()).unwrap()).unwrap();
    assert!(text.contains("(8, 8 slices, ") && text.contains("4 volumes of 4 patients"), "{text}");
    assert!(!settings.run.join("fold-1/last.safetensors").try_exists().unwrap());
    let learned = settings.run.join("fold-2").join(Learned::FILE);
    let half = fs::read_to_string(&learned).unwrap().replace("\"done\": 1.0", "\"done\": 0.5");
    fs::write(&learned, half).unwrap();
    assert!(refusal_of_folds(&settings, 2).contains("50.0 % of the training"));
    let none = Settings { fold: Some(Fold { number: 3, of: 2 }), ..settings };
    assert!(refusal(&none).contains("3 is none"));
}

fn refusal_of_folds(settings: &Settings, folds: usize) -> String {
    cross_validate(settings, folds, cpu()).unwrap_err().to_string()
}

/// Set for the process in which files cannot grow: the folder of its run.
const NO_ROOM: &str = "MEDSEG_TEST_NO_ROOM";

#[test]
fn a_full_disk_costs_the_new_checkpoint_and_not_the_old() {
    if let Some(folder) = std::env::var_os(NO_ROOM) {
        let settings = settings(Path::new(&folder));
        print!("{}", refusal(&Settings { resume: true, ..settings }));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { checkpoint_minutes: 0.0, ..settings(folder.path()) };
    stopped_half_way(&settings);
    let before = fs::read(settings.checkpoint()).unwrap();
    // Below the size of a checkpoint and above that of anything before it; the signal would end the process at once.
    let script = "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact --nocapture \
        train::tests::a_full_disk_costs_the_new_checkpoint_and_not_the_old";
    let output = std::process::Command::new("bash")
        .args(["-c".as_ref(), script.as_ref(), std::env::current_exe().unwrap().as_os_str()])
        .env(NO_ROOM, folder.path())
        .output()
        .unwrap();
    let why = String::from_utf8(output.stdout).unwrap();
    assert!(why.contains("cannot write") && why.contains("the state before it stays"), "{why}");
    assert_eq!(fs::read(settings.checkpoint()).unwrap(), before);
    let names = fs::read_dir(&settings.run).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["last.before.safetensors", "last.safetensors", "loss.csv"]);
    run(&Settings { resume: true, ..settings }, cpu()).unwrap();
}

#[test]
fn a_side_without_a_tumour_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let empty: Vec<String> =
        split(&settings).validation.iter().map(|patient| patient.id.clone()).collect();
    let lines = fs::read_to_string(&settings.manifests[0]).unwrap();
    let healthy = |wanted: &dyn Fn(&str) -> bool| {
        // p1's second slice shows no tumour.
        let lines = lines.lines().map(|line| match wanted(line.split(',').next().unwrap()) {
            true => line.replace(line.split(',').nth(3).unwrap(), "3_mask.png"),
            false => line.to_owned(),
        });
        fs::write(&settings.manifests[0], lines.collect::<Vec<_>>().join("\n")).unwrap();
        refusal(&settings)
    };
    let is_patient = |id: &str| id != "patient";
    let why = healthy(&|id| is_patient(id) && empty.iter().any(|other| other == id));
    assert!(why.contains("for validation shows a tumour"), "{why}");
    let why = healthy(&|id| is_patient(id) && !empty.iter().any(|other| other == id));
    assert!(why.contains("for training shows a tumour"), "{why}");
}

#[test]
fn a_run_is_not_continued_with_other_patients() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    stopped_half_way(&settings);
    let other = Settings { resume: true, validation: 0.5, ..settings };
    assert!(refusal(&other).contains("other patients"));
}

#[test]
fn speed_is_measured_without_any_patient() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { manifests: vec![], side: 64, ..settings(folder.path()) };
    assert!(speed(&settings, 2, cpu()).unwrap() > 0.0);
    for folder in [settings.run, settings.model] {
        assert!(!folder.try_exists().unwrap());
    }
}

#[test]
fn a_checkpoint_that_was_cut_short_gives_way_to_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { checkpoint_minutes: 0.0, ..settings(folder.path()) };
    stopped_half_way(&settings);
    let views = || {
        let resumed = Settings { resume: true, ..settings.clone() };
        begin(&resumed, cpu(), &split(&settings)).map(|state| state.progress.views)
    };
    assert_eq!(views().unwrap(), 8);
    let whole = fs::read(settings.checkpoint()).unwrap();
    let before = state::before(&settings.checkpoint());
    fs::remove_file(&before).unwrap();
    let mut state = begin(&Settings { resume: true, ..settings.clone() }, cpu(), &split(&settings));
    let state = state.as_mut().unwrap();
    state.progress.views = 12;
    state.save(&settings.checkpoint()).unwrap();
    for length in [0, 7, whole.len() / 2, whole.len() - 1] {
        fs::write(settings.checkpoint(), &whole[..length]).unwrap();
        assert_eq!(views().unwrap(), 8, "cut at {length}");
    }
    // Killed between the two renames: the last is gone.
    fs::remove_file(settings.checkpoint()).unwrap();
    assert_eq!(views().unwrap(), 8);
    fs::write(&before, &whole[..9]).unwrap();
    assert!(views().unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn a_run_is_not_continued_with_another_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    stopped_half_way(&settings);
    let lines = fs::read_to_string(&settings.manifests[0]).unwrap();
    let fewer: Vec<&str> = lines.lines().filter(|line| !line.starts_with("p1,2,")).collect();
    fs::write(&settings.manifests[0], fewer.join("\n")).unwrap();
    let why = refusal(&Settings { resume: true, ..settings });
    assert!(why.contains("manifest"), "{why}");
}

#[test]
fn what_is_left_unjudged_is_whole_and_says_nothing_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { unjudged: true, ..settings(folder.path()) };
    fs::create_dir_all(&settings.model).unwrap();
    stopped_half_way(&settings);
    let half = Weights::read(&settings.model).unwrap().sha256;
    let manifest = run(&Settings { resume: true, ..settings.clone() }, cpu()).unwrap();
    let Weights { facts, sha256, .. } = Weights::read(&manifest).unwrap();
    assert!(
        sha256 != half && facts.model.classes.is_empty() && facts.model.readings.kinds.is_empty()
    );
    assert!(!settings.model.join(CARD_FILE).try_exists().unwrap());
}

#[test]
fn training_by_the_clock_ends_in_a_model_too() {
    let folder = tempfile::tempdir().unwrap();
    let length = Length::Minutes(0.02);
    let settings = Settings { length, checkpoint_minutes: 0.005, ..settings(folder.path()) };
    run(&settings, cpu()).unwrap();
    let state = State::load(&settings.checkpoint(), 0.05, tch::Device::Cpu).unwrap();
    assert!(state.progress.seconds >= 1.2 && state.progress.views > 0);
    assert!(state::before(&settings.checkpoint()).try_exists().unwrap());
    let card = fs::read_to_string(settings.model.join(CARD_FILE)).unwrap();
    assert!(card.contains("asked: 0.02 minutes"), "{card}");
}
