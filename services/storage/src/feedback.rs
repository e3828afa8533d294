//! What readers say of results: kept for good, each word beside the others, and shown to no reader before theirs is given.

pub mod judged;
pub mod review;
pub mod rows;
mod rules;
mod slices;

use std::str::FromStr;

use domain::feedback::{ReviewState, Verdict, Word};
use domain::limits::ADJUDICATED_MAX;
use domain::{ErrorKind, FeedbackId, Result, ScanId, TenantId};
use platform::blob::ByteStream;
use platform::db::Unit;
use proto::events::{FeedbackGiven, SliceCounts};
use proto::storage::{FeedbackEntry, FeedbackOfScan, Scan, State};
use service::claims::{Claims, Role};
use service::topics::FEEDBACK_GIVEN;
use service::{trace, wire};

use crate::artefacts::{self, Artefact, Staged, sha256_of};
use crate::audit::{self, Entry};
use crate::event;
use crate::jobs::{NAME_MAX, name_of, truncate};
use crate::scans::of_tenant;
use crate::store::Store;

use judged::Judged;
use rows::Row;
use rules::Outline;

/// How the names of readers' masks begin among a scan's artefacts.
const MASK_PREFIX: &str = "feedback-";

/// A reader's word on its way in.
pub struct Given {
    pub scan_id: String,
    /// Empty: none.
    pub idempotency_key: String,
    pub word: Word,
    pub mask: Option<ReadersMask>,
}

/// The outline that a reader has drawn, checked by ingest.
pub struct ReadersMask {
    pub name: String,
    /// Beside the result's main findings.
    pub dice: Option<f64>,
    /// Whether it marks nothing.
    pub is_empty: bool,
    /// The scan's slices, beside the result's main findings. None: ingest of the version before does not say.
    pub slices: Option<SliceCounts>,
    pub staged: Staged,
}

/// A word that is about to be kept.
struct Draft {
    tenant: TenantId,
    scan: ScanId,
    id: FeedbackId,
    row: Row,
    judged: Judged,
    /// When that result was made.
    judged_ms: i64,
    slices: Option<SliceCounts>,
    artefacts: Vec<Artefact>,
    /// The digests of its key, and of all that came with it.
    key: Option<[String; 2]>,
    /// The trace that it is a part of; empty: none.
    traceparent: String,
}

