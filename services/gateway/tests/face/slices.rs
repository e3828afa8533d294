use imaging::phantom::{Phantom, Settings};
use imaging::{Shape, Volume, slice_png};
use proto::storage::Answer;
use service::claims::Role;

use crate::between::Fault;
use crate::{Gateway, json, problem};

const SLICES: usize = 5;

fn head() -> Volume {
    let shape = Shape { slices: SLICES, rows: 64, columns: 48 };
    let settings =
        Settings { shape, spacing: [8.0, 3.5, 3.5], tumour: false, ..Settings::slice(2) };
    Phantom::new(&settings).unwrap().volume
}

/// A gateway, and the address of a scan's slices.
async fn gateway() -> (Gateway, String) {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.stored(&head().to_bytes(), [5, 64, 48]).await;
    let path = format!("/v1/scans/{scan}/slices");
    (gateway, path)
}

#[tokio::test]
async fn each_slice_is_shown_by_the_scans_own_window_and_the_volume_is_read_once() {
    let (gateway, path) = gateway().await;
    let volume = head();
    for slice in 0..SLICES {
        let answer = gateway.get(&format!("{path}/{slice}.png")).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((answer.status().as_u16(), header("content-type").as_str()), (200, "image/png"));
        let [black, white] = volume.window;
        assert_eq!(header("x-window"), format!("{black},{white}"));
        assert_eq!(answer.bytes().await.unwrap(), slice_png(&volume, slice).unwrap(), "{slice}");
    }
    assert_eq!(gateway.mesh.between.reads(), 1);
}

#[tokio::test]
async fn whoever_sees_a_slice_is_in_the_audit_trail_also_where_it_was_read_for_another() {
    let (gateway, path) = gateway().await;
    let other = gateway.mesh.token_of("other", Role::Clinician);
    for token in [&gateway.token, &other, &other] {
        let asked = gateway.client.get(format!("{}{path}/2.png", gateway.url)).bearer_auth(token);
        assert_eq!(asked.send().await.unwrap().status(), 200);
    }
    assert_eq!(gateway.mesh.between.reads(), 1);
    let gateway = gateway.signed_in_as(Role::Admin);
    let asked = gateway.get("/v1/audit?action=scan.pixels.read").send().await.unwrap();
    let (status, page) = json(asked).await;
    assert_eq!(status, 200, "{page}");
    let entries = page["entries"].as_array().unwrap();
    let readers: Vec<_> = entries.iter().map(|entry| entry["subject"].as_str()).collect();
    assert_eq!(readers, [Some("other"), Some("tester")]);
}

#[tokio::test]
async fn another_window_is_followed_and_one_that_is_none_is_refused() {
    let (gateway, path) = gateway().await;
    let shown = gateway.get(&format!("{path}/2.png?window=200,600.5")).send().await.unwrap();
    assert_eq!(shown.headers()["x-window"], "200,600.5");
    let other = Volume { window: [200.0, 600.5], ..head() };
    assert_eq!(shown.bytes().await.unwrap(), slice_png(&other, 2).unwrap());
    for none in ["600,200", "7", "0,inf", "a,b", ""] {
        let answer = gateway.get(&format!("{path}/2.png?window={none}")).send().await.unwrap();
        let (status, kind, _) = problem(answer).await;
        assert_eq!((status, kind.as_str()), (400, "invalid"), "{none}");
    }
}

#[tokio::test]
async fn other_planes_say_their_sides_and_how_high_their_pixels_are_and_are_read_once() {
    let (gateway, path) = gateway().await;
    for (slice, plane, size, aspect, sides) in [
        (4, "axial", [64, 48], "1.000", "R,L,A,P"),
        (63, "coronal", [5, 48], "2.286", "R,L,H,F"),
        (47, "sagittal", [5, 64], "2.286", "A,P,H,F"),
        (0, "sagittal", [5, 64], "2.286", "A,P,H,F"),
    ] {
        let asked = format!("{path}/{slice}.png?plane={plane}");
        let answer = gateway.get(&asked).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{asked}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!([header("x-pixel-aspect"), header("x-sides")], [aspect, sides], "{asked}");
        let tag = header("etag");
        let png = answer.bytes().await.unwrap();
        // Width and height stand at the beginning of the first chunk (PNG, 11.2.1).
        let [height, width] = size;
        assert_eq!((&png[16..20], &png[20..24]), (&[0, 0, 0, width][..], &[0, 0, 0, height][..]));
        if plane == "axial" {
            assert_eq!(png, slice_png(&head(), slice).unwrap());
        }
        let known = gateway.get(&asked).header("if-none-match", tag).send().await.unwrap();
        assert_eq!(known.status(), 304, "{asked}");
    }
    assert_eq!(gateway.mesh.between.reads(), 3);
}

