//! What the results of these tests say of the scan, the time and the model.

use imaging::{ModelFacts, ModelInfo, ModelUsed, OperatingPoint, Reading, Readings};

pub const NOW_MS: i64 = 1_700_000_000_000;
pub const SCAN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
pub const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub fn model() -> ModelUsed {
    let reading = Reading::plain(224, OperatingPoint { threshold: 0.35, minimum_pixels: 1 });
    let facts = ModelFacts {
        name: "medseg-mr".into(),
        version: "0.4.0".into(),
        data_version: String::new(),
        preprocessing: "p".into(),
        modalities: Vec::new(),
        classes: Vec::new(),
        readings: Readings::alike(reading.clone()),
    };
    let model = ModelInfo { facts, sha256: DIGEST.into(), device: "cpu".into() };
    model.used(&reading)
}
