use std::path::Path;

use image::{GrayImage, Luma};
use imaging::phantom::{self, Phantom};
use tempfile::TempDir;

use super::augment::Square;
use super::*;
use crate::weights::Weights;
use crate::{Segmenter, evaluate};

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

fn settings(folder: &Path) -> Settings {
    Settings {
        manifests: vec![manifest(folder)],
        run: folder.join("run"),
        model: folder.join("model"),
        name: "tiny".into(),
        version: "1".into(),
        data: "Phantoms.".into(),
        design: TINY,
        from: None,
        side: 128,
        mirrored: false,
        epochs: 2,
        steps: 2,
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
    }
}

fn split(settings: &Settings) -> Split {
    settings.split().unwrap()
}

fn cpu() -> Device {
    Device::choose("cpu").unwrap().exact()
}

fn refusal(settings: &Settings) -> String {
    run(settings, cpu()).unwrap_err().to_string()
}

#[test]
fn the_loss_falls_on_eight_phantoms() {
    let squares: Vec<Square> = (0..8).map(|seed| pool::phantom(seed).unwrap()).collect();
    let examples: Vec<_> = squares.iter().map(|square| square.plain(32)).collect();
    let network = Network::new(TINY);
    let progress = Progress { design: TINY, seed: 1, split: String::new(), epoch: 0 };
    let parameters = Parameters::fresh(&network, 1, tch::Device::Cpu);
    let mut state = State::new(parameters, progress, 0.0);
    let batch = Batch::new(&examples, 3, 32, cpu());
    let losses: Vec<f64> = (0..100)
        .map(|_| {
            let cut = state.parameters.cut(&network, true);
            let (loss, _) = loss(&cut.forward(&batch.images, true).unwrap(), &batch.targets);
            let gradient = cut.gradient(&loss);
            tch::no_grad(|| state.step(&gradient, 1e-2));
            loss.double_value(&[])
        })
        .collect();
    assert!(losses[99] < 0.5 * losses[0], "{} to {}", losses[0], losses[99]);
}

#[test]
fn training_ends_in_a_model_that_evaluates_as_its_card_says() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    run(&settings, cpu()).unwrap();
    let mut segmenter = Segmenter::load(&settings.model, cpu()).unwrap();
    let split = split(&settings);
    let judged =
        evaluate::evaluate(&mut segmenter, &split.validation, false, |_, _, _, _| Ok(())).unwrap();
    let card = fs::read_to_string(settings.model.join(CARD_FILE)).unwrap();
    let dice = judged.patients[0].dice;
    assert!(card.contains(&format!("| {} | 2 | {dice:.3} |", judged.patients[0].id)), "{card}");
    assert!(card.contains(&Weights::read(&settings.model).unwrap().sha256));
    let reference = fs::read_to_string(settings.model.join(REFERENCE_FILE)).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&reference).unwrap();
    let counted = |name: &str| -> u64 {
        let counts = reference["features"][name]["counts"].as_array().unwrap();
        counts.iter().map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!((counted("sharpness"), counted("confidence")), (8, 2));
}

