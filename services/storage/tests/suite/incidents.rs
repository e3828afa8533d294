use domain::TenantId;
use proto::auth::RevocationList;
use proto::events::IncidentReported;
use proto::storage::*;
use service::claims::Role;
use service::{CloudEvent, topics};
use tonic::{Code, Status};

use crate::reader::Reader;
use crate::world::{World, next};

async fn report(reader: &Reader<'_>, words: &str, scan_id: &str) -> Result<Incident, Status> {
    let new =
        NewIncident { words: words.into(), scan_id: scan_id.into(), ..NewIncident::default() };
    Ok(reader.world.incidents.clone().report(reader.ask(new)).await?.into_inner())
}

async fn listed(world: &World, tenant: TenantId, list: ListReported) -> IncidentPage {
    let request = world.by_role(tenant, Role::Admin, list);
    world.incidents.clone().list_incidents(request).await.unwrap().into_inner()
}

pub async fn a_report_is_kept_and_told_to_whoever_runs_the_system(world: World) {
    let (scan, _) = world.ready().await;
    let mut news = world.reported().await;
    let ada = Reader::new(&world, "virchow");
    let about_scan = report(&ada, "  the outline is mirrored \u{2026} \n", &scan.id).await.unwrap();
    let expected = Incident {
        id: about_scan.id.clone(),
        reported_ms: world.clock.clock().now_ms(),
        reporter: "virchow".into(),
        words: "the outline is mirrored \u{2026}".into(),
        scan_id: scan.id.clone(),
        from_patient: false,
        by_link: false,
    };
    assert_eq!(about_scan, expected);
    let body = next(&mut news).await;
    let event = CloudEvent::<IncidentReported>::parse(topics::INCIDENT_REPORTED, &body).unwrap();
    let told = IncidentReported {
        tenant_id: world.hospital.to_string(),
        incident_id: about_scan.id.clone(),
        reported_ms: about_scan.reported_ms,
        scan_id: Some(scan.id.clone()),
    };
    assert_eq!((&event.id, &event.data), (&about_scan.id, &told));
    let text = String::from_utf8(body).unwrap();
    assert!(!text.contains("virchow") && !text.contains("mirrored"), "{text}");

    world.clock.advance(10);
    for role in [Role::Clinician, Role::Integrator, Role::Scientist, Role::Admin] {
        let somebody = Reader::of(&world, world.hospital, "somebody", role);
        let about_system = report(&somebody, "the page is slow", "").await.unwrap();
        assert_eq!(about_system.scan_id, "");
        world.clock.advance(10);
    }
    let all = listed(&world, world.hospital, ListReported::default()).await;
    assert_eq!((all.incidents.len(), &*all.next_cursor), (5, ""));
    assert_eq!(all.incidents.last(), Some(&about_scan), "the newest first");
    let first =
        listed(&world, world.hospital, ListReported { limit: 2, ..Default::default() }).await;
    let cursor = first.next_cursor;
    let rest = listed(&world, world.hospital, ListReported { limit: 50, cursor }).await;
    assert_eq!([&first.incidents[..], &rest.incidents[..]].concat(), all.incidents);
}

pub async fn a_patients_word_is_kept_as_one_and_passed_on_by_whom_they_told(world: World) {
    let ada = Reader::new(&world, "ada");
    let words = "they showed me somebody else's picture";
    let new = NewIncident { words: words.into(), from_patient: true, ..NewIncident::default() };
    let kept = world.incidents.clone().report(ada.ask(new)).await.unwrap().into_inner();
    assert_eq!((kept.from_patient, &*kept.reporter, &*kept.words), (true, "ada", words));
    world.clock.advance(10);
    report(&ada, "my own word", "").await.unwrap();
    let all = listed(&world, world.hospital, ListReported::default()).await;
    let from_patients: Vec<_> = all.incidents.iter().map(|one| one.from_patient).collect();
    assert_eq!(from_patients, [false, true]);
}

async fn link(reader: &Reader<'_>, scan_id: &str, days: u32) -> Result<IncidentLink, Status> {
    let new = NewIncidentLink { scan_id: scan_id.into(), days };
    Ok(reader.world.incidents.clone().make_incident_link(reader.ask(new)).await?.into_inner())
}

/// What is said through a link, by whoever has it.
async fn say(world: &World, token: &str, words: &str) -> Result<(), Status> {
    let told = LinkedReport { token: token.into(), words: words.into() };
    world.incidents.clone().report_by_link(told).await.map(drop)
}

