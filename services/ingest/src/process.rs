//! One decoder process, from its start to its last byte.

use std::fs::File;
use std::io::ErrorKind::UnexpectedEof;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use imaging::{Problem, Refusal};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::answer::{Answer, JSON_BYTES_MAX, refusal};
use crate::handover;

/// A decoder keeps what it frees: to a process that lives for milliseconds, fresh pages for each copy of an image are a tenth of
/// its time. Other allocators than glibc's do not look.
const ALLOCATOR: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824:glibc.malloc.top_pad=1048576",
);

/// A process that waits for its file. It is killed when this is dropped.
pub struct Process {
    child: Child,
    stdout: ChildStdout,
    socket: UnixStream,
}

/// A decoder's answer, and the process that has announced more bytes.
pub struct Answered {
    pub answer: Answer,
    pub rest: Rest,
}

/// What the process has still to say. It is killed when this is dropped.
pub struct Rest {
    stdout: ChildStdout,
    time: Duration,
    child: Child,
    _turn: OwnedSemaphorePermit,
}

impl Process {
    /// Starts `program`, which knows nothing of this process but its arguments and a socket.
    pub fn start<'a>(program: &Path, arguments: impl Iterator<Item = &'a str>) -> Result<Process> {
        let (socket, theirs) =
            UnixStream::pair().map_err(|error| internal("there is no socket to be had", error))?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            // A codec's last words may quote the file; nobody may log them.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| internal("the decoder cannot be started", error))?;
        let Some(stdout) = child.stdout.take() else {
            return Err(ErrorKind::Internal.error("the decoder has no output"));
        };
        Ok(Process { child, stdout, socket })
    }

    /// Gives it the file that it is there for. Fails when it has ended already.
    pub fn give(&self, file: &File) -> std::io::Result<()> {
        handover::give(&self.socket, file)
    }

    /// What it makes of its file, within `time`.
    pub async fn answer(
        self,
        time: Duration,
        turn: OwnedSemaphorePermit,
    ) -> Result<Result<Answered, Refusal>> {
        let Process { child, stdout, socket: _ } = self;
        let mut rest = Rest { stdout, time, child, _turn: turn };
        let answer = match timeout(time, rest.answer()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.kind() == UnexpectedEof => return rest.autopsy().await,
            Ok(Err(_)) => return Ok(Err(crashed())),
            Err(_) => return Ok(Err(took_too_long())),
        };
        Ok(match answer {
            Answer::Refused { problem, detail } => {
                Err(refusal(&problem, detail).unwrap_or_else(crashed))
            }
            answer => Ok(Answered { answer, rest }),
        })
    }
}

impl Rest {
    async fn answer(&mut self) -> std::io::Result<Answer> {
        let length = self.stdout.read_u32_le().await? as usize;
        if length > JSON_BYTES_MAX {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let mut json = vec![0; length];
        self.stdout.read_exact(&mut json).await?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// Reads the next `length` bytes that were announced.
    pub async fn read(&mut self, length: usize) -> Result<bytes::Bytes> {
        let mut bytes = vec![0; length];
        timeout(self.time, self.stdout.read_exact(&mut bytes))
            .await
            .map_err(|error| internal("the decoder stopped in the middle of its answer", error))?
            .map_err(|error| internal("the decoder died in the middle of its answer", error))?;
        Ok(bytes.into())
    }

    /// Why a process ended without an answer: mostly one of its limits.
    async fn autopsy(mut self) -> Result<Result<Answered, Refusal>> {
        let ended = timeout(self.time, self.child.wait()).await;
        let Ok(Ok(status)) = ended else { return Ok(Err(took_too_long())) };
        tracing::warn!(%status, "the decoder died");
        match cause(status) {
            Cause::Setup => {
                Err(ErrorKind::Internal.error("the decoder does not understand its orders"))
            }
            Cause::Limits => Ok(Err(took_too_much())),
            Cause::File => Ok(Err(crashed())),
        }
    }
}

enum Cause {
    Setup,
    Limits,
    File,
}

fn cause(status: ExitStatus) -> Cause {
    // What clap exits with on a command line that it does not know.
    const USAGE: i32 = 2;
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    match (status.code(), status.signal()) {
        (Some(USAGE), _) => Cause::Setup,
        // Rust aborts when memory is refused; the kernel kills what uses too much of it or of time.
        (_, Some(SIGABRT | SIGKILL | SIGXCPU)) => Cause::Limits,
        _ => Cause::File,
    }
}

fn took_too_long() -> Refusal {
    Problem::TooLarge.refuse("Decoding it takes longer than a head scan may.")
}

fn took_too_much() -> Refusal {
    Problem::TooLarge.refuse("Decoding it takes more memory or time than a head scan may.")
}

pub fn crashed() -> Refusal {
    Problem::Corrupt.refuse("It cannot be decoded.")
}

pub fn internal(
    message: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    ErrorKind::Internal.error(message).because(error)
}
