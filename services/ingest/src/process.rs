//! One decoder process, from its start to its last byte.

use std::fs::File;
use std::io::ErrorKind::{InvalidData, UnexpectedEof};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use domain::{Error, ErrorKind, Result};
use imaging::{Refusal, RefusalReason};
use jail::answer::{DecoderAnswer, length_of, refusal};
use jail::{Walls, handover};
use metrics::Unit::Count;
use metrics::{counter, describe_counter};
use rustix::process::{Pid, getpriority_process, setpriority_process};
use service::Turn;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::decoder::Party;

/// How long a decoder may take to say that it works.
const GREETING: Duration = Duration::from_secs(10);

/// What is added to the nice value of a decoder that gives way: it has a tenth of the others' weight (sched(7)).
const GIVES_WAY: i32 = 10;

/// A decoder keeps what it frees: to a process that lives for milliseconds, fresh pages for each copy of an image are a tenth of
/// its time. Other allocators than glibc's do not look.
const ALLOCATOR: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824:glibc.malloc.top_pad=1048576",
);

/// Which walls are around a decoder here: one is asked, before there is anything to decode. Blocks until it has answered.
pub fn walls<'a>(program: &Path, options: impl Iterator<Item = &'a str>) -> Result<Walls> {
    let (socket, theirs) = pair()?;
    let (ours, stdout) = pair()?;
    let mut child = command(program, options.chain(["ready"]), theirs, OwnedFd::from(stdout))
        .spawn()
        .map_err(|error| internal("the decoder cannot be started", error))?;
    let answer = greeting(&socket, &ours);
    // Whatever it is, it is not asked again.
    let _ = child.kill();
    let _ = child.wait();
    match answer.map_err(|error| internal("the decoder does not say that it works", error))? {
        DecoderAnswer::Ready(walls) => Ok(walls),
        _ => Err(ErrorKind::Internal.error("the decoder gave an answer to another question")),
    }
}

fn greeting(socket: &UnixStream, stdout: &UnixStream) -> std::io::Result<DecoderAnswer> {
    stdout.set_read_timeout(Some(GREETING))?;
    handover::give(socket, File::open("/dev/null")?)?;
    DecoderAnswer::read(stdout)
}

fn pair() -> Result<(UnixStream, UnixStream)> {
    UnixStream::pair().map_err(|error| internal("there is no socket to be had", error))
}

/// The decoder's start: it knows nothing of this process but its arguments and a socket.
fn command<'a>(
    program: &Path,
    arguments: impl Iterator<Item = &'a str>,
    socket: UnixStream,
    stdout: impl Into<Stdio>,
) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env(ALLOCATOR.0, ALLOCATOR.1)
        .stdin(OwnedFd::from(socket))
        .stdout(stdout)
        // A codec's last words may quote the file; nobody may log them.
        .stderr(Stdio::null())
        // Ctrl-C is for whoever waits for the decoders: that the files in hand are finished is its to see to.
        .process_group(0);
    command
}

/// Tells what the alarm's counter counts. From then on it is there, so that the first alarm is a rise.
pub fn count_escapes() {
    describe_counter!(
        "medseg_decoder_escapes_total",
        Count,
        "Decoders that were killed at a system call that no codec makes"
    );
    counter!("medseg_decoder_escapes_total").increment(0);
}

/// A process that waits for its file. It is killed when this is dropped.
pub struct Process {
    child: Child,
    stdout: ChildStdout,
    socket: UnixStream,
    gives_way: bool,
}

/// A decoder's answer, and the process that has announced more bytes.
pub struct Answered {
    pub answer: DecoderAnswer,
    pub rest: Rest,
}

/// What the process has still to say. It is killed when this is dropped.
pub struct Rest {
    stdout: ChildStdout,
    time: Duration,
    child: Child,
    _turn: Turn<Party>,
}

