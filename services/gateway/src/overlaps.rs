//! How far the outlines of a scan's readers mark the same: for whoever is to say which is right.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto::storage::FeedbackRef;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::feedback::Feedback;
use crate::masks::BYTES_MAX;
use crate::problem::{INTERNAL, Problem};

/// Of so many readers each pair is compared; more have never drawn on one scan.
const COMPARED_MAX: usize = 4;

/// Two outlines of one scan.
#[derive(Serialize, ToSchema)]
pub struct FeedbackOverlap {
    /// The ids of the feedback that they came with.
    #[schema(min_items = 2, max_items = 2)]
    feedback: Vec<String>,
    /// 1 where both mark the same; `null` where they are of two forms (PNG and NIfTI).
    #[schema(minimum = 0, maximum = 1)]
    dice: Option<f64>,
}

/// The Dice of each two outlines that count, of those that the caller may see.
pub async fn of(
    gateway: &Gateway,
    caller: &Caller,
    words: &[Feedback],
) -> Result<Vec<FeedbackOverlap>, Problem> {
    let drawn = counted(words);
    if drawn.len() < 2 {
        return Ok(Vec::new());
    }
    let mut masks = Vec::new();
    for word in drawn.into_iter().take(COMPARED_MAX) {
        masks.push((word.id.clone(), Arc::new(read(gateway, caller, word).await?)));
    }
    let mut overlaps = Vec::new();
    for (index, (one, of_one)) in masks.iter().enumerate() {
        for (other, of_other) in &masks[index + 1..] {
            let (of_one, of_other) = (of_one.clone(), of_other.clone());
            let dice =
                gateway.masks.calculate(caller.tenant(), move || Ok(compared(&of_one, &of_other)));
            let dice = dice.await?;
            overlaps.push(FeedbackOverlap { feedback: vec![one.clone(), other.clone()], dice });
        }
    }
    Ok(overlaps)
}

/// Those with an outline that no later word stands in the place of, or settles.
fn counted(words: &[Feedback]) -> Vec<&Feedback> {
    let superseded = words.iter().filter_map(|word| word.supersedes.as_ref());
    let settled = words.iter().flat_map(|word| &word.adjudicates);
    let gone: BTreeSet<&String> = superseded.chain(settled).collect();
    words.iter().filter(|word| word.mask && !gone.contains(&word.id)).collect()
}

async fn read(gateway: &Gateway, caller: &Caller, word: &Feedback) -> Result<Vec<u8>, Problem> {
    let asked = FeedbackRef { scan_id: word.scan_id.clone(), id: word.id.clone() };
    let mut chunks = gateway.feedback.clone().read_mask(caller.request(asked)).await?.into_inner();
    let mut file = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        if chunk.size_bytes > BYTES_MAX {
            tracing::error!("a mask is too large to be one");
            return Err(INTERNAL.problem("internal error"));
        }
        file.extend_from_slice(&chunk.data);
    }
    Ok(file)
}

/// Takes as long as a volume has voxels.
fn compared(one: &[u8], other: &[u8]) -> Option<f64> {
    // What is no mask of ours is shown for what it is by whoever hands it out; here it has no Dice.
    imaging::overlap(one, other)
        .inspect_err(|error| tracing::error!(%error, "a reader's mask cannot be read"))
        .unwrap_or_default()
}
