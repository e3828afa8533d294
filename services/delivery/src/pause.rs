//! How long to wait after an attempt that failed.

use domain::Random;

const FIRST_MS: i64 = 5_000;

/// The longest pause between two attempts of one delivery, and between two attempts for one destination.
pub const DELIVERY_MS_MAX: i64 = 15 * 60_000;
pub const DESTINATION_MS_MAX: i64 = 5 * 60_000;

/// The pause after so many failures in a row: twice as long after each, up to `most_ms`, and of that a half to all, so that those that
/// failed together are not tried together again.
pub fn pause_ms(failures: i64, most_ms: i64, random: &Random) -> i64 {
    let doublings = failures.saturating_sub(1).clamp(0, 30);
    let whole = FIRST_MS.saturating_mul(1 << doublings).min(most_ms);
    let drawn = i64::from(u16::from_be_bytes(random.bytes()));
    whole / 2 + whole / 2 * drawn / i64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always(byte: u8) -> Random {
        Random::new(move |bytes| bytes.fill(byte))
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread_over_their_second_half() {
        let longest: Vec<i64> =
            (0..6).map(|failures| pause_ms(failures, 60_000, &always(0xff))).collect();
        assert_eq!(longest, [5_000, 5_000, 10_000, 20_000, 40_000, 60_000]);
        let shortest = [1, 2, i64::MAX].map(|failures| pause_ms(failures, 60_000, &always(0)));
        assert_eq!(shortest, [2_500, 5_000, 30_000]);
    }
}
