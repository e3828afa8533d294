use std::fs;
use std::sync::Arc;

use domain::{ErrorKind, ManualClock, Random, Result};

use super::*;

fn journal(run: &Path, clock: &ManualClock, pictures: bool) -> Journal {
    let about = About {
        name: "first".into(),
        experiment: "medseg".into(),
        tags: [("git_commit".to_owned(), "abc".to_owned())].into(),
        pictures,
    };
    Journal::new(run, about, clock.clock(), Random::new(|bytes| bytes.fill(0xab)))
}

fn beginning(goes_on: bool, minutes: &str) -> Beginning {
    let parameters = vec![("minutes", minutes.to_owned()), ("seed", "7".to_owned())];
    Beginning { goes_on, parameters, tags: vec![("data_version", "d1".to_owned())] }
}

fn loss(value: f64) -> Vec<(String, f64)> {
    vec![("loss".to_owned(), value)]
}

#[test]
fn a_run_is_read_by_others_while_it_goes_on() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1000));
    let journal = journal(folder.path(), &clock, false);
    journal.begin(beginning(false, "5"));
    clock.advance(50);
    journal.metrics(20, &[("loss".to_owned(), 0.5), ("speed".to_owned(), f64::NAN)]);
    journal.artefact("model/card.md", b"# card");
    journal.artefact("model/card.md", b"# another");
    journal.made("tiny", "1");

    let record = Record::read(folder.path()).unwrap();
    let point = Point { at_ms: 1050, step: 20, name: "loss".into(), value: 0.5 };
    assert_eq!(record.metrics(0).unwrap(), [point]);
    assert!(record.metrics(1).unwrap().is_empty());
    let artefacts = record.artefacts().unwrap();
    assert_eq!(artefacts.keys().collect::<Vec<_>>(), ["model/card.md"]);
    assert_eq!(fs::read(record.path(&artefacts["model/card.md"])).unwrap(), b"# another");
    let run = &record.run;
    assert_eq!(
        (run.id.as_str(), run.name.as_str(), run.began_ms),
        (&*"ab".repeat(16), "first", 1000)
    );
    assert_eq!((run.parameters["minutes"].as_str(), run.tags["git_commit"].as_str()), ("5", "abc"));
    assert_eq!(run.model, Some(Made { name: "tiny".into(), version: "1".into() }));
    assert_eq!(run.ended, None);

    journal.end(Some("the loss is not a number"));
    let ended = Record::read(folder.path()).unwrap().run.ended.unwrap();
    assert_eq!((ended.at_ms, ended.failed.as_deref()), (1050, Some("the loss is not a number")));
}

#[test]
fn a_run_that_is_refused_before_it_begins_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let journal = Arc::new(journal(&run, &ManualClock::at(1), true));
    let tracking = Tracking::by(journal.clone());
    let refused = tracking.over(|| -> Result<()> { Err(ErrorKind::Invalid.error("no")) });
    assert!(refused.is_err() && !journal.begun() && !run.try_exists().unwrap());
    assert_eq!(Record::read(&run).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_run_that_goes_on_keeps_its_beginning_and_says_what_is_another_now() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1000));
    let first = journal(folder.path(), &clock, false);
    first.begin(beginning(false, "5"));
    first.metrics(20, &loss(0.5));
    drop(first);
    // It was ended amid a line.
    let metrics = folder.path().join(TRACKING_FOLDER).join("metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, format!("{whole}{{\"at_ms\":10")).unwrap();
    assert_eq!(Record::read(folder.path()).unwrap().metrics(0).unwrap().len(), 1);

    clock.advance(10);
    let second = journal(folder.path(), &clock, false);
    second.begin(beginning(true, "9"));
    second.metrics(40, &loss(0.25));
    let record = Record::read(folder.path()).unwrap();
    let steps: Vec<u64> = record.metrics(0).unwrap().iter().map(|point| point.step).collect();
    assert_eq!((steps, record.run.began_ms), (vec![20, 40], 1000));
    assert_eq!(record.run.parameters["minutes"], "5");
    assert_eq!(record.run.tags["resumed.minutes"], "9");
    assert!(!record.run.tags.contains_key("resumed.seed"));
}

#[test]
fn a_new_run_in_the_same_folder_has_nothing_of_the_one_before() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1000));
    let first = journal(folder.path(), &clock, false);
    first.begin(beginning(false, "5"));
    first.metrics(20, &loss(0.5));
    first.artefact("model/card.md", b"# card");
    drop(first);
    fs::write(folder.path().join(TRACKING_FOLDER).join("sent.json"), "{}").unwrap();

    journal(folder.path(), &clock, false).begin(beginning(false, "6"));
    let record = Record::read(folder.path()).unwrap();
    assert_eq!((record.metrics(0).unwrap().len(), record.artefacts().unwrap().len()), (0, 0));
    assert_eq!(record.run.parameters["minutes"], "6");
    let mut left: Vec<_> = fs::read_dir(record.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["lock", "run.json"]);
}

