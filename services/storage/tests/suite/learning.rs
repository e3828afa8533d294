use domain::TenantId;
use futures::future::{join, join_all};
use proto::storage::feedback_part::Part;
use proto::storage::*;
use service::claims::{Role, authorised};
use tonic::{Code, Request, Status};

use crate::reader::{Reader, answered, header, judged, with_mask, word};
use crate::world::{World, collect, sha256};

const NEVER: &str = "01890000-0000-7000-8000-000000000000";

async fn decide(world: &World, tenant: TenantId, learning: bool) -> Consent {
    let decision = world.by_role(tenant, Role::Admin, Decision { learning });
    world.learning.clone().decide(decision).await.unwrap().into_inner()
}

fn scientist<T>(world: &World, tenant: TenantId, message: T) -> Request<T> {
    world.by_role(tenant, Role::Scientist, message)
}

async fn listed(world: &World, tenant: TenantId) -> ConfirmedPage {
    let list = scientist(world, tenant, ListConfirmedScans::default());
    world.learning.clone().list_confirmed(list).await.unwrap().into_inner()
}

async fn image(world: &World, tenant: TenantId, id: &str) -> Result<Vec<u8>, Status> {
    let request = scientist(world, tenant, ScanRef { id: id.into() });
    collect(world.learning.clone().read_image(request).await?.into_inner()).await
}

/// The mask's name, its bytes, and how the volume begins.
async fn truth(
    world: &World,
    tenant: TenantId,
    id: &str,
) -> Result<(String, Vec<u8>, Vec<u8>), Status> {
    let request = scientist(world, tenant, ScanRef { id: id.into() });
    let mut chunks = world.learning.clone().read_truth(request).await?.into_inner();
    let (mut name, mut bytes, mut beginning) = (String::new(), Vec::new(), Vec::new());
    while let Some(chunk) = chunks.message().await? {
        name.push_str(&chunk.name);
        bytes.extend_from_slice(&chunk.data);
        beginning.extend_from_slice(&chunk.volume_beginning);
    }
    Ok((name, bytes, beginning))
}

/// What the images of an upload are called where they leave, and the upload, as ingest asks for it.
async fn original(
    world: &World,
    tenant: TenantId,
    id: &str,
) -> Result<(NamesOfOriginal, Vec<u8>), Status> {
    let asked = scientist(world, tenant, ScanRef { id: id.into() });
    let mut chunks = world.learning.clone().read_original(asked).await?.into_inner();
    let names = chunks.message().await?.and_then(|first| first.names).unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        bytes.extend_from_slice(&chunk.data);
    }
    Ok((names, bytes))
}

pub async fn an_original_is_handed_to_services_alone_with_what_it_is_called_from_then_on(
    world: World,
) {
    let scan = judged(&world).await;
    Reader::new(&world, "ada").give(header(&scan, Verdict::Agree)).await;
    let refused = original(&world, world.hospital, &scan.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "nobody has consented");
    decide(&world, world.hospital, true).await;
    let token = world.issuer.token(world.hospital, &[Role::Scientist]);
    let by_hand = authorised(ScanRef { id: scan.id.clone() }, &token);
    let refused = world.learning.clone().read_original(by_hand).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "it names a patient");

    let (names, bytes) = original(&world, world.hospital, &scan.id).await.unwrap();
    assert_eq!(sha256(&bytes), scan.original_sha256);
    let page = listed(&world, world.hospital).await;
    assert_eq!(names.patient, page.confirmed[0].patient);
    assert_eq!([names.whose.len(), names.key.len()], [64, 64]);
    assert!(!format!("{names:?}").contains(&names.key), "it is printed by nobody");
    let again = original(&world, world.hospital, &scan.id).await.unwrap();
    assert_eq!(again.0, names, "the same names each time");
    let action: String =
        sqlx::query_scalar("SELECT action FROM audit ORDER BY position DESC LIMIT 1")
            .fetch_one(world.ports.database.pool())
            .await
            .unwrap();
    assert_eq!(action, "scan.learned.original");

    decide(&world, world.neighbour, true).await;
    let refused = original(&world, world.neighbour, &scan.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let unjudged = judged(&world).await;
    let refused = original(&world, world.hospital, &unjudged.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);

    // Whoever erases the patient is told who has something of it.
    let whose = Some(Whose { scan_id: scan.id.clone(), ..Whose::default() });
    let erasure = NewErasure { whose, reason: "they ask for it".into() };
    let erasure = world.by_role(world.hospital, Role::Admin, erasure);
    let receipt = world.erasures.clone().erase(erasure).await.unwrap().into_inner();
    assert_eq!(receipt.learned.len(), 2);
}

