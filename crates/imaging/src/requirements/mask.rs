//! A small black-and-white picture, and the few operations on it that tell shapes apart.

use crate::Shape;
use crate::components::components;

#[derive(Clone, Debug)]
pub(super) struct Mask {
    pub width: usize,
    pub height: usize,
    pub set: Vec<bool>,
}

impl Mask {
    /// Of `set`, row by row; it has `width * height` elements.
    pub fn new(width: usize, height: usize, set: Vec<bool>) -> Mask {
        Mask { width, height, set }
    }

    /// Whether the pixel in column `x` of row `y` belongs to it, both from 0.
    pub fn get(&self, x: usize, y: usize) -> bool {
        self.set[y * self.width + x]
    }

    /// Its pixels.
    pub fn area(&self) -> usize {
        self.set.iter().filter(|set| **set).count()
    }

    /// Without what is narrower than a square of `2 * radius + 1`.
    pub fn opened(&self, radius: usize) -> Mask {
        self.each(radius, true).each(radius, false)
    }

    /// With gaps narrower than that filled.
    pub fn closed(&self, radius: usize) -> Mask {
        // On a larger sheet, so that the border does not act as a wall.
        let sheet = self.padded(radius);
        sheet.each(radius, false).each(radius, true).cropped(radius)
    }

    /// Each pixel: whether `all` (else any) of those around it, within the picture, are set.
    fn each(&self, radius: usize, all: bool) -> Mask {
        let along = |set: &[bool], length: usize, step: usize, line: usize, at: usize| {
            let (from, to) = (at.saturating_sub(radius), (at + radius).min(length - 1));
            let mut around = (from..=to).map(|at| set[line + at * step]);
            if all { around.all(|set| set) } else { around.any(|set| set) }
        };
        let rows: Vec<bool> = (0..self.set.len())
            .map(|i| along(&self.set, self.width, 1, i / self.width * self.width, i % self.width))
            .collect();
        let both = (0..rows.len())
            .map(|i| along(&rows, self.height, self.width, i % self.width, i / self.width))
            .collect();
        Mask::new(self.width, self.height, both)
    }

    fn padded(&self, margin: usize) -> Mask {
        let (width, height) = (self.width + 2 * margin, self.height + 2 * margin);
        let inside = |x: usize, y: usize| {
            let (x, y) = (x.checked_sub(margin)?, y.checked_sub(margin)?);
            (x < self.width && y < self.height).then(|| self.get(x, y))
        };
        let set =
            (0..width * height).map(|i| inside(i % width, i / width).unwrap_or(false)).collect();
        Mask::new(width, height, set)
    }

    fn cropped(&self, margin: usize) -> Mask {
        let (width, height) = (self.width - 2 * margin, self.height - 2 * margin);
        let set =
            (0..width * height).map(|i| self.get(i % width + margin, i / width + margin)).collect();
        Mask::new(width, height, set)
    }

    /// The largest connected region, its holes filled; None when nothing is set.
    pub fn largest(&self) -> Option<Mask> {
        let shape = Shape { slices: 1, rows: self.height, columns: self.width };
        let regions = components(shape, |at| self.set[at]);
        let size =
            |runs: &Vec<_>| runs.iter().map(|run: &crate::components::Run| run.to - run.from).sum();
        let region = regions.iter().max_by_key(|runs| -> usize { size(runs) })?;
        let mut set = vec![false; self.set.len()];
        for run in region {
            set[run.row * self.width..][run.from..run.to].fill(true);
        }
        Some(Mask { set, ..*self }.filled())
    }

