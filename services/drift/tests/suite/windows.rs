//! From events to windows, to what is told of them, and to rows.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::TenantId;
use futures::StreamExt;
use proto::drift::{
    CompareWindowsRequest, ListWindowsRequest, ReadRowsRequest, RowsFormat, Verdict, Window,
    WindowInFull, WindowRef, Windows,
};
use serde_json::{Value, json};
use service::claims::{Role, authorised};
use service::topics::{DRIFT_CLEARED, DRIFT_DETECTED};
use tonic::{Code, Request};

use crate::world::{Drift, NOW_MS, completed, spread, tenant};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// Who listens in place of another system.
const GROUP: &str = "test";

/// So many events of scans, whose means are as in training but for `by`, completed one after the other from `from_ms` on.
fn scans(hospital: TenantId, name: &str, count: u32, by: f64, from_ms: i64) -> Vec<Value> {
    let event = |(k, mean): (usize, f64)| {
        let mut event = completed(hospital, &format!("{name}{k}"), mean + by);
        event["data"]["completed_ms"] = json!(from_ms + k as i64);
        event["data"]["observation"]["image_kind"] = "flair".into();
        event
    };
    spread(count).enumerate().map(event).collect()
}

fn asked<T>(drift: &Drift, hospital: TenantId, message: T) -> Request<T> {
    authorised(message, &drift.issuer.token(hospital, &[Role::Scientist]))
}

async fn list(
    drift: &Drift,
    hospital: TenantId,
    wanted: ListWindowsRequest,
) -> anyhow::Result<Windows> {
    Ok(drift.client.clone().list_windows(asked(drift, hospital, wanted)).await?.into_inner())
}

async fn all(drift: &Drift, hospital: TenantId) -> anyhow::Result<Vec<Window>> {
    Ok(list(drift, hospital, ListWindowsRequest::default()).await?.windows)
}

async fn in_full(drift: &Drift, hospital: TenantId, id: &str) -> anyhow::Result<WindowInFull> {
    let of = WindowRef { id: id.to_owned(), carriers: 5 };
    Ok(drift.client.clone().get_window(asked(drift, hospital, of)).await?.into_inner())
}

