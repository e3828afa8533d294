//! What MLflow is told of training, and what is fetched from its registry.
//!
//! Runs are kept in their own folders ([`model::tracking`]); from there they are sent, while they go on or later.

mod client;
mod note;
mod sender;
mod sending;
mod source;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use model::tracking::{About, Journal, Tracking};
use reqwest::Url;
use secrecy::SecretString;
use service::{system_clock, system_random};

use client::{Client, Login};
use sender::{Pace, Sender, shown};
use sending::Sending;
pub use source::Fetched;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What names a model in MLflow's registry, in place of a folder.
const SCHEME: &str = "mlflow:";

/// Where MLflow answers, and as whom it is asked.
#[derive(clap::Args)]
pub struct Server {
    /// The MLflow server that is told how it goes: `http://HOST:5000`.
    #[arg(long, value_name = "URL", env = "MLFLOW_TRACKING_URI", hide_env_values = true)]
    mlflow: Option<String>,

    /// Its token: by the environment, where other users of the machine do not see it.
    #[arg(long, env = "MLFLOW_TRACKING_TOKEN", hide_env_values = true, hide = true)]
    mlflow_token: Option<SecretString>,

    /// The user who signs in at MLflow, with the password in MLFLOW_TRACKING_PASSWORD.
    #[arg(long, env = "MLFLOW_TRACKING_USERNAME")]
    mlflow_username: Option<String>,

    /// That user's password.
    #[arg(long, env = "MLFLOW_TRACKING_PASSWORD", hide_env_values = true, hide = true)]
    mlflow_password: Option<SecretString>,
}

/// How a run is told to MLflow.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    server: Server,

    /// The experiment in MLflow that the run belongs to.
    #[arg(long, env = "MLFLOW_EXPERIMENT_NAME", default_value = "medseg")]
    mlflow_experiment: String,

    /// What the run is called in MLflow.
    #[arg(long, default_value = "")]
    mlflow_run_name: String,

    /// Also send pictures of the worst scans. They show patients: only where all who see them in MLflow may.
    #[arg(long)]
    mlflow_pictures: bool,
}

/// A run that is kept in its folder, and sent to a server where there is one.
pub struct Tracked {
    pub tracking: Tracking,
    sender: Option<Sender>,
}

impl Server {
    /// None where no server is named.
    fn client(&self) -> anyhow::Result<Option<Client>> {
        let Some(text) = self.mlflow.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        // Its words do not repeat the address, which may hold a password.
        let url = Url::parse(text).context("the address of MLflow is no URL")?;
        ensure!(
            matches!(url.scheme(), "http" | "https"),
            "MLflow is told over http:// or https://, and not {}:",
            url.scheme()
        );
        let login = match (&self.mlflow_token, &self.mlflow_username, &self.mlflow_password) {
            (Some(token), ..) => Login::Token(token.clone()),
            (None, Some(user), Some(password)) => Login::User(user.clone(), password.clone()),
            (None, None, None) => Login::Nobody,
            (None, ..) => anyhow::bail!(
                "MLflow is asked with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or with neither"
            ),
        };
        Ok(Some(Client::new(url, login, PATIENCE)?))
    }

    fn needed(&self) -> anyhow::Result<Client> {
        self.client()?.context("no MLflow is named: --mlflow URL, or MLFLOW_TRACKING_URI")
    }

    /// The model that is named as `mlflow:NAME@ALIAS` or `mlflow:NAME/VERSION`, fetched; None where `folder` is a folder.
    pub async fn fetched(
        &self,
        folder: Option<&Path>,
        files: &[&str],
    ) -> anyhow::Result<Option<Fetched>> {
        match folder.and_then(Path::to_str).and_then(|text| text.strip_prefix(SCHEME)) {
            Some(of) => source::fetch(&self.needed()?, of, files).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Options {
    /// Whether a server is told.
    pub fn is_told(&self) -> bool {
        self.server.mlflow.as_deref().is_some_and(|url| !url.is_empty())
    }

    /// Keeps the run of `command` in the folder `run`, and sends it where a server is named.
    pub fn track(&self, run: &Path, command: &str) -> anyhow::Result<Tracked> {
        let client = self.server.client()?;
        let about = About {
            name: self.mlflow_run_name.clone(),
            experiment: self.mlflow_experiment.clone(),
            tags: tags(command),
            pictures: self.mlflow_pictures,
        };
        let journal = Arc::new(Journal::new(run, about, system_clock(), system_random()));
        let start = |client| Sender::start(client, journal.clone(), Pace::default());
        let sender = client.map(start).transpose().context("no thread for MLflow")?;
        Ok(Tracked { tracking: Tracking::by(journal), sender })
    }

    /// Sends what the server lacks of a run that is over.
    pub fn resume(&self, run: &Path) -> anyhow::Result<()> {
        let client = self.server.needed()?;
        // First what is there, so that a mistyped name makes no lock.
        model::tracking::Record::read(run)?;
        let _held = Journal::hold(run)?;
        let address = shown(&client);
        tokio::runtime::Runtime::new()?
            .block_on(Sending::to(client).send(run, true))
            .with_context(|| format!("MLflow at {address} does not take all of the run"))?;
        println!("{}: all of it is in MLflow", run.display());
        Ok(())
    }
}

impl Tracked {
    /// Sends what is not sent yet.
    pub fn finish(self) {
        if let Some(sender) = self.sender {
            sender.finish();
        }
    }
}

fn tags(command: &str) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::from([
        ("command".to_owned(), format!("medseg {command}")),
        ("medseg".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    tags.extend(git_commit().map(|commit| ("git_commit".to_owned(), commit)));
    tags
}

/// The commit of the working directory, where it is in a repository.
fn git_commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}

#[cfg(test)]
mod tests;
