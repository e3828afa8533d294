use futures::StreamExt;
use proto::storage::*;
use service::topics;
use tonic::Code;

use crate::world::{Upload, World, found};

pub async fn an_upload_becomes_a_result(world: World) {
    let upload = Upload::of("a head");
    let scan = world.accept(upload.clone()).await.unwrap();
    assert_eq!((scan.state(), scan.answer()), (State::Queued, Answer::Unspecified));
    assert_eq!(scan, world.get(&scan).await);
    assert_eq!(world.read(&scan, "original").await.unwrap(), upload.original);
    assert_eq!(world.read(&scan, "image.png").await.unwrap(), upload.preview);

    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let job = world.claim(&world.announced(&mut ready).await).await.unwrap();
    assert_eq!((job.scan_id.as_str(), job.attempt), (scan.id.as_str(), 1));
    assert_eq!(world.get(&scan).await.state(), State::Running);
    assert_eq!(world.volume(&job).await.unwrap(), upload.volume);

    world.clock.advance(1234);
    let done = world.complete(found(&job)).await.unwrap();
    assert_eq!((done.state(), done.answer()), (State::Done, Answer::Found));
    assert_eq!(done.completed_ms - done.accepted_ms, 1234);
    assert_eq!(done, world.get(&scan).await);
    assert_eq!(world.read(&scan, "result.json").await.unwrap(), br#"{"answer":"found"}"#);
    assert_eq!(world.read(&scan, "mask.png").await.unwrap(), b"a mask");
}

pub async fn an_urgent_scan_waits_in_a_queue_of_its_own(world: World) {
    let mut upload = Upload::of("a head");
    upload.header.priority = Priority::Stat.into();
    let scan = world.accept(upload).await.unwrap();
    assert_eq!(scan.priority(), Priority::Stat);
    assert_eq!(scan, world.get(&scan).await);

    let (mut ready, mut others) =
        (world.subscribe(topics::SCAN_READY_STAT).await, world.subscribe(topics::SCAN_READY).await);
    let id = world.announced(&mut ready).await;
    // What the sweeper brings up again is as urgent as before.
    world.clock.advance(31_000);
    assert_eq!(world.announced(&mut ready).await, id);
    let routine = world.accept(Upload::of("another head")).await.unwrap();
    assert_eq!(routine.priority(), Priority::Routine);
    let job = world.claim(&world.announced(&mut others).await).await.unwrap();
    assert_eq!((job.scan_id, job.priority), (routine.id, Priority::Routine.into()));
    assert_eq!(world.claim(&id).await.unwrap().priority(), Priority::Stat);
}

pub async fn the_first_uploads_of_a_hospital_may_come_at_once(world: World) {
    let names: Vec<_> = (0..16).map(|number| format!("head {number}")).collect();
    let uploads = names.iter().map(|name| world.accept(Upload::of(name)));
    for scan in futures::future::join_all(uploads).await {
        scan.unwrap();
    }
    assert_eq!((world.count("scans").await, world.count("audit").await), (16, 16));
}

pub async fn a_repeat_with_the_same_key_is_the_same_scan(world: World) {
    let upload = Upload::of("a head").with_key("k1");
    let first = world.accept(upload.clone()).await.unwrap();
    let second = world.accept(upload).await.unwrap();
    assert!(!first.repeated && second.repeated);
    assert_eq!(first.id, second.id);
    assert_eq!((world.count("scans").await, world.count("jobs").await), (1, 1));
}

pub async fn the_same_key_with_other_bytes_is_refused(world: World) {
    world.accept(Upload::of("a head").with_key("k1")).await.unwrap();
    let refused = world.accept(Upload::of("another head").with_key("k1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("Idempotency-Key"), "{refused}");
    // A key is its bytes, not its letters.
    world.accept(Upload::of("another head").with_key("K1")).await.unwrap();
    assert_eq!(world.count("scans").await, 2);
}

pub async fn the_same_key_at_once_is_one_scan(world: World) {
    let upload = Upload::of("a head").with_key("k1");
    let all = (0..8).map(|_| world.accept(upload.clone()));
    let scans: Vec<Scan> =
        futures::future::join_all(all).await.into_iter().collect::<Result<_, _>>().unwrap();
    assert!(scans.iter().all(|scan| scan.id == scans[0].id));
    assert_eq!(scans.iter().filter(|scan| !scan.repeated).count(), 1);
    assert_eq!((world.count("scans").await, world.count("artefacts").await), (1, 3));
}

pub async fn without_a_key_every_upload_is_a_new_scan(world: World) {
    let first = world.accept(Upload::of("a head")).await.unwrap();
    let second = world.accept(Upload::of("a head")).await.unwrap();
    assert_ne!(first.id, second.id);
}

pub async fn bytes_that_differ_from_their_digest_are_refused(world: World) {
    let mut upload = Upload::of("a head");
    upload.volume[5] ^= 1;
    let refused = world.accept(upload).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("damaged on the way"), "{refused}");
    assert_eq!(world.count("scans").await, 0);
}

pub async fn pages_are_newest_first_and_lose_nothing(world: World) {
    let mut made = Vec::new();
    for number in 0..5 {
        world.clock.advance(10);
        made.push(world.accept(Upload::of(&format!("head {number}"))).await.unwrap().id);
    }
    made.reverse();
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = world.by(world.hospital, ListScans { limit: 2, cursor, ..Default::default() });
        let page = world.scans.clone().list(list).await.unwrap().into_inner();
        assert!(page.scans.len() <= 2);
        listed.extend(page.scans.into_iter().map(|scan| scan.id));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(listed, made);
    let forged = world
        .by(world.hospital, ListScans { limit: 2, cursor: "' OR 1".into(), ..Default::default() });
    let refused = world.scans.clone().list(forged).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

pub async fn a_watcher_sees_each_change_until_the_end(world: World) {
    let (scan, job) = world.ready().await;
    let watch = world.by(world.hospital, ScanRef { id: scan.id.clone() });
    let mut seen = world.scans.clone().watch(watch).await.unwrap().into_inner();
    assert_eq!(seen.next().await.unwrap().unwrap().state(), State::Queued);
    let job = world.claim(&job).await.unwrap();
    assert_eq!(seen.next().await.unwrap().unwrap().state(), State::Running);
    world.complete(found(&job)).await.unwrap();
    assert_eq!(seen.next().await.unwrap().unwrap().answer(), Answer::Found);
    assert!(seen.next().await.is_none());
}

fn blank() -> Refusal {
    Refusal {
        problem: "blank".into(),
        title: "The image is blank".into(),
        detail: "It is black.".into(),
    }
}

pub async fn a_refusal_is_a_row_as_every_version_has_written_and_reads_it(world: World) {
    let entry = BatchEntry { name: "2.png".into(), refusal: Some(blank()), ..Default::default() };
    let batch = Batch { entries: vec![entry], ..Default::default() };
    let put = world.scans.clone().put_batch(world.by(world.hospital, batch)).await.unwrap();
    let id = put.into_inner().id;
    let pool = world.ports.database.pool();
    let row: String =
        sqlx::query_scalar("SELECT refusal_json FROM batch_entries").fetch_one(pool).await.unwrap();
    let json = r#"{"problem":"blank","title":"The image is blank","detail":"It is black."}"#;
    assert_eq!(row, json);

    let read = async |row: &str| {
        let set = sqlx::query("UPDATE batch_entries SET refusal_json = ?");
        set.bind(row.to_owned()).execute(pool).await.unwrap();
        let get = world.by(world.hospital, BatchRef { id: id.clone() });
        world.scans.clone().get_batch(get).await
    };
    let batch = read(json).await.unwrap().into_inner();
    assert_eq!(batch.entries[0].refusal, Some(blank()));
    assert_eq!(read("no JSON").await.unwrap_err().code(), Code::Internal);
}

pub async fn a_batch_names_scans_and_refusals(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let entries = vec![
        BatchEntry { name: "a/1.png".into(), scan_id: scan.id, ..Default::default() },
        BatchEntry { name: "2.png".into(), refusal: Some(blank()), ..Default::default() },
    ];
    let batch = Batch { entries: entries.clone(), ..Default::default() };
    let put = world.scans.clone().put_batch(world.by(world.hospital, batch)).await.unwrap();
    let id = put.into_inner().id;
    let get = |tenant| world.by(tenant, BatchRef { id: id.clone() });
    let batch = world.scans.clone().get_batch(get(world.hospital)).await.unwrap().into_inner();
    assert_eq!(batch.entries, entries);
    let other = world.scans.clone().get_batch(get(world.neighbour)).await.unwrap_err();
    assert_eq!((other.code(), other.message()), (Code::NotFound, "no such batch"));

    let stolen = Batch { entries, ..Default::default() };
    let refused = world.scans.clone().put_batch(world.by(world.neighbour, stolen)).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}

pub async fn every_change_leaves_one_link_of_an_unbroken_chain(world: World) {
    let (_, job) = world.ready().await;
    let job = world.claim(&job).await.unwrap();
    world.complete(found(&job)).await.unwrap();
    world.accept(Upload::of("another head")).await.unwrap();
    let chain: Vec<(i64, String, String, String)> =
        sqlx::query_as("SELECT position, action, previous, sha256 FROM audit ORDER BY position")
            .fetch_all(world.ports.database.pool())
            .await
            .unwrap();
    let actions: Vec<_> = chain.iter().map(|(at, action, ..)| (*at, action.as_str())).collect();
    assert_eq!(actions, [(1, "scan.accepted"), (2, "scan.completed"), (3, "scan.accepted")]);
    for pair in chain.windows(2) {
        assert_eq!(pair[0].3, pair[1].2);
    }
}
