//! Files in, results out: the services run in this process for as long as there are files, and answer nobody else.

mod analyst;
pub(crate) mod input;
mod inside;
pub(crate) mod outcome;
pub(crate) mod record;
mod results;
mod teller;
pub(crate) mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use domain::limits::UPLOAD_MIB_DEFAULT;
use imaging::Modality;
use service::{ErrorLog, cli, shutdown_on_signals};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::models;
use crate::serve::Services;
use analyst::Analyst;
use outcome::{FAILED, Outcome};
use results::Results;
use teller::Teller;
use watch::Watch;

/// How many inputs are looked at, and taken, before the next are.
const TOGETHER: usize = 256;

const EXIT_STATUS: &str = "\
Exit status: 0 when nothing was found in any scan, 10 when something was found in at least one, 20 when at least one is not
analysable, 30 when at least one failed, was refused or was not begun: the gravest counts. 2 when the command line is wrong, 1 when
there was no way to begin or to go on. With --watch 0 when it was told to stop.";

/// `medseg segment`
#[derive(clap::Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Segment {
    /// The scans: files of whichever format `medseg serve` takes, and folders, each with the files of one series.
    #[arg(value_name = "FILE", required_unless_present = "watch", conflicts_with = "watch")]
    files: Vec<PathBuf>,

    /// Where results go: each scan's to a folder named after its file. What lies there stays: the next of that name is NAME-2.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Takes files and folders as they come to this folder, once they have not grown for two seconds, until it is told to stop
    /// (Ctrl-C, SIGTERM). DIR/watched.jsonl says what has been done.
    #[arg(long, value_name = "FOLDER")]
    watch: Option<PathBuf>,

    /// Prints JSON, an object a line.
    #[arg(long)]
    json: bool,

    /// The model: its folder, or its weights; with `--research` `threshold:`, which knows bright from dark and needs no weights.
    /// Without it, the model that came with this program.
    #[arg(long)]
    model: Option<String>,

    /// Takes what is no trained model, too. No patient may depend on its answers; every result says so.
    #[arg(long)]
    research: bool,

    /// The largest file or folder, in MiB.
    #[arg(long, env, default_value_t = UPLOAD_MIB_DEFAULT.into(), value_parser = clap::value_parser!(u64).range(1..))]
    upload_mib: u64,

    #[command(flatten)]
    machine: Jailed,

    #[command(flatten)]
    log: ErrorLog,
}

/// What a scan is analysed with on this machine.
#[derive(clap::Args)]
pub struct Jailed {
    /// Where the network runs: `auto`, `cpu`, `openvino` (the processor, faster) or `cuda:N`.
    #[arg(long, env, default_value = "auto")]
    device: String,

    /// The jail that files are decoded in: `required` refuses to start where the kernel has no landlock or no seccomp,
    /// `best-effort` goes on within what there is.
    #[arg(long, env, value_enum, default_value_t = ingest::Demand::Required)]
    decode_jail: ingest::Demand,
}

impl Segment {
    /// Answers with what the scans have come to.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        // Results are about patients, and what is kept meanwhile is of them.
        service::keep_private();
        self.log.clone().start();
        let status = tokio::runtime::Runtime::new()?.block_on(self.segment())?;
        Ok(ExitCode::from(status))
    }

    async fn segment(self) -> anyhow::Result<u8> {
        let stop = shutdown_on_signals()?;
        let results = Results::open(&self.out)?;
        let watch = self.watch.as_deref().map(|folder| Watch::open(folder, &results));
        let watch = watch.transpose()?;
        let teller = Teller::new(self.json, self.files.len());
        let services = self.machine.services(self.model.clone(), self.research, self.upload_mib)?;
        let mut analyst = Analyst::start(services, results).await?;
        let ended = match watch {
            Some(watch) => follow(watch, &mut analyst, &teller, &stop).await,
            None => all(&self.files, &mut analyst, &teller, &stop).await,
        };
        // A worker that has failed is why, where both say something.
        analyst.end().await.and(ended)
    }
}

