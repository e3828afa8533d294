//! Offline evaluations, as they are reported and told.

use std::cmp::Reverse;

use domain::TenantId;
use proto::drift::{
    ListEvaluationsRequest, MeanDice, OfflineEvaluation, OfflineEvaluations, Share,
};
use proto::events::ModelIdentity;
use service::claims::{Role, authorised};
use tonic::Code;

use crate::world::{Drift, NOW_MS, tenant};

fn measured(version: &str, mean: f64) -> OfflineEvaluation {
    let share = |count, of| Some(Share { count, of, ..Share::default() });
    OfflineEvaluation {
        model: Some(ModelIdentity {
            name: "m".into(),
            version: version.into(),
            sha256: "ab".into(),
        }),
        data_version: "kept".into(),
        patients: 10,
        slices: 100,
        dice: Some(MeanDice { mean, low: 0.25, high: 0.75, count: 10, ..MeanDice::default() }),
        far: share(1, 4),
        frr: share(2, 96),
        ..OfflineEvaluation::default()
    }
}

async fn record(
    drift: &Drift,
    tenant: TenantId,
    evaluation: OfflineEvaluation,
) -> anyhow::Result<OfflineEvaluation> {
    let request = authorised(evaluation, &drift.issuer.token(tenant, &[Role::Scientist]));
    Ok(drift.client.clone().record_evaluation(request).await?.into_inner())
}

async fn list(
    drift: &Drift,
    tenant: TenantId,
    asked: ListEvaluationsRequest,
) -> anyhow::Result<OfflineEvaluations> {
    let request = authorised(asked, &drift.issuer.token(tenant, &[Role::Clinician]));
    Ok(drift.client.clone().list_evaluations(request).await?.into_inner())
}

pub async fn what_was_measured_offline_is_kept_and_listed_newest_first(
    drift: Drift,
) -> anyhow::Result<()> {
    let (hospital, other) = (tenant(), tenant());
    let first = record(&drift, hospital, measured("1", 0.5)).await?;
    let far = first.far.as_ref().and_then(|far| far.rate);
    assert_eq!((first.evaluated_ms, far), (NOW_MS, Some(0.25)));
    let second = record(&drift, hospital, measured("2", 0.625)).await?;
    let of_nothing = OfflineEvaluation { dice: None, far: None, frr: None, ..measured("2", 0.5) };
    let third = record(&drift, hospital, of_nothing).await?;
    record(&drift, other, measured("1", 0.375)).await?;

    // By ids, which are in order from one millisecond to the next; the clock stands.
    let mut all = vec![first.clone(), second, third];
    all.sort_by_cached_key(|one| Reverse(one.id.clone()));
    let asked = ListEvaluationsRequest::default();
    let page = list(&drift, hospital, asked.clone()).await?;
    assert_eq!((page.evaluations, page.next_cursor.as_str()), (all.clone(), ""));
    let page = list(&drift, hospital, ListEvaluationsRequest { limit: 2, ..asked.clone() }).await?;
    assert_eq!(page.evaluations, all[..2]);
    let cursor = page.next_cursor;
    let page = list(&drift, hospital, ListEvaluationsRequest { cursor, ..asked.clone() }).await?;
    assert_eq!((page.evaluations, page.next_cursor.as_str()), (vec![all[2].clone()], ""));
    let asked =
        ListEvaluationsRequest { model_name: "m".into(), model_version: "1".into(), ..asked };
    assert_eq!(list(&drift, hospital, asked).await?.evaluations, [first]);

    let strange = OfflineEvaluation { patients: 0, ..measured("1", 0.5) };
    let refused = record(&drift, hospital, strange).await;
    let status = refused.err().and_then(|error| error.downcast::<tonic::Status>().ok());
    assert_eq!(status.map(|status| status.code()), Some(Code::InvalidArgument));
    Ok(())
}

pub async fn of_many_evaluations_the_newest_are_kept(drift: Drift) -> anyhow::Result<()> {
    let (hospital, other) = (tenant(), tenant());
    record(&drift, other, measured("1", 0.5)).await?;
    // Older than all that are reported from now on.
    for number in 0..1000 {
        sqlx::query(
            "INSERT INTO evaluations (tenant_id, evaluation_id, evaluated_ms, model_name, model_version, model_sha256,
                 data_version, patients, slices, dice_patients, dice_empty, far_count, far_of, frr_count, frr_of)
             VALUES (?, ?, 1, 'm', '1', 'ab', 'kept', 1, 1, 0, 0, 0, 0, 0, 0)",
        )
        .bind(hospital.to_string())
        .bind(format!("00000000-0000-7000-8000-{number:012}"))
        .execute(drift.database.pool())
        .await?;
    }
    record(&drift, hospital, measured("2", 0.5)).await?;
    assert_eq!(drift.rows("SELECT COUNT(*) FROM evaluations").await?, 1001);
    let oldest = "SELECT COUNT(*) FROM evaluations WHERE evaluation_id LIKE '%-000000000000'";
    assert_eq!(drift.rows(oldest).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluations_are_reported_by_scientists_and_admins() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    for (role, allowed) in [
        (Role::Scientist, true),
        (Role::Admin, true),
        (Role::Clinician, false),
        (Role::Integrator, false),
    ] {
        let request = authorised(measured("1", 0.5), &drift.issuer.token(tenant(), &[role]));
        let kept = drift.client.clone().record_evaluation(request).await;
        let denied = kept.err().map(|status| status.code());
        assert_eq!(denied, if allowed { None } else { Some(Code::PermissionDenied) }, "{role:?}");
    }
    Ok(())
}
