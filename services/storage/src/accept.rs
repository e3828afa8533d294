use domain::artefact::{IMAGE, ORIGINAL, VOLUME};
use domain::{Answer, ErrorKind, JobId, Priority, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{AcceptHeader, Answer as WireAnswer, Scan, State};
use service::claims::{Claims, Tenant};
use service::topics::scan_ready;
use service::{trace, wire};

use crate::artefacts::{self, Artefact, Staged, sha256_of};
use crate::audit::{self, Entry};
use crate::erasures::barred;
use crate::identities;
use crate::jobs::{REASON_MAX, truncate};
use crate::lifecycle::{self, ANNOUNCE_MS};
use crate::limits::{self, Arriving};
use crate::series_choice;
use crate::store::Store;

const PATIENT_MAX: usize = 400;
/// The length of the columns of site and scanner, which `domain::Equipment` keeps to.
const EQUIPMENT_MAX: usize = 64;

/// A scan that is about to be stored.
struct Accepted {
    tenant: TenantId,
    scan: ScanId,
    job: JobId,
    at_ms: i64,
    binding: String,
    header: AcceptHeader,
    /// The text of whose scan it is, and as the row keeps it.
    identity: [String; 2],
    artefacts: Vec<Artefact>,
    subject: String,
    /// The trace that it is a part of; empty: none.
    traceparent: String,
    /// What is counted of it, where its hospital or its sender has a limit.
    limited: Option<Arriving>,
}

impl Accepted {
    fn priority(&self) -> Priority {
        wire::priority_of(self.header.priority())
    }

    /// Whether it waits for its analysis: a series that others of its study were preferred to is only kept.
    fn waits(&self) -> bool {
        self.header.not_picked.is_empty()
    }

    /// Why it does not wait; empty: it does.
    fn reason(&self) -> String {
        truncate(&self.header.not_picked, REASON_MAX)
    }

    /// When it was done without an analysis; 0: it waits for one.
    fn completed_ms(&self) -> i64 {
        if self.waits() { 0 } else { self.at_ms }
    }
}

impl Store {
    /// Keeps one checked scan: bytes first, then everything else in one unit. Once this answers, no
    /// crash loses the scan; if it fails, nothing of it is visible.
    ///
    /// A repeat with the same key and the same bytes finds the same scan; with other bytes it is a
    /// conflict. Without a key, every call is a new scan. What was erased with its patient, or had come before, is a conflict, too.
    /// `Exhausted` where a limit of the hospital or of the sender, or the hospital's share of the disk, leaves no room.
    pub async fn accept(
        &self,
        claims: &Claims,
        header: AcceptHeader,
        objects: Vec<(String, Staged)>,
    ) -> Result<Scan> {
        check(&header, &objects)?;
        if let Some(scan) = self.repeated(claims.tenant(), &header).await? {
            return Ok(scan);
        }
        let arriving = arriving(claims, &header, &objects, self.clock.now_ms());
        let is_limited = match self.require_room(&arriving).await {
            // The same upload may have taken the last of a limit in the same moment.
            Err(error) if error.kind() == ErrorKind::Exhausted => {
                return self.repeated(claims.tenant(), &header).await?.ok_or(error);
            }
            room => room?,
        };
        let accepted = self.prepare(claims, header.clone(), objects).await?;
        let accepted = Accepted { limited: is_limited.then_some(arriving), ..accepted };
        let (tenant, scan) = (accepted.tenant, scan_of(&accepted));
        let keys: Vec<_> = accepted.artefacts.iter().map(|kept| kept.key.clone()).collect();
        let inserted = self
            .unit(Some(tenant), move |store, unit| {
                Box::pin(async move { store.insert(unit, accepted).await })
            })
            .await;
        match inserted {
            Ok(()) => {
                self.changed(tenant, scan.id.parse()?);
                Ok(scan)
            }
            // Somebody else used the same key in the same moment, and was first.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.discard(&keys).await;
                self.repeated(claims.tenant(), &header).await?.ok_or(error)
            }
            // Others have taken the last of a limit in the same moment.
            Err(error) if error.kind() == ErrorKind::Exhausted => {
                self.discard(&keys).await;
                Err(error)
            }
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, "kept the bytes of a scan but not its row");
                Err(error)
            }
        }
    }

    /// The scan of an earlier upload with the same idempotency key.
    async fn repeated(&self, tenant: Tenant, header: &AcceptHeader) -> Result<Option<Scan>> {
        if header.idempotency_key.is_empty() {
            return Ok(None);
        }
        let found: Option<(String, String)> = sqlx::query_as(
            "SELECT scan_id, fingerprint FROM idempotency WHERE tenant_id = ? AND key_sha256 = ?",
        )
        .id(tenant)
        .bind(sha256_of(&[&header.idempotency_key]))
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        let Some((scan, fingerprint)) = found else { return Ok(None) };
        if fingerprint.is_empty() {
            return Err(ErrorKind::Conflict.error(
                "the scan that this Idempotency-Key has made was deleted: send it with another key",
            ));
        }
        if fingerprint != fingerprint_of(header) {
            return Err(ErrorKind::Conflict
                .error("this Idempotency-Key was used before, with another upload"));
        }
        Ok(Some(Scan { repeated: true, ..self.scan(&tenant, &scan).await? }))
    }

    async fn prepare(
        &self,
        claims: &Claims,
        header: AcceptHeader,
        objects: Vec<(String, Staged)>,
    ) -> Result<Accepted> {
        let tenant = claims.tenant().id();
        let scan = ScanId::new(&self.clock, &self.random);
        // What cannot be read is refused before a byte is kept.
        let text = identities::text(&header)?;
        let kept = match artefacts::seal_of(&objects) {
            Some(seal) => seal.identity(tenant, &scan.to_string(), &text, &self.random)?,
            None => text.clone(),
        };
        let artefacts = artefacts::keep(&self.blobs, tenant, scan, 0, objects).await?;
        let AcceptHeader { volume_sha256, patient, .. } = &header;
        let binding = identities::binding(tenant, &scan.to_string(), volume_sha256, patient);
        Ok(Accepted {
            tenant,
            scan,
            job: JobId::new(&self.clock, &self.random),
            at_ms: self.clock.now_ms(),
            binding,
            header,
            identity: [text, kept],
            artefacts,
            subject: claims.subject.clone(),
            traceparent: trace::traceparent(),
            limited: None,
        })
    }

    /// Everything but the bytes.
    async fn insert(&self, unit: &mut Unit, accepted: Accepted) -> Result<()> {
        insert_scan(unit, &accepted).await?;
        insert_key(unit, &accepted).await?;
        insert_job(unit, &accepted).await?;
        let (of, scan) = (accepted.tenant.to_string(), accepted.scan.to_string());
        identities::insert(unit, &of, &scan, &accepted.header, &accepted.identity).await?;
        let (topic, waits) = (scan_ready(accepted.priority()), accepted.waits());
        let arrival = barred::arrival_of(&accepted.header);
        let Accepted { tenant, scan, job, at_ms, artefacts, subject, limited, .. } = accepted;
        if waits {
            self.announce(unit, topic, &job.to_string()).await?;
        }
        let action = if waits { "scan.accepted" } else { "scan.kept" };
        let object = scan.to_string();
        audit::append(unit, Entry { tenant, at_ms, subject: &subject, action, object }).await?;
        if let Some(arriving) = limited {
            limits::count(unit, &arriving).await?;
        }
        artefacts::insert(unit, tenant, scan, &artefacts).await?;
        barred::require_free(unit, tenant, &arrival).await
    }

    /// Deletes objects that will never have a row; the sweep for orphans does what this misses.
    pub async fn discard(&self, keys: &[String]) {
        for key in keys {
            if let Err(error) = self.blobs.delete(key).await {
                tracing::warn!(%error, "left an object without a row");
            }
        }
    }
}

