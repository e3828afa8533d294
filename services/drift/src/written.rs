//! Figures as people read them.

/// Three significant digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(0.001..10_000.0).contains(&size) => format!("{value:.1e}"),
        size => format!("{value:.*}", (2 - size.log10().floor() as i32).max(0) as usize),
    }
}

pub fn percent(share: f64) -> String {
    format!("{:.*} %", usize::from(share < 0.1 && share > 0.0), share * 100.0)
}
