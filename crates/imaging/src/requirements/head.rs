//! Whether a picture looks like a slice through a head, in any plane: one rounded, textured body on a quiet
//! background that shows in its corners. The bounds lie well outside of what some 3,500 labelled slices measure.

use std::ops::RangeInclusive;

use super::mask::Mask;

/// Heads are told from other things on a picture of this many pixels a side.
const SIDE: usize = 64;

/// What is measured of the body, and the values that heads have.
const AREA: RangeInclusive<f64> = 0.01..=0.92;
const ASPECT: RangeInclusive<f64> = 0.5..=1.9;
/// Of its box.
const EXTENT: RangeInclusive<f64> = 0.42..=0.93;
/// Of its convex hull.
const SOLIDITY: RangeInclusive<f64> = 0.6..=1.0;
/// Next to none in a drawing, much in noise and text.
const ROUGHNESS: RangeInclusive<f64> = 0.12..=0.95;
/// What is bright outside of the body, as a share of it.
const BESIDES_MAX: f64 = 0.6;
/// The share of the picture's edge that the body touches.
const TOUCH_MAX: f64 = 0.45;
/// How far the edge's quieter half is from the background.
const EDGE_MAX: f32 = 0.1;
/// How much of the second and third emptiest corner the body fills.
const CORNERS_MAX: [f64; 2] = [0.1, 0.9];
/// At least this much of what is bright on both sides of a dark line across: several pictures on one sheet.
const BESIDE_LINE: f64 = 0.2;

/// Whether this picture looks like a slice through a head, brighter than what is around it (or darker, if `negatives`
/// count as well).
pub(super) fn is_head(picture: &View, negatives: bool) -> bool {
    let picture = picture.shrunk(picture.within_frame());
    let looks_like_head =
        |grid: &Grid| Picture::of(grid).and_then(|picture| picture.looks_like_head());
    looks_like_head(&picture).unwrap_or(false)
        || (negatives && looks_like_head(&picture.negative()).unwrap_or(false))
}

/// A slice where it lies: the largest have a quarter of a GiB, and a copy as much again.
pub(super) struct View<'v> {
    pub width: usize,
    pub height: usize,
    /// Row by row.
    pub values: &'v [f32],
    /// What a lower value counts as.
    pub lowest: f32,
    /// How high a pixel is for its width.
    pub aspect: f64,
}

impl View<'_> {
    fn values(&self) -> impl Iterator<Item = f32> {
        self.values.iter().map(|value| value.max(self.lowest))
    }

    /// What the even frame leaves that some scanners put around a picture to make it square: columns from and to
    /// (exclusive), then rows.
    fn within_frame(&self) -> [usize; 4] {
        const NEARLY_ALL: f64 = 0.95;
        let frame = self.frame_level();
        let above = self.values().map(|value| value > frame).collect();
        let mask = Mask::new(self.width, self.height, above);
        match mask.bounds() {
            Some([left, right, top, bottom])
                if mask.area() as f64 >= NEARLY_ALL * ((right - left) * (bottom - top)) as f64 =>
            {
                [left, right, top, bottom]
            }
            _ => [0, self.width, 0, self.height],
        }
    }

    /// The highest value that a frame may have.
    fn frame_level(&self) -> f32 {
        const NEARLY_LOWEST: f32 = 0.02;
        let mut values: Vec<f32> = self.values().collect();
        let (low, high) = (percentile(&mut values, 0.0), percentile(&mut values, 0.99));
        low + NEARLY_LOWEST * (high - low)
    }

    /// The means of square tiles of a part, [`SIDE`] of them along its longer side: a head is told by its form, which
    /// oblong pixels would stretch.
    fn shrunk(&self, [left, right, top, bottom]: [usize; 4]) -> Grid {
        let (columns, rows) = (right - left, bottom - top);
        let (wide, high) = (columns as f64, rows as f64 * self.aspect);
        let tiles = |length: f64| (length * SIDE as f64 / wide.max(high)).round() as usize;
        let width = tiles(wide).clamp(1, columns);
        let height = tiles(high).clamp(1, rows);
        let tile = |at: usize, tiles: usize, from: usize, length: usize| {
            from + at * length / tiles..from + (at + 1) * length / tiles
        };
        let mean = |x, y| {
            let (columns, rows) = (tile(x, width, left, columns), tile(y, height, top, rows));
            let count = (columns.len() * rows.len()) as f32;
            let row = |y: usize| {
                let values = &self.values[y * self.width..][columns.clone()];
                values.iter().map(|value| value.max(self.lowest)).sum::<f32>()
            };
            rows.map(row).sum::<f32>() / count
        };
        let values = (0..width * height).map(|at| mean(at % width, at / width)).collect();
        Grid { width, height, values }
    }
}

/// Pixels row by row.
struct Grid {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Grid {
    fn negative(&self) -> Grid {
        Grid { values: self.values.iter().map(|value| -value).collect(), ..*self }
    }

    fn edge(&self) -> Vec<f32> {
        let on_edge = |at: &usize| {
            let (x, y) = (at % self.width, at / self.width);
            x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height
        };
        (0..self.values.len()).filter(on_edge).map(|at| self.values[at]).collect()
    }
}

/// A small picture as brightness above its background, from 0 to 1.
struct Picture {
    brightness: Grid,
    /// How far the edge's quieter half is from the background.
    edge: f32,
}

impl Picture {
    /// None when nothing stands out.
    fn of(grid: &Grid) -> Option<Picture> {
        let mut edge = grid.edge();
        let background = percentile(&mut edge, 0.5);
        let mut above: Vec<f32> = grid.values.iter().map(|value| value - background).collect();
        let white = percentile(&mut above.clone(), 0.99);
        if white <= 0.0 {
            return None;
        }
        above.iter_mut().for_each(|value| *value = (*value / white).clamp(0.0, 1.0));
        edge.iter_mut().for_each(|value| *value = (*value - background).abs() / white);
        Some(Picture {
            brightness: Grid { values: above, ..*grid },
            edge: percentile(&mut edge, 0.5),
        })
    }

