//! What is taken, sent and set, by the programs' own tables.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::{Arg, Args, Command};
use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;
use ingest::{DicomSettings, conformance};
use serde_json::{Map, Value};

use super::objects::Object;

/// What the UIDs of all classes begin with that are stored (PS3.4, B.5).
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1";

/// The standard's name of a class.
pub fn class_name(uid: &str) -> &'static str {
    match uid {
        conformance::COMMITMENT => "Storage Commitment Push Model",
        conformance::VERIFICATION => "Verification",
        uid => StandardSopClassDictionary.by_uid(uid).map_or("", |entry| entry.name),
    }
}

fn syntax_name(uid: &str) -> &'static str {
    match uid {
        "1.2.840.10008.1.2" => "Implicit VR Little Endian",
        "1.2.840.10008.1.2.1" => "Explicit VR Little Endian",
        "1.2.840.10008.1.2.1.99" => "Deflated Explicit VR Little Endian",
        "1.2.840.10008.1.2.2" => "Explicit VR Big Endian",
        "1.2.840.10008.1.2.4.50" => "JPEG Baseline (Process 1)",
        "1.2.840.10008.1.2.4.51" => "JPEG Extended (Process 2 and 4)",
        "1.2.840.10008.1.2.4.57" => "JPEG Lossless, Non-Hierarchical (Process 14)",
        "1.2.840.10008.1.2.4.70" => {
            "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14, Selection Value 1)"
        }
        "1.2.840.10008.1.2.4.80" => "JPEG-LS Lossless",
        "1.2.840.10008.1.2.4.81" => "JPEG-LS Lossy (Near-Lossless)",
        "1.2.840.10008.1.2.4.90" => "JPEG 2000 (Lossless Only)",
        "1.2.840.10008.1.2.4.91" => "JPEG 2000",
        "1.2.840.10008.1.2.4.201" => "High-Throughput JPEG 2000 (Lossless Only)",
        "1.2.840.10008.1.2.4.202" => "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)",
        "1.2.840.10008.1.2.4.203" => "High-Throughput JPEG 2000",
        "1.2.840.10008.1.2.5" => "RLE Lossless",
        uid => panic!("name the transfer syntax {uid} here"),
    }
}

/// The classes of the standard that are stored and taken. Its dictionary lists none of its entries, so each place where one may be is
/// asked for.
fn taken_classes() -> Vec<(&'static str, &'static str)> {
    let deeper = |above: Vec<String>, most: u32| -> Vec<String> {
        let below = |uid: String| (1..=most).map(move |number| format!("{uid}.{number}"));
        above.into_iter().flat_map(below).collect()
    };
    let one = deeper(vec![STORAGE.to_owned()], 700);
    let two = deeper(one.clone(), 200);
    let three = deeper(deeper(one.clone(), 10), 10);
    let four = deeper(three.clone(), 10);
    let places = [one, two, three, four].concat();
    let known = places.iter().filter_map(|uid| Some(StandardSopClassDictionary.by_uid(uid)?.uid));
    let known = known.filter(|uid| !conformance::taken(uid).is_empty());
    let mut taken: Vec<_> = known.map(|uid| (uid, class_name(uid))).collect();
    taken.sort_by_key(|(uid, _)| numbers(uid));
    taken.dedup();
    taken
}

/// A UID as the numbers that it is made of.
fn numbers(uid: &str) -> Vec<u32> {
    uid.split('.').filter_map(|number| number.parse().ok()).collect()
}

fn syntaxes(of: &[&str]) -> String {
    let mut told = String::from("| transfer syntax | UID |\n|---|---|\n");
    for uid in of {
        writeln!(told, "| {} | {uid} |", syntax_name(uid)).unwrap();
    }
    told
}

