//! Measures phantoms of known size through the services, and signs what comes of it.

mod cases;
mod certificate;
mod checks;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use domain::artefact::{MASK_VOLUME, PASSPORT, RESULT};
use domain::limits::UPLOAD_MIB_DEFAULT;
use durable::Scratch;
use imaging::ResultDocument;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Method};
use serde_json::Value;
use service::ErrorLog;
use service::claims::{PublicKeys, SigningKey};
use tokio::time::{Instant, sleep};

use crate::api::{Api, Session};
use crate::segment::input::Input;
use crate::segment::{self, Jailed};
use crate::signed::{public_half, signed_by};
use cases::Case;
use certificate::{Certificate, Signed};
use checks::checked;

/// What marks the phantoms' voxels: bright from dark, halfway.
const ENGINE: &str = "threshold";
/// The certificate's files.
const JSON: &str = "certificate.json";
const PAGE: &str = "certificate.html";
/// How long a running medseg may take for one phantom, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(600);
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The exit status of a certificate that has not passed.
const FAILED: u8 = 10;

const EXIT_STATUS: &str = "\
Exit status: 0 when each phantom was measured within its limits (or, with --verify, the certificate is genuine and says so), 10 when
one was not, 1 when nothing could be certified or the certificate is not genuine, 2 when the command line is wrong.";

/// `medseg certify`
#[derive(clap::Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Certify {
    #[command(flatten)]
    api: Api,

    /// Where certificate.html and certificate.json go.
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    out: Option<PathBuf>,

    /// The deployment's key, which signs models and results: the registry's MODEL_KEY, and of `medseg serve` model-key.pem in its
    /// directory.
    #[arg(long, value_name = "FILE", env = "MODEL_KEY")]
    key: Option<PathBuf>,

    /// Through the medseg that runs at `--url` with `--model-url threshold: --research`, in place of one that is started for it.
    #[arg(long, conflicts_with = "verify")]
    live: bool,

    /// Only this phantom; may be said several times. The certificate says that it is not whole.
    #[arg(long, value_name = "NAME", conflicts_with = "verify")]
    only: Vec<String>,

    /// Verifies a certificate, the page or the JSON, with the key of `--key`, or else with those of the medseg at `--url`.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    verify: Option<PathBuf>,

    #[command(flatten)]
    machine: Jailed,

    #[command(flatten)]
    log: ErrorLog,
}

impl Certify {
    /// Answers whether the certificate says that all is within its limits.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        self.log.clone().start();
        let signed = tokio::runtime::Runtime::new()?.block_on(async {
            match &self.verify {
                Some(certificate) => self.verified(certificate).await,
                None => self.certified().await,
            }
        })?;
        print(&signed);
        Ok(ExitCode::from(if signed.certificate.passed { 0 } else { FAILED }))
    }

    async fn verified(&self, certificate: &Path) -> anyhow::Result<Signed> {
        let text = fs::read_to_string(certificate)
            .with_context(|| format!("cannot read {}", certificate.display()))?;
        let keys = match &self.key {
            Some(path) => public_half(&read_key(path)?)?,
            None => self.api.result_keys().await?,
        };
        Signed::verified(&text, &keys)
    }

    async fn certified(&self) -> anyhow::Result<Signed> {
        let key = self.key.as_deref().context(
            "no key to sign with: --key names the deployment's (the registry's MODEL_KEY, or model-key.pem in the directory of `medseg serve`)",
        )?;
        // Before minutes are spent.
        let key = read_key(key)?;
        let out = self.out.as_deref().context("--out says where the certificate goes")?;
        let (cases, complete) = self.cases()?;
        let folder = Scratch::temporary().context("cannot make a temporary folder")?;
        let files = (0..).zip(&cases).map(|(number, case)| case.write(number, folder.path()));
        let files = files.collect::<anyhow::Result<Vec<_>>>()?;
        let results = match self.live {
            true => self.by_running(&files).await?,
            false => self.by_started(&files, &folder.path().join("results")).await?,
        };
        let engine = engine_of(&results)?;
        let judged = |(case, result): (&&'static Case, &ResultDocument)| {
            anyhow::Ok(checked(case, &case.solid()?.truth(), result))
        };
        let checked = cases.iter().zip(&results).map(judged);
        let checked = checked.collect::<anyhow::Result<Vec<_>>>()?;
        let signed = Certificate::new(engine, complete, checked).sign(&key)?;
        write(out, JSON, &signed.to_json()?)?;
        write(out, PAGE, &page::written(&signed)?)?;
        Ok(signed)
    }

    /// The phantoms that are asked for, and whether these are all.
    fn cases(&self) -> anyhow::Result<(Vec<&'static Case>, bool)> {
        let named = |name: &String| cases::ALL.iter().any(|case| case.name == name);
        if let Some(unknown) = self.only.iter().find(|name| !named(name)) {
            let names: Vec<&str> = cases::ALL.iter().map(|case| case.name).collect();
            bail!("there is no phantom `{unknown}`: {} are", names.join(", "));
        }
        let wanted =
            |case: &&Case| self.only.is_empty() || self.only.iter().any(|name| case.name == name);
        let cases: Vec<&Case> = cases::ALL.iter().filter(wanted).collect();
        let complete = cases.len() == cases::ALL.len();
        Ok((cases, complete))
    }

    /// The results of services that are started for it.
    async fn by_started(
        &self,
        files: &[PathBuf],
        out: &Path,
    ) -> anyhow::Result<Vec<ResultDocument>> {
        let model = Some(format!("{ENGINE}:"));
        let services = self.machine.services(model, true, UPLOAD_MIB_DEFAULT.into())?;
        let folders = segment::each(services, files, out).await?;
        let read = |folder: PathBuf| {
            let bytes = fs::read(folder.join(RESULT.name)).context("a result is missing")?;
            serde_json::from_slice(&bytes).context("a result cannot be read")
        };
        folders.into_iter().map(read).collect()
    }

    /// The results of the medseg that runs at the address.
    async fn by_running(&self, files: &[PathBuf]) -> anyhow::Result<Vec<ResultDocument>> {
        let (session, keys) = (self.api.sign_in().await?, self.api.result_keys().await?);
        let mut results = Vec::with_capacity(files.len());
        for file in files {
            // One after another: what is measured takes no turn from a patient for long.
            let result = by_session(&session, &keys, file).await;
            results.push(result.with_context(|| format!("{}", file.display()))?);
        }
        Ok(results)
    }
}

