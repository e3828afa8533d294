//! Readers' words and how many scans there are, as rows.

use domain::feedback::Truth;
use domain::{Answer, ErrorKind, Result};
use platform::db;
use proto::events::SliceCounts;
use service::claims::Tenant;
use sqlx::FromRow;

use super::ended::Ended;
use super::figures::Seen;
use super::groups::{Certainty, LITTLE, MUCH, SURE, Size, Traits, UNSURE};
use super::reasons::Reasons;
use super::reviewed::Word;
use super::{Given, Period};
use crate::store::{KIND_CHARS_MAX, MODEL_CHARS_MAX, Store, clipped, once};

/// The newest words that figures are made of; a period that has more says that it was cut.
const WORDS_MAX: i64 = 100_000;
/// The newest scans that response times and refusals are of.
const ENDED_MAX: i64 = 50_000;

/// The words of which `$of` is true, newest first, each with when drift saw its scan completed.
///
/// Both tables say the same of a scan; of one that drift has seen, what it is counted by there counts. Of one that was analysed
/// anew, because there was no answer, drift has seen that, too.
macro_rules! words {
    ($of:literal) => {
        concat!(
            "SELECT r.scan_id, r.reader, r.feedback_id, r.given_ms, r.verdict, r.truth, r.dice, r.answer, r.adjudicates,
                 r.slices_both, r.slices_model_only, r.slices_reader_only, r.slices_neither, r.reason, r.finding_reasons,
                 COALESCE(o.model_name, r.model_name) AS model_name,
                 COALESCE(o.model_version, r.model_version) AS model_version,
                 COALESCE(o.image_kind, r.image_kind) AS image_kind,
                 COALESCE(o.mask_fraction, r.mask_fraction) AS mask_fraction,
                 o.completed_ms, o.site, o.scanner, o.confidence, o.expected_dice
             FROM reviews r LEFT JOIN observations o ON o.tenant_id = r.tenant_id AND o.scan_id = r.scan_id
                 AND o.answer IN ('found', 'none_found')
             WHERE r.answer IN ('found', 'none_found') AND ",
            $of,
            " ORDER BY r.given_ms DESC LIMIT ?"
        )
    };
}

/// How many scans of which `$of` is true were answered, by all that scans are grouped by. Sizes are those of [`Size::ALL`],
/// certainties those of [`Certainty::ALL`].
macro_rules! seen {
    ($of:literal) => {
        concat!(
            "SELECT completed_ms - completed_ms % 86400000 AS day_ms, model_name, model_version, image_kind, site, scanner,
                 answer,
                 CASE WHEN mask_fraction > ? THEN 3 WHEN mask_fraction >= ? THEN 2
                     WHEN mask_fraction > 0 THEN 1 ELSE 0 END AS size_class,
                 CASE WHEN confidence >= ? THEN 3 WHEN confidence >= ? THEN 2
                     WHEN confidence < ? THEN 1 ELSE 0 END AS certainty_class,
                 COUNT(*) AS scans, COUNT(expected_dice) AS expected_scans, SUM(expected_dice) AS expected_sum
             FROM observations WHERE answer IN ('found', 'none_found') AND ",
            $of,
            " GROUP BY day_ms, model_name, model_version, image_kind, site, scanner, answer, size_class, certainty_class"
        )
    };
}

const WORDS_OF_TENANT: &str = words!(
    "r.tenant_id = ? AND (o.scan_id IS NULL OR (o.completed_ms >= ? AND o.completed_ms < ?))"
);
// No word is given before its scan is completed, so that no older one has to be looked at.
const WORDS_OF_ALL: &str = words!(
    "r.given_ms >= ? AND (o.scan_id IS NULL OR (o.completed_ms >= ? AND o.completed_ms < ?))"
);
const SEEN_OF_TENANT: &str = seen!("tenant_id = ? AND completed_ms >= ? AND completed_ms < ?");
const SEEN_OF_ALL: &str = seen!("completed_ms >= ? AND completed_ms < ?");

#[derive(FromRow)]
struct WordRow {
    scan_id: String,
    reader: String,
    feedback_id: String,
    given_ms: i64,
    verdict: String,
    truth: String,
    dice: Option<f64>,
    answer: String,
    adjudicates: String,
    slices_both: Option<i64>,
    slices_model_only: Option<i64>,
    slices_reader_only: Option<i64>,
    slices_neither: Option<i64>,
    reason: String,
    finding_reasons: String,
    model_name: String,
    model_version: String,
    image_kind: String,
    mask_fraction: Option<f64>,
    completed_ms: Option<i64>,
    site: Option<String>,
    scanner: Option<String>,
    confidence: Option<f64>,
    expected_dice: Option<f64>,
}

