//! Histograms as SVG that stands alone: no script, no font, no address.

use maud::{Markup, html};

use crate::page::{number, percent};
use crate::report::Histogram;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;

/// The reference as filled bars, the window as a line over them: apart without colour too.
pub fn histogram(name: &str, histogram: &Histogram) -> Markup {
    let reference = padded(&histogram.reference, 0.0, 0.0);
    let window = padded(&histogram.window, histogram.below, histogram.above);
    let top = reference.iter().chain(&window).copied().fold(0.01, f64::max);
    let scale = Scale { bins: reference.len(), top };
    let label = format!("Histogram of {name}: training reference and window");
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) font-family="sans-serif" font-size="12" {
            (grid(scale))
            (bars(scale, &reference))
            (steps(scale, &window))
            (axis(scale, histogram, name))
        }
    }
}

/// The bins, with one more on each side for what lies beyond them.
fn padded(shares: &[f64], below: f64, above: f64) -> Vec<f64> {
    [&[below], shares, &[above]].concat()
}

#[derive(Clone, Copy)]
struct Scale {
    bins: usize,
    top: f64,
}

impl Scale {
    fn x(self, bin: usize) -> f64 {
        LEFT + bin as f64 / self.bins as f64 * (WIDTH - LEFT - RIGHT)
    }

    fn y(self, share: f64) -> f64 {
        HEIGHT - BOTTOM - share / self.top * (HEIGHT - TOP - BOTTOM)
    }
}

fn grid(scale: Scale) -> Markup {
    html! {
        @for part in [0.0, 0.5, 1.0] {
            @let share = part * scale.top;
            @let y = scale.y(share);
            line x1=(LEFT) y1=(tenths(y)) x2=(WIDTH - RIGHT) y2=(tenths(y)) stroke="#d5d9de" {}
            text x=(LEFT - 6.0) y=(tenths(y + 4.0)) text-anchor="end" fill="#454d57" { (percent(share)) }
        }
    }
}

fn bars(scale: Scale, shares: &[f64]) -> Markup {
    let width = tenths(scale.x(1) - scale.x(0) - 1.0);
    html! {
        g fill="#9db8d3" {
            @for (bin, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                @let y = scale.y(*share);
                rect x=(tenths(scale.x(bin) + 0.5)) y=(tenths(y)) width=(width) height=(tenths(scale.y(0.0) - y)) {}
            }
        }
    }
}

fn steps(scale: Scale, shares: &[f64]) -> Markup {
    let floor = tenths(scale.y(0.0));
    let step =
        |(bin, share): (usize, &f64)| format!("V{:.1}H{:.1}", scale.y(*share), scale.x(bin + 1));
    let steps: String = shares.iter().enumerate().map(step).collect();
    let path = format!("M{:.1} {floor}{steps}V{floor}", scale.x(0));
    html! { path d=(path) fill="none" stroke="#b3410e" stroke-width="2" {} }
}

fn axis(scale: Scale, histogram: &Histogram, name: &str) -> Markup {
    let bins = histogram.edges.len() - 1;
    html! {
        g text-anchor="middle" fill="#454d57" {
            @for edge in [0, bins / 2, bins] {
                text x=(tenths(scale.x(edge + 1))) y=(HEIGHT - BOTTOM + 16.0) { (number(histogram.edges[edge])) }
            }
            text x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 8.0) { (name) " (outer bars: beyond the reference)" }
        }
    }
}

/// As fine as a picture needs it.
fn tenths(value: f64) -> String {
    format!("{value:.1}")
}
