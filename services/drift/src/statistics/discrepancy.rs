//! How two samples of vectors differ: the maximum mean discrepancy of Gretton et al. (2012, A Kernel Two-Sample Test), with a
//! Gaussian kernel as wide as vectors are apart in the median.

/// Vectors of the smaller and of the larger sample that are compared at most, evenly drawn: more would cost time and tell little.
const FEW_MAX: usize = 100;
const MANY_MAX: usize = 200;
/// Ways to share out the vectors anew that are tried at most: the smallest p-value is one of so many and one, which is below a
/// feature's part of a window's false-alarm budget, were there nineteen.
const WAYS_MAX: usize = 9999;
/// So many of them that are as far apart as what was seen say that it is nothing rare: the p-value is then their share (Besag and
/// Clifford 1991, which keeps the test exact), and no more are tried.
const AS_FAR_MAX: usize = 20;
/// Where the ways begin: the same samples have the same p-value.
const SEED: u64 = 17;

/// How far two samples are apart, and how improbable that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discrepancy {
    /// The unbiased estimate of the squared discrepancy: around 0 between samples that are alike, so that it may lie below.
    pub squared: f64,
    /// Of the permutation test.
    pub p_value: f64,
}

/// Compares two samples of vectors of one length, in any order; None when one has fewer than two.
pub fn discrepancy(one: &[&[f64]], other: &[&[f64]]) -> Option<Discrepancy> {
    let (few, many) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let (few, many) = (spread(few, FEW_MAX), spread(many, MANY_MAX));
    if few.len() < 2 {
        return None;
    }
    let kernel = Kernel::new(&[few.as_slice(), &many].concat());
    let mut places: Vec<usize> = (0..kernel.size).collect();
    let count = few.len();
    let squared = kernel.squared(&places[..count]);
    let mut drawn = Drawn(SEED);
    let mut as_far = 0;
    for way in 1..=WAYS_MAX {
        drawn.shuffle(&mut places, count);
        as_far += usize::from(kernel.squared(&places[..count]) >= squared);
        if as_far == AS_FAR_MAX {
            return Some(Discrepancy { squared, p_value: as_far as f64 / way as f64 });
        }
    }
    Some(Discrepancy { squared, p_value: (as_far + 1) as f64 / (WAYS_MAX + 1) as f64 })
}

/// Of each vector of the `window`, by how much it is nearer to the others of the window than to those of the `reference`: what
/// carries the discrepancy is above 0.
pub fn witnesses(window: &[&[f64]], reference: &[&[f64]]) -> Vec<f64> {
    let count = window.len();
    if count < 2 || reference.is_empty() {
        return vec![0.0; count];
    }
    // Every scan of the window is told of; of the training as many as are compared, however many a file has.
    let reference = spread(reference, MANY_MAX);
    let kernel = Kernel::new(&[window, reference.as_slice()].concat());
    let mean = |row: usize, places: std::ops::Range<usize>, of: usize| {
        places.map(|column| kernel.at(row, column)).sum::<f64>() / of as f64
    };
    let witness = |row: usize| {
        mean(row, 0..count, count - 1) - mean(row, count..kernel.size, reference.len())
    };
    (0..count).map(witness).collect()
}

/// So many vectors at most, evenly drawn.
fn spread<'a>(vectors: &[&'a [f64]], most: usize) -> Vec<&'a [f64]> {
    let taken = vectors.len().min(most);
    (0..taken).map(|place| vectors[place * vectors.len() / taken]).collect()
}

/// How near each vector is to each: 1 where they are the same, and 0 of one with itself, which counts nowhere.
struct Kernel {
    size: usize,
    values: Vec<f64>,
    /// Of each row.
    sums: Vec<f64>,
    total: f64,
}