#[test]
fn resumed_training_ends_where_training_in_one_go_ends() {
    let (at_once, in_two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = settings(at_once.path());
    run(&whole, cpu()).unwrap();
    let first = settings(in_two.path());
    // Stopped after the first of two epochs: the schedule must not know.
    stopped_after_an_epoch(&first);
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

fn stopped_after_an_epoch(settings: &Settings) {
    fs::create_dir_all(&settings.run).unwrap();
    let split = split(settings);
    let mut state = begin(settings, cpu(), &split).unwrap();
    learn(settings, cpu(), &split, &mut state, 1).unwrap();
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
    let begun = state.parameters.cut(&network, false).folded();
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
    assert!(refusal(&Settings { epochs: 0, ..settings.clone() }).contains("epoch"));
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
    let square = pool::phantom(1).unwrap();
    let logits = |design: Design, parameters: &Parameters, planes: Vec<Vec<f32>>| {
        let network = Network::new(design);
        let example = Example { planes, ..square.plain(64) };
        let batch = Batch::new(&[example], network.channels(), 64, cpu());
        parameters.cut(&network, false).forward(&batch.images, false).unwrap()
    };
    let slice = square.plain(64).planes.remove(0);
    let finished = Weights::read(&first.model).unwrap();
    let alone = Parameters::unfolded(
        &Network::new(lone),
        &finished.units,
        &Batch::new(&[square.plain(64)], 1, 64, cpu()).images,
    );
    let expected = logits(lone, &alone.unwrap(), vec![slice.clone()]);
    let strange = vec![slice, vec![3.0; 64 * 64], vec![-1.0; 64 * 64]];
    let off = (logits(TINY, &state.parameters, strange) - &expected).abs().max();
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
    let stack = phantom::Settings {
        shape: imaging::Shape { slices: 3, rows: 96, columns: 96 },
        spacing: [30.0, 2.5, 2.5],
        tumour: false,
        ..phantom::Settings::slice(1)
    };
    let volume = Phantom::new(&stack).unwrap().volume;
    let prepared = imaging::prepare_within(&volume, 1, 256).unwrap();
    let shown = Square::new(&prepared, &[0.0; 256 * 256]).plain(256);
    let batch = Batch::new(&[shown], 3, 256, cpu()).images.permute([0, 2, 3, 1]);
    let learned: Vec<f32> = Vec::try_from(&batch.contiguous().view([-1])).unwrap();
    let seen = crate::segmenter::side_by_side(&prepared, 3);
    let apart = |from: usize, to: usize| {
        let pairs = learned.iter().skip(from).step_by(3).zip(seen.iter().skip(to).step_by(3));
        pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / (256 * 256) as f32
    };
    // A pixel of the rim is air in training, and the slices are far enough apart to be told from each other.
    for channel in 0..3 {
        assert!(apart(channel, channel) < 0.02, "{channel}: {}", apart(channel, channel));
        assert!(apart(channel, (channel + 1) % 3) > 0.05, "{}", apart(channel, (channel + 1) % 3));
    }
}

#[test]
fn each_patient_is_judged_by_a_network_that_has_not_learned_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: 1, ..settings(folder.path()) };
    let report = cross_validate(&settings, 2, cpu()).unwrap();
    let text = fs::read_to_string(&report).unwrap();
    assert!(text.contains("2 folds") && text.contains("4 scans of 4 patients"), "{text}");
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
    let settings = settings(folder.path());
    stopped_after_an_epoch(&settings);
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
    assert_eq!(names.collect::<Vec<_>>(), ["last.safetensors"]);
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
    stopped_after_an_epoch(&settings);
    let other = Settings { resume: true, validation: 0.5, ..settings };
    assert!(refusal(&other).contains("other patients"));
}

#[test]
fn speed_is_measured_without_any_patient() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { manifests: vec![], side: 64, ..settings(folder.path()) };
    assert!(speed(&settings, cpu()).unwrap() > 0.0);
    for folder in [settings.run, settings.model] {
        assert!(!folder.try_exists().unwrap());
    }
}

#[test]
fn the_schedules_begin_and_end_where_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: 10, steps: 100, ..settings(folder.path()) };
    let sides: Vec<usize> = (0..10).map(|epoch| settings.side_of(epoch)).collect();
    assert_eq!(sides, [64, 64, 64, 96, 96, 96, 128, 128, 128, 128]);
    let on = Settings { from: Some("a model".into()), side: 192, ..settings.clone() };
    let sides: Vec<usize> = (0..10).map(|epoch| on.side_of(epoch)).collect();
    assert_eq!(sides, [128, 128, 128, 128, 128, 128, 192, 192, 192, 192]);
    let highest = (0..1000).map(|step| settings.rate_of(step)).fold(0.0, f64::max);
    assert!(settings.rate_of(0) < 1e-5 && settings.rate_of(999) < 1.2e-5 && highest > 8e-4);
    assert_eq!((settings.strength_of(0), settings.strength_of(500)), (1.0, 1.0));
    assert!((settings.strength_of(1000) - STRENGTH_END).abs() < 1e-6);
}
