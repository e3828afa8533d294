//! What a search asks for (PS3.18, 8.3.4 and 10.6).

use std::collections::BTreeSet;

use domain::limits::PAGE_MAX;
use imaging::attribute_named;
use proto::storage::StudySearch;
use report::dicom::is_uid;
use url::form_urlencoded;

use crate::problem::{INVALID, Problem};

/// UIDs of one list.
const UIDS_MAX: usize = 200;
/// Letters of a value that is searched for.
const VALUE_CHARS_MAX: usize = 190;

/// What is searched by, for whoever asks for something else.
const KEYS: &str = "StudyInstanceUID, PatientID, PatientName, StudyDate, AccessionNumber, ModalitiesInStudy, Modality, \
    SeriesInstanceUID, SOPInstanceUID, SOPClassUID, includefield, limit, offset, fuzzymatching, accept, charset";

/// What a search finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    Study,
    Series,
    Instance,
}

/// What is asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    /// What holds of studies.
    pub studies: StudySearch,
    /// What holds of series; empty: anything.
    pub modality: String,
    pub series: Vec<String>,
    /// What holds of instances; empty: anything.
    pub instances: Vec<String>,
    pub classes: Vec<String>,
    /// Attributes that are wanted besides, by tag.
    pub fields: BTreeSet<String>,
    /// Whether all that are known are wanted.
    pub all_fields: bool,
    pub limit: Option<usize>,
    pub offset: usize,
    /// Whether names are to be found that only sound alike, which none is here.
    pub fuzzy: bool,
}

