use domain::Answer;
use domain::feedback::{FindingVerdict, Reason, Truth, Verdict};
use imaging::{ImageKind, KindSource, Laterality, Plane, Role, Unit};

use super::said::Said;
use super::{AnswerWords, Doubt, Findings, Origin, Pictures, Readers, Sign, Whose, Words};

pub static WORDS: Words = Words {
    tag: "en",
    decimal: ".",
    said: Said { sentences: &[], terms: &[] },
    title: "Report of an automatic analysis",
    research: "FOR RESEARCH USE, NOT FOR DIAGNOSIS",
    limits: "Computed by software without medical approval, for research use. It is not a diagnosis: it can miss tumours, mark \
             healthy tissue, and knows nothing of the patient but these pixels. A qualified person must look at the scan.",
    whose: Whose {
        patient: "Patient",
        number: "Patient ID",
        born: "Date of birth",
        sex: "Sex",
        study: "Examination",
        series: "Series",
        accession: "Accession number",
        reference: "Sender's reference",
        institution: "Institution",
        accepted: "Received",
        unknown: "not stated",
        left_out: "This report does not say whose scan it is: that was left out, or whoever asked for it may not know.",
    },
    answer,
    reason: "Reason",
    pictures: Pictures {
        slice: |(slice, of)| format!("Slice {slice} of {of}"),
        boxed: "findings in a box",
        outlined: "findings outlined",
        side_unknown: "side unknown",
        view,
        none: "There is no picture of this scan.",
    },
    findings: Findings {
        title: "Findings",
        columns: ["No.", "Role", "Slice", "Size", "Diameters", "Patient's side"],
        role: |role| match role {
            Role::Main => "main",
            Role::Lesser => "lesser",
        },
        side: |side| match side {
            Some(Laterality::Left) => "left",
            Some(Laterality::Right) => "right",
            Some(Laterality::Midline) => "midline",
            None => "unknown",
        },
        unit: |unit| match unit {
            Unit::Millimetre => "mm",
            Unit::Pixel => "pixels",
        },
        pixels: "pixels",
        voxels: "voxels",
        total: |(count, size)| match count {
            1 => format!("One main finding, {size}."),
            count => format!("{count} main findings, {size} together."),
        },
        lesser: |count| {
            match count {
            1 => "One lesser finding lies apart from the main one and is in no total: it may be a tumour.".into(),
            count => format!(
                "{count} lesser findings lie apart from the main one and are in no total: each may be a tumour."
            ),
        }
        },
        more: |count| format!("{count} more: see the result (result.json)."),
    },
    doubt: Doubt {
        title: "How far to trust it",
        fit: |[dice, low, high]| {
            format!(
                "The outline is expected to overlap with a radiologist's by {dice:.2} (Dice: 1 is a perfect fit, 0 none). For \
                 nine in ten scans like this one it lies between {low:.2} and {high:.2}."
            )
        },
        certainty: |share| format!("The model's own certainty of this answer: {share}."),
        more: |count| format!("{count} more remarks: see the result (result.json)."),
        below: "below 1 %",
        above: "above 99 %",
    },
    origin: Origin {
        title: "How it came about",
        model: "Model",
        no_model: "none was run",
        untrained: "not trained: it stands in for a model",
        weights: "Weights, SHA-256",
        no_weights: "none",
        image: "Kind of image",
        kind: |kind| match kind {
            ImageKind::Flair => "FLAIR",
            ImageKind::T1Contrast => "T1 with contrast agent",
            ImageKind::Other => "neither FLAIR nor T1 with contrast agent",
            ImageKind::Unknown => "not known",
        },
        told_by: |source| match source {
            Some(KindSource::Dicom) => ", says its header",
            Some(KindSource::Model) => ", as the model sees it",
            None => "",
        },
        threshold: "Threshold",
        software: "Software",
        answered: "Answered",
    },
    readers: Readers {
        title: "What readers say",
        none: "No reader has given a verdict yet.",
        hidden: |count| match count {
            1 => "A reader has judged this scan; what was said is shown after one's own verdict."
                .into(),
            count => format!(
                "Readers have judged this scan {count} times; what was said is shown after one's own verdict."
            ),
        },
        left_out: "What readers say is not shown to whoever asked for this report.",
        verdict: |verdict| match verdict {
            Verdict::Agree => "agrees",
            Verdict::Correct => "corrects it",
            Verdict::Reject => "rejects it",
            Verdict::Unsure => "is unsure",
        },
        truth: |truth| match truth {
            Truth::Tumour => "there is a tumour",
            Truth::NoTumour => "there is no tumour",
        },
        reason: |reason| match reason {
            Reason::Missed => "something was missed",
            Reason::FalseFinding => "a finding is none",
            Reason::Outline => "the outline does not fit",
            Reason::WrongSide => "wrong side",
            Reason::Quality => "the image is not good enough",
            Reason::Other => "something else",
        },
        finding: |(label, verdict)| {
            let said = match verdict {
                FindingVerdict::Agree => "agreed with",
                FindingVerdict::Reject => "is none",
                FindingVerdict::Unsure => "in doubt",
            };
            format!("finding {label}: {said}")
        },
        more: |count| format!("{count} more readers: see the scan's page."),
    },
    sign: Sign { name: "Name", signature: "Signature", date: "Date" },
    made: "Made",
    scan: "Scan",
    numbered: "⟨U+…⟩ is a character that this report cannot draw, by its number in Unicode.",
};

fn answer(answer: Answer) -> AnswerWords {
    match answer {
        Answer::Found => AnswerWords {
            title: "Tumour region found",
            sentence: "What is outlined was marked by the model. A radiologist must confirm it.",
        },
        Answer::NoneFound => AnswerWords {
            title: "None found",
            sentence: "The whole scan was analysed and no tumour region was marked. This does not rule out a tumour.",
        },
        Answer::NotAnalysable => AnswerWords {
            title: "Not analysable",
            sentence: "The file is sound, but no model here may judge this scan. Nothing is said about the patient.",
        },
        Answer::Failed => AnswerWords {
            title: "Analysis failed",
            sentence: "Something went wrong on our side. This says nothing about the patient: the scan has not been judged.",
        },
    }
}

fn view((plane, left): (Plane, char)) -> String {
    let plane = match plane {
        Plane::Axial => "axial",
        Plane::Coronal => "coronal",
        Plane::Sagittal => "sagittal",
    };
    format!("{plane}, {left} at the left")
}
