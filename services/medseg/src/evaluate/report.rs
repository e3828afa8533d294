//! What was measured, told to a running medseg: the figures stand there beside the live ones.

use anyhow::Context;
use model::dataset::{self, Patient};
use model::evaluate::{Evaluation, Rate};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::api::Api;

/// Where figures are reported to, and by whom.
#[derive(clap::Args)]
pub struct Reporting {
    /// Also report the figures to the medseg at this address, which keeps them beside the live ones: as a scientist, an admin, or an API
    /// client with such a role (MEDSEG_CLIENT_ID, MEDSEG_CLIENT_SECRET) that may reach `quality`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["phantoms", "gate"])]
    report_to: Option<Url>,

    /// The user who signs in there, whose password MEDSEG_PASSWORD holds.
    #[arg(long, env = "MEDSEG_USER", default_value = "admin")]
    user: String,

    /// That user's password: by the environment, where other users of the machine do not see it.
    #[arg(long, env = "MEDSEG_PASSWORD", hide_env_values = true, hide = true)]
    password: Option<SecretString>,

    /// The API client that signs in, in place of a user.
    #[arg(long, env = "MEDSEG_CLIENT_ID")]
    client_id: Option<String>,

    /// That client's secret: by the environment, too.
    #[arg(long, env = "MEDSEG_CLIENT_SECRET", hide_env_values = true, hide = true)]
    client_secret: Option<SecretString>,
}

impl Reporting {
    /// Fails where figures are to be reported and nobody can sign in.
    pub fn check(&self) -> anyhow::Result<()> {
        self.api().map_or(Ok(()), |api| api.grant().map(drop))
    }

    /// Reports the figures of these patients, if that was asked for.
    pub fn send(&self, evaluation: &Evaluation, patients: &[Patient]) -> anyhow::Result<()> {
        let Some(api) = self.api() else { return Ok(()) };
        let body = body(evaluation, &dataset::version(patients)?);
        tokio::runtime::Runtime::new()?.block_on(async {
            let session = api.sign_in().await?;
            let kept = session.post(&["evaluations"], &body).await;
            kept.map(drop).with_context(|| format!("{} does not keep the figures", api.url()))
        })
    }

    fn api(&self) -> Option<Api> {
        let url = self.report_to.clone()?;
        let api = Api::of(url, self.user.clone(), self.password.clone());
        Some(api.for_client(self.client_id.clone(), self.client_secret.clone()))
    }
}

/// What `POST /v1/evaluations` takes.
fn body(evaluation: &Evaluation, data_version: &str) -> Value {
    let imaging::ModelInfo { facts, sha256, .. } = &evaluation.model;
    json!({
        "model": { "name": facts.name, "version": facts.version, "sha256": sha256 },
        "data_version": data_version,
        "patients": evaluation.patients.len(),
        "slices": evaluation.slices,
        "dice": dice(evaluation),
        "far": counts(evaluation.far),
        "frr": counts(evaluation.frr),
    })
}

/// Null of no patient.
fn dice(evaluation: &Evaluation) -> Value {
    let (Some(mean), Some([low, high])) = (evaluation.dice_mean, evaluation.dice_interval) else {
        return Value::Null;
    };
    json!({
        "mean": mean, "low": low, "high": high,
        "count": evaluation.patients.len(),
        "empty": evaluation.patients_empty,
        "mean_not_empty": evaluation.dice_mean_not_empty,
    })
}

fn counts(Rate { count, of, .. }: Rate) -> Value {
    json!({ "count": count, "of": of })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporting(to: Option<&str>) -> Reporting {
        Reporting {
            report_to: to.map(|to| to.parse().unwrap()),
            user: "admin".into(),
            password: None,
            client_id: None,
            client_secret: None,
        }
    }

    #[test]
    fn who_cannot_sign_in_is_told_before_anything_is_measured() {
        assert!(reporting(None).check().is_ok());
        let refused = reporting(Some("http://127.0.0.1:9")).check().unwrap_err().to_string();
        assert!(refused.contains("MEDSEG_PASSWORD"), "{refused}");
        let client =
            Reporting { client_id: Some("c".into()), ..reporting(Some("http://localhost")) };
        assert!(client.check().unwrap_err().to_string().contains("MEDSEG_CLIENT_SECRET"));
        let whole = Reporting { client_secret: Some("s".to_owned().into()), ..client };
        assert!(whole.check().is_ok());
    }
}
