//! What is on disk decides: each test goes on as another process would.

use tempfile::TempDir;

use super::*;

const MOST: Most = Most { bytes: 4000, instance_bytes: 1000, least_bytes: 1 };

struct World(TempDir);

impl World {
    fn new() -> World {
        World(tempfile::tempdir().unwrap())
    }

    fn inbox(&self) -> Inbox {
        self.with(Reserve::new(|| Ok(u64::MAX), 0))
    }

    fn with(&self, reserve: Reserve) -> Inbox {
        let senders = ["mr".to_owned(), "ct".to_owned()];
        Inbox::open(&self.0.path().join("inbox"), &senders, MOST, reserve).unwrap()
    }
}

async fn send(inbox: &Inbox, sender: &str, uid: &str, bytes: &[u8]) -> Result<(), NotTaken> {
    let mut arriving = inbox.begin(sender, uid, Vec::new())?;
    for chunk in bytes.chunks(3) {
        arriving.write(chunk).await?;
    }
    arriving.keep().await
}

/// Leaves it as a killed process does: nothing is tidied up.
fn killed(half: Arriving) {
    std::mem::forget(half.named);
}

/// Puts all that has come into one series.
fn file_all(inbox: &Inbox, sender: &str) {
    let arrived = inbox.arrived(sender).unwrap().into_iter();
    let (filed, done) = inbox.file(sender, arrived.map(|path| ("s".to_owned(), path)).collect());
    done.unwrap();
    assert!(filed.iter().all(|series| series == "s"));
}

fn told(inbox: &Inbox, sender: &str) -> Vec<(String, Vec<u8>)> {
    let instances = inbox.instances(sender, "s").unwrap();
    let told = |instance: Instance| (instance.sop_instance, fs::read(instance.path).unwrap());
    instances.into_iter().map(told).collect()
}

#[tokio::test]
async fn what_was_taken_is_there_for_the_next_process_wherever_it_lay() {
    let world = World::new();
    let inbox = world.inbox();
    send(&inbox, "mr", "1.2", b"second").await.unwrap();
    file_all(&inbox, "mr");
    send(&inbox, "mr", "1.1", b"first").await.unwrap();
    let mut half = inbox.begin("mr", "1.3", b"of ".to_vec()).unwrap();
    half.write(b"ha").await.unwrap();
    half.file.flush().await.unwrap();
    killed(half);
    drop(inbox);

    let inbox = world.inbox();
    assert_eq!(inbox.arrived("mr").unwrap().len(), 1);
    assert_eq!(inbox.series("mr").unwrap(), ["s"]);
    assert_eq!(inbox.bytes(), 11);
    file_all(&inbox, "mr");
    let both = [("1.1".to_owned(), b"first".to_vec()), ("1.2".to_owned(), b"second".to_vec())];
    assert_eq!(told(&inbox, "mr"), both);
    assert_eq!(inbox.arrived("ct").unwrap().len() + inbox.series("ct").unwrap().len(), 0);
    let names: Vec<_> = entries(&inbox.folder).unwrap().iter().map(|path| name_of(path)).collect();
    assert!(!names.iter().any(|name| name.starts_with(ARRIVING)), "{names:?}");
}

#[tokio::test]
async fn an_instance_that_comes_twice_is_there_once_and_the_last_one_counts() {
    let world = World::new();
    let inbox = world.inbox();
    for bytes in ["one", "one", "two"] {
        send(&inbox, "mr", "1.1", bytes.as_bytes()).await.unwrap();
        file_all(&inbox, "mr");
    }
    assert_eq!(told(&inbox, "mr"), [("1.1".to_owned(), b"two".to_vec())]);
    assert_eq!(inbox.bytes(), 3);
    inbox.remove("mr", "s").unwrap();
    assert_eq!((inbox.bytes(), inbox.series("mr").unwrap().len()), (0, 0));
}

