//! What kind of MR image a header says that it is. Nothing of its free text is kept.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::reader::DataSet;
use crate::ImageKind::{self, Flair, Other, T1Contrast, Unknown};

/// The kind that the header of an MR image tells: in defined terms (Enhanced MR), else in its descriptions and in its
/// times. `Unknown` where it says nothing, too little, or two things at once.
pub fn kind(set: &DataSet, shared: &DataSet) -> ImageKind {
    let timing = Timing::of(set, shared);
    let said = match (weighting_of_words(set), timing.weighting()) {
        // Whoever typed a description may have typed the last one: physics must not deny it.
        (Some(words), Some(times)) if words != times => return Unknown,
        (words, times) => words.or(times),
    };
    weighted(defined(set, shared).or(said), || contrast(set))
}

/// The kind that attributes alone tell: defined terms, times and the agent that was given; no word that somebody has typed.
pub fn of_attributes(set: &DataSet, shared: &DataSet) -> ImageKind {
    let said = defined(set, shared).or_else(|| Timing::of(set, shared).weighting());
    weighted(said, || agent(set))
}

fn weighted(said: Option<Weighting>, contrast: impl FnOnce() -> Option<bool>) -> ImageKind {
    match said {
        None => Unknown,
        Some(Weighting::Flair) => Flair,
        Some(Weighting::Other) => Other,
        Some(Weighting::T1) => match contrast() {
            Some(true) => T1Contrast,
            Some(false) => Other,
            None => Unknown,
        },
    }
}

/// The kind of a series: the one that all of its files tell.
pub fn common(kinds: impl IntoIterator<Item = ImageKind>) -> ImageKind {
    let mut kinds = kinds.into_iter();
    let Some(first) = kinds.next() else { return Unknown };
    if kinds.all(|kind| kind == first) { first } else { Unknown }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Weighting {
    Flair,
    T1,
    Other,
}

/// Acquisition Contrast (PS3.3 C.8.13.3.1), the one attribute that says it in defined terms.
fn defined(set: &DataSet, shared: &DataSet) -> Option<Weighting> {
    let frame_type = group(shared, tags::MR_IMAGE_FRAME_TYPE_SEQUENCE);
    let terms = [Some(set), frame_type.as_ref()].into_iter().flatten();
    let term = terms.filter_map(|set| set.text(tags::ACQUISITION_CONTRAST)).next()?;
    match term.as_str() {
        "FLUID_ATTENUATED" => Some(Weighting::Flair),
        "T1" => Some(Weighting::T1),
        "UNKNOWN" | "MIXED" => None,
        _ => Some(Weighting::Other),
    }
}

/// The first item of a sequence; one that cannot be read is as good as none: pixels do not hang on it.
fn group<'a>(set: &DataSet<'a>, tag: Tag) -> Option<DataSet<'a>> {
    set.items(tag).ok()?.into_iter().next()
}

/// What says how an image is weighted, in words.
const DESCRIPTIONS: [Tag; 4] =
    [tags::SERIES_DESCRIPTION, tags::PROTOCOL_NAME, tags::SEQUENCE_NAME, tags::PULSE_SEQUENCE_NAME];

fn weighting_of_words(set: &DataSet) -> Option<Weighting> {
    let mut said = DESCRIPTIONS.iter().filter_map(|tag| weighting(&words(set, *tag)));
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}

