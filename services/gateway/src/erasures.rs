use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::rfc3339;
use proto::storage::{self, ErasureRef};
use proto::{delivery, drift, registry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::problem::{INTERNAL, Problem};
use crate::said;
use crate::scans::some;

/// The form of the statement; a change that could break a reader changes the number.
const SCHEMA: &str = "medseg.erasure/1";

/// What is kept of an erased scan on purpose, and why; `docs/security.md` says the same.
const KEPT: [[&str; 2]; 9] = [
    [
        "audit entries",
        "they form a chain: who did what with which id, and never who the patient is",
    ],
    [
        "the scan's id, with when it came and went",
        "no key makes it once more, and a restored backup erases it again",
    ],
    [
        "this erasure: ids, digests of keys, counts and the reason",
        "it shows that the scans are gone",
    ],
    [
        "closed windows and reports of drift and quality",
        "they are counts and distributions of many scans, without an id",
    ],
    [
        "digests, with a key of the hospital, of the patient's number and of studies, series and files",
        "what was erased, or had come before, is known again by them and refused, until an administrator lifts the erasure",
    ],
    [
        "uploads that came in parts and are not whole",
        "whose they are is not known before they are decoded: they are refused when they are whole, and go by themselves after UNFINISHED_HOURS",
    ],
    [
        "instances by DICOM whose sender may send no more",
        "no scan can be made of them, and they go by themselves after DICOM_KEPT_HOURS; all others are dropped, as `refused` says",
    ],
    [
        "deleted objects, where the bucket keeps such for a while (soft delete, versions)",
        "the object store says that they are gone; until that time is over, whoever administers the bucket can have them back",
    ],
    [
        "backups",
        "they are as old as they are: files in them that were encrypted need the keys in `keys`, of which deploy/backup.sh keeps the table apart, and deploy/restore.sh has what was erased erased again",
    ],
];

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(erase)).routes(routes!(show)).routes(routes!(lift))
}

/// Whom to erase: a patient by number and issuer, or whoever's that scan is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewErasure {
    /// As the files say it, or the sender has stated it.
    #[serde(default)]
    #[schema(min_length = 1)]
    patient_id: Option<String>,
    /// Who gave the number, where the files say so.
    #[serde(default)]
    #[schema(min_length = 1)]
    issuer_of_patient_id: Option<String>,
    /// A scan of the patient, in place of both. Where nobody knows whose it is, it is erased alone.
    #[serde(default)]
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    /// Why. It is kept, and may not name the patient.
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: String,
}

/// That it is done.
#[derive(Serialize, ToSchema)]
pub struct ErasureMade {
    /// The receipt is at `/v1/erasures/{id}`.
    #[schema(format = "uuid")]
    id: String,
    /// How many scans were erased, with those that had been deleted before.
    scans: usize,
}

/// A statement of what was erased, and the deployment's signature of it.
#[derive(Serialize, ToSchema)]
pub struct ErasureReceipt {
    statement: ErasureStatement,
    signature: ReceiptSignature,
}

/// An Ed25519 signature (RFC 8032).
#[derive(Serialize, ToSchema)]
pub struct ReceiptSignature {
    /// The key, as `/.well-known/result-keys.json` names it.
    key_id: String,
    /// The signature's 64 bytes, in hex: of `medseg-erasure-1`, a byte 0 and the statement's canonical JSON (RFC 8785).
    value: String,
}

/// What was erased, who had a copy, what is kept on purpose, and what is left.
// Fields stand in the order of their names: what is signed is this, as canonical JSON has it (RFC 8785).
#[derive(Serialize, ToSchema)]
pub struct ErasureStatement {
    /// When it was looked what is left.
    #[schema(format = "date-time")]
    checked_at: Option<String>,
    /// Copies that went out, or may have: whoever has them must be asked there.
    copies: Vec<SentCopy>,
    /// When it was asked for.
    #[schema(format = "date-time")]
    erased_at: Option<String>,
    /// The name of the user who asked.
    erased_by: String,
    #[schema(format = "uuid")]
    id: String,
    /// What is kept on purpose.
    kept: Vec<KeptPart>,
    /// The data keys that files of those scans were encrypted with: without them nothing opens what was theirs, in whatever copy.
    keys: Vec<ErasedKey>,
    /// Who has read the scans to make models of them: data sets have them under their pseudonyms.
    learned: Vec<LearnedCopy>,
    /// What is kept and should not be, by what it is; empty once all is gone.
    left: BTreeMap<String, u64>,
    /// Who has let come back what was erased; `null`: it stands.
    lifted: Option<ErasureLifted>,
    reason: String,
    /// What came of the patient and was refused, or had come and lay with ingest, and was dropped.
    refused: Vec<RefusedArrival>,
    scans: Vec<ErasedScan>,
    /// The document's form.
    schema: String,
    /// The hospital.
    #[schema(format = "uuid")]
    tenant_id: String,
    /// Scans of the patient that it has not come to, because a legal hold came in between, or the service stopped; another erasure of the
    /// patient takes them. They are in `left`, too, as `scans`.
    unerased: Vec<String>,
}

