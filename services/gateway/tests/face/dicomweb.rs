//! DICOMweb as viewers and archives ask for it.

use domain::Answer;
use imaging::encode::{Series, dicom, zip};
use imaging::{Instance, Limits, PixelExtents, lettered_png, mask_nifti, overlay_png};
use proto::storage::{self, AcceptHeader, Identity};
use reqwest::header::{ACCEPT, CONTENT_TYPE, WARNING};
use serde_json::Value;
use service::claims::Role;

use crate::reports::{SHAPE, document, head};
use crate::{Gateway, problem};

/// A scan that came as the zip of a series.
struct Uploaded {
    study: String,
    series: String,
    uids: Vec<String>,
    files: Vec<Vec<u8>>,
    said: Vec<Instance>,
}

fn value(said: &Instance, tag: &str) -> String {
    said.attributes[tag]["Value"][0].as_str().unwrap().to_owned()
}

/// Keeps a head whose files are of the study and the series of `said`, and have these names.
async fn kept(
    gateway: &Gateway,
    said: &Instance,
    uids: &[String],
    upload: (&[u8], &[u8]),
) -> String {
    kept_of(gateway, "4711", said, uids, upload).await
}

/// The same of that patient.
async fn kept_of(
    gateway: &Gateway,
    patient: &str,
    said: &Instance,
    uids: &[String],
    upload: (&[u8], &[u8]),
) -> String {
    let (volume, _) = head();
    // Of scans of one millisecond none is the newer one.
    gateway.mesh.clock.advance(1);
    let (study, series) = (value(said, "0020000D"), value(said, "0020000E"));
    let some = |text: &str| Some(text.to_owned());
    let identity = Identity {
        patient_name: some("Canary^Yellow"),
        patient_id: some(patient),
        study_date: some("20240131"),
        study_instance_uid: some(&study),
        series_instance_uid: some(&series),
        sop_class_uid: some(&said.sop_class),
        frame_of_reference_uid: some("1.2.3.5"),
        sop_instance_uids: uids.to_vec(),
        ..Identity::default()
    };
    let known = AcceptHeader {
        modality: "MR".into(),
        identity: Some(identity),
        patient: patient.into(),
        patient_id: patient.into(),
        study_uid: study,
        ..AcceptHeader::default()
    };
    let picture = lettered_png(&volume, SHAPE.slices / 2).unwrap();
    let shape = SHAPE.lengths().map(|length| length as u32);
    gateway.mesh.uploaded(known, &volume.to_bytes(), shape, &picture, upload).await
}

/// Keeps a head with one finding that came as DICOM, and its result; with the index that the jail makes, or as before there was one.
async fn uploaded(gateway: &Gateway, indexed: bool) -> Uploaded {
    let (volume, found) = head();
    let file = |slice| dicom(&volume, &Series::of_seed(2), slice).unwrap();
    let files: Vec<Vec<u8>> = (0..SHAPE.slices).map(file).collect();
    let named = |(number, file): (usize, &Vec<u8>)| (format!("IM{number:03}"), file.clone());
    let original = zip(&files.iter().enumerate().map(named).collect::<Vec<_>>()).unwrap();
    let instance = |file: &Vec<u8>| imaging::instance(file, &Limits::default()).unwrap();
    let said: Vec<Instance> = files.iter().map(instance).collect();
    let uids: Vec<String> = said.iter().map(|said| said.sop_instance.clone()).collect();
    let index = imaging::instances(&original, &uids, &Limits::default());
    assert_eq!(index.len(), SHAPE.slices);
    let index = if indexed { serde_json::to_vec(&index).unwrap() } else { Vec::new() };
    let (study, series) = (value(&said[0], "0020000D"), value(&said[0], "0020000E"));
    let id = kept(gateway, &said[0], &uids, (&original, &index)).await;
    let result = document(&id, Answer::Found);
    let shown = result.findings[0].slice;
    let pieces = vec![
        ("result.json", result.to_json()),
        ("overlay.png", overlay_png(&volume, &found, shown).unwrap()),
        ("mask.nii.gz", mask_nifti(&volume, &found).unwrap()),
    ];
    gateway.mesh.hand_in(&gateway.mesh.claim(&id).await, storage::Answer::Found, pieces).await;
    Uploaded { study, series, uids, files, said }
}

