//! The edges and habits that ARCHITECTURE.md promises; each test names the rule that it keeps.

#[path = "architecture/seeded.rs"]
mod seeded;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use platform::queue::Topic;
use serde_json::Value;
use service::topics;

const SERVICES: [&str; 8] =
    ["auth", "delivery", "drift", "gateway", "inference", "ingest", "registry", "storage"];

/// Lines of `main.rs` past which a composition root has begun to decide.
const MAIN_LINES_MAX: usize = 30;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is a folder of the workspace")
        .into()
}

/// The normal (not dev, not build) dependencies of each crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    dependencies_for(&Value::Null)
}

/// The dependencies of each crate that cargo calls of that kind.
fn dependencies_for(kind: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        all.iter().filter(|d| d["kind"] == *kind).map(|d| text(&d["name"])).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), of(package))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Every Rust file below `folder`, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a text file");
            found.push((path, text));
        }
    }
    found
}

#[test]
fn a_service_depends_on_no_other_service() {
    let dependencies = dependencies();
    for service in SERVICES {
        let others: Vec<_> =
            SERVICES.iter().filter(|other| dependencies[service].contains(**other)).collect();
        assert!(others.is_empty(), "{service} depends on {others:?}: services meet in `proto`");
    }
}

#[test]
fn shared_crates_know_no_service() {
    let dependencies = dependencies();
    for shared in [
        "proto", "domain", "durable", "guard", "imaging", "jail", "model", "platform", "report",
        "service",
    ] {
        let known: Vec<_> =
            SERVICES.iter().filter(|s| dependencies[shared].contains(**s)).collect();
        assert!(known.is_empty(), "{shared} depends on {known:?}");
    }
}

#[test]
fn dependencies_point_one_way() {
    let ours: [(&str, &[&str]); 10] = [
        ("domain", &[]),
        ("durable", &[]),
        ("guard", &["domain"]),
        ("proto", &[]),
        ("imaging", &["domain"]),
        ("jail", &["domain", "imaging"]),
        ("model", &["domain", "durable", "imaging"]),
        ("platform", &["domain", "durable"]),
        ("report", &["domain", "imaging"]),
        ("service", &["domain", "platform", "proto"]),
    ];
    let dependencies = dependencies();
    for (name, allowed) in ours {
        let internal = dependencies[name].iter().filter(|d| dependencies.contains_key(*d));
        let strangers: Vec<_> = internal.filter(|d| !allowed.contains(&d.as_str())).collect();
        assert!(strangers.is_empty(), "{name} depends on {strangers:?}");
    }
}

#[test]
fn what_needs_a_keeper_is_named_by_its_keeper_only() {
    let keepers = [
        ("lapin", "platform"),
        ("object_store", "platform"),
        ("google-cloud-pubsub", "platform"),
        ("google-cloud-storage", "platform"),
        ("tch", "model"),
        ("openvino", "model"),
        ("krilla", "report"),
        // Its defaults are laxer than what stands around it there.
        ("jsonwebtoken", "service"),
    ];
    for (package, names) in dependencies() {
        for (driver, keeper) in keepers {
            assert!(
                package == keeper || !names.contains(driver),
                "{package} names {driver}; only {keeper} may"
            );
        }
    }
}

