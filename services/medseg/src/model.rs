use std::fs;
use std::path::{Path, PathBuf};

use ::model::evaluate::{GOLDEN_FILE, golden_mask};
use ::model::train::{CARD_FILE, data_version};
use ::model::{Device, Segmenter, Weights};
use anyhow::{Context, ensure};
use clap::Subcommand;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::api::{Api, Session, check_line};
use crate::mlflow::{Fetched, Server};
use crate::models;

/// The files that a version may bring.
const FILES: [&str; 6] = [
    "model.json",
    "weights.safetensors",
    "card.md",
    "reference.json",
    "reliability.svg",
    GOLDEN_FILE,
];

/// `medseg model …`
#[derive(clap::Args)]
pub struct Model {
    #[command(flatten)]
    api: Api,

    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Register a version: a folder with model.json and weights, or a version in MLflow's registry.
    Import {
        /// The model's folder, or its weights in it; or `mlflow:NAME@ALIAS` or `mlflow:NAME/VERSION`, with the version as
        /// MLflow counts; without it, the model that came with this program.
        folder: Option<PathBuf>,
        /// Where it comes from, for whoever asks later; MLflow says it, and the next two, of what it has.
        #[arg(long, default_value = "")]
        source: String,
        /// The commit that it was trained with.
        #[arg(long, default_value = "")]
        git_commit: String,
        /// Which version of the data it was trained on; without it, the one that its card tells.
        #[arg(long)]
        data_version: Option<String>,
        #[command(flatten)]
        mlflow: Server,
    },
    /// Write a version's files into a folder.
    Export {
        #[command(flatten)]
        of: Version,
        #[arg(long, default_value = "model")]
        out: PathBuf,
    },
    /// List versions, the newest first.
    List {
        /// Only of the model of that name.
        name: Option<String>,
    },
    /// Show a version, with what it came to on the gate set.
    Show {
        #[command(flatten)]
        of: Version,
    },
    /// Let a version serve, if the gate lets it through.
    Promote {
        #[command(flatten)]
        of: Version,
        #[command(flatten)]
        at: Kind,
        /// Also where the gate refuses; needs a reason, which stands in every result.
        #[arg(long, requires = "reason")]
        force: bool,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let the version serve again that served before this one.
    RollBack {
        #[command(flatten)]
        of: Version,
        #[command(flatten)]
        at: Kind,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a version see what is served, after the answer is out.
    Shadow {
        #[command(flatten)]
        of: Version,
        #[command(flatten)]
        at: Kind,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Tell what would have changed if a shadow had served.
    Compare {
        #[command(flatten)]
        of: Version,
    },
    /// End a version's life; old results can still be made anew. Of a kind, only take it off that: what serves its modality does.
    Retire {
        #[command(flatten)]
        of: Version,
        #[command(flatten)]
        at: Kind,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Tell who did what with models, the newest first.
    History,
}

/// Which version.
#[derive(clap::Args)]
struct Version {
    /// The model's name and version, as NAME/VERSION.
    #[arg(value_name = "NAME/VERSION", value_parser = name_and_version)]
    of: (String, String),
}

/// At which scans.
#[derive(clap::Args)]
struct Kind {
    /// Only at scans of this kind of image, as far as their headers say it; without it, at every kind that has no model of its
    /// own.
    #[arg(long, value_parser = ["flair", "t1_contrast"])]
    kind: Option<String>,
}

impl Kind {
    /// The body of a request, which names a kind only where one is meant: a server of the version before knows none.
    fn told_in(self, mut body: Value) -> Value {
        if let Some(kind) = self.kind {
            body["image_kind"] = kind.into();
        }
        body
    }
}

fn name_and_version(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((name, version)) if !name.is_empty() && !version.is_empty() => {
            Ok((name.to_owned(), version.to_owned()))
        }
        _ => Err("a version is named as NAME/VERSION, such as medseg-mr/0.4.0".to_owned()),
    }
}

impl Model {
    pub fn run(self) -> anyhow::Result<()> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let session = self.api.sign_in().await?;
            act(&session, self.action).await
        })
    }
}

async fn act(session: &Session, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Import { folder, source, git_commit, data_version, mlflow } => {
            let fetched = mlflow.fetched(folder.as_deref(), &FILES).await?;
            let named = fetched.as_ref().map(|it| it.folder().to_owned()).or(folder);
            let folder = folder_of(named.map_or_else(models::shipped, Ok)?);
            let known = fetched.as_ref().map_or([""; 3], Fetched::origin);
            let data_version = data_version.unwrap_or_else(|| told_by_card(&folder));
            let said =
                [("source", source), ("git_commit", git_commit), ("data_version", data_version)];
            let or = |((name, said), known): ((&'static str, String), &str)| match said.as_str() {
                "" => (name, known.to_owned()),
                _ => (name, said),
            };
            let origin: Vec<_> = said.into_iter().zip(known).map(or).collect();
            let version = import(session, &folder, &origin).await?;
            println!("{}", line(&version));
        }
        Action::Export { of: Version { of: (name, version) }, out } => {
            for path in export(session, &name, &version, &out).await? {
                println!("{}", path.display());
            }
        }
        Action::List { name } => {
            let request = session.request(Method::GET, &["models"])?;
            let request = request.query(&[("name", name.unwrap_or_default())]);
            let versions: Value = session.send(request).await?.json().await?;
            versions["versions"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|it| println!("{}", line(it)));
        }
        Action::Show { of: Version { of: (name, version) } } => {
            println!("{:#}", session.get(&["models", &name, &version]).await?);
        }
        Action::Promote { of: Version { of: (name, version) }, at, force, reason } => {
            let body = at.told_in(json!({ "force": force, "reason": reason }));
            let decision = session.post(&["models", &name, &version, "promote"], &body).await?;
            decision["checks"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|it| println!("{}", check_line(it)));
            println!("{}", line(&decision["version"]));
        }
        Action::RollBack { of, at, reason } => change(session, of, "roll-back", at, reason).await?,
        Action::Shadow { of, at, reason } => change(session, of, "shadow", at, reason).await?,
        Action::Retire { of, at, reason } => change(session, of, "retire", at, reason).await?,
        Action::Compare { of: Version { of: (name, version) } } => {
            println!("{:#}", session.get(&["models", &name, &version, "shadow"]).await?);
        }
        Action::History => {
            let events = session.get(&["model-events"]).await?;
            for event in events["events"].as_array().into_iter().flatten() {
                let of = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                let kind = event["image_kind"].as_str().map(|kind| format!(" at {kind}"));
                println!(
                    "{}  {:12} {}/{}{}  by {}  {}",
                    of("at"),
                    of("action"),
                    of("name"),
                    of("version"),
                    kind.unwrap_or_default(),
                    of("subject"),
                    of("reason")
                );
            }
        }
    }
    Ok(())
}

