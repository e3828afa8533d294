use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;
use model::tracking::{Made, Point, Record, Run};
use serde_json::{Value, json};

use super::client::{Client, Fault, nonsense};
use super::note::{Note, Sent};

/// The tag by which a run is found again whose making was answered too late.
const RUN_TAG: &str = "medseg.run";
/// Who is to be compared with what serves.
const ALIAS: &str = "challenger";
/// What MLflow takes at once, and what it takes of a text.
const METRICS_AT_ONCE: usize = 1000;
const PAIRS_AT_ONCE: usize = 100;
const VALUE_CHARS_MAX: usize = 500;
const TEXT_CHARS_MAX: usize = 5000;

/// Sends what is kept of runs to a server: what it lacks, and each thing once.
pub struct Sending {
    client: Client,
    /// Runs that the server said it has, since this program started.
    known: BTreeSet<String>,
}

impl Sending {
    pub fn to(client: Client) -> Sending {
        Sending { client, known: BTreeSet::new() }
    }

    /// Sends what the server lacks of the run in that folder, and of the runs within it. `over` says that nobody goes on with
    /// it: one that has no end was cut off.
    pub async fn send(&mut self, run: &Path, over: bool) -> anyhow::Result<()> {
        let record = Record::read(run)?;
        let parent = self.one(&record, None, over).await?;
        for nested in record.nested() {
            // One that has not begun yet.
            if let Ok(record) = Record::read(&nested) {
                self.one(&record, Some(&parent), over).await?;
            }
        }
        Ok(())
    }

    /// Answers what the server calls the run.
    async fn one(
        &mut self,
        record: &Record,
        parent: Option<&str>,
        over: bool,
    ) -> anyhow::Result<String> {
        let mut note = Note::read(record);
        self.made(record, parent, &mut note).await?;
        self.described(&record.run, &mut note).await?;
        self.metrics(record, &mut note).await?;
        self.artefacts(record, &mut note).await?;
        if let Some(made) = &record.run.model {
            self.registered(record, made, &mut note).await?;
        }
        self.ended(&record.run, over, &mut note).await?;
        Ok(note.sent.run_id)
    }

    /// Makes the run, unless the server has it.
    async fn made(
        &mut self,
        record: &Record,
        parent: Option<&str>,
        note: &mut Note,
    ) -> anyhow::Result<()> {
        let run = &record.run;
        if !note.sent.run_id.is_empty() && !self.known.contains(&note.sent.run_id) {
            match self.client.get("runs/get", &[("run_id", &note.sent.run_id)]).await {
                Ok(_) => {}
                // It went to another server before, or is gone there.
                Err(fault) if fault.is("RESOURCE_DOES_NOT_EXIST") => note.sent = Sent::default(),
                Err(fault) => return Err(fault.into()),
            }
        }
        if note.sent.run_id.is_empty() {
            let experiment = self.experiment(&run.experiment).await?;
            let found = match self.found(&experiment, &run.id).await? {
                Some(found) => found,
                None => self.begun(&experiment, run, parent).await?,
            };
            let of = |name: &str| text(&found["info"][name]).map(str::to_owned);
            let (run_id, folder) = (of("run_id")?, of("artifact_uri")?);
            note.sent = Sent { of: run.id.clone(), run_id, folder, ..Sent::default() };
            note.write()?;
        }
        self.known.insert(note.sent.run_id.clone());
        Ok(())
    }

    async fn experiment(&self, name: &str) -> Result<String, Fault> {
        let query = [("experiment_name", name)];
        let made = match self.client.get("experiments/get-by-name", &query).await {
            Err(fault) if fault.is("RESOURCE_DOES_NOT_EXIST") => {
                self.client.post("experiments/create", &json!({ "name": name })).await
            }
            found => return text(&found?["experiment"]["experiment_id"]).map(str::to_owned),
        };
        match made {
            // Somebody else has been faster.
            Err(fault) if fault.is("RESOURCE_ALREADY_EXISTS") => {
                let found = self.client.get("experiments/get-by-name", &query).await?;
                text(&found["experiment"]["experiment_id"]).map(str::to_owned)
            }
            made => text(&made?["experiment_id"]).map(str::to_owned),
        }
    }

    /// The run as the server has it, where it made one whose answer did not arrive.
    async fn found(&self, experiment: &str, id: &str) -> Result<Option<Value>, Fault> {
        let body = json!({
            "experiment_ids": [experiment],
            "filter": format!("tags.`{RUN_TAG}` = '{id}'"),
            "max_results": 1,
        });
        let mut found = self.client.post("runs/search", &body).await?;
        Ok(found.get_mut("runs").and_then(Value::as_array_mut).and_then(Vec::pop))
    }

    async fn begun(
        &self,
        experiment: &str,
        run: &Run,
        parent: Option<&str>,
    ) -> Result<Value, Fault> {
        let mut tags = vec![json!({ "key": RUN_TAG, "value": run.id })];
        tags.extend(parent.map(|parent| json!({ "key": "mlflow.parentRunId", "value": parent })));
        let mut body =
            json!({ "experiment_id": experiment, "start_time": run.began_ms, "tags": tags });
        // Without a name, MLflow invents one.
        if !run.name.is_empty() {
            body["run_name"] = json!(run.name);
        }
        let mut made = self.client.post("runs/create", &body).await?;
        made.get_mut("run").map(Value::take).ok_or_else(|| nonsense("without a run"))
    }