/// All that is linked with a crate built by itself, by name.
fn linked_with(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges=normal", "--prefix=none", "--format={p}"])
        .args(["--package", package])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("names are text");
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_decoder_is_linked_with_no_network_no_runtime_and_no_database() {
    let linked = linked_with("jail");
    for needed in ["imaging", "landlock", "seccompiler"] {
        assert!(linked.contains(needed), "cargo tells of no {needed} in `jail`: {linked:?}");
    }
    let network = ["axum", "h2", "http", "hyper", "reqwest", "rustls", "socket2", "tonic", "tower"];
    let runtimes = ["futures", "mio", "tokio"];
    let stores = ["lapin", "libsqlite3-sys", "object_store", "sqlx", "sqlx-core"];
    let ours = ["platform", "proto", "service"];
    let strangers = network.iter().chain(&runtimes).chain(&stores).chain(&ours);
    let found: Vec<_> = strangers.filter(|name| linked.contains(**name)).collect();
    assert!(found.is_empty(), "`jail` is linked with {found:?}");
}

/// What `text` names of the crate `imaging`, by its first path or in the braces of a `use`.
fn taken_from_imaging(text: &str) -> BTreeSet<&str> {
    let named = text.split("imaging::").skip(1).flat_map(|rest| {
        let end = match rest.starts_with('{') {
            true => rest.find('}'),
            false => rest.find(|c: char| !c.is_alphanumeric() && c != '_'),
        };
        rest[..end.unwrap_or(rest.len())].split(|c: char| !c.is_alphanumeric() && c != '_')
    });
    named.filter(|name| !name.is_empty()).collect()
}

#[test]
fn no_byte_of_an_upload_is_parsed_in_the_process_that_lives_on() {
    // Words, not parsers: why an upload is refused, what may be judged, which series are; where decoded voxels lie, what writes a mask, and the grid
    // of a volume as it is stored here.
    let words = BTreeSet::from([
        "APART_MAX",
        "DicomInstance",
        "Format",
        "Geometry",
        "ImageKind",
        "KindPrediction",
        "KnownOfRefused",
        "Limits",
        "Modality",
        "Orientation",
        "Refusal",
        "RefusalReason",
        "SegmentationFacts",
        "SeriesFacts",
        "Shape",
        "StoredGrid",
        "encode",
        "may_be_image",
        "picker",
        "transfer_syntaxes",
    ]);
    assert!(taken_from_imaging("use imaging::{Refusal, decode};").contains("decode"));
    assert!(taken_from_imaging("imaging::decode(&bytes)").contains("decode"));
    for (path, text) in sources(&root().join("services/ingest/src")) {
        // Tests look into what they have packed.
        if path.to_string_lossy().ends_with("_tests.rs") {
            continue;
        }
        let (text, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        let strange: Vec<_> = taken_from_imaging(text).difference(&words).copied().collect();
        assert!(strange.is_empty(), "{} takes {strange:?} from `imaging`", path.display());
        let parsers = [
            "ZipArchive",
            "zip::read",
            "dicom_core",
            "dicom_dictionary",
            "dicom_encoding",
            "dicom_object",
            "dicom_parser",
            "dicom_pixeldata",
            "dicom_transfer",
            "image::load",
        ];
        for parser in parsers {
            assert!(!text.contains(parser), "{} names {parser}", path.display());
        }
        // What goes around instances on the network is read there, and no instance.
        let door = path.to_string_lossy().contains("/ingest/src/dicom/");
        assert!(door || !text.contains("dicom_ul"), "{} names dicom_ul", path.display());
    }
}

#[test]
fn no_database_driver_is_named_outside_platform() {
    for folder in ["crates/service", "services"] {
        for (path, text) in sources(&root().join(folder)) {
            for driver in ["sqlx::sqlite", "sqlx::mysql", "SqlitePool", "MySqlPool"] {
                assert!(!text.contains(driver), "{} names {driver}", path.display());
            }
        }
    }
}

/// What of `text` is in the product: no comment, and not the tests at its end.
fn product(text: &str) -> String {
    let tests =
        ["\n#[cfg(test)]\nmod tests", "\n#[cfg(test)]\n#[path"].map(|tests| text.find(tests));
    let end = tests.into_iter().flatten().min().unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is in the product of the sources below these folders, by its path from the root.
fn products(folders: &[&str]) -> Vec<(String, String)> {
    let all = folders.iter().flat_map(|folder| sources(&root().join(folder)));
    let named = all.map(|(path, text)| {
        let path = path.strip_prefix(root()).expect("a path below the root");
        (path.to_string_lossy().into_owned(), product(&text))
    });
    let for_tests = ["/tests/", "/tests.rs", "_tests.rs", "/testing.rs", "/testsuite.rs"];
    named.filter(|(path, _)| !for_tests.iter().any(|part| path.contains(part))).collect()
}

/// Which of these words stand in `text`.
fn said<'a>(text: &str, words: &[&'a str]) -> Vec<&'a str> {
    words.iter().copied().filter(|word| text.contains(word)).collect()
}

