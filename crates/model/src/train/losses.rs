use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use domain::{Error, ErrorKind, Result};

use super::schedule::Gone;

/// The table of the loss by step, in the run's folder.
pub const LOSSES_FILE: &str = "loss.csv";

const HEADER: &str = "step,views,loss,dice\n";

/// How the loss went, for plots.
pub struct Losses {
    path: PathBuf,
    file: File,
}

impl Losses {
    /// Opens the table of a run that has come to that step. What a run wrote after its last checkpoint, before it was cut
    /// off, is trained again and goes.
    pub fn open(run: &Path, step: u64) -> Result<Losses> {
        let path = run.join(LOSSES_FILE);
        let before = fs::read_to_string(&path).unwrap_or_default();
        let is_kept = |line: &&str| {
            let of = line.split(',').next().and_then(|number| number.parse::<u64>().ok());
            of.is_some_and(|of| of <= step)
        };
        let kept = before.lines().filter(is_kept).map(|line| format!("{line}\n"));
        let text: String = [HEADER.to_owned()].into_iter().chain(kept).collect();
        fs::create_dir_all(run).map_err(|error| unwritten(&path, error))?;
        fs::write(&path, text).map_err(|error| unwritten(&path, error))?;
        let file = OpenOptions::new().append(true).open(&path);
        Ok(Losses { file: file.map_err(|error| unwritten(&path, error))?, path })
    }

    /// Adds a line.
    pub fn add(&mut self, step: u64, gone: Gone, loss: f64, dice: f64) -> Result<()> {
        writeln!(self.file, "{step},{},{loss:.6},{dice:.6}", gone.views)
            .map_err(|error| unwritten(&self.path, error))
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    ErrorKind::Unavailable.error(format!("cannot write {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_on_forgets_the_steps_that_it_makes_again() {
        let run = tempfile::tempdir().unwrap();
        let add = |losses: &mut Losses, step: u64| {
            let gone = Gone { views: 4 * step, seconds: 0.0 };
            losses.add(step, gone, 1.0 / step as f64, 0.5).unwrap();
        };
        let mut losses = Losses::open(run.path(), 0).unwrap();
        [20, 40, 60].into_iter().for_each(|step| add(&mut losses, step));
        let mut losses = Losses::open(run.path(), 40).unwrap();
        add(&mut losses, 60);
        let text = fs::read_to_string(run.path().join(LOSSES_FILE)).unwrap();
        let steps: Vec<&str> = text.lines().filter_map(|line| line.split(',').next()).collect();
        assert_eq!(steps, ["step", "20", "40", "60"]);
        assert!(text.ends_with("60,240,0.016667,0.500000\n"), "{text}");
    }
}
