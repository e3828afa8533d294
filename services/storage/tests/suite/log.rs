//! What the service writes into its log, as a test sees it.

use std::io;
use std::sync::{Mutex, Once};
use std::thread::{self, ThreadId};

use proto::storage::ScanRef;
use tonic::Code;
use tracing::Level;

use crate::world::World;

/// Everything that was logged as an error, and where: each test has a thread of its own.
static LINES: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

/// The errors that this test's service logs from now on.
pub struct Log {
    from: usize,
}

impl Log {
    pub fn listen() -> Log {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let lines = tracing_subscriber::fmt().with_max_level(Level::ERROR).with_ansi(false);
            lines.with_writer(|| Line).init();
        });
        Log { from: LINES.lock().unwrap().len() }
    }

    pub fn lines(&self) -> Vec<String> {
        let lines = LINES.lock().unwrap();
        let own = lines[self.from..].iter().filter(|line| line.0 == thread::current().id());
        own.map(|line| line.1.clone()).collect()
    }
}

/// One line, which comes in one piece.
struct Line;

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line).into_owned();
        LINES.lock().unwrap().push((thread::current().id(), text));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub async fn a_broken_database_is_logged_once_with_its_cause(world: World) {
    let (scan, _) = world.ready().await;
    let broken = sqlx::query("ALTER TABLE scans RENAME TO scans_elsewhere");
    broken.execute(world.ports.database.pool()).await.unwrap();

    let log = Log::listen();
    let get = world.by(world.hospital, ScanRef { id: scan.id });
    let refused = world.scans.clone().get(get).await.unwrap_err();
    // The caller is told nothing of tables; the operator is.
    assert_eq!((refused.code(), refused.message()), (Code::Internal, "a database request failed"));
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for words in ["a request failed", "a database request failed", "scans"] {
        assert!(lines[0].contains(words), "{words}: {}", lines[0]);
    }
}

pub async fn what_a_caller_does_wrong_is_no_error_in_the_log(world: World) {
    let log = Log::listen();
    let unknown = world.claim("01890000-0000-7000-8000-000000000000").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(log.lines(), Vec::<String>::new());
}