#[test]
fn nothing_asks_which_mode_it_is_in() {
    // Whoever knows what an address begins with knows which adapter is behind it, and so how it was started.
    let schemes =
        ["\"sqlite", "\"mysql", "\"amqp", "\"pubsub:", "\"gs:", "\"gs\"", "\"s3:", "\"s3\""];
    let question = r#"let alone = url.scheme() == "sqlite";"#;
    assert_eq!(said(&product(question), &schemes), ["\"sqlite"]);
    let all = products(&["crates/service", "services"]);
    assert!(all.len() > 100, "{} sources were found", all.len());
    for (path, text) in all {
        // The composition root writes addresses, for it chooses.
        let asks = said(&text, &schemes);
        assert!(
            path.starts_with("services/medseg/") || asks.is_empty(),
            "{path} asks for {asks:?}"
        );
    }
}

#[test]
fn peers_form_no_cycle() {
    let peers: BTreeMap<&str, BTreeSet<String>> =
        SERVICES.iter().map(|service| (*service, peers_of(service))).collect();
    assert!(!peers["gateway"].is_empty(), "the gateway's Peers were not found");
    for service in SERVICES {
        assert!(
            !reaches(&peers, service, service, 0),
            "{service} reaches itself through its peers: {peers:?}"
        );
    }
}

/// What stands in for a service drifts away from it: so a test runs the service itself.
#[test]
fn the_tests_of_a_service_run_those_that_it_calls_and_no_others() {
    let peers: BTreeMap<&str, BTreeSet<String>> =
        SERVICES.iter().map(|service| (*service, peers_of(service))).collect();
    let for_tests = dependencies_for(&Value::from("dev"));
    for service in SERVICES {
        let named = SERVICES.iter().filter(|other| for_tests[service].contains(**other));
        let strangers: Vec<_> = named.filter(|other| !reaches(&peers, service, other, 0)).collect();
        assert!(strangers.is_empty(), "{service} never calls {strangers:?}");
    }
}

/// The fields of `pub struct Peers` of a service.
fn peers_of(service: &str) -> BTreeSet<String> {
    let lib =
        fs::read_to_string(root().join(format!("services/{service}/src/lib.rs"))).expect("lib.rs");
    let Some((_, fields)) = lib.split_once("pub struct Peers {") else { return BTreeSet::new() };
    let (fields, _) = fields.split_once('}').expect("a closing brace");
    let peer = |line: &str| {
        let (name, kind) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
        ["Peer,", "Option<Peer>,"].contains(&kind).then(|| name.to_owned())
    };
    fields.lines().filter_map(peer).collect()
}

fn reaches(peers: &BTreeMap<&str, BTreeSet<String>>, from: &str, to: &str, depth: usize) -> bool {
    depth <= SERVICES.len()
        && peers.get(from).is_some_and(|next| {
            next.contains(to) || next.iter().any(|peer| reaches(peers, peer, to, depth + 1))
        })
}

#[test]
fn the_gateway_and_every_rpc_file_translate_only() {
    let gateway = &dependencies()["gateway"];
    for decider in ["model", "platform", "sqlx"] {
        assert!(
            !gateway.contains(decider),
            "the gateway depends on {decider}: it would decide something"
        );
    }
    // It takes its words from `imaging` (problem names, the statement of limits), and nothing that judges.
    for (path, text) in sources(&root().join("services/gateway/src")) {
        for judge in ["decode", "check", "prepare", "Findings", "Volume"] {
            assert!(
                !text.contains(&format!("imaging::{judge}")),
                "{} uses {judge}",
                path.display()
            );
        }
    }
    let mut translators = 0;
    for (path, text) in products(&["services"]) {
        if path.ends_with("/rpc.rs") || path.contains("/rpc/") {
            translators += 1;
            assert!(!text.contains("sqlx"), "{path} speaks SQL");
        }
    }
    assert!(translators > SERVICES.len(), "{translators} files that translate were found");
}

