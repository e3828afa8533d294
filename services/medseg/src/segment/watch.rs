use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tokio::time::{Duration, Instant};

use super::outcome::Outcome;
use super::record::{Entry, Fingerprint, Record};
use super::results::Results;

/// How often the folder is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is taken at a time is on the disk once more meanwhile: no more than this of it, unless it is one.
const BYTES_AT_A_TIME: u64 = 1 << 30;
/// How long something must not have grown before it is taken for whole.
const QUIET: Duration = Duration::from_secs(2);
/// How long what failed for the moment waits.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// How names end that programs give to what they have not finished, beside those that begin with a point.
const UNFINISHED: [&str; 4] = [".part", ".tmp", ".partial", ".crdownload"];
/// Among the results: what has been done.
pub const RECORD: &str = "watched.jsonl";

/// A folder that scans come to: each file in it is an input, and so is each folder.
pub struct Watch {
    folder: PathBuf,
    results: PathBuf,
    record: Record,
    /// What is there and not done, by its name.
    seen: HashMap<String, Seen>,
}

struct Seen {
    fingerprint: Fingerprint,
    /// When it looked so for the first time; later where it is to wait.
    since: Instant,
}

/// Something that has come whole.
pub struct Arrived {
    pub path: PathBuf,
    name: String,
    fingerprint: Fingerprint,
}

impl Watch {
    /// Watches `folder`, and goes on where the record among the results ends.
    pub fn open(folder: &Path, results: &Results) -> anyhow::Result<Watch> {
        let unusable = || format!("the folder {} cannot be watched", folder.display());
        let folder = folder.canonicalize().with_context(unusable)?;
        fs::read_dir(&folder).with_context(unusable)?;
        let results = results.path().to_owned();
        ensure!(
            folder != results,
            "results would be taken for scans: name another folder for them"
        );
        let record = Record::open(&results.join(RECORD))?;
        Ok(Watch { folder, results, record, seen: HashMap::new() })
    }

    /// What is whole and not done, the oldest first, `most` at most and as much as the disk should hold twice.
    pub fn arrived(&mut self, now: Instant, most: usize) -> anyhow::Result<Vec<Arrived>> {
        let gone = || format!("the folder {} cannot be read", self.folder.display());
        let mut here = HashMap::new();
        let mut arrived = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(gone)? {
            let path = entry.with_context(gone)?.path();
            let Some((name, fingerprint)) = self.new_at(&path) else { continue };
            let before = self.seen.get(&name).filter(|seen| seen.fingerprint == fingerprint);
            let since = before.map_or(now, |seen| seen.since);
            if now.saturating_duration_since(since) >= QUIET {
                arrived.push(Arrived { path, name: name.clone(), fingerprint });
            }
            here.insert(name, Seen { fingerprint, since });
        }
        self.seen = here;
        arrived.sort_by(|a, b| (a.fingerprint, &a.name).cmp(&(b.fingerprint, &b.name)));
        arrived.truncate(most.min(fitting(&arrived)));
        Ok(arrived)
    }

    /// Notes what became of it. What failed for the moment only is tried again after a while.
    pub fn done(
        &mut self,
        arrived: &Arrived,
        outcomes: &[Outcome],
        now: Instant,
    ) -> anyhow::Result<()> {
        let Arrived { name, fingerprint, .. } = arrived;
        if outcomes.iter().any(Outcome::may_pass) {
            let since = now + TRY_AGAIN - QUIET;
            self.seen.insert(name.clone(), Seen { fingerprint: *fingerprint, since });
            return Ok(());
        }
        let below = |folder: &Path| {
            folder.strip_prefix(&self.results).unwrap_or(folder).to_string_lossy().into_owned()
        };
        self.record.add(Entry {
            name: name.clone(),
            fingerprint: *fingerprint,
            answers: outcomes.iter().map(|outcome| outcome.word().to_owned()).collect(),
            folders: outcomes.iter().filter_map(Outcome::folder).map(below).collect(),
        })
    }

    /// What is called so, and how it looks, unless it is done, or nothing to be taken.
    fn new_at(&self, path: &Path) -> Option<(String, Fingerprint)> {
        let name = spelled(path.file_name()?);
        let unfinished = UNFINISHED.iter().any(|ending| name.ends_with(ending));
        if name.starts_with('.') || unfinished || *path == self.results {
            return None;
        }
        // What goes while it is looked at is not there.
        let fingerprint = Fingerprint::of(path)?;
        // A folder that is made before its files has none yet.
        (fingerprint.files > 0 && !self.record.has(&name, &fingerprint))
            .then_some((name, fingerprint))
    }
}