/// The door for scanners and archives.
pub fn storage_scp() -> String {
    let (class, version) =
        (conformance::IMPLEMENTATION_CLASS_UID, conformance::IMPLEMENTATION_VERSION_NAME);
    let mut told = format!(
        "## Application entity: Storage SCP\n\n\
         | | |\n|---|---|\n| application context | 1.2.840.10008.3.1.1.1 |\n| implementation class UID | {class} |\n| implementation version name | {version} |\n\
         | asynchronous operations | not negotiated |\n| role selection, extended negotiation, user identity | not supported |\n\n\
         It accepts associations, and asks for none but to report a commitment whose own association has ended. Of each context the first transfer syntax that \
         is taken is chosen. Status 0000 is sent once the instance survives a crash.\n\n\
         ### Presentation contexts\n\n| class | UID | transfer syntaxes |\n|---|---|---|\n"
    );
    for class in [conformance::VERIFICATION, conformance::COMMITMENT] {
        let names: Vec<_> = conformance::taken(class).iter().map(|uid| syntax_name(uid)).collect();
        writeln!(told, "| {} | {class} | {} |", class_name(class), names.join(", ")).unwrap();
    }
    let classes = taken_classes();
    assert!(classes.len() > 10, "the standard's classes were not found: {classes:?}");
    for (uid, name) in &classes {
        writeln!(told, "| {name} | {uid} | those below |").unwrap();
    }
    told.push_str("\nWhether an object of such a class holds slices of a head, only the object tells: what does not is kept and not analysed.\n\n");
    told.push_str(&syntaxes(conformance::taken(classes[0].0)));
    told.push_str("\n### Status codes\n\n| status | means |\n|---|---|\n");
    for (code, words) in conformance::statuses() {
        let words = if words.is_empty() { "success" } else { words };
        writeln!(told, "| {code:04X} | {words} |").unwrap();
    }
    told
}

/// What is sent to archives by C-STORE.
pub fn storage_scu(objects: &[Object]) -> String {
    let pushed = delivery::formats();
    let (_, sent) = pushed.iter().find(|(kind, _)| *kind == "cstore").unwrap();
    let mut told = String::from(
        "## Application entity: Storage SCU\n\n\
         It asks for an association for each delivery, with the AE titles of the destination's row, and offers each class in one context for each of its \
         transfer syntaxes. What an archive does not take is said in words beside its name.\n\n| class | UID | object |\n|---|---|---|\n",
    );
    for name in *sent {
        let Some(object) = objects.iter().find(|object| object.name == *name) else {
            panic!("{name} is pushed, and was not written")
        };
        writeln!(told, "| {} | {} | `{name}` |", class_name(&object.class), object.class).unwrap();
    }
    told.push('\n');
    told + &syntaxes(&report::dicom::TRANSFER_SYNTAXES)
}

/// The description of the REST face.
pub fn openapi() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/openapi.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What is answered over DICOMweb, as the description of the REST face says it.
pub fn dicomweb() -> String {
    let document = openapi();
    let mut told = String::from(
        "## DICOMweb\n\nWhat [/openapi.json](/openapi.json) says of it.\n\n| call | does | answers |\n|---|---|---|\n",
    );
    let mut called = 0;
    for (path, item) in object(&document["paths"]) {
        if !path.starts_with("/dicomweb") {
            continue;
        }
        for (method, operation) in object(item) {
            let (method, does) = (method.to_uppercase(), words(&operation["summary"]));
            writeln!(told, "| `{method} {path}` | {does} | {} |", types(operation)).unwrap();
            called += 1;
        }
    }
    assert!(called > 10, "openapi.json lacks DICOMweb: run UPDATE_OPENAPI=1 cargo test -p gateway");
    told.push_str(
        "\n### Failure reasons of STOW-RS\n\nIn (0008,1197) of each instance that is not stored.\n\n| reason | means |\n|---|---|\n",
    );
    for (reason, means) in conformance::REASONS {
        writeln!(told, "| {reason:04X} | {means} |").unwrap();
    }
    told
}

pub fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// The media types that an operation answers with.
pub fn types(operation: &Value) -> String {
    let answers = operation["responses"]["200"]["content"].as_object();
    let names = answers.into_iter().flat_map(Map::keys).map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

pub fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What is pushed where.
pub fn destinations() -> String {
    let mut told = String::from(
        "## What is pushed\n\n| kind of destination | formats that it may be sent |\n|---|---|\n",
    );
    for (kind, formats) in delivery::formats() {
        let formats: Vec<_> = formats.iter().map(|name| format!("`{name}`")).collect();
        writeln!(told, "| `{kind}` | {} |", formats.join(", ")).unwrap();
    }
    told
}

/// The settings of the door, as the program's help has them.
pub fn settings() -> String {
    let door = DicomSettings::augment_args(Command::new("ingest"));
    let mut told =
        String::from("## Configuration\n\n| setting | default | what it does |\n|---|---|---|\n");
    for argument in door.get_arguments() {
        told.push_str(&setting(argument));
    }
    told + "\nWho may send stands in a table (`DICOM_SENDERS`), which [Recipes](recipes.md) shows; destinations are set at `/v1/destinations`.\n"
}

fn setting(argument: &Arg) -> String {
    let Some(name) = argument.get_env().and_then(|name| name.to_str()) else {
        return String::new();
    };
    let default = argument.get_default_values().first().and_then(|value| value.to_str());
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.replace('|', "\\|").replace('\n', " ");
    format!("| `{name}` | {} | {help} |\n", default.unwrap_or_default())
}