async fn found(gateway: &Gateway, path: &str) -> Vec<Value> {
    let answer = gateway.get(path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/dicom+json");
    answer.json().await.unwrap()
}

async fn status(gateway: &Gateway, path: &str) -> u16 {
    gateway.get(path).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_study_is_found_by_what_its_files_say_of_it() {
    let gateway = Gateway::start().await;
    let of = uploaded(&gateway, true).await;
    for query in [
        "",
        "PatientID=4711",
        "00100020=47*",
        "PatientName=canary*",
        "StudyDate=20240101-20240131",
        "ModalitiesInStudy=SEG",
        "ModalitiesInStudy=MR&limit=1&includefield=all",
    ] {
        let studies = found(&gateway, &format!("/dicomweb/studies?{query}")).await;
        assert_eq!(studies.len(), 1, "{query}");
        assert_eq!(studies[0]["0020000D"]["Value"][0], of.study.as_str());
        assert_eq!(studies[0]["00100010"]["Value"][0]["Alphabetic"], "Canary^Yellow");
        assert_eq!(
            studies[0]["00080061"]["Value"],
            serde_json::json!(["DOC", "MR", "OT", "SEG", "SR"])
        );
    }
    for query in
        ["PatientID=4712", "PatientName=canary", "StudyDate=20240201-", "Modality=CT", "offset=1"]
    {
        assert_eq!(status(&gateway, &format!("/dicomweb/studies?{query}")).await, 204, "{query}");
    }
    let (code, _, body) =
        problem(gateway.get("/dicomweb/studies?Colour=red").send().await.unwrap()).await;
    assert!(code == 400 && body["detail"].as_str().unwrap().contains("`Colour`"), "{body}");
    let xml = gateway.get("/dicomweb/studies").header(ACCEPT, "application/dicom+xml");
    assert_eq!(problem(xml.send().await.unwrap()).await.0, 406);
    // Who cannot set a header says it in the query, which comes before what a client sends of its own.
    for (query, expected) in [
        ("accept=application/dicom%2Bjson&charset=utf-8&PatientID=4711", 200),
        ("accept=application/dicom%2Bxml", 406),
        ("charset=iso-8859-1", 406),
    ] {
        assert_eq!(status(&gateway, &format!("/dicomweb/studies?{query}")).await, expected);
    }
    let fuzzy = gateway.get("/dicomweb/studies?fuzzymatching=true").send().await.unwrap();
    assert!(fuzzy.headers()[WARNING].to_str().unwrap().starts_with("299 "));
}

#[tokio::test]
async fn series_and_instances_are_those_of_the_images_and_of_the_result() {
    let gateway = Gateway::start().await;
    let of = uploaded(&gateway, true).await;
    let Uploaded { study, series, uids, .. } = &of;
    let all = found(&gateway, &format!("/dicomweb/studies/{study}/series")).await;
    let modalities: Vec<&str> =
        all.iter().map(|series| series["00080060"]["Value"][0].as_str().unwrap()).collect();
    assert_eq!(modalities, ["MR", "SEG", "SR", "SR", "OT", "DOC"]);
    assert_eq!(all[0]["0020000E"]["Value"][0], series.as_str());
    let named = found(&gateway, "/dicomweb/series?Modality=SEG").await;
    assert_eq!((named.len(), &named[0]["00100020"]["Value"][0]), (1, &Value::from("4711")));
    let images =
        found(&gateway, &format!("/dicomweb/studies/{study}/series/{series}/instances")).await;
    assert_eq!(images.len(), uids.len());
    assert!(images.iter().all(|image| image["00280010"]["Value"][0] == SHAPE.rows));
    assert_eq!(
        found(&gateway, &format!("/dicomweb/studies/{study}/instances?limit=100")).await.len(),
        uids.len() + 5
    );
    let one = format!("/dicomweb/instances?SOPInstanceUID={}", uids[3]);
    assert_eq!(found(&gateway, &one).await.len(), 1);
    assert_eq!(status(&gateway, "/dicomweb/studies/1.2.3/series").await, 204);
}

#[tokio::test]
async fn images_come_back_byte_for_byte_and_results_as_objects() {
    let gateway = Gateway::start().await;
    let Uploaded { study, series, uids, files, .. } = uploaded(&gateway, true).await;
    for (uid, file) in uids.iter().zip(&files) {
        let path = format!("/dicomweb/studies/{study}/series/{series}/instances/{uid}");
        let answer = gateway.get(&path).header(ACCEPT, "application/dicom").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.unwrap() == file.as_slice(), "{uid}");
    }
    let one = format!("/dicomweb/studies/{study}/series/{series}/instances/{}", uids[0]);
    for (syntax, expected) in [("*", 200), ("1.2.840.10008.1.2.4.90", 406)] {
        let wanted =
            format!("multipart/related; type=\"application/dicom\"; transfer-syntax={syntax}");
        let answer = gateway.get(&one).header(ACCEPT, wanted).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{syntax}");
        let query = format!("{one}?accept=application/dicom;transfer-syntax={syntax}");
        assert_eq!(status(&gateway, &query).await, expected, "{syntax}");
    }
    let answer = gateway.get(&format!("/dicomweb/studies/{study}")).send().await.unwrap();
    let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    assert!(kind.starts_with("multipart/related; type=\"application/dicom\"; boundary="), "{kind}");
    let boundary = format!("--{}", kind.rsplit('=').next().unwrap());
    let body = answer.bytes().await.unwrap();
    let parts = body.windows(boundary.len()).filter(|part| *part == boundary.as_bytes()).count();
    // One before each part, and one behind all.
    assert_eq!(parts, files.len() + 5 + 1);
    for file in &files {
        assert!(body.windows(file.len()).any(|part| part == file.as_slice()));
    }
}

#[tokio::test]
async fn a_series_has_the_images_of_all_its_scans_though_the_newest_has_but_one() {
    let gateway = Gateway::start().await;
    let Uploaded { study, series, uids, files, said } = uploaded(&gateway, true).await;
    // It came late, when the others lay in the inbox no more.
    let late = &uids[..1];
    let index = imaging::instances(&files[0], late, &Limits::default());
    let index = serde_json::to_vec(&index).unwrap();
    kept(&gateway, &said[0], late, (&files[0], &index)).await;

    let path = format!("/dicomweb/studies/{study}/series");
    let images = found(&gateway, &format!("{path}?Modality=MR")).await;
    let count = &images[0]["00201209"]["Value"][0];
    assert_eq!((images.len(), count), (1, &Value::from(uids.len())));
    let path = format!("{path}/{series}/instances");
    assert_eq!(found(&gateway, &path).await.len(), uids.len());
    for at in [0, 4] {
        let one = gateway.get(&format!("{path}/{}", uids[at])).header(ACCEPT, "application/dicom");
        let one = one.send().await.unwrap().bytes().await.unwrap();
        assert!(one == files[at].as_slice(), "{at}");
    }
    assert_eq!(status(&gateway, &format!("{path}/{}/rendered", uids[4])).await, 200);
    // Which slice of its scan the late one is, its names do not tell.
    assert_eq!(status(&gateway, &format!("{path}/{}/rendered", uids[0])).await, 406);
}

#[tokio::test]
async fn images_of_two_patients_under_one_series_are_all_reached_and_never_mixed() {
    let gateway = Gateway::start().await;
    let Uploaded { study, series, uids, files, said } = uploaded(&gateway, true).await;
    let (newer, index) =
        (&uids[..1], imaging::instances(&files[0], &uids[..1], &Limits::default()));
    let index = serde_json::to_vec(&index).unwrap();
    kept_of(&gateway, "4712", &said[0], newer, (&files[0], &index)).await;

    let path = format!("/dicomweb/studies/{study}/series/{series}");
    for (address, count) in [(format!("{path}/metadata"), 1), (path.clone(), 2)] {
        let answer = gateway.get(&address).send().await.unwrap();
        let warning = answer.headers()[WARNING].to_str().unwrap().to_owned();
        assert!(warning.contains("several patients"), "{warning}");
        if address == path {
            let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
            let boundary = format!("--{}", kind.rsplit('=').next().unwrap());
            let body = answer.bytes().await.unwrap();
            let parts = body.windows(boundary.len());
            assert_eq!(parts.filter(|part| *part == boundary.as_bytes()).count(), count);
        } else {
            let told: Vec<Value> = answer.json().await.unwrap();
            assert_eq!(told.len(), count);
        }
    }
    // A search lists those of both, and says whose each is.
    let path = format!("{path}/instances");
    let all = found(&gateway, &path).await;
    let of =
        |patient: &str| all.iter().filter(|one| one["00100020"]["Value"][0] == patient).count();
    assert_eq!((of("4712"), of("4711")), (1, uids.len()));
    for (uid, file, is_shared) in [(&uids[4], &files[4], false), (&uids[0], &files[0], true)] {
        let one = gateway.get(&format!("{path}/{uid}")).header(ACCEPT, "application/dicom");
        let one = one.send().await.unwrap();
        assert_eq!(one.headers().contains_key(WARNING), is_shared);
        assert!(one.bytes().await.unwrap() == file.as_slice(), "{uid}");
    }
}

#[tokio::test]
async fn what_is_in_an_instance_is_told_and_cut_out() {
    let gateway = Gateway::start().await;
    let Uploaded { study, series, uids, files, said } = uploaded(&gateway, true).await;
    let path = format!("/dicomweb/studies/{study}/series/{series}/instances/{}", uids[4]);
    let told = found(&gateway, &format!("{path}/metadata")).await;
    let uri = told[0]["7FE00010"]["BulkDataURI"].as_str().unwrap();
    assert!(uri.ends_with(&format!("{path}/bulkdata/7FE00010")), "{uri}");
    let Some(PixelExtents::Native { all, .. }) = said[4].pixels else { panic!() };
    let pixels = &files[4][all.at as usize..all.end() as usize];
    for part in ["frames/1", "bulkdata/7FE00010"] {
        let octets =
            gateway.get(&format!("{path}/{part}")).header(ACCEPT, "application/octet-stream");
        assert!(octets.send().await.unwrap().bytes().await.unwrap() == pixels, "{part}");
    }
    assert_eq!(status(&gateway, &format!("{path}/frames/2")).await, 404);
    assert_eq!(status(&gateway, &format!("{path}/frames/0")).await, 400);
    for part in ["rendered", "rendered?window=40,400,linear", "frames/1/rendered", "thumbnail"] {
        let answer = gateway.get(&format!("{path}/{part}")).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[CONTENT_TYPE].to_str().unwrap()),
            (200, "image/png"),
            "{part}"
        );
    }
    let every = found(&gateway, &format!("/dicomweb/studies/{study}/metadata")).await;
    assert_eq!(every.len(), files.len() + 5);
}

