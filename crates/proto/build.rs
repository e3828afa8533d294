//! Compiles `/proto` without `protoc`: protox is a compiler in Rust, so a clone builds anywhere.

use std::path::PathBuf;
use std::{env, fs};

use tonic_prost_build::Builder;

const ROOT: &str = "../../proto";
/// Of the patient: to be printed by nobody.
const IDENTITY: &str = ".medseg.storage.v1.Identity";
/// With the key that names of a patient are made with.
const NAMES_OF_ORIGINAL: &str = ".medseg.storage.v1.NamesOfOriginal";
/// A column of a row of storage's: JSON, by the names of its fields.
const REFUSAL: &str = ".medseg.storage.v1.Refusal";
/// Another.
const SERIES_FIT: &str = ".medseg.storage.v1.SeriesFit";
/// A row of the registry's, and what it holds.
const EVALUATION: &str = ".medseg.registry.v1.Evaluation";
const KIND_FIGURES: &str = ".medseg.registry.v1.KindFigures";
/// Far larger than what else is answered in its place.
const GIVEN_FEEDBACK: &str = ".medseg.ingest.v1.FeedbackUploadAnswer.answer.feedback";
/// By far the largest answer to an upload.
const UPLOADED_SCAN: &str = ".medseg.ingest.v1.UploadAnswer.answer.scan";
const EVENTS: &str = ".medseg.events.v1";
/// Of a destination: what its signing secret or its credentials are, to be printed by nobody.
const DESTINATION_SECRETS: [&str; 3] = [
    ".medseg.delivery.v1.NewDestination",
    ".medseg.delivery.v1.DestinationChange",
    ".medseg.delivery.v1.DestinationMade",
];
/// Of sign-ins: secrets of second factors and of providers' clients, codes and passwords.
const SIGN_IN_SECRETS: [&str; 9] = [
    ".medseg.auth.v1.BeginSecondFactor",
    ".medseg.auth.v1.BeginSecurityKey",
    ".medseg.auth.v1.FinishProviderSignIn",
    ".medseg.auth.v1.ProviderToBe",
    ".medseg.auth.v1.RecoveryCodes",
    ".medseg.auth.v1.RemoveSecondFactor",
    ".medseg.auth.v1.RemoveSecurityKey",
    ".medseg.auth.v1.SecondFactorBegun",
    ".medseg.auth.v1.SecurityKeyAdded",
];
/// Of a patient, as a request names them: to be printed by nobody.
const WHOSE: &str = ".medseg.storage.v1.Whose";
/// What strangers' clients send: counted before it is unpacked.
const INFERENCE: &str = "inference";
const FILES: [&str; 18] = [
    "inference/v2/open_inference.proto",
    "medseg/audit/v1/audit.proto",
    "medseg/auth/v1/auth.proto",
    "medseg/auth/v1/sign_in.proto",
    "medseg/delivery/v1/delivery.proto",
    "medseg/drift/v1/drift.proto",
    "medseg/events/v1/drift_cleared.proto",
    "medseg/events/v1/drift_detected.proto",
    "medseg/events/v1/feedback_given.proto",
    "medseg/events/v1/incident_reported.proto",
    "medseg/events/v1/scan_completed.proto",
    "medseg/events/v1/scan_erased.proto",
    "medseg/events/v1/upload_refused.proto",
    "medseg/inference/v1/kinds.proto",
    "medseg/ingest/v1/ingest.proto",
    "medseg/registry/v1/registry.proto",
    "medseg/storage/v1/erasure.proto",
    "medseg/storage/v1/storage.proto",
];

const JSON: &str = "#[derive(::serde::Deserialize, ::serde::Serialize)] #[serde(default)]";

/// What is optional in an observation, and left out of its JSON where there is none.
const OPTIONAL: [&str; 10] = [
    "mask_fraction",
    "confidence",
    "model",
    "image_kind",
    "compute_ms",
    "scanner",
    "expected_dice",
    "embedding",
    "orientation",
    "sequence",
];

/// The same of a scan that is done.
const OPTIONAL_OF_COMPLETED: [&str; 2] = ["site", "refusal"];

/// The same of what was refused at the door.
const OPTIONAL_OF_REFUSED: [&str; 3] = ["site", "scanner", "image_kind"];

/// The same of a reader's word.
const OPTIONAL_OF_FEEDBACK: [&str; 7] =
    ["truth", "dice", "model", "image_kind", "mask_fraction", "slices", "reason"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // `compile_fds` writes no descriptor file, and reflection needs one.
    let descriptor = PathBuf::from(env::var("OUT_DIR")?).join("descriptor.bin");
    fs::write(descriptor, compiler.encode_file_descriptor_set())?;
    let mut ours = compiler.file_descriptor_set();
    let mut strangers = ours.clone();
    ours.file.retain(|file| file.package() != INFERENCE);
    strangers.file.retain(|file| file.package() == INFERENCE);
    let builder = tonic_prost_build::configure().bytes(".");
    builder.codec_path("crate::counted::CountedCodec").compile_fds(strangers)?;
    let builder = events(tonic_prost_build::configure().bytes("."))
        .skip_debug([IDENTITY, NAMES_OF_ORIGINAL, WHOSE])
        .skip_debug(DESTINATION_SECRETS)
        .skip_debug(SIGN_IN_SECRETS)
        .boxed(GIVEN_FEEDBACK)
        .boxed(UPLOADED_SCAN)
        .message_attribute(REFUSAL, JSON)
        .message_attribute(SERIES_FIT, JSON)
        .message_attribute(EVALUATION, JSON)
        .message_attribute(KIND_FIGURES, JSON);
    builder.compile_fds(ours)?;
    Ok(())
}

/// Events are JSON on the broker.
fn events(builder: Builder) -> Builder {
    let numbers = "#[serde(deserialize_with = \"crate::json::numbers\")]";
    let optional = "#[serde(skip_serializing_if = \"Option::is_none\")]";
    let observation = format!("{EVENTS}.Observation");
    let builder = builder
        .btree_map(EVENTS)
        .message_attribute(EVENTS, JSON)
        .message_attribute(format!("{EVENTS}.ModelIdentity"), "#[derive(PartialOrd, Ord)]")
        .field_attribute(format!("{observation}.features"), numbers);
    let given = format!("{EVENTS}.FeedbackGiven");
    let of_feedback = OPTIONAL_OF_FEEDBACK.map(|field| format!("{given}.{field}"));
    let completed = format!("{EVENTS}.ScanCompleted");
    let of_completed = OPTIONAL_OF_COMPLETED.map(|field| format!("{completed}.{field}"));
    let refused = format!("{EVENTS}.UploadRefused");
    let of_refused = OPTIONAL_OF_REFUSED.map(|field| format!("{refused}.{field}"));
    let of_drift = [format!("{EVENTS}.DriftedFeature.mmd2")];
    let of_incident = [format!("{EVENTS}.IncidentReported.scan_id")];
    let fields = OPTIONAL.iter().map(|field| format!("{observation}.{field}"));
    let fields = fields.chain(of_feedback).chain(of_completed).chain(of_refused);
    let fields = fields.chain(of_drift).chain(of_incident);
    let lists = ["adjudicates", "finding_reasons"].map(|list| format!("{given}.{list}"));
    let builder = lists.into_iter().fold(builder, |builder, list| {
        builder.field_attribute(list, "#[serde(skip_serializing_if = \"Vec::is_empty\")]")
    });
    fields.fold(builder, |builder, field| builder.field_attribute(field, optional))
}
