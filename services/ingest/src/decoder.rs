//! The jail: each upload is decoded by a process of its own that may die, hang or grow without harm.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{ErrorKind, Result, TenantId};
use imaging::{DicomInstance, Modality, Refusal};
use jail::answer::{DecoderAnswer, Group};
use jail::{Demand, Walls};
use service::{Turn, Turns};
use tokio::time::timeout;

use crate::Config;
use crate::outline::Outline;
use crate::process::{Answered, Process, count_escapes, crashed, crowded_out, internal, walls};
use crate::segmentation::Segmentation;

/// Whose turn it is: a hospital's, or this service's own, which asks whether a decoder answers.
pub type Party = Option<TenantId>;

const PROGRAM: &str = "medseg-decode";
/// How long an upload waits for its turn.
const TURN: Duration = Duration::from_secs(20);
/// So many more are decoded where a hospital has none in hand: none waits for another's file to be done.
const BEYOND: usize = 2;
/// A hospital that sends faster than its files are decoded has a crowd: so many rounds of them wait.
const CROWD_ROUNDS: usize = 4;

/// Of so many files one process looks at the headers, one after the other: starting it takes far longer than looking.
pub const TOGETHER: usize = 16;

/// What somebody has drawn, by what its file says of where it lies.
pub enum Drawn {
    /// On a grid of its own.
    Outline(Outline),
    /// On planes in the patient.
    Segmentation(Segmentation),
}

/// Starts decoders, so many at a time, in turns of whoever it is for.
#[derive(Clone)]
pub struct Decoder(Arc<Inner>, Party);

struct Inner {
    program: PathBuf,
    turns: Turns<Party>,
    at_a_time: usize,
    time: Duration,
    options: Vec<String>,
    demand: Demand,
    modalities: String,
    /// Started ahead, for the next scan: starting takes as long as decoding a small one.
    spare: Mutex<Option<Process>>,
}

impl Decoder {
    /// Fails when there is no decoder, or none in the jail that is demanded.
    pub fn new(config: &Config) -> Result<Decoder> {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let turns = if config.decoders == 0 { processors } else { config.decoders };
        let terms: Vec<_> =
            config.modalities.iter().map(|modality: &Modality| modality.term()).collect();
        let options = [
            ("--memory-mib", config.decode_mib.to_string()),
            ("--cpu-s", config.decode_s.to_string()),
            ("--bytes-max", (config.upload_mib << 20).to_string()),
            ("--jail", config.decode_jail.term().to_owned()),
        ];
        let options = options.map(|(name, value)| format!("{name}={value}")).to_vec();
        let program = program(config.decoder.as_deref())?;
        count_escapes();
        let walls = walls(&program, options.iter().map(String::as_str))?;
        suffices(walls, config.decode_jail)?;
        tell_of(walls);
        Ok(Decoder(
            Arc::new(Inner {
                program,
                turns: Turns::of(turns).with_beyond(BEYOND),
                at_a_time: turns,
                time: Duration::from_secs(config.decode_s),
                options,
                demand: config.decode_jail,
                modalities: format!("--modalities={}", terms.join(",")),
                spare: Mutex::default(),
            }),
            None,
        ))
    }

    /// The same, for uploads of that hospital.
    pub fn of(&self, tenant: TenantId) -> Decoder {
        Decoder(Arc::clone(&self.0), Some(tenant))
    }

    /// Whom it decodes for.
    pub fn party(&self) -> Party {
        self.1
    }

    /// How many uploads of one hospital are decoded at a time.
    pub fn at_a_time(&self) -> usize {
        self.0.at_a_time
    }

    /// Whether a decoder can be started and answers, from within the jail that is demanded.
    pub async fn answers(&self) -> Result<()> {
        match self.ask(Path::new("/dev/null"), &["ready"]).await? {
            Ok(Answered { answer: DecoderAnswer::Ready(walls), .. }) => {
                suffices(walls, self.0.demand)
            }
            _ => Err(ErrorKind::Internal.error("the decoder gave an answer to another question")),
        }
    }

    /// Decodes and checks the scan in `file`.
    pub async fn decode(&self, file: &Path) -> Result<Result<Answered, Refusal>> {
        self.ask(file, &self.0.decode()).await
    }

    /// Shares out the entries of the archive in `file`; pictures with numbered names belong together if `numbered`.
    pub async fn groups(&self, file: &Path, numbered: bool) -> Result<Result<Vec<Group>, Refusal>> {
        let task: &[&str] = if numbered { &["groups", "--numbered"] } else { &["groups"] };
        self.shared_out(file, task).await
    }

