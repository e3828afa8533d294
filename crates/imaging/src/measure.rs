//! Lengths within one slice, in the slice's own plane.

use serde::{Deserialize, Serialize};

use crate::Geometry;
use crate::components::Run;

/// A straight line across a finding.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diameter {
    /// In the finding's unit.
    pub length: f64,
    /// Both ends as (row, column), in voxels; centres of voxels lie at whole numbers.
    pub ends: [[f64; 2]; 2],
}

/// The longest diameter in a slice and the longest one perpendicular to it (RANO's bidirectional
/// measure).
///
/// Taken on the convex hull of the points halfway between a voxel inside and its neighbour outside:
/// the outline that marching squares draws. A box of n voxels is so n spacings wide, and a round
/// lesion is neither enlarged (as by voxels' corners) nor shrunk (as by their centres).
/// Exact for that hull, in any orientation, with oblong or sheared pixels.
pub(crate) fn bidirectional(runs: &[Run], plane: &Plane) -> [Diameter; 2] {
    let hull = hull(outline(runs).map(|at| plane.point(at)).collect());
    let (a, b) = longest(&hull);
    let length = a.distance(b);
    let along = [(b.x - a.x) / length, (b.y - a.y) / length];
    let (c, d) = widest_chord(&hull, [-along[1], along[0]]);
    [(a, b), (c, d)]
        .map(|(a, b)| Diameter { length: a.distance(b), ends: [a, b].map(|p| plane.index(p)) })
}

/// Right-angled coordinates in a slice's plane: x along the rows, y across them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    /// What one column adds to x.
    column: f64,
    /// What one row adds to x (not 0 only in sheared pixels) and to y.
    row: [f64; 2],
}

impl Plane {
    /// In millimetres where the geometry is known, else in pixels.
    pub(crate) fn new(geometry: Option<&Geometry>) -> Plane {
        let Some(Geometry { row_step, column_step, .. }) = geometry else {
            return Plane { column: 1.0, row: [0.0, 1.0] };
        };
        let dot = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let column = dot(column_step, column_step).sqrt();
        let along = dot(row_step, column_step) / column;
        Plane { column, row: [along, (dot(row_step, row_step) - along * along).max(0.0).sqrt()] }
    }

    /// The area of one pixel.
    pub(crate) fn pixel_area(&self) -> f64 {
        self.column * self.row[1]
    }

    fn point(&self, [row, column]: [f64; 2]) -> Point {
        Point { x: column * self.column + row * self.row[0], y: row * self.row[1] }
    }

