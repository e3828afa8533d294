//! As much of MLflow's REST API as medseg speaks, as its documentation and a real server say it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// How the server answers.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    Good,
    /// Later than anybody waits.
    Slow,
    /// The same to everything.
    Says(&'static str),
    /// More than anybody reads.
    Endless,
    Refuses(u16),
    /// Does what it is asked for, and answers so many times only.
    Tires(usize),
}

#[derive(Default)]
pub struct Kept {
    pub runs: BTreeMap<String, Run>,
    pub files: BTreeMap<String, Vec<u8>>,
    pub versions: Vec<Value>,
    pub aliases: BTreeMap<String, Value>,
    /// The header of the last request.
    pub authorization: String,
    /// Requests that change something.
    pub changes: usize,
    experiment: bool,
    model: bool,
}

#[derive(Default)]
pub struct Run {
    pub name: String,
    pub status: String,
    pub params: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub metrics: Vec<Value>,
}

pub struct Double {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    kept: Mutex<Kept>,
}

impl Double {
    pub async fn start() -> Double {
        let shared = Arc::new(Shared { mood: Mutex::new(Mood::Good), kept: Mutex::default() });
        let router = Router::new()
            .fallback(answer)
            .layer(from_fn_with_state(shared.clone(), in_its_mood))
            .with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Double { url, shared }
    }

    pub fn is(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap()
    }
}

