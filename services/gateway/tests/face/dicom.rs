use domain::Answer;
use imaging::{lettered_png, mask_nifti, overlay_png};
use proto::storage::{self, AcceptHeader, Identity};
use service::claims::Role;

use crate::reports::{SHAPE, document, head};
use crate::{Gateway, problem};

const OBJECTS: [&str; 5] = ["seg.dcm", "sr.dcm", "text.dcm", "capture.dcm", "report.dcm"];

/// Keeps a head that came as DICOM, or not; its id.
pub async fn accepted(gateway: &Gateway, as_dicom: bool) -> String {
    let (volume, _) = head();
    let some = |text: &str| Some(text.to_owned());
    let person = Identity {
        patient_name: some("Canary^Yellow"),
        patient_id: some("4711"),
        ..Identity::default()
    };
    let of_study = Identity {
        study_instance_uid: some("1.2.3"),
        series_instance_uid: some("1.2.3.4"),
        sop_class_uid: some("1.2.840.10008.5.1.4.1.1.4"),
        frame_of_reference_uid: some("1.2.3.5"),
        sop_instance_uids: (0..SHAPE.slices).map(|slice| format!("1.2.3.4.{slice}")).collect(),
        ..person.clone()
    };
    let known = AcceptHeader {
        identity: Some(if as_dicom { of_study } else { person }),
        patient: "4711".into(),
        patient_id: "4711".into(),
        ..AcceptHeader::default()
    };
    let picture = lettered_png(&volume, SHAPE.slices / 2).unwrap();
    let shape = SHAPE.lengths().map(|length| length as u32);
    gateway.mesh.pictured(known, &volume.to_bytes(), shape, &picture).await
}

/// A scan that was answered so; its id.
pub async fn answered(gateway: &Gateway, answer: Answer, as_dicom: bool) -> String {
    let id = accepted(gateway, as_dicom).await;
    let (volume, found) = head();
    let document = document(&id, answer);
    let mut files = vec![("result.json", document.to_json())];
    let told = match answer {
        Answer::Found => storage::Answer::Found,
        _ => storage::Answer::NoneFound,
    };
    if answer == Answer::Found {
        let shown = document.findings[0].slice;
        files.push(("overlay.png", overlay_png(&volume, &found, shown).unwrap()));
        files.push(("mask.nii.gz", mask_nifti(&volume, &found).unwrap()));
    }
    gateway.mesh.hand_in(&gateway.mesh.claim(&id).await, told, files).await;
    id
}

pub async fn refused(gateway: &Gateway, path: &str) -> (u16, String) {
    let (status, _, body) = problem(gateway.get(path).send().await.unwrap()).await;
    (status, body["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn each_object_is_a_dicom_file_of_its_patient_that_no_cache_keeps() {
    let gateway = Gateway::start().await;
    let scan = answered(&gateway, Answer::Found, true).await;
    for name in OBJECTS {
        let path = format!("/v1/scans/{scan}/{name}");
        let answer = gateway.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let named = format!("attachment; filename=\"{scan}-{name}\"");
        let shown = ["content-type", "cache-control", "content-disposition"].map(header);
        assert_eq!(shown, ["application/dicom", "no-store", named.as_str()]);
        let file = answer.bytes().await.unwrap();
        assert_eq!(&file[128..132], b"DICM", "{name}");
        assert!(file.windows(13).any(|word| word == b"Canary^Yellow"), "{name}");
        let again = gateway.get(&path).send().await.unwrap().bytes().await.unwrap();
        assert!(file == again, "{name}: the same result is the same object");
    }
    let french = gateway.get(&format!("/v1/scans/{scan}/report.dcm?lang=fr")).send().await.unwrap();
    assert_eq!(french.status(), 200);
    for bad in ["report.dcm?lang=de", "seg.dcm?lang=fr"] {
        assert_eq!(refused(&gateway, &format!("/v1/scans/{scan}/{bad}")).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn who_may_not_know_whose_scan_it_is_gets_none() {
    let mut gateway = Gateway::start().await;
    let scan = answered(&gateway, Answer::Found, true).await;
    for (role, status) in [(Role::Integrator, 200), (Role::Admin, 403), (Role::Scientist, 403)] {
        gateway.token = gateway.mesh.token(role);
        for name in OBJECTS {
            let answer = gateway.get(&format!("/v1/scans/{scan}/{name}")).send().await.unwrap();
            assert_eq!(answer.status(), status, "{role:?}: {name}");
        }
    }
    gateway.token = gateway.mesh.token_elsewhere();
    assert_eq!(refused(&gateway, &format!("/v1/scans/{scan}/sr.dcm")).await.0, 404);
}

#[tokio::test]
async fn what_cannot_be_made_says_why() {
    let gateway = Gateway::start().await;
    let none = answered(&gateway, Answer::NoneFound, true).await;
    let (status, why) = refused(&gateway, &format!("/v1/scans/{none}/seg.dcm")).await;
    assert!(status == 404 && why.contains("nothing was found"), "{status}: {why}");
    for name in &OBJECTS[1..] {
        let answer = gateway.get(&format!("/v1/scans/{none}/{name}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
    }
    let picture = answered(&gateway, Answer::Found, false).await;
    let running = accepted(&gateway, true).await;
    for name in OBJECTS {
        let (status, why) = refused(&gateway, &format!("/v1/scans/{picture}/{name}")).await;
        assert!(status == 404 && why.contains("did not come as DICOM"), "{name}: {why}");
        assert_eq!(
            refused(&gateway, &format!("/v1/scans/{running}/{name}")).await.0,
            409,
            "{name}"
        );
    }
}
