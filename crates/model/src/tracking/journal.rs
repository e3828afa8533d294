use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Clock, ErrorKind, Random, Result, hex};
use sha2::{Digest, Sha256};

use super::files::{LOCK_FILE, append, cleared, inside, lock, without_half_a_line};
use super::machine::{Ticks, memory};
use super::record::{
    ARTEFACTS_FILE, ARTEFACTS_FOLDER, Artefact, End, METRICS_FILE, Made, Point, RUN_FILE, Record,
    Run, TRACKING_FOLDER,
};
use super::{Beginning, Tracker, Tracking};

/// The least time between two looks at what the machine does.
const LOOK_MS: i64 = 5_000;

/// What is known of a run before it begins.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What people call it.
    pub name: String,
    /// The runs that it is to be compared with.
    pub experiment: String,
    /// What it is known by besides.
    pub tags: BTreeMap<String, String>,
    /// Whether pictures of patients may be kept here, and so sent elsewhere.
    pub pictures: bool,
}

/// Keeps how a run goes in a folder of the run, as files that others read while it goes on ([`Record`]).
pub struct Journal {
    run: PathBuf,
    about: About,
    clock: Clock,
    random: Random,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// None until the run has begun.
    kept: Option<Kept>,
    /// One warning is enough.
    warned: bool,
}

struct Kept {
    run: Run,
    /// While it is held, nobody else writes here.
    _lock: File,
    /// What the machine had done when it was looked at last, and when that was.
    ticks: Option<Ticks>,
    looked_ms: i64,
}

impl Journal {
    /// Of the run in that folder. Nothing is written before the run begins.
    pub fn new(run: &Path, about: About, clock: Clock, random: Random) -> Journal {
        Journal { run: run.to_owned(), about, clock, random, open: Mutex::default() }
    }

    /// Whether the run has begun, so that what lies in its folder is its own.
    pub fn begun(&self) -> bool {
        self.open().kept.is_some()
    }

    /// The run's folder.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Keeps others from writing to the folder of a run that has ended, or was cut off, for as long as the file is open.
    ///
    /// `Conflict` while the run goes on.
    pub fn hold(run: &Path) -> Result<File> {
        let path = run.join(TRACKING_FOLDER).join(LOCK_FILE);
        lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => ErrorKind::Conflict
                .error(format!("the run in {} goes on in another process", run.display())),
            _ => ErrorKind::Unavailable
                .error(format!("cannot lock {}", path.display()))
                .because(error),
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> PathBuf {
        self.run.join(TRACKING_FOLDER)
    }

    /// Does it where the run has begun; what goes wrong is told once, and training goes on.
    fn keep(&self, what: impl FnOnce(&mut Kept) -> io::Result<()>) {
        let mut open = self.open();
        let Some(kept) = &mut open.kept else { return };
        if let Err(error) = what(kept) {
            self.warn(&mut open, &error);
        }
    }

    fn warn(&self, open: &mut Open, error: &io::Error) {
        if !std::mem::replace(&mut open.warned, true) {
            let folder = self.folder();
            eprintln!("warning: not all of the run is kept in {}: {error}", folder.display());
        }
    }

    fn started(&self, beginning: Beginning) -> io::Result<Kept> {
        let folder = self.folder();
        fs::create_dir_all(&folder)?;
        let lock = lock(&folder.join(LOCK_FILE))?;
        let before = Record::read(&self.run).ok().filter(|_| beginning.goes_on);
        if before.is_none() {
            cleared(&folder)?;
        }
        for file in [METRICS_FILE, ARTEFACTS_FILE] {
            without_half_a_line(&folder.join(file))?;
        }
        let now = self.clock.now_ms();
        let mut run = before.map_or_else(|| self.fresh(now), |record| record.run);
        run.ended = None;
        for (name, value) in beginning.parameters {
            let first = run.parameters.entry(name.to_owned()).or_insert_with(|| value.clone());
            // What a run began with stands; what it goes on with is said beside it.
            if *first != value {
                run.tags.insert(format!("resumed.{name}"), value);
            }
        }
        let tags = beginning.tags.into_iter().map(|(name, value)| (name.to_owned(), value));
        run.tags.extend(tags.chain(self.about.tags.clone()));
        let kept = Kept { run, _lock: lock, ticks: Ticks::now(), looked_ms: now };
        kept.write(&folder)?;
        Ok(kept)
    }

    fn fresh(&self, now: i64) -> Run {
        Run {
            id: hex(&self.random.bytes::<16>()),
            name: self.about.name.clone(),
            experiment: self.about.experiment.clone(),
            began_ms: now,
            ..Run::default()
        }
    }
}

impl Tracker for Journal {
    fn begin(&self, beginning: Beginning) {
        let started = self.started(beginning);
        let mut open = self.open();
        match started {
            Ok(kept) => open.kept = Some(kept),
            Err(error) => self.warn(&mut open, &error),
        }
    }

