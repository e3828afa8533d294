use proto::storage::*;
use service::claims::{Role, authorised, vouched};
use tonic::{Code, Request, Status};

use crate::world::{Upload, World};

const NEVER: &str = "01890000-0000-7000-8000-000000000000";

/// Everything that a caller sees of a refusal.
fn seen(status: Status) -> (Code, String, Vec<u8>, String) {
    let (details, metadata) = (status.details().to_vec(), format!("{:?}", status.metadata()));
    (status.code(), status.message().to_owned(), details, metadata)
}

pub async fn another_hospitals_scan_answers_like_one_that_never_was(world: World) {
    let (scan, _) = world.ready().await;
    for never in [NEVER, "no id at all"] {
        for id in [scan.id.as_str(), never] {
            let ask = |id: &str| world.by(world.neighbour, ScanRef { id: id.into() });
            let get = world.scans.clone().get(ask(id)).await.unwrap_err();
            let get_never = world.scans.clone().get(ask(never)).await.unwrap_err();
            assert_eq!(get.code(), Code::NotFound);
            assert_eq!(seen(get), seen(get_never));

            let watch = world.scans.clone().watch(ask(id)).await.map(drop).unwrap_err();
            let watch_never = world.scans.clone().watch(ask(never)).await.map(drop).unwrap_err();
            assert_eq!(seen(watch), seen(watch_never));

            let of = |id: &str| ArtefactRef { id: id.into(), name: "original".into() };
            let ask = |id: &str| world.by(world.neighbour, of(id));
            let read = world.scans.clone().read(ask(id)).await.map(drop).unwrap_err();
            let read_never = world.scans.clone().read(ask(never)).await.map(drop).unwrap_err();
            assert_eq!(read.code(), Code::NotFound);
            assert_eq!(seen(read), seen(read_never));
        }
    }
    assert_eq!(world.get(&scan).await.id, scan.id);
}

pub async fn a_list_shows_only_ones_own(world: World) {
    let mine = world.accept(Upload::of("mine")).await.unwrap();
    let theirs = world.accept_for(world.neighbour, Upload::of("theirs")).await.unwrap();
    for (tenant, own) in [(world.hospital, mine.id), (world.neighbour, theirs.id)] {
        let list = world.by(tenant, ListScans::default());
        let page = world.scans.clone().list(list).await.unwrap().into_inner();
        assert_eq!(page.scans.into_iter().map(|scan| scan.id).collect::<Vec<_>>(), [own]);
    }
}

pub async fn the_same_key_in_two_hospitals_is_two_scans(world: World) {
    let upload = Upload::of("a head").with_key("k1");
    let mine = world.accept(upload.clone()).await.unwrap();
    let theirs = world.accept_for(world.neighbour, upload).await.unwrap();
    assert!(!theirs.repeated);
    assert_ne!(mine.id, theirs.id);
}

pub async fn only_workers_touch_jobs_and_only_people_scans(world: World) {
    let (scan, job_id) = world.ready().await;
    let claim = ClaimJob { job_id, worker: "mallory".into(), alone: true, in_turn: false };
    let refused = world.jobs.clone().claim(world.by(world.hospital, claim.clone())).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let refused = world.jobs.clone().claim(Request::new(claim)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);

    let get = ScanRef { id: scan.id };
    let refused = world.scans.clone().get(world.worker(get.clone())).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let refused = world.scans.clone().get(Request::new(get)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
}

pub async fn a_scan_that_no_service_vouches_for_is_kept_from_nobody(world: World) {
    let token = world.issuer.token(world.hospital, &[Role::Clinician]);
    let parts = || futures::stream::iter(Upload::of("a head").parts());
    let bare = authorised(parts(), &token);
    // The caller's own token is no voucher, nor is one that is none.
    let own = vouched(authorised(parts(), &token), &token);
    let false_one = vouched(authorised(parts(), &token), "a.b.c");
    for (request, code) in [
        (bare, Code::PermissionDenied),
        (own, Code::PermissionDenied),
        (false_one, Code::Unauthenticated),
    ] {
        assert_eq!(world.scans.clone().accept(request).await.unwrap_err().code(), code);
    }
    let batch = authorised(proto::storage::Batch::default(), &token);
    let refused = world.scans.clone().put_batch(batch).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(world.accept(Upload::of("a head")).await.is_ok());
}

pub async fn an_upload_that_takes_longer_than_its_token_lives_is_kept_and_nothing_else_is_let_in(
    world: World,
) {
    let token = world.issuer.token(world.hospital, &[Role::Clinician]);
    let parts = || futures::stream::iter(Upload::of("a head").parts());
    let code = |status: Status| status.code();
    world.clock.advance(20 * 60_000);
    let voucher = world.issuer.service_token();
    let scan = world.scans.clone().accept(vouched(authorised(parts(), &token), &voucher)).await;
    assert_eq!(scan.map_err(code).map(|scan| scan.into_inner().state()), Ok(State::Queued));
    let list = vouched(authorised(ListScans::default(), &token), &voucher);
    assert_eq!(
        world.scans.clone().list(list).await.map_err(code).err(),
        Some(Code::Unauthenticated)
    );
    let bare = authorised(parts(), &token);
    let refused = world.scans.clone().accept(bare).await.map_err(code).err();
    assert_eq!(refused, Some(Code::PermissionDenied));
    world.clock.advance(48 * 3_600_000);
    let (late, voucher) = (authorised(parts(), &token), world.issuer.service_token());
    let refused = world.scans.clone().accept(vouched(late, &voucher)).await.map_err(code).err();
    assert_eq!(refused, Some(Code::Unauthenticated));
}
