//! Tells whoever wants to know how a run goes: what it began with, its metrics, what it made, how it ended.
//!
//! Nothing here can stop a run: what cannot be kept is told once on standard error.

mod files;
mod journal;
mod machine;
mod record;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ErrorKind;

use crate::evaluate::Evaluation;

pub use journal::{About, Journal};
pub use record::{Artefact, End, Made, Point, Record, Run, TRACKING_FOLDER};

/// Hears how a run goes. Before it has begun, all else is passed over: a run that is refused leaves no trace.
pub trait Tracker: Send + Sync {
    /// The run begins, or goes on.
    fn begin(&self, beginning: Beginning);

    /// Metrics at a step; one that is no number is left out.
    fn metrics(&self, step: u64, metrics: &[(String, f64)]);

    /// A file that the run made; another of the same name takes its place.
    fn artefact(&self, name: &str, bytes: &[u8]);

    /// The same, for a file that shows a patient.
    fn picture(&self, name: &str, bytes: &[u8]);

    /// The files below `model/` are a model that has been evaluated.
    fn made(&self, name: &str, version: &str);

    /// Another run within this one, which keeps what it makes in the folder `run`.
    fn nested(&self, name: &str, run: &Path) -> Tracking;

    /// The run is over, or has failed with those words.
    fn end(&self, failed: Option<&str>);
}

/// What a run begins with.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// Whether it goes on from where it was stopped.
    pub goes_on: bool,
    /// All that it depends on, by name.
    pub parameters: Vec<(&'static str, String)>,
    /// What it is known by besides.
    pub tags: Vec<(&'static str, String)>,
}

/// The tracker of a run; by default nobody hears of it.
#[derive(Clone, Default)]
pub struct Tracking(Option<Arc<dyn Tracker>>);

impl Tracking {
    /// With that tracker.
    pub fn by(tracker: Arc<dyn Tracker>) -> Tracking {
        Tracking(Some(tracker))
    }

    /// Does the work and tells how it ended.
    pub fn over<T, E: fmt::Display>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let done = work();
        let failed = done.as_ref().err().map(ToString::to_string);
        self.tell(|tracker| tracker.end(failed.as_deref()));
        done
    }

    /// The run begins, or goes on.
    pub fn begin(&self, beginning: Beginning) {
        self.tell(|tracker| tracker.begin(beginning));
    }

    /// Metrics at a step.
    pub fn metrics(&self, step: u64, metrics: &[(String, f64)]) {
        self.tell(|tracker| tracker.metrics(step, metrics));
    }

    /// A file that the run made.
    pub fn artefact(&self, name: &str, bytes: &[u8]) {
        self.tell(|tracker| tracker.artefact(name, bytes));
    }

    /// Files that show patients, as those of the scans that `of` names.
    pub fn pictures(&self, of: &str, paths: &[PathBuf]) -> domain::Result<()> {
        for path in paths {
            let bytes = fs::read(path).map_err(|error| {
                let message = format!("cannot read {}", path.display());
                ErrorKind::Unavailable.error(message).because(error)
            })?;
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            self.tell(|tracker| tracker.picture(&format!("worst/{of}/{file}"), &bytes));
        }
        Ok(())
    }

    /// A model that has been evaluated.
    pub fn made(&self, name: &str, version: &str) {
        self.tell(|tracker| tracker.made(name, version));
    }

    /// Of a run within this one.
    pub fn nested(&self, name: &str, run: &Path) -> Tracking {
        self.0.as_ref().map_or_else(Tracking::default, |tracker| tracker.nested(name, run))
    }

    fn tell(&self, what: impl FnOnce(&dyn Tracker)) {
        if let Some(tracker) = &self.0 {
            what(&**tracker);
        }
    }
}

impl fmt::Debug for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "tracked" } else { "untracked" })
    }
}

/// The figures of an evaluation as metrics, below `prefix` where it is not empty.
pub fn figures(prefix: &[&str], evaluation: &Evaluation) -> Vec<(String, f64)> {
    let figures = [
        ("dice_mean", evaluation.dice_mean),
        ("dice_median", evaluation.dice_median),
        ("slice_dice_mean", evaluation.slice_dice_mean),
        ("far", evaluation.far.rate),
        ("frr", evaluation.frr.rate),
        ("calibration_error", evaluation.calibration_error),
        ("expected_dice_covers", evaluation.expected_dice_covers.rate),
        ("ms_per_slice", evaluation.ms_per_slice),
    ];
    let named = |(name, value): (&str, Option<f64>)| {
        Some((metric_name(&[prefix, &[name]].concat()), value?))
    };
    figures.into_iter().filter_map(named).collect()
}

/// A metric's name from its parts. A source is called what its folder is called: whatever no tracker takes is a `_`.
pub fn metric_name(parts: &[&str]) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "_-. ".contains(c) { c } else { '_' };
    let parts = parts.iter().map(|part| part.chars().map(safe).collect::<String>());
    // `.` and `..` are steps from folder to folder, and nothing is none at all.
    let parts = parts.filter(|part| !part.trim_matches(['.', ' ']).is_empty());
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