    fn index(&self, at: Point) -> [f64; 2] {
        let row = at.y / self.row[1];
        [row, (at.x - row * self.row[0]) / self.column]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

impl Point {
    fn distance(self, other: Point) -> f64 {
        (other.x - self.x).hypot(other.y - self.y)
    }

    fn dot(self, direction: [f64; 2]) -> f64 {
        self.x * direction[0] + self.y * direction[1]
    }
}

/// Half a voxel beyond a run's ends and its middles' upper and lower sides. What lies within the
/// region is among them too; a hull does not mind.
fn outline(runs: &[Run]) -> impl Iterator<Item = [f64; 2]> {
    runs.iter().flat_map(|run| {
        let (row, first, last) = (run.row as f64, run.from as f64, run.to as f64 - 1.0);
        let ends = [[row, first - 0.5], [row, last + 0.5]];
        let sides = [first, last].map(|column| [[row - 0.5, column], [row + 0.5, column]]);
        ends.into_iter().chain(sides.into_iter().flatten())
    })
}

/// The corners of the convex hull, anticlockwise (Andrew's monotone chain). The points must span an area.
fn hull(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_unstable_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    points.dedup();
    let mut hull = chain(points.iter().copied());
    hull.pop();
    hull.extend(chain(points.iter().rev().copied()));
    hull.pop();
    hull
}

fn chain(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut chain: Vec<Point> = Vec::new();
    for point in points {
        while let [.., a, b] = chain[..]
            && cross(a, b, point) <= 0.0
        {
            chain.pop();
        }
        chain.push(point);
    }
    chain
}

/// Twice the area of the triangle, positive when it turns left.
fn cross(a: Point, b: Point, c: Point) -> f64 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

/// The two corners furthest apart. A hull of pixels has few corners (some hundred in the largest
/// lesion), so looking at each pair is quick and cannot miss one as calipers can on parallel edges.
fn longest(hull: &[Point]) -> (Point, Point) {
    let pairs =
        hull.iter().enumerate().flat_map(|(i, a)| hull[i + 1..].iter().map(move |b| (*a, *b)));
    pairs
        .max_by(|(a, b), (c, d)| a.distance(*b).total_cmp(&c.distance(*d)))
        .expect("a hull has corners")
}

/// The longest chord in a direction. A chord's length is concave over its offset and bends only at
/// corners, so one of the longest starts in a corner.
fn widest_chord(hull: &[Point], direction: [f64; 2]) -> (Point, Point) {
    let across = [direction[1], -direction[0]];
    let chord = |corner: &Point| {
        let offset = corner.dot(across);
        let crossings = (0..hull.len())
            .filter_map(|i| crossing(hull[i], hull[(i + 1) % hull.len()], across, offset));
        crossings
            .max_by(|a, b| corner.distance(*a).total_cmp(&corner.distance(*b)))
            .map(|end| (*corner, end))
    };
    let chords = hull.iter().filter_map(chord);
    chords
        .max_by(|(a, b), (c, d)| a.distance(*b).total_cmp(&c.distance(*d)))
        .expect("a hull has corners")
}

/// Where the line at `offset` across meets the edge from `a` to `b`.
fn crossing(a: Point, b: Point, across: [f64; 2], offset: f64) -> Option<Point> {
    let (from, to) = (a.dot(across) - offset, b.dot(across) - offset);
    if from == to || from * to > 0.0 {
        return None;
    }
    let share = from / (from - to);
    Some(Point { x: a.x + share * (b.x - a.x), y: a.y + share * (b.y - a.y) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: Plane = Plane { column: 1.0, row: [0.0, 1.0] };

    /// The runs of the pixels whose centres (x, y in the plane) lie inside.
    fn drawn(
        plane: &Plane,
        rows: usize,
        columns: usize,
        inside: impl Fn(f64, f64) -> bool,
    ) -> Vec<Run> {
        let shape = crate::Shape { slices: 1, rows, columns };
        let inside = |index: usize| {
            let at = plane.point([(index / columns) as f64, (index % columns) as f64]);
            inside(at.x, at.y)
        };
        crate::components::components(shape, inside).concat()
    }

    fn lengths(runs: &[Run], plane: &Plane) -> [f64; 2] {
        bidirectional(runs, plane).map(|diameter| diameter.length)
    }

    #[test]
    fn one_pixel_is_one_pixel_wide() {
        let plane = Plane { column: 0.5, row: [0.0, 2.0] };
        let run = Run { slice: 0, row: 3, from: 4, to: 5 };
        assert_eq!(lengths(&[run], &plane), [2.0, 0.5]);
        let [long, _] = bidirectional(&[run], &plane);
        assert_eq!(long.ends, [[2.5, 4.0], [3.5, 4.0]]);
    }

    #[test]
    fn a_bar_is_as_long_and_wide_as_its_pixels() {
        let bar = |row| Run { slice: 0, row, from: 2, to: 42 };
        let [long, across] = lengths(&[bar(1), bar(2), bar(3)], &SQUARE);
        // The outline cuts the corners, so the longest line ends half a pixel down each end.
        assert!((long - 40.0_f64.hypot(2.0)).abs() < 1e-9, "{long}");
        assert!((across / 3.0 - 1.0).abs() < 0.01, "{across}");
    }

    #[test]
    fn an_ellipse_has_its_two_axes_however_it_is_turned() {
        for degrees in [0.0_f64, 17.0, 45.0, 80.0, 133.0] {
            for plane in [
                SQUARE,
                Plane { column: 0.5, row: [0.0, 0.9] },
                Plane { column: 0.7, row: [0.3, 0.8] },
            ] {
                let (sin, cos) = degrees.to_radians().sin_cos();
                let inside = |x: f64, y: f64| {
                    let (x, y) = (x - 75.3, y - 60.6);
                    ((cos * x + sin * y) / 40.0).powi(2) + ((cos * y - sin * x) / 25.0).powi(2)
                        <= 1.0
                };
                let runs = drawn(&plane, 180, 320, inside);
                let [long, across] = lengths(&runs, &plane);
                assert!((long - 80.0).abs() < 1.0, "{degrees} degrees, {plane:?}: {long}");
                assert!((across - 50.0).abs() < 1.0, "{degrees} degrees, {plane:?}: {across}");
            }
        }
    }

    #[test]
    fn both_diameters_are_perpendicular_and_end_where_they_say() {
        let plane = Plane { column: 0.7, row: [0.3, 0.8] };
        let runs = drawn(&plane, 90, 90, |x, y| (x - 40.0).abs() + 1.7 * (y - 30.0).abs() < 21.0);
        let [long, across] = bidirectional(&runs, &plane);
        let vector = |diameter: Diameter| {
            let [a, b] = diameter.ends.map(|end| plane.point(end));
            assert!((a.distance(b) - diameter.length).abs() < 1e-9);
            [b.x - a.x, b.y - a.y]
        };
        let (a, b) = (vector(long), vector(across));
        assert!((a[0] * b[0] + a[1] * b[1]).abs() < 1e-6);
    }

    #[test]
    fn a_hull_drops_what_lies_inside_and_on_its_edges() {
        let at = |x: f64, y: f64| Point { x, y };
        let corners = hull(vec![
            at(0., 0.),
            at(2., 0.),
            at(1., 0.),
            at(1., 1.),
            at(2., 2.),
            at(0., 2.),
            at(0., 0.),
        ]);
        assert_eq!(corners, [at(0., 0.), at(2., 0.), at(2., 2.), at(0., 2.)]);
    }
}
