use std::fmt::Write;

use imaging::{NetworkInput, Reading, Readings};

use super::Trial;
use crate::evaluate::{Evaluation, GroupedBy, KindAccuracy, Measured, Rate};
use crate::train::predictions::Form;

/// Patients are listed one by one where they are no more than this.
const LISTED_MAX: usize = 40;

/// The figures of one source, or of several folds.
pub fn table(figures: &Evaluation) -> String {
    let mut text = format!(
        "| | | 95 % interval |
|---|--:|--:|
| volumetric Dice, mean over patients | {} | {} |
| median | {} | |
| Dice of slices with tumour, mean | {} | {} |
",
        number(figures.dice_mean),
        interval(figures.dice_interval),
        number(figures.dice_median),
        number(figures.slice_dice_mean),
        interval(figures.slice_dice_interval),
    );
    let mut rate = |name: &str, rate: Rate| {
        if rate.of > 0 {
            let Rate { count, of, interval, .. } = rate;
            let interval = self::interval(Some(interval));
            let _ =
                writeln!(text, "| {name} | {} ({count} of {of}) | {interval} |", number(rate.rate));
        }
    };
    rate("slices falsely found (FAR)", figures.far);
    rate("slices missed (FRR)", figures.frr);
    if let Some(lesser) = &figures.with_lesser {
        let _ = writeln!(
            text,
            "| with lesser findings: Dice, FAR, FRR | {}, {}, {} | in {} slices nothing else |",
            number(lesser.dice_mean),
            percent(lesser.far),
            percent(lesser.frr),
            lesser.slices
        );
    }
    if let Some(KindAccuracy { right, unsure, wrong }) = figures.kinds {
        let _ = writeln!(text, "| kind told right, unsure, wrong | {right}, {unsure}, {wrong} | |");
    }
    text
}

/// One line for each form and source.
pub fn overview(figures: &[Vec<(String, Evaluation)>; 2]) -> String {
    let mut text = "\
| scans | Dice, mean | 95 % interval | Dice of slices | FAR | FRR | calibration error | expected Dice held |
|---|--:|--:|--:|--:|--:|--:|--:|
"
    .to_owned();
    for (form, sources) in Form::ALL.into_iter().zip(figures) {
        for (source, figures) in sources {
            let _ = writeln!(
                text,
                "| `{source}`, {} | {} | {} | {} | {} | {} | {} | {} |",
                form.title(),
                number(figures.dice_mean),
                interval(figures.dice_interval),
                number(figures.slice_dice_mean),
                percent(figures.far),
                percent(figures.frr),
                number(figures.calibration_error),
                percent(figures.expected_dice_covers),
            );
        }
    }
    text
}

/// What each step of choosing brings.
pub fn trials(trials: &[Trial]) -> String {
    let mut text = "
What each step brings, judged in the same way: mean Dice over patients, mean Dice of slices with a tumour, FAR, FRR.

| step | scans | Dice | of slices | FAR | FRR |
|---|---|--:|--:|--:|--:|
"
    .to_owned();
    for Trial { name, figures } in trials {
        for (form, sources) in Form::ALL.into_iter().zip(figures) {
            for (source, figures) in sources {
                let _ = writeln!(
                    text,
                    "| {name} | `{source}`, {} | {} | {} | {} | {} |",
                    form.title(),
                    number(figures.dice_mean),
                    number(figures.slice_dice_mean),
                    percent(figures.far),
                    percent(figures.frr),
                );
            }
        }
    }
    text
}

/// How each kind of scan is read.
pub fn readings(readings: &Readings) -> String {
    let mut text = "
| scans | input side, pixels | threshold | findings of at least, pixels | calibration | lesser findings apart, main one grows from |
|---|--:|--:|--:|--:|--:|
"
    .to_owned();
    let kinds = readings.kinds.iter().map(|(kind, forms)| (kind.title(), forms));
    for (kind, forms) in kinds.chain([("of an unknown kind", &readings.general)]) {
        for (form, reading) in [("volumes", &forms.volume), ("slices alone", &forms.slice)] {
            let Reading {
                input: NetworkInput { side, mirrored },
                operating_point,
                calibration,
                grows_from,
                ..
            } = reading;
            let mirrored = if *mirrored { ", also flipped" } else { "" };
            let grows = grows_from.map_or("no".into(), |from| format!("{from:.3}"));
            let _ = writeln!(
                text,
                "| {kind}, {form} | {side}{mirrored} | {:.3} | {} | logit x {:.3} {:+.3} | {grows} |",
                operating_point.threshold,
                operating_point.minimum_pixels,
                calibration.slope,
                calibration.offset,
            );
        }
    }
    text
}

/// By site and by size.
pub fn groups(figures: &Evaluation) -> String {
    let mut text = String::new();
    for (by, title) in [
        (GroupedBy::Site, "site | patients | volumetric Dice"),
        (GroupedBy::Size, "tumour | slices | Dice"),
    ] {
        let groups: Vec<_> = figures.groups.iter().filter(|group| group.by == by).collect();
        if groups.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n| {title} | 95 % interval | slices falsely found | slices missed |\n|---|--:|--:|--:|--:|--:|\n"
        );
        for group in groups {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                group.name,
                group.count,
                number(group.dice_mean),
                interval(group.dice_interval),
                percent(group.far),
                percent(group.frr),
            );
        }
    }
    text
}

/// Each patient's Dice as a table in Markdown; empty where there are too many to be listed.
pub fn patients(figures: &Evaluation) -> String {
    if figures.patients.len() > LISTED_MAX {
        return String::new();
    }
    let mut text = "\n| patient | slices | Dice |\n|---|--:|--:|\n".to_owned();
    for patient in &figures.patients {
        let _ = writeln!(text, "| {} | {} | {:.3} |", patient.id, patient.slices, patient.dice);
    }
    text
}

/// Three decimals, or `none`.
pub fn number(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| format!("{value:.3}"))
}

fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or(String::new(), |[from, to]| format!("{from:.3} to {to:.3}"))
}

/// A rate with one decimal and the counts behind it; `-` where it could not happen.
pub fn percent(Rate { rate, count, of, .. }: Rate) -> String {
    rate.map_or("-".to_owned(), |rate| format!("{:.1} % ({count} of {of})", 100.0 * rate))
}

/// How well volumes are measured where they are known.
pub fn phantoms(measured: &[Measured]) -> String {
    if measured.is_empty() {
        return String::new();
    }
    let mut text = "
## Volumes of phantoms

Generated heads with a lesion of exactly known volume, each with a seed of its own. A missed lesion counts as an error of 1.

| mm between slices, rows, columns | slices | median error | nine in ten below | missed |
|---|--:|--:|--:|--:|
"
    .to_owned();
    for Measured { spacing_mm: [a, b, c], slices, volume_error, volume_error_p90, missed } in
        measured
    {
        let _ = writeln!(
            text,
            "| {a} x {b} x {c} | {slices} | {} | {} | {} |",
            number(*volume_error),
            number(*volume_error_p90),
            percent(*missed),
        );
    }
    text
}