pub async fn nothing_is_learned_from_without_consent(world: World) {
    let scan = judged(&world).await;
    Reader::new(&world, "ada").give(header(&scan, Verdict::Agree)).await;
    let ask = |role| world.by_role(world.hospital, role, ConsentRef {});
    let asked = world.learning.clone().get_consent(ask(Role::Clinician)).await.unwrap();
    assert_eq!(asked.into_inner(), Consent::default());
    assert_eq!(listed(&world, world.hospital).await, ConfirmedPage::default());
    for refused in [
        image(&world, world.hospital, &scan.id).await.unwrap_err(),
        truth(&world, world.hospital, &scan.id).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let decision = world.by_role(world.hospital, role, Decision { learning: true });
        let refused = world.learning.clone().decide(decision).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}");
    }
    let given = decide(&world, world.hospital, true).await;
    assert_eq!((given.learning, given.at_ms), (true, world.clock.clock().now_ms()));
    assert_eq!(listed(&world, world.hospital).await.confirmed.len(), 1);
    for role in [Role::Clinician, Role::Integrator] {
        let list = world.by_role(world.hospital, role, ListConfirmedScans::default());
        let refused = world.learning.clone().list_confirmed(list).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}");
    }
    decide(&world, world.hospital, false).await;
    let page = listed(&world, world.hospital).await;
    assert!(!page.consented && page.confirmed.is_empty());
    assert_eq!(world.count("consents").await, 2, "each decision is kept");
    let noted: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit ORDER BY position DESC LIMIT 2")
            .fetch_all(world.ports.database.pool())
            .await
            .unwrap();
    assert_eq!(noted, ["consent.withdrawn", "consent.given"]);
}

pub async fn nothing_is_handed_out_after_consent_was_withdrawn_in_the_same_moment(world: World) {
    let scan = judged(&world).await;
    Reader::new(&world, "ada").give(header(&scan, Verdict::Agree)).await;
    for _ in 0..10 {
        decide(&world, world.hospital, true).await;
        let images = join_all((0..4).map(|_| image(&world, world.hospital, &scan.id)));
        let (images, _) = join(images, decide(&world, world.hospital, false)).await;
        for refused in images.into_iter().filter_map(Result::err) {
            assert_eq!(refused.code(), Code::PermissionDenied);
        }
    }
    let noted: Vec<String> = sqlx::query_scalar("SELECT action FROM audit ORDER BY position")
        .fetch_all(world.ports.database.pool())
        .await
        .unwrap();
    let mut consented = false;
    for action in noted {
        match &*action {
            "consent.given" => consented = true,
            "consent.withdrawn" => consented = false,
            "scan.learned.from" => assert!(consented, "it was read after consent was withdrawn"),
            _ => {}
        }
    }
}