impl Process {
    /// Starts `program`.
    pub fn start<'a>(program: &Path, arguments: impl Iterator<Item = &'a str>) -> Result<Process> {
        let (socket, theirs) = pair()?;
        let command = command(program, arguments, theirs, Stdio::piped());
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| internal("the decoder cannot be started", error))?;
        let Some(stdout) = child.stdout.take() else {
            return Err(ErrorKind::Internal.error("the decoder has no output"));
        };
        Ok(Process { child, stdout, socket, gives_way: false })
    }

    /// The same, which gives way from here on to everything else that wants a processor.
    pub fn giving_way(self) -> Process {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        // To Linux a nice value is a thread's, and a decoder has one.
        let lowered =
            pid.map(|pid| setpriority_process(Some(pid), getpriority_process(None)? + GIVES_WAY));
        if let Some(Err(error)) = lowered {
            tracing::debug!(%error, "a decoder does not give way");
        }
        Process { gives_way: true, ..self }
    }

    /// Gives it the file that it is there for. Fails when it has ended already.
    pub fn give(&self, file: &File) -> std::io::Result<()> {
        handover::give(&self.socket, file)
    }

    /// What it makes of its file, within `time`.
    pub async fn answer(
        self,
        time: Duration,
        turn: Turn<Party>,
    ) -> Result<Result<Answered, Refusal>> {
        let Process { child, stdout, socket: _, gives_way } = self;
        let mut rest = Rest { stdout, time, child, _turn: turn };
        let answer = match timeout(time, rest.answer()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.kind() == UnexpectedEof => return rest.autopsy().await,
            Ok(Err(_)) => return Ok(Err(crashed())),
            // Its processor was everybody else's: that says nothing about the file.
            Err(_) if gives_way => return Err(crowded_out()),
            Err(_) => return Ok(Err(took_too_long())),
        };
        Ok(judged(answer).map(|answer| Answered { answer, rest }))
    }

    /// What it makes of so many files, one after the other, within `time` for all. Fewer answers: it ended, or was too slow, at the
    /// next file or because of those before.
    pub async fn answers(
        self,
        time: Duration,
        turn: Turn<Party>,
        count: usize,
    ) -> Vec<Result<DecoderAnswer, Refusal>> {
        let Process { child, stdout, socket: _, gives_way: _ } = self;
        let mut rest = Rest { stdout, time, child, _turn: turn };
        let (mut answers, mut has_ended) = (Vec::with_capacity(count), false);
        let reading = async {
            while answers.len() < count {
                match rest.answer().await {
                    Ok(answer) => answers.push(judged(answer)),
                    Err(error) => {
                        has_ended = error.kind() == UnexpectedEof;
                        return;
                    }
                }
            }
        };
        // Who is missing then is asked about once more.
        let _ = timeout(time, reading).await;
        if has_ended {
            rest.ended().await;
        }
        answers
    }
}

/// The answer, or why the file is refused.
fn judged(answer: DecoderAnswer) -> Result<DecoderAnswer, Refusal> {
    match answer {
        DecoderAnswer::Refused { problem, detail, known } => {
            Err(refusal(&problem, detail, known).unwrap_or_else(crashed))
        }
        answer => Ok(answer),
    }
}