#[derive(FromRow)]
struct SeenRow {
    day_ms: i64,
    model_name: Option<String>,
    model_version: Option<String>,
    image_kind: Option<String>,
    site: Option<String>,
    scanner: Option<String>,
    answer: String,
    size_class: i64,
    certainty_class: i64,
    scans: i64,
    expected_scans: i64,
    expected_sum: Option<f64>,
}

#[derive(FromRow)]
struct EndedRow {
    completed_ms: i64,
    model_name: Option<String>,
    model_version: Option<String>,
    image_kind: Option<String>,
    mask_fraction: Option<f64>,
    site: Option<String>,
    scanner: Option<String>,
    answer: String,
    response_ms: Option<i64>,
    refusal: Option<String>,
}

impl Store {
    /// Keeps a reader's word beside all others; the same event again changes nothing.
    pub async fn review(&self, given: &Given) -> Result<()> {
        let (reason, finding_reasons) = given.reasons.columns();
        let inserted = sqlx::query(
            "INSERT INTO reviews (tenant_id, feedback_id, scan_id, reader, given_ms, verdict, truth, dice, answer,
                 model_name, model_version, image_kind, mask_fraction, adjudicates, slices_both, slices_model_only,
                 slices_reader_only, slices_neither, reason, finding_reasons)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(given.tenant.to_string())
        .bind(given.feedback.to_string())
        .bind(given.scan.to_string())
        .bind(&given.reader)
        .bind(given.given_ms)
        .bind(given.verdict.name())
        .bind(given.truth.map_or("", Truth::name))
        .bind(given.dice)
        .bind(given.answer.name())
        .bind(clipped(&given.model.name, MODEL_CHARS_MAX))
        .bind(clipped(&given.model.version, MODEL_CHARS_MAX))
        .bind(clipped(given.image_kind.as_deref().unwrap_or_default(), KIND_CHARS_MAX))
        .bind(given.mask_fraction)
        .bind(settled(given))
        .bind(given.slices.map(|slices| i64::from(slices.both)))
        .bind(given.slices.map(|slices| i64::from(slices.model_only)))
        .bind(given.slices.map(|slices| i64::from(slices.reader_only)))
        .bind(given.slices.map(|slices| i64::from(slices.neither)))
        .bind(reason)
        .bind(finding_reasons)
        .execute(self.database.pool())
        .await
        .map_err(db::failed);
        once(inserted)?;
        self.forget_erased(given.tenant, given.scan).await
    }

    /// The tenant's words on scans of the period, and on those of which drift does not know when they were completed; and
    /// whether older ones were left out.
    pub async fn words(&self, tenant: Tenant, period: Period) -> Result<(Vec<Word>, bool)> {
        let rows: Vec<WordRow> = sqlx::query_as(WORDS_OF_TENANT)
            .bind(tenant.to_string())
            .bind(period.from_ms)
            .bind(period.to_ms)
            .bind(WORDS_MAX + 1)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        counted(rows)
    }

    /// The same of all tenants together.
    pub async fn words_of_all(&self, period: Period) -> Result<(Vec<Word>, bool)> {
        let rows: Vec<WordRow> = sqlx::query_as(WORDS_OF_ALL)
            .bind(period.from_ms)
            .bind(period.from_ms)
            .bind(period.to_ms)
            .bind(WORDS_MAX + 1)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        counted(rows)
    }

    /// How many of the tenant's scans were answered in the period.
    pub async fn seen(&self, tenant: Tenant, period: Period) -> Result<Vec<Seen>> {
        let rows: Vec<SeenRow> = sqlx::query_as(SEEN_OF_TENANT)
            .bind(MUCH)
            .bind(LITTLE)
            .bind(SURE)
            .bind(UNSURE)
            .bind(UNSURE)
            .bind(tenant.to_string())
            .bind(period.from_ms)
            .bind(period.to_ms)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        rows.into_iter().map(SeenRow::seen).collect()
    }

    /// The same of all tenants together.
    pub async fn seen_of_all(&self, period: Period) -> Result<Vec<Seen>> {
        let rows: Vec<SeenRow> = sqlx::query_as(SEEN_OF_ALL)
            .bind(MUCH)
            .bind(LITTLE)
            .bind(SURE)
            .bind(UNSURE)
            .bind(UNSURE)
            .bind(period.from_ms)
            .bind(period.to_ms)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        rows.into_iter().map(SeenRow::seen).collect()
    }