impl Asked {
    pub fn read(query: &str, level: Level) -> Result<Asked, Problem> {
        let mut asked = Asked::default();
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            asked.take(&name, &value, level, &mut seen)?;
        }
        Ok(asked)
    }

    fn take(
        &mut self,
        name: &str,
        value: &str,
        level: Level,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), Problem> {
        match name {
            "includefield" => return self.include(value),
            // In which form, which was read before.
            "accept" | "charset" => return Ok(()),
            _ => {}
        }
        let key = match name {
            "limit" | "offset" | "fuzzymatching" => name.to_owned(),
            _ => attribute_named(name).ok_or_else(|| unknown(name))?,
        };
        if !seen.insert(key.clone()) {
            return Err(INVALID
                .problem(format!("`{name}` is asked for twice: list several values with commas")));
        }
        match key.as_str() {
            "limit" => {
                self.limit = Some((whole(name, value)? as usize).clamp(1, PAGE_MAX as usize))
            }
            "offset" => self.offset = whole(name, value)? as usize,
            "fuzzymatching" => self.fuzzy = value == "true",
            // An empty value is any.
            _ if value.is_empty() || value == "*" => known(&key, name)?,
            _ if value.chars().count() > VALUE_CHARS_MAX && !is_list(&key) => {
                return Err(
                    INVALID.problem(format!("`{name}` is longer than what it is compared with"))
                );
            }
            "0020000D" => self.studies.study_uids = uids(name, value)?,
            "00100020" => self.studies.patient_id = value.to_owned(),
            "00100010" => self.studies.patient_name = value.to_owned(),
            "00080050" => self.studies.accession_number = value.to_owned(),
            "00080020" => {
                let (from, to) = days(value)?;
                (self.studies.study_date_from, self.studies.study_date_to) = (from, to);
            }
            "00080061" => self.studies.modality = value.to_owned(),
            "00080060" => {
                if self.studies.modality.is_empty() {
                    self.studies.modality = value.to_owned();
                }
                if level != Level::Study {
                    self.modality = value.to_owned();
                }
            }
            "0020000E" if level != Level::Study => self.series = uids(name, value)?,
            "00080018" if level == Level::Instance => self.instances = uids(name, value)?,
            "00080016" if level == Level::Instance => self.classes = uids(name, value)?,
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    fn include(&mut self, value: &str) -> Result<(), Problem> {
        for name in value.split(',').filter(|name| !name.is_empty()) {
            if name == "all" {
                self.all_fields = true;
                continue;
            }
            // Of an attribute within a sequence the whole sequence.
            let outer = name.split('.').next().unwrap_or(name);
            let no_such = || INVALID.problem("`includefield` names no attribute of DICOM");
            self.fields.insert(attribute_named(outer).ok_or_else(no_such)?);
        }
        Ok(())
    }
}

fn unknown(name: &str) -> Problem {
    let name: String = name.chars().take(64).collect();
    INVALID.problem(format!("nothing is searched by `{name}` at this address; there is: {KEYS}"))
}

fn known(key: &str, name: &str) -> Result<(), Problem> {
    const ALL: [&str; 10] = [
        "0020000D", "00100020", "00100010", "00080050", "00080020", "00080061", "00080060",
        "0020000E", "00080018", "00080016",
    ];
    if ALL.contains(&key) { Ok(()) } else { Err(unknown(name)) }
}

fn is_list(key: &str) -> bool {
    ["0020000D", "0020000E", "00080018", "00080016"].contains(&key)
}

fn whole(name: &str, value: &str) -> Result<u32, Problem> {
    value.parse().map_err(|_| INVALID.problem(format!("`{name}` is a whole number")))
}

/// The UIDs of a list: with commas, or as DICOM has them.
fn uids(name: &str, value: &str) -> Result<Vec<String>, Problem> {
    let all: Vec<String> = value.split([',', '\\']).map(str::to_owned).collect();
    if all.len() > UIDS_MAX || !all.iter().all(|uid| is_uid(uid)) {
        return Err(INVALID.problem(format!("`{name}` is a list of at most {UIDS_MAX} UIDs")));
    }
    Ok(all)
}

/// The first and the last day of a range (PS3.4, C.2.2.2.5); empty: none.
fn days(value: &str) -> Result<(String, String), Problem> {
    let (from, to) = value.split_once('-').unwrap_or((value, value));
    let is_day = |day: &str| day.len() == 8 && day.bytes().all(|digit| digit.is_ascii_digit());
    let fits = [from, to].iter().all(|day| day.is_empty() || is_day(day));
    if !fits || value == "-" {
        return Err(INVALID.problem(
            "`StudyDate` is a day or a range of days, as in 20240131 or 20240101-20240131",
        ));
    }
    Ok((from.to_owned(), to.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, level: Level) -> Asked {
        Asked::read(query, level).unwrap()
    }

    fn refused(query: &str, level: Level) -> String {
        Asked::read(query, level).unwrap_err().to_string()
    }

    #[test]
    fn an_attribute_is_named_by_its_keyword_or_by_its_tag() {
        for query in ["PatientName=DOE*&StudyDate=20240101-", "00100010=DOE%2A&00080020=20240101-"]
        {
            let asked = read(query, Level::Study);
            assert_eq!(asked.studies.patient_name, "DOE*");
            assert_eq!(
                (&*asked.studies.study_date_from, &*asked.studies.study_date_to),
                ("20240101", "")
            );
        }
        assert_eq!(read("PatientID=", Level::Study), Asked::default());
    }

    #[test]
    fn a_modality_is_of_the_series_where_series_are_asked_for() {
        let study = read("ModalitiesInStudy=MR", Level::Study);
        assert_eq!((&*study.studies.modality, &*study.modality), ("MR", ""));
        let series = read("Modality=SEG", Level::Series);
        assert_eq!((&*series.studies.modality, &*series.modality), ("SEG", "SEG"));
    }

    #[test]
    fn uids_come_as_a_list_and_fields_as_many_as_are_wanted() {
        let asked = read(
            "StudyInstanceUID=1.2,1.3&includefield=00080005&includefield=Rows,all&limit=5&offset=10",
            Level::Study,
        );
        assert_eq!(asked.studies.study_uids, ["1.2", "1.3"]);
        assert_eq!((asked.limit, asked.offset, asked.all_fields), (Some(5), 10, true));
        assert!(asked.fields.contains("00280010"));
    }

    #[test]
    fn what_nothing_is_searched_by_is_refused_by_its_name() {
        for (query, name) in [
            ("Colour=red", "Colour"),
            ("StudyDescription=head", "StudyDescription"),
            ("SOPInstanceUID=1.2", "SOPInstanceUID"),
            ("PatientID=1&00100020=2", "00100020"),
            ("StudyDate=today", "StudyDate"),
            ("StudyInstanceUID=x", "StudyInstanceUID"),
            ("limit=many", "limit"),
        ] {
            assert!(refused(query, Level::Study).contains(name), "{query}");
        }
    }
}
