use maud::{Markup, html};

use super::Evaluation;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 40.0;
const FLOOR: f64 = HEIGHT - 36.0;

/// The Dice of each patient, lowest first, with the mean and its interval: an SVG.
pub fn plot(evaluation: &Evaluation) -> String {
    let mut dice: Vec<(&str, f64)> =
        evaluation.patients.iter().map(|patient| (patient.id.as_str(), patient.dice)).collect();
    dice.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) font-family="sans-serif" font-size="12" {
            rect width="100%" height="100%" fill="white" {}
            (grid())
            (bars(&dice))
            (mean(evaluation))
            text x=(LEFT) y=(HEIGHT - 12.0) { "patients, lowest first" }
        }
    };
    svg.into_string() + "\n"
}

fn grid() -> Markup {
    html! {
        @for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
            @let y = tenths(y(tick));
            path d=(format!("M{LEFT} {y}H{WIDTH}")) stroke="#ddd" {}
            text x=(LEFT - 6.0) y=(y) dy="4" text-anchor="end" { (tenths(tick)) }
        }
    }
}

fn bars(dice: &[(&str, f64)]) -> Markup {
    let step = (WIDTH - LEFT - 12.0) / dice.len().max(1) as f64;
    html! {
        @for (index, (id, value)) in dice.iter().enumerate() {
            @let x = tenths(LEFT + step * (index as f64 + 0.1));
            rect x=(x) y=(tenths(y(*value))) width=(tenths(0.8 * step)) height=(tenths(FLOOR - y(*value))) fill="#4477aa" {
                title { (id) ": " (format!("{value:.3}")) }
            }
        }
    }
}

fn mean(evaluation: &Evaluation) -> Markup {
    let (Some(mean), Some([from, to])) = (evaluation.dice_mean, evaluation.dice_interval) else {
        return Markup::default();
    };
    let (patients, model) = (evaluation.patients.len(), &evaluation.model);
    html! {
        rect x=(LEFT) y=(tenths(y(to))) width=(WIDTH - LEFT) height=(tenths(y(from) - y(to))) fill="#cc6677" opacity="0.2" {}
        path d=(format!("M{LEFT} {:.1}H{WIDTH}", y(mean))) stroke="#cc6677" stroke-width="2" {}
        text x=(LEFT) y="22" {
            (format!("Dice per patient: mean {mean:.3} (95 % {from:.3} to {to:.3}), {patients} patients, "))
            (model.facts.name) " " (model.facts.version)
        }
    }
}

/// Where a Dice stands, in pixels from the top.
fn y(dice: f64) -> f64 {
    FLOOR - dice * (FLOOR - TOP)
}

/// As fine as a picture needs it.
pub fn tenths(value: f64) -> String {
    format!("{value:.1}")
}
