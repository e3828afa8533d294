use crate::Shape;

/// A stretch of one row whose voxels all count.
///
/// Rows are seldom broken, so regions are quicker to find and to measure in runs than in voxels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// The slice that it lies in, from 0.
    pub slice: usize,
    /// The row within the slice, from 0.
    pub row: usize,
    /// The first column.
    pub from: usize,
    /// The column after the last.
    pub to: usize,
}

/// The regions of the voxels for which `counts` holds, each as its runs in voxel order, the regions in
/// the order of their first voxel.
///
/// Voxels belong together when they share a face, an edge or a corner: 26 neighbours, and 8 in a
/// single slice.
pub fn components(shape: Shape, counts: impl Fn(usize) -> bool) -> Vec<Vec<Run>> {
    let (runs, rows) = runs(shape, counts);
    let mut forest = Forest((0..runs.len()).collect());
    for (index, run) in runs.iter().enumerate() {
        for earlier in earlier_rows(shape, run) {
            let row = rows[earlier]..rows[earlier + 1];
            // Runs of a row are sorted: begin at the first that does not end before this one.
            let first = row.start + runs[row.clone()].partition_point(|other| other.to < run.from);
            let near = (first..row.end).take_while(|&other| runs[other].from <= run.to);
            near.for_each(|other| forest.join(index, other));
        }
    }
    forest.gathered(&runs)
}

/// All runs in voxel order, and where each row's begin (with the end of the last).
fn runs(shape: Shape, counts: impl Fn(usize) -> bool) -> (Vec<Run>, Vec<usize>) {
    let mut runs = Vec::new();
    let mut rows = vec![0];
    for line in 0..shape.slices * shape.rows {
        let (slice, row) = (line / shape.rows, line % shape.rows);
        let counts = |column: usize| counts(line * shape.columns + column);
        let mut column = 0;
        while column < shape.columns {
            if !counts(column) {
                column += 1;
                continue;
            }
            let from = column;
            while column < shape.columns && counts(column) {
                column += 1;
            }
            runs.push(Run { slice, row, from, to: column });
        }
        rows.push(runs.len());
    }
    (runs, rows)
}

/// The rows that touch a run's row and come before it.
fn earlier_rows(shape: Shape, run: &Run) -> impl Iterator<Item = usize> {
    let line = run.slice * shape.rows + run.row;
    let above = (run.row > 0).then(|| line - 1);
    let first = run.row.saturating_sub(1);
    let last = (run.row + 1).min(shape.rows - 1);
    let before = (run.slice > 0).then(|| (run.slice - 1) * shape.rows);
    above
        .into_iter()
        .chain(before.into_iter().flat_map(move |slice| (slice + first)..=(slice + last)))
}

/// Sets that only ever join (Tarjan's union-find, with path halving).
struct Forest(Vec<usize>);

impl Forest {
    fn root(&mut self, mut index: usize) -> usize {
        while self.0[index] != index {
            self.0[index] = self.0[self.0[index]];
            index = self.0[index];
        }
        index
    }

    /// The root is always the earliest run.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }

    fn gathered(mut self, runs: &[Run]) -> Vec<Vec<Run>> {
        let mut place = vec![usize::MAX; runs.len()];
        let mut regions: Vec<Vec<Run>> = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            let root = self.root(index);
            if root == index {
                place[index] = regions.len();
                regions.push(Vec::new());
            }
            regions[place[root]].push(*run);
        }
        regions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voxel counts of the regions of slices drawn with `#`.
    fn sizes(slices: &[&str]) -> Vec<usize> {
        let text: Vec<Vec<u8>> =
            slices.iter().map(|s| s.split_whitespace().flat_map(str::bytes).collect()).collect();
        let rows = slices[0].split_whitespace().count();
        let shape = Shape { slices: slices.len(), rows, columns: text[0].len() / rows };
        let voxels = text.concat();
        components(shape, |index| voxels[index] == b'#')
            .iter()
            .map(|runs| runs.iter().map(|run| run.to - run.from).sum())
            .collect()
    }

    #[test]
    fn corners_join_within_a_slice() {
        assert_eq!(sizes(&["#..# .#.. ...#"]), [2, 1, 1]);
    }

    #[test]
    fn corners_join_across_slices() {
        assert_eq!(sizes(&["#.. ... ...", "... .#. ...", "... ... ..#"]), [3]);
        assert_eq!(sizes(&["#.. ... ...", "... ... ..#", "... ... ..."]), [1, 1]);
    }

    #[test]
    fn rows_do_not_join_around_the_edge() {
        assert_eq!(sizes(&["..# #.. ..#"]), [1, 1, 1]);
        assert_eq!(sizes(&["... ... ###", "### ... ..."]), [3, 3]);
    }

    #[test]
    fn arms_that_meet_late_are_one_region() {
        assert_eq!(sizes(&["#.#.# #.#.# #####"]), [11]);
        assert_eq!(sizes(&["#.# ... ...", "#.# .#. ..."]), [5]);
    }

    #[test]
    fn nothing_has_no_regions() {
        assert!(sizes(&["... ..."]).is_empty());
    }
}