#[test]
fn every_event_is_described_to_those_outside() {
    let document = fs::read_to_string(root().join("docs/asyncapi.yaml")).expect("asyncapi.yaml");
    assert!(document.contains("name: medseg.events"), "the exchange is not named");
    let events = topics::ALL.iter().filter(|topic| matches!(topic, Topic::Event(_)));
    for event in events.map(|event| event.name()) {
        // That an event has the fields of its schema is tested where it is written.
        let schema = format!("{event}.schema.json");
        for line in [format!("address: {event}"), format!("$ref: './{schema}'")] {
            assert!(document.contains(&line), "docs/asyncapi.yaml lacks `{line}`");
        }
        assert!(root().join("docs").join(&schema).is_file(), "docs/{schema} is missing");
    }
}

#[test]
fn every_main_is_short() {
    for service in SERVICES {
        let path = root().join(format!("services/{service}/src/main.rs"));
        let lines = fs::read_to_string(&path).expect("main.rs").lines().count();
        assert!(lines <= MAIN_LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_crate_inherits_the_lints() {
    for folder in ["crates", "services"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path().join("Cargo.toml");
            let manifest = fs::read_to_string(&path).expect("a manifest");
            // `proto` holds generated code only.
            let exempt = manifest.contains("name = \"proto\"");
            assert!(exempt || manifest.contains("[lints]\nworkspace = true"), "{}", path.display());
        }
    }
}

#[test]
fn every_public_item_of_the_shared_crates_is_documented() {
    for entry in fs::read_dir(root().join("crates")).expect("a folder") {
        let path = entry.expect("an entry").path().join("src/lib.rs");
        let lib = fs::read_to_string(&path).expect("lib.rs");
        // The workspace's lints cannot be added to for some of its crates.
        assert!(lib.contains("\n#![deny(missing_docs)]\n"), "{}", path.display());
    }
}

#[test]
fn time_and_randomness_are_arguments() {
    let lints = fs::read_to_string(root().join("clippy.toml")).expect("clippy.toml");
    assert!(
        lints.contains("std::time::SystemTime::now"),
        "clippy.toml no longer bans the system clock"
    );
    // Names that are the crate's own, whatever it is called where it is used; a seed is an argument.
    let springs = [
        "SystemTime::now",
        "OffsetDateTime::now",
        "Utc::now",
        "Local::now",
        "getrandom::",
        "rand::rng",
        "rand::random",
        "thread_rng",
        "make_rng",
        "OsRng",
        "SysRng",
        "from_entropy",
        "Uuid::new_v4",
        "Uuid::now_v7",
    ];
    // Where they come in, and what bends tokens in a test.
    let doors = ["crates/service/src/system.rs", "crates/service/src/claims/token/reference.rs"];
    let (open, closed): (Vec<_>, Vec<_>) = products(&["crates", "services"])
        .into_iter()
        .partition(|(path, _)| doors.contains(&path.as_str()));
    for (path, text) in open {
        assert!(!said(&text, &springs).is_empty(), "{path} needs no exception");
    }
    for (path, text) in closed {
        let read = said(&text, &springs);
        assert!(
            read.is_empty(),
            "{path} reads {read:?}: take a `domain::Clock` or `domain::Random`"
        );
    }
}

/// Whether a path from the root is there; of one with a `<name>` to be filled in, the folder that it would be in.
fn is_there(path: &str) -> bool {
    let known = path.split_once('<').map_or(path, |(before, _)| before);
    root().join(known).try_exists().expect("a path that can be looked at")
}

#[test]
fn where_a_new_thing_goes_names_what_is_there_and_marks_what_is_not() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (_, section) = page.split_once("## Where does a new X go?").expect("its section");
    let code = section.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = code.filter(|code| code.contains('/')).collect();
    assert!(
        paths.len() > 100,
        "{} paths were found: are tables written in another way?",
        paths.len()
    );
    for path in paths {
        match path.strip_prefix("new:") {
            Some(path) => assert!(!is_there(path), "{path} is there: it is new no more"),
            None => assert!(is_there(path), "ARCHITECTURE.md names {path}, which is not there"),
        }
    }
}

#[test]
fn the_table_answers_for_each_change_to_come() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (_, table) = page.split_once("### Changes that are to come").expect("its section");
    let rows =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| change |"));
    assert!(rows.count() > 0);
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(row.matches('|').count(), 4, "{row}");
    }
}
