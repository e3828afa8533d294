//! Runs that are sent to a small double of MLflow, which can be slow, talk nonsense or refuse.

mod double;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ManualClock;
use model::tracking::{About, Beginning, Journal, Tracker};
use serde_json::json;
use tempfile::TempDir;

use super::client::{Client, Login};
use super::sender::{Pace, Sender};
use super::sending::Sending;
use super::source::fetch;
use double::{Double, Mood};

const PATIENCE: Duration = Duration::from_millis(300);

fn client(url: &str, login: Login) -> Client {
    service::choose_tls();
    Client::new(url.parse().unwrap(), login, PATIENCE).unwrap()
}

fn journal(run: &Path) -> Journal {
    let about = About { name: "first".into(), experiment: "medseg".into(), ..About::default() };
    let about = About { tags: [("git_commit".to_owned(), "c0ffee".to_owned())].into(), ..about };
    Journal::new(run, about, ManualClock::at(5).clock(), domain::Random::new(|it| it.fill(7)))
}

/// A run of two steps that made a model.
fn ran(run: &Path) -> Journal {
    let journal = journal(run);
    begin(&journal);
    journal.metrics(1, &[("loss".to_owned(), 0.5)]);
    journal.metrics(2, &[("loss".to_owned(), 0.25)]);
    journal.artefact("model/card.md", b"# tiny");
    journal.artefact("model/model.json", b"{}");
    journal.made("tiny", "0.1.0");
    journal
}

fn begin(journal: &Journal) {
    let parameters = vec![("batch", "4".to_owned())];
    let tags = vec![("data_version", "d1".to_owned())];
    journal.begin(Beginning { goes_on: false, parameters, tags });
}

async fn send(double: &Double, run: &Path, over: bool) -> anyhow::Result<()> {
    Sending::to(client(&double.url, Login::Nobody)).send(run, over).await
}

#[tokio::test]
async fn a_run_is_sent_whole_and_once() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    ran(run.path()).end(None);
    send(&double, run.path(), false).await.unwrap();
    {
        let kept = double.kept();
        let sent = &kept.runs["run-1"];
        assert_eq!(
            (sent.name.as_str(), sent.status.as_str(), kept.runs.len()),
            ("first", "FINISHED", 1)
        );
        assert_eq!(sent.params, BTreeMap::from([("batch".to_owned(), "4".to_owned())]));
        assert_eq!(sent.tags["mlflow.source.git.commit"], "c0ffee");
        assert_eq!(sent.tags["data_version"], "d1");
        let loss: Vec<_> = sent.metrics.iter().map(|it| (&it["value"], &it["step"])).collect();
        assert_eq!(loss, [(&json!(0.5), &json!(1)), (&json!(0.25), &json!(2))]);
        assert_eq!(kept.files["1/run-1/artifacts/model/card.md"], b"# tiny");
        let [version] = kept.versions.as_slice() else { panic!("{:?}", kept.versions) };
        assert_eq!((&version["name"], &version["description"]), (&json!("tiny"), &json!("# tiny")));
        assert_eq!(version["source"], "mlflow-artifacts:/1/run-1/artifacts/model");
        assert_eq!(kept.aliases["challenger"], json!({ "name": "tiny", "version": "1" }));
    }
    let changes = double.kept().changes;
    send(&double, run.path(), false).await.unwrap();
    assert_eq!(double.kept().changes, changes, "something was sent twice");
}

