//! From readers' words to figures.

use std::collections::HashMap;

use domain::{ScanId, TenantId};
use proto::drift::{MeanDice, Quality, QualityBy, QualityGroup, QualityRequest, Share};
use serde_json::{Value, json};
use service::claims::{Role, authorised};
use tonic::Code;

use crate::world::{Drift, NOW_MS, completed, scan, tenant, word};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A scan that was completed with that answer, and the part of it that is marked.
fn seen(hospital: TenantId, answer: &str, fraction: f64) -> (ScanId, Value) {
    let scan = scan();
    let mut event = completed(hospital, &scan.to_string(), 0.5);
    let data = &mut event["data"];
    data["scan_id"] = json!(scan);
    data["answer"] = answer.into();
    data["observation"]["mask_fraction"] = fraction.into();
    data["observation"]["image_kind"] = "flair".into();
    (scan, event)
}

fn only(quality: Quality) -> anyhow::Result<QualityGroup> {
    let count = quality.groups.len();
    let mut groups = quality.groups.into_iter();
    match (groups.next(), count) {
        (Some(group), 1) => Ok(group),
        _ => anyhow::bail!("{count} groups"),
    }
}

/// How often, of how many.
fn counts(share: Option<Share>) -> Option<(u64, u64)> {
    share.map(|share| (share.count, share.of))
}

/// The name of each group, with its scans and those that were reviewed.
fn sizes(quality: &Quality) -> Vec<(&str, u64, u64)> {
    let groups = quality.groups.iter();
    groups.map(|group| (group.name.as_str(), group.scans, group.reviewed)).collect()
}

