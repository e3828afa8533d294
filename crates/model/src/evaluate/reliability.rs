use imaging::Calibration;
use maud::{Markup, html};
use serde::Serialize;

use super::plot::tenths;

/// How often pixels that are called likely are tumour: a histogram over logits.
#[derive(Clone, Debug)]
pub struct Reliability {
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    pixels: u64,
    tumour: u64,
    /// Of the probabilities.
    sum: f64,
}

/// One bin of a reliability curve: an interval of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The mean probability in it.
    pub called: f64,
    /// The part of its pixels that is tumour.
    pub observed: f64,
    /// How many pixels it is of.
    pub pixels: u64,
}

/// Fine enough that a bin's mean stands for all that is in it.
const BINS: usize = 480;
const LOGIT_MAX: f64 = 12.0;
/// Pixels below are ruled out: nine tenths of an image, which would make any error look small.
const RULED_OUT: f64 = 0.01;
const CURVE_BINS: usize = 15;
/// Newton's steps to a fit, of which about five are needed, and how often one is halved.
const STEPS: usize = 30;
const HALVINGS: i32 = 30;

impl Default for Reliability {
    /// Of no pixel.
    fn default() -> Reliability {
        Reliability { bins: vec![Bin::default(); BINS] }
    }
}

impl Reliability {
    /// Counts these pixels in: each with its probability and 1 where there is tumour, else 0.
    pub fn add(&mut self, probabilities: &[f32], truth: &[u8]) {
        for (p, inside) in probabilities.iter().zip(truth) {
            let p = f64::from(*p);
            let bin = &mut self.bins[at(p)];
            bin.pixels += 1;
            bin.tumour += u64::from(*inside);
            bin.sum += p;
        }
    }

    /// Counts in all that `other` has counted.
    pub fn merge(&mut self, other: &Reliability) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.pixels += other.pixels;
            bin.tumour += other.tumour;
            bin.sum += other.sum;
        }
    }

    /// The same pixels with calibrated probabilities.
    pub fn calibrated(&self, calibration: Calibration) -> Reliability {
        let mut after = Reliability::default();
        for bin in self.filled() {
            let p = f64::from(calibration.apply(bin.called() as f32));
            let to = &mut after.bins[at(p)];
            to.pixels += bin.pixels;
            to.tumour += bin.tumour;
            to.sum += p * bin.pixels as f64;
        }
        after
    }

    /// The calibration that makes what was seen of the pixels that are not ruled out likeliest (maximum likelihood, by
    /// Newton's method with steps that are halved until they help). Without pixels of both kinds, the one that changes
    /// nothing.
    pub fn fit(&self) -> Calibration {
        let [pixels, tumour] = self.counted();
        if tumour == 0 || tumour == pixels {
            return Calibration::default();
        }
        let (mut line, mut likelihood) = ([1.0, 0.0], self.likelihood([1.0, 0.0]));
        for _ in 0..STEPS {
            let step = self.step(line);
            let halves = (0..HALVINGS).map(|halving| 0.5f64.powi(halving));
            let tried = halves.map(|part| [line[0] + part * step[0], line[1] + part * step[1]]);
            let Some(better) =
                tried.map(|to| (to, self.likelihood(to))).find(|to| to.1 > likelihood)
            else {
                break;
            };
            (line, likelihood) = better;
        }
        match line[0] > 0.0 {
            true => Calibration { slope: line[0] as f32, offset: line[1] as f32 },
            false => Calibration::default(),
        }
    }

    /// Pixels that are not ruled out, and those of them that are tumour.
    fn counted(&self) -> [u64; 2] {
        self.not_ruled_out()
            .fold([0; 2], |[all, tumour], bin| [all + bin.pixels, tumour + bin.tumour])
    }

    /// The logarithm of how likely the pixels are if logits lie on this line.
    fn likelihood(&self, [slope, offset]: [f64; 2]) -> f64 {
        let of_bin = |bin: &Bin| {
            // The logarithm of the logistic function, safe at both ends.
            let log = |x: f64| -(-x.abs()).exp().ln_1p() + x.min(0.0);
            let x = slope * logit(bin.called()) + offset;
            bin.tumour as f64 * log(x) + (bin.pixels - bin.tumour) as f64 * log(-x)
        };
        self.not_ruled_out().map(of_bin).sum()
    }

    /// Newton's step from there: gradient over Hessian.
    fn step(&self, [slope, offset]: [f64; 2]) -> [f64; 2] {
        let (mut g, mut h) = ([0.0; 2], [0.0; 3]);
        for bin in self.not_ruled_out() {
            let x = logit(bin.called());
            let p = 1.0 / (1.0 + (-slope * x - offset).exp());
            let (n, error) = (bin.pixels as f64, bin.tumour as f64 - bin.pixels as f64 * p);
            let weight = n * p * (1.0 - p);
            g = [g[0] + error * x, g[1] + error];
            h = [h[0] + weight * x * x, h[1] + weight * x, h[2] + weight];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant]
    }

    /// The expected calibration error (Naeini et al. 2015) in 15 equal bins of probability, over the pixels that
    /// are not ruled out, which have at least 0.01. None without any.
    pub fn error(&self) -> Option<f64> {
        let curve = self.curve();
        let pixels: u64 = curve.iter().map(|bin| bin.pixels).sum();
        let off =
            |s: &ReliabilityBin| (s.called - s.observed).abs() * s.pixels as f64 / pixels as f64;
        (pixels > 0).then(|| curve.iter().map(off).sum())
    }

    /// The reliability curve: the bins that hold a pixel, lowest first, without what is ruled out.
    pub fn curve(&self) -> Vec<ReliabilityBin> {
        let mut curve = [Bin::default(); CURVE_BINS];
        for bin in self.not_ruled_out() {
            let into =
                &mut curve[((bin.called() * CURVE_BINS as f64) as usize).min(CURVE_BINS - 1)];
            into.pixels += bin.pixels;
            into.tumour += bin.tumour;
            into.sum += bin.sum;
        }
        let filled = curve.into_iter().filter(|bin| bin.pixels > 0);
        let point = |bin: Bin| ReliabilityBin {
            called: bin.called(),
            observed: bin.tumour as f64 / bin.pixels as f64,
            pixels: bin.pixels,
        };
        filled.map(point).collect()
    }

    fn not_ruled_out(&self) -> impl Iterator<Item = &Bin> {
        self.filled().filter(|bin| bin.called() >= RULED_OUT)
    }

    fn filled(&self) -> impl Iterator<Item = &Bin> {
        self.bins.iter().filter(|bin| bin.pixels > 0)
    }
}