pub async fn a_patient_who_has_a_link_is_heard_and_told_nothing(world: World) {
    let (scan, _) = world.ready().await;
    let mut news = world.reported().await;
    let ada = Reader::new(&world, "ada");
    let IncidentLink { token, expires_ms, .. } = link(&ada, &scan.id, 7).await.unwrap();
    assert_eq!(expires_ms, world.clock.clock().now_ms() + 7 * 24 * 3_600_000);
    assert_eq!(token.len(), 64);
    let kept: Vec<(String,)> = sqlx::query_as("SELECT token_sha256 FROM incident_links")
        .fetch_all(world.ports.database.pool())
        .await
        .unwrap();
    assert_ne!(kept, [(token.clone(),)], "the token itself is kept nowhere");

    say(&world, &token, " it is not my head \n").await.unwrap();
    let body = next(&mut news).await;
    let event = CloudEvent::<IncidentReported>::parse(topics::INCIDENT_REPORTED, &body).unwrap();
    assert_eq!(event.data.scan_id, Some(scan.id.clone()));
    let all = listed(&world, world.hospital, ListReported::default()).await;
    let [told] = &all.incidents[..] else { panic!("{all:?}") };
    assert_eq!((told.from_patient, told.by_link), (true, true));
    assert_eq!((&*told.reporter, &*told.words), ("ada", "it is not my head"));
    assert_eq!(told.scan_id, scan.id);
    let elsewhere = listed(&world, world.neighbour, ListReported::default()).await;
    assert!(elsewhere.incidents.is_empty(), "{elsewhere:?}");
}

pub async fn a_link_ends_and_is_no_flood(world: World) {
    let ada = Reader::new(&world, "ada");
    let IncidentLink { token, .. } = link(&ada, "", 1).await.unwrap();
    for words in ["", " \n ", &"x".repeat(4001)] {
        assert_eq!(say(&world, &token, words).await.unwrap_err().code(), Code::InvalidArgument);
    }
    for _ in 0..5 {
        say(&world, &token, "again").await.unwrap();
        world.clock.advance(3_600_000);
    }
    let refused = say(&world, &token, "and again").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    // A token of hers does not last that long.
    let ada = Reader::new(&world, "ada");
    let other = link(&ada, "", 1).await.unwrap().token;
    say(&world, &other, "another patient").await.unwrap();

    world.clock.advance(24 * 3_600_000);
    let mut said = Vec::new();
    for token in [other.as_str(), "no such token", ""] {
        let refused = say(&world, token, "late").await.unwrap_err();
        said.push((refused.code(), refused.message().to_owned()));
    }
    let words = "the link is not valid, or not any more: ask for another".to_owned();
    assert_eq!(said, vec![(Code::NotFound, words); 3]);
    link(&Reader::new(&world, "ada"), "", 1).await.unwrap();
    assert_eq!(world.count("incident_links").await, 1, "those that are over are gone");
    assert_eq!(world.count("incidents").await, 6, "and what was said through them stays");
}

pub async fn a_link_is_made_by_whoever_sees_the_scan_and_not_without_end(world: World) {
    let (scan, _) = world.ready().await;
    let stranger = Reader::of(&world, world.neighbour, "eve", Role::Clinician);
    assert_eq!(link(&stranger, &scan.id, 0).await.unwrap_err().code(), Code::NotFound);
    let scientist = Reader::of(&world, world.hospital, "curie", Role::Scientist);
    assert_eq!(link(&scientist, "", 0).await.unwrap_err().code(), Code::PermissionDenied);
    let ada = Reader::new(&world, "ada");
    assert_eq!(link(&ada, "", 91).await.unwrap_err().code(), Code::InvalidArgument);
    for _ in 0..60 {
        link(&ada, "", 0).await.unwrap();
    }
    assert_eq!(link(&ada, "", 0).await.unwrap_err().code(), Code::ResourceExhausted);
    world.clock.advance(3_600_000);
    link(&Reader::new(&world, "ada"), &scan.id, 0).await.unwrap();
}

/// The links that somebody is told of.
async fn links(reader: &Reader<'_>, list: ListMadeLinks) -> MadeLinkPage {
    let page = reader.world.incidents.clone().list_incident_links(reader.ask(list)).await;
    page.unwrap().into_inner()
}

async fn revoke(reader: &Reader<'_>, id: &str) -> Result<(), Status> {
    let link = MadeLinkRef { id: id.into() };
    reader.world.incidents.clone().revoke_incident_link(reader.ask(link)).await.map(drop)
}

