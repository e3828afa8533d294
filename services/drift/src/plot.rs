//! Histograms as SVG that stands alone: no script, no font, no address.

use std::fmt::Write;

use crate::page::{escaped, number, percent};
use crate::report::Histogram;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;

/// The reference as filled bars, the window as a line over them: apart without colour too.
pub fn histogram(name: &str, histogram: &Histogram) -> String {
    let reference = padded(&histogram.reference, 0.0, 0.0);
    let window = padded(&histogram.window, histogram.below, histogram.above);
    let top = reference.iter().chain(&window).copied().fold(0.01, f64::max);
    let scale = Scale { bins: reference.len(), top };
    let name = escaped(name);
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Histogram of {name}: training reference and window" font-family="sans-serif" font-size="12">"#
    );
    svg.push_str(&grid(scale));
    svg.push_str(&bars(scale, &reference));
    svg.push_str(&steps(scale, &window));
    svg.push_str(&axis(scale, histogram, &name));
    svg.push_str("</svg>");
    svg
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

fn grid(scale: Scale) -> String {
    let mut svg = String::new();
    for part in [0.0, 0.5, 1.0] {
        let share = part * scale.top;
        let (y, label) = (scale.y(share), percent(share));
        let (end, at, base) = (WIDTH - RIGHT, LEFT - 6.0, y + 4.0);
        let _ = write!(
            svg,
            r##"<line x1="{LEFT}" y1="{y:.1}" x2="{end}" y2="{y:.1}" stroke="#d5d9de"/><text x="{at}" y="{base:.1}" text-anchor="end" fill="#454d57">{label}</text>"##
        );
    }
    svg
}

fn bars(scale: Scale, shares: &[f64]) -> String {
    let mut svg = String::from(r##"<g fill="#9db8d3">"##);
    for (bin, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let (x, y) = (scale.x(bin) + 0.5, scale.y(*share));
        let (width, height) = (scale.x(1) - scale.x(0) - 1.0, scale.y(0.0) - y);
        let _ =
            write!(svg, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#);
    }
    svg + "</g>"
}

fn steps(scale: Scale, shares: &[f64]) -> String {
    let mut path = format!("M{:.1} {:.1}", scale.x(0), scale.y(0.0));
    for (bin, share) in shares.iter().enumerate() {
        let _ = write!(path, "V{:.1}H{:.1}", scale.y(*share), scale.x(bin + 1));
    }
    format!(
        r##"<path d="{path}V{:.1}" fill="none" stroke="#b3410e" stroke-width="2"/>"##,
        scale.y(0.0)
    )
}

fn axis(scale: Scale, histogram: &Histogram, name: &str) -> String {
    let bins = histogram.edges.len() - 1;
    let y = HEIGHT - BOTTOM + 16.0;
    let mut svg = String::from(r##"<g text-anchor="middle" fill="#454d57">"##);
    for edge in [0, bins / 2, bins] {
        let (x, label) = (scale.x(edge + 1), number(histogram.edges[edge]));
        let _ = write!(svg, r#"<text x="{x:.1}" y="{y}">{label}</text>"#);
    }
    let (middle, base) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0);
    let _ = write!(
        svg,
        r#"<text x="{middle}" y="{base}">{name} (outer bars: beyond the reference)</text>"#
    );
    svg + "</g>"
}
