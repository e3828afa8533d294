//! Scans that readers have confirmed, on their way to whoever makes models: without a name, and only with the hospital's consent.

mod confirmed;
mod consent;
pub mod pseudonyms;

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use domain::artefact::{MASK, MASK_VOLUME, ORIGINAL, VOLUME};
use domain::feedback::{JudgedFinding, MaskSource, Reason, Unconfirmed};
use domain::{ErrorKind, Result, ScanId, TenantId};
use futures::TryStreamExt;
use platform::blob::ByteStream;
use platform::db::failed;
use proto::storage::{
    self, ConfirmedFinding, ConfirmedPage, ListConfirmedScans, NamesOfOriginal, Scan,
};
use service::claims::Claims;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use crate::artefacts;
use crate::audit::{self, Entry};
use crate::feedback::{artefact_name, judged::Judged, rows};
use crate::list::{cursor_id, page_of, page_rows};
use crate::scans::{answer_of, of_tenant, scan_of, select};
use crate::store::Store;

use confirmed::{Confirmed, Mask, Said, confirmed};
use pseudonyms::{Of, Pseudonyms};

/// More than stands before the voxels of a stored volume.
const BEGINNING_BYTES: usize = 20 << 10;

/// Judged findings that are told of one scan: a page of scans with masks of noise stays a message.
const FINDINGS_TOLD: usize = 100;

/// A scan that was found to be confirmed.
struct Found {
    /// None: its result does not say.
    image_kind: Option<String>,
    verdict: &'static str,
    truth: &'static str,
    source: MaskSource,
    /// None: nothing is marked.
    mask: Option<MaskFile>,
    /// By each of the words that count.
    findings: Vec<JudgedFinding>,
}

struct MaskFile {
    /// What it is called among the scan's artefacts.
    artefact: String,
    sha256: String,
    /// `mask.png` or `mask.nii.gz`.
    name: String,
}

/// A confirmed scan's mask.
pub struct TrueMask {
    /// `mask.png` or `mask.nii.gz`.
    pub name: String,
    pub size: u64,
    pub bytes: ByteStream,
}

impl Store {
    /// One page of the scans that somebody has judged, newest first. Without consent it says so, and has none.
    pub async fn confirmed(
        &self,
        claims: &Claims,
        list: &ListConfirmedScans,
    ) -> Result<ConfirmedPage> {
        if !self.consent(claims.tenant()).await?.learning {
            return Ok(ConfirmedPage::default());
        }
        let tenant = claims.tenant().id();
        let limit = page_rows(list.limit);
        let mut query = query(tenant, &list.cursor, limit)?;
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        let scans = rows.iter().map(scan_of).collect::<Result<Vec<_>>>()?;
        let (scans, next_cursor) = page_of(scans, limit, |scan| &scan.id);
        let names = Pseudonyms::of_tenant(self.database.pool(), tenant).await?;
        let patients = self.patients_of(tenant, &scans).await?;
        let mut page = ConfirmedPage { consented: true, next_cursor, ..ConfirmedPage::default() };
        for scan in &scans {
            let id = names.name(Of::Scan(&scan.id));
            match self.examined(tenant, scan).await? {
                Ok(found) => {
                    page.confirmed.push(said(scan, id, patients.get(&scan.id), &names, found));
                }
                Err(why) => {
                    let why = why.name().to_owned();
                    page.left_out.push(storage::Unconfirmed { id, why });
                }
            }
        }
        Ok(page)
    }

    /// The stored volume of a confirmed scan. Answers only once the read is in the audit trail.
    pub async fn training_image(&self, claims: &Claims, id: &str) -> Result<(u64, ByteStream)> {
        let (scan, _) = self.to_learn_from(claims, id).await?;
        self.note_learned(claims, scan, "scan.learned.from").await?;
        let tenant = claims.tenant().id();
        artefacts::read(self, tenant, scan, VOLUME.name).await
    }

    /// The upload of a confirmed scan, and what its images are called where they leave. Answers only once the read is in the audit trail.
    pub async fn training_original(
        &self,
        claims: &Claims,
        id: &str,
    ) -> Result<(NamesOfOriginal, ByteStream)> {
        let (scan, _) = self.to_learn_from(claims, id).await?;
        let tenant = claims.tenant().id();
        let names = self.names_of(tenant, scan).await?;
        self.note_learned(claims, scan, "scan.learned.original").await?;
        let read = artefacts::read(self, tenant, scan, ORIGINAL.name).await;
        read.map(|(_, bytes)| (names, bytes))
    }