async fn in_its_mood(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mood = *shared.mood.lock().unwrap();
    match mood {
        Mood::Good => next.run(request).await,
        Mood::Slow => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            next.run(request).await
        }
        Mood::Says(text) => text.into_response(),
        Mood::Endless => Body::from(vec![b' '; 17 << 20]).into_response(),
        Mood::Refuses(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Mood::Tires(left) => {
            let answer = next.run(request).await;
            match left.checked_sub(1) {
                Some(left) => {
                    *shared.mood.lock().unwrap() = Mood::Tires(left);
                    answer
                }
                None => StatusCode::BAD_GATEWAY.into_response(),
            }
        }
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut kept = shared.kept.lock().unwrap();
    let authorization = parts.headers.get(header::AUTHORIZATION);
    kept.authorization =
        authorization.map_or_else(String::new, |it| it.to_str().unwrap().to_owned());
    let path = parts.uri.path().strip_prefix("/api/2.0/").unwrap();
    if let Some(path) = path.strip_prefix("mlflow-artifacts/artifacts") {
        return kept.artefact(&parts.method, path.trim_start_matches('/'), &query, bytes);
    }
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let asked = |name: &str| query.get(name).cloned().unwrap_or_default();
    let said = match path.strip_prefix("mlflow/").unwrap() {
        "experiments/get-by-name" if kept.experiment => {
            json!({ "experiment": { "experiment_id": "1" } })
        }
        "experiments/create" => {
            kept.experiment = true;
            json!({ "experiment_id": "1" })
        }
        "runs/get" => kept.run(&asked("run_id")).map_or(Value::Null, |run| json!({ "run": run })),
        "runs/search" => kept.found(&text("filter")),
        "runs/create" => kept.create(&body),
        "runs/log-batch" => kept.batch(&body),
        "runs/update" => {
            kept.changes += 1;
            kept.runs.get_mut(&text("run_id")).unwrap().status = text("status");
            json!({})
        }
        "registered-models/create" if !std::mem::replace(&mut kept.model, true) => json!({}),
        "registered-models/create" => {
            return refusal("RESOURCE_ALREADY_EXISTS", StatusCode::BAD_REQUEST);
        }
        "registered-models/alias" if parts.method == Method::POST => {
            kept.changes += 1;
            let of = json!({ "name": text("name"), "version": text("version") });
            kept.aliases.insert(text("alias"), of);
            json!({})
        }
        "registered-models/alias" => {
            let of = kept.aliases.get(&asked("alias")).cloned().unwrap_or_default();
            kept.version(of["version"].as_str().unwrap_or_default())
        }
        "model-versions/search" => json!({ "model_versions": kept.versions }),
        "model-versions/create" => kept.new_version(body.clone()),
        "model-versions/get" => kept.version(&asked("version")),
        "model-versions/get-download-uri" => {
            let version = kept.version(&asked("version"));
            json!({ "artifact_uri": version["model_version"]["source"] })
        }
        _ => Value::Null,
    };
    match said {
        Value::Null => refusal("RESOURCE_DOES_NOT_EXIST", StatusCode::NOT_FOUND),
        said => axum::Json(said).into_response(),
    }
}

fn refusal(code: &str, status: StatusCode) -> Response {
    let body = json!({ "error_code": code, "message": format!("{code}: not found,\nor there") });
    (status, axum::Json(body)).into_response()
}

impl Kept {
    fn artefact(
        &mut self,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        bytes: Bytes,
    ) -> Response {
        if method == Method::PUT {
            self.changes += 1;
            self.files.insert(path.to_owned(), bytes.to_vec());
            // A real server says nothing here.
            return StatusCode::OK.into_response();
        }
        if let Some(folder) = query.get("path") {
            let folder = format!("{folder}/");
            let names = self.files.keys().filter_map(|name| name.strip_prefix(&folder));
            let files: Vec<_> =
                names.map(|name| json!({ "path": name, "is_dir": false })).collect();
            return axum::Json(json!({ "files": files })).into_response();
        }
        match self.files.get(path) {
            Some(file) => file.clone().into_response(),
            None => refusal("RESOURCE_DOES_NOT_EXIST", StatusCode::NOT_FOUND),
        }
    }

    fn run(&self, id: &str) -> Option<Value> {
        let run = self.runs.get(id)?;
        let uri = format!("mlflow-artifacts:/1/{id}/artifacts");
        let tag = |(key, value): (&String, &String)| json!({ "key": key, "value": value });
        let tags: Vec<_> = run.tags.iter().map(tag).collect();
        Some(json!({ "info": { "run_id": id, "artifact_uri": uri }, "data": { "tags": tags } }))
    }

    fn found(&self, filter: &str) -> Value {
        let id = filter.split('\'').nth(1).unwrap();
        let mut runs = self.runs.iter();
        let found = runs.find(|(_, run)| run.tags.get("medseg.run").is_some_and(|of| of == id));
        found.map_or(json!({}), |(id, _)| json!({ "runs": [self.run(id)] }))
    }

    fn create(&mut self, body: &Value) -> Value {
        self.changes += 1;
        let id = format!("run-{}", self.runs.len() + 1);
        let name = body["run_name"].as_str().unwrap_or_default().to_owned();
        let run = Run { name, tags: pairs(&body["tags"]), ..Run::default() };
        self.runs.insert(id.clone(), run);
        json!({ "run": self.run(&id) })
    }

    /// As a server with a database does it: metrics that are alike are one.
    fn batch(&mut self, body: &Value) -> Value {
        self.changes += 1;
        let run = self.runs.get_mut(body["run_id"].as_str().unwrap()).unwrap();
        run.params.extend(pairs(&body["params"]));
        run.tags.extend(pairs(&body["tags"]));
        for metric in body["metrics"].as_array().into_iter().flatten() {
            if !run.metrics.contains(metric) {
                run.metrics.push(metric.clone());
            }
        }
        json!({})
    }

    fn new_version(&mut self, mut version: Value) -> Value {
        self.changes += 1;
        version["version"] = json!((self.versions.len() + 1).to_string());
        self.versions.push(version.clone());
        json!({ "model_version": version })
    }

    fn version(&self, number: &str) -> Value {
        let found = self.versions.iter().find(|version| version["version"] == number);
        found.map_or(Value::Null, |version| json!({ "model_version": version }))
    }
}

fn pairs(of: &Value) -> BTreeMap<String, String> {
    let pair =
        |it: &Value| Some((it["key"].as_str()?.to_owned(), it["value"].as_str()?.to_owned()));
    of.as_array().into_iter().flatten().filter_map(pair).collect()
}