/// Words and numbers in capitals; a plus or a minus belongs to the word before or after it.
pub(super) fn words(set: &DataSet, tag: Tag) -> Vec<String> {
    let text = set.text(tag).unwrap_or_default().to_uppercase();
    let parts = text.split(|c: char| !(c.is_alphanumeric() || c == '+'));
    parts.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn weighting(words: &[String]) -> Option<Weighting> {
    let any = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let begins =
        |known: &[&str]| words.iter().any(|word| known.iter().any(|start| word.starts_with(start)));
    let made_of_others = begins(&[
        "DWI",
        "DTI",
        "ADC",
        "TRACE",
        "EADC",
        "SWI",
        "SWAN",
        "PERF",
        "DSC",
        "DCE",
        "ASL",
        "CBF",
        "CBV",
        "TOF",
        "MRA",
        "MRV",
        "BOLD",
        "FMRI",
        "STIR",
        "SUB",
        "LOCALIZER",
        "LOCALISER",
        "SCOUT",
        "SURVEY",
        "PHASE",
    ]);
    let t1 = words.iter().any(|word| word.starts_with("T1") || word == "ST1W")
        || begins(&["MPRAGE", "BRAVO", "SPGR", "FSPGR"])
        || (any(&["MP"]) && any(&["RAGE"]));
    let t2 = words.iter().any(|word| word.starts_with("T2") || word == "ST2W");
    let dark_fluid = words.iter().any(|word| word.contains("FLAIR") || word == "DARKFLUID")
        || (any(&["DARK"]) && any(&["FLUID"]));
    match () {
        _ if made_of_others && (dark_fluid || t1) => None,
        _ if made_of_others => Some(Weighting::Other),
        // A T1-weighted image may be fluid-attenuated, too.
        _ if t1 && t2 => None,
        _ if t1 => Some(Weighting::T1),
        _ if dark_fluid => Some(Weighting::Flair),
        _ if t2 || any(&["PD", "PDW"]) => Some(Weighting::Other),
        _ => None,
    }
}

/// Words for a contrast agent. The first alone is too short to mean one.
const AGENT: [&str; 17] = [
    "C",
    "+C",
    "C+",
    "CE",
    "KM",
    "GD",
    "GAD",
    "GADO",
    "GADOLINIUM",
    "CONTRAST",
    "KONTRAST",
    "POSTCONTRAST",
    "T1C",
    "T1CE",
    "T1GD",
    "T1+C",
    "T1KM",
];
const WITHOUT: [&str; 8] = ["WITHOUT", "NO", "NON", "OHNE", "SANS", "SIN", "O", "WO"];
const BEFORE: [&str; 6] = ["PRECONTRAST", "NATIV", "NATIVE", "NONCONTRAST", "UNENHANCED", "PLAIN"];
/// What may follow `pre` and `post` where they speak of another event.
const EVENTS: [&str; 8] =
    ["OP", "OPERATIVE", "SURG", "SURGERY", "SURGICAL", "RT", "TREATMENT", "THERAPY"];

/// Whether a contrast agent was given; None where nothing says so, or two things at once. A protocol's name is not
/// asked: it is the same before and after.
fn contrast(set: &DataSet) -> Option<bool> {
    let words = words(set, tags::SERIES_DESCRIPTION);
    let any = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let pair = |first: &[&str], second: &[&str]| {
        words
            .windows(2)
            .any(|pair| first.contains(&pair[0].as_str()) && second.contains(&pair[1].as_str()))
    };
    let timed = |word: &str| any(&[word]) && !pair(&[word], &EVENTS);
    let without = timed("PRE") || any(&BEFORE) || pair(&WITHOUT, &AGENT);
    let with = timed("POST") || any(&AGENT[1..]) || pair(&["+", "W"], &AGENT);
    let both = any(&["W", "WITH"]) && any(&["WO", "WITHOUT"]);
    match (without, with, agent(set)) {
        _ if both => None,
        (true, _, Some(true)) | (false, true, Some(false)) => None,
        (true, ..) => Some(false),
        (false, true, _) => Some(true),
        (false, false, agent) => agent,
    }
}

/// Whether the header names an agent, or that none was given; None where it says nothing.
fn agent(set: &DataSet) -> Option<bool> {
    let listed = !set.items(tags::CONTRAST_BOLUS_AGENT_SEQUENCE).unwrap_or_default().is_empty();
    let agent = set.text(tags::CONTRAST_BOLUS_AGENT).map(|agent| {
        !["NO", "NONE", "N", "0", "N/A", "NA", "NO CONTRAST"]
            .contains(&agent.to_uppercase().as_str())
    });
    agent.or(listed.then_some(true))
}

/// The times of a sequence in milliseconds, where the header has them.
#[derive(Debug, Default)]
pub struct Timing {
    pub repetition: Option<f64>,
    pub echo: Option<f64>,
    pub inversion: Option<f64>,
    spin_echo: bool,
}

impl Timing {
    pub fn of(set: &DataSet, shared: &DataSet) -> Timing {
        let first = |set: &DataSet, tag: Tag| set.decimals(tag)?.first().copied();
        let positive = |value: Option<f64>| value.filter(|ms| *ms > 0.0);
        let grouped = |sequence: Tag, tag: Tag| group(shared, sequence)?.double(tag);
        let kinds = set.text(tags::SCANNING_SEQUENCE).unwrap_or_default();
        Timing {
            repetition: positive(first(set, tags::REPETITION_TIME).or_else(|| {
                first(
                    &group(shared, tags::MR_TIMING_AND_RELATED_PARAMETERS_SEQUENCE)?,
                    tags::REPETITION_TIME,
                )
            })),
            echo: positive(
                first(set, tags::ECHO_TIME)
                    .or_else(|| grouped(tags::MR_ECHO_SEQUENCE, tags::EFFECTIVE_ECHO_TIME)),
            ),
            inversion: positive(
                first(set, tags::INVERSION_TIME)
                    .or_else(|| grouped(tags::MR_MODIFIER_SEQUENCE, tags::INVERSION_TIMES)),
            ),
            spin_echo: kinds.split('\\').any(|kind| kind.trim() == "SE"),
        }
    }

    /// What such times make of tissue, at 1.5 and at 3 tesla; None between what is plain.
    fn weighting(&self) -> Option<Weighting> {
        let (repetition, echo) = self.repetition.zip(self.echo)?;
        let inversion = self.inversion.unwrap_or(0.0);
        match () {
            // Fluid is nulled at about 0.7 of its T1, which is some 4 seconds, less what recovery lacks.
            _ if repetition >= 4000.0 && echo >= 60.0 && (1500.0..=3200.0).contains(&inversion) => {
                Some(Weighting::Flair)
            }
            _ if inversion > 0.0 => None,
            _ if self.spin_echo && repetition <= 1000.0 && echo <= 30.0 => Some(Weighting::T1),
            _ if self.spin_echo && repetition >= 2000.0 && echo >= 60.0 => Some(Weighting::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::write::{EXPLICIT, Element, slice, text};
    use super::*;
    use crate::decode::{Limits, decode};

    const DESCRIBED: Tag = tags::SERIES_DESCRIPTION;

    fn kind_of(more: &[Element]) -> ImageKind {
        let elements = slice(EXPLICIT, &[0, 1, 2, 3, 4, 5, 6, 7], more);
        let file = EXPLICIT.file(&EXPLICIT.data_set(&elements));
        decode(&file, &Limits::default()).unwrap().volume.kind
    }

    fn said(tag: Tag, words: &str) -> Element {
        (tag, "LO", text(words))
    }

    #[test]
    fn descriptions_tell_the_kind() {
        let cases = [
            ("AX FLAIR", Flair),
            ("t2_tirm_tra_dark-fluid_p2", Flair),
            ("Sag 3DT2FLAIR post", Flair),
            ("AX T1 +C", T1Contrast),
            ("T1 AX C+", T1Contrast),
            ("t1_mpr_sag_KM", T1Contrast),
            ("MP-RAGE post gad", T1Contrast),
            ("AX T1 FLAIR POST", T1Contrast),
            ("T1 W/ CONTRAST", T1Contrast),
            ("AX T1 W/O GAD", Other),
            ("T1 pre", Other),
            ("T1 nativ", Other),
            ("AX T1 NO CONTRAST", Other),
            ("AX T2 FSE", Other),
            ("DWI b1000", Other),
            ("T1 SUBTRACTION", Unknown),
            ("AX T1", Unknown),
            // After an operation is not after a contrast agent.
            ("T1 POST OP", Unknown),
            ("T1 W WO CONTRAST", Unknown),
            ("T1 T2 MIXED", Unknown),
            ("BRAIN", Unknown),
        ];
        for (words, kind) in cases {
            assert_eq!(kind_of(&[said(DESCRIBED, words)]), kind, "{words}");
        }
        assert_eq!(kind_of(&[]), Unknown);
    }

    #[test]
    fn times_tell_the_kind_and_the_agent_what_was_given() {
        let times = |repetition: &str, echo: &str, inversion: &str, more: &[Element]| {
            let mut all = vec![
                (tags::SCANNING_SEQUENCE, "CS", text("SE")),
                (tags::REPETITION_TIME, "DS", text(repetition)),
                (tags::ECHO_TIME, "DS", text(echo)),
                (tags::INVERSION_TIME, "DS", text(inversion)),
            ];
            all.retain(|(.., value)| !value.is_empty());
            kind_of(&[all, more.to_vec()].concat())
        };
        let agent = |name: &str| said(tags::CONTRAST_BOLUS_AGENT, name);
        assert_eq!(times("9000", "120", "2500", &[]), Flair);
        assert_eq!(times("9000", "120", "2500", &[agent("Gadovist")]), Flair);
        assert_eq!(times("550", "9", "", &[]), Unknown);
        assert_eq!(times("550", "9", "", &[agent("Gadovist")]), T1Contrast);
        assert_eq!(times("550", "9", "0", &[agent("NONE")]), Other);
        assert_eq!(times("4500", "100", "", &[]), Other);
        // Fat-suppressed: neither one nor the other.
        assert_eq!(times("5000", "60", "160", &[]), Unknown);
        // Words that physics denies.
        assert_eq!(times("550", "9", "", &[said(DESCRIBED, "AX FLAIR")]), Unknown);
    }

    #[test]
    fn defined_terms_of_enhanced_mr_come_first() {
        let term = |term: &str| (tags::ACQUISITION_CONTRAST, "CS", text(term));
        assert_eq!(kind_of(&[term("FLUID_ATTENUATED"), said(DESCRIBED, "AX T1")]), Flair);
        assert_eq!(kind_of(&[term("T2")]), Other);
        assert_eq!(kind_of(&[term("T1"), said(tags::CONTRAST_BOLUS_AGENT, "Gd")]), T1Contrast);
        assert_eq!(kind_of(&[term("UNKNOWN"), said(DESCRIBED, "AX FLAIR")]), Flair);
    }

    #[test]
    fn words_that_contradict_each_other_say_nothing() {
        assert_eq!(
            kind_of(&[said(DESCRIBED, "AX FLAIR"), said(tags::PROTOCOL_NAME, "T1 SE")]),
            Unknown
        );
        assert_eq!(
            kind_of(&[said(DESCRIBED, "T1 pre"), said(tags::CONTRAST_BOLUS_AGENT, "Gd")]),
            Unknown
        );
        assert_eq!(
            kind_of(&[said(DESCRIBED, "T1 gad"), said(tags::CONTRAST_BOLUS_AGENT, "NONE")]),
            Unknown
        );
    }

    #[test]
    fn a_series_is_of_the_kind_that_all_of_it_is_of() {
        assert_eq!(common([Flair, Flair]), Flair);
        assert_eq!(common([Flair, Unknown]), Unknown);
        assert_eq!(common([]), Unknown);
    }

    #[test]
    fn an_image_of_ct_is_of_no_kind_of_mr() {
        let ct = [said(DESCRIBED, "AX FLAIR"), (tags::MODALITY, "CS", text("CT"))];
        assert_eq!(kind_of(&ct), Unknown);
    }
}
