use std::fmt::Write;

use super::Evaluation;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 36.0;

/// The Dice of each patient, lowest first, with the mean and its interval: an SVG.
pub fn plot(evaluation: &Evaluation) -> String {
    let mut dice: Vec<(&str, f64)> =
        evaluation.patients.iter().map(|patient| (patient.id.as_str(), patient.dice)).collect();
    dice.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let floor = HEIGHT - BOTTOM;
    let height = |value: f64| value * (floor - TOP);
    let step = (WIDTH - LEFT - 12.0) / dice.len().max(1) as f64;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
"#
    );
    for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        let y = floor - height(tick);
        let x = LEFT - 6.0;
        let _ = writeln!(
            svg,
            r##"<path d="M{LEFT} {y:.1}H{WIDTH}" stroke="#ddd"/><text x="{x}" y="{y:.1}" dy="4" text-anchor="end">{tick:.1}</text>"##
        );
    }
    for (index, (id, value)) in dice.iter().enumerate() {
        let (x, y) = (LEFT + step * (index as f64 + 0.1), floor - height(*value));
        let (width, tall) = (0.8 * step, height(*value));
        let _ = writeln!(
            svg,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{tall:.1}" fill="#4477aa"><title>{}: {value:.3}</title></rect>"##,
            escaped(id)
        );
    }
    if let (Some(mean), Some([from, to])) = (evaluation.dice_mean, evaluation.dice_interval) {
        let (low, high, middle) = (floor - height(from), floor - height(to), floor - height(mean));
        let tall = low - high;
        let wide = WIDTH - LEFT;
        let _ = writeln!(
            svg,
            r##"<rect x="{LEFT}" y="{high:.1}" width="{wide}" height="{tall:.1}" fill="#cc6677" opacity="0.2"/><path d="M{LEFT} {middle:.1}H{WIDTH}" stroke="#cc6677" stroke-width="2"/>"##
        );
        let _ = writeln!(
            svg,
            r#"<text x="{LEFT}" y="22">Dice per patient: mean {mean:.3} (95 % {from:.3} to {to:.3}), {} patients, {} {}</text>"#,
            dice.len(),
            escaped(&evaluation.model.name),
            escaped(&evaluation.model.version)
        );
    }
    let y = HEIGHT - 12.0;
    let _ = writeln!(
        svg,
        r#"<text x="{LEFT}" y="{y}">patients, lowest first</text>
</svg>"#
    );
    svg
}

/// Safe inside an element.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