impl Kernel {
    fn new(vectors: &[&[f64]]) -> Kernel {
        let size = vectors.len();
        let mut values = vec![0.0; size * size];
        let mut apart = Vec::with_capacity(size * size / 2);
        for (row, one) in vectors.iter().enumerate() {
            for (column, other) in vectors[..row].iter().enumerate() {
                let distance = squared_distance(one, other);
                values[row * size + column] = distance;
                apart.push(distance);
            }
        }
        let width = 2.0 * width(&mut apart);
        for row in 0..size {
            for column in 0..row {
                let near = (-values[row * size + column] / width).exp();
                values[row * size + column] = near;
                values[column * size + row] = near;
            }
        }
        let sums: Vec<f64> = values.chunks(size).map(|row| row.iter().sum()).collect();
        let total = sums.iter().sum();
        Kernel { size, values, sums, total }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    /// The squared discrepancy between the vectors at these places and all others.
    ///
    /// From the sums of rows, so that it takes no longer than the smaller sample.
    fn squared(&self, places: &[usize]) -> f64 {
        let mut within = 0.0;
        for (count, row) in places.iter().enumerate() {
            let near = places[..count].iter().map(|column| self.at(*row, *column));
            within += 2.0 * near.sum::<f64>();
        }
        let between = places.iter().map(|row| self.sums[*row]).sum::<f64>() - within;
        let without = self.total - within - 2.0 * between;
        let (few, many) = (places.len() as f64, (self.size - places.len()) as f64);
        within / (few * (few - 1.0)) + without / (many * (many - 1.0))
            - 2.0 * between / (few * many)
    }
}

fn squared_distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The median of these, or their mean where most are 0; 1 where all are.
fn width(apart: &mut [f64]) -> f64 {
    let middle = apart.len() / 2;
    let median = *apart.select_nth_unstable_by(middle, f64::total_cmp).1;
    let mean = apart.iter().sum::<f64>() / apart.len() as f64;
    [median, mean].into_iter().find(|width| *width > 0.0).unwrap_or(1.0)
}

/// SplitMix64 (Steele 2014).
struct Drawn(u64);

impl Drawn {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws the first `count` anew, from all (Fisher and Yates).
    fn shuffle(&mut self, places: &mut [usize], count: usize) {
        for place in 0..count {
            let left = (places.len() - place) as u64;
            let ahead = (u128::from(self.next()) * u128::from(left)) >> 64;
            places.swap(place, place + ahead as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many vectors of four figures, nearly normal, moved by so much in each.
    fn vectors(count: usize, by: f64, seed: u64) -> Vec<Vec<f64>> {
        let mut drawn = Drawn(seed);
        let mut even = || (drawn.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut normal = || (0..12).map(|_| even()).sum::<f64>() - 6.0 + by;
        (0..count).map(|_| (0..4).map(|_| normal()).collect()).collect()
    }

    fn slices(vectors: &[Vec<f64>]) -> Vec<&[f64]> {
        vectors.iter().map(Vec::as_slice).collect()
    }

    /// As Gretton et al. define it (equation 3), sum by sum.
    fn by_definition(one: &[&[f64]], other: &[&[f64]]) -> f64 {
        let all = [one, other].concat();
        let mut apart = Vec::new();
        for (place, a) in all.iter().enumerate() {
            apart.extend(all[..place].iter().map(|b| squared_distance(a, b)));
        }
        let width = 2.0 * width(&mut apart);
        let near = |a: &[f64], b: &[f64]| (-squared_distance(a, b) / width).exp();
        let (m, n) = (one.len() as f64, other.len() as f64);
        let all_pairs = |one: &[&[f64]], other: &[&[f64]]| {
            let mut sum = 0.0;
            for a in one {
                for b in other {
                    sum += near(a, b);
                }
            }
            sum
        };
        (all_pairs(one, one) - m) / (m * (m - 1.0))
            + (all_pairs(other, other) - n) / (n * (n - 1.0))
            - 2.0 * all_pairs(one, other) / (m * n)
    }

    #[test]
    fn it_is_what_its_definition_says_whichever_sample_comes_first() {
        let (a, b) = (vectors(7, 0.0, 1), vectors(12, 0.8, 2));
        let (a, b) = (slices(&a), slices(&b));
        let found = discrepancy(&a, &b).unwrap();
        assert!((found.squared - by_definition(&a, &b)).abs() < 1e-12, "{found:?}");
        assert_eq!(discrepancy(&b, &a), Some(found));
    }

    /// Two points and two others, far from them: within a sample all is near, between them nothing.
    #[test]
    fn two_heaps_are_as_far_apart_as_can_be() {
        let (a, b) = (vec![vec![0.0]; 2], vec![vec![1.0]; 2]);
        // The median distance is 1, so the kernel of two that are apart is the root of 1/e.
        let found = discrepancy(&slices(&a), &slices(&b)).unwrap();
        assert!((found.squared - (2.0 - 2.0 * (-0.5_f64).exp())).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn samples_that_are_alike_are_improbable_as_often_as_is_said() {
        let p_value = |seed| {
            let (reference, window) = (vectors(60, 0.0, seed + 1000), vectors(30, 0.0, seed));
            discrepancy(&slices(&reference), &slices(&window)).unwrap().p_value
        };
        let p_values: Vec<f64> = (100..300).map(p_value).collect();
        let below = |mark: f64| p_values.iter().filter(|p| **p < mark).count();
        // Of 200, 100 and 10 are to be expected; three standard deviations are 21 and 9.
        assert!((79..=121).contains(&below(0.5)), "{}", below(0.5));
        assert!(below(0.05) <= 19, "{}", below(0.05));
    }

    #[test]
    fn a_window_that_has_moved_is_as_improbable_as_can_be_told() {
        let reference = vectors(150, 0.0, 1);
        let moved = vectors(30, 1.0, 2);
        let found = discrepancy(&slices(&reference), &slices(&moved)).unwrap();
        assert_eq!(found.p_value, 1.0 / 10_000.0);
        assert!(found.squared > 0.1, "{found:?}");
    }

    #[test]
    fn of_very_many_some_are_drawn_and_of_one_nothing_is_said() {
        let (many, few) = (vectors(1000, 0.0, 1), vectors(1, 0.0, 2));
        assert_eq!(spread(&slices(&many), MANY_MAX).len(), MANY_MAX);
        assert!(discrepancy(&slices(&many), &slices(&vectors(500, 0.0, 3))).is_some());
        assert_eq!(discrepancy(&slices(&many), &slices(&few)), None);
        assert_eq!(discrepancy(&[], &slices(&many)), None);
        let window = vectors(5, 0.0, 4);
        let of_some = witnesses(&slices(&window), &spread(&slices(&many), MANY_MAX));
        assert_eq!(witnesses(&slices(&window), &slices(&many)), of_some);
    }

    #[test]
    fn vectors_that_are_all_the_same_do_not_differ() {
        let same = vec![vec![0.5; 4]; 40];
        let found = discrepancy(&slices(&same), &slices(&same[..30])).unwrap();
        assert_eq!(found.p_value, 1.0);
        assert!(found.squared.abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn who_lies_apart_bears_witness() {
        let (reference, mut window) = (vectors(60, 0.0, 1), vectors(20, 0.0, 2));
        for vector in &mut window[..5] {
            *vector = vec![5.0; 4];
        }
        let found = witnesses(&slices(&window), &slices(&reference));
        let least = found[..5].iter().copied().fold(f64::INFINITY, f64::min);
        let most = found[5..].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(least > 0.1 && least > most, "{found:?}");
        assert_eq!(witnesses(&slices(&window[..1]), &slices(&reference)), [0.0]);
    }
}