/// That nothing is refused any more because of an erasure.
#[derive(Serialize, ToSchema)]
pub struct ErasureLifted {
    #[schema(format = "date-time")]
    at: Option<String>,
    /// The name of the user who lifted it.
    by: String,
    reason: String,
}

/// What may not come back, and did not.
#[derive(Serialize, ToSchema)]
pub struct RefusedArrival {
    #[schema(format = "date-time")]
    at: Option<String>,
    /// `true`: it had been taken, and lay with ingest; `false`: it was refused.
    dropped: bool,
    /// How many files; of a request that brought several of a series, one.
    instances: u64,
}

/// Why what was erased may come back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureLift {
    /// It is kept, and may not name the patient.
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: String,
}

/// A scan that is no more.
#[derive(Serialize, ToSchema)]
pub struct ErasedScan {
    /// When it was deleted, where that was before the erasure: copies of it may be elsewhere; `null`: it was there.
    #[schema(format = "date-time")]
    deleted_at: Option<String>,
    #[schema(format = "date-time")]
    erased_at: Option<String>,
    /// Reports about it whose words were taken away.
    incidents: u64,
    objects: Vec<ErasedObject>,
    /// What the patient is called in data sets; `null`: the hospital has never let anything be learned from.
    patient_pseudonym: Option<String>,
    /// What the scan is called there.
    pseudonym: Option<String>,
    #[schema(format = "uuid")]
    scan_id: String,
    /// Readers' words about it.
    words: u64,
}

/// A data key of the patient.
#[derive(Serialize, ToSchema)]
pub struct ErasedKey {
    /// `null`: not yet, for scans are left that it opens.
    #[schema(format = "date-time")]
    destroyed_at: Option<String>,
    id: String,
    #[schema(format = "date-time")]
    made_at: Option<String>,
}

/// A file that it had.
#[derive(Serialize, ToSchema)]
pub struct ErasedObject {
    /// Whether the object store has confirmed that it is gone.
    gone: bool,
    /// SHA-256 of the key that it was kept under, in hex.
    key_sha256: String,
    name: String,
    size_bytes: u64,
}

/// A copy that was sent.
#[derive(Serialize, ToSchema)]
pub struct SentCopy {
    #[schema(format = "date-time")]
    at: Option<String>,
    /// `false`: it was tried and not confirmed, and may have arrived.
    delivered: bool,
    /// Its name now; `null`: it was removed.
    destination: Option<String>,
    #[schema(format = "uuid")]
    destination_id: String,
    #[schema(format = "uuid")]
    scan_id: String,
}

/// A copy that was read for learning.
#[derive(Serialize, ToSchema)]
pub struct LearnedCopy {
    #[schema(format = "date-time")]
    at: Option<String>,
    /// The user or API client.
    reader_id: String,
    #[schema(format = "uuid")]
    scan_id: String,
}

/// Something that is kept on purpose.
#[derive(Serialize, ToSchema)]
pub struct KeptPart {
    because: String,
    what: String,
}

