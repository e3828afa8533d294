//! Hands on what a watched folder brought to another medseg: whole, once, and whenever the line is there.

mod outbox;
mod pace;
mod send;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};
use service::cli::{complain, in_one_line};
use service::{ErrorLog, shutdown_on_signals};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, detail};
use crate::segment::outcome::{FAILED, shown};
use outbox::{Fate, Outbox, Waiting};
use pace::{Pace, Round};
use send::{Later, send};

const EXIT_STATUS: &str = "\
Exit status: 0 when nothing is left to be sent, 30 when a scan was refused at the other end, 2 when the command line is wrong, 1 when
there is something left, because the other end cannot be reached or cannot take it now. With --watch 0 when it was told to stop.";

/// `medseg forward`
#[derive(clap::Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Forward {
    /// The folder that `medseg segment --watch` watches: what it was done with is sent, the scans themselves.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// Where its results go, with DIR/watched.jsonl. What has been sent stands in DIR/forwarded, a file for each.
    #[arg(long, value_name = "DIR")]
    results: PathBuf,

    /// Goes on with what comes, and waits for the line, until it is told to stop (Ctrl-C, SIGTERM).
    #[arg(long)]
    watch: bool,

    /// Prints JSON, an object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    api: Api,

    #[command(flatten)]
    log: ErrorLog,
}

/// What was last told of what does not go well: once is enough.
#[derive(Default)]
struct Told {
    why: String,
    gone: usize,
}

impl Forward {
    /// Answers whether anything was refused.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        // What is noted names scans.
        service::keep_private();
        self.log.clone().start();
        let status = tokio::runtime::Runtime::new()?.block_on(self.forward())?;
        Ok(ExitCode::from(status))
    }

    async fn forward(&self) -> anyhow::Result<u8> {
        let stop = shutdown_on_signals()?;
        let outbox = Outbox::open(&self.folder, &self.results)?;
        // Waiting would bring no password.
        self.api.grant()?;
        if !self.watch {
            return self.once(&outbox, &stop).await;
        }
        let (mut pace, mut told) = (Pace::default(), Told::default());
        loop {
            // What is cut off by the signal is sent again by the next one, under the same key.
            let round = stop.run_until_cancelled(self.round(&outbox, &mut pace, &mut told)).await;
            let Some(round) = round else { return Ok(0) };
            let round = round?;
            if let Some(Later { why, .. }) = &round.later {
                told.complain_anew(format!("{}; it is tried again", in_one_line(why)));
            }
            let pause = pace.after(&round);
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(0);
            }
        }
    }

    /// Sends what waits now.
    async fn once(&self, outbox: &Outbox, stop: &CancellationToken) -> anyhow::Result<u8> {
        let (mut pace, mut told) = (Pace::default(), Told::default());
        let round = stop.run_until_cancelled(self.round(outbox, &mut pace, &mut told)).await;
        let round = round.context("told to stop before all was sent")??;
        match round.later {
            Some(Later { why, .. }) => {
                Err(why.context(format!("{} of {} not sent", round.left, round.waited)))
            }
            None if round.refused > 0 => Ok(FAILED),
            None => Ok(0),
        }
    }

    /// Sends what waits, up to the first that cannot be sent now. An error is this side's own: what has become of a scan
    /// cannot be noted.
    async fn round(
        &self,
        outbox: &Outbox,
        pace: &mut Pace,
        told: &mut Told,
    ) -> anyhow::Result<Round> {
        let mut due = outbox.due()?;
        told.complain_of_gone(&due.gone, outbox);
        pace.least_failed_first(&mut due.waiting);
        let mut round = Round::of(due.waiting.len());
        for waiting in &due.waiting {
            match self.one(outbox, waiting).await? {
                Ok(Fate::Sent { .. }) => round.done(),
                Ok(Fate::Refused { .. }) => round.refused(),
                Err(later) => {
                    pace.failed(waiting);
                    round.later = Some(later);
                    break;
                }
            }
            told.why.clear();
        }
        Ok(round)
    }

    /// Sends one, notes what has become of it, and tells of it.
    async fn one(&self, outbox: &Outbox, waiting: &Waiting) -> anyhow::Result<Result<Fate, Later>> {
        // For each anew: a token lives for some minutes, and a scan on a slow line takes as long.
        let session = match self.api.sign_in().await {
            Ok(session) => session,
            Err(error) => return Ok(Err(error.into())),
        };
        let fate = match send(&session, waiting).await {
            Ok(fate) => fate,
            Err(later) => return Ok(Err(later)),
        };
        // What the other end has may be half of this and half of what took its place: that is another scan, with a line of
        // its own in the record.
        if !waiting.is_unchanged() {
            let why = anyhow::anyhow!("{} changed while it was sent", shown(&waiting.path));
            return Ok(Err(why.into()));
        }
        outbox.note(waiting, self.api.url().as_str(), &fate)?;
        if let Fate::Refused { problem } = &fate {
            complain(&format!("{}: {}", shown(&waiting.path), detail(problem)));
        }
        match self.json {
            true => println!("{}", waiting.json(&fate)),
            false => println!("{}", waiting.line(&fate)),
        }
        Ok(Ok(fate))
    }
}

impl Told {
    fn complain_anew(&mut self, why: String) {
        if self.why != why {
            complain(&why);
            self.why = why;
        }
    }

    /// Nothing can be sent of what is not there; that it was once is told, and stands in the record.
    fn complain_of_gone(&mut self, gone: &[String], outbox: &Outbox) {
        if let Some(name) = gone.first().filter(|_| gone.len() > self.gone) {
            let name = name.replace(char::is_control, "\u{fffd}");
            complain(&format!(
                "{} of the record {} gone from {} and not sent, such as {name}",
                gone.len(),
                if gone.len() == 1 { "is" } else { "are" },
                outbox.folder().display()
            ));
        }
        self.gone = gone.len();
    }
}

impl Waiting {
    /// Path, what became of it, where it is now, and the folder with this side's result, apart by tabs.
    fn line(&self, fate: &Fate) -> String {
        let folder = self.folder().map_or_else(|| "-".to_owned(), |folder| shown(&folder));
        let (state, place) = match fate {
            Fate::Sent { location } => ("sent", location.as_str()),
            Fate::Refused { .. } => ("refused", "-"),
        };
        format!("{}\t{state}\t{place}\t{folder}", shown(&self.path))
    }

    fn json(&self, fate: &Fate) -> Value {
        let mut told = json!(fate);
        told["path"] = shown(&self.path).into();
        told["folder"] = json!(self.folder().map(|folder| shown(&folder)));
        told
    }
}