impl Rest {
    async fn answer(&mut self) -> std::io::Result<DecoderAnswer> {
        let mut json = vec![0; length_of(self.stdout.read_u32_le().await?)?];
        self.stdout.read_exact(&mut json).await?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// Reads the next `length` bytes that were announced.
    pub async fn read(&mut self, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        let read = timeout(self.time, self.stdout.read_exact(&mut bytes))
            .await
            .map_err(|error| internal("the decoder stopped in the middle of its answer", error))?;
        if let Err(error) = read {
            self.ended().await;
            return Err(internal("the decoder died in the middle of its answer", error));
        }
        Ok(bytes.into())
    }

    /// What comes behind all that was announced, of at most so many bytes. Empty where the process did not come that far: it is
    /// expendable.
    pub async fn last(&mut self, bytes_max: usize) -> Bytes {
        let (time, stdout) = (self.time, &mut self.stdout);
        let reading = async {
            let length = stdout.read_u64_le().await?;
            if length > bytes_max as u64 {
                return Err(std::io::Error::from(InvalidData));
            }
            let mut bytes = vec![0; length as usize];
            stdout.read_exact(&mut bytes).await?;
            Ok(bytes)
        };
        let read = timeout(time, reading).await;
        match read {
            Ok(Ok(bytes)) => return bytes.into(),
            // That it ran into its limits is no news; an escape is.
            Ok(Err(error)) if error.kind() == UnexpectedEof => {
                self.ended().await;
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tracing::info!(
            "an upload is taken without an index of its instances: time or memory ran out"
        );
        Bytes::new()
    }

    /// How the process ended; None when it does not. An escape is an alarm wherever it was tried.
    async fn ended(&mut self) -> Option<ExitStatus> {
        let status = timeout(self.time, self.child.wait()).await.ok()?.ok()?;
        if let Cause::Escape = cause(status) {
            counter!("medseg_decoder_escapes_total").increment(1);
            tracing::error!(%status, "a decoder was killed at a forbidden system call: its file may be an attack");
        } else {
            tracing::warn!(%status, "the decoder died");
        }
        Some(status)
    }

    /// Why a process ended without an answer: mostly one of its limits.
    async fn autopsy(mut self) -> Result<Result<Answered, Refusal>> {
        let Some(status) = self.ended().await else { return Ok(Err(took_too_long())) };
        match cause(status) {
            Cause::Setup => {
                Err(ErrorKind::Internal.error("the decoder does not understand its orders"))
            }
            Cause::Unjailed => {
                Err(ErrorKind::Internal.error("the decoder's jail is not what DECODE_JAIL demands"))
            }
            Cause::Limits => Ok(Err(took_too_much())),
            // Whoever tried it is told no more than others are.
            Cause::Escape | Cause::File => Ok(Err(crashed())),
        }
    }
}

#[derive(Debug, Eq, PartialEq)]
enum Cause {
    Setup,
    /// It refused to work outside of a whole jail.
    Unjailed,
    Limits,
    /// It tried what the jail forbids.
    Escape,
    File,
}

fn cause(status: ExitStatus) -> Cause {
    // What clap exits with on a command line that it does not know.
    const USAGE: i32 = 2;
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    const SIGSYS: i32 = 31;
    const UNJAILED: i32 = jail::UNJAILED as i32;
    match (status.code(), status.signal()) {
        (Some(USAGE), _) => Cause::Setup,
        (Some(UNJAILED), _) => Cause::Unjailed,
        (_, Some(SIGSYS)) => Cause::Escape,
        // Rust aborts when memory is refused; the kernel kills what uses too much of it or of time.
        (_, Some(SIGABRT | SIGKILL | SIGXCPU)) => Cause::Limits,
        _ => Cause::File,
    }
}

/// Why a file is not judged while its hospital sends too many.
pub fn crowded_out() -> Error {
    ErrorKind::Exhausted.error("too many uploads at once")
}

fn took_too_long() -> Refusal {
    RefusalReason::TooLarge.refuse("Decoding it takes longer than a head scan may.")
}

fn took_too_much() -> Refusal {
    RefusalReason::TooLarge.refuse("Decoding it takes more memory or time than a head scan may.")
}

pub fn crashed() -> Refusal {
    RefusalReason::Corrupt.refuse("It cannot be decoded.")
}

pub fn internal(
    message: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    ErrorKind::Internal.error(message).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_told_from_a_limit_and_from_a_broken_file() {
        let exited = |code: i32| cause(ExitStatus::from_raw(code << 8));
        let killed = |signal: i32| cause(ExitStatus::from_raw(signal));
        assert_eq!(killed(31), Cause::Escape);
        assert_eq!([6, 9, 24].map(killed), [Cause::Limits, Cause::Limits, Cause::Limits]);
        assert_eq!([killed(11), exited(101), exited(1)], [Cause::File, Cause::File, Cause::File]);
        assert_eq!([exited(2), exited(3)], [Cause::Setup, Cause::Unjailed]);
    }

    #[test]
    fn a_program_that_is_no_decoder_does_not_start_the_service() {
        let options = std::iter::empty();
        let error = walls(Path::new("/bin/false"), options).unwrap_err();
        assert_eq!(error.to_string(), "the decoder does not say that it works");
    }
}