/// Erases a patient: every scan of theirs with everything that is kept of it
///
/// For the role `admin`, and for good. Another examination that is sent of the patient later is a scan again; what had come before, and
/// whatever is of a study, a series or a file that was erased, is refused as `erased` until an administrator lifts that. Scans that were deleted
/// before are named in the receipt, for copies may be elsewhere. Nothing is erased where one of the scans is under a legal hold; where one is
/// placed meanwhile, the rest is kept, and can be erased in the same way once it is taken back. What drift,
/// delivery, the registry and ingest keep goes within moments: the receipt says what is left.
#[utoipa::path(
    operation_id = "erase_patient", post, path = "/v1/erasures", tag = "erasures", request_body = NewErasure,
    responses(
        (status = 201, description = "They are erased", body = ErasureMade),
        (status = 404, description = "No scan of that patient is here", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "One of the scans is held; where the hold came in between, `detail` names the erasure whose receipt says how far it came", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn erase(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(new): JsonBody<NewErasure>,
) -> Result<(StatusCode, Json<ErasureMade>), Problem> {
    let whose = whose(new.patient_id, new.issuer_of_patient_id, new.scan_id)?;
    let new = storage::NewErasure { whose: Some(whose), reason: new.reason };
    let done = gateway.erasures.erase(caller.request(new)).await?.into_inner();
    Ok((StatusCode::CREATED, Json(ErasureMade { id: done.id, scans: done.scans.len() })))
}

/// Shows the receipt of an erasure, signed as results are; for the role `admin`
///
/// It is made when it is asked for: what went out at the same moment is in a later one, and `left` is empty once everything is gone.
#[utoipa::path(
    operation_id = "get_erasure", get, path = "/v1/erasures/{id}", tag = "erasures",
    params(("id" = String, Path, description = "The erasure's id", format = "uuid")),
    responses(
        (status = 200, description = "What was erased, and what is left", body = ErasureReceipt),
        (status = 404, description = "No such erasure", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ErasureReceipt>, Problem> {
    let done = gateway.erasures.get_erasure(caller.request(ErasureRef { id })).await?.into_inner();
    let left = left(&mut gateway, &caller, &done).await?;
    let asked = caller.request(delivery::ListDestinationsRequest {});
    let destinations = gateway.delivery.list_destinations(asked).await?.into_inner().destinations;
    let names = destinations.into_iter().map(|one| (one.id, one.name)).collect();
    let statement = stated(&gateway, &caller, done, (left, &names));
    let canonical = serde_json::to_vec(&statement).map_err(|error| {
        tracing::error!(%error, "a receipt cannot be written");
        INTERNAL.problem("internal error")
    })?;
    let canonical = registry::ReceiptStatement { canonical: canonical.into() };
    let signed = gateway.models.sign_receipt(caller.request(canonical)).await?.into_inner();
    let signature = ReceiptSignature { key_id: signed.key_id, value: signed.value };
    Ok(Json(ErasureReceipt { statement, signature }))
}

/// Lets come back what was erased
///
/// For the role `admin`, with a reason; it is in the audit trail. From then on nothing is refused because of that erasure, and what is sent
/// makes a scan again, also with the same `Idempotency-Key`. Nothing comes back by itself. The id is the one that a refusal names.
#[utoipa::path(
    operation_id = "lift_erasure", post, path = "/v1/erasures/{id}/lift", tag = "erasures", request_body = ErasureLift,
    params(("id" = String, Path, description = "The erasure's id", format = "uuid")),
    responses(
        (status = 204, description = "It may come back"),
        (status = 404, description = "No such erasure", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn lift(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(ErasureLift { reason }): JsonBody<ErasureLift>,
) -> Result<StatusCode, Problem> {
    gateway.erasures.lift(caller.request(storage::ErasureLift { id, reason })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A patient or a scan, as storage is asked for one.
pub fn whose(
    patient_id: Option<String>,
    issuer: Option<String>,
    scan_id: Option<String>,
) -> Result<storage::Whose, Problem> {
    Ok(storage::Whose {
        patient_id: said::something("patient_id", patient_id)?,
        issuer: said::something("issuer_of_patient_id", issuer)?,
        scan_id: said::something("scan_id", scan_id)?,
    })
}

fn kept() -> Vec<KeptPart> {
    let part = |[what, because]: [&str; 2]| KeptPart { because: because.into(), what: what.into() };
    KEPT.map(part).into()
}

/// What storage, drift, delivery and the registry still have of the scans.
async fn left(
    gateway: &mut Gateway,
    caller: &Caller,
    done: &storage::Erasure,
) -> Result<BTreeMap<String, u64>, Problem> {
    let scan_ids: Vec<String> = done.scans.iter().map(|scan| scan.id.clone()).collect();
    let mut left: BTreeMap<String, u64> =
        done.left.iter().map(|(what, rows)| (what.clone(), *rows)).collect();
    let asked = drift::ScansAsked { scan_ids: scan_ids.clone() };
    let of_drift = gateway.drift.count_rows(caller.request(asked)).await?.into_inner().rows;
    let asked = delivery::ScansAsked { scan_ids: scan_ids.clone() };
    let of_delivery = gateway.delivery.count_rows(caller.request(asked)).await?.into_inner().rows;
    let asked = registry::ScansAsked { scan_ids };
    let of_registry = gateway.models.count_rows(caller.request(asked)).await?.into_inner().rows;
    for (what, rows) in
        [("observations", of_drift), ("deliveries", of_delivery), ("comparisons", of_registry)]
    {
        if rows > 0 {
            left.insert(what.to_owned(), rows);
        }
    }
    Ok(left)
}

fn stated(
    gateway: &Gateway,
    caller: &Caller,
    done: storage::Erasure,
    (left, names): (BTreeMap<String, u64>, &BTreeMap<String, String>),
) -> ErasureStatement {
    let sent = |copy: storage::SentCopy| SentCopy {
        at: rfc3339(copy.at_ms),
        delivered: copy.delivered,
        destination: names.get(&copy.destination_id).cloned(),
        destination_id: copy.destination_id,
        scan_id: copy.scan_id,
    };
    let learned = |copy: storage::LearnedCopy| LearnedCopy {
        at: rfc3339(copy.at_ms),
        reader_id: copy.reader_id,
        scan_id: copy.scan_id,
    };
    let lifted = (done.lifted_ms > 0).then(|| ErasureLifted {
        at: rfc3339(done.lifted_ms),
        by: done.lifted_by.clone(),
        reason: done.lifted_reason.clone(),
    });
    ErasureStatement {
        checked_at: rfc3339(gateway.clock.now_ms()),
        copies: done.sent.into_iter().map(sent).collect(),
        erased_at: rfc3339(done.begun_ms),
        erased_by: done.erased_by,
        id: done.id,
        kept: kept(),
        keys: done.keys.into_iter().map(ErasedKey::from).collect(),
        learned: done.learned.into_iter().map(learned).collect(),
        left,
        lifted,
        reason: done.reason,
        refused: done.refused.into_iter().map(RefusedArrival::from).collect(),
        scans: done.scans.into_iter().map(ErasedScan::from).collect(),
        schema: SCHEMA.to_owned(),
        tenant_id: caller.tenant().to_string(),
        unerased: done.unerased,
    }
}

impl From<storage::ErasedKey> for ErasedKey {
    fn from(key: storage::ErasedKey) -> ErasedKey {
        let storage::ErasedKey { id, made_ms, destroyed_ms } = key;
        let destroyed_at = Some(destroyed_ms).filter(|ms| *ms > 0).and_then(rfc3339);
        ErasedKey { destroyed_at, id, made_at: rfc3339(made_ms) }
    }
}

impl From<storage::RefusedArrival> for RefusedArrival {
    fn from(arrival: storage::RefusedArrival) -> RefusedArrival {
        let storage::RefusedArrival { at_ms, instances, dropped } = arrival;
        RefusedArrival { at: rfc3339(at_ms), dropped, instances }
    }
}

impl From<storage::ErasedScan> for ErasedScan {
    fn from(scan: storage::ErasedScan) -> ErasedScan {
        let object = |object: storage::ErasedObject| ErasedObject {
            gone: object.gone,
            key_sha256: object.key_sha256,
            name: object.name,
            size_bytes: object.size_bytes,
        };
        ErasedScan {
            deleted_at: Some(scan.deleted_ms).filter(|ms| *ms > 0).and_then(rfc3339),
            erased_at: rfc3339(scan.erased_ms),
            incidents: scan.incidents,
            objects: scan.objects.into_iter().map(object).collect(),
            patient_pseudonym: some(scan.patient_pseudonym),
            pseudonym: some(scan.pseudonym),
            scan_id: scan.id,
            words: scan.words,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Whether fields of an object stand in another order than that of their names.
    fn unsorted(text: &str) -> bool {
        let value: Value = serde_json::from_str(text).unwrap();
        serde_json::to_string(&sorted(value)).unwrap() != text
    }

    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<String, Value> =
                    fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
                Value::Object(fields.into_iter().collect())
            }
            Value::Array(items) => items.into_iter().map(sorted).collect(),
            value => value,
        }
    }

    #[test]
    fn what_is_signed_is_canonical_json() {
        let object = ErasedObject {
            gone: true,
            key_sha256: "ab".into(),
            name: "original".into(),
            size_bytes: 7,
        };
        let lifted = ErasureLifted { at: rfc3339(6), by: "ada".into(), reason: "so".into() };
        let refused = RefusedArrival { at: rfc3339(7), dropped: true, instances: 2 };
        let scan = ErasedScan {
            deleted_at: None,
            erased_at: rfc3339(1),
            incidents: 1,
            objects: vec![object],
            patient_pseudonym: None,
            pseudonym: Some("cd".into()),
            scan_id: "s".into(),
            words: 2,
        };
        let copy = SentCopy {
            at: rfc3339(2),
            delivered: true,
            destination: Some("the archive".into()),
            destination_id: "d".into(),
            scan_id: "s".into(),
        };
        let learned = LearnedCopy { at: rfc3339(3), reader_id: "ada".into(), scan_id: "s".into() };
        let statement = ErasureStatement {
            checked_at: rfc3339(4),
            copies: vec![copy],
            erased_at: rfc3339(5),
            erased_by: "eve".into(),
            id: "e".into(),
            kept: kept(),
            keys: vec![ErasedKey { destroyed_at: rfc3339(8), id: "k".into(), made_at: rfc3339(9) }],
            learned: vec![learned],
            left: [("objects".to_owned(), 1), ("deliveries".to_owned(), 2)].into(),
            lifted: Some(lifted),
            reason: "they ask for it".into(),
            refused: vec![refused],
            scans: vec![scan],
            schema: SCHEMA.to_owned(),
            tenant_id: "t".into(),
            unerased: vec!["s".into()],
        };
        let text = serde_json::to_string(&statement).unwrap();
        assert!(!unsorted(&text), "{text}");
        assert!(unsorted(r#"{"b":1,"a":2}"#));
    }
}