    /// The same of a file that came alone: one group of it, unless it cannot be read.
    pub async fn alone(&self, file: &Path) -> Result<Result<Vec<Group>, Refusal>> {
        self.shared_out(file, &["groups", "--alone"]).await
    }

    async fn shared_out(&self, file: &Path, task: &[&str]) -> Result<Result<Vec<Group>, Refusal>> {
        Ok(match self.ask(file, task).await? {
            Ok(Answered { answer: DecoderAnswer::Groups(groups), .. }) => Ok(groups),
            Ok(_) => Err(crashed()),
            Err(refusal) => Err(refusal),
        })
    }

    /// Which series each of the DICOM files is an instance of, as its digest; None: it is no slice. All are of one sender.
    pub async fn series(&self, files: &[PathBuf]) -> Result<Vec<Result<Option<String>, Refusal>>> {
        let series = |answer: DecoderAnswer| match answer {
            DecoderAnswer::Series(series) => Ok(series),
            _ => Err(crashed()),
        };
        let told = self.ask_each(files, "series").await?;
        Ok(told.into_iter().map(|answer| answer.and_then(series)).collect())
    }

    /// What each of the DICOM files says it is. All are of one sender.
    pub async fn instances(
        &self,
        files: &[PathBuf],
    ) -> Result<Vec<Result<DicomInstance, Refusal>>> {
        let told = self.ask_each(files, "instance").await?;
        Ok(told.into_iter().map(|answer| answer.and_then(instance)).collect())
    }

    /// What the DICOM file says it is.
    pub async fn instance(&self, file: &Path) -> Result<Result<DicomInstance, Refusal>> {
        let told = self.ask(file, &["instance"]).await?;
        Ok(told.and_then(|answered| instance(answered.answer)))
    }