pub async fn what_readers_confirm_is_handed_out_without_a_name(world: World) {
    let ada = Reader::new(&world, "ada");
    let (agreed, corrected, rejected) =
        (judged(&world).await, judged(&world).await, judged(&world).await);
    let unjudged = judged(&world).await;
    ada.give(header(&agreed, Verdict::Agree)).await;
    let mask = b"a reader's mask";
    let mut correction = with_mask(header(&corrected, Verdict::Correct), mask);
    let reason = FeedbackReason::Outline.into();
    let (verdict, note) = (Verdict::Reject.into(), "beside a canary".into());
    correction.word.as_mut().unwrap().findings =
        vec![JudgedFinding { label: 1, verdict, reason, note }];
    ada.send(vec![Part::Header(correction), Part::Mask(mask.to_vec().into())]).await.unwrap();
    ada.give(header(&rejected, Verdict::Reject)).await;
    decide(&world, world.hospital, true).await;

    let page = listed(&world, world.hospital).await;
    let of = |scan: &Scan| page.confirmed.iter().find(|it| it.scan_id == scan.id);
    let told = |it: &Confirmed| [&*it.verdict, &*it.truth, &*it.mask].map(str::to_owned);
    let by_model = of(&agreed).unwrap();
    assert_eq!(told(by_model), ["agree", "tumour", "model"]);
    assert_eq!((&*by_model.image_kind, &by_model.mask_sha256), ("flair", &sha256(b"a mask")));
    let by_reader = of(&corrected).unwrap();
    assert_eq!(told(by_reader), ["correct", "tumour", "reader"]);
    let (verdict, reason) = ("reject".into(), "outline".into());
    assert_eq!(by_reader.findings, [ConfirmedFinding { label: 1, verdict, reason }]);
    assert!(by_model.findings.is_empty() && !format!("{page:?}").contains("canary"), "{page:?}");
    assert_eq!((&by_reader.mask_sha256, &by_reader.shape), (&sha256(mask), &vec![1, 64, 64]));
    let left_out: Vec<_> = page.left_out.iter().map(|it| &*it.why).collect();
    assert_eq!((page.confirmed.len(), left_out), (2, vec!["rejected"]));
    assert!(page.confirmed.iter().all(|it| it.patient.len() == 32 && it.id.len() == 32));

    let voxels = image(&world, world.hospital, &corrected.id).await.unwrap();
    assert_eq!(voxels, world.read(&corrected, "volume").await.unwrap());
    let (name, bytes, beginning) = truth(&world, world.hospital, &corrected.id).await.unwrap();
    assert_eq!((&*name, &bytes[..]), ("mask.png", &mask[..]));
    assert!(voxels.starts_with(&beginning) && beginning.len() > 10_000);
    for scan in [&rejected.id, &unjudged.id, NEVER] {
        let refused = image(&world, world.hospital, scan).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        let refused = truth(&world, world.hospital, scan).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
    let noted: (String, String) =
        sqlx::query_as("SELECT action, object_id FROM audit WHERE action <> 'scan.pixels.read' ORDER BY position DESC LIMIT 1")
            .fetch_one(world.ports.database.pool())
            .await
            .unwrap();
    assert_eq!(noted, ("scan.learned.from".to_owned(), corrected.id.clone()));
}

pub async fn a_head_without_a_tumour_is_handed_out_with_nothing_marked(world: World) {
    let ada = Reader::new(&world, "ada");
    let none = |scan: &Scan, verdict: Verdict| {
        let word = Word { truth: Truth::NoTumour.into(), ..word(verdict) };
        FeedbackHeader { word: Some(word), ..header(scan, verdict) }
    };
    let agreed = answered(&world, Answer::NoneFound).await;
    ada.give(header(&agreed, Verdict::Agree)).await;
    let falsely_found = judged(&world).await;
    ada.give(none(&falsely_found, Verdict::Reject)).await;
    let erased = judged(&world).await;
    let mask = b"a black picture";
    let mut drawn = with_mask(none(&erased, Verdict::Correct), mask);
    drawn.mask.as_mut().unwrap().empty = true;
    ada.send(vec![Part::Header(drawn), Part::Mask(mask.to_vec().into())]).await.unwrap();
    let too_poor = answered(&world, Answer::NotAnalysable).await;
    ada.give(header(&too_poor, Verdict::Agree)).await;
    decide(&world, world.hospital, true).await;

    let page = listed(&world, world.hospital).await;
    for (scan, verdict) in [(&agreed, "agree"), (&falsely_found, "reject"), (&erased, "correct")] {
        let one = page.confirmed.iter().find(|it| it.scan_id == scan.id).unwrap();
        let told = [&*one.verdict, &*one.truth, &*one.mask, &*one.mask_sha256];
        assert_eq!(told, [verdict, "no_tumour", "empty", ""]);
        let (name, bytes, beginning) = truth(&world, world.hospital, &scan.id).await.unwrap();
        assert!(name.is_empty() && bytes.is_empty() && !beginning.is_empty(), "{verdict}");
    }
    let left_out: Vec<_> = page.left_out.iter().map(|it| &*it.why).collect();
    assert_eq!((page.confirmed.len(), left_out), (3, vec!["not_analysed"]));
}

async fn page_of(world: &World, list: ListConfirmedScans) -> ConfirmedPage {
    let list = scientist(world, world.hospital, list);
    world.learning.clone().list_confirmed(list).await.unwrap().into_inner()
}

pub async fn scans_of_one_patient_have_one_name_that_no_other_hospital_shares(world: World) {
    let ada = Reader::new(&world, "ada");
    for _ in 0..2 {
        ada.give(header(&judged(&world).await, Verdict::Agree)).await;
        world.clock.advance(10);
    }
    decide(&world, world.hospital, true).await;
    let page = listed(&world, world.hospital).await;
    let [one, other] = &page.confirmed[..] else { panic!("{page:?}") };
    assert!(one.patient == other.patient && one.id != other.id, "{page:?}");
    assert!(one.patient_known && one.patient.len() == 32 && one.patient != one.id);
    // Withdrawn and given again, they keep their names.
    decide(&world, world.hospital, false).await;
    decide(&world, world.hospital, true).await;
    assert_eq!(listed(&world, world.hospital).await, page);
    decide(&world, world.neighbour, true).await;
    let keys: Vec<String> = sqlx::query_scalar("SELECT key_hex FROM pseudonym_keys")
        .fetch_all(world.ports.database.pool())
        .await
        .unwrap();
    assert!(keys.len() == 2 && keys[0] != keys[1]);
    // Page by page, nothing is lost.
    let list = ListConfirmedScans { limit: 1, ..ListConfirmedScans::default() };
    let first = page_of(&world, list).await;
    let list = ListConfirmedScans { limit: 1, cursor: first.next_cursor };
    let rest = page_of(&world, list).await;
    assert_eq!([&first.confirmed[..], &rest.confirmed[..]].concat(), page.confirmed);
    assert_eq!(rest.next_cursor, "");
}

pub async fn another_hospitals_confirmed_scans_are_as_if_they_never_were(world: World) {
    let scan = judged(&world).await;
    Reader::new(&world, "ada").give(header(&scan, Verdict::Agree)).await;
    decide(&world, world.hospital, true).await;
    decide(&world, world.neighbour, true).await;
    let page = listed(&world, world.neighbour).await;
    assert_eq!(page, ConfirmedPage { consented: true, ..ConfirmedPage::default() });
    let said = |status: Status| (status.code(), status.message().to_owned());
    for (id, expected) in [(&*scan.id, NEVER), (NEVER, NEVER)] {
        let one = said(image(&world, world.neighbour, id).await.unwrap_err());
        assert_eq!(one, said(image(&world, world.neighbour, expected).await.unwrap_err()));
        assert_eq!(one.0, Code::NotFound);
        assert_eq!(one, said(truth(&world, world.neighbour, id).await.unwrap_err()));
    }
}
