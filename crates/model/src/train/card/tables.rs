use std::fmt::Write;

use crate::evaluate::{Evaluation, GroupedBy, Rate};

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

pub fn number(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| format!("{value:.3}"))
}

fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or(String::new(), |[from, to]| format!("{from:.3} to {to:.3}"))
}

pub fn percent(Rate { rate, count, of, .. }: Rate) -> String {
    rate.map_or("-".to_owned(), |rate| format!("{:.1} % ({count} of {of})", 100.0 * rate))
}