    async fn names_of(&self, tenant: TenantId, scan: ScanId) -> Result<NamesOfOriginal> {
        let row = of_tenant(self.database.pool(), tenant, scan).await?;
        let mut patients = self.patients_of(tenant, std::slice::from_ref(&row)).await?;
        let known = patients.remove(&row.id);
        let names = Pseudonyms::of_tenant(self.database.pool(), tenant).await?;
        let of = known.as_deref().map_or(Of::Scan(&row.id), Of::Patient);
        let key = names.key(of);
        let whose = known.as_deref().map(|patient| Pseudonyms::whose(&key, patient)).transpose()?;
        Ok(NamesOfOriginal { patient: names.name(of), whose: whose.unwrap_or_default(), key })
    }

    /// Notes that something of a confirmed scan leaves.
    async fn note_learned(
        &self,
        claims: &Claims,
        scan: ScanId,
        action: &'static str,
    ) -> Result<()> {
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let at_ms = store.clock.now_ms();
                let (subject, object) = (&*subject, scan.to_string());
                audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
                // Again, now that the chain is held: what is withdrawn meanwhile is withdrawn before this or after it.
                consent::require(&mut **unit, tenant).await
            })
        })
        .await
    }

    /// The mask that is true of a confirmed scan, if anything is marked, and the beginning of its stored volume.
    pub async fn training_truth(
        &self,
        claims: &Claims,
        id: &str,
    ) -> Result<(Option<TrueMask>, Bytes)> {
        let (scan, found) = self.to_learn_from(claims, id).await?;
        let tenant = claims.tenant().id();
        let beginning = self.beginning(tenant, scan).await?;
        let Some(MaskFile { artefact, name, .. }) = found.mask else {
            return Ok((None, beginning));
        };
        let read = artefacts::read(self, tenant, scan, &artefact).await;
        let (size, bytes) = read?;
        Ok((Some(TrueMask { name, size, bytes }), beginning))
    }

    /// The confirmed scan of that id; any other is not found, whichever the reason.
    async fn to_learn_from(&self, claims: &Claims, id: &str) -> Result<(ScanId, Found)> {
        let (tenant, scan) = (claims.tenant().id(), ScanId::from_str(id)?);
        consent::require(self.database.pool(), tenant).await?;
        let row = of_tenant(self.database.pool(), tenant, scan).await?;
        let found = self.examined(tenant, &row).await?;
        Ok((scan, found.map_err(|_| ErrorKind::NotFound.error("no such scan"))?))
    }

    /// What readers have confirmed of the scan, or why it is none to learn from. A result is as large as its findings are many, and
    /// read of confirmed scans only.
    async fn examined(&self, tenant: TenantId, scan: &Scan) -> Result<Result<Found, Unconfirmed>> {
        let Ok(answer) = answer_of(scan.answer()) else {
            return Ok(Err(Unconfirmed::NotAnalysed));
        };
        let id = ScanId::from_str(&scan.id)?;
        let words = rows::of_scan(self.database.pool(), tenant, id).await?;
        let counted = rows::counted(&words)?;
        let findings = counted.iter().map(|word| word.findings()).collect::<Result<Vec<_>>>()?;
        let counted = counted.into_iter().map(opinion).collect::<Result<Vec<_>>>()?;
        let Confirmed { verdict, truth, mask } = match confirmed(&counted, answer) {
            Ok(confirmed) => confirmed,
            Err(why) => return Ok(Err(why)),
        };
        let (verdict, truth) = (verdict.name(), truth.name());
        let (source, mask) = match mask {
            Mask::Empty => (MaskSource::Empty, None),
            Mask::Model => (MaskSource::Model, self.models_mask(tenant, id, &scan.shape).await?),
            Mask::Reader(word) => {
                (MaskSource::Reader, self.readers_mask(tenant, id, &words, word).await?)
            }
        };
        if mask.is_none() && source != MaskSource::Empty {
            return Ok(Err(Unconfirmed::NoMask));
        }
        let Judged { image_kind, .. } = match self.judged(tenant, scan).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return Ok(Err(Unconfirmed::NotAnalysed));
            }
            judged => judged?,
        };
        let findings = findings.into_iter().flatten().collect();
        Ok(Ok(Found { image_kind, verdict, truth, source, mask, findings }))
    }

    /// The result's own mask of the whole scan.
    async fn models_mask(
        &self,
        tenant: TenantId,
        scan: ScanId,
        shape: &[u32],
    ) -> Result<Option<MaskFile>> {
        // That of a volume is of one of its slices.
        let picture = (shape.first() == Some(&1)).then_some(MASK);
        for artefact in [Some(MASK_VOLUME), picture].into_iter().flatten() {
            let mask = self.mask_file(tenant, scan, artefact.name, artefact.name).await?;
            if mask.is_some() {
                return Ok(mask);
            }
        }
        Ok(None)
    }

    async fn readers_mask(
        &self,
        tenant: TenantId,
        scan: ScanId,
        words: &[rows::Row],
        id: &str,
    ) -> Result<Option<MaskFile>> {
        let Some(word) = words.iter().find(|word| word.id == id) else { return Ok(None) };
        let artefact = artefact_name(&word.id, &word.mask_name);
        self.mask_file(tenant, scan, &artefact, &word.mask_name).await
    }

    async fn mask_file(
        &self,
        tenant: TenantId,
        scan: ScanId,
        artefact: &str,
        name: &str,
    ) -> Result<Option<MaskFile>> {
        let sha256 = artefacts::digest_of(&self.database, tenant, scan, artefact).await?;
        let (artefact, name) = (artefact.to_owned(), name.to_owned());
        Ok(sha256.map(|sha256| MaskFile { artefact, sha256, name }))
    }

    async fn beginning(&self, tenant: TenantId, scan: ScanId) -> Result<Bytes> {
        let read = artefacts::read(self, tenant, scan, VOLUME.name).await;
        let (_, mut bytes) = read?;
        let mut beginning = Vec::new();
        while beginning.len() < BEGINNING_BYTES {
            let Some(piece) = bytes.try_next().await? else { break };
            beginning.extend_from_slice(&piece);
        }
        beginning.truncate(BEGINNING_BYTES);
        Ok(beginning.into())
    }

    /// What the patients of these scans are called within the hospital, by scan; those that nobody knows are left out.
    async fn patients_of(
        &self,
        tenant: TenantId,
        scans: &[Scan],
    ) -> Result<BTreeMap<String, String>> {
        if scans.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut query = QueryBuilder::<Any>::new(
            "SELECT scan_id, patient FROM identities WHERE patient <> '' AND tenant_id = ",
        );
        query.push_bind(tenant.to_string()).push(" AND scan_id IN (");
        let mut list = query.separated(", ");
        for scan in scans {
            list.push_bind(scan.id.clone());
        }
        query.push(")");
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        let pair = |row: &AnyRow| -> sqlx::Result<(String, String)> {
            Ok((row.try_get("scan_id")?, row.try_get("patient")?))
        };
        rows.iter().map(|row| pair(row).map_err(failed)).collect()
    }
}

