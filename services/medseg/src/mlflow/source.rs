use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use durable::Scratch;
use serde_json::Value;

use super::client::Client;
use super::sender::shown;

/// A model version, fetched from MLflow's registry.
pub struct Fetched {
    /// Its files, for as long as this lives.
    folder: Scratch,
    /// Where it comes from.
    source: String,
    /// The commit that it was trained with, where its run says that.
    git_commit: String,
    /// Which version of the data it was trained on, where its run says that.
    data_version: String,
}

impl Fetched {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Source, git commit and data version.
    pub fn origin(&self) -> [&str; 3] {
        [&self.source, &self.git_commit, &self.data_version]
    }
}

/// Fetches the version `NAME@ALIAS` or `NAME/VERSION`: those of its files that are called as in `files`.
pub async fn fetch(client: &Client, of: &str, files: &[&str]) -> anyhow::Result<Fetched> {
    let version = version(client, of)
        .await
        .with_context(|| format!("MLflow at {} gives no model {of}", shown(client)))?;
    let word = |name: &str| version[name].as_str().unwrap_or_default();
    let query = [("name", word("name")), ("version", word("version"))];
    let lies = client.get("model-versions/get-download-uri", &query).await?;
    let uri = lies["artifact_uri"].as_str().context("MLflow does not say where the model lies")?;
    let folder = Scratch::temporary().context("no temporary folder")?;
    let there = client.files(uri).await?;
    for name in files.iter().filter(|name| there.iter().any(|there| there == **name)) {
        let bytes = client.file(uri, name).await?;
        fs::write(folder.path().join(name), bytes)
            .with_context(|| format!("cannot keep {name}"))?;
    }
    ensure!(fs::read_dir(folder.path())?.next().is_some(), "{of} has no file of a model in MLflow");
    let tags = tags(client, word("run_id")).await?;
    Ok(Fetched {
        folder,
        source: format!("mlflow:{}/{} run {}", word("name"), word("version"), word("run_id")),
        git_commit: first(&tags, &["git_commit", "mlflow.source.git.commit"]),
        data_version: first(&tags, &["data_version"]),
    })
}

async fn version(client: &Client, of: &str) -> anyhow::Result<Value> {
    let (path, query) = match (of.split_once('@'), of.split_once('/')) {
        (Some((name, alias)), _) => ("registered-models/alias", [("name", name), ("alias", alias)]),
        (None, Some((name, version))) => {
            ("model-versions/get", [("name", name), ("version", version)])
        }
        (None, None) => anyhow::bail!("it is named as mlflow:NAME@ALIAS or mlflow:NAME/VERSION"),
    };
    let answer = client.get(path, &query).await?;
    let version = answer["model_version"].clone();
    ensure!(
        version["name"].is_string() && version["version"].is_string(),
        "its answer has no version"
    );
    Ok(version)
}

/// Of the run that made it; of a model without a run, none.
async fn tags(client: &Client, run_id: &str) -> anyhow::Result<Vec<Value>> {
    if run_id.is_empty() {
        return Ok(Vec::new());
    }
    let run = client.get("runs/get", &[("run_id", run_id)]).await?;
    Ok(run["run"]["data"]["tags"].as_array().cloned().unwrap_or_default())
}

fn first(tags: &[Value], names: &[&str]) -> String {
    let of = |name: &&str| tags.iter().find(|tag| tag["key"] == **name)?["value"].as_str();
    names.iter().find_map(of).unwrap_or_default().to_owned()
}
