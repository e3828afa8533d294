//! Makes a result again with the model that made it, and compares the two.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use domain::artefact::{MASK, MASK_VOLUME, ORIGINAL, PASSPORT, RESULT};
use domain::limits::UPLOAD_MIB_DEFAULT;
use domain::{Artefact, hex};
use durable::Scratch;
use imaging::{Limits, ModelUsed, ResultDocument, decode};
use serde_json::{Value, json};
use service::ErrorLog;
use sha2::{Digest, Sha256};

use crate::api::{Api, Session};
use crate::model::export;
use crate::segment::{self, Jailed};
use crate::signed::signed_by;

/// How far two numbers of results may be apart that are the same.
const NEAR: f64 = 1e-4;
/// The exit status when the result made anew is another one.
const DIFFERS: u8 = 10;

const EXIT_STATUS: &str = "\
Exit status: 0 when answer, findings and mask are the same, 10 when they are not, 1 when the result could not be made again or is not
what the deployment has signed (its passport), 2 when the command line is wrong. On another kind of device than the one that made the result, single voxels may differ.";

/// `medseg replay`
#[derive(clap::Args)]
#[command(after_help = EXIT_STATUS)]
pub struct Replay {
    #[command(flatten)]
    api: Api,

    /// The scan's id.
    scan: String,

    /// The model that made the result, where the registry does not have it: its folder, its weights, or with `--research`
    /// `threshold:`.
    #[arg(long)]
    model: Option<String>,

    /// Also with what is no trained model.
    #[arg(long, requires = "model")]
    research: bool,

    /// Prints JSON.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    machine: Jailed,

    #[command(flatten)]
    log: ErrorLog,
}

/// A result, and its mask.
struct Made {
    document: ResultDocument,
    /// SHA-256 of its voxels, in hex: a byte for each, slice by slice and row by row of the pictures. None without a mask.
    mask_sha256: Option<String>,
    /// The key that the deployment signed it with, once that is verified. None of what nobody has signed.
    signed_by: Option<String>,
}

impl Replay {
    /// Answers whether the result is the same.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        // What lies here meanwhile is of a patient.
        service::keep_private();
        self.log.clone().start();
        let [then, now] = tokio::runtime::Runtime::new()?.block_on(self.both())?;
        let same = then.agrees_with(&now);
        if self.json {
            println!("{:#}", json!({ "same": same, "then": then.json(), "now": now.json() }));
        } else {
            let signed = match &then.signed_by {
                Some(key) => format!("signed by the key {key}"),
                None => "NOT signed".to_owned(),
            };
            println!("then  {}  {signed}\nnow   {}", then.line(), now.line());
            println!("{}", if same { "the same" } else { "NOT the same" });
        }
        Ok(ExitCode::from(if same { 0 } else { DIFFERS }))
    }

    /// The result that there is, and the one made anew.
    async fn both(&self) -> anyhow::Result<[Made; 2]> {
        let session = self.api.sign_in().await?;
        let then = Made::of_scan(&self.api, &session, &self.scan).await?;
        let made_by = then.model()?;
        let folder = Scratch::temporary().context("cannot make a temporary folder")?;
        let at = |name: &str| folder.path().join(name);
        let original = at(ORIGINAL.name);
        let bytes = session.artefact(&self.scan, &ORIGINAL).await?.context("no file is kept")?;
        std::fs::write(&original, bytes).context("cannot write a temporary file")?;
        let model = match &self.model {
            Some(named) => named.clone(),
            None => fetched(&session, made_by, &at("model")).await?.display().to_string(),
        };
        let services =
            self.machine.services(Some(model), self.research, UPLOAD_MIB_DEFAULT.into())?;
        let now = Made::in_folder(&segment::one(services, &original, &at("results")).await?)?;
        let by_now = now.model()?;
        ensure!(
            (&made_by.name, &made_by.sha256) == (&by_now.name, &by_now.sha256),
            "{} is not the model that made the result: that was {}",
            named(by_now),
            named(made_by)
        );
        let volume = |made: &Made| made.document.inputs.as_ref().map(|it| it.volume_sha256.clone());
        ensure!(
            volume(&then) == volume(&now),
            "this software ({}) reads other voxels out of the file than {} did",
            now.document.header.software,
            then.document.header.software
        );
        Ok([then, now])
    }
}

/// The manifest of a version that the registry has, in that folder.
async fn fetched(session: &Session, model: &ModelUsed, folder: &Path) -> anyhow::Result<PathBuf> {
    let files = export(session, &model.name, &model.version, folder).await;
    files.with_context(|| {
        format!("{} is not in the registry: --model says where it is", named(model))
    })?;
    Ok(folder.join("model.json"))
}

fn named(model: &ModelUsed) -> String {
    format!("{} {} ({})", model.name, model.version, model.sha256)
}

impl Made {
    async fn of_scan(api: &Api, session: &Session, scan: &str) -> anyhow::Result<Made> {
        let about = session.get(&["scans", scan]).await?;
        let result = session.artefact(scan, &RESULT).await?;
        let result =
            result.with_context(|| format!("no result yet: the scan is {}", about["state"]))?;
        let mask = match session.artefact(scan, &MASK_VOLUME).await? {
            Some(volume) => Some(volume),
            None => session.artefact(scan, &MASK).await?,
        };
        let signed_by = match session.artefact(scan, &PASSPORT).await? {
            None => None,
            Some(passport) => {
                let files = (&result[..], mask.as_deref());
                Some(signed_by(&passport, &api.result_keys().await?, scan, files)?)
            }
        };
        Ok(Made { signed_by, ..Made::of(&result, mask.as_deref())? })
    }