/// Sends a phantom, and reads its result once that is there and proven to be the one that was signed.
async fn by_session(
    session: &Session,
    keys: &PublicKeys,
    file: &Path,
) -> anyhow::Result<ResultDocument> {
    let (media_type, form) = Input::at(file)?.form();
    let body = Body::wrap_stream(form.into_data_stream());
    let request = session.request(Method::POST, &["scans"])?;
    let request = request.header(CONTENT_TYPE, media_type).timeout(PATIENCE).body(body);
    let accepted: Value = session.send(request).await?.json().await.context("no scan came")?;
    let scan = accepted["id"].as_str().context("it was not taken as one scan")?;
    let begun = Instant::now();
    while session.get(&["scans", scan]).await?["state"] != "done" {
        ensure!(begun.elapsed() < PATIENCE, "the scan {scan} is not done yet");
        sleep(ASK_AGAIN).await;
    }
    let result = session.artefact(scan, &RESULT).await?.context("there is no result")?;
    let passport = session.artefact(scan, &PASSPORT).await?;
    let mask = session.artefact(scan, &MASK_VOLUME).await?;
    proven(passport.as_deref(), keys, scan, (&result[..], mask.as_deref()))
}

/// The result with these files, if it is the one that was signed.
fn proven(
    passport: Option<&[u8]>,
    keys: &PublicKeys,
    scan: &str,
    files: (&[u8], Option<&[u8]>),
) -> anyhow::Result<ResultDocument> {
    let result: ResultDocument =
        serde_json::from_slice(files.0).context("a result cannot be read")?;
    if let Some(passport) = passport {
        signed_by(passport, keys, scan, files)?;
    } else {
        // What no model has looked at passes nothing, whoever says so.
        ensure!(
            result.model.is_none(),
            "the result is not signed: it has no passport, as when the registry does not answer"
        );
    }
    Ok(result)
}

/// What has marked the voxels, in each of them the same; an error where that is a model.
fn engine_of(results: &[ResultDocument]) -> anyhow::Result<String> {
    for result in results {
        // What nobody has looked at fails by itself.
        let Some(model) = &result.model else { continue };
        ensure!(
            model.name == ENGINE,
            "{} {} answers there, which learned from patients: phantoms are measured with --model-url {ENGINE}: --research",
            model.name,
            model.version
        );
    }
    let model = results.iter().find_map(|result| result.model.as_ref());
    Ok(model.map_or(ENGINE.to_owned(), |model| format!("{} {}", model.name, model.version)))
}

fn read_key(path: &Path) -> anyhow::Result<SigningKey> {
    let pem = fs::read_to_string(path)
        .with_context(|| format!("cannot read the key {}", path.display()))?;
    SigningKey::from_pem(&pem).with_context(|| format!("{} is no key", path.display()))
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A line for each phantom, and what comes of all.
fn print(Signed { certificate, signature }: &Signed) {
    for case in &certificate.cases {
        let word = if case.passed { "passed" } else { "FAILED" };
        let worst = case.measures.iter().map(|measure| {
            format!(
                "{} {:.2} {}",
                measure.name.split(',').next().unwrap_or_default(),
                measure.error,
                measure.unit
            )
        });
        let said: Vec<String> = worst.chain(case.problems.iter().cloned()).collect();
        println!("{word} {:26} {}", case.name, said.join("; "));
    }
    let whole = if certificate.complete { "" } else { ", of some of the phantoms" };
    let word = if certificate.passed { "passed" } else { "NOT passed" };
    println!("{word}{whole}, signed by the key {}", signature.key_id);
}

#[cfg(test)]
mod tests {
    use imaging::{ModelFacts, ModelInfo, OperatingPoint, Reading, Readings};

    use super::*;

    #[test]
    fn a_result_that_nobody_has_signed_proves_nothing() {
        let reading = Reading::plain(64, OperatingPoint { threshold: 0.5, minimum_pixels: 1 });
        let facts = ModelFacts {
            name: ENGINE.into(),
            version: "1".into(),
            data_version: String::new(),
            preprocessing: "p".into(),
            modalities: Vec::new(),
            classes: Vec::new(),
            readings: Readings::alike(reading.clone()),
        };
        let model = ModelInfo { facts, sha256: String::new(), device: "cpu".into() };
        let unseen = ResultDocument::failed("7".into(), None, 0, 0);
        let seen = ResultDocument { model: Some(model.used(&reading)), ..unseen.clone() };
        let keys = public_half(&SigningKey::generate(&service::system_random())).unwrap();
        let proven = |result: &ResultDocument, passport: Option<&[u8]>| {
            let bytes = serde_json::to_vec(result).unwrap();
            super::proven(passport, &keys, "7", (&bytes[..], None))
        };
        assert!(proven(&unseen, None).is_ok());
        let refused = proven(&seen, None).unwrap_err();
        assert!(refused.to_string().contains("is not signed"), "{refused}");
        assert!(proven(&seen, Some(&b"{}"[..])).is_err());
    }
}
