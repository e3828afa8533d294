//! Which voxels of a mask are whose: the findings of a result, found again in the mask that was kept with it.

use domain::{Error, ErrorKind, Result};

use crate::components::{Run, components};
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
            parts.swap_remove(at)
        };
        if voxels(&runs) != finding.voxels {
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
}