    fn in_folder(folder: &Path) -> anyhow::Result<Made> {
        let read = |artefact: &Artefact| {
            let path = folder.join(artefact.name);
            path.is_file().then(|| std::fs::read(path)).transpose().context("cannot read a result")
        };
        let mask = read(&MASK_VOLUME)?.map_or_else(|| read(&MASK), |mask| Ok(Some(mask)))?;
        Made::of(&read(&RESULT)?.context("a result is missing")?, mask.as_deref())
    }

    fn of(result: &[u8], mask: Option<&[u8]>) -> anyhow::Result<Made> {
        let document = serde_json::from_slice(result).context("a result cannot be read")?;
        Ok(Made { document, mask_sha256: mask.map(digest).transpose()?, signed_by: None })
    }

    fn model(&self) -> anyhow::Result<&ModelUsed> {
        let ResultDocument { answer, reason, model, .. } = &self.document;
        model.as_ref().with_context(|| {
            let why = reason.as_deref().unwrap_or("it does not say why");
            format!("no model made this result: the answer is {}, because {why}", answer.name())
        })
    }

    /// Whether they say the same of the scan. When, where and how fast is another matter.
    fn agrees_with(&self, other: &Made) -> bool {
        let said = |made: &Made| {
            let ResultDocument { answer, findings, totals, .. } = &made.document;
            json!([answer, findings, totals])
        };
        self.mask_sha256 == other.mask_sha256 && are_near(&said(self), &said(other))
    }

    fn line(&self) -> String {
        let ResultDocument { header, answer, totals, model, .. } = &self.document;
        let findings = totals.map_or(0, |totals| totals.findings);
        let voxels = totals.map_or(0, |totals| totals.voxels);
        let mask = self.mask_sha256.as_deref().unwrap_or("-");
        let by = model.as_ref().map_or_else(String::new, |model| {
            format!("{}/{} on {}", model.name, model.version, model.device)
        });
        format!(
            "{}  findings: {findings}, voxels: {voxels}  mask {mask}  by {by}, {}",
            answer.name(),
            header.software
        )
    }

    fn json(&self) -> serde_json::Value {
        let ResultDocument { header, answer, findings, totals, model, .. } = &self.document;
        json!({
            "answer": answer,
            "findings": findings,
            "totals": totals,
            "mask_sha256": self.mask_sha256,
            "model": model,
            "software": header.software,
            "signed_by": self.signed_by,
        })
    }
}

/// Whether two documents differ in nothing but last digits of numbers that are no whole ones: how many slices a batch had
/// changes the order of sums.
fn are_near(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let [a, b] = [a, b].map(|number| number.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= NEAR * b.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_near(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| are_near(a, b)))
        }
        (one, other) => one == other,
    }
}

fn digest(mask: &[u8]) -> anyhow::Result<String> {
    let decoded = decode(mask, &Limits::default());
    let decoded = decoded.map_err(|refusal| anyhow::anyhow!("a mask cannot be read: {refusal}"))?;
    let labels: Vec<u8> = decoded.volume.voxels.iter().map(|label| *label as u8).collect();
    Ok(hex(&Sha256::digest(labels)))
}

#[cfg(test)]
mod tests {
    use domain::Answer;

    use super::*;

    fn made(answer: Answer, mask: Option<&str>) -> Made {
        let mut document = ResultDocument::failed("id".into(), Some("it broke".into()), 0, 0);
        document.answer = answer;
        Made { document, mask_sha256: mask.map(str::to_owned), signed_by: None }
    }

    #[test]
    fn another_answer_or_mask_is_another_result_and_another_hour_is_not() {
        let then = made(Answer::Found, Some("a"));
        let mut now = made(Answer::Found, Some("a"));
        now.document.timing.finished_ms += 1;
        assert!(then.agrees_with(&now));
        assert!(!then.agrees_with(&made(Answer::NoneFound, Some("a"))));
        assert!(!then.agrees_with(&made(Answer::Found, Some("b"))));
        assert!(!then.agrees_with(&made(Answer::Found, None)));
    }

    #[test]
    fn last_digits_may_differ_and_counts_and_names_may_not() {
        let of = |confidence: f64, voxels: u64, unit: &str| json!([{ "a": confidence, "b": [voxels, unit] }]);
        let one = of(0.91234, 70_000, "mm");
        assert!(are_near(&one, &of(0.91235, 70_000, "mm")));
        for other in [of(0.913, 70_000, "mm"), of(0.91234, 70_001, "mm"), of(0.91234, 70_000, "px")]
        {
            assert!(!are_near(&one, &other), "{other}");
        }
        assert!(!are_near(&one, &json!([])) && !are_near(&json!(null), &json!(0.0)));
    }

    #[test]
    fn what_no_model_has_made_says_why() {
        let why = made(Answer::Failed, None).model().unwrap_err().to_string();
        assert!(why.contains("failed") && why.contains("it broke"), "{why}");
    }
}
