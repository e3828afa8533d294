use crate::Shape;
use crate::components::{Run, components};

/// The region with what goes on from it beyond its first and its last slice: there, voxels that count for less are
/// taken, too, as far as they touch what was taken in the slice before. In voxel order.
///
/// Where a tumour ends it fades, and readers draw its ends further than a network is sure of.
pub fn grown(shape: Shape, region: Vec<Run>, counts: impl Fn(usize) -> bool) -> Vec<Run> {
    let Some((first, last)) = region.first().zip(region.last()) else { return region };
    let (first, last) = (first.slice, last.slice);
    let of = |slice: usize| region.iter().filter(|run| run.slice == slice).copied().collect();
    let mut before = beyond(shape, of(first), (0..first).rev(), &counts);
    before.reverse();
    let after = beyond(shape, of(last), last + 1..shape.slices, &counts);
    [before.concat(), region, after.concat()].concat()
}

/// What goes on from a section into these slices, one after another, until nothing does.
fn beyond(
    shape: Shape,
    section: Vec<Run>,
    slices: impl Iterator<Item = usize>,
    counts: &impl Fn(usize) -> bool,
) -> Vec<Vec<Run>> {
    let mut end = section;
    let sections = slices.map_while(|slice| {
        end = touching(shape, slice, &end, counts);
        (!end.is_empty()).then(|| end.clone())
    });
    sections.collect()
}

/// The parts of that slice that count and touch a section of the slice beside it.
fn touching(
    shape: Shape,
    slice: usize,
    section: &[Run],
    counts: &impl Fn(usize) -> bool,
) -> Vec<Run> {
    let alone = Shape { slices: 1, ..shape };
    let parts = components(alone, |index| counts(slice * shape.slice_len() + index));
    let touches = |run: &Run| {
        (run.row.saturating_sub(1)..=run.row + 1).any(|row| {
            // Runs are in voxel order: the first of that row that does not end before this one begins.
            let at = section.partition_point(|other| (other.row, other.to) < (row, run.from));
            section.get(at).is_some_and(|other| other.row == row && other.from <= run.to)
        })
    };
    let near = parts.into_iter().filter(|part| part.iter().any(touches));
    let mut runs: Vec<Run> = near.flatten().map(|run| Run { slice, ..run }).collect();
    runs.sort_unstable_by_key(|run| (run.row, run.from));
    runs
}

/// All of these runs in voxel order, what overlaps or adjoins in one.
pub fn joined(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable_by_key(|run| (run.slice, run.row, run.from));
    let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            Some(last) if (last.slice, last.row) == (run.slice, run.row) && run.from <= last.to => {
                last.to = last.to.max(run.to);
            }
            _ => joined.push(run),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row for each slice.
    fn shape(slices: usize, columns: usize) -> Shape {
        Shape { slices, rows: 1, columns }
    }

    fn run(slice: usize, from: usize, to: usize) -> Run {
        Run { slice, row: 0, from, to }
    }

    /// What a region of one run grows to where voxels are drawn with `+`.
    fn grows(region: Run, rows: &[&str]) -> Vec<Run> {
        let text = rows.concat();
        let counts = |index: usize| text.as_bytes()[index] == b'+';
        grown(shape(rows.len(), rows[0].len()), vec![region], counts)
    }

    #[test]
    fn a_region_goes_on_beyond_both_ends_until_nothing_touches() {
        let rows = ["+.....", "......", "+.++..", ".+..++", "...+++", "++...."];
        // Slice 3 is its own; slice 2 touches with a corner, and slice 1 has nothing.
        assert_eq!(grows(run(3, 1, 2), &rows), [run(2, 0, 1), run(2, 2, 4), run(3, 1, 2)]);
        assert_eq!(grows(run(3, 4, 6), &rows)[1..], [run(3, 4, 6), run(4, 3, 6)]);
    }

    #[test]
    fn between_its_ends_a_region_stays_as_it_is() {
        let region = vec![run(0, 0, 1), run(1, 0, 1)];
        assert_eq!(grown(shape(2, 3), region.clone(), |_| true), region);
        assert!(grown(shape(2, 3), Vec::new(), |_| true).is_empty());
    }

    #[test]
    fn joined_runs_hold_each_voxel_once() {
        let runs = vec![run(1, 4, 6), run(0, 0, 2), run(1, 0, 5), run(1, 8, 9), run(0, 2, 3)];
        assert_eq!(joined(runs), [run(0, 0, 3), run(1, 0, 6), run(1, 8, 9)]);
    }
}
