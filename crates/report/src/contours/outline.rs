//! The edges of pixels as rings.

use std::collections::HashMap;

use imaging::Run;

/// A closed line of (column, row): its last position is its first.
pub type Ring = Vec<[f64; 2]>;
/// The outer ring, then its holes.
pub type Polygon = Vec<Ring>;

/// A corner of pixels: pixel (0, 0) reaches from corner (0, 0) to corner (1, 1).
type Corner = [usize; 2];

/// Where the four directions lead, as columns and rows: each is the next one's right-hand neighbour.
const STEPS: [[isize; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

/// The polygons of the pixels of one slice that these runs are, each once. Pixels that share an edge are in one polygon, and those that
/// share no more than a corner are not, so that no ring crosses or touches itself.
pub fn outlines(runs: &[Run]) -> Vec<Polygon> {
    let Some(pixels) = Pixels::of(runs) else { return Vec::new() };
    let mut polygons: Vec<Polygon> = vec![Vec::new(); pixels.pieces];
    let mut holes = Vec::new();
    for (piece, line) in pixels.lines() {
        for corners in simple(line) {
            let is_outer = twice_the_area(&corners) > 0;
            let ring = pixels.ring(&corners);
            if is_outer { polygons[piece].push(ring) } else { holes.push((piece, ring)) }
        }
    }
    // The outer ring of each is there by now.
    for (piece, hole) in holes {
        polygons[piece].push(hole);
    }
    polygons
}

/// The pixels of one slice within their box, with a rim of pixels around it that are none of them.
struct Pixels {
    /// Row and column of the first pixel within the rim, which itself may lie outside of the picture.
    first: [usize; 2],
    width: usize,
    /// Which piece (from 1) each pixel is of; 0: of none.
    piece: Vec<usize>,
    pieces: usize,
}

impl Pixels {
    fn of(runs: &[Run]) -> Option<Pixels> {
        let top = runs.iter().map(|run| run.row).min()?;
        let bottom = runs.iter().map(|run| run.row).max()?;
        let left = runs.iter().map(|run| run.from).min()?;
        let right = runs.iter().map(|run| run.to).max()?;
        let (width, height) = (right - left + 2, bottom - top + 3);
        let mut is_marked = vec![false; width * height];
        for run in runs {
            let row = (run.row - top + 1) * width;
            is_marked[row + run.from - left + 1..row + run.to - left + 1].fill(true);
        }
        let (piece, pieces) = pieces(&is_marked, width);
        Some(Pixels { first: [top, left], width, piece, pieces })
    }

    fn is_marked(&self, column: usize, row: usize) -> bool {
        self.piece[row * self.width + column] > 0
    }

    /// Whether the pixel on the left of that direction, seen from a corner, is marked; and the one on its right. Rows are counted
    /// upwards here, as RFC 7946 counts its second axis.
    fn sides(&self, [column, row]: Corner, direction: usize) -> [bool; 2] {
        let [left, right] = match direction {
            0 => [[column, row], [column, row - 1]],
            1 => [[column - 1, row], [column, row]],
            2 => [[column - 1, row - 1], [column - 1, row]],
            _ => [[column, row - 1], [column - 1, row - 1]],
        };
        [left, right].map(|[column, row]| self.is_marked(column, row))
    }

    /// All lines around marked pixels, which lie on their left, and of which piece each is.
    fn lines(&self) -> Vec<(usize, Vec<Corner>)> {
        let mut walked = vec![false; self.piece.len()];
        let mut lines = Vec::new();
        for pixel in self.width..self.piece.len() {
            // Each line goes along some row, from a pixel of its piece to one above it that is not marked.
            let begins = self.piece[pixel] > 0 && self.piece[pixel - self.width] == 0;
            if begins && !walked[pixel] {
                let corner = [pixel % self.width, pixel / self.width];
                lines.push((self.piece[pixel] - 1, self.line(corner, &mut walked)));
            }
        }
        lines
    }

    /// The turns of the line that goes along the row from that corner, and back to it.
    fn line(&self, begin: Corner, walked: &mut [bool]) -> Vec<Corner> {
        let (mut at, mut direction) = (begin, 0);
        let mut turns = Vec::new();
        loop {
            if direction == 0 {
                let pixel = at[1] * self.width + at[0];
                if walked[pixel] {
                    return turns;
                }
                walked[pixel] = true;
            }
            let [along, across] = STEPS[direction];
            at = [at[0].wrapping_add_signed(along), at[1].wrapping_add_signed(across)];
            let turned = match self.sides(at, direction) {
                // Around the pixel that it has come along: one that meets it at the corner is another's.
                [false, _] => (direction + 1) % 4,
                [true, true] => (direction + 3) % 4,
                [true, false] => direction,
            };
            if turned != direction {
                turns.push(at);
            }
            direction = turned;
        }
    }

    /// In the picture's own pixels, whose centres lie at whole numbers.
    fn ring(&self, corners: &[Corner]) -> Ring {
        let [top, left] = self.first.map(|first| first as f64 - 1.5);
        let position = |[column, row]: &Corner| [left + *column as f64, top + *row as f64];
        corners.iter().chain(corners.first()).map(position).collect()
    }
}

/// Which piece each pixel is of: those that share edges are one.
fn pieces(is_marked: &[bool], width: usize) -> (Vec<usize>, usize) {
    let (mut piece, mut pieces) = (vec![0; is_marked.len()], 0);
    let mut waiting = Vec::new();
    for first in 0..is_marked.len() {
        if !is_marked[first] || piece[first] > 0 {
            continue;
        }
        pieces += 1;
        piece[first] = pieces;
        waiting.push(first);
        // The rim keeps neighbours within the box.
        while let Some(pixel) = waiting.pop() {
            for other in [pixel - 1, pixel + 1, pixel - width, pixel + width] {
                if is_marked[other] && piece[other] == 0 {
                    piece[other] = pieces;
                    waiting.push(other);
                }
            }
        }
    }
    (piece, pieces)
}

/// A line as rings that come to no corner twice: cut where it meets itself.
fn simple(line: Vec<Corner>) -> Vec<Vec<Corner>> {
    let mut rings = Vec::new();
    let (mut open, mut places): (Vec<Corner>, HashMap<Corner, usize>) = Default::default();
    for corner in line {
        if let Some(place) = places.get(&corner).copied() {
            let ring = open.split_off(place);
            for closed in &ring {
                places.remove(closed);
            }
            rings.push(ring);
        }
        places.insert(corner, open.len());
        open.push(corner);
    }
    rings.push(open);
    rings
}

/// Positive where the ring runs from the first axis to the second, as outer ones do.
fn twice_the_area(ring: &[Corner]) -> i64 {
    let next = ring.iter().cycle().skip(1);
    let part = |([x, y], [next_x, next_y]): (&Corner, &Corner)| {
        *x as i64 * *next_y as i64 - *next_x as i64 * *y as i64
    };
    ring.iter().zip(next).map(part).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs of what is drawn with `#`.
    fn drawn(rows: &[&str]) -> Vec<Run> {
        let pixels = rows.iter().enumerate().flat_map(|(row, line)| {
            let marked = line.char_indices().filter(|(_, letter)| *letter == '#');
            marked.map(move |(column, _)| Run { slice: 0, row, from: column, to: column + 1 })
        });
        pixels.collect()
    }

    /// How many outer rings, and how many holes.
    fn counted(rows: &[&str]) -> (usize, usize) {
        let polygons = outlines(&drawn(rows));
        (polygons.len(), polygons.iter().map(|polygon| polygon.len() - 1).sum())
    }

    #[test]
    fn one_pixel_is_a_square_around_its_centre() {
        let run = Run { slice: 7, row: 0, from: 2, to: 3 };
        let square = [[1.5, -0.5], [2.5, -0.5], [2.5, 0.5], [1.5, 0.5]];
        let polygons = outlines(&[run]);
        let [polygon] = &polygons[..] else { panic!("one polygon") };
        let [ring] = &polygon[..] else { panic!("one ring") };
        assert_eq!(ring.len(), 5);
        assert_eq!(ring[0], ring[4]);
        assert!(square.iter().all(|corner| ring.contains(corner)), "{ring:?}");
    }

    #[test]
    fn corners_alone_join_nothing_and_holes_are_holes() {
        for (rows, expected) in [
            (&["##", "##"][..], (1, 0)),
            (&["#.", ".#"][..], (2, 0)),
            (&["###", "#.#", "###"][..], (1, 1)),
            // A hole that meets the outside at a corner is one all the same.
            (&["##.", "#.#", "###"][..], (1, 1)),
            // Two holes that meet at a corner are two.
            (&["####", "#.##", "##.#", "####"][..], (1, 2)),
            // An island within a hole.
            (&["#####", "#...#", "#.#.#", "#...#", "#####"][..], (2, 1)),
            (&["#.#", ".#.", "#.#"][..], (5, 0)),
        ] {
            assert_eq!(counted(rows), expected, "{rows:?}");
        }
    }

    #[test]
    fn rings_close_turn_the_right_way_and_meet_no_corner_twice() {
        let rows = ["####.#", "#.##.#", "##.#..", "####.#", "..#.##", "#.####"];
        for polygon in outlines(&drawn(&rows)) {
            for (number, ring) in polygon.iter().enumerate() {
                assert_eq!(ring.first(), ring.last());
                let area: f64 = ring
                    .windows(2)
                    .map(|ends| {
                        let [[x, y], [next_x, next_y]] = [ends[0], ends[1]];
                        x * next_y - next_x * y
                    })
                    .sum();
                assert_eq!(area > 0.0, number == 0, "{ring:?}");
                for (index, corner) in ring[1..].iter().enumerate() {
                    assert!(!ring[1..][..index].contains(corner), "{ring:?}");
                }
            }
        }
    }

    #[test]
    fn of_nothing_there_is_none() {
        assert!(outlines(&[]).is_empty());
    }
}
