//! From refused files to how many there are.

use std::collections::HashMap;

use proto::drift::{QualityBy, QualityRequest};

use crate::world::{Drift, NOW_MS, refused, tenant};

const DAY_MS: i64 = 24 * 3600 * 1000;

pub async fn refused_files_are_counted_by_why_when_and_where(drift: Drift) -> anyhow::Result<()> {
    let (hospital, other) = (tenant(), tenant());
    for event in [
        refused(hospital, "blank", "West", NOW_MS - DAY_MS),
        refused(hospital, "blank", "West", NOW_MS - DAY_MS - 1),
        refused(hospital, "not-a-head", "West", NOW_MS - DAY_MS),
        refused(hospital, "blank", "East", NOW_MS - 7 * DAY_MS),
        refused(other, "corrupt", "West", NOW_MS - DAY_MS),
    ] {
        drift.refuse(&event).await?;
    }
    drift.counted(5).await?;
    let by_site = drift.quality(hospital, QualityBy::Site).await?;
    let groups: Vec<_> = by_site
        .groups
        .iter()
        .map(|group| {
            let of = |why: &str| group.refused_uploads.get(why).copied().unwrap_or_default();
            (group.name.as_str(), group.scans, of("blank"), of("not-a-head"), of("corrupt"))
        })
        .collect();
    assert_eq!(groups, [("East", 0, 1, 0, 0), ("West", 0, 2, 1, 0)]);
    let all = [("blank".to_owned(), 3), ("not-a-head".to_owned(), 1)];
    assert_eq!(by_site.refused_uploads, HashMap::from(all));
    let by_week = drift.quality(hospital, QualityBy::Week).await?;
    let names: Vec<_> = by_week.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["2023-W45", "2023-W46"]);
    // No file has a model; of all of them it is told all the same.
    let by_model = drift.quality(hospital, QualityBy::Model).await?;
    assert!(by_model.groups.is_empty());
    assert_eq!(by_model.refused_uploads, by_site.refused_uploads);
    // Days count whole.
    let from_ms = NOW_MS - 2 * DAY_MS;
    let by = QualityBy::Kind.into();
    let late = drift.quality_of(hospital, QualityRequest { by, from_ms, to_ms: 0 }).await?;
    assert_eq!((late.groups.len(), late.refused_uploads["blank"]), (1, 2));
    Ok(())
}

pub async fn whatever_files_say_a_hospitals_day_has_so_many_rows_at_most(
    drift: Drift,
) -> anyhow::Result<()> {
    let hospital = tenant();
    for place in 0..260 {
        drift.refuse(&refused(hospital, "blank", &format!("site {place}"), NOW_MS)).await?;
    }
    drift.counted(260).await?;
    // Events are in hand side by side: some more may have begun before the limit was seen.
    let rows = drift.rows("SELECT COUNT(*) FROM door_refusals").await?;
    assert!((200..=220).contains(&rows), "{rows}");
    let by_site = drift.quality(hospital, QualityBy::Site).await?;
    assert_eq!(by_site.refused_uploads["blank"], 260);
    let unknown = by_site.groups.iter().find(|group| group.name == "unknown");
    assert!(unknown.is_some_and(|group| group.refused_uploads["blank"] >= 40));
    Ok(())
}