impl Store {
    /// Keeps a reader's word: the mask's bytes first, then everything else in one unit. Once this answers, no crash loses it. A
    /// word that does not go with its result is answered with why.
    ///
    /// A repeat with the same key and the same word finds what was given; with another it is a conflict.
    pub async fn give(
        &self,
        claims: &Claims,
        given: Given,
    ) -> Result<Result<FeedbackEntry, String>> {
        let scan = self.scan(&claims.tenant(), &given.scan_id).await?;
        let (tenant, given) = (claims.tenant().id(), Given { scan_id: scan.id.clone(), ..given });
        let key = key_of(claims, &given)?;
        if let Some(entry) = self.given_before(tenant, key.as_ref()).await? {
            return Ok(Ok(entry));
        }
        if let Err(misfit) = self.may_settle(claims, &given).await? {
            return Ok(Err(misfit));
        }
        let judged = self.judged(tenant, &scan).await?;
        let outline = Outline::of(given.mask.as_ref());
        if let Err(misfit) = rules::check(&given.word, outline, &judged) {
            return Ok(Err(misfit));
        }
        let draft = self.draft(claims, given, key.clone(), judged).await?;
        let draft = Draft { judged_ms: scan.completed_ms, ..draft };
        let blobs: Vec<_> = draft.artefacts.iter().map(|kept| kept.key.clone()).collect();
        let inserted = self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move { store.insert_feedback(unit, draft).await })
        });
        match inserted.await {
            Ok(row) => {
                self.changed(tenant, row.scan_id.parse()?);
                Ok(Ok(row.entry()?))
            }
            // The same key was used in the same moment, and the other was first.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.discard(&blobs).await;
                self.given_before(tenant, key.as_ref()).await?.map(Ok).ok_or(error)
            }
            Err(error) => Err(self.kept_in_vain(&blobs, error).await),
        }
    }

    /// All words about the scan, or how many there are, for a reader who has not given theirs.
    pub async fn feedback_of(&self, claims: &Claims, id: &str) -> Result<FeedbackOfScan> {
        let scan = ScanId::from_str(&self.scan(&claims.tenant(), id).await?.id)?;
        let words = rows::of_scan(self.database.pool(), claims.tenant().id(), scan).await?;
        if !words.is_empty() && !sees(claims, &words)? {
            let hidden = u32::try_from(words.len()).unwrap_or(u32::MAX);
            return Ok(FeedbackOfScan { hidden, ..FeedbackOfScan::default() });
        }
        let state = wire::review_state(rows::review(&words)?).into();
        let feedback = words.iter().map(Row::entry).collect::<Result<_>>()?;
        Ok(FeedbackOfScan { feedback, state, hidden: 0 })
    }

    /// What a reader's mask is called, how large it is, and its bytes.
    pub async fn feedback_mask(
        &self,
        claims: &Claims,
        scan: &str,
        id: &str,
    ) -> Result<(String, (u64, ByteStream))> {
        let absent = || ErrorKind::NotFound.error("no such mask");
        let (tenant, scan) = (claims.tenant().id(), ScanId::from_str(scan).map_err(|_| absent())?);
        let words = rows::of_scan(self.database.pool(), tenant, scan).await?;
        let word = words.iter().find(|word| word.id == id && !word.mask_name.is_empty());
        let word = word.ok_or_else(absent)?;
        if !sees(claims, &words)? {
            return Err(ErrorKind::Forbidden
                .error("give your own feedback first: until then, others' is not shown"));
        }
        let name = artefact_name(&word.id, &word.mask_name);
        let read = artefacts::read(self, tenant, scan, &name).await?;
        Ok((word.mask_name.clone(), read))
    }

    /// Whether the word is a reader's who was not shown others' before, or an adjudicator's who may settle that.
    async fn may_settle(&self, claims: &Claims, given: &Given) -> Result<Result<(), String>> {
        let settled = &given.word.adjudicates;
        let adjudicates = claims.roles.contains(&Role::Adjudicator);
        if settled.is_empty() && !adjudicates {
            return Ok(Ok(()));
        }
        claims.require(&[Role::Adjudicator])?;
        let (tenant, scan) = (claims.tenant().id(), ScanId::from_str(&given.scan_id)?);
        let words = rows::of_scan(self.database.pool(), tenant, scan).await?;
        if settled.is_empty() {
            blind(&words, &claims.subject)
        } else {
            settles(&words, &claims.subject, settled)
        }
    }

    /// What was given with that key before.
    async fn given_before(
        &self,
        tenant: TenantId,
        key: Option<&[String; 2]>,
    ) -> Result<Option<FeedbackEntry>> {
        let Some([key, fingerprint]) = key else { return Ok(None) };
        let pool = self.database.pool();
        let Some((id, kept)) = rows::keyed(pool, tenant, key).await? else { return Ok(None) };
        if kept != *fingerprint {
            return Err(ErrorKind::Conflict
                .error("this Idempotency-Key was used before, with other feedback"));
        }
        let row = rows::find(pool, tenant, &id).await?;
        let row = row.ok_or_else(|| ErrorKind::Internal.error("stored feedback is lost"))?;
        Ok(Some(FeedbackEntry { repeated: true, ..row.entry()? }))
    }

    async fn draft(
        &self,
        claims: &Claims,
        given: Given,
        key: Option<[String; 2]>,
        judged: Judged,
    ) -> Result<Draft> {
        let (tenant, scan) = (claims.tenant().id(), ScanId::from_str(&given.scan_id)?);
        let id = FeedbackId::new(&self.clock, &self.random);
        let mut row = row_of(claims, &given, &judged)?;
        (row.id, row.given_ms) = (id.to_string(), self.clock.now_ms());
        let slices = slices::slices(&given.word, given.mask.as_ref(), &judged);
        let objects = given.mask.map(|mask| (artefact_name(&row.id, &mask.name), mask.staged));
        let objects: Vec<_> = objects.into_iter().collect();
        let artefacts = artefacts::keep(&self.blobs, tenant, scan, id, objects).await?;
        let traceparent = trace::traceparent();
        let judged_ms = 0;
        Ok(Draft { tenant, scan, id, row, judged, judged_ms, slices, artefacts, key, traceparent })
    }

    /// Everything but the bytes. The audit entry comes first: it holds the hospital's chain until the unit ends, so that two words
    /// that come at once have an order, and each knows the one before it.
    async fn insert_feedback(&self, unit: &mut Unit, draft: Draft) -> Result<Row> {
        let judged_ms = draft.judged_ms;
        let Draft {
            tenant, scan, id, mut row, judged, slices, artefacts, key, traceparent, ..
        } = draft;
        let (at_ms, subject, object) = (row.given_ms, &*row.reader_id, scan.to_string());
        let action = "feedback.given";
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        require_same(&of_tenant(&mut **unit, tenant, scan).await?, judged_ms)?;
        let mut words = rows::of_scan(&mut **unit, tenant, scan).await?;
        // Once more, of what was said meanwhile: nobody settles by two words at once what they may not by one after the other.
        settles(&words, &row.reader_id, &row.adjudicates()?)?
            .map_err(|why| ErrorKind::Conflict.error(why))?;
        row.position = words.first().map_or(1, |newest| newest.position + 1);
        let own = words.iter().find(|word| word.reader_id == row.reader_id);
        row.supersedes = own.map(|word| word.id.clone()).unwrap_or_default();
        rows::insert(unit, tenant, &row).await?;
        if let Some([key, fingerprint]) = key {
            rows::insert_key(unit, tenant, key, fingerprint, id).await?;
        }
        artefacts::insert(unit, tenant, scan, &artefacts).await?;
        words.insert(0, row.clone());
        let state = rows::review(&words)?;
        rows::set_review(unit, tenant, scan, state, row.model_version.clone(), at_ms).await?;
        if row.verdict != Verdict::Agree.name() {
            // Whoever agrees refutes no answer.
            self.examine(unit, tenant, &row.model_name, &row.model_version, at_ms).await?;
        }
        let event = event::given(said(tenant, &row, judged, slices)?, &traceparent)?;
        self.announce(unit, FEEDBACK_GIVEN, &event).await?;
        Ok(row)
    }
}