impl Jailed {
    /// The services that analyse with that model, or with the one that came with this program.
    pub fn services(
        &self,
        model: Option<String>,
        research: bool,
        upload_mib: u64,
    ) -> anyhow::Result<Services> {
        let model = match model {
            // As a file, so that what lies beside it is found there.
            Some(folder) if Path::new(&folder).is_dir() => format!("{folder}/model.json"),
            Some(named) => named,
            None => models::shipped()?.display().to_string(),
        };
        Ok(Services {
            model_url: Some(model),
            research,
            device: self.device.clone(),
            batch: 8,
            window: None,
            modalities: vec![Modality::MagneticResonance],
            decode_jail: self.decode_jail,
            bare_model_mib: inference::BARE_MODEL_MIB,
            first_password: None,
            auth: auth::Rules::default(),
            dicom: ingest::DicomSettings::default(),
            gateway: gateway::Config { upload_mib, ..gateway::Config::default() },
            data_keys_url: None,
            rules: storage::Rules::default(),
            registry: registry::Rules::default(),
            drift: drift::Schedule::default(),
            quality: drift::Bound::default(),
            delivery: delivery::Rules::default(),
        })
    }
}

/// Analyses one scan, and answers with the folder of its results, which is in `out`.
pub async fn one(services: Services, file: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    let folders = each(services, &[file.to_owned()], out).await?;
    folders.into_iter().next().context("the file was not begun")
}

/// Analyses files and folders that are one scan each, and answers with the folders of their results, in that order.
pub async fn each(
    services: Services,
    files: &[PathBuf],
    out: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut analyst = Analyst::start(services, Results::open(out)?).await?;
    let mut folders = Vec::new();
    let told = |index: usize, outcomes: Vec<Outcome>| {
        let folder = result_folder(&outcomes);
        folders.push(folder.with_context(|| format!("{}", files[index].display()))?);
        anyhow::Ok(())
    };
    let taken = analyst.take(files, &CancellationToken::new(), told).await;
    analyst.end().await.and(taken)?;
    Ok(folders)
}

fn result_folder(outcomes: &[Outcome]) -> anyhow::Result<PathBuf> {
    let [outcome] = outcomes else { bail!("the file holds {} scans", outcomes.len()) };
    match (outcome.folder(), outcome.has_result()) {
        (Some(folder), true) => Ok(folder.to_owned()),
        _ => bail!(outcome.complaint().unwrap_or_else(|| "it is refused now".to_owned())),
    }
}

/// Takes those files, and answers with the gravest of what they have come to.
async fn all(
    files: &[PathBuf],
    analyst: &mut Analyst,
    teller: &Teller,
    stop: &CancellationToken,
) -> anyhow::Result<u8> {
    let (mut status, mut done) = (0, 0);
    for files in files.chunks(TOGETHER) {
        let told = |_, outcomes: Vec<Outcome>| {
            outcomes.iter().for_each(|outcome| teller.tell(outcome));
            status = outcomes.iter().map(Outcome::status).fold(status, u8::max);
            done += 1;
            teller.step();
            Ok(())
        };
        analyst.take(files, stop, told).await?;
    }
    teller.end();
    if done < files.len() {
        let left = files.len() - done;
        cli::complain(&format!("told to stop: {left} of {} were not begun", files.len()));
        status = FAILED;
    }
    Ok(status)
}

/// Takes what comes until it is told to stop.
async fn follow(
    mut watch: Watch,
    analyst: &mut Analyst,
    teller: &Teller,
    stop: &CancellationToken,
) -> anyhow::Result<u8> {
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let arrived = watch.arrived(begun, TOGETHER)?;
        if arrived.is_empty() {
            // Where a look takes long, because very much lies there, it takes a tenth of the time all the same.
            let pause = watch::LOOK_EVERY.max(begun.elapsed() * 10);
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            continue;
        }
        let paths: Vec<_> = arrived.iter().map(|arrived| arrived.path.clone()).collect();
        let told = |index: usize, outcomes: Vec<Outcome>| {
            outcomes.iter().for_each(|outcome| teller.tell(outcome));
            watch.done(&arrived[index], &outcomes, Instant::now())
        };
        analyst.take(&paths, stop, told).await?;
    }
    Ok(0)
}
