//! Histograms as SVG that stands alone: no script, no font, no address.

use maud::{Markup, html};

use crate::report::Histogram;
use crate::written::{number, percent};

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

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: f64 = HEIGHT - BOTTOM;

    fn drawn(reference: [f64; 2], window: [f64; 2], below: f64, above: f64) -> String {
        let (reference, window) = (reference.to_vec(), window.to_vec());
        let edges = vec![0.0, 1.0, 2.0];
        histogram("mean", &Histogram { edges, reference, window, below, above }).into_string()
    }

    /// The numbers that stand after `before`.
    fn numbers(text: &str, before: &str) -> Vec<f64> {
        let is_end = |c: char| !c.is_ascii_digit() && c != '.';
        let number = |rest: &str| rest.split(is_end).next().unwrap().parse::<f64>().unwrap();
        text.split(before).skip(1).map(number).collect()
    }

    #[test]
    fn a_bar_stands_on_the_floor_and_is_as_high_as_its_share_of_the_reference() {
        let svg = drawn([0.25, 0.75], [0.5, 0.5], 0.0, 0.0);
        let (heights, lefts) = (numbers(&svg, " height=\""), numbers(&svg, "<rect x=\""));
        assert_eq!((heights.len(), lefts.len()), (2, 2), "nothing lies outside the reference");
        assert!((heights[1] / heights[0] - 3.0).abs() < 0.02, "{heights:?}");
        assert!(lefts[0] < lefts[1], "low values at the left");
        let reached: Vec<f64> =
            svg.split("<rect").skip(1).map(|bar| numbers(bar, " y=\"")[0]).collect();
        for (top, height) in reached.iter().zip(&heights) {
            assert!((top + height - FLOOR).abs() < 0.11, "{top} + {height}");
        }
    }

    #[test]
    fn what_lies_beyond_the_reference_is_drawn_at_its_own_side() {
        let svg = drawn([0.5, 0.5], [0.0, 0.25], 0.5, 0.25);
        let path = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
        let shares: Vec<f64> =
            numbers(path, "V").iter().map(|y| 0.5 * (FLOOR - y) / (FLOOR - TOP)).collect();
        // Below, both bins, above; then down to the floor.
        let expected = [0.5, 0.0, 0.25, 0.25, 0.0];
        assert_eq!(shares.len(), expected.len());
        for (share, expected) in shares.iter().zip(expected) {
            assert!((share - expected).abs() < 0.001, "{shares:?}");
        }
    }

    #[test]
    fn a_name_is_text_and_the_axis_says_where_the_reference_begins_and_ends() {
        let histogram = Histogram {
            edges: vec![-1.5, 0.0, 40.0],
            reference: vec![0.5, 0.5],
            window: vec![0.0, 0.0],
            below: 0.0,
            above: 0.0,
        };
        let svg = super::histogram("<script>", &histogram).into_string();
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"));
        let places = [">-1.50<", ">0<", ">40.0<"].map(|edge| svg.find(edge));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{svg}");
    }
}
