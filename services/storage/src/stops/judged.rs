//! Which answers of a model readers have confirmed or refuted.

use std::collections::BTreeMap;

use domain::feedback::{Truth, Verdict};
use domain::{Answer, ErrorKind, Result, TenantId};
use platform::db::{BindId, Unit, failed};
use sqlx::FromRow;

use crate::feedback::review::{Opinion, counted};

/// The newest words about a model that are looked at. A rule that needs more than these to stop a model has a bound that it keeps.
const WORDS_MAX: i64 = 5000;
/// The models that a rule looks at when it is set: more have never answered one hospital's scans.
const MODELS_MAX: i64 = 100;

#[derive(Clone, Debug, FromRow)]
struct Said {
    scan_id: String,
    id: String,
    reader_id: String,
    verdict: String,
    truth: String,
    adjudicates_json: String,
    answer: String,
}

/// Name and version of those that readers have said something of.
pub async fn models(unit: &mut Unit, tenant: TenantId) -> Result<Vec<(String, String)>> {
    sqlx::query_as(
        "SELECT DISTINCT model_name, model_version FROM feedback WHERE tenant_id = ? AND model_name <> '' LIMIT ?",
    )
    .id(tenant)
    .bind(MODELS_MAX)
    .fetch_all(&mut **unit)
    .await
    .map_err(failed)
}

/// Of each scan that the model has answered, that nobody had spoken of until `since_ms` and of which words say the truth, whether the
/// answer was wrong: in the order in which the scans were first spoken of. A later word on an earlier scan would stand there without
/// those that it contradicts.
pub async fn errors(
    unit: &mut Unit,
    tenant: TenantId,
    [name, version]: [&str; 2],
    since_ms: i64,
) -> Result<Vec<bool>> {
    let mut said: Vec<Said> = sqlx::query_as(
        "SELECT feedback.scan_id, feedback.id, reader_id, verdict, truth, adjudicates_json, answer
         FROM feedback JOIN scans ON scans.tenant_id = feedback.tenant_id AND scans.id = feedback.scan_id
         WHERE feedback.tenant_id = ? AND feedback.model_name = ? AND feedback.model_version = ? AND given_ms > ?
             AND NOT EXISTS (SELECT 1 FROM feedback earlier WHERE earlier.tenant_id = feedback.tenant_id
                 AND earlier.scan_id = feedback.scan_id AND earlier.given_ms <= ?)
         ORDER BY given_ms DESC, feedback.position DESC LIMIT ?",
    )
    .id(tenant)
    .bind(name.to_owned())
    .bind(version.to_owned())
    .bind(since_ms)
    .bind(since_ms)
    .bind(WORDS_MAX)
    .fetch_all(&mut **unit)
    .await
    .map_err(failed)?;
    said.reverse();
    wrong(&said)
}

/// Scan by scan, the words being in the order in which they were given.
fn wrong(said: &[Said]) -> Result<Vec<bool>> {
    let mut order = Vec::new();
    let mut scans = BTreeMap::<&str, Vec<&Said>>::new();
    for word in said {
        let words = scans.entry(&word.scan_id).or_default();
        if words.is_empty() {
            order.push(&*word.scan_id);
        }
        words.push(word);
    }
    let mut wrong = Vec::new();
    for words in order.iter().filter_map(|scan| scans.get(scan)) {
        wrong.extend(is_wrong(words)?);
    }
    Ok(wrong)
}

/// None where nobody says the truth, or its readers differ.
fn is_wrong(words: &[&Said]) -> Result<Option<bool>> {
    let Some(answer) = words.first().and_then(|word| Answer::named(&word.answer)) else {
        return Ok(None);
    };
    let opinions = words.iter().map(|word| word.opinion()).collect::<Result<Vec<_>>>()?;
    let counted = counted(opinions);
    let mut truths =
        counted.iter().filter_map(|word| Truth::said(word.verdict, word.truth, answer));
    let Some(truth) = truths.next() else { return Ok(None) };
    if truths.any(|other| other != truth) {
        return Ok(None);
    }
    Ok(truth.refutes(answer))
}

impl Said {
    fn opinion(&self) -> Result<Opinion<'_>> {
        let unreadable = || ErrorKind::Internal.error("stored feedback cannot be read");
        let adjudicates = serde_json::from_str(&self.adjudicates_json);
        Ok(Opinion {
            id: &self.id,
            reader: &self.reader_id,
            verdict: Verdict::named(&self.verdict).ok_or_else(unreadable)?,
            truth: Truth::named(&self.truth),
            adjudicates: adjudicates.map_err(|error| unreadable().because(error))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(scan: &str, reader: &str, verdict: &str, truth: &str, answer: &str) -> Said {
        Said {
            scan_id: scan.into(),
            id: format!("{scan}{reader}{verdict}"),
            reader_id: reader.into(),
            verdict: verdict.into(),
            truth: truth.into(),
            adjudicates_json: "[]".into(),
            answer: answer.into(),
        }
    }

    #[test]
    fn each_scan_counts_once_by_what_its_readers_agree_on_in_the_order_of_first_words() {
        let mut words = vec![
            said("b", "x", "reject", "no_tumour", "found"),
            said("a", "x", "agree", "", "found"),
            said("c", "x", "correct", "", "none_found"),
            // Nobody knows of these three: doubt, a rejection without a truth, readers who differ.
            said("d", "x", "unsure", "", "found"),
            said("e", "x", "reject", "", "found"),
            said("f", "x", "agree", "", "found"),
            said("f", "y", "reject", "no_tumour", "found"),
            said("g", "x", "agree", "", "not_analysable"),
            // A later word of the same reader.
            said("b", "x", "agree", "", "found"),
        ];
        assert_eq!(wrong(&words).unwrap(), [false, false, true]);
        let mut settling = said("f", "chief", "reject", "no_tumour", "found");
        settling.adjudicates_json = r#"["fxagree"]"#.into();
        words.push(settling);
        assert_eq!(wrong(&words).unwrap(), [false, false, true, true]);
        assert!(wrong(&[said("a", "x", "perhaps", "", "found")]).is_err());
    }
}