/// How many of them are taken at a time; one in any case.
fn fitting(arrived: &[Arrived]) -> usize {
    let sums = arrived.iter().scan(0_u64, |sum, one| {
        *sum = sum.saturating_add(one.fingerprint.bytes);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= BYTES_AT_A_TIME).count().max(1)
}

/// A name as text. Two names are never one, also where they are no UTF-8, as of older systems: else one would take the other's
/// place in the record again and again.
pub fn spelled(name: &OsStr) -> String {
    let escaped = || name.as_encoded_bytes().escape_ascii().to_string();
    name.to_str().map_or_else(escaped, str::to_owned)
}

impl Fingerprint {
    /// How what lies at `path` looks; None of what cannot be looked at.
    pub fn of(path: &Path) -> Option<Fingerprint> {
        let about = fs::metadata(path).ok()?;
        if !about.is_dir() {
            return Some(Fingerprint::of_file(&about));
        }
        let mut whole = Fingerprint { modified_ns: 0, files: 0, bytes: 0 };
        for entry in fs::read_dir(path).ok()? {
            let entry = entry.ok()?;
            // A link to a folder may lead back.
            let part = match entry.file_type().ok()? {
                kind if kind.is_dir() => Fingerprint::of(&entry.path())?,
                _ => Fingerprint::of_file(&entry.metadata().ok()?),
            };
            whole.modified_ns = whole.modified_ns.max(part.modified_ns);
            whole.files += part.files;
            whole.bytes += part.bytes;
        }
        Some(whole)
    }

    fn of_file(about: &Metadata) -> Fingerprint {
        let modified_ns = about.mtime().saturating_mul(1_000_000_000) + about.mtime_nsec();
        Fingerprint { modified_ns, files: 1, bytes: about.len() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::segment::outcome::{Problem, Said};

    struct Place {
        folder: tempfile::TempDir,
        now: Instant,
    }

    impl Place {
        fn new() -> Place {
            let place = Place { folder: tempfile::tempdir().unwrap(), now: Instant::now() };
            fs::create_dir(place.at("inbox")).unwrap();
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn watch(&self) -> Watch {
            let results = Results::open(&self.at("inbox/results")).unwrap();
            Watch::open(&self.at("inbox"), &results).unwrap()
        }

        /// What has arrived so many seconds later.
        fn after(&mut self, seconds: u64, watch: &mut Watch) -> Vec<Arrived> {
            self.now += Duration::from_secs(seconds);
            watch.arrived(self.now, 10).unwrap()
        }
    }

    fn names(arrived: &[Arrived]) -> Vec<&str> {
        arrived.iter().map(|arrived| &*arrived.name).collect()
    }

    fn refused(path: &Path, status: u16) -> Vec<Outcome> {
        let problem = Problem::new(status, serde_json::json!({}));
        vec![Outcome::new(path, None, Said::Refused(problem))]
    }

    #[test]
    fn what_grows_is_waited_for_and_what_is_no_scan_is_passed_over() {
        let mut place = Place::new();
        let mut watch = place.watch();
        for name in ["a.png", ".b.png", "c.png.part"] {
            fs::write(place.at("inbox").join(name), "1").unwrap();
        }
        fs::create_dir(place.at("inbox/series")).unwrap();
        assert!(place.after(0, &mut watch).is_empty());
        fs::write(place.at("inbox/a.png"), "12").unwrap();
        fs::write(place.at("inbox/series/1"), "1").unwrap();
        assert!(place.after(3, &mut watch).is_empty());
        assert!(place.after(1, &mut watch).is_empty());
        fs::write(place.at("inbox/series/2"), "2").unwrap();
        assert_eq!(names(&place.after(1, &mut watch)), ["a.png"]);
        assert_eq!(names(&place.after(2, &mut watch)), ["a.png", "series"]);
    }

    #[test]
    fn what_is_done_is_done_once_also_after_a_restart() {
        let mut place = Place::new();
        let mut watch = place.watch();
        let path = place.at("inbox/a.png");
        fs::write(&path, "1").unwrap();
        place.after(0, &mut watch);
        let arrived = place.after(2, &mut watch);
        watch.done(&arrived[0], &refused(&path, 422), place.now).unwrap();
        assert!(place.after(2, &mut watch).is_empty());
        drop(watch);
        let mut watch = place.watch();
        place.after(0, &mut watch);
        assert!(place.after(2, &mut watch).is_empty());
        // Another scan in its place is a new one.
        fs::write(&path, "12").unwrap();
        place.after(0, &mut watch);
        assert_eq!(names(&place.after(2, &mut watch)), ["a.png"]);
    }

    #[test]
    fn no_more_is_taken_at_a_time_than_the_disk_should_hold_twice() {
        let mut place = Place::new();
        let mut watch = place.watch();
        for (name, bytes) in [("a", 600 << 20), ("b", 600 << 20), ("c", 2 * BYTES_AT_A_TIME)] {
            // Of holes, which take no room.
            fs::File::create(place.at("inbox").join(name)).unwrap().set_len(bytes).unwrap();
        }
        place.after(0, &mut watch);
        place.now += QUIET;
        let mut taken = 0;
        while let [one] = &watch.arrived(place.now, 10).unwrap()[..] {
            watch.done(one, &refused(&one.path, 422), place.now).unwrap();
            taken += 1;
        }
        assert_eq!(taken, 3);
        assert!(watch.arrived(place.now, 10).unwrap().is_empty());
    }

    #[test]
    fn what_failed_for_the_moment_is_tried_again_later() {
        let mut place = Place::new();
        let mut watch = place.watch();
        let path = place.at("inbox/a.png");
        fs::write(&path, "1").unwrap();
        place.after(0, &mut watch);
        let arrived = place.after(2, &mut watch);
        watch.done(&arrived[0], &refused(&path, 503), place.now).unwrap();
        assert!(place.after(59, &mut watch).is_empty());
        assert_eq!(names(&place.after(1, &mut watch)), ["a.png"]);
    }

    #[test]
    fn names_that_are_no_utf_8_are_told_from_each_other() {
        let mut place = Place::new();
        let mut watch = place.watch();
        for name in [b"M\xfcller.png", b"M\xf6ller.png"] {
            fs::write(place.at("inbox").join(OsStr::from_bytes(name)), "1").unwrap();
        }
        place.after(0, &mut watch);
        let arrived = place.after(2, &mut watch);
        assert_eq!(arrived.len(), 2);
        for one in &arrived {
            watch.done(one, &refused(&one.path, 422), place.now).unwrap();
        }
        for _ in 0..2 {
            assert!(place.after(2, &mut watch).is_empty());
        }
    }

    #[test]
    fn results_are_never_taken_for_scans() {
        let place = Place::new();
        let results = Results::open(&place.at("inbox")).unwrap();
        assert!(Watch::open(&place.at("inbox"), &results).is_err());
    }
}
