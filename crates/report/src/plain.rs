//! A result in plain English, for formats that have sentences where others have fields.

use domain::Answer;
use imaging::{Finding, Laterality, ResultDocument, Role, Unit};

use crate::FINDINGS_MAX;
use crate::written::{count, figures};

/// What every file says of itself, whatever it says of the patient.
pub const RESEARCH: &str = "For research use, not for diagnosis: computed by software without medical approval. A qualified person must look at the scan.";

/// Which of the four answers it is.
pub fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Found => "Tumour region found",
        Answer::NoneFound => "None found",
        Answer::NotAnalysable => "Not analysable",
        Answer::Failed => "Analysis failed",
    }
}

/// What people call a finding.
pub fn called(finding: &Finding) -> String {
    match finding.role {
        Role::Main => format!("Tumour region {}", finding.label),
        Role::Lesser => format!("Lesser finding {}", finding.label),
    }
}

/// The answer in a sentence.
pub fn conclusion(result: &ResultDocument) -> String {
    let answer = answer(result.answer);
    match result.answer {
        Answer::Found => format!("{answer}: {}.", counted(result)),
        Answer::NoneFound => {
            format!("{answer}: the scan was analysed, and no tumour region was found.")
        }
        Answer::NotAnalysable | Answer::Failed => {
            let reason = result.reason.as_deref().unwrap_or_default();
            let reason = reason.trim_end_matches(['.', ' ']);
            let reason = if reason.is_empty() { "no reason was given" } else { reason };
            format!("{answer}: {reason}. That says nothing about the patient.")
        }
    }
}

/// How many findings there are, and how large the main ones are together.
fn counted(result: &ResultDocument) -> String {
    let of = |role: Role| result.findings.iter().filter(|finding| finding.role == role).count();
    let (main, lesser) = (of(Role::Main), of(Role::Lesser));
    let volume = result.totals.and_then(|totals| totals.volume_ml);
    let volume = volume.map_or_else(String::new, |ml| format!(", {} mL in all", figures(ml, ".")));
    let lesser = match lesser {
        0 => String::new(),
        lesser => format!("; lesser findings, in no total: {}", count(lesser)),
    };
    format!("main findings: {}{volume}{lesser}", count(main))
}

/// A finding in a sentence.
pub fn described(finding: &Finding) -> String {
    let unit = match finding.unit {
        Unit::Millimetre => "mm",
        Unit::Pixel => "pixels",
    };
    let size = match (finding.volume_ml, finding.area_mm2) {
        (Some(ml), _) => format!("volume {} mL", figures(ml, ".")),
        (None, Some(mm2)) => format!("area {} mm2", figures(mm2, ".")),
        (None, None) => format!("{} voxels", count(finding.voxels)),
    };
    let [long, across] = [&finding.longest_diameter, &finding.perpendicular_diameter]
        .map(|diameter| format!("{} {unit}", figures(diameter.length, ".")));
    let side = match finding.laterality {
        Some(Laterality::Left) => ", on the left",
        Some(Laterality::Right) => ", on the right",
        Some(Laterality::Midline) => ", on the midline",
        None => "",
    };
    let certainty = figures(100.0 * finding.confidence, ".");
    format!(
        "{}{side}: {size}, longest diameter {long}, perpendicular diameter {across}; certainty of the model {certainty} %",
        called(finding)
    )
}

/// What a reader should know besides: of the image, of what is left out, and what it is not for.
pub fn remarks(result: &ResultDocument) -> Vec<String> {
    let quality = result.quality.as_ref();
    let remarks = quality.into_iter().flat_map(|quality| quality.remarks.iter().cloned());
    let left = result.findings.len().saturating_sub(FINDINGS_MAX);
    let left = (left > 0).then(|| format!("{left} more findings are in result.json, and not here"));
    remarks.chain([RESEARCH.to_owned()]).chain(left).collect()
}