pub async fn a_link_is_listed_and_revoked_by_its_maker_and_by_admins(world: World) {
    let (scan, _) = world.ready().await;
    let [ada, ben] = ["ada", "ben"].map(|name| Reader::new(&world, name));
    let admin = Reader::of(&world, world.hospital, "chief", Role::Admin);
    let elsewhere = Reader::of(&world, world.neighbour, "eve", Role::Admin);
    let first = link(&ada, &scan.id, 7).await.unwrap();
    world.clock.advance(10);
    let second = link(&ben, "", 7).await.unwrap();
    let ids = async |reader: &Reader<'_>, limit| -> (Vec<String>, String) {
        let page = links(reader, ListMadeLinks { limit, ..Default::default() }).await;
        (page.links.into_iter().map(|link| link.id).collect(), page.next_cursor)
    };
    let all = links(&ada, ListMadeLinks::default()).await;
    let kept = MadeLink {
        id: first.id.clone(),
        scan_id: scan.id.clone(),
        made_ms: world.clock.clock().now_ms() - 10,
        expires_ms: first.expires_ms,
        maker: "ada".into(),
    };
    assert_eq!(all, MadeLinkPage { links: vec![kept], next_cursor: String::new() });
    let (two, none) = (vec![second.id.clone(), first.id.clone()], String::new());
    assert_eq!(ids(&admin, 0).await, (two, none.clone()), "the newest first");
    assert_eq!(ids(&admin, 1).await, (vec![second.id.clone()], second.id.clone()));
    assert_eq!(ids(&elsewhere, 0).await, (vec![], none));

    let never = revoke(&ada, "01890000-0000-7000-8000-000000000000").await.unwrap_err();
    for stranger in [&ada, &elsewhere] {
        let refused = revoke(stranger, &second.id).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::NotFound, never.message()));
    }
    say(&world, &first.token, "before").await.unwrap();
    revoke(&ada, &first.id).await.unwrap();
    revoke(&admin, &second.id).await.unwrap();
    for token in [&first.token, &second.token] {
        let refused = say(&world, token, "too late").await.unwrap_err();
        let unknown = say(&world, "no such token", "too late").await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (unknown.code(), unknown.message()));
    }
    assert_eq!(revoke(&ada, &first.id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.count("incidents").await, 1, "what was written stays");
    let noted: Vec<(String, String)> = sqlx::query_as(
        "SELECT subject, object_id FROM audit WHERE action = 'incident.link.revoked' ORDER BY position",
    )
    .fetch_all(world.ports.database.pool())
    .await
    .unwrap();
    assert_eq!(noted, [("ada".to_owned(), first.id), ("chief".to_owned(), second.id)]);
}

pub async fn a_link_of_a_hospital_that_is_not_active_answers_as_an_unknown_one(world: World) {
    let token = link(&Reader::new(&world, "ada"), "", 7).await.unwrap().token;
    let theirs = Reader::of(&world, world.neighbour, "eve", Role::Clinician);
    let theirs = link(&theirs, "", 7).await.unwrap().token;
    let stopped_tenants = vec![world.hospital.to_string()];
    world.issuer.revoke(RevocationList { stopped_tenants, ..Default::default() });
    world.clock.advance(60_000);
    let refused = say(&world, &token, "is anybody there?").await.unwrap_err();
    let unknown = say(&world, "no such token", "is anybody there?").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, unknown.message()));
    say(&world, &theirs, "another hospital goes on").await.unwrap();
    assert_eq!(world.count("incidents").await, 1);
}

pub async fn nobody_reports_without_end(world: World) {
    let (ada, ben) = (Reader::new(&world, "ada"), Reader::new(&world, "ben"));
    for words in ["", " \n ", &"x".repeat(4001)] {
        let refused = report(&ada, words, "").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    for _ in 0..20 {
        report(&ada, "again", "").await.unwrap();
    }
    let refused = report(&ada, "and again", "").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(world.count("incidents").await, 20);
    report(&ben, "somebody else is heard", "").await.unwrap();
    world.clock.advance(3_600_001);
    let ada = Reader::new(&world, "ada");
    report(&ada, "an hour later", "").await.unwrap();
}

pub async fn reports_are_read_by_their_own_admins_only(world: World) {
    let (scan, _) = world.ready().await;
    let ada = Reader::new(&world, "ada");
    report(&ada, "words", &scan.id).await.unwrap();
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let request = world.by_role(world.hospital, role, ListReported::default());
        let refused = world.incidents.clone().list_incidents(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}");
    }
    let theirs = listed(&world, world.neighbour, ListReported::default()).await;
    assert_eq!(theirs, IncidentPage::default());
    let eve = Reader::of(&world, world.neighbour, "eve", Role::Clinician);
    let refused = report(&eve, "words", &scan.id).await.unwrap_err();
    let never = report(&eve, "words", "01890000-0000-7000-8000-000000000000").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, never.message()));
    assert_eq!(world.count("incidents").await, 1);
}