/// Checks the header against the objects, and the lengths of its fields.
fn check(header: &AcceptHeader, objects: &[(String, Staged)]) -> Result<()> {
    let digest = |name: &str| {
        let mut named = objects.iter().filter(|(object, _)| object == name);
        named.next().map(|(_, staged)| staged.sha256.as_str())
    };
    let declared = [(VOLUME, &header.volume_sha256), (ORIGINAL, &header.original_sha256)];
    for (name, declared) in declared.map(|(artefact, declared)| (artefact.name, declared)) {
        if digest(name) != Some(declared.as_str()) {
            return Err(ErrorKind::Invalid.error(format!(
                "the {name}'s bytes are not those that were announced: they were damaged on the way"
            )));
        }
    }
    if digest(IMAGE.name).is_none() {
        return Err(ErrorKind::Invalid.error("a scan needs its preview"));
    }
    let fits = header.shape.len() == 3
        && header.format.len() <= 32
        && header.modality.len() <= 16
        && header.patient.len() <= PATIENT_MAX
        && header.reference.len() <= PATIENT_MAX;
    if !fits {
        return Err(ErrorKind::Invalid.error("a field of the scan's header has no sound length"));
    }
    Ok(())
}

/// What limits are asked about.
fn arriving(
    claims: &Claims,
    header: &AcceptHeader,
    objects: &[(String, Staged)],
    at_ms: i64,
) -> Arriving {
    let mut originals = objects.iter().filter(|(name, _)| name == ORIGINAL.name);
    let bytes = originals.next().map_or(0, |(_, staged)| staged.size);
    let stored = artefacts::sum(objects.iter().map(|(_, staged)| staged.size));
    Arriving {
        tenant: claims.tenant().id(),
        sender: claims.subject.clone(),
        at_ms,
        bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        stored,
        waits: header.not_picked.is_empty(),
    }
}