    /// With everything set that the outside cannot reach.
    fn filled(&self) -> Mask {
        let sheet = self.padded(1);
        let mut outside = vec![false; sheet.set.len()];
        let mut open = vec![0];
        outside[0] = true;
        while let Some(at) = open.pop() {
            let (x, y) = (at % sheet.width, at / sheet.width);
            let neighbours = [
                (x > 0).then(|| at - 1),
                (x + 1 < sheet.width).then(|| at + 1),
                (y > 0).then(|| at - sheet.width),
                (y + 1 < sheet.height).then(|| at + sheet.width),
            ];
            for next in neighbours.into_iter().flatten() {
                if !outside[next] && !sheet.set[next] {
                    outside[next] = true;
                    open.push(next);
                }
            }
        }
        let inside = outside.into_iter().map(|outside| !outside).collect();
        Mask { set: inside, ..sheet }.cropped(1)
    }

    /// Columns from and to (exclusive), then rows; None when nothing is set.
    pub fn bounds(&self) -> Option<[usize; 4]> {
        let columns = (0..self.width).filter(|x| (0..self.height).any(|y| self.get(*x, y)));
        let (left, right) = columns.fold(None, |ends: Option<(usize, usize)>, x| {
            Some((ends.map_or(x, |ends| ends.0), x))
        })?;
        let rows = (0..self.height).filter(|y| (left..=right).any(|x| self.get(x, *y)));
        let (top, bottom) = rows.fold(None, |ends: Option<(usize, usize)>, y| {
            Some((ends.map_or(y, |ends| ends.0), y))
        })?;
        Some([left, right + 1, top, bottom + 1])
    }

    /// The area of the convex hull around all pixels.
    pub fn hull_area(&self) -> f64 {
        let corners = (0..self.height).flat_map(|y| {
            let row = &self.set[y * self.width..][..self.width];
            let ends = row.iter().position(|set| *set).zip(row.iter().rposition(|set| *set));
            ends.into_iter().flat_map(move |(from, to)| {
                [(from, y), (from, y + 1), (to + 1, y), (to + 1, y + 1)]
            })
        });
        let mut points: Vec<(i64, i64)> = corners.map(|(x, y)| (x as i64, y as i64)).collect();
        points.sort_unstable();
        points.dedup();
        let lower = chain(points.iter().copied());
        let upper = chain(points.iter().rev().copied());
        let hull: Vec<_> = lower.into_iter().chain(upper).collect();
        let turned = hull.iter().zip(hull.iter().cycle().skip(1));
        turned.map(|((x1, y1), (x2, y2))| x1 * y2 - x2 * y1).sum::<i64>().abs() as f64 / 2.0
    }
}

/// One side of a convex hull, without its last point (Andrew's monotone chain).
fn chain(points: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut chain: Vec<(i64, i64)> = Vec::new();
    for point in points {
        while let [.., a, b] = *chain {
            if (b.0 - a.0) * (point.1 - a.1) - (b.1 - a.1) * (point.0 - a.0) > 0 {
                break;
            }
            chain.pop();
        }
        chain.push(point);
    }
    chain.pop();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let set = rows.iter().flat_map(|row| row.bytes().map(|byte| byte == b'#')).collect();
        Mask::new(rows[0].len(), rows.len(), set)
    }

    #[test]
    fn the_largest_region_is_taken_with_its_holes() {
        let largest = mask(&["####..#", "#..#...", "####..#"]).largest().unwrap();
        assert_eq!(largest.set, mask(&["####...", "####...", "####..."]).set);
        assert_eq!((largest.bounds(), largest.area()), (Some([0, 4, 0, 3]), 12));
        assert!(mask(&["..", ".."]).largest().is_none());
    }

    #[test]
    fn opening_drops_lines_and_closing_bridges_gaps() {
        let lines = mask(&["###.#", "###.#", "###.#"]);
        assert_eq!(lines.opened(1).set, mask(&["###..", "###..", "###.."]).set);
        assert_eq!(lines.closed(1).area(), 15);
    }

    #[test]
    fn the_hull_is_as_large_as_geometry_says() {
        assert_eq!(mask(&["####", "####"]).hull_area(), 8.0);
        assert_eq!(mask(&["#...", "#...", "####"]).hull_area(), 12.0 - 3.0 * 2.0 / 2.0);
        assert_eq!(mask(&["...."]).hull_area(), 0.0);
    }
}
