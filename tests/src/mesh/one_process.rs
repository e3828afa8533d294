use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use super::FIRST_PASSWORD;
use crate::client::Client;
use crate::process::Process;

/// `medseg serve` that can be killed and started again on the same directory.
pub struct OneProcess {
    pub url: String,
    pub password: String,
    pub(super) process: Process,
    pub(super) data: TempDir,
}

impl OneProcess {
    pub async fn start() -> anyhow::Result<OneProcess> {
        OneProcess::traced(None).await
    }

    pub(super) async fn traced(collector: Option<&str>) -> anyhow::Result<OneProcess> {
        let mut more: Vec<_> =
            collector.map(|url| format!("--otlp-endpoint={url}")).into_iter().collect();
        // Receivers of tests are on this machine.
        more.push("--delivery-networks=127.0.0.0/8".to_owned());
        OneProcess::start_through(&[], tempfile::tempdir()?, &more)
    }

    /// On that directory, through a command that becomes it in the end, with more options.
    pub fn start_through(
        through: &[String],
        data: TempDir,
        more: &[String],
    ) -> anyhow::Result<OneProcess> {
        OneProcess::serving(through, data, more, &STAND_IN)
    }

    /// With the models of its registry: at first the one that came with the program.
    pub async fn of_the_registry() -> anyhow::Result<OneProcess> {
        OneProcess::serving(&[], tempfile::tempdir()?, &["--device=cpu".to_owned()], &[])
    }

    fn serving(
        through: &[String],
        data: TempDir,
        more: &[String],
        model: &[&str],
    ) -> anyhow::Result<OneProcess> {
        let process = serve(through, data.path(), more, model)?;
        let password = FIRST_PASSWORD.to_owned();
        Ok(OneProcess { url: address(&process)?, password, process, data })
    }

    /// The directory that it serves.
    pub fn home(&self) -> PathBuf {
        self.data.path().join("home")
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has said of failures, the last of it.
    pub fn log(&self) -> anyhow::Result<String> {
        let log = std::fs::read_to_string(self.data.path().join("medseg.log"))?;
        let failures: Vec<_> = log.lines().filter(|line| !line.contains("INFO")).collect();
        Ok(failures[failures.len().saturating_sub(12)..].join("\n"))
    }

    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::sign_in(&self.url, "admin", &self.password).await
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = serve(&[], self.data.path(), &[], &STAND_IN)?;
        self.url = address(&self.process)?;
        Ok(())
    }
}

/// What stands in for a model.
const STAND_IN: [&str; 2] = ["--model-url=threshold:", "--research"];

fn serve(
    through: &[String],
    data: &Path,
    more: &[String],
    model: &[&str],
) -> anyhow::Result<Process> {
    let mut arguments = vec![
        "serve".to_owned(),
        format!("--data={}", data.join("home").display()),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--first-password={FIRST_PASSWORD}"),
    ];
    arguments.extend(model.iter().map(|option| (*option).to_owned()));
    arguments.extend_from_slice(more);
    let ready = Some("medseg answers on ");
    Process::start_through(through, "medseg", &arguments, &data.join("medseg.log"), ready)
}

fn address(process: &Process) -> anyhow::Result<String> {
    let line = process.said.last().context("a last line")?;
    Ok(line.strip_prefix("medseg answers on ").context("the address")?.to_owned())
}
