//! The jail: each upload is decoded by a process of its own that may die, hang or grow without harm.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use imaging::{Modality, Problem, Refusal};
use std::os::unix::process::ExitStatusExt;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::Config;
use crate::answer::{Answer, JSON_BYTES_MAX, refusal};

const PROGRAM: &str = "medseg-decode";
/// How long an upload waits for its turn.
const TURN: Duration = Duration::from_secs(20);

/// Starts decoders, so many at a time.
#[derive(Clone)]
pub struct Decoder(Arc<Inner>);

struct Inner {
    program: PathBuf,
    turns: Arc<Semaphore>,
    at_a_time: usize,
    time: Duration,
    options: Vec<String>,
    modalities: String,
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

impl Decoder {
    pub fn new(config: &Config) -> Result<Decoder> {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let turns = if config.decoders == 0 { processors } else { config.decoders };
        let terms: Vec<_> =
            config.modalities.iter().map(|modality: &Modality| modality.term()).collect();
        let options = [
            ("--memory-mib", config.decode_mib),
            ("--cpu-s", config.decode_s),
            ("--bytes-max", (config.upload_mib as u64) << 20),
        ];
        Ok(Decoder(Arc::new(Inner {
            program: program(config.decoder.as_deref())?,
            turns: Arc::new(Semaphore::new(turns)),
            at_a_time: turns,
            time: Duration::from_secs(config.decode_s),
            options: options.map(|(name, value)| format!("{name}={value}")).to_vec(),
            modalities: format!("--modalities={}", terms.join(",")),
        })))
    }

    /// How many uploads are decoded at a time.
    pub fn at_a_time(&self) -> usize {
        self.0.at_a_time
    }

    /// Whether a decoder can be started and answers.
    pub async fn answers(&self) -> Result<()> {
        match self.ask(Path::new("/dev/null"), &["ready"]).await? {
            Ok(Answered { answer: Answer::Ready, .. }) => Ok(()),
            _ => Err(ErrorKind::Internal.error("the decoder gave an answer to another question")),
        }
    }

    /// Decodes and checks the scan in `file`.
    pub async fn decode(&self, file: &Path) -> Result<Result<Answered, Refusal>> {
        self.ask(file, &["decode", &self.0.modalities]).await
    }

    /// Lists the entries of the archive in `file`.
    pub async fn names(&self, file: &Path) -> Result<Result<Vec<String>, Refusal>> {
        Ok(match self.ask(file, &["names"]).await? {
            Ok(Answered { answer: Answer::Names(names), .. }) => Ok(names),
            Ok(_) => Err(crashed()),
            Err(refusal) => Err(refusal),
        })
    }

    /// Unpacks one entry of the archive in `file`.
    pub async fn entry(&self, file: &Path, place: usize) -> Result<Result<Answered, Refusal>> {
        self.ask(file, &["entry", &place.to_string()]).await
    }

    async fn ask(&self, file: &Path, task: &[&str]) -> Result<Result<Answered, Refusal>> {
        let turn = timeout(TURN, self.0.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| ErrorKind::Exhausted.error("too many uploads at once"))?;
        let turn = turn.map_err(|error| internal("the decoder is closed", error))?;
        let file = File::open(file).map_err(|error| internal("a spooled upload is gone", error))?;
        let mut child = Command::new(&self.0.program)
            .args(&self.0.options)
            .args(task)
            .env_clear()
            .stdin(file)
            .stdout(Stdio::piped())
            // A codec's last words may quote the file; nobody may log them.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| internal("the decoder cannot be started", error))?;
        let Some(stdout) = child.stdout.take() else {
            return Err(ErrorKind::Internal.error("the decoder has no output"));
        };
        let mut rest = Rest { stdout, time: self.0.time, child, _turn: turn };
        let answer = match timeout(rest.time, rest.answer()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return rest.autopsy().await;
            }
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

fn crashed() -> Refusal {
    Problem::Corrupt.refuse("It cannot be decoded.")
}

fn internal(message: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    ErrorKind::Internal.error(message).because(error)
}

/// The decoder that is configured, or the one beside this program (or beside its folder, where tests run).
fn program(configured: Option<&Path>) -> Result<PathBuf> {
    if let Some(program) = configured {
        return Ok(program.to_owned());
    }
    let own = std::env::current_exe()
        .map_err(|error| internal("cannot tell where this program is", error))?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join(PROGRAM));
    beside.into_iter().find(|program| program.is_file()).ok_or_else(|| {
        ErrorKind::Internal
            .error(format!("`{PROGRAM}` is not beside this program: build it, or name it"))
    })
}