    /// Parameters and tags.
    async fn described(&self, run: &Run, note: &mut Note) -> anyhow::Result<()> {
        let described = json!({ "parameters": run.parameters, "tags": run.tags });
        if note.sent.described == described {
            return Ok(());
        }
        let mut tags = run.tags.clone();
        if let Some(commit) = run.tags.get("git_commit") {
            tags.insert("mlflow.source.git.commit".to_owned(), commit.clone());
        }
        tags.insert("mlflow.source.name".to_owned(), "medseg".to_owned());
        for (field, pairs) in [("params", pairs(&run.parameters)), ("tags", pairs(&tags))] {
            for some in pairs.chunks(PAIRS_AT_ONCE) {
                self.batch(note, field, some).await?;
            }
        }
        note.sent.described = described;
        note.write()
    }

    /// A batch that was taken, but not noted, does not count twice: MLflow keeps one of metrics that are alike.
    async fn metrics(&self, record: &Record, note: &mut Note) -> anyhow::Result<()> {
        let metric = |Point { at_ms, step, name, value }: &Point| json!({ "key": name, "value": value, "timestamp": at_ms, "step": step });
        for some in record.metrics(note.sent.metrics)?.chunks(METRICS_AT_ONCE) {
            let metrics: Vec<_> = some.iter().map(metric).collect();
            self.batch(note, "metrics", &metrics).await?;
            note.sent.metrics += some.len();
            note.write()?;
        }
        Ok(())
    }

    async fn batch(&self, note: &Note, field: &str, values: &[Value]) -> Result<(), Fault> {
        let mut body = json!({ "run_id": note.sent.run_id });
        body[field] = json!(values);
        self.client.post("runs/log-batch", &body).await.map(drop)
    }

    async fn artefacts(&self, record: &Record, note: &mut Note) -> anyhow::Result<()> {
        for (name, artefact) in record.artefacts()? {
            if note.sent.artefacts.get(&name) == Some(&artefact.sha256) {
                continue;
            }
            let path = record.path(&artefact);
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            self.client.put_file(&note.sent.folder, &name, bytes).await?;
            note.sent.artefacts.insert(name, artefact.sha256);
            note.write()?;
        }
        Ok(())
    }

    /// The model as a version in the server's registry, with the alias of those that are to be compared.
    async fn registered(
        &self,
        record: &Record,
        made: &Made,
        note: &mut Note,
    ) -> anyhow::Result<()> {
        if note.sent.version.is_none() {
            let create = json!({ "name": made.name });
            match self.client.post("registered-models/create", &create).await {
                Err(fault) if !fault.is("RESOURCE_ALREADY_EXISTS") => return Err(fault.into()),
                _ => {}
            }
            let version = match self.version(note, made).await? {
                Some(version) => version,
                None => self.new_version(record, made, note).await?,
            };
            note.sent.version = Some(version);
            note.write()?;
        }
        if !note.sent.aliased {
            let version = note.sent.version.clone();
            let alias = json!({ "name": made.name, "alias": ALIAS, "version": version });
            self.client.post("registered-models/alias", &alias).await?;
            note.sent.aliased = true;
            note.write()?;
        }
        Ok(())
    }

    /// The version that the server made of this run, where its answer did not arrive.
    async fn version(&self, note: &Note, made: &Made) -> Result<Option<String>, Fault> {
        let filter = format!("run_id='{}'", note.sent.run_id);
        let found = self.client.get("model-versions/search", &[("filter", &filter)]).await?;
        let versions = found["model_versions"].as_array().into_iter().flatten();
        let mut of_model = versions.filter(|version| version["name"] == made.name.as_str());
        of_model.next().map(|version| text(&version["version"]).map(str::to_owned)).transpose()
    }

    async fn new_version(
        &self,
        record: &Record,
        made: &Made,
        note: &Note,
    ) -> Result<String, Fault> {
        let card = record
            .artefacts()
            .ok()
            .and_then(|all| fs::read_to_string(record.path(all.get("model/card.md")?)).ok());
        let mut tags = record.run.tags.clone();
        tags.insert("medseg.version".to_owned(), made.version.clone());
        let body = json!({
            "name": made.name,
            "source": format!("{}/model", note.sent.folder),
            "run_id": note.sent.run_id,
            "tags": pairs(&tags),
            "description": cut(&card.unwrap_or_default(), TEXT_CHARS_MAX),
        });
        let made = self.client.post("model-versions/create", &body).await?;
        text(&made["model_version"]["version"]).map(str::to_owned)
    }

    async fn ended(&self, run: &Run, over: bool, note: &mut Note) -> anyhow::Result<()> {
        let (status, at_ms) = match &run.ended {
            Some(end) if end.failed.is_some() => ("FAILED", Some(end.at_ms)),
            Some(end) => ("FINISHED", Some(end.at_ms)),
            None if over => ("KILLED", None),
            None => ("RUNNING", None),
        };
        if note.sent.status == status {
            return Ok(());
        }
        if let Some(why) = run.ended.as_ref().and_then(|end| end.failed.as_deref()) {
            let tag = json!({ "key": "failed", "value": cut(why, TEXT_CHARS_MAX) });
            self.batch(note, "tags", &[tag]).await?;
        }
        let mut body = json!({ "run_id": note.sent.run_id, "status": status });
        if let Some(at_ms) = at_ms {
            body["end_time"] = json!(at_ms);
        }
        self.client.post("runs/update", &body).await?;
        note.sent.status = status.to_owned();
        note.write()
    }
}

fn pairs(of: &BTreeMap<String, String>) -> Vec<Value> {
    let pair = |(key, value): (&String, &String)| json!({ "key": key, "value": cut(value, VALUE_CHARS_MAX) });
    of.iter().map(pair).collect()
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// What MLflow always answers as a text; an id that it gives is one word.
fn text(value: &Value) -> Result<&str, Fault> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| nonsense("without what it was asked for"))
}