/// Refuses a word about a result that is the scan's no more.
fn require_same(scan: &Scan, judged_ms: i64) -> Result<()> {
    if scan.state() == State::Done && scan.completed_ms == judged_ms {
        return Ok(());
    }
    Err(ErrorKind::Conflict.error("the scan is analysed anew: there will be another result"))
}

/// Whether an adjudicator's word that settles nothing is a reader's like any other: where readers differ, whoever has said nothing yet is
/// shown their verdicts, and one more beside them would count as given without having seen them.
fn blind(words: &[Row], reader: &str) -> Result<Result<(), String>> {
    let has_judged = words.iter().any(|word| word.reader_id == reader);
    if has_judged || rows::review(words)? != ReviewState::Conflict {
        return Ok(Ok(()));
    }
    Ok(Err("The readers of this scan differ, and an adjudicator is shown what they have said: settle it, by a verdict that names theirs \
            in `adjudicates`, or leave it to another."
        .to_owned()))
}

/// Whether a word of that reader's settles nothing, or may settle these: they are others' on the same scan, and the reader is none
/// of those who differ. Who has settled before may do so again, when somebody has spoken since.
fn settles(words: &[Row], reader: &str, settled: &[String]) -> Result<Result<(), String>> {
    if settled.is_empty() {
        return Ok(Ok(()));
    }
    for own in words.iter().filter(|word| word.reader_id == reader) {
        if own.adjudicates()?.is_empty() {
            return Ok(Err(
                "Whoever has given a verdict on this scan as a reader does not settle what its readers differ on: another \
                 adjudicator does."
                    .to_owned(),
            ));
        }
    }
    let others = |id: &String| words.iter().any(|word| word.id == *id && word.reader_id != reader);
    if settled.len() <= ADJUDICATED_MAX && settled.iter().all(others) {
        return Ok(Ok(()));
    }
    Ok(Err(format!(
        "`adjudicates` names what others have said of this scan, {ADJUDICATED_MAX} words at most."
    )))
}