#[tokio::test]
async fn planes_end_where_the_volume_does_and_a_single_slice_has_none() {
    let (gateway, path) = gateway().await;
    for none in ["5.png?plane=axial", "63.png?plane=sagittal", "64.png?plane=coronal"] {
        let answer = gateway.get(&format!("{path}/{none}")).send().await.unwrap();
        let (status, kind, _) = problem(answer).await;
        assert_eq!((status, kind.as_str()), (404, "not-found"), "{none}");
    }
    let shape = Shape { slices: 1, rows: 64, columns: 48 };
    let settings = Settings { shape, tumour: false, ..Settings::slice(2) };
    let single = Phantom::new(&settings).unwrap().volume.to_bytes();
    let single = gateway.mesh.stored(&single, [1, 64, 48]).await;
    for bad in [
        format!("{path}/0.png?plane=oblique"),
        format!("/v1/scans/{single}/slices/0.png?plane=coronal"),
    ] {
        let answer = gateway.get(&bad).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again_and_is_for_its_reader_alone() {
    let (gateway, path) = gateway().await;
    let path = format!("{path}/1.png?window=0,900");
    let answer = gateway.get(&path).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(header("cache-control"), "private, max-age=3600");
    assert!(header("vary").contains("authorization"));
    let (tag, reads) = (header("etag"), gateway.mesh.between.reads());
    let again = gateway.get(&path).header("if-none-match", tag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), gateway.mesh.between.reads()), (304, reads));
    for other in [path.replace("1.png", "2.png"), path.replace("900", "901")] {
        let answer = gateway.get(&other).header("if-none-match", tag).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{other}");
    }
}

#[tokio::test]
async fn there_is_nothing_outside_of_the_volume() {
    let (gateway, path) = gateway().await;
    for none in ["5.png", "-1.png", "1", "01.png", "1.jpg", ".png", "99999999999999999999.png"] {
        let answer = gateway.get(&format!("{path}/{none}")).send().await.unwrap();
        let (status, kind, _) = problem(answer).await;
        assert_eq!((status, kind.as_str()), (404, "not-found"), "{none}");
    }
    let nobody = "/v1/scans/00000000-0000-7000-8000-000000000000/slices/0.png";
    assert_eq!(problem(gateway.get(nobody).send().await.unwrap()).await.0, 404);
    assert_eq!(gateway.mesh.between.reads(), 0);
}

#[tokio::test]
async fn what_is_on_the_shelf_is_only_for_those_whom_storage_lets_see_it() {
    let (gateway, path) = gateway().await;
    let path = format!("{path}/0.png");
    assert_eq!(gateway.get(&path).send().await.unwrap().status(), 200);
    let gateway = gateway.signed_in_as(Role::Scientist);
    assert_eq!(problem(gateway.get(&path).send().await.unwrap()).await.0, 403);
}

#[tokio::test]
async fn a_volume_that_cannot_be_read_is_our_fault_and_is_asked_for_again() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let path = format!("/v1/scans/{scan}/slices/0.png");
    for _ in 0..2 {
        let (status, kind, _) = problem(gateway.get(&path).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (500, "internal"));
    }
    assert_eq!(gateway.mesh.between.reads(), 2);
    gateway.mesh.between.fails(Fault::Late);
    assert_eq!(problem(gateway.get(&path).send().await.unwrap()).await.0, 504);
}

#[tokio::test]
async fn a_thumbnail_is_the_middle_slice_until_a_result_shows_another_and_is_made_once() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.stored(&head().to_bytes(), [5, 64, 48]).await;
    let path = format!("/v1/scans/{scan}/thumbnail.png");
    let first = gateway.get(&path).send().await.unwrap();
    let header = |name: &str| first.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((first.status().as_u16(), header("content-type").as_str()), (200, "image/png"));
    assert_eq!(header("cache-control"), "private, no-cache");
    let tag = header("etag");
    // No larger than a thumbnail may be, it is the slice itself.
    assert_eq!(first.bytes().await.unwrap(), slice_png(&head(), 2).unwrap());
    assert_eq!(gateway.get(&path).send().await.unwrap().status(), 200);
    let known = gateway.get(&path).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!((known.status().as_u16(), gateway.mesh.between.reads()), (304, 1));

    let job = gateway.mesh.claim(&scan).await;
    let document = br#"{"answer":"found","image":{"shown_slice":4}}"#.to_vec();
    gateway.mesh.hand_in(&job, Answer::Found, vec![("result.json", document)]).await;
    let shown = gateway.get(&path).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(shown.status(), 200);
    assert_eq!(shown.bytes().await.unwrap(), slice_png(&head(), 4).unwrap());
}

#[tokio::test]
async fn a_thumbnail_is_small_and_for_those_only_who_may_see_the_scan() {
    let gateway = Gateway::start().await;
    let shape = Shape { slices: 1, rows: 256, columns: 192 };
    let settings = Settings { shape, tumour: false, ..Settings::slice(2) };
    let large = Phantom::new(&settings).unwrap().volume;
    let scan = gateway.mesh.stored(&large.to_bytes(), [1, 256, 192]).await;
    let path = format!("/v1/scans/{scan}/thumbnail.png");
    let png = gateway.get(&path).send().await.unwrap().bytes().await.unwrap();
    // Width and height stand at the beginning of the first chunk (PNG, 11.2.1).
    assert_eq!((&png[16..20], &png[20..24]), (&[0, 0, 0, 72][..], &[0, 0, 0, 96][..]));
    let elsewhere = Gateway { token: gateway.mesh.token_elsewhere(), ..gateway };
    assert_eq!(problem(elsewhere.get(&path).send().await.unwrap()).await.0, 404);
    let scientist = elsewhere.signed_in_as(Role::Scientist);
    assert_eq!(problem(scientist.get(&path).send().await.unwrap()).await.0, 403);
}