    /// Decodes the mask in `file` that a reader has drawn.
    pub async fn drawn(&self, file: &Path) -> Result<Result<Drawn, Refusal>> {
        match self.ask(file, &["outline"]).await? {
            Ok(Answered { answer: DecoderAnswer::Outline(facts), rest }) => {
                Ok(Outline::read(*facts, rest).await?.map(Drawn::Outline))
            }
            Ok(Answered { answer: DecoderAnswer::Segmentation(facts), rest }) => {
                Ok(Segmentation::read(*facts, rest).await?.map(Drawn::Segmentation))
            }
            Ok(_) => Ok(Err(crashed())),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Decodes the mask in `file` that medseg has made itself.
    pub async fn own_outline(&self, file: &Path) -> Result<Result<Outline, Refusal>> {
        match self.ask(file, &["outline", "--own"]).await? {
            Ok(Answered { answer: DecoderAnswer::Outline(facts), rest }) => {
                Outline::read(*facts, rest).await
            }
            Ok(_) => Ok(Err(crashed())),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Unpacks one entry of the archive in `file`, or a zip of several.
    pub async fn entry(&self, file: &Path, places: &[usize]) -> Result<Result<Answered, Refusal>> {
        let places: Vec<String> = places.iter().map(usize::to_string).collect();
        let places = places.iter().map(String::as_str);
        let task: Vec<&str> = std::iter::once("entry").chain(places).collect();
        self.ask(file, &task).await
    }

    /// Writes the images of the upload in `file` anew, without whose they are, as a zip; before the upload stands [`jail::export::Names`].
    pub async fn export(&self, file: &Path) -> Result<Result<Answered, Refusal>> {
        self.ask(file, &["export"]).await
    }

    async fn ask(&self, file: &Path, task: &[&str]) -> Result<Result<Answered, Refusal>> {
        let (turn, crowded) = self.turn().await?;
        let file = opened(file)?;
        // The one that is ready is for whoever comes alone.
        let spare = if crowded { None } else { self.spare_for(task) };
        let process = match spare.filter(|spare| spare.give(&file).is_ok()) {
            Some(spare) => spare,
            None => self.0.begin(task, &[file], crowded)?,
        };
        process.answer(self.0.time, turn).await
    }

    /// What `task` makes of each of the files, in their order, however many of them end the process that looks at them.
    async fn ask_each(
        &self,
        files: &[PathBuf],
        task: &str,
    ) -> Result<Vec<Result<DecoderAnswer, Refusal>>> {
        let mut answers = Vec::with_capacity(files.len());
        while let Some(rest) = files.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            let together = &rest[..rest.len().min(TOGETHER)];
            let mut told = self.ask_together(together, task).await?;
            if let Some(next) = together.get(told.len()) {
                // By itself it has all time and memory there is: what comes of it then is its own.
                let alone = self.ask(next, &[task]).await?;
                told.push(alone.map(|answered| answered.answer));
            }
            answers.append(&mut told);
        }
        Ok(answers)
    }

    /// What one process makes of the files, as far as it comes; of one file nothing, which is asked about by itself.
    async fn ask_together(
        &self,
        files: &[PathBuf],
        task: &str,
    ) -> Result<Vec<Result<DecoderAnswer, Refusal>>> {
        if files.len() < 2 {
            return Ok(Vec::new());
        }
        let (turn, crowded) = self.turn().await?;
        let process = {
            let handed = files.iter().map(|file| opened(file)).collect::<Result<Vec<File>>>()?;
            let count = format!("--files={}", handed.len());
            self.0.begin(&[task, &count], &handed, crowded)?
        };
        Ok(process.answers(self.0.time, turn, files.len()).await)
    }

    /// A turn, and whether so many of the same hospital wait behind it that it has to give way.
    async fn turn(&self) -> Result<(Turn<Party>, bool)> {
        let turn = timeout(TURN, self.0.turns.take(self.1)).await;
        let turn = turn.map_err(|_| crowded_out())?;
        let crowded = turn.behind() >= CROWD_ROUNDS * self.0.at_a_time;
        Ok((turn, crowded))
    }

    /// The process that waits for this task, if one does. The next one starts while this one works.
    fn spare_for(&self, task: &[&str]) -> Option<Process> {
        if task != self.0.decode() {
            return None;
        }
        let spare = self.0.spare().take();
        let decoder = self.clone();
        tokio::spawn(async move { decoder.start_spare() });
        spare
    }

    fn start_spare(&self) {
        if self.0.spare().is_some() {
            return;
        }
        match self.0.start(&self.0.decode()) {
            Ok(spare) => *self.0.spare() = Some(spare),
            // The next file finds none, and says so if there is still none to be had.
            Err(error) => tracing::warn!(%error, "cannot start a decoder ahead"),
        }
    }
}

impl Inner {
    /// Asks for a scan to be decoded.
    fn decode(&self) -> [&str; 2] {
        ["decode", &self.modalities]
    }

    fn spare(&self) -> MutexGuard<'_, Option<Process>> {
        // A slot is whole whatever panics beside it.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process for these files; where they are of a crowd, everything else that wants a processor goes first.
    fn begin(&self, task: &[&str], files: &[File], crowded: bool) -> Result<Process> {
        let process = self.start(task)?;
        let process = if crowded { process.giving_way() } else { process };
        if let Err(error) = files.iter().try_for_each(|file| process.give(file)) {
            // Why it has ended already is found out where its answer is waited for.
            tracing::warn!(%error, "a decoder ended at its start");
        }
        Ok(process)
    }

    fn start(&self, task: &[&str]) -> Result<Process> {
        let options = self.options.iter().map(String::as_str);
        Process::start(&self.program, options.chain(task.iter().copied()))
    }
}

fn opened(file: &Path) -> Result<File> {
    File::open(file).map_err(|error| internal("a spooled upload is gone", error))
}

fn instance(answer: DecoderAnswer) -> Result<DicomInstance, Refusal> {
    match answer {
        DecoderAnswer::Instance(told) => Ok(*told),
        _ => Err(crashed()),
    }
}

/// Refuses a jail that is not whole where that is demanded.
fn suffices(walls: Walls, demand: Demand) -> Result<()> {
    match (demand, walls.missing()) {
        (Demand::Required, Some(missing)) => Err(ErrorKind::Internal.error(format!(
            "this kernel has no {missing} to jail the decoder with \
             (DECODE_JAIL=best-effort takes uploads all the same)"
        ))),
        (Demand::Required, None) | (Demand::BestEffort, _) => Ok(()),
    }
}

fn tell_of(walls: Walls) {
    let Walls { landlock, seccomp } = walls;
    match walls.missing() {
        None => tracing::info!(landlock, seccomp, "uploads are decoded in a whole jail"),
        Some(missing) => tracing::warn!(
            landlock,
            seccomp,
            "uploads are decoded in a jail that is not whole: this kernel has no {missing}"
        ),
    }
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
        ErrorKind::Internal.error(format!(
            "`{PROGRAM}` is not beside this program: build it (package `jail`), or name it"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_jail_suffices_only_where_somebody_said_so_and_what_is_missing_is_named() {
        let whole = Walls { landlock: 1, seccomp: true };
        let half = Walls { landlock: 0, seccomp: true };
        let told = |walls, demand| suffices(walls, demand).err().map(|error| error.to_string());
        assert_eq!(told(whole, Demand::Required), None);
        assert_eq!(told(half, Demand::BestEffort), None);
        let refused = told(half, Demand::Required).unwrap();
        assert!(refused.contains("landlock") && !refused.contains("seccomp"), "{refused}");
        assert!(refused.contains("DECODE_JAIL=best-effort"), "{refused}");
    }
}