    fn looks_like_head(&self) -> Option<bool> {
        let Grid { width, height, values, .. } = &self.brightness;
        // Half of Otsu's level: in MR the brain is darker than the fat around it.
        let level = 0.5 * otsu(values).min(0.5);
        let bright =
            Mask::new(*width, *height, values.iter().map(|value| *value > level).collect())
                .opened(1);
        // Air and bone split a slice through the skull's base.
        let closed = bright.closed(3);
        let body = closed.largest()?;
        let area = body.area() as f64;
        let [left, right, top, bottom] = body.bounds()?;
        let (wide, high) = ((right - left) as f64, (bottom - top) as f64);
        let besides =
            closed.set.iter().zip(&body.set).filter(|(set, body)| **set && !**body).count();
        let corners = corners(&body);
        let quiet = self.edge <= EDGE_MAX
            && touch(&body) <= TOUCH_MAX
            && corners[1] <= CORNERS_MAX[0]
            && corners[2] <= CORNERS_MAX[1];
        let rounded = AREA.contains(&(area / body.set.len() as f64))
            && ASPECT.contains(&(wide / high))
            && EXTENT.contains(&(area / (wide * high)))
            && SOLIDITY.contains(&(area / body.hull_area()));
        let alone = besides as f64 <= BESIDES_MAX * area && !has_dark_line(&bright);
        Some(quiet && rounded && alone && ROUGHNESS.contains(&self.roughness(&body)))
    }

    /// The mean difference between neighbours in the body, by its mean brightness.
    fn roughness(&self, body: &Mask) -> f64 {
        let Grid { width, values, .. } = &self.brightness;
        let inside = || (0..values.len()).filter(|at| body.set[*at]);
        let has_both = |at: &usize| at % width + 1 < *width && at + width < values.len();
        let difference = |at: usize| {
            (values[at] - values[at + 1]).abs() + (values[at] - values[at + width]).abs()
        };
        let pairs = inside().filter(has_both).count().max(1);
        let differences = inside().filter(has_both).map(difference).sum::<f32>() / pairs as f32;
        let brightness = inside().map(|at| values[at]).sum::<f32>() / body.area().max(1) as f32;
        f64::from(differences / brightness.max(1e-6))
    }
}

/// The level that best splits values between 0 and 1 into dark and bright ones (Otsu 1979).
fn otsu(values: &[f32]) -> f32 {
    const BINS: usize = 64;
    let mut histogram = [0usize; BINS];
    values.iter().for_each(|value| histogram[((value * BINS as f32) as usize).min(BINS - 1)] += 1);
    let centre = |bin: usize| (bin as f64 + 0.5) / BINS as f64;
    let all: f64 = (0..BINS).map(|bin| histogram[bin] as f64 * centre(bin)).sum();
    let (mut count, mut sum, mut best) = (0.0, 0.0, (0.0, BINS - 1));
    for (bin, values_in_bin) in histogram.iter().enumerate() {
        count += *values_in_bin as f64;
        sum += *values_in_bin as f64 * centre(bin);
        let others = values.len() as f64 - count;
        if count == 0.0 || others == 0.0 {
            continue;
        }
        let between = count * others * (sum / count - (all - sum) / others).powi(2);
        if between > best.0 {
            best = (between, bin);
        }
    }
    (best.1 + 1) as f32 / BINS as f32
}

/// How much of each corner of the picture is set, the emptiest first.
fn corners(mask: &Mask) -> [f64; 4] {
    let size = (mask.height / 10).max(2).min(mask.width).min(mask.height);
    let share = |left: usize, top: usize| {
        let set = (0..size * size).filter(|at| mask.get(left + at % size, top + at / size)).count();
        set as f64 / (size * size) as f64
    };
    let (right, bottom) = (mask.width - size, mask.height - size);
    let mut shares = [share(0, 0), share(right, 0), share(0, bottom), share(right, bottom)];
    shares.sort_by(f64::total_cmp);
    shares
}

/// The share of the picture's edge that is set.
fn touch(mask: &Mask) -> f64 {
    let across = (0..mask.width).flat_map(|x| [(x, 0), (x, mask.height - 1)]);
    let down = (0..mask.height).flat_map(|y| [(0, y), (mask.width - 1, y)]);
    let touching = across.chain(down).filter(|(x, y)| mask.get(*x, *y)).count();
    touching as f64 / (2 * (mask.width + mask.height)) as f64
}

/// Whether a straight dark line parts what is bright, as between the pictures of a film sheet.
fn has_dark_line(bright: &Mask) -> bool {
    let columns: Vec<usize> = (0..bright.width)
        .map(|x| (0..bright.height).filter(|y| bright.get(x, *y)).count())
        .collect();
    let rows: Vec<usize> = (0..bright.height)
        .map(|y| (0..bright.width).filter(|x| bright.get(*x, y)).count())
        .collect();
    let parted = |lines: &[usize]| {
        let all: usize = lines.iter().sum();
        let mut before = 0;
        lines.iter().any(|line| {
            before += line;
            let share = before as f64 / all.max(1) as f64;
            *line == 0 && share > BESIDE_LINE && share < 1.0 - BESIDE_LINE
        })
    };
    parted(&columns) || parted(&rows)
}

/// The value below which that share lies; reorders the values.
pub(super) fn percentile(values: &mut [f32], share: f64) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let at = (share * (values.len() - 1) as f64).round() as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}