    fn metrics(&self, step: u64, metrics: &[(String, f64)]) {
        let now = self.clock.now_ms();
        self.keep(|kept| {
            let point = |(name, value): &(String, f64)| Point {
                at_ms: now,
                step,
                name: name.clone(),
                value: *value,
            };
            let told = metrics.iter().filter(|(_, value)| value.is_finite()).map(point);
            let points: Vec<_> = told.chain(kept.look(step, now)).collect();
            append(&self.folder().join(METRICS_FILE), &points)
        });
    }

    fn artefact(&self, name: &str, bytes: &[u8]) {
        self.keep(|_| {
            let folder = self.folder();
            let name = inside(name);
            let path = folder.join(ARTEFACTS_FOLDER).join(&name);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            durable::replace(&path, bytes)?;
            let artefact = Artefact { name, sha256: hex(&Sha256::digest(bytes)) };
            append(&folder.join(ARTEFACTS_FILE), &[artefact])
        });
    }

    fn picture(&self, name: &str, bytes: &[u8]) {
        if self.about.pictures {
            self.artefact(name, bytes);
        }
    }

    fn made(&self, name: &str, version: &str) {
        self.keep(|kept| {
            kept.run.model = Some(Made { name: name.to_owned(), version: version.to_owned() });
            kept.write(&self.folder())
        });
    }

    fn nested(&self, name: &str, run: &Path) -> Tracking {
        self.keep(|kept| {
            if !kept.run.nested.iter().any(|nested| nested == name) {
                kept.run.nested.push(name.to_owned());
            }
            kept.write(&self.folder())
        });
        let about = About { name: name.to_owned(), ..self.about.clone() };
        let (clock, random) = (self.clock.clone(), self.random.clone());
        Tracking::by(Arc::new(Journal::new(run, about, clock, random)))
    }

    fn end(&self, failed: Option<&str>) {
        let at_ms = self.clock.now_ms();
        self.keep(|kept| {
            kept.run.ended = Some(End { at_ms, failed: failed.map(str::to_owned) });
            kept.write(&self.folder())
        });
    }
}

impl Kept {
    fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&self.run)?;
        durable::replace(&folder.join(RUN_FILE), &text)
    }

    /// What the machine does, where nobody has looked for a while.
    fn look(&mut self, step: u64, now: i64) -> Vec<Point> {
        if now - self.looked_ms < LOOK_MS {
            return Vec::new();
        }
        self.looked_ms = now;
        let then = std::mem::replace(&mut self.ticks, Ticks::now());
        let cpu = self.ticks.zip(then).and_then(|(now, then)| now.busy_percent_since(then));
        let [megabytes, percent] = memory().map_or([None, None], |memory| memory.map(Some));
        let seen = [
            ("system/cpu_utilization_percentage", cpu),
            ("system/system_memory_usage_megabytes", megabytes),
            ("system/system_memory_usage_percentage", percent),
        ];
        let point = |(name, value): (&str, Option<f64>)| {
            Some(Point { at_ms: now, step, name: name.to_owned(), value: value? })
        };
        seen.into_iter().filter_map(point).collect()
    }
}