fn opinion(word: &rows::Row) -> Result<Said<'_>> {
    let (verdict, truth) = (word.verdict()?, word.truth()?);
    Ok(Said { id: &word.id, verdict, truth, has_mask: !word.mask_name.is_empty() })
}

/// The query for one page and one scan more, which tells whether there is a next page.
fn query(tenant: TenantId, cursor: &str, limit: u32) -> Result<QueryBuilder<Any>> {
    let mut query = QueryBuilder::<Any>::new(select!("WHERE scans.tenant_id = "));
    query.push_bind(tenant.to_string());
    query.push(" AND scans.id < ").push_bind(cursor_id::<ScanId>(cursor)?);
    query.push(" AND scans.state = 'done' AND scans.review <> 'unreviewed'");
    query.push(" ORDER BY scans.id DESC LIMIT ").push_bind(i64::from(limit) + 1);
    Ok(query)
}

fn said(
    scan: &Scan,
    id: String,
    patient: Option<&String>,
    names: &Pseudonyms,
    found: Found,
) -> storage::Confirmed {
    let of = patient.map_or(Of::Scan(&scan.id), |patient| Of::Patient(patient));
    storage::Confirmed {
        scan_id: scan.id.clone(),
        id,
        patient: names.name(of),
        patient_known: patient.is_some(),
        image_kind: found.image_kind.unwrap_or_default(),
        verdict: found.verdict.to_owned(),
        truth: found.truth.to_owned(),
        mask: found.source.name().to_owned(),
        mask_sha256: found.mask.map(|mask| mask.sha256).unwrap_or_default(),
        volume_sha256: scan.volume_sha256.clone(),
        shape: scan.shape.clone(),
        findings: found.findings.into_iter().take(FINDINGS_TOLD).map(without_note).collect(),
    }
}

/// As it leaves: what readers note may name somebody.
fn without_note(finding: JudgedFinding) -> ConfirmedFinding {
    ConfirmedFinding {
        label: finding.label,
        verdict: finding.verdict.name().to_owned(),
        reason: finding.reason.map_or("", Reason::name).to_owned(),
    }
}
