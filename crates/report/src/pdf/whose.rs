//! Whose scan it is, in two columns.

use domain::Identity;

use super::parts::{LINES_MOST, Parts};
use super::rows::{PLAIN, Row};
use crate::Subject;
use crate::written::{date, joined, moment, name, trimmed};

/// Lines of one value: DICOM's longest name takes four.
const VALUE_LINES_MOST: usize = 5;

impl Parts<'_, '_> {
    pub fn whose(&self) -> Vec<Row> {
        let words = &self.words.whose;
        let accepted = (words.accepted, moment(self.report.result.timing.accepted_ms));
        match &self.report.subject {
            Subject::LeftOut => {
                let left_out = self.setter.paragraph(PLAIN, words.left_out, LINES_MOST);
                [left_out, self.setter.facts(&[vec![accepted]], 1)].concat()
            }
            Subject::Known(identity, reference) => {
                let mut examination = self.examination(identity, reference.as_deref());
                examination.push(accepted);
                self.setter.facts(&[self.patient(identity), examination], VALUE_LINES_MOST)
            }
        }
    }

    fn patient(&self, identity: &Identity) -> Vec<(&'static str, String)> {
        let words = &self.words.whose;
        let number = match said(&identity.issuer_of_patient_id) {
            issuer if issuer.is_empty() => said(&identity.patient_id),
            issuer => format!("{} ({issuer})", said(&identity.patient_id)),
        };
        let full_name = name(&said(&identity.patient_name));
        let facts = [
            (words.patient, full_name),
            (words.number, number),
            (words.born, date(&said(&identity.patient_birth_date))),
            (words.sex, said(&identity.patient_sex)),
        ];
        let stated = |said: String| if said.is_empty() { words.unknown.to_owned() } else { said };
        facts.into_iter().map(|(name, said)| (name, stated(said))).collect()
    }

    fn examination(
        &self,
        identity: &Identity,
        reference: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let words = &self.words.whose;
        let study_date = date(&said(&identity.study_date));
        let study = joined(&[&study_date, &said(&identity.study_description)], " · ");
        let facts = [
            (words.study, study),
            (words.series, said(&identity.series_description)),
            (words.accession, said(&identity.accession_number)),
            (words.reference, reference.unwrap_or_default().to_owned()),
            (words.institution, said(&identity.institution_name)),
        ];
        facts.into_iter().filter(|(_, said)| !said.is_empty()).collect()
    }
}

fn said(value: &Option<String>) -> String {
    trimmed(value.as_deref().unwrap_or_default()).to_owned()
}