#[test]
fn one_process_at_a_time_writes_how_a_run_goes() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1000));
    let first = journal(folder.path(), &clock, false);
    first.begin(beginning(false, "5"));
    let second = journal(folder.path(), &clock, false);
    second.begin(beginning(false, "6"));
    assert!(!second.begun());
    assert_eq!(Journal::hold(folder.path()).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(Record::read(folder.path()).unwrap().run.parameters["minutes"], "5");
    drop(first);
    assert!(Journal::hold(folder.path()).is_ok());
}

#[test]
fn pictures_are_kept_where_they_may_be_and_no_name_leads_out_of_the_folder() {
    let clock = ManualClock::at(1000);
    for (pictures, kept) in [(false, vec!["a/b.txt"]), (true, vec!["a/b.txt", "worst/1.png"])] {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(&folder.path().join("run"), &clock, pictures);
        journal.begin(beginning(false, "5"));
        journal.artefact("../a/./b.txt", b"text");
        journal.picture("/worst/../1.png", b"picture");
        let record = Record::read(&folder.path().join("run")).unwrap();
        assert_eq!(record.artefacts().unwrap().keys().collect::<Vec<_>>(), kept);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn folds_are_runs_within_a_run() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1000));
    let all = journal(folder.path(), &clock, false);
    all.begin(beginning(true, "5"));
    for _ in 0..2 {
        let fold = all.nested("fold-1", &folder.path().join("fold-1"));
        fold.begin(beginning(true, "5"));
        fold.metrics(1, &loss(0.5));
    }
    let record = Record::read(folder.path()).unwrap();
    assert_eq!(record.nested(), [folder.path().join("fold-1")]);
    let fold = Record::read(&record.nested()[0]).unwrap();
    assert_eq!((fold.run.name.as_str(), fold.metrics(0).unwrap().len()), ("fold-1", 2));
}

#[test]
fn a_record_from_elsewhere_names_no_file_outside_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let tracking = folder.path().join(TRACKING_FOLDER);
    fs::create_dir(&tracking).unwrap();
    let run = Run { nested: vec!["../other".into(), "/etc".into()], ..Run::default() };
    fs::write(tracking.join("run.json"), serde_json::to_vec(&run).unwrap()).unwrap();
    let record = Record::read(folder.path()).unwrap();
    for name in ["../../key.pem", "/key.pem"] {
        let artefact = Artefact { name: name.into(), sha256: String::new() };
        assert_eq!(record.path(&artefact), tracking.join("artefacts/key.pem"), "{name}");
    }
    assert_eq!(record.nested(), ["other", "etc"].map(|name| folder.path().join(name)));
}

#[test]
fn the_machine_is_looked_at_from_time_to_time() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1000));
    let journal = journal(folder.path(), &clock, false);
    journal.begin(beginning(false, "5"));
    for _ in 0..4 {
        clock.advance(2500);
        journal.metrics(1, &loss(0.5));
    }
    let points = Record::read(folder.path()).unwrap().metrics(0).unwrap();
    let memory = points.iter().filter(|p| p.name == "system/system_memory_usage_percentage");
    let memory: Vec<f64> = memory.map(|point| point.value).collect();
    assert!(
        memory.len() == 2 && memory.iter().all(|part| (0.0..=100.0).contains(part)),
        "{memory:?}"
    );
}

#[test]
fn a_metric_has_a_name_that_trackers_take_whatever_a_source_is_called() {
    assert_eq!(metric_name(&["validation_dice", "a-flair"]), "validation_dice/a-flair");
    assert_eq!(metric_name(&["validation_dice", ""]), "validation_dice");
    assert_eq!(metric_name(&["validation_dice", "..", "x/y%"]), "validation_dice/x_y_");
}

#[test]
fn a_line_that_is_damaged_is_named() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(1000));
    let journal = journal(folder.path(), &clock, false);
    journal.begin(beginning(false, "5"));
    fs::write(folder.path().join(TRACKING_FOLDER).join("metrics.jsonl"), "nonsense\n").unwrap();
    let record = Record::read(folder.path()).unwrap();
    let refused = record.metrics(0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().ends_with("metrics.jsonl line 1 is damaged"), "{refused}");
}