/// Emits the scans and waits until the hospital has so many windows, oldest first. All of them are in one where they are thirty.
async fn close(
    drift: &Drift,
    hospital: TenantId,
    scans: &[Value],
    windows: usize,
) -> anyhow::Result<Vec<Window>> {
    for event in scans {
        drift.emit(event).await?;
    }
    let closed = async {
        loop {
            let mut closed = all(drift, hospital).await?;
            if closed.len() >= windows {
                closed.reverse();
                return anyhow::Ok(closed);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await?
}

pub async fn drift_is_told_once_and_again_when_it_is_over(drift: Drift) -> anyhow::Result<()> {
    let hospital = tenant();
    let mut detected = drift.queue.subscribe_event(DRIFT_DETECTED, GROUP, 1).await?;
    let mut cleared = drift.queue.subscribe_event(DRIFT_CLEARED, GROUP, 1).await?;
    // As in training, then twice far from it, then three times as before.
    for (place, by) in [0.0, 0.6, 0.6, 0.0, 0.0, 0.0].into_iter().enumerate() {
        let from_ms = NOW_MS - 100_000 + 1000 * place as i64;
        close(&drift, hospital, &scans(hospital, &format!("{place}."), 30, by, from_ms), place + 1)
            .await?;
    }
    let closed = close(&drift, hospital, &[], 6).await?;
    let told: Vec<_> = closed.iter().map(|one| (one.number, one.scans, one.drifted)).collect();
    let drifted = [false, true, true, true, false, false];
    let expected: Vec<_> =
        (1..).zip(drifted).map(|(number, drifted)| (number, 30, drifted)).collect();
    assert_eq!(told, expected);
    assert_eq!(closed[1].verdict(), Verdict::Drift);

    for (events, event, place) in
        [(&mut detected, DRIFT_DETECTED, 1), (&mut cleared, DRIFT_CLEARED, 4)]
    {
        let told = tokio::time::timeout(PATIENCE, events.next()).await?.expect("an event")?;
        let said: Value = serde_json::from_slice(&told.body)?;
        told.ack().await?;
        assert_eq!(
            (said["type"].as_str(), said["id"].as_str()),
            (Some(event.0), Some(&*closed[place].id))
        );
        assert_eq!(
            (&said["data"]["tenant_id"], &said["data"]["scans"]),
            (&json!(hospital), &json!(30))
        );
        assert_eq!(said["data"]["group"]["image_kind"], "flair");
        let more = tokio::time::timeout(POLL * 10, events.next()).await;
        assert!(more.is_err(), "{event:?} is told once");
    }
    assert_eq!(drift.rows("SELECT COUNT(*) FROM outbox").await?, 0);
    Ok(())
}

pub async fn each_scan_is_in_one_window_of_its_own_group(drift: Drift) -> anyhow::Result<()> {
    let hospital = tenant();
    let mut events = scans(hospital, "a", 40, 0.0, NOW_MS - 9000);
    for (k, mut event) in scans(hospital, "b", 160, 0.0, NOW_MS - 8000).into_iter().enumerate() {
        let data = &mut event["data"];
        // Of another kind, scanner, site or version each.
        match k % 4 {
            0 => data["observation"]["image_kind"] = "t1_contrast".into(),
            1 => data["observation"]["scanner"] = "Acme Maker 3".into(),
            2 => data["site"] = "West".into(),
            _ => data["observation"]["model"]["version"] = "2".into(),
        }
        events.push(event);
    }
    let mut failed = completed(hospital, "failed", 0.5);
    failed["data"]["observation"] = Value::Null;
    events.push(failed);
    let closed = close(&drift, hospital, &events, 5).await?;
    let groups: BTreeSet<_> = closed
        .iter()
        .map(|one| {
            let version = one.model.clone().unwrap_or_default().version;
            (version, one.image_kind.clone(), one.scanner.clone(), one.site.clone())
        })
        .collect();
    let group = |version: &str, kind: &str, scanner: &str, site: &str| {
        (version.to_owned(), kind.to_owned(), scanner.to_owned(), site.to_owned())
    };
    let expected = [
        group("1", "flair", "", ""),
        group("1", "flair", "", "West"),
        group("1", "flair", "Acme Maker 3", ""),
        group("1", "t1_contrast", "", ""),
        group("2", "flair", "", ""),
    ];
    assert_eq!(groups, BTreeSet::from(expected));
    assert!(closed.iter().all(|one| (30..=40).contains(&one.scans)), "{closed:?}");

    // One that comes late, and was completed long before, is in the next.
    let late = scans(hospital, "late", 30, 0.0, NOW_MS - 900_000);
    close(&drift, hospital, &late, 6).await?;
    let in_windows = "SELECT COUNT(*) FROM observations WHERE window_id IS NOT NULL";
    let counted: u64 = all(&drift, hospital).await?.iter().map(|one| one.scans).sum();
    assert_eq!(drift.rows(in_windows).await?, counted as i64);
    Ok(())
}

pub async fn windows_are_listed_newest_first_page_by_page(drift: Drift) -> anyhow::Result<()> {
    let hospital = tenant();
    for (place, kind) in ["flair", "t1_contrast", "flair"].into_iter().enumerate() {
        let from_ms = NOW_MS - 100_000 + 10_000 * place as i64;
        let mut events = scans(hospital, &format!("{place}."), 30, 0.0, from_ms);
        events
            .iter_mut()
            .for_each(|event| event["data"]["observation"]["image_kind"] = kind.into());
        if place == 2 {
            events.iter_mut().for_each(|event| event["data"]["site"] = "West".into());
        }
        close(&drift, hospital, &events, place + 1).await?;
    }
    let ends = |windows: &Windows| windows.windows.iter().map(|one| one.to_ms).collect::<Vec<_>>();
    let [first, second, third] = [0, 1, 2].map(|place| NOW_MS - 100_000 + 10_000 * place + 29);
    let page =
        list(&drift, hospital, ListWindowsRequest { limit: 2, ..Default::default() }).await?;
    assert_eq!(ends(&page), [third, second]);
    let next = ListWindowsRequest { limit: 2, cursor: page.next_cursor, ..Default::default() };
    let page = list(&drift, hospital, next).await?;
    assert_eq!((ends(&page), page.next_cursor.as_str()), (vec![first], ""));
    for (wanted, expected) in [
        (
            ListWindowsRequest { image_kind: "flair".into(), ..Default::default() },
            vec![third, first],
        ),
        (ListWindowsRequest { scanner: "Acme".into(), ..Default::default() }, vec![]),
        (ListWindowsRequest { site: "West".into(), ..Default::default() }, vec![third]),
        (
            ListWindowsRequest { model_version: "1".into(), to_ms: third, ..Default::default() },
            vec![second, first],
        ),
        (ListWindowsRequest { from_ms: second, ..Default::default() }, vec![third, second]),
    ] {
        assert_eq!(ends(&list(&drift, hospital, wanted.clone()).await?), expected, "{wanted:?}");
    }
    Ok(())
}

pub async fn a_window_names_the_scans_that_carry_its_difference(
    drift: Drift,
) -> anyhow::Result<()> {
    let hospital = tenant();
    let mut events = scans(hospital, "a", 30, 0.5, NOW_MS - 9000);
    events[7]["data"]["observation"]["features"]["mean"] = json!(9.5);
    let farthest = events[7]["data"]["scan_id"].clone();
    let closed = close(&drift, hospital, &events, 1).await?;
    let shown = in_full(&drift, hospital, &closed[0].id).await?;
    assert_eq!(
        (shown.window.as_ref(), &shown.features[..]),
        (Some(&closed[0]), &["mean".to_owned()][..])
    );
    assert_eq!(shown.carriers.len(), 5);
    let first = &shown.carriers[0];
    assert_eq!((json!(first.scan_id), first.values["mean"]), (farthest, 9.5));
    assert!(first.contribution > 0.3 && first.contribution < 0.7, "{first:?}");
    Ok(())
}

pub async fn two_windows_are_compared_by_what_was_seen_and_said_in_them(
    drift: Drift,
) -> anyhow::Result<()> {
    let hospital = tenant();
    let first = scans(hospital, "a", 30, 0.0, NOW_MS - 9000);
    let mut second = scans(hospital, "b", 30, 0.6, NOW_MS - 8000);
    second.iter_mut().for_each(|event| event["data"]["answer"] = "none_found".into());
    close(&drift, hospital, &first, 1).await?;
    let closed = close(&drift, hospital, &second, 2).await?;
    let (a, b) = (closed[0].id.clone(), closed[1].id.clone());
    let of = CompareWindowsRequest { a: a.clone(), b: b.clone() };
    let found =
        drift.client.clone().compare_windows(asked(&drift, hospital, of)).await?.into_inner();
    assert_eq!((found.a.unwrap_or_default().id, found.b.unwrap_or_default().id), (a, b));
    let verdicts: Vec<_> =
        found.features.iter().map(|one| (one.name.as_str(), one.verdict())).collect();
    let expected = [
        ("confidence", Verdict::Stable),
        ("mask_fraction", Verdict::Stable),
        ("mean", Verdict::Drift),
    ];
    assert_eq!(verdicts, expected);
    let mean = &found.features[2];
    assert!(mean.ks_statistic > Some(0.5) && mean.wasserstein > Some(1.5), "{mean:?}");
    let answers = &found.categories[0];
    let counts: Vec<_> =
        answers.counts.iter().map(|one| (one.value.as_str(), one.a, one.b)).collect();
    assert_eq!(
        (answers.name.as_str(), counts),
        ("answer", vec![("found", 30, 0), ("none_found", 0, 30)])
    );
    // None was like that in the window that stands for the training.
    assert_eq!(answers.chi_squared_p_value, Some(0.0));
    Ok(())
}

pub async fn rows_are_csv_of_ones_own_scans_of_the_time_that_is_asked_for(
    drift: Drift,
) -> anyhow::Result<()> {
    let (hospital, other) = (tenant(), tenant());
    let mine = scans(hospital, "a", 3, 0.0, NOW_MS - 9000);
    for mut event in mine.into_iter().chain(scans(other, "o", 2, 0.0, NOW_MS - 9000)) {
        event["data"]["observation"]["features"]["mean"] = json!(0.25);
        drift.emit(&event).await?;
    }
    drift.kept(5, 0).await?;
    let rows = async |from_ms: i64| {
        let wanted = ReadRowsRequest { from_ms, ..ReadRowsRequest::default() };
        let of = asked(&drift, hospital, wanted);
        let mut pieces = drift.client.clone().read_rows(of).await?.into_inner();
        let mut csv = Vec::new();
        while let Some(piece) = pieces.message().await? {
            csv.extend_from_slice(&piece.csv);
        }
        anyhow::Ok(String::from_utf8(csv)?)
    };
    let csv = rows(0).await?;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("scan_id,completed_at,window_id,answer,"), "{csv}");
    assert!(lines[0].ends_with(",mask_fraction,confidence,mean"), "{csv}");
    assert!(lines[1].ends_with(",,found,medseg-mr,1,flair,,,,,120,80.5,0.02,0.9,0.25"), "{csv}");
    assert_eq!(lines.len(), 4);
    assert_eq!(rows(NOW_MS - 9000 + 2).await?.lines().count(), 2);

    let format = RowsFormat::Parquet.into();
    let of = asked(&drift, hospital, ReadRowsRequest { format, ..ReadRowsRequest::default() });
    let mut pieces = drift.client.clone().read_rows(of).await?.into_inner();
    let mut parquet = Vec::new();
    while let Some(piece) = pieces.message().await? {
        assert!(piece.csv.is_empty());
        parquet.extend_from_slice(&piece.parquet);
    }
    // The mark of such files, at either end.
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    Ok(())
}

pub async fn another_hospitals_windows_answer_like_none(drift: Drift) -> anyhow::Result<()> {
    let (hospital, other) = (tenant(), tenant());
    let mine = close(&drift, hospital, &scans(hospital, "a", 30, 0.0, NOW_MS - 9000), 1).await?;
    let theirs = close(&drift, other, &scans(other, "b", 30, 0.0, NOW_MS - 9000), 1).await?;
    let (mine, theirs) = (mine[0].id.clone(), theirs[0].id.clone());
    for id in [theirs.as_str(), "0198c2a4-6f0e-7c31-9d55-3b1f0c2e4a77", "nonsense"] {
        let of = WindowRef { id: id.to_owned(), carriers: 5 };
        let refused = drift.client.clone().get_window(asked(&drift, hospital, of)).await.err();
        let said = refused.as_ref().map(|refused| (refused.code(), refused.message()));
        assert_eq!(said, Some((Code::NotFound, "no such window")));
        let of = CompareWindowsRequest { a: mine.clone(), b: id.to_owned() };
        let refused = drift.client.clone().compare_windows(asked(&drift, hospital, of)).await;
        assert_eq!(refused.err().map(|refused| refused.code()), Some(Code::NotFound));
    }
    assert_eq!(all(&drift, hospital).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_and_rows_are_for_scientists_and_admins() -> anyhow::Result<()> {
    let drift = Drift::start().await?;
    let hospital = tenant();
    for (roles, allowed) in [(Role::Scientist, true), (Role::Admin, true), (Role::Clinician, false)]
    {
        let token = drift.issuer.token(hospital, &[roles]);
        let listed = drift
            .client
            .clone()
            .list_windows(authorised(ListWindowsRequest::default(), &token))
            .await;
        let read =
            drift.client.clone().read_rows(authorised(ReadRowsRequest::default(), &token)).await;
        let denied = [listed.err(), read.err()].map(|status| status.map(|status| status.code()));
        let expected = if allowed { None } else { Some(Code::PermissionDenied) };
        assert_eq!(denied, [expected; 2], "{roles:?}");
    }
    Ok(())
}