/// Whether the caller may see what is said of a scan: they have said something themselves, watch over all who do, or are there to
/// settle what its readers differ on.
fn sees(claims: &Claims, words: &[Row]) -> Result<bool> {
    let own = words.iter().any(|word| word.reader_id == claims.subject);
    if own || claims.roles.contains(&Role::Admin) {
        return Ok(true);
    }
    Ok(claims.roles.contains(&Role::Adjudicator) && rows::review(words)? == ReviewState::Conflict)
}

/// The name of a reader's mask among the scan's artefacts.
pub fn artefact_name(id: &str, mask_name: &str) -> String {
    format!("{MASK_PREFIX}{id}-{mask_name}")
}

/// Whether an artefact is a reader's mask: it is handed out with the word that it came with, and in no other way.
pub fn is_readers_mask(artefact: &str) -> bool {
    artefact.starts_with(MASK_PREFIX)
}

/// The row, but for what is known only when it is kept.
fn row_of(claims: &Claims, given: &Given, judged: &Judged) -> Result<Row> {
    let (word, mask) = (&given.word, given.mask.as_ref());
    let model = judged.model.clone().unwrap_or_default();
    Ok(Row {
        id: String::new(),
        scan_id: given.scan_id.clone(),
        position: 0,
        reader_id: claims.subject.clone(),
        reader: name_of(claims),
        given_ms: 0,
        verdict: word.verdict.name().to_owned(),
        truth: word.truth.map_or("", |truth| truth.name()).to_owned(),
        reason: word.reason.map_or("", |reason| reason.name()).to_owned(),
        note: word.note.clone(),
        findings_json: rows::written(&word.findings)?,
        missed_json: rows::written(&word.missed)?,
        mask_name: mask.map_or("", |mask| &*mask.name).to_owned(),
        dice: mask.and_then(|mask| mask.dice),
        model_name: truncate(&model.name, NAME_MAX),
        model_version: truncate(&model.version, NAME_MAX),
        model_sha256: model.sha256,
        supersedes: String::new(),
        adjudicates_json: rows::written(&word.adjudicates)?,
    })
}

/// The digests of the key, which is the reader's own, and of all that came with it.
fn key_of(claims: &Claims, given: &Given) -> Result<Option<[String; 2]>> {
    let Given { scan_id, idempotency_key, word, mask } = given;
    if idempotency_key.is_empty() {
        return Ok(None);
    }
    let mask = mask.as_ref().map_or("", |mask| &*mask.staged.sha256);
    let fingerprint = sha256_of(&[scan_id, &rows::written(word)?, mask]);
    Ok(Some([sha256_of(&[&claims.subject, idempotency_key]), fingerprint]))
}

/// What the event tells: neither who the reader is, nor what they noted.
fn said(
    tenant: TenantId,
    row: &Row,
    judged: Judged,
    slices: Option<SliceCounts>,
) -> Result<FeedbackGiven> {
    let tenant_id = tenant.to_string();
    let reader_digest = sha256_of(&[&tenant_id, &row.reader_id]);
    Ok(FeedbackGiven {
        tenant_id,
        scan_id: row.scan_id.clone(),
        feedback_id: row.id.clone(),
        given_ms: row.given_ms,
        verdict: row.verdict.clone(),
        truth: Some(row.truth.clone()).filter(|truth| !truth.is_empty()),
        reader_digest,
        dice: row.dice,
        model: judged.model,
        answer: judged.answer.name().to_owned(),
        image_kind: judged.image_kind,
        mask_fraction: judged.mask_fraction,
        adjudicates: row.adjudicates()?,
        slices,
        reason: event::said(&row.reason),
        finding_reasons: row.finding_reasons()?,
    })
}
