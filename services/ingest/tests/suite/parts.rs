//! Uploads that come in several calls.

use domain::ErrorKind;
use image::ImageFormat;
use imaging::encode::Series;
use proto::ingest::UploadContents::{Batch, File, Files};
use proto::ingest::partial_upload::Outcome;
use service::claims::Role;

use crate::files;
use crate::world::World;

fn picture() -> Vec<u8> {
    files::picture(&files::slice(), ImageFormat::Png)
}

#[tokio::test]
async fn an_upload_that_is_cut_anywhere_becomes_one_scan() {
    let world = World::new().await;
    let png = picture();
    for cut in [0, 1, png.len() / 3, png.len() - 1] {
        let begun = world.begin(png.len(), File).await;
        let (id, token) = (begun.id.as_str(), world.token.as_str());
        // The line is lost: nobody is answered, and what had come stays.
        let lost = world.append((id, 0), &png[..cut], false, token).await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Invalid, "{cut}");
        let kept = world.partial(id, token).await.unwrap();
        assert_eq!((kept.kept_bytes, kept.outcome), (cut as u64, None));
        let whole = world.append((id, cut), &png[cut..], true, token).await.unwrap();
        let Some(Outcome::ScanId(scan)) = whole.outcome else { panic!("{cut}: {whole:?}") };
        // Whoever missed the answer asks again, and sends the end again.
        let again = [
            world.partial(id, token).await.unwrap(),
            world.append((id, png.len()), &[], true, token).await.unwrap(),
        ];
        let same = Some(Outcome::ScanId(scan));
        assert_eq!(again.map(|told| told.outcome), [same.clone(), same]);
        let replayed = world.append((id, cut), &png[cut..], true, token).await.unwrap_err();
        assert_eq!(replayed.kind(), ErrorKind::Conflict);
    }
    assert_eq!(world.storage.count("scans").await, 4);
}

#[tokio::test]
async fn files_that_were_packed_are_what_they_would_be_in_one_form_and_a_batch_is_a_batch() {
    let world = World::new().await;
    let series = [Series::of_seed(2), Series::of_seed(3)];
    let [one, two] = [files::dicom_zip(&series[..1]), files::dicom_zip(&series)];
    for (zip, contents, batch) in
        [(&one, File, false), (&one, Files, false), (&two, Files, true), (&two, Batch, true)]
    {
        let begun = world.begin(zip.len(), contents).await;
        let whole = world.append((begun.id.as_str(), 0), zip, true, &world.token).await.unwrap();
        let is_batch = matches!(whole.outcome, Some(Outcome::BatchId(_)));
        assert_eq!((whole.outcome.is_some(), is_batch), (true, batch), "{contents:?}");
    }
}

#[tokio::test]
async fn what_is_no_scan_is_refused_and_stays_refused() {
    let world = World::new().await;
    let begun = world.begin(8, File).await;
    let whole =
        world.append((begun.id.as_str(), 0), b"no image", true, &world.token).await.unwrap();
    let Some(Outcome::Refusal(refusal)) = whole.outcome else { panic!("{whole:?}") };
    assert_eq!(refusal.problem, "not-an-image");
    let again = world.partial(&begun.id, &world.token).await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::Refusal(refusal)));
    assert_eq!(world.storage.count("scans").await, 0);
}

#[tokio::test]
async fn nobody_else_knows_of_an_upload_not_even_a_colleague() {
    let world = World::new().await;
    let png = picture();
    let begun = world.begin(png.len(), File).await;
    let other = world.stranger();
    let service = world.issuer.service_token();
    for (token, kind) in [(&other, ErrorKind::NotFound), (&service, ErrorKind::Forbidden)] {
        let asked = world.partial(&begun.id, token).await.unwrap_err();
        let sent = world.append((begun.id.as_str(), 0), &png, true, token).await.unwrap_err();
        assert_eq!([asked.kind(), sent.kind()], [kind, kind]);
    }
    assert_eq!(world.partial(&begun.id, &world.token).await.unwrap().kept_bytes, 0);
}

#[tokio::test]
async fn what_is_dropped_is_gone_and_what_came_of_it_stays() {
    let world = World::new().await;
    let png = picture();
    for bytes in [&png[..1], &png[..]] {
        let begun = world.begin(png.len(), File).await;
        world.append((begun.id.as_str(), 0), bytes, true, &world.token).await.unwrap();
        world.drop_partial(&begun.id).await.unwrap();
        for gone in [
            world.drop_partial(&begun.id).await.unwrap_err(),
            world.partial(&begun.id, &world.token).await.unwrap_err(),
        ] {
            assert_eq!(gone.kind(), ErrorKind::NotFound);
        }
    }
    assert_eq!(world.storage.count("scans").await, 1);
}

#[tokio::test]
async fn a_whole_upload_that_storage_could_not_take_waits_until_it_can() {
    let world = World::full().await;
    let png = picture();
    let begun = world.begin(png.len(), File).await;
    let full = world.append((begun.id.as_str(), 0), &png, true, &world.token).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Unavailable);
    // Asking is trying again; the bytes are there all the while.
    for _ in 0..2 {
        let full = world.partial(&begun.id, &world.token).await.unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Unavailable);
    }
    let scientist = world.issuer.token(
        domain::TenantId::new(&service::system_clock(), &service::system_random()),
        &[Role::Scientist],
    );
    let refused = world.partial(&begun.id, &scientist).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
}