impl Bin {
    fn called(&self) -> f64 {
        self.sum / self.pixels as f64
    }
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln().clamp(-LOGIT_MAX, LOGIT_MAX)
}

fn at(p: f64) -> usize {
    let part = (logit(p) + LOGIT_MAX) / (2.0 * LOGIT_MAX);
    ((part * BINS as f64) as usize).min(BINS - 1)
}

const SIDE: f64 = 320.0;
const EDGE: f64 = 48.0;

/// The reliability plot: what was called against what was observed, an SVG. On the diagonal, words are true.
pub fn reliability_plot(curve: &[ReliabilityBin], title: &str) -> String {
    let place = |s: &ReliabilityBin| format!("{:.1},{:.1}", x(s.called), y(s.observed));
    let points: Vec<String> = curve.iter().map(place).collect();
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {SIDE} {SIDE}")) font-family="sans-serif" font-size="11" {
            rect width="100%" height="100%" fill="white" {}
            text x=(EDGE) y="18" { (title) }
            path d=(format!("M{:.1} {:.1}L{:.1} {:.1}", x(0.0), y(0.0), x(1.0), y(1.0))) stroke="#999" stroke-dasharray="4 3" {}
            (grid())
            polyline points=(points.join(" ")) fill="none" stroke="#4477aa" stroke-width="2" {}
            @for ReliabilityBin { called, observed, pixels } in curve {
                circle cx=(tenths(x(*called))) cy=(tenths(y(*observed))) r="3.5" fill="#4477aa" {
                    title { (format!("called {called:.3}, observed {observed:.3}, {pixels} pixels")) }
                }
            }
            text x=(tenths(x(0.5))) y=(tenths(SIDE - 12.0)) text-anchor="middle" { "called" }
            text transform=(format!("translate(14 {:.1}) rotate(-90)", y(0.5))) text-anchor="middle" { "observed" }
        }
    };
    svg.into_string() + "\n"
}

fn grid() -> Markup {
    html! {
        @for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
            @let height = tenths(y(tick));
            path d=(format!("M{:.1} {height}H{:.1}", x(0.0), x(1.0))) stroke="#ddd" {}
            text x=(tenths(x(0.0) - 6.0)) y=(height) dy="4" text-anchor="end" { (tenths(tick)) }
            text x=(tenths(x(tick))) y=(tenths(y(0.0) + 16.0)) text-anchor="middle" { (tenths(tick)) }
        }
    }
}

fn x(p: f64) -> f64 {
    EDGE + p * (SIDE - EDGE - 12.0)
}

fn y(p: f64) -> f64 {
    SIDE - EDGE - p * (SIDE - EDGE - 32.0)
}

#[cfg(test)]
mod fit_tests;
#[cfg(test)]
#[path = "reliability_tests.rs"]
mod tests;
