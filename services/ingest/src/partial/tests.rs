//! What is on disk decides: each test goes on as another process would.

use std::fs;

use bytes::Bytes;
use domain::{Error, ManualClock};
use futures::{Stream, StreamExt, stream};
use proto::ingest::{UploadContents, UploadHeader};
use service::system_random;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

const HOUR_MS: i64 = 3_600_000;
const MOST: Most = Most { uploads: 8, bytes: 4000, upload_bytes: 1000 };

struct World {
    folder: TempDir,
    clock: ManualClock,
    owner: Owner,
}

impl World {
    fn new() -> World {
        let clock = ManualClock::at(1_700_000_000_000);
        let owner = owner(&clock, "reader");
        World { folder: tempfile::tempdir().unwrap(), clock, owner }
    }

    /// As a process has it that has just started.
    fn partials(&self) -> Partials {
        let reserve = Reserve::new(|| Ok(u64::MAX), 0);
        let folder = self.folder.path().join("unfinished");
        let shelf = Shelf { folder, most: MOST, lifetime_ms: HOUR_MS, reserve };
        Partials::new(shelf, self.clock.clock(), system_random())
    }

    async fn begun(&self, size_bytes: u64) -> String {
        self.partials().begin(&self.owner, beginning(size_bytes)).await.unwrap().id
    }

