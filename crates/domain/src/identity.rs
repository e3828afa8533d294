//! Whose scan it is, apart from its pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose scan it is, as its file says: kept apart from the pixels, shown to nobody by accident.
///
/// Its fields are DICOM's attributes; an absent or empty one is None. Its `Debug` form shows none of them.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Identity {
    /// (0010,0010), components joined by `^` as DICOM writes them.
    pub patient_name: Option<String>,
    /// (0010,0020): unique within its issuer only.
    pub patient_id: Option<String>,
    /// (0010,0021): who gave the patient's number.
    pub issuer_of_patient_id: Option<String>,
    /// (0010,0030), as YYYYMMDD.
    pub patient_birth_date: Option<String>,
    /// (0010,0040): M, F or O.
    pub patient_sex: Option<String>,
    /// (0010,1010), when the scan was made: three digits and D, W, M or Y.
    pub patient_age: Option<String>,
    /// (0008,0050): the order's number in the hospital's information system.
    pub accession_number: Option<String>,
    /// (0020,0010): the department's own name of the study.
    pub study_id: Option<String>,
    /// (0008,0020), as YYYYMMDD.
    pub study_date: Option<String>,
    /// (0008,0030), as HHMMSS.FFFFFF or less of it, in the scanner's local time.
    pub study_time: Option<String>,
    /// (0008,1030), in free words.
    pub study_description: Option<String>,
    /// (0008,103E), in free words.
    pub series_description: Option<String>,
    /// (0020,0011): the place of the series in its study.
    pub series_number: Option<String>,
    /// (0020,0013): the place of the image in its series.
    pub instance_number: Option<String>,
    /// (0008,0090): who asked for the scan.
    pub referring_physician_name: Option<String>,
    /// (0008,0080): where the scan was made.
    pub institution_name: Option<String>,
    /// (0020,000D): the study, unique in the world.
    pub study_instance_uid: Option<String>,
    /// (0020,000E): the series, unique in the world.
    pub series_instance_uid: Option<String>,
    /// (0008,0016): what kind of object the file was.
    pub sop_class_uid: Option<String>,
    /// (0020,0052): images that share it share their coordinates.
    pub frame_of_reference_uid: Option<String>,
    /// One per slice of the file's own grid, in its order, or one for all frames of one file.
    pub sop_instance_uids: Vec<String>,
    /// Of one file with several frames: the number of the frame, from 1, that each slice of its own grid is. Empty of others.
    pub frame_numbers: Vec<u32>,
    /// (0028,2110): `01` where the images were compressed with loss at any time, `00` where they were not.
    pub lossy_image_compression: Option<String>,
    /// (0028,2112): how much smaller that has made them, each time, with `\` between.
    pub lossy_image_compression_ratio: Option<String>,
    /// (0028,2114): how it was done, each time, with `\` between.
    pub lossy_image_compression_method: Option<String>,
}

/// What a file and its sender say differently of whose scan it is, by its name: never what they say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Contradiction(pub &'static str);

/// What stands in PatientID where nobody knows the patient.
const PLACEHOLDERS: [&str; 9] =
    ["0", "UNKNOWN", "UNKNOWN ID", "ANONYMOUS", "ANON", "ANONYMIZED", "NONE", "N/A", "W/I"];

impl Identity {
    /// What the patient is called within a hospital: PatientID and, when given, its issuer. None when the
    /// file does not say, or says so only for form's sake.
    ///
    /// Ids that differ in more than outer blanks stay different: two keys for one patient cost a link, one key for
    /// two patients costs a patient.
    pub fn patient_key(&self) -> Option<String> {
        let id = somebody(self.patient_id.as_deref()?)?;
        // A backslash cannot stand in either part: it separates DICOM's values.
        Some(match self.issuer_of_patient_id.as_deref().and_then(normalised) {
            Some(issuer) => format!("{issuer}\\{id}"),
            None => id,
        })
    }

    /// What the scan is found by: patient id, accession number and study, each without padding; empty: the file does not say.
    pub fn keys(&self) -> [String; 3] {
        [&self.patient_id, &self.accession_number, &self.study_instance_uid]
            .map(|value| value.as_deref().and_then(normalised).unwrap_or_default())
    }

    /// The same with what its sender knows of a file that does not say so itself; empty: nothing.
    ///
    /// Not for a file that says otherwise: one of the two is another patient's, and nobody here can tell which.
    pub fn stated(
        self,
        patient_id: &str,
        accession_number: &str,
    ) -> Result<Identity, Contradiction> {
        let named = self.patient_id.as_deref().and_then(somebody);
        let numbered = self.accession_number.as_deref().and_then(normalised);
        Ok(Identity {
            patient_id: agreed(self.patient_id, named, patient_id, "patient id")?,
            accession_number: agreed(
                self.accession_number,
                numbered,
                accession_number,
                "accession number",
            )?,
            ..self
        })
    }
}

/// What the file says as it says it, if that means anything and agrees with what is stated; else what is stated.
fn agreed(
    own: Option<String>,
    meaning: Option<String>,
    stated: &str,
    what: &'static str,
) -> Result<Option<String>, Contradiction> {
    let Some(stated) = normalised(stated) else { return Ok(own) };
    match meaning {
        Some(meaning) if meaning == stated => Ok(own),
        Some(_) => Err(Contradiction(what)),
        None => Ok(Some(stated)),
    }
}

/// The patient that an id names; None for one that stands there for form's sake.
fn somebody(patient_id: &str) -> Option<String> {
    let id = normalised(patient_id)?;
    (!PLACEHOLDERS.contains(&id.to_uppercase().as_str())).then_some(id)
}

