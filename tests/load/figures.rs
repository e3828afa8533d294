use std::time::Duration;

/// How long something took, each time.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn new(mut times: Vec<Duration>) -> Times {
        times.sort();
        Times(times)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn median_ms(&self) -> f64 {
        self.quantile_ms(0.5)
    }

    pub fn p99_ms(&self) -> f64 {
        self.quantile_ms(0.99)
    }

    /// The smallest time that at least this part of all does not exceed; NaN of none.
    fn quantile_ms(&self, part: f64) -> f64 {
        let rank = (part * self.0.len() as f64).ceil() as usize;
        let time = self.0.get(rank.saturating_sub(1));
        time.map_or(f64::NAN, |time| 1000.0 * time.as_secs_f64())
    }
}

/// The head of a Markdown table: the first column holds words, the others numbers.
pub fn head(columns: &[&str]) {
    println!("| {} |", columns.join(" | "));
    println!("|---|{}", "--:|".repeat(columns.len() - 1));
}