#[tokio::test]
async fn parts_of_results_are_cut_out_for_many_at_once_and_no_frame_twice() {
    let gateway = Gateway::start().await;
    let Uploaded { study, series, uids, .. } = uploaded(&gateway, true).await;
    let all = found(&gateway, "/dicomweb/instances?Modality=SEG").await;
    let uid = |tag: &str| all[0][tag]["Value"][0].as_str().unwrap().to_owned();
    let (of, one) = (uid("0020000E"), uid("00080018"));
    let path = format!("/dicomweb/studies/{study}/series/{of}/instances/{one}/frames/1");
    // More than are made at a time: none waits for another that waits for it.
    let asked = (0..12).map(|_| status(&gateway, &path));
    assert_eq!(futures::future::join_all(asked).await, [200; 12]);
    let image = format!("/dicomweb/studies/{study}/series/{series}/instances/{}", uids[0]);
    assert_eq!(status(&gateway, &format!("{image}/frames/1,1")).await, 400);
}

#[tokio::test]
async fn another_hospitals_study_is_as_one_that_never_was_and_who_may_not_know_is_refused() {
    let mut gateway = Gateway::start().await;
    let Uploaded { study, series, uids, .. } = uploaded(&gateway, true).await;
    let instance = format!("/dicomweb/studies/{study}/series/{series}/instances/{}", uids[0]);
    let never = "/dicomweb/studies/1.2.3/series/1.2/instances/1";
    gateway.token = gateway.mesh.token(Role::Admin);
    for path in ["/dicomweb/studies", instance.as_str(), never] {
        assert_eq!(status(&gateway, path).await, 403, "{path}");
    }
    gateway.token = gateway.mesh.token_elsewhere();
    assert_eq!(status(&gateway, &format!("/dicomweb/studies?StudyInstanceUID={study}")).await, 204);
    for part in ["", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010"] {
        let mut said = Vec::new();
        for path in [instance.as_str(), never] {
            let (status, name, body) =
                problem(gateway.get(&format!("{path}{part}")).send().await.unwrap()).await;
            said.push((status, name, body["detail"].clone()));
        }
        assert!(said[0].0 == 404 && said[0] == said[1], "{part}: {said:?}");
    }
}

#[tokio::test]
async fn a_scan_that_came_before_there_was_an_index_is_found_and_says_where_its_images_are() {
    let gateway = Gateway::start().await;
    let Uploaded { study, series, uids, .. } = uploaded(&gateway, false).await;
    let path = format!("/dicomweb/studies/{study}/series/{series}/instances");
    assert_eq!(found(&gateway, &path).await.len(), uids.len());
    let one = gateway.get(&format!("{path}/{}", uids[0])).send().await.unwrap();
    let (status, _, body) = problem(one).await;
    assert!(status == 404 && body["detail"].as_str().unwrap().contains("`original`"), "{body}");
    // Its result is handed out all the same.
    let answer = gateway.get(&format!("/dicomweb/studies/{study}")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()[WARNING].to_str().unwrap().contains("left out"));
}
