//! A version that looked on beside what served, on the same scans, by what readers say of these.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::feedback::Truth;
use domain::statistics::Rate;
use domain::{Answer, ErrorKind, Result};
use proto::drift::{ConfirmedComparison, ConfirmedFigures, ConfirmedRate, ConfirmedRequest};
use proto::registry::models_client::ModelsClient;
use proto::registry::{Comparison, ListComparedRequest};
use service::Peer;
use service::claims::{Tenant, authorised};

use super::message::share;
use super::reviewed::{Reviewed, reviewed};
use super::{Period, apart};
use crate::report::SCANS_MIN;
use crate::store::Store;

/// Scans that the registry is asked for at a time: as many as it tells.
const PAGE: u32 = 1000;
/// The most scans that are looked at.
const SCANS_MAX: usize = 50_000;

/// The figures of both on the scans of `tenant`, whom `token` names, too.
pub async fn confirmed(
    store: &Store,
    models: Option<ModelsClient<Peer>>,
    (tenant, token): (Tenant, &str),
    asked: ConfirmedRequest,
) -> Result<ConfirmedComparison> {
    let models = models.ok_or_else(|| {
        ErrorKind::Unavailable
            .error("drift knows no registry (REGISTRY_URL) that tells what looked on")
    })?;
    let (compared, cut) = compared(models, token, asked).await?;
    let always = Period { from_ms: 0, to_ms: i64::MAX };
    let (words, words_cut) = store.words(tenant, always).await?;
    let comparison = apart(move || comparison(&compared, &reviewed(words))).await?;
    Ok(ConfirmedComparison { cut: cut || words_cut, ..comparison })
}

/// All scans on which the version looked on, and whether there are more.
async fn compared(
    mut models: ModelsClient<Peer>,
    token: &str,
    ConfirmedRequest { name, version }: ConfirmedRequest,
) -> Result<(Vec<Comparison>, bool)> {
    let mut all = Vec::<Comparison>::new();
    while all.len() < SCANS_MAX {
        let after = all.last().map_or_else(String::new, |last| last.scan_id.clone());
        let (name, version) = (name.clone(), version.clone());
        let page = ListComparedRequest { name, version, after, limit: PAGE };
        let scans = models.list_compared(authorised(page, token)).await?.into_inner().scans;
        let is_last = scans.len() < PAGE as usize;
        all.extend(scans);
        if is_last {
            return Ok((all, false));
        }
    }
    Ok((all, true))
}

/// A confirmed scan on which both gave an answer, and whether theirs is wrong.
#[derive(Clone, Copy)]
struct Judged {
    truth: Truth,
    candidate_wrong: bool,
    serving_wrong: bool,
    at_ms: i64,
}

fn comparison(compared: &[Comparison], reviewed: &[Reviewed]) -> ConfirmedComparison {
    let truths: HashMap<&str, (Truth, &str)> = reviewed
        .iter()
        .filter_map(|scan| Some((scan.scan()?, (scan.truth()?, scan.traits.kind.as_str()))))
        .collect();
    let mut confirmed = 0;
    let mut groups = BTreeMap::<(&str, &str), BTreeMap<&str, Vec<Judged>>>::new();
    for one in compared {
        let Some((truth, kind)) = truths.get(one.scan_id.as_str()).copied() else { continue };
        confirmed += 1;
        let wrong = |answer: &str| truth.refutes(Answer::named(answer)?);
        let (Some(candidate_wrong), Some(serving_wrong)) =
            (wrong(&one.answer), wrong(&one.serving_answer))
        else {
            continue;
        };
        let judged = Judged { truth, candidate_wrong, serving_wrong, at_ms: one.at_ms };
        let serving = (one.serving_name.as_str(), one.serving_version.as_str());
        // Of all kinds together, and of its own, which may be nothing that anybody says.
        for kind in BTreeSet::from(["", kind]) {
            groups.entry(serving).or_default().entry(kind).or_default().push(judged);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, kinds)| Reverse(kinds.values().flatten().map(|it| it.at_ms).max()));
    let figures = groups.into_iter().flat_map(|(serving, kinds)| {
        kinds.into_iter().map(move |(kind, scans)| figures(serving, kind, &scans))
    });
    ConfirmedComparison {
        figures: figures.collect(),
        compared: compared.len() as u64,
        confirmed,
        scans_min: SCANS_MIN as u32,
        cut: false,
    }
}

fn figures((name, version): (&str, &str), kind: &str, scans: &[Judged]) -> ConfirmedFigures {
    let alone = |is: fn(&Judged) -> bool| scans.iter().filter(|scan| is(scan)).count() as u64;
    ConfirmedFigures {
        serving_name: name.to_owned(),
        serving_version: version.to_owned(),
        image_kind: kind.to_owned(),
        scans: scans.len() as u64,
        far: Some(rate(scans, Truth::NoTumour)),
        frr: Some(rate(scans, Truth::Tumour)),
        only_candidate_wrong: alone(|scan| scan.candidate_wrong && !scan.serving_wrong),
        only_serving_wrong: alone(|scan| scan.serving_wrong && !scan.candidate_wrong),
        enough: scans.len() >= SCANS_MIN,
    }
}

/// How often each is wrong on the scans of which that is the truth. As at the gate, the version's holds while its 95 % interval
/// holds the other's.
fn rate(scans: &[Judged], truth: Truth) -> ConfirmedRate {
    let of: Vec<_> = scans.iter().filter(|scan| scan.truth == truth).collect();
    let candidate = Rate::new(of.iter().filter(|scan| scan.candidate_wrong).count(), of.len());
    let serving = Rate::new(of.iter().filter(|scan| scan.serving_wrong).count(), of.len());
    // A rate that is as good holds, also where rounding puts it beside its own interval.
    let both = candidate.rate.zip(serving.rate);
    let holds = both.is_none_or(|(own, other)| own.min(candidate.interval[0]) <= other);
    ConfirmedRate { candidate: Some(share(candidate)), serving: Some(share(serving)), holds }
}

#[cfg(test)]
#[path = "confirmed_tests.rs"]
mod tests;