    /// Sends these pieces from there on, and says how many bytes are kept then.
    async fn append(&self, id: &str, offset: u64, pieces: &[&'static str]) -> Result<u64> {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        self.append_all(id, offset, stream::iter(pieces)).await
    }

    async fn append_all(
        &self,
        id: &str,
        offset: u64,
        pieces: impl Stream<Item = Result<Bytes>>,
    ) -> Result<u64> {
        let partials = self.partials();
        let mut held = partials.hold(&self.owner, id).await?;
        partials.append(&mut held, offset, pieces, &CancellationToken::new()).await?;
        Ok(held.facts.kept_bytes)
    }

    async fn kept(&self, id: &str) -> Result<u64> {
        Ok(self.partials().find(&self.owner, id).await?.kept_bytes)
    }

    /// What the whole upload holds.
    async fn whole(&self, id: &str) -> Vec<u8> {
        let held = self.partials().hold(&self.owner, id).await.unwrap();
        fs::read(held.whole().await.unwrap().path()).unwrap()
    }

    fn place(&self, id: &str) -> Place {
        self.partials().place(self.owner.tenant, id.parse().unwrap())
    }
}

fn owner(clock: &ManualClock, user: &str) -> Owner {
    Owner { tenant: TenantId::new(&clock.clock(), &system_random()), user: user.to_owned() }
}

/// With all there is to say.
fn header() -> UploadHeader {
    UploadHeader {
        idempotency_key: "key".into(),
        file_name: "head.nii".into(),
        priority: 1,
        reference: "order 7".into(),
        patient_id: "4711".into(),
        accession_number: "A1".into(),
        site: "north".into(),
        series: "all".into(),
        received_ms: 0,
    }
}

fn beginning(size_bytes: u64) -> UploadBeginning {
    UploadBeginning { header: Some(header()), size_bytes, contents: UploadContents::File.into() }
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[tokio::test]
async fn bytes_of_several_calls_are_one_upload_however_they_are_cut() {
    let world = World::new();
    let id = world.begun(6).await;
    let cut: Vec<Result<Bytes>> =
        vec![Ok(Bytes::from_static(b"ab")), Err(ErrorKind::Invalid.error("cut"))];
    assert_eq!(kind(world.append_all(&id, 0, stream::iter(cut)).await), Some(ErrorKind::Invalid));
    assert_eq!(world.kept(&id).await.unwrap(), 2);
    assert_eq!(world.append(&id, 2, &["c", "", "d"]).await.unwrap(), 4);
    for elsewhere in [0, 3, 5] {
        let refused = world.append(&id, elsewhere, &["x"]).await;
        assert_eq!(kind(refused), Some(ErrorKind::Conflict), "{elsewhere}");
    }
    assert_eq!(kind(world.append(&id, 4, &["efg"]).await), Some(ErrorKind::Invalid));
    assert_eq!(world.append(&id, 4, &["ef"]).await.unwrap(), 6);
    // The last call, told once more.
    assert_eq!(world.append(&id, 6, &[]).await.unwrap(), 6);
    assert_eq!(kind(world.append(&id, 6, &["g"]).await), Some(ErrorKind::Invalid));
    assert_eq!(world.whole(&id).await, b"abcdef");
    let held = world.partials().hold(&world.owner, &id).await.unwrap();
    let received_ms = world.clock.clock().now_ms();
    let said = UploadHeader { received_ms, ..header() };
    assert_eq!(held.facts.header(held.id), said, "all that was said goes before it");
}

#[tokio::test]
async fn what_a_crash_left_beyond_the_last_acknowledgement_is_not_taken_for_the_upload() {
    let world = World::new();
    let id = world.begun(6).await;
    world.append(&id, 0, &["abc"]).await.unwrap();
    // As a file system may leave it when the power fails: longer, with nothing in it.
    let file = fs::OpenOptions::new().write(true).open(world.place(&id).bytes).unwrap();
    file.set_len(6).unwrap();
    assert_eq!(world.kept(&id).await.unwrap(), 3);
    assert_eq!(world.append(&id, 3, &["def"]).await.unwrap(), 6);
    assert_eq!(world.whole(&id).await, b"abcdef");
}

#[tokio::test]
async fn whoever_comes_later_takes_over_and_nothing_is_lost() {
    let world = World::new();
    let id = world.begun(3).await;
    let (partials, owner) = (world.partials(), world.owner.clone());
    let mut first = partials.hold(&owner, &id).await.unwrap();
    let stalled = {
        let partials = partials.clone();
        tokio::spawn(async move {
            // A line that is lost without a word.
            let pieces = stream::iter([Ok(Bytes::from_static(b"ab"))]).chain(stream::pending());
            partials.append(&mut first, 0, pieces, &CancellationToken::new()).await
        })
    };
    let held = partials.hold(&owner, &id).await.unwrap();
    assert_eq!(kind(stalled.await.unwrap()), Some(ErrorKind::Unavailable));
    // What had come by then is kept, all of it or, where it was not read yet, none.
    assert!([0, 2].contains(&held.facts.kept_bytes));
    assert!(held.bytes.is_some());
    drop(held);
    let all = &b"abc"[usize::try_from(world.kept(&id).await.unwrap()).unwrap()..];
    let from = 3 - all.len() as u64;
    let rest = stream::iter([Ok(Bytes::copy_from_slice(all))]);
    assert_eq!(world.append_all(&id, from, rest).await.unwrap(), 3);
    assert_eq!(world.whole(&id).await, b"abc");
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_what_has_come() {
    let world = World::new();
    let id = world.begun(3).await;
    let partials = world.partials();
    let mut held = partials.hold(&world.owner, &id).await.unwrap();
    let gone = CancellationToken::new();
    let leaving = gone.clone();
    let pieces = stream::iter(["a", "b"]).map(move |piece| {
        if piece == "b" {
            leaving.cancel();
        }
        Ok::<_, Error>(Bytes::from_static(piece.as_bytes()))
    });
    let pieces = pieces.chain(stream::pending());
    let ended = partials.append(&mut held, 0, pieces, &gone).await;
    assert_eq!((kind(ended), held.facts.kept_bytes), (Some(ErrorKind::Invalid), 2));
}

#[tokio::test]
async fn the_end_that_is_told_once_more_is_waited_for_only_while_somebody_tells_it() {
    let world = World::new();
    let id = world.begun(1).await;
    world.append(&id, 0, &["a"]).await.unwrap();
    let partials = world.partials();
    let mut held = partials.hold(&world.owner, &id).await.unwrap();
    let gone = CancellationToken::new();
    gone.cancel();
    let silence = || stream::pending::<Result<Bytes>>();
    let ended = partials.append(&mut held, 1, silence(), &gone).await;
    assert_eq!(kind(ended), Some(ErrorKind::Invalid));
    held.stop.cancel();
    let ended = partials.append(&mut held, 1, silence(), &CancellationToken::new()).await;
    assert_eq!(kind(ended), Some(ErrorKind::Unavailable));
}

#[tokio::test]
async fn bytes_that_the_disk_has_lost_are_no_noughts() {
    let world = World::new();
    let id = world.begun(3).await;
    world.append(&id, 0, &["ab"]).await.unwrap();
    fs::OpenOptions::new().write(true).open(world.place(&id).bytes).unwrap().set_len(1).unwrap();
    assert_eq!(kind(world.append(&id, 2, &["c"]).await), Some(ErrorKind::Internal));
    assert_eq!(kind(world.append(&id, 1, &["bc"]).await), Some(ErrorKind::Conflict));
}

#[tokio::test]
async fn of_an_upload_that_another_process_has_ended_no_bytes_stay() {
    let world = World::new();
    let id = world.begun(1).await;
    world.append(&id, 0, &["a"]).await.unwrap();
    let place = world.place(&id);
    // Between the outcome's note and the removal of the rest, a process was killed.
    let mut facts = place.read().unwrap().unwrap();
    facts.outcome = Some(Outcome::ScanId("x".into()).into());
    facts.save(&place.done).unwrap();
    place.remove_unneeded().unwrap();
    let told = world.partials().find(&world.owner, &id).await.unwrap();
    assert_eq!(told.outcome, Some(Outcome::ScanId("x".into())));
    assert!(!place.bytes.try_exists().unwrap());
}

#[tokio::test]
async fn an_upload_is_its_senders_alone_and_a_stranger_disturbs_nobody() {
    let world = World::new();
    let id = world.begun(3).await;
    let partials = world.partials();
    let held = partials.hold(&world.owner, &id).await.unwrap();
    let colleague = Owner { user: "another".into(), ..world.owner.clone() };
    for stranger in [colleague, owner(&world.clock, "reader")] {
        assert_eq!(kind(partials.hold(&stranger, &id).await), Some(ErrorKind::NotFound));
        assert_eq!(kind(partials.find(&stranger, &id).await), Some(ErrorKind::NotFound));
    }
    assert!(!held.stop.is_cancelled());
    for none in ["", "../../etc/passwd", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        assert_eq!(kind(partials.hold(&world.owner, none).await), Some(ErrorKind::NotFound));
    }
}

#[tokio::test]
async fn what_nobody_goes_on_with_is_removed_and_what_somebody_has_in_hand_is_not() {
    let world = World::new();
    let done = world.begun(1).await;
    world.append(&done, 0, &["a"]).await.unwrap();
    let partials = world.partials();
    let held = partials.hold(&world.owner, &done).await.unwrap();
    let outcome = Outcome::ScanId("a scan".into());
    let told = partials.close(held, outcome.clone()).await.unwrap();
    assert_eq!((told.kept_bytes, &told.outcome), (1, &Some(outcome)));
    assert!(!world.place(&done).bytes.try_exists().unwrap(), "its bytes are needed no more");
    let noted = fs::read_to_string(world.place(&done).done).unwrap();
    assert!(!noted.contains("4711"), "whose scan it is, the scan knows");
    // What is done takes none of the two places that a sender has.
    let (left, gone_on_with) = (world.begun(3).await, world.begun(3).await);
    world.append(&left, 0, &["a"]).await.unwrap();

    world.clock.advance(HOUR_MS - 1);
    world.append(&gone_on_with, 0, &["a"]).await.unwrap();
    partials.remove_expired().unwrap();
    assert_eq!(world.kept(&left).await.unwrap(), 1);

    world.clock.advance(1);
    assert_eq!(kind(world.kept(&left).await), Some(ErrorKind::NotFound));
    partials.remove_expired().unwrap();
    let there = |id: &str| {
        let place = world.place(id);
        [place.facts, place.bytes, place.done].map(|path| path.try_exists().unwrap())
    };
    assert_eq!([there(&left), there(&done)], [[false; 3]; 2]);
    assert_eq!(there(&gone_on_with), [true, true, false]);

    let held = partials.hold(&world.owner, &gone_on_with).await.unwrap();
    world.clock.advance(HOUR_MS);
    partials.remove_expired().unwrap();
    assert_eq!(there(&gone_on_with), [true, true, false]);
    drop(held);
    partials.remove_expired().unwrap();
    assert_eq!(there(&gone_on_with), [false; 3]);
}

#[tokio::test]
async fn nobody_keeps_everybody_out_with_uploads_that_never_end() {
    let world = World::new();
    let partials = world.partials();
    let begin = async |owner: &Owner, bytes| partials.begin(owner, beginning(bytes)).await;
    // A quarter of 8 uploads.
    for _ in 0..2 {
        begin(&world.owner, 1).await.unwrap();
    }
    assert_eq!(kind(begin(&world.owner, 1).await), Some(ErrorKind::Exhausted));
    let colleague = Owner { user: "another".into(), ..world.owner.clone() };
    // A quarter of 4000 bytes.
    begin(&colleague, 1000).await.unwrap();
    assert_eq!(kind(begin(&colleague, 1).await), Some(ErrorKind::Exhausted));
    let third = Owner { user: "a third".into(), ..world.owner.clone() };
    assert_eq!(kind(begin(&third, 999).await), Some(ErrorKind::Exhausted), "half is a hospital's");
    begin(&third, 998).await.unwrap();
    begin(&owner(&world.clock, "of another hospital"), 1000).await.unwrap();
    for impossible in [0, 1001] {
        assert_eq!(kind(begin(&world.owner, impossible).await), Some(ErrorKind::Invalid));
    }
    // What has expired takes no place, whether it is removed or not.
    world.clock.advance(HOUR_MS);
    begin(&world.owner, 1000).await.unwrap();
}

#[tokio::test]
async fn without_room_on_the_disk_nothing_begins_and_what_goes_on_is_kept() {
    let world = World::new();
    let id = world.begun(3).await;
    let full = Partials { reserve: Reserve::new(|| Ok(9), 10), ..world.partials() };
    let refused = full.begin(&world.owner, beginning(1)).await;
    assert_eq!(kind(refused), Some(ErrorKind::Unavailable));
    let mut held = full.hold(&world.owner, &id).await.unwrap();
    let unread =
        stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes>>> { panic!("it is read") });
    let refused = full.append(&mut held, 0, unread, &CancellationToken::new()).await;
    assert_eq!((kind(refused), held.facts.kept_bytes), (Some(ErrorKind::Unavailable), 0));
}
