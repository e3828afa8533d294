use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::schedule::Gone;

/// The bar's length.
const BAR: u64 = 1000;
/// How much of the shown loss and Dice is the latest batch's.
const FRESH: f64 = 0.3;

/// Shows how training goes: a bar on a terminal, plain lines elsewhere. All of it on standard error.
pub struct Display {
    bar: ProgressBar,
    plain: bool,
    /// When this run began, and how far training had come then.
    began: Cell<Option<(Instant, Gone, f64)>>,
    loaded: Cell<u64>,
    smooth: Cell<Option<(f64, f64)>>,
}

impl Display {
    /// Draws a bar where a terminal watches, and plain lines elsewhere.
    pub fn new() -> Display {
        let plain = !std::io::stderr().is_terminal();
        let target =
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(BAR), target);
        let style = ProgressStyle::with_template("{bar:30} {percent} % · {msg}");
        bar.set_style(style.expect("the template is a constant"));
        Display {
            bar,
            plain,
            began: Cell::default(),
            loaded: Cell::default(),
            smooth: Cell::default(),
        }
    }

    /// One more slice is in memory.
    pub fn loaded(&self) {
        self.loaded.set(self.loaded.get() + 1);
        self.bar.set_message(format!("{} slices loaded", self.loaded.get()));
    }

    /// So much of training is gone, which is that part of it; squares have `side` pixels.
    pub fn step(&self, gone: Gone, done: f64, side: usize, loss: f64, dice: f64) {
        let (began, first, first_done) = self.began.get().unwrap_or((Instant::now(), gone, done));
        self.began.set(Some((began, first, first_done)));
        let (old_loss, old_dice) = self.smooth.get().unwrap_or((loss, dice));
        let blend = |old: f64, new: f64| old + FRESH * (new - old);
        let (loss, dice) = (blend(old_loss, loss), blend(old_dice, dice));
        self.smooth.set(Some((loss, dice)));
        let speed = (gone.views - first.views) as f64 / (gone.seconds - first.seconds).max(1e-9);
        let (seconds, part) = (began.elapsed().as_secs_f64(), done - first_done);
        let left = match part > 0.0 {
            true => {
                HumanDuration(Duration::from_secs_f64(seconds / part * (1.0 - done))).to_string()
            }
            // The first line began the clock.
            false => "?".to_owned(),
        };
        let text = format!(
            "{side} pixels · loss {loss:.3} · Dice {dice:.3} · {speed:.0} images/s · {left} left"
        );
        if self.plain {
            self.line(&format!("{:.1} % · {} views · {text}", 100.0 * done, gone.views));
        }
        self.bar.set_position((done * BAR as f64) as u64);
        self.bar.set_message(text);
    }

    /// Tells the mean Dice of each source's validation slices.
    pub fn validated(&self, dice: &BTreeMap<String, f64>) {
        let each: Vec<String> =
            dice.iter().map(|(source, dice)| format!("{source} {dice:.4}")).collect();
        self.line(&format!("validation Dice: {}", each.join(", ")));
    }

    /// Ends the bar, so that what is printed next begins on a line of its own.
    pub fn done(&self) {
        self.bar.finish();
    }

    fn line(&self, text: &str) {
        if self.plain {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }
}
