use axum::body::to_bytes;
use futures::{FutureExt, stream};

use super::*;

fn room(memory: &Memory, tenant: &str) -> Room {
    memory.room(tenant.into())
}

fn taken(memory: &Memory, tenant: &str) -> usize {
    memory.taken.of(&tenant.into())
}

/// A body in so many pieces of ten bytes; the last of them breaks off where it is told.
fn body(pieces: usize, breaks_off: bool) -> Body {
    let broken = breaks_off.then(|| Err(BoxError::from("the line is cut")));
    let pieces = (0..pieces).map(|_| Ok(Bytes::from_static(&[7; 10])));
    Body::from_stream(stream::iter(pieces.chain(broken)))
}

async fn read(room: &Room, body: Body, times: usize) -> Result<usize, axum::Error> {
    to_bytes(room.metered(body, times), usize::MAX).await.map(|bytes| bytes.len())
}

/// The kind of the refusal that a body ended with.
fn refusal(error: &axum::Error) -> ErrorKind {
    let causes =
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |&it| it.source());
    let status = causes.filter_map(|cause| cause.downcast_ref::<Status>()).next().unwrap();
    Error::from(status.clone()).kind()
}

#[test]
fn what_is_taken_is_given_back_with_the_last_clone_of_its_room() {
    let memory = Memory::of(100);
    let one = room(&memory, "a");
    one.take(30).unwrap();
    one.take_in_all(20).unwrap();
    assert_eq!(taken(&memory, "a"), 30);
    one.take_in_all(50).unwrap();
    let clone = one.clone();
    drop(one);
    assert_eq!(taken(&memory, "a"), 50);
    drop(clone);
    assert_eq!(taken(&memory, "a"), 0);
}

#[test]
fn a_hospital_has_half_and_what_is_refused_is_not_counted() {
    let memory = Memory::of(100);
    let [one, other, third] = ["a", "a", "b"].map(|tenant| room(&memory, tenant));
    one.take(40).unwrap();
    assert_eq!(other.take(11).unwrap_err().kind(), ErrorKind::Exhausted);
    other.take(10).unwrap();
    third.take(50).unwrap();
    assert_eq!(room(&memory, "c").take(1).unwrap_err().kind(), ErrorKind::Exhausted);
    // It would not help to wait.
    for bytes in [51, usize::MAX] {
        let never = room(&memory, "c").take(bytes).unwrap_err();
        assert_eq!(never.kind(), ErrorKind::Invalid);
        assert!(never.to_string().contains("fewer tiles"), "{never}");
    }
    drop(one);
    assert_eq!((taken(&memory, "a"), taken(&memory, "b"), taken(&memory, "c")), (10, 50, 0));
    room(&memory, "c").take(40).unwrap();
}

#[tokio::test]
async fn a_body_takes_its_bytes_as_they_come_and_leaves_none_however_it_ends() {
    let memory = Memory::of(120);
    let whole = room(&memory, "a");
    assert_eq!(read(&whole, body(2, false), 3).await.unwrap(), 20);
    assert_eq!(taken(&memory, "a"), 60);
    // There is no room beside it, and for one that is twice as long there never is.
    let beside = room(&memory, "a");
    assert_eq!(refusal(&read(&beside, body(1, false), 1).await.unwrap_err()), ErrorKind::Exhausted);
    drop((whole, beside));
    let long = room(&memory, "a");
    assert_eq!(refusal(&read(&long, body(4, false), 2).await.unwrap_err()), ErrorKind::Invalid);
    drop(long);
    let cut = room(&memory, "a");
    read(&cut, body(2, true), 1).await.unwrap_err();
    assert_eq!(taken(&memory, "a"), 20);
    drop(cut);
    // A caller who goes while the body comes.
    let gone = room(&memory, "a");
    let pieces = stream::iter([Ok::<_, BoxError>(Bytes::from_static(&[7; 10]))]);
    let endless = Body::from_stream(pieces.chain(stream::pending()));
    let mut reading = Box::pin(read(&gone, endless, 1));
    assert!(reading.as_mut().now_or_never().is_none());
    assert_eq!(taken(&memory, "a"), 10);
    drop(reading);
    drop(gone);
    assert_eq!(taken(&memory, "a"), 0);
}

#[tokio::test]
async fn an_answer_holds_its_room_until_its_bytes_are_sent() {
    let memory = Memory::of(100);
    let call = room(&memory, "a");
    call.take(30).unwrap();
    let mut answer = call.held_by(Body::from("answer"));
    drop(call);
    assert_eq!(answer.size_hint().exact(), Some(6));
    let frame = std::future::poll_fn(|context| Pin::new(&mut answer).poll_frame(context)).await;
    drop(answer);
    let sent = frame.unwrap().unwrap().into_data().unwrap();
    assert_eq!((&sent[..], taken(&memory, "a")), (&b"answer"[..], 30));
    drop(sent);
    assert_eq!(taken(&memory, "a"), 0);
}

#[tokio::test]
async fn what_is_calculated_for_a_caller_who_has_gone_holds_its_room_to_its_end() {
    let memory = Memory::of(100);
    let call = room(&memory, "a");
    call.take(30).unwrap();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let mut calculating = Box::pin(call.blocking(move |_| {
        ended.recv().ok();
        Ok(())
    }));
    assert!(calculating.as_mut().now_or_never().is_none());
    drop(calculating);
    drop(call);
    assert_eq!(taken(&memory, "a"), 30);
    end.send(()).unwrap();
    while taken(&memory, "a") > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