#[tokio::test]
async fn what_comes_together_is_there_and_its_series_is_known_until_it_is_filed() {
    let world = World::new();
    let inbox = world.inbox();
    let mut arriving = Vec::new();
    for uid in ["1.1", "1.2", "1.1"] {
        let mut one = inbox.begin("mr", uid, Vec::new()).unwrap().of_series("s".to_owned());
        one.write(uid.as_bytes()).await.unwrap();
        arriving.push(one);
    }
    keep_all(arriving).await.unwrap();
    let arrived = inbox.arrived("mr").unwrap();
    let known = |inbox: &Inbox| -> Vec<String> {
        arrived.iter().filter_map(|path| inbox.known_series(path)).collect()
    };
    assert_eq!((arrived.len(), inbox.bytes(), known(&inbox)), (2, 6, vec!["s".to_owned(); 2]));
    file_all(&inbox, "mr");
    assert_eq!(known(&inbox).len(), 0);
    let both = ["1.1", "1.2"].map(|uid| (uid.to_owned(), uid.as_bytes().to_vec()));
    assert_eq!((told(&inbox, "mr"), inbox.bytes()), (both.to_vec(), 6));
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_refused_and_leaves_nothing() {
    let world = World::new();
    let inbox = world.inbox();
    let sent = send(&inbox, "mr", "1.1", &[0; 1001]).await;
    assert!(matches!(sent, Err(NotTaken::TooLarge)), "{sent:?}");
    for uid in ["1.1", "1.2"] {
        send(&inbox, "mr", uid, &[0; 1000]).await.unwrap();
    }
    let sent = send(&inbox, "mr", "1.3", b"x").await;
    assert!(matches!(sent, Err(NotTaken::NoRoom(Full::Sender))), "{sent:?}");
    send(&inbox, "ct", "1.1", b"x").await.unwrap();
    assert_eq!(inbox.bytes(), 2001);
    drop(inbox);
    let full = world.with(Reserve::new(|| Ok(9), 10));
    let sent = send(&full, "ct", "1.2", b"x").await;
    assert!(matches!(sent, Err(NotTaken::NoRoom(Full::Disk))), "{sent:?}");
}

#[tokio::test]
async fn a_hospitals_callers_have_one_share_together() {
    let world = World::new();
    let inbox = world.inbox();
    for caller in ["north.one", "north.other"] {
        inbox.admit(caller).unwrap();
        send(&inbox, caller, "1.1", &[0; 1000]).await.unwrap();
    }
    let sent = send(&inbox, "north.other", "1.2", b"x").await;
    assert!(matches!(sent, Err(NotTaken::NoRoom(Full::Sender))), "{sent:?}");
    send(&inbox, "mr", "1.1", b"x").await.unwrap();
    inbox.discard("north.one", &inbox.arrived("north.one").unwrap()[0]).unwrap();
    send(&inbox, "north.other", "1.2", b"x").await.unwrap();
}

#[tokio::test]
async fn one_folder_is_one_process() {
    let world = World::new();
    let first = world.inbox();
    let reserve = Reserve::new(|| Ok(u64::MAX), 0);
    let second = Inbox::open(&world.0.path().join("inbox"), &[], MOST, reserve);
    assert_eq!(second.err().unwrap().kind(), ErrorKind::Invalid);
    drop(first);
    world.inbox();
}

#[tokio::test]
async fn a_folder_is_left_once_no_instance_lies_in_it_and_can_be_made_anew() {
    let world = World::new();
    let inbox = world.inbox();
    send(&inbox, "mr", "1.1", b"x").await.unwrap();
    file_all(&inbox, "mr");
    send(&inbox, "mr", "1.2", b"x").await.unwrap();
    let came_ms = inbox.newest_ms("mr", "s").unwrap().unwrap();
    assert_eq!(inbox.discard_arrived("mr", came_ms - 60_000).unwrap(), 0);
    assert!(!inbox.leave("mr").unwrap());
    assert_eq!(inbox.discard_arrived("mr", came_ms + 60_000).unwrap(), 1);
    assert!(!inbox.leave("mr").unwrap());
    inbox.remove("mr", "s").unwrap();
    assert!(inbox.leave("mr").unwrap());
    assert_eq!((inbox.bytes(), inbox.newest_ms("mr", "s").unwrap()), (0, None));
    inbox.admit("mr").unwrap();
    send(&inbox, "mr", "1.3", b"x").await.unwrap();
}
