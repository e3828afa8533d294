use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Settings;

/// How many steps pass between two lines where there is no terminal.
const LINE_STEPS: u64 = 20;
/// How much of the shown loss and Dice is the latest batch's.
const FRESH: f64 = 0.05;

/// Shows how training goes: a bar on a terminal, plain lines elsewhere. All of it on standard error.
pub struct Display {
    bar: ProgressBar,
    plain: bool,
    total: u64,
    batch: usize,
    began: Cell<Option<(Instant, u64)>>,
    loaded: Cell<u64>,
    smooth: Cell<Option<(f64, f64)>>,
}

impl Display {
    pub fn new(settings: &Settings) -> Display {
        let plain = !std::io::stderr().is_terminal();
        let total = settings.epochs * settings.steps;
        let target =
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps · {msg}");
        bar.set_style(style.expect("the template is a constant"));
        Display {
            bar,
            plain,
            total,
            batch: settings.batch,
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

    pub fn epoch(&self, epoch: u64, side: usize) {
        self.line(&format!("epoch {} at {side} x {side} pixels", epoch + 1));
    }

    pub fn step(&self, step: u64, loss: f64, dice: f64) {
        let (began, first) = self.began.get().unwrap_or((Instant::now(), step));
        self.began.set(Some((began, first)));
        let (old_loss, old_dice) = self.smooth.get().unwrap_or((loss, dice));
        let blend = |old: f64, new: f64| old + FRESH * (new - old);
        let (loss, dice) = (blend(old_loss, loss), blend(old_dice, dice));
        self.smooth.set(Some((loss, dice)));
        // The first step has no duration yet: it began the clock.
        let seconds = began.elapsed().as_secs_f64() / (step - first).max(1) as f64;
        let left = Duration::from_secs_f64(seconds * (self.total - step - 1) as f64);
        let speed = self.batch as f64 / seconds.max(1e-9);
        let text = format!(
            "loss {loss:.3} · Dice {dice:.3} · {speed:.0} images/s · {} left",
            HumanDuration(left)
        );
        if self.plain && (step + 1).is_multiple_of(LINE_STEPS) {
            self.line(&format!("step {}/{} · {text}", step + 1, self.total));
        }
        self.bar.set_position(step + 1);
        self.bar.set_message(text);
    }

    pub fn validated(&self, dice: &BTreeMap<String, f64>) {
        let each: Vec<String> =
            dice.iter().map(|(source, dice)| format!("{source} {dice:.4}")).collect();
        self.line(&format!("validation Dice: {}; checkpoint saved", each.join(", ")));
    }

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
