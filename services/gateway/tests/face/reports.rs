use domain::Answer;
use imaging::phantom::{Phantom, Settings};
use imaging::{
    ClassifiedKind, Criteria, Features, Findings, ImageFacts, Inputs, Quality, ResultDocument,
    Shape, Timing, Totals, Volume, lettered_png, overlay_png,
};
use proto::storage::{self, AcceptHeader, Identity};
use serde_json::json;
use service::claims::Role;

use crate::mesh::{NOW_MS, sha256};
use crate::{Gateway, problem};

pub const SHAPE: Shape = Shape { slices: 12, rows: 64, columns: 64 };

/// A head with one finding, and how that finding is marked.
pub fn head() -> (Volume, Findings) {
    let settings = Settings { shape: SHAPE, spacing: [8.0, 3.5, 3.5], ..Settings::slice(2) };
    let settings = Settings { lesion_ml: Some(12.0), ..settings };
    let Phantom { volume, truth, .. } = Phantom::new(&settings).unwrap();
    let probabilities: Vec<f32> = truth.iter().map(|&inside| f32::from(inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let found = Findings::new(&probabilities, SHAPE, volume.geometry.as_ref(), criteria).unwrap();
    (volume, found)
}

/// Keeps such a head, of somebody; its id.
async fn accepted(gateway: &Gateway) -> String {
    let (volume, _) = head();
    let identity = Identity {
        patient_name: Some("Canary^Yellow".into()),
        patient_id: Some("4711".into()),
        ..Identity::default()
    };
    let known = AcceptHeader {
        identity: Some(identity),
        patient: "4711".into(),
        patient_id: "4711".into(),
        ..AcceptHeader::default()
    };
    let picture = lettered_png(&volume, SHAPE.slices / 2).unwrap();
    let shape = SHAPE.lengths().map(|length| length as u32);
    gateway.mesh.pictured(known, &volume.to_bytes(), shape, &picture).await
}

/// The document of a scan that was answered so; what is shown is not where the finding is largest.
pub fn document(id: &str, answer: Answer) -> ResultDocument {
    let (volume, found) = head();
    let findings = if answer == Answer::Found { found.findings } else { Vec::new() };
    let shown = findings.first().map_or(SHAPE.slices / 2, |finding| finding.slice - 1);
    let none = ResultDocument::failed(id.to_owned(), None, NOW_MS, NOW_MS);
    ResultDocument {
        answer,
        reason: (answer == Answer::NotAnalysable).then(|| "no model here".into()),
        totals: Some(Totals::new(&findings, SHAPE)),
        quality: Some(Quality { features: Features::new(&volume), remarks: Vec::new() }),
        image: Some(ImageFacts::new(&volume, ClassifiedKind::default(), shown)),
        inputs: Some(Inputs {
            volume_sha256: sha256(&volume.to_bytes()),
            binding: String::new(),
            attempt: 1,
        }),
        timing: Timing::new(NOW_MS, NOW_MS, NOW_MS, 1.0),
        findings,
        ..none
    }
}

/// A scan that was answered so; its id.
async fn answered(gateway: &Gateway, answer: Answer, wire: storage::Answer) -> String {
    let id = accepted(gateway).await;
    let (volume, found) = head();
    let document = document(&id, answer);
    let mut files = vec![("result.json", document.to_json())];
    if answer == Answer::Found {
        let shown = document.findings[0].slice - 1;
        files.push(("overlay.png", overlay_png(&volume, &found, shown).unwrap()));
    }
    gateway.mesh.hand_in(&gateway.mesh.claim(&id).await, wire, files).await;
    id
}

async fn found(gateway: &Gateway) -> String {
    answered(gateway, Answer::Found, storage::Answer::Found).await
}

/// What stands in the report at that address, with single spaces.
async fn text(gateway: &Gateway, path: &str) -> String {
    let answer = gateway.get(path).send().await.unwrap();
    let (status, pdf) = (answer.status(), answer.bytes().await.unwrap());
    assert_eq!(status, 200, "{path}: {pdf:?}");
    let document = lopdf::Document::load_mem(&pdf).unwrap();
    let text = document.extract_text(&[1]).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn address(scan: &str) -> String {
    format!("/v1/scans/{scan}/report.pdf")
}

#[tokio::test]
async fn a_report_is_a_pdf_that_no_cache_keeps_and_no_patient_names() {
    let gateway = Gateway::start().await;
    let scan = found(&gateway).await;
    let answer = gateway.get(&address(&scan)).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let shown = ["content-type", "content-language", "cache-control", "content-disposition"];
    let named = format!("inline; filename=\"{scan}-report.pdf\"");
    assert_eq!(shown.map(header), ["application/pdf", "en", "no-store", named.as_str()]);
    let one = answer.bytes().await.unwrap();
    assert!(one.starts_with(b"%PDF-"));
    let again = gateway.get(&address(&scan)).send().await.unwrap().bytes().await.unwrap();
    assert!(one == again, "nothing has changed, nor has the clock moved");
}

#[tokio::test]
async fn each_answer_has_a_report_in_both_languages() {
    let gateway = Gateway::start().await;
    let failed = accepted(&gateway).await;
    gateway.mesh.give_up(&failed).await;
    let none = answered(&gateway, Answer::NoneFound, storage::Answer::NoneFound).await;
    let not = answered(&gateway, Answer::NotAnalysable, storage::Answer::NotAnalysable).await;
    for (scan, english, french) in [
        (found(&gateway).await, "Tumour region found", "Région tumorale trouvée"),
        (none, "None found", "Rien trouvé"),
        (not, "Reason: No model here.", "Raison: No model here."),
        (failed, "Reason: The worker died three times.", "Échec de l’analyse"),
    ] {
        for (query, words) in [("", english), ("?lang=en", english), ("?lang=fr", french)] {
            let text = text(&gateway, &format!("{}{query}", address(&scan))).await;
            assert!(text.contains(words), "{words}: {text}");
            assert!(text.contains("Canary, Yellow") && text.contains(&scan), "{text}");
        }
    }
}

#[tokio::test]
async fn the_slice_in_which_a_finding_is_largest_stands_beside_the_one_that_is_shown() {
    let gateway = Gateway::start().await;
    let scan = found(&gateway).await;
    let slice = head().1.findings[0].slice;
    let text = text(&gateway, &address(&scan)).await;
    let [shown, largest] = [slice, slice + 1].map(|number| format!("Slice {number} of 12"));
    assert!(text.contains(&shown) && text.contains(&largest), "{text}");
}

#[tokio::test]
async fn what_a_caller_may_not_know_is_left_out_and_said_to_be() {
    let mut gateway = Gateway::start().await;
    let scan = found(&gateway).await;
    let (whose, hidden) =
        ("This report does not say whose scan it is", "What readers say is not shown");
    for (role, knows, reads) in
        [(Role::Clinician, true, true), (Role::Integrator, true, false), (Role::Admin, false, true)]
    {
        gateway.token = gateway.mesh.token(role);
        let text = text(&gateway, &address(&scan)).await;
        assert_eq!((text.contains("Canary"), text.contains(whose)), (knows, !knows), "{role:?}");
        assert_eq!(text.contains(hidden), !reads, "{role:?}: {text}");
    }
    // Who may see no scan sees no report of one.
    gateway.token = gateway.mesh.token(Role::Scientist);
    assert_eq!(problem(gateway.get(&address(&scan)).send().await.unwrap()).await.0, 403);
    gateway.token = gateway.mesh.token(Role::Clinician);
    let text = text(&gateway, &format!("{}?identity=false", address(&scan))).await;
    assert!(!text.contains("Canary") && !text.contains("4711") && text.contains(whose), "{text}");
}

#[tokio::test]
async fn a_reader_finds_others_words_in_it_after_their_own_and_of_each_the_latest() {
    let mut gateway = Gateway::start().await;
    let scan = found(&gateway).await;
    let path = format!("/v1/scans/{scan}/feedback");
    let side = json!({"label": 1, "verdict": "reject", "reason": "wrong_side", "note": "mirrored"});
    let rejecting = json!({"verdict": "reject", "note": "a vessel", "findings": [side]});
    for word in [json!({"verdict": "unsure"}), rejecting] {
        assert_eq!(gateway.post(&path).json(&word).send().await.unwrap().status(), 201);
    }
    let own = text(&gateway, &address(&scan)).await;
    assert!(own.contains("tester rejects it") && own.contains("a vessel"), "{own}");
    assert!(own.contains("finding 1: is none, wrong side, mirrored"), "{own}");
    assert!(!own.contains("is unsure"), "{own}");

    gateway.token = gateway.mesh.token_of("other", Role::Clinician);
    let blind = text(&gateway, &address(&scan)).await;
    assert!(blind.contains("judged this scan 2 times"), "{blind}");
    assert!(!blind.contains("tester") && !blind.contains("a vessel"), "{blind}");
    let agrees = gateway.post(&path).json(&json!({"verdict": "agree"})).send().await.unwrap();
    assert_eq!(agrees.status(), 201);
    let seen = text(&gateway, &address(&scan)).await;
    assert!(seen.contains("tester rejects it") && seen.contains("other agrees"), "{seen}");

    // Who settles it takes the place of what was said, here as everywhere.
    gateway.token = gateway.mesh.adjudicator_token("chief");
    let words: serde_json::Value = gateway.get(&path).send().await.unwrap().json().await.unwrap();
    let rejecting = words["feedback"].as_array().unwrap().iter();
    let rejecting = rejecting.filter(|word| word["verdict"] == "reject");
    let ids: Vec<_> = rejecting.map(|word| word["id"].clone()).collect();
    let settling = json!({"verdict": "agree", "adjudicates": ids});
    assert_eq!(gateway.post(&path).json(&settling).send().await.unwrap().status(), 201);
    let settled = text(&gateway, &address(&scan)).await;
    assert!(settled.contains("chief agrees") && settled.contains("other agrees"), "{settled}");
    assert!(!settled.contains("rejects it"), "{settled}");
}

#[tokio::test]
async fn there_is_no_report_of_what_is_not_done_not_there_or_anothers() {
    let mut gateway = Gateway::start().await;
    let (scan, running) = (found(&gateway).await, gateway.mesh.running().await);
    let refused = async |gateway: &Gateway, path: &str| {
        problem(gateway.get(path).send().await.unwrap()).await
    };
    let (status, kind, _) = refused(&gateway, &address(&running)).await;
    assert_eq!((status, kind.as_str()), (409, "not-ready"));
    for bad in ["?lang=de", "?lang=", "?identity=maybe"] {
        let (status, kind, _) = refused(&gateway, &format!("{}{bad}", address(&scan))).await;
        assert_eq!((status, kind.as_str()), (400, "invalid"), "{bad}");
    }
    let (status, _, never) =
        refused(&gateway, &address("01890000-0000-7000-8000-000000000000")).await;
    assert_eq!(status, 404);
    gateway.token = gateway.mesh.token_elsewhere();
    let (status, kind, anothers) = refused(&gateway, &address(&scan)).await;
    assert_eq!((status, kind.as_str(), &anothers["detail"]), (404, "not-found", &never["detail"]));
}

#[tokio::test]
async fn a_result_of_another_scan_is_our_fault_and_never_reported() {
    let gateway = Gateway::start().await;
    let id = accepted(&gateway).await;
    let other = document("01890a5d-ac96-774b-bcce-b302099a8057", Answer::NoneFound);
    let files = vec![("result.json", other.to_json())];
    gateway.mesh.hand_in(&gateway.mesh.claim(&id).await, storage::Answer::NoneFound, files).await;
    let (status, _, body) = problem(gateway.get(&address(&id)).send().await.unwrap()).await;
    assert!(status == 500 && !body.to_string().contains("another"), "{body}");
}
