use serde_json::{Value, json};

use super::*;

fn event() -> Value {
    json!({
        "specversion": "1.0", "id": "e", "source": "/medseg/storage", "type": "upload.refused",
        "data": {
            "tenant_id": "01890000-0000-7000-8000-000000000001",
            "refused_ms": DAY_MS + 5, "problem": "not-a-head", "site": "West",
        },
    })
}

fn parsed(event: &Value) -> Result<Told> {
    Told::parse(event.to_string().as_bytes())
}

fn count(day: i64, reason: &str, site: &str, files: i64) -> Count {
    let [reason, site, scanner, image_kind] = [reason, site, "", "flair"].map(str::to_owned);
    Count { refused: Refused { day_ms: day * DAY_MS, reason, site, scanner, image_kind }, files }
}

fn files(group: &Group) -> (&str, usize, Vec<(&str, usize)>) {
    let files = group.refused_uploads.iter().map(|(why, files)| (why.as_str(), *files)).collect();
    (group.name.as_str(), group.scans, files)
}

#[test]
fn a_refused_file_is_counted_by_its_day_and_by_what_is_told_of_it() {
    let told = parsed(&event()).unwrap();
    let Refused { day_ms, reason, site, scanner, image_kind } = told.refused;
    assert_eq!((day_ms, reason.as_str(), site.as_str()), (DAY_MS, "not-a-head", "West"));
    assert_eq!((scanner.as_str(), image_kind.as_str()), ("", ""));
    let mut long = event();
    long["data"]["site"] = "x".repeat(1000).into();
    assert_eq!(parsed(&long).unwrap().refused.site.len(), SCANNER_CHARS_MAX);
    for (field, strange) in [("tenant_id", "nonsense"), ("problem", "")] {
        let mut event = event();
        event["data"][field] = strange.into();
        assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid, "{field}");
    }
}

#[test]
fn files_join_the_groups_that_they_belong_to_and_make_groups_of_their_own() {
    let seen = |name: &str| Group { scans: 3, ..Group::of(name.to_owned(), &Pool::default()) };
    let counts = [
        count(0, "blank", "West", 2),
        count(0, "corrupt", "West", 1),
        count(7, "blank", "West", 4),
        count(0, "blank", "", 8),
    ];
    let groups = shared_out(By::Site, vec![seen("East"), seen("West")], &counts);
    let expected = [
        ("East", 3, vec![]),
        ("West", 3, vec![("blank", 6), ("corrupt", 1)]),
        ("unknown", 0, vec![("blank", 8)]),
    ];
    assert_eq!(groups.iter().map(files).collect::<Vec<_>>(), expected);
    let weeks = shared_out(By::Week, Vec::new(), &counts);
    let names: Vec<_> = weeks.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["1970-W01", "1970-W02"]);
    let kinds = shared_out(By::Kind, Vec::new(), &counts);
    assert_eq!(
        kinds.iter().map(files).collect::<Vec<_>>(),
        [("flair", 0, vec![("blank", 14), ("corrupt", 1)])]
    );
    assert!(shared_out(By::Model, Vec::new(), &counts).is_empty());
    let reasons = [("blank".to_owned(), 14), ("corrupt".to_owned(), 1)];
    assert_eq!(by_reason(&counts), BTreeMap::from(reasons));
}