/// The scan as the API will return it.
fn scan_of(accepted: &Accepted) -> Scan {
    let header = accepted.header.clone();
    let waits = accepted.waits();
    let state = if waits { State::Queued } else { State::Done };
    let answer = if waits { WireAnswer::Unspecified } else { WireAnswer::NotAnalysable };
    Scan {
        id: accepted.scan.to_string(),
        state: state.into(),
        answer: answer.into(),
        reason: accepted.reason(),
        accepted_ms: accepted.at_ms,
        completed_ms: accepted.completed_ms(),
        format: header.format,
        modality: header.modality,
        original_sha256: header.original_sha256,
        volume_sha256: header.volume_sha256,
        shape: header.shape,
        priority: wire::priority(accepted.priority()).into(),
        site: truncate(&header.site, EQUIPMENT_MAX),
        series: header.series,
        ..Default::default()
    }
}

fn fingerprint_of(header: &AcceptHeader) -> String {
    let AcceptHeader { original_sha256, patient, stated, .. } = header;
    match stated.as_str() {
        "" => sha256_of(&[original_sha256, patient]),
        stated => sha256_of(&[original_sha256, patient, stated]),
    }
}

async fn insert_scan(unit: &mut Unit, accepted: &Accepted) -> Result<()> {
    let header = &accepted.header;
    let shape: Vec<_> = header.shape.iter().map(ToString::to_string).collect();
    sqlx::query(
        "INSERT INTO scans (tenant_id, id, state, answer, reason, accepted_ms, completed_ms, format,
             modality, shape, original_sha256, volume_sha256, site, scanner, changed_ms, series_json)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(accepted.tenant)
    .id(accepted.scan)
    .bind(if accepted.waits() { "queued" } else { "done" })
    .bind(if accepted.waits() { "" } else { Answer::NotAnalysable.name() })
    .bind(accepted.reason())
    .bind(accepted.at_ms)
    .bind(accepted.completed_ms())
    .bind(&header.format)
    .bind(&header.modality)
    .bind(shape.join(","))
    .bind(&header.original_sha256)
    .bind(&header.volume_sha256)
    .bind(truncate(&header.site, EQUIPMENT_MAX))
    .bind(truncate(&header.scanner, EQUIPMENT_MAX))
    .bind(accepted.at_ms)
    .bind(series_choice::json(header.series.as_ref())?)
    .run(unit)
    .await
    .map(drop)
}

async fn insert_key(unit: &mut Unit, accepted: &Accepted) -> Result<()> {
    if accepted.header.idempotency_key.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO idempotency (tenant_id, key_sha256, fingerprint, scan_id) VALUES (?, ?, ?, ?)",
    )
    .id(accepted.tenant)
    .bind(sha256_of(&[&accepted.header.idempotency_key]))
    .bind(fingerprint_of(&accepted.header))
    .id(accepted.scan)
    .run(unit)
    .await
    .map(drop)
}

async fn insert_job(unit: &mut Unit, accepted: &Accepted) -> Result<()> {
    // A parked job waits for nobody, until somebody asks for it to be renewed.
    let state = if accepted.waits() { lifecycle::State::Queued } else { lifecycle::State::Parked };
    sqlx::query(
        "INSERT INTO jobs (tenant_id, id, scan_id, state, attempt, due_ms, worker, binding, traceparent,
             priority, sender)
         VALUES (?, ?, ?, ?, 0, ?, '', ?, ?, ?, ?)",
    )
    .id(accepted.tenant)
    .id(accepted.job)
    .id(accepted.scan)
    .bind(state.name())
    .bind(accepted.at_ms + ANNOUNCE_MS)
    .bind(&accepted.binding)
    .bind(&accepted.traceparent)
    .bind(accepted.priority().name())
    .bind(&accepted.subject)
    .run(unit)
    .await
    .map(drop)
}