async fn change(
    session: &Session,
    Version { of: (name, version) }: Version,
    what: &str,
    at: Kind,
    reason: String,
) -> anyhow::Result<()> {
    let body = at.told_in(json!({ "reason": reason }));
    let now = session.post(&["models", &name, &version, what], &body).await?;
    println!("{}", line(&now));
    Ok(())
}

/// The model's folder, where its weights or its manifest is named.
fn folder_of(named: PathBuf) -> PathBuf {
    if named.is_file() { named.with_file_name("") } else { named }
}

/// The data version that the model's card tells; empty without one.
fn told_by_card(folder: &Path) -> String {
    let card = fs::read_to_string(folder.join(CARD_FILE)).unwrap_or_default();
    data_version(&card).unwrap_or_default().to_owned()
}

/// Registers the model in `folder`, once this program could load it.
async fn import(
    session: &Session,
    folder: &Path,
    origin: &[(&str, String)],
) -> anyhow::Result<Value> {
    // What is wrong with the network itself is told here, before a byte is sent.
    Weights::read(folder)?;
    let mut form = Form::new();
    if !folder.join(GOLDEN_FILE).is_file() {
        // What the model's mask of the golden phantom is, it says here: workers must come to the same.
        let mut segmenter = Segmenter::load(folder, Device::choose("cpu")?)?;
        let mask = golden_mask(&mut segmenter)?;
        form = form.part(GOLDEN_FILE, Part::bytes(mask).file_name(GOLDEN_FILE));
    }
    for name in FILES {
        let path = folder.join(name);
        if path.is_file() {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            form = form.part(name, Part::bytes(bytes).file_name(name));
        }
    }
    let request = session.request(Method::POST, &["models"])?.query(origin).multipart(form);
    session.send(request).await?.json().await.context("the answer is no JSON")
}

/// Writes a version's files into the folder `out`.
pub async fn export(
    session: &Session,
    name: &str,
    version: &str,
    out: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    let about = session.get(&["models", name, version]).await?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut paths = Vec::new();
    for file in about["files"].as_array().into_iter().flatten() {
        let file = file["name"].as_str().unwrap_or_default();
        ensure!(FILES.contains(&file), "the model has a file `{file}` that is none of a model's");
        let request = session.request(Method::GET, &["models", name, version, "files", file])?;
        let bytes = session.send(request).await?.bytes().await.context("the file broke off")?;
        let path = out.join(file);
        fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        paths.push(path);
    }
    // What was written is what was signed, or it is said.
    Weights::read(out)?;
    Ok(paths)
}

/// A version in one line.
fn line(version: &Value) -> String {
    let of = |name: &str| version[name].as_str().unwrap_or_default();
    let dice = version["evaluation"]["dice"]["value"].as_f64();
    let dice =
        dice.map_or("not evaluated".to_owned(), |dice| format!("Dice {dice:.4} on the gate set"));
    let at = of("registered_at");
    format!("{}/{}  {:10}  {dice}  {at}{}", of("name"), of("version"), of("state"), places(version))
}

/// What a version answers or looks on at: modalities, and kinds of image that it has by itself.
fn places(version: &Value) -> String {
    let place = |route: &Value| {
        let [modality, kind] = ["modality", "image_kind"].map(|of| route[of].as_str());
        [modality, kind].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let serves: Vec<_> = version["serves"].as_array().into_iter().flatten().map(place).collect();
    match (serves.as_slice(), version["shadow_kind"].as_str()) {
        ([], None) => String::new(),
        ([], Some(kind)) => format!("  looks on at {kind}"),
        (serves, _) => format!("  serves {}", serves.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_version_serves_and_a_body_names_a_kind_only_where_one_is_meant() {
        let route = |kind: Value| json!({ "modality": "MR", "image_kind": kind });
        let serves = json!({ "serves": [route(Value::Null), route(json!("flair"))] });
        assert_eq!(places(&serves), "  serves MR, MR flair");
        assert_eq!(places(&json!({ "serves": [], "shadow_kind": "flair" })), "  looks on at flair");
        // Of a server of the version before.
        assert_eq!(places(&json!({})), "");
        let body = |kind: Option<&str>| Kind { kind: kind.map(str::to_owned) }.told_in(json!({}));
        assert_eq!(
            (body(None), body(Some("flair"))),
            (json!({}), json!({ "image_kind": "flair" }))
        );
    }
}