#[tokio::test]
async fn what_was_taken_but_never_noted_is_found_again() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    ran(run.path()).end(None);
    send(&double, run.path(), false).await.unwrap();
    fs::remove_file(run.path().join("tracking/mlflow.json")).unwrap();
    send(&double, run.path(), false).await.unwrap();
    let kept = double.kept();
    assert_eq!((kept.runs.len(), kept.versions.len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_fails_is_told_in_words_and_gets_the_rest_later() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    ran(run.path()).end(None);
    for (mood, words) in [
        (Mood::Slow, "does not answer in time"),
        (Mood::Says("<html>sign in</html>"), "no JSON: is it MLflow?"),
        (Mood::Says("[]"), "without what it was asked for"),
        (Mood::Says("{\"experiment\":{\"experiment_id\":\"1\"},\"run\":7}"), "is it MLflow?"),
        (Mood::Endless, "far too much"),
        (Mood::Refuses(401), "401"),
        (Mood::Refuses(500), "500"),
    ] {
        double.is(mood);
        let why = format!("{:#}", send(&double, run.path(), false).await.unwrap_err());
        assert!(why.contains(words), "{mood:?}: {why}");
        assert!(!why.contains('\n'), "{why}");
    }
    // It fails again after each request that it has answered: nothing is lost, nothing is there twice.
    for answered in 0..40 {
        double.is(Mood::Tires(answered));
        let _ = send(&double, run.path(), false).await;
    }
    double.is(Mood::Good);
    send(&double, run.path(), false).await.unwrap();
    let kept = double.kept();
    assert_eq!((kept.runs.len(), kept.versions.len(), kept.files.len()), (1, 1, 2));
    assert_eq!(kept.runs["run-1"].status, "FINISHED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_does_not_wait_for_a_server_that_is_away_or_slow() {
    let double = Double::start().await;
    double.is(Mood::Slow);
    // Nobody listens there: the port was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [double.url.clone(), format!("http://{free}")] {
        let run = TempDir::new().unwrap();
        let journal = Arc::new(journal(run.path()));
        let every = Duration::from_millis(10);
        let pace = Pace { every, at_most: every, last: Duration::from_secs(2) };
        let sender = Sender::start(client(&url, Login::Nobody), journal.clone(), pace).unwrap();
        begin(&journal);
        let began = Instant::now();
        for step in 0..100 {
            journal.metrics(step, &[("loss".to_owned(), 0.5)]);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        journal.end(None);
        sender.finish();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        // All of it is kept, and a server that is there again gets it.
        drop(journal);
        let again = Double::start().await;
        send(&again, run.path(), true).await.unwrap();
        assert_eq!(again.kept().runs["run-1"].metrics.len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_sent_while_it_goes_on() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    let journal = Arc::new(journal(run.path()));
    let every = Duration::from_millis(10);
    let pace = Pace { every, ..Pace::default() };
    let sender = Sender::start(client(&double.url, Login::Nobody), journal.clone(), pace).unwrap();
    begin(&journal);
    journal.metrics(1, &[("loss".to_owned(), 0.5)]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while double.kept().runs.get("run-1").is_none_or(|run| run.status.is_empty()) {
        assert!(Instant::now() < deadline, "nothing arrives");
        tokio::time::sleep(every).await;
    }
    assert_eq!(double.kept().runs["run-1"].status, "RUNNING");
    journal.end(Some("the loss is not a number"));
    sender.finish();
    let kept = double.kept();
    let run = &kept.runs["run-1"];
    assert_eq!(
        (run.status.as_str(), run.tags["failed"].as_str()),
        ("FAILED", "the loss is not a number")
    );
}

#[tokio::test]
async fn a_run_that_was_cut_off_is_killed_and_one_that_went_on_is_finished() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    drop(ran(run.path()));
    send(&double, run.path(), true).await.unwrap();
    assert_eq!(double.kept().runs["run-1"].status, "KILLED");
    let on = journal(run.path());
    on.begin(Beginning { goes_on: true, ..Beginning::default() });
    on.metrics(3, &[("loss".to_owned(), 0.1)]);
    send(&double, run.path(), false).await.unwrap();
    assert_eq!(double.kept().runs["run-1"].status, "RUNNING");
    on.end(None);
    send(&double, run.path(), false).await.unwrap();
    let kept = double.kept();
    let run = &kept.runs["run-1"];
    assert_eq!((run.status.as_str(), run.metrics.len(), kept.runs.len()), ("FINISHED", 3, 1));
}

#[tokio::test]
async fn a_new_run_in_the_folder_of_another_is_another_run() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    ran(run.path()).end(None);
    send(&double, run.path(), false).await.unwrap();
    let note = run.path().join("tracking/mlflow.json");
    let old = fs::read(&note).unwrap();
    let other = Journal::new(
        run.path(),
        About { experiment: "medseg".into(), ..About::default() },
        ManualClock::at(9).clock(),
        domain::Random::new(|it| it.fill(8)),
    );
    begin(&other);
    // As a sender leaves it that was amid a request when the folder was taken.
    fs::write(&note, old).unwrap();
    send(&double, run.path(), false).await.unwrap();
    let kept = double.kept();
    assert_eq!((kept.runs.len(), kept.runs["run-2"].metrics.len()), (2, 0));
    assert_eq!(kept.runs["run-2"].status, "RUNNING");
}

#[tokio::test]
async fn folds_are_nested_runs() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    let all = journal(run.path());
    begin(&all);
    // Each id is drawn: here the fold's would be its parent's.
    all.nested("fold-1", &run.path().join("fold-1"));
    let fold = Journal::new(
        &run.path().join("fold-1"),
        About { name: "fold-1".into(), experiment: "medseg".into(), ..About::default() },
        ManualClock::at(9).clock(),
        domain::Random::new(|it| it.fill(8)),
    );
    begin(&fold);
    send(&double, run.path(), false).await.unwrap();
    let kept = double.kept();
    assert_eq!(kept.runs["run-2"].tags["mlflow.parentRunId"], "run-1");
    assert_eq!(kept.runs["run-2"].name, "fold-1");
}

#[tokio::test]
async fn a_token_or_a_password_is_shown_to_the_server_and_in_no_message() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    ran(run.path()).end(None);
    let logins = [
        (Login::Token("t0ken".into()), "Bearer t0ken"),
        (Login::User("ann".into(), "pass".into()), "Basic YW5uOnBhc3M="),
    ];
    for (login, header) in logins {
        let client = client(&double.url, login);
        assert!(
            !format!("{client:?}").contains("t0ken") && !format!("{client:?}").contains("pass\"")
        );
        Sending::to(client).send(run.path(), false).await.unwrap();
        assert_eq!(double.kept().authorization, header);
    }
}

#[tokio::test]
async fn a_model_is_fetched_by_its_alias_or_version_with_where_it_comes_from() {
    let (double, run) = (Double::start().await, TempDir::new().unwrap());
    ran(run.path()).end(None);
    send(&double, run.path(), false).await.unwrap();
    let client = client(&double.url, Login::Nobody);
    for of in ["tiny@challenger", "tiny/1"] {
        let fetched = fetch(&client, of, &["card.md", "model.json", "golden.pbm"]).await.unwrap();
        assert_eq!(fs::read(fetched.folder().join("card.md")).unwrap(), b"# tiny");
        assert_eq!(fs::read_dir(fetched.folder()).unwrap().count(), 2);
        assert_eq!(fetched.origin(), ["mlflow:tiny/1 run run-1", "c0ffee", "d1"]);
    }
    for (of, words) in [
        ("tiny@champion", "not found"),
        ("tiny/9", "not found"),
        ("tiny", "mlflow:NAME@ALIAS or mlflow:NAME/VERSION"),
    ] {
        let why = fetch(&client, of, &["card.md"]).await.err().map(|why| format!("{why:#}"));
        assert!(why.as_deref().is_some_and(|why| why.contains(words)), "{of}: {why:?}");
    }
}