    /// All of the tenant's scans that came to an end in the period, answered or not, the newest of them; and whether older ones were
    /// left out.
    pub async fn ended(&self, tenant: Tenant, period: Period) -> Result<(Vec<Ended>, bool)> {
        let mut rows: Vec<EndedRow> = sqlx::query_as(
            "SELECT completed_ms, model_name, model_version, image_kind, mask_fraction, site, scanner, answer,
                 response_ms, refusal
             FROM observations WHERE tenant_id = ? AND completed_ms >= ? AND completed_ms < ?
             ORDER BY completed_ms DESC LIMIT ?",
        )
        .bind(tenant.to_string())
        .bind(period.from_ms)
        .bind(period.to_ms)
        .bind(ENDED_MAX + 1)
        .fetch_all(self.database.pool())
        .await
        .map_err(db::failed)?;
        let cut = rows.len() as i64 > ENDED_MAX;
        rows.truncate(ENDED_MAX as usize);
        Ok((rows.into_iter().map(EndedRow::ended).collect::<Result<_>>()?, cut))
    }
}

/// The column of what a word settles.
fn settled(given: &Given) -> String {
    let ids: Vec<String> = given.adjudicates.iter().map(ToString::to_string).collect();
    ids.join(",")
}

fn counted(mut rows: Vec<WordRow>) -> Result<(Vec<Word>, bool)> {
    let cut = rows.len() as i64 > WORDS_MAX;
    rows.truncate(WORDS_MAX as usize);
    Ok((rows.into_iter().map(WordRow::word).collect::<Result<_>>()?, cut))
}

impl WordRow {
    fn word(self) -> Result<Word> {
        let truth = Some(&self.truth).filter(|truth| !truth.is_empty());
        let slices = counts([
            self.slices_both,
            self.slices_model_only,
            self.slices_reader_only,
            self.slices_neither,
        ]);
        Ok(Word {
            verdict: held(&self.verdict)?,
            truth: truth.map(|truth| held(truth)).transpose()?,
            answer: held::<Answer>(&self.answer)?,
            traits: Traits::new(
                &self.model_name,
                &self.model_version,
                &self.image_kind,
                Size::of(self.mask_fraction.unwrap_or(0.0)),
            )
            .made(self.site, self.scanner),
            certainty: Certainty::of(self.confidence),
            expected_dice: self.expected_dice.filter(|dice| dice.is_finite()),
            slices,
            reasons: Reasons::of_columns(&self.reason, &self.finding_reasons),
            scan: self.scan_id,
            reader: self.reader,
            feedback: self.feedback_id,
            given_ms: self.given_ms,
            dice: self.dice,
            adjudicates: self.adjudicates.split_terminator(',').map(str::to_owned).collect(),
            completed_ms: self.completed_ms,
        })
    }
}

fn held<T: std::str::FromStr>(name: &str) -> Result<T> {
    name.parse().map_err(|_| ErrorKind::Internal.error(format!("a row of drift's holds `{name}`")))
}

/// Of slices marked by both, by the model alone, by the reader alone and by neither; None where nobody has told.
fn counts(columns: [Option<i64>; 4]) -> Option<SliceCounts> {
    let [both, model_only, reader_only, neither] =
        columns.map(|count| count.and_then(|count| u32::try_from(count).ok()));
    Some(SliceCounts {
        both: both?,
        model_only: model_only?,
        reader_only: reader_only?,
        neither: neither?,
    })
}

impl SeenRow {
    fn seen(self) -> Result<Seen> {
        let [name, version, kind] =
            [self.model_name, self.model_version, self.image_kind].map(Option::unwrap_or_default);
        let size = Size::ALL.get(self.size_class as usize).copied().unwrap_or(Size::Nothing);
        let certainty = Certainty::ALL.get(self.certainty_class as usize).copied();
        Ok(Seen {
            traits: Traits::new(&name, &version, &kind, size).made(self.site, self.scanner),
            at_ms: self.day_ms,
            scans: self.scans as usize,
            answer: held(&self.answer)?,
            certainty: certainty.unwrap_or_default(),
            expected: (self.expected_sum.unwrap_or(0.0), self.expected_scans as usize),
        })
    }
}

impl EndedRow {
    fn ended(self) -> Result<Ended> {
        let [name, version, kind] =
            [self.model_name, self.model_version, self.image_kind].map(Option::unwrap_or_default);
        let size = Size::of(self.mask_fraction.unwrap_or(0.0));
        Ok(Ended {
            traits: Traits::new(&name, &version, &kind, size).made(self.site, self.scanner),
            at_ms: self.completed_ms,
            answer: held(&self.answer)?,
            response_ms: self.response_ms,
            refusal: self.refusal,
        })
    }
}
