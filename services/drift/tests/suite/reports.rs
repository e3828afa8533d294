//! From events to a report, through the service's own doors.

use proto::drift::{ReportRef, ReportRequest, Verdict};
use serde_json::{Value, json};
use service::claims::{Role, authorised};
use service::topics::SCAN_COMPLETED;
use tonic::Code;

use crate::world::{Drift, NOW_MS, completed, spread, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn a_window_unlike_the_training_is_reported_as_drift() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    for (index, value) in spread(40).enumerate() {
        drift.emit(&completed(hospital, &format!("e{index}"), value + 0.6)).await?;
    }
    let report = drift.report_of(hospital, 40).await?;
    let verdicts: Vec<_> = report["features"]
        .as_array()
        .expect("features")
        .iter()
        .map(|feature| (feature["name"].as_str(), feature["verdict"].as_str()))
        .collect();
    assert_eq!(
        verdicts,
        [
            (Some("confidence"), Some("no_reference")),
            (Some("mask_fraction"), Some("no_reference")),
            (Some("mean"), Some("drift"))
        ]
    );
    assert_eq!(
        (&report["verdict"], &report["response_ms"]["p50"]),
        (&json!("drift"), &json!(120.0))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_twice_counts_once() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    for id in ["same", "same", "other", "same", "last"] {
        drift.emit(&completed(hospital, id, 0.5)).await?;
    }
    // The queue gives them in order, and at most a few at a time: the last is seen with all before it in hand.
    let report = drift.report_of(hospital, 3).await?;
    assert_eq!(report["scans"], 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_event_stops_nothing() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    drift.queue.emit(SCAN_COMPLETED, b"no event").await?;
    drift.emit(&completed(hospital, "one", 0.5)).await?;
    assert_eq!(drift.report_of(hospital, 1).await?["features"][2]["verdict"], "too_few_scans");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_hospital_sees_neither_scans_nor_reports() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let (hospital, other) = (tenant(), tenant());
    drift.emit(&completed(hospital, "one", 0.5)).await?;
    let mine = drift.report_of(hospital, 1).await?;
    assert_eq!(drift.report(other, ReportRequest::default()).await?["scans"], 0);

    let id = mine["id"].as_str().expect("an id").to_owned();
    let token = |tenant| drift.issuer.token(tenant, &[Role::Admin]);
    let mut client = drift.client.clone();
    let again = authorised(ReportRef { id: id.clone() }, &token(hospital));
    let again = client.get_report(again).await?.into_inner();
    assert_eq!(serde_json::from_str::<Value>(&again.json)?, mine);
    assert!(again.html.starts_with("<!doctype html>"));
    // The fields say what the JSON says, which the gateway of the version before reads.
    let said = (again.scans, again.verdict(), again.features.len(), again.answers["found"]);
    assert_eq!(said, (1, Verdict::TooFewScans, 3, 1));
    let times = again.response_ms.map(|times| (times.scans, times.p95));
    let model = again.models[0].model.as_ref().map(|model| model.name.as_str());
    assert_eq!((times, model), (Some((1, 120.0)), Some("medseg-mr")));

    let refused =
        drift.client.clone().get_report(authorised(ReportRef { id }, &token(other))).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_for_scientists_and_admins() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let clinician = drift.issuer.token(tenant(), &[Role::Clinician, Role::Integrator]);
    for token in [clinician, drift.issuer.service_token()] {
        let request = authorised(ReportRequest::default(), &token);
        let refused = drift.client.clone().create_report(request).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    }
    let nobody = drift.client.clone().create_report(ReportRequest::default()).await;
    assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_scans_of_the_window_are_compared() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    drift.emit(&completed(hospital, "one", 0.5)).await?;
    drift.report_of(hospital, 1).await?;
    for (from_ms, to_ms, scans) in
        [(0, NOW_MS - 1000, 0), (NOW_MS - 1000, NOW_MS, 1), (NOW_MS - 999, 0, 0)]
    {
        let report = drift.report(hospital, ReportRequest { from_ms, to_ms }).await?;
        assert_eq!(report["scans"], scans, "{from_ms} to {to_ms}");
    }
    let upside_down = drift.report(hospital, ReportRequest { from_ms: 10, to_ms: 5 }).await;
    assert!(upside_down.unwrap_err().to_string().contains("a window ends after it begins"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_scans_the_newest_are_compared_and_the_report_says_so() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}/drift.db", folder.path().display());
    let drift = Drift::on(&url, folder).await?;
    let hospital = tenant();
    // One more than a report looks at; the oldest alone has failed.
    sqlx::query(
        "INSERT INTO observations
             (tenant_id, event_id, scan_id, answer, completed_ms, response_ms, observation)
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 20001)
         SELECT ?, 'e' || n, 's' || n, CASE n WHEN 1 THEN 'failed' ELSE 'found' END, n, NULL, 'null'
         FROM number",
    )
    .bind(hospital.to_string())
    .execute(&sqlx::AnyPool::connect(&url).await?)
    .await?;
    let report = drift.report(hospital, ReportRequest::default()).await?;
    assert_eq!((&report["scans"], &report["cut"]), (&json!(20_000), &json!(true)));
    assert_eq!(
        (&report["answers"]["failed"], &report["answers"]["found"]),
        (&json!(0), &json!(20_000))
    );
    let all_but_one = ReportRequest { from_ms: 2, to_ms: 0 };
    assert_eq!(drift.report(hospital, all_but_one).await?["cut"], false);
    Ok(())
}

/// The same rows on MySQL, where the suite has a server for it.
#[tokio::test(flavor = "multi_thread")]
async fn mysql_keeps_observations_too() -> anyhow::Result<()> {
    let Some(drift) = Drift::mysql().await? else {
        println!("skipped: TEST_MYSQL_URL names no server");
        return Ok(());
    };
    let hospital = tenant();
    for id in ["one", "one", "two"] {
        drift.emit(&completed(hospital, id, 0.5)).await?;
    }
    let report = drift.report_of(hospital, 2).await?;
    let token = drift.issuer.token(hospital, &[Role::Admin]);
    let id = report["id"].as_str().expect("an id").to_owned();
    let kept =
        drift.client.clone().get_report(authorised(ReportRef { id }, &token)).await?.into_inner();
    assert_eq!(serde_json::from_str::<Value>(&kept.json)?, report);
    Ok(())
}
