use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use service::cli;

use super::outcome::Outcome;

/// Tells of scans: a line each on standard output, what went wrong on standard error, and there, for whoever watches many of
/// them from a terminal, how far it is.
pub struct Teller {
    json: bool,
    bar: ProgressBar,
}

impl Teller {
    /// Of so many inputs; of one there is no progress to see.
    pub fn new(json: bool, inputs: usize) -> Teller {
        let target = match stderr().is_terminal() && inputs > 1 {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(inputs as u64), target);
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} · {eta} left");
        bar.set_style(style.expect("the template is a constant"));
        Teller { json, bar }
    }

    pub fn tell(&self, outcome: &Outcome) {
        self.bar.suspend(|| {
            if let Some(why) = outcome.complaint() {
                cli::complain(&why);
            }
            match self.json {
                true => println!("{}", outcome.json()),
                false => println!("{}", outcome.line()),
            }
        });
    }

    /// One more input is done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
