//! DICOM segmentations as the decoder tells them, on their way to the grid of a scan.

use bytes::Bytes;
use domain::{Identity, Result};
use imaging::{Refusal, SegmentationFacts};

use crate::outline::{Outline, voxels_in};
use crate::process::{Rest, crashed};

/// A decoded segmentation, which still lies on planes of its own.
pub struct Segmentation {
    facts: SegmentationFacts,
    /// 1 in what is marked and 0 elsewhere, plane after plane.
    marked: Bytes,
}

impl Segmentation {
    /// The segmentation that the decoder has announced; what it cannot be is not believed.
    pub async fn read(
        facts: SegmentationFacts,
        mut rest: Rest,
    ) -> Result<Result<Segmentation, Refusal>> {
        let is_whole = facts.planes.len() == facts.shape.slices;
        let Some(pixels) = voxels_in(facts.shape).filter(|_| is_whole) else {
            return Ok(Err(crashed()));
        };
        let marked = rest.read(pixels).await?;
        Ok(Ok(Segmentation { facts, marked }))
    }

    /// Whether it is drawn on the scan that this identity is of. An error says why not.
    pub fn check_source(&self, scan: &Identity) -> Result<(), String> {
        self.facts.check_source(scan)
    }

    /// The same mask on the grid of the result's `own`, slices without a frame empty. An error says why it does not lie there.
    pub fn laid_on(&self, own: &Outline) -> Result<Outline, String> {
        let marked = self.facts.laid_on(&self.marked, own.shape, own.geometry.as_ref())?;
        Ok(Outline { marked: marked.into(), ..own.clone() })
    }
}