pub async fn words_become_figures_that_say_how_many_scans_they_are_of(
    drift: Drift,
) -> anyhow::Result<()> {
    let hospital = tenant();
    let (found, corrected) = (seen(hospital, "found", 0.02), seen(hospital, "found", 0.02));
    let (none, unread) = (seen(hospital, "none_found", 0.0), seen(hospital, "found", 0.02));
    let failed = seen(hospital, "failed", 0.0);
    for (_, event) in [&found, &corrected, &none, &unread, &failed] {
        drift.emit(event).await?;
    }
    let mut correction = word(hospital, corrected.0, "ann", "correct");
    correction["data"]["dice"] = json!(0.75);
    correction["data"]["reason"] = "outline".into();
    correction["data"]["finding_reasons"] = json!(["quality", "quality", "wrong_side"]);
    let mut agreed = word(hospital, none.0, "ann", "agree");
    agreed["data"]["answer"] = "none_found".into();
    for event in [word(hospital, found.0, "ann", "agree"), correction, agreed] {
        drift.give(&event).await?;
    }
    drift.kept(5, 3).await?;

    let quality = drift.quality(hospital, QualityBy::Model).await?;
    let few = "Fewer than 30 reviewed scans, too few to conclude anything: medseg-mr/1 (3).";
    assert!(quality.remarks.iter().any(|words| words == few), "{:?}", quality.remarks);
    assert_eq!((quality.from_ms, quality.to_ms), (0, NOW_MS));
    let said = |names: &[(&str, u64)]| -> HashMap<String, u64> {
        names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    assert_eq!(quality.reasons, said(&[("outline", 1)]));
    assert_eq!(quality.finding_reasons, said(&[("quality", 2), ("wrong_side", 1)]));
    let group = only(quality)?;
    assert_eq!((group.name.as_str(), group.scans, group.reviewed), ("medseg-mr/1", 4, 3));
    assert_eq!((group.share_reviewed, group.disputed), (Some(0.75), 0));
    assert_eq!((counts(group.far), counts(group.frr)), (Some((0, 1)), Some((0, 2))));
    assert_eq!(counts(group.agree), Some((2, 3)));
    let MeanDice { mean, count, empty, mean_not_empty, .. } = group.dice.unwrap_or_default();
    assert_eq!((mean, count, empty, mean_not_empty), (0.875, 2, 1, Some(0.75)));
    Ok(())
}

pub async fn the_same_word_twice_counts_once_and_a_later_one_counts_instead_while_rows_stay(
    drift: Drift,
) -> anyhow::Result<()> {
    let hospital = tenant();
    let (scan, event) = seen(hospital, "found", 0.02);
    drift.emit(&event).await?;
    let mut first = word(hospital, scan, "ann", "reject");
    first["data"]["truth"] = "no_tumour".into();
    first["data"]["reason"] = "false_finding".into();
    let mut later = word(hospital, scan, "ann", "agree");
    later["data"]["given_ms"] = (NOW_MS - 400).into();
    for event in [&first, &first, &later, &first] {
        drift.give(event).await?;
    }
    // The queue gives them in order: with this one all others were in hand.
    drift.give(&word(tenant(), scan, "of another hospital", "agree")).await?;
    drift.kept(1, 3).await?;

    let quality = drift.quality(hospital, QualityBy::Model).await?;
    assert!(quality.reasons.is_empty(), "what was said before counts no more");
    let group = only(quality)?;
    assert_eq!((group.scans, group.reviewed, group.disputed), (1, 1, 0));
    assert_eq!((counts(group.agree), counts(group.far)), (Some((1, 1)), Some((0, 0))));
    assert_eq!(drift.rows("SELECT COUNT(*) FROM reviews WHERE reader = 'ann'").await?, 2);
    Ok(())
}

pub async fn scans_and_words_are_in_the_same_groups(drift: Drift) -> anyhow::Result<()> {
    let hospital = tenant();
    // The marks between sizes, and what lies beside them.
    for (place, fraction) in [0.0, 0.0005, 0.001, 0.01, 0.011].into_iter().enumerate() {
        let (scan, mut event) = seen(hospital, "found", fraction);
        if place == 0 {
            event["data"]["completed_ms"] = (NOW_MS - 7 * DAY_MS).into();
            event["data"]["observation"]["image_kind"] = "t1_contrast".into();
            event["data"]["observation"]["model"]["version"] = "2".into();
        }
        drift.emit(&event).await?;
        // What drift has seen of a scan says where it is, not the word.
        drift.give(&word(hospital, scan, "ann", "agree")).await?;
    }
    drift.kept(5, 5).await?;

    let groups = |by| drift.quality(hospital, by);
    let by_size = groups(QualityBy::Size).await?;
    let expected = [
        ("nothing marked", 1, 1),
        ("under 0.1 % of the volume", 1, 1),
        ("0.1 to 1 %", 2, 2),
        ("over 1 %", 1, 1),
    ];
    assert_eq!(sizes(&by_size), expected);
    let by_week = groups(QualityBy::Week).await?;
    assert_eq!(sizes(&by_week), [("2023-W45", 1, 1), ("2023-W46", 4, 4)]);
    let by_kind = groups(QualityBy::Kind).await?;
    assert_eq!(sizes(&by_kind), [("flair", 4, 4), ("t1_contrast", 1, 1)]);
    let by_model = groups(QualityBy::Model).await?;
    assert_eq!(sizes(&by_model), [("medseg-mr/1", 4, 4), ("medseg-mr/2", 1, 1)]);
    Ok(())
}

pub async fn a_word_on_a_scan_that_drift_has_not_seen_counts_all_the_same(
    drift: Drift,
) -> anyhow::Result<()> {
    let hospital = tenant();
    drift.give(&word(hospital, scan(), "ann", "agree")).await?;
    let mut unread = word(hospital, scan(), "ann", "unsure");
    unread["data"]["answer"] = "not_analysable".into();
    drift.give(&unread).await?;
    drift.kept(0, 2).await?;
    let by_size = drift.quality(hospital, QualityBy::Size).await?;
    assert_eq!(sizes(&by_size), [("over 1 %", 1, 1)]);
    let by_week = drift.quality(hospital, QualityBy::Week).await?;
    assert_eq!(sizes(&by_week), [("2023-W46", 1, 1)]);
    Ok(())
}

pub async fn only_scans_of_the_period_count(drift: Drift) -> anyhow::Result<()> {
    let hospital = tenant();
    let (early, late) = (seen(hospital, "found", 0.02), seen(hospital, "found", 0.02));
    let mut early_event = early.1;
    early_event["data"]["completed_ms"] = (NOW_MS - 10 * DAY_MS).into();
    for event in [&early_event, &late.1] {
        drift.emit(event).await?;
    }
    // Both are read today, and one that drift knows no more.
    for scan in [early.0, late.0, scan()] {
        drift.give(&word(hospital, scan, "ann", "agree")).await?;
    }
    drift.kept(2, 3).await?;
    for (from_ms, to_ms, scans) in [
        (0, 0, 3),
        (NOW_MS - DAY_MS, 0, 2),
        (0, NOW_MS - DAY_MS, 1),
        (NOW_MS - 400, 0, 0),
        (NOW_MS - 10 * DAY_MS, NOW_MS - 10 * DAY_MS + 1, 1),
    ] {
        let request = QualityRequest { by: QualityBy::Model.into(), from_ms, to_ms };
        let quality = drift.quality_of(hospital, request).await?;
        let counted: Vec<_> = sizes(&quality).iter().map(|group| (group.1, group.2)).collect();
        let expected = if scans == 0 { vec![] } else { vec![(scans, scans)] };
        assert_eq!(counted, expected, "{from_ms} to {to_ms}");
    }
    let upside_down = QualityRequest { by: QualityBy::Model.into(), from_ms: 10, to_ms: 5 };
    for refused in [upside_down, QualityRequest::default()] {
        let refused = drift.quality_of(hospital, refused).await;
        let status = refused.err().and_then(|error| error.downcast::<tonic::Status>().ok());
        assert_eq!(status.map(|status| status.code()), Some(Code::InvalidArgument));
    }
    Ok(())
}

pub async fn another_hospitals_words_are_in_no_figure_of_ones_own(
    drift: Drift,
) -> anyhow::Result<()> {
    let (hospital, other) = (tenant(), tenant());
    let (scan, event) = seen(hospital, "found", 0.02);
    drift.emit(&event).await?;
    drift.give(&word(hospital, scan, "ann", "agree")).await?;
    // Even of a scan that is called the same.
    for verdict in ["reject", "unsure"] {
        drift.give(&word(other, scan, verdict, verdict)).await?;
    }
    drift.kept(1, 3).await?;
    let mine = only(drift.quality(hospital, QualityBy::Kind).await?)?;
    assert_eq!((mine.scans, mine.reviewed, counts(mine.agree)), (1, 1, Some((1, 1))));
    let theirs = only(drift.quality(other, QualityBy::Kind).await?)?;
    assert_eq!((theirs.scans, theirs.reviewed, counts(theirs.agree)), (1, 1, Some((0, 1))));
    assert!(drift.quality(tenant(), QualityBy::Kind).await?.groups.is_empty());
    Ok(())
}

pub async fn what_the_version_before_has_observed_is_counted(drift: Drift) -> anyhow::Result<()> {
    let hospital = tenant();
    let observed = json!({
        "features": { "mean": 0.5 }, "mask_fraction": 0.00002, "image_kind": "flair",
        "model": { "name": "medseg-mr", "version": "0.3.0", "sha256": "ab" },
    });
    for (id, observation) in [("whole", observed.to_string()), ("none", "null".to_owned())] {
        sqlx::query(
            "INSERT INTO observations
                 (tenant_id, event_id, scan_id, answer, completed_ms, response_ms, observation)
             VALUES (?, ?, ?, 'found', ?, NULL, ?)",
        )
        .bind(hospital.to_string())
        .bind(id)
        .bind(scan().to_string())
        .bind(NOW_MS - 1000)
        .bind(observation)
        .execute(drift.database.pool())
        .await?;
    }
    let migration = include_str!("../../migrations/0002_reviews.sql");
    let fill = migration.split(';').find(|statement| statement.contains("UPDATE observations"));
    sqlx::query(fill.expect("the migration fills")).execute(drift.database.pool()).await?;

    let by_model = drift.quality(hospital, QualityBy::Model).await?;
    assert_eq!(sizes(&by_model), [("medseg-mr/0.3.0", 1, 0), ("unknown", 1, 0)]);
    let by_size = drift.quality(hospital, QualityBy::Size).await?;
    assert_eq!(sizes(&by_size), [("nothing marked", 1, 0), ("under 0.1 % of the volume", 1, 0)]);
    let by_kind = drift.quality(hospital, QualityBy::Kind).await?;
    assert_eq!(sizes(&by_kind), [("flair", 1, 0), ("unknown", 1, 0)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_clinicians_scientists_and_admins() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    let asked = QualityRequest { by: QualityBy::Week.into(), ..QualityRequest::default() };
    for role in [Role::Clinician, Role::Scientist, Role::Admin] {
        let token = drift.issuer.token(hospital, &[role]);
        drift.client.clone().get_quality(authorised(asked, &token)).await?;
    }
    for token in [drift.issuer.token(hospital, &[Role::Integrator]), drift.issuer.service_token()] {
        let refused = drift.client.clone().get_quality(authorised(asked, &token)).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    }
    let nobody = drift.client.clone().get_quality(asked).await;
    assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_learns_of_no_single_scan_what_others_have_said() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    let mut rejected = word(hospital, scan(), "ann", "reject");
    rejected["data"]["reason"] = "wrong_side".into();
    drift.give(&rejected).await?;
    drift.kept(0, 1).await?;
    let asked = QualityRequest { by: QualityBy::Model.into(), ..QualityRequest::default() };
    for (role, of) in [(Role::Clinician, 0), (Role::Scientist, 1), (Role::Admin, 1)] {
        let token = drift.issuer.token(hospital, &[role]);
        let quality = drift.client.clone().get_quality(authorised(asked, &token)).await?;
        let quality = quality.into_inner();
        assert_eq!(quality.reasons.len(), usize::from(role != Role::Clinician), "{role:?}");
        let said = quality.remarks.iter().any(|words| words.contains("what others think"));
        let group = only(quality)?;
        assert_eq!((group.reviewed, counts(group.agree)), (1, Some((0, of))), "{role:?}");
        assert_eq!(said, role == Role::Clinician, "{role:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_none_stops_nothing() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    let mut strange = word(hospital, scan(), "ann", "agree");
    strange["data"]["verdict"] = "perhaps".into();
    drift.give(&strange).await?;
    drift.give(&word(hospital, scan(), "ann", "agree")).await?;
    drift.kept(0, 1).await?;
    assert_eq!(drift.rows("SELECT COUNT(*) FROM reviews").await?, 1);
    Ok(())
}
