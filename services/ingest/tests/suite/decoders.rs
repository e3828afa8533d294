//! Decoders as processes: how many there are at a time, and whose goes first.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use domain::ErrorKind;
use futures::future::{join, join_all};
use image::ImageFormat;
use imaging::StoredInstance;
use imaging::encode::Series;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::files;
use crate::world::World;

/// What proc(5) says of a process: the second field without its parentheses, and those from the third on.
struct Stat {
    name: String,
    rest: Vec<String>,
}

impl Stat {
    fn of(pid: &str) -> Option<Stat> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once(") ")?;
        let (_, name) = name.split_once('(')?;
        Some(Stat { name: name.to_owned(), rest: rest.split(' ').map(str::to_owned).collect() })
    }

    fn lives_as_child_of(&self, parent: u32) -> bool {
        self.rest[0] != "Z" && self.rest[1] == parent.to_string()
    }

    fn nice(&self) -> i32 {
        self.rest[16].parse().unwrap()
    }
}

/// The children of this process that have this name and live.
fn children(name: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let own = std::process::id();
    let child =
        |pid: &str| Stat::of(pid).is_some_and(|it| it.name == name && it.lives_as_child_of(own));
    pids.filter(|pid| child(pid)).collect()
}

fn decoders() -> Vec<String> {
    children("medseg-decode")
}

/// The decoders of `keeper.sh` that keep a file for so many seconds.
fn keepers(seconds: u64) -> Vec<String> {
    let command = format!("sleep\0{seconds}\0");
    let keeps = |pid: &String| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == command.as_bytes())
    };
    children("sleep").into_iter().filter(keeps).collect()
}

/// One that is not yet known.
async fn another_keeper(seconds: u64, known: &[&String]) -> String {
    let appears = async {
        loop {
            if let Some(new) = keepers(seconds).into_iter().find(|pid| !known.contains(&pid)) {
                return new;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), appears).await.expect("a decoder gets a file")
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

/// That script in a folder of its own, with the real decoder beside it.
pub fn scripted(script: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let [program, decoder] = [script, "medseg-decode"].map(|name| folder.path().join(name));
    symlink(format!("{}/tests/suite/{script}", env!("CARGO_MANIFEST_DIR")), &program).unwrap();
    let own = std::env::current_exe().unwrap();
    let mut beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("medseg-decode"));
    symlink(beside.find(|program| program.is_file()).unwrap(), &decoder).unwrap();
    (folder, program)
}

/// Behind the second of them, and only there, wait as many as make a crowd.
const CROWD: usize = 6;

/// One decoder at a time, which never says what it makes of its file.
async fn silent(decode_s: u64) -> World {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/keeper.sh");
    World::with(|config| {
        config.decoder = Some(program.into());
        config.decoders = 1;
        config.decode_s = decode_s;
    })
    .await
}

#[tokio::test]
async fn a_decoder_that_dies_before_its_file_comes_costs_nobody_an_upload() {
    let world = World::new().await;
    let png = files::picture(&files::slice(), ImageFormat::Png);
    assert!(world.upload(&png).await.unwrap().is_ok());
    let started_ahead = async {
        while decoders().len() != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        decoders().remove(0)
    };
    let pid = tokio::time::timeout(Duration::from_secs(20), started_ahead).await.unwrap();
    kill(&pid);
    while decoders().contains(&pid) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(world.upload(&png).await.unwrap().is_ok());
}

#[tokio::test]
async fn an_index_that_does_not_come_in_time_costs_nobody_an_upload() {
    let (_folder, cut) = scripted("cut.sh");
    let upload = files::dicom_zip(&[Series::of_seed(41)]);
    let world = World::with(|config| config.decoder = Some(cut)).await;
    let scan = world.upload(&upload).await.unwrap().unwrap();
    let kept = world.storage.kept(&scan).await;
    assert!(world.storage.index(&scan).await.is_none(), "half an index is kept");

    let world = World::new().await;
    let scan = world.upload(&upload).await.unwrap().unwrap();
    assert!(world.storage.kept(&scan).await.volume == kept.volume, "another volume");
    let index: Vec<StoredInstance> =
        serde_json::from_slice(&world.storage.index(&scan).await.unwrap()).unwrap();
    assert_eq!(index.len(), 8);
}

#[tokio::test]
async fn many_uploads_at_once_take_turns() {
    let world = World::with(|config| config.decoders = 2).await;
    let png = files::picture(&files::slice(), ImageFormat::Png);
    let uploads = (0..12).map(|_| world.upload(&png));
    let all = tokio::time::timeout(Duration::from_secs(60), join_all(uploads));
    assert!(all.await.unwrap().into_iter().all(|scan| scan.unwrap().is_ok()));
    assert_eq!((world.storage.count("scans").await, world.spooled()), (12, 0));
}

#[tokio::test]
async fn a_hospital_waits_for_no_file_of_anothers_and_is_decoded_before_its_crowd() {
    const TIME_S: u64 = 60;
    let world = silent(TIME_S).await;
    let keeper = async |known: &[&String]| another_keeper(10 * TIME_S, known).await;
    let crowd = join_all((0..CROWD).map(|_| world.upload(b"one of many")));
    let crowded = Notify::new();
    let lone = async {
        crowded.notified().await;
        world.upload_as(b"one", &world.stranger()).await
    };
    let look = async {
        let first = keeper(&[]).await;
        crowded.notify_one();
        let lone = keeper(&[&first]).await;
        kill(&first);
        let next = keeper(&[&first, &lone]).await;
        ["self", &lone, &next].map(|pid| Stat::of(pid).unwrap().nice())
    };
    tokio::select! {
        _ = join(crowd, lone) => panic!("they were all answered"),
        [own, lone, next] = look => {
            assert_eq!(lone, own);
            // The most there is, where the suite itself gives way.
            assert_eq!(next, (own + 10).min(19), "so many more waited");
        }
    }
}

#[tokio::test]
async fn a_file_that_its_crowd_leaves_no_time_for_is_to_come_again() {
    let world = silent(1).await;
    let answers = join_all((0..CROWD).map(|_| world.upload(b"one of many"))).await;
    let problems: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.map(|taken| taken.unwrap_err().problem).map_err(|error| error.kind()))
        .collect();
    let too_large: Result<String, ErrorKind> = Ok("too-large".to_owned());
    // Behind the first nobody waited yet, and behind the last ones too few.
    assert_eq!(problems.iter().filter(|problem| **problem == too_large).count(), CROWD - 1);
    assert!(problems.contains(&Err(ErrorKind::Exhausted)), "{problems:?}");
}
