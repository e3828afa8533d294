//! Which voxels of a mask are whose: the findings of a result, found again in the mask that was kept with it.

use domain::{Error, ErrorKind, Result};

use crate::components::{Run, components};
use crate::findings::centroid;
use crate::{Bounds, Finding, Role, Shape};

/// The voxels of each of `findings`, in their order, as runs; `labels` are those of the result's own mask, one for each voxel.
///
/// `Internal` where mask and findings contradict each other: they are of two results, and neither is to be believed.
pub fn regions(labels: &[u8], shape: Shape, findings: &[Finding]) -> Result<Vec<Vec<Run>>> {
    if labels.len() != shape.len() {
        return Err(contradiction());
    }
    let of = |role: Role| components(shape, |index| labels[index] == role.label());
    let mut parts = [(Role::Main, of(Role::Main)), (Role::Lesser, of(Role::Lesser))];
    let mut found = Vec::with_capacity(findings.len());
    for finding in findings {
        let alone = findings.iter().filter(|other| other.role == finding.role).nth(1).is_none();
        let (_, parts) =
            parts.iter_mut().find(|(role, _)| *role == finding.role).ok_or_else(contradiction)?;
        let runs = if alone {
            // A main finding that grew may be of parts that touch nowhere.
            std::mem::take(parts).concat()
        } else {
            let at = parts.iter().position(|runs| is(finding, runs)).ok_or_else(contradiction)?;
            // The others stay in their order, which that of findings follows: two of one size may share a box.
            parts.remove(at)
        };
        // A mask that is turned otherwise marks as many voxels.
        if !is(finding, &runs) || !is_there(finding, &runs) {
            return Err(contradiction());
        }
        found.push(runs);
    }
    if parts.iter().any(|(_, left)| !left.is_empty()) {
        return Err(contradiction());
    }
    Ok(found)
}

/// Whether a region is that finding: of its size, and in its box.
fn is(finding: &Finding, runs: &[Run]) -> bool {
    // Told at a look, where there are many.
    if voxels(runs) != finding.voxels {
        return false;
    }
    let Bounds { from, to, .. } = finding.bounds;
    let fold = |first: fn(&Run) -> usize, end: fn(&Run) -> usize| {
        (runs.iter().map(first).min(), runs.iter().map(end).max())
    };
    let axes = [
        fold(|run| run.slice, |run| run.slice + 1),
        fold(|run| run.row, |run| run.row + 1),
        fold(|run| run.from, |run| run.to),
    ];
    (0..3).all(|axis| axes[axis] == (Some(from[axis]), Some(to[axis])))
}

/// Whether the middle of a region is that of the finding.
fn is_there(finding: &Finding, runs: &[Run]) -> bool {
    /// What decimals and the order of a sum leave of two numbers that are one.
    const ROUNDING: f64 = 1e-6;
    let mut pairs = centroid(runs).into_iter().zip(finding.centroid);
    pairs.all(|(marked, told)| (marked - told).abs() <= ROUNDING)
}

fn voxels(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.to - run.from).sum()
}

fn contradiction() -> Error {
    ErrorKind::Internal.error("a result's mask does not show its findings")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Criteria, Findings};

    const SHAPE: Shape = Shape { slices: 4, rows: 8, columns: 8 };

    fn at(slice: usize, row: usize, column: usize) -> usize {
        (slice * SHAPE.rows + row) * SHAPE.columns + column
    }

    fn found(grows_from: Option<f32>) -> Findings {
        let mut probabilities = vec![0.0; SHAPE.len()];
        for (index, length) in
            [(at(0, 1, 1), 4), (at(1, 1, 1), 4), (at(3, 6, 5), 2), (at(0, 6, 0), 1)]
        {
            probabilities[index..][..length].fill(0.9);
        }
        // What the main one goes on into.
        probabilities[at(2, 2, 2)] = 0.4;
        let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from };
        Findings::new(&probabilities, SHAPE, None, criteria).unwrap()
    }

    #[test]
    fn each_finding_has_its_own_voxels_and_no_voxel_is_left() {
        for grows_from in [None, Some(0.3)] {
            let Findings { mask, findings } = found(grows_from);
            let regions = regions(&mask, SHAPE, &findings).unwrap();
            let counts: Vec<usize> = regions.iter().map(|runs| voxels(runs)).collect();
            assert_eq!(counts, findings.iter().map(|finding| finding.voxels).collect::<Vec<_>>());
            assert_eq!(
                counts.iter().sum::<usize>(),
                mask.iter().filter(|label| **label > 0).count()
            );
        }
    }

    #[test]
    fn a_mask_of_another_result_is_refused() {
        let Findings { mut mask, findings } = found(None);
        assert!(regions(&mask[1..], SHAPE, &findings).is_err());
        assert!(regions(&mask, SHAPE, &findings[1..]).is_err());
        mask[at(2, 7, 7)] = 1;
        let error = regions(&mask, SHAPE, &findings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }

    const ALL_ALIKE: Criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };

    #[test]
    fn a_mask_that_is_turned_otherwise_is_refused() {
        let mut probabilities = vec![0.0; SHAPE.len()];
        // Its box is the same in a mirror.
        probabilities[at(1, 2, 2)..][..4].fill(0.9);
        probabilities[at(1, 3, 2)] = 0.9;
        let found = Findings::new(&probabilities, SHAPE, None, ALL_ALIKE).unwrap();
        assert!(regions(&found.mask, SHAPE, &found.findings).is_ok());
        let rows = found.mask.chunks(SHAPE.columns);
        let mirrored: Vec<u8> = rows.flat_map(|row| row.iter().rev().copied()).collect();
        let upside_down: Vec<u8> = found.mask.iter().rev().copied().collect();
        for turned in [mirrored, upside_down] {
            let error = regions(&turned, SHAPE, &found.findings).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
        }
    }

    #[test]
    fn two_of_one_size_in_one_box_are_not_taken_for_each_other() {
        let shape = Shape { slices: 8, rows: 6, columns: 6 };
        let mut probabilities = vec![0.0; shape.len()];
        probabilities[..shape.slice_len()].fill(0.9);
        for step in 0..5 {
            // Two paths along edges of one cube that touch nowhere.
            let one = [[3, 0, step], [3, step, 4], [3 + step, 4, 4]];
            let other = [[3 + step, 4, 0], [7, step, 0], [7, 0, step]];
            for [slice, row, column] in one.into_iter().chain(other) {
                probabilities[(slice * shape.rows + row) * shape.columns + column] = 0.9;
            }
        }
        let Findings { mask, findings } =
            Findings::new(&probabilities, shape, None, ALL_ALIKE).unwrap();
        assert_eq!(findings.len(), 3);
        assert_eq!(findings[1].bounds, findings[2].bounds);
        let regions = regions(&mask, shape, &findings).unwrap();
        let marked: Vec<[f64; 3]> = regions.iter().map(|runs| centroid(runs)).collect();
        assert_eq!(marked, findings.iter().map(|finding| finding.centroid).collect::<Vec<_>>());
    }
}
