//! What made an object: this software, with that model.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use imaging::ResultDocument;

use super::codes;
use super::element::{Element, code, item, long_string, sequence, text};

pub const MANUFACTURER: &str = "medseg";
/// Of a scan that no model has seen.
const NO_MODEL: &str = "no model";
/// Of a model without a name or a version: values that must be there may not be empty.
const UNNAMED: &str = "not stated";

/// The General and the Enhanced General Equipment module.
pub fn elements(result: &ResultDocument) -> Vec<Element> {
    let software: String = result.header.software.chars().take(64).collect();
    let versions = match &result.model {
        Some(model) => format!("{software}\\{}", plain(&model.version)),
        None => software,
    };
    vec![
        text(tags::MANUFACTURER, VR::LO, MANUFACTURER),
        long_string(tags::MANUFACTURER_MODEL_NAME, &model_name(result)),
        long_string(tags::DEVICE_SERIAL_NUMBER, &serial_number(result)),
        text(tags::SOFTWARE_VERSIONS, VR::LO, versions),
    ]
}

/// The model's name.
pub fn model_name(result: &ResultDocument) -> String {
    result.model.as_ref().map_or_else(|| NO_MODEL.to_owned(), |model| plain(&model.name))
}

/// The model's version.
pub fn model_version(result: &ResultDocument) -> String {
    result.model.as_ref().map_or_else(|| NO_MODEL.to_owned(), |model| plain(&model.version))
}

/// What tells two models from each other that are called alike: the digest of the weights, as long as an LO holds it.
pub fn serial_number(result: &ResultDocument) -> String {
    let digest = result.model.as_ref().map_or("", |model| model.sha256.as_str());
    if digest.is_empty() { "no weights".to_owned() } else { plain(digest) }
}

/// How the model was asked, in words.
pub fn parameters(result: &ResultDocument) -> Option<String> {
    let model = result.model.as_ref()?;
    let threshold = model.reading.operating_point.threshold;
    let digest = serial_number(result);
    Some(format!(
        "threshold {threshold}; preprocessing {}; weights sha256 {digest}",
        model.preprocessing
    ))
}

/// The Algorithm Identification macro, in a sequence of that tag.
pub fn algorithm(result: &ResultDocument) -> Element {
    let mut identified = vec![
        code(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, codes::ARTIFICIAL_INTELLIGENCE),
        long_string(tags::ALGORITHM_NAME, &model_name(result)),
        long_string(tags::ALGORITHM_VERSION, &model_version(result)),
        text(tags::ALGORITHM_SOURCE, VR::LO, MANUFACTURER),
    ];
    let parameters = parameters(result);
    identified.extend(parameters.map(|words| text(tags::ALGORITHM_PARAMETERS, VR::LT, words)));
    sequence(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, vec![item(identified)])
}

/// As one value: a backslash would end it. At most what an LO holds, and never nothing.
fn plain(words: &str) -> String {
    let allowed = |letter: &char| *letter != '\\' && !letter.is_control();
    let plain: String = words.trim().chars().filter(allowed).take(64).collect();
    if plain.trim().is_empty() { UNNAMED.to_owned() } else { plain }
}