/// A person's name as far as it says something: without padding, and without empty components and groups at its end
/// (PS3.5, 6.2.1.1), so that `Test^Case` and `Test^Case^^^` are one.
pub fn person(name: Option<&str>) -> String {
    let without_end = |text: &str, separator: char| {
        let parts = text.split(separator).map(|part| normalised(part).unwrap_or_default());
        let parts: Vec<String> = parts.collect();
        let said = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
        parts[..said].join(&separator.to_string())
    };
    let groups: Vec<String> =
        name.unwrap_or_default().split('=').map(|group| without_end(group, '^')).collect();
    without_end(&groups.join("="), '=')
}

/// Without the padding that DICOM allows around values; None when nothing is left.
fn normalised(value: &str) -> Option<String> {
    let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!value.is_empty()).then(|| value.to_string())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: &str, issuer: Option<&str>) -> Identity {
        Identity {
            patient_name: Some("Canary^Yellow".into()),
            patient_id: Some(id.into()),
            issuer_of_patient_id: issuer.map(Into::into),
            ..Identity::default()
        }
    }

    #[test]
    fn a_debug_print_shows_nothing_of_the_patient() {
        assert_eq!(format!("{:?}", Some(identity("4711", None))), "Some(Identity(redacted))");
    }

    #[test]
    fn padding_changes_no_key_and_everything_else_does() {
        let key = |id, issuer| identity(id, issuer).patient_key();
        assert_eq!(key(" 4711\0", Some("")), key("4711", None));
        let keys =
            [key("4711", None), key("04711", None), key("4711", Some("A")), key("4711", Some("B"))];
        for (index, one) in keys.iter().enumerate() {
            assert!(one.is_some() && keys[..index].iter().all(|other| other != one));
        }
    }

    #[test]
    fn a_name_is_the_same_however_it_is_padded() {
        for same in ["Test^Case", "Test^Case^^^", " Test ^Case\0", "Test^Case^^^==", "Test^Case^=^"]
        {
            assert_eq!(person(Some(same)), "Test^Case", "{same:?}");
        }
        for other in ["Test^Case^B", "Test^^Case", "^Test^Case", "Test^Case=^X"] {
            assert_ne!(person(Some(other)), "Test^Case", "{other:?}");
        }
        assert_eq!(person(None), person(Some("^^ ^=")));
    }

    #[test]
    fn what_is_stated_fills_what_is_missing_and_never_overrides() {
        let stated = |own: Identity, patient, accession| {
            let joined = own.stated(patient, accession);
            joined.map(|joined| (joined.patient_id, joined.accession_number, joined.patient_name))
        };
        let name = Some("Canary^Yellow".to_owned());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(stated(Identity::default(), "4711", "A1"), Ok((some("4711"), some("A1"), None)));
        assert_eq!(
            stated(identity("ANON", None), " 4711", ""),
            Ok((some("4711"), None, name.clone()))
        );
        assert_eq!(
            stated(identity(" 4711\0", None), "4711", ""),
            Ok((some(" 4711\0"), None, name.clone()))
        );
        assert_eq!(stated(identity("4711", None), "", ""), Ok((some("4711"), None, name)));
        let other = stated(identity("4711", None), "4712", "");
        assert_eq!(other, Err(Contradiction("patient id")));
        let numbered = Identity { accession_number: some("A1"), ..Identity::default() };
        assert_eq!(stated(numbered, "", "A2"), Err(Contradiction("accession number")));
    }

    #[test]
    fn a_placeholder_is_nobody() {
        for id in ["", " ", "0", "unknown", "W/I", "Anonymous "] {
            assert_eq!(identity(id, Some("A")).patient_key(), None, "{id:?}");
        }
    }

    #[test]
    fn identity_survives_json_and_old_json_can_be_read() {
        let json = serde_json::to_string(&identity("4711", Some("A"))).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity("4711", Some("A")));
        assert_eq!(serde_json::from_str::<Identity>("{}").unwrap(), Identity::default());
    }

    #[test]
    fn a_scan_is_found_by_its_numbers_without_their_padding() {
        let scan = Identity {
            accession_number: Some(" A 1\0".into()),
            study_instance_uid: Some("1.2.840\0".into()),
            ..identity(" 47 11 ", Some("A"))
        };
        assert_eq!(scan.keys(), ["47 11", "A 1", "1.2.840"]);
        let blank = Identity { patient_id: Some(" \0".into()), ..Identity::default() };
        assert_eq!(blank.keys(), ["", "", ""]);
    }

    #[test]
    fn an_id_that_only_resembles_a_placeholder_or_another_is_a_patient_of_its_own() {
        let ids = ["00", "0 0", "ANON1", "NONE-7", "N/A 2", "ab1", "AB1", "47 11", "4711"];
        let keys = ids.map(|id| identity(id, None).patient_key());
        assert_eq!(keys, ids.map(|id| Some(id.to_owned())));
    }

    #[test]
    fn a_name_keeps_its_groups_in_their_places() {
        for (name, plain) in [
            ("Yamada^Tarou=山田^太郎=やまだ^たろう^^", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
            ("=山田^太郎", "=山田^太郎"),
            ("Test^Case=^^=X ", "Test^Case==X"),
            ("^^Middle", "^^Middle"),
            ("\0", ""),
        ] {
            assert_eq!(person(Some(name)), plain, "{name:?}");
            assert_eq!(person(Some(plain)), plain, "made plain twice");
        }
    }
}
