//! De-identification by the Basic Application Level Confidentiality Profile (PS3.15, Annex E): what leaves is written anew.
//!
//! Table E.1-1 lists what has to go; here it is said what may stay, and all else goes, private attributes and free text first. What
//! stays is numbers, terms of the standard, UIDs that are replaced by keyed digests, dates that are all shifted alike, and pixels
//! that are decoded and written anew: no comment of a codec, no overlay in unused bits and no padding goes along.

mod burnt_in;
mod kept;
mod report;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use domain::hex;
use serde::Serialize;

use self::kept::{Action, action};
pub use self::report::DeidentificationReport;
use self::write::{Elements, codes, file};
use super::class::{self, Class};
use super::identity;
use super::lossy;
use super::pixel_format::PixelFormat;
use super::pixels;
use super::reader::{DataSet, File};
use crate::decode::Limits;
use crate::{Refusal, RefusalReason};

/// What is written of how this was done (0012,0063).
const METHOD: &str = "PS3.15 Basic Profile; kept: numbers, standard terms, shifted dates";
/// No shift is longer, in days: a decade.
const DAYS_MAX: u64 = 3650;
/// Pixels of these bits at most are written.
const BITS: usize = 16;

/// What takes the place of what names somebody: digests with a key that only its owner has, so that the same value has the same name
/// in all files, and nobody else can tell which value that was.
pub struct Naming<'a> {
    /// Of what kind a value is, and the value; the digest of both.
    pub digest: &'a dyn Fn(&str, &str) -> [u8; 16],
    /// Whether that is the patient whose images these are to be: a file of anybody else is refused. None: each has a name of its own.
    pub is_of: Option<&'a dyn Fn(&str) -> bool>,
}

impl Naming<'_> {
    fn uid(&self, uid: &str) -> String {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0x3 << 62;
        let bits = u128::from_be_bytes((self.digest)("uid", uid));
        // A UUID of version 8 (PS3.5, B.2; RFC 9562, 5.8).
        format!("2.25.{}", bits & !VERSION & !VARIANT | 0x8 << 76 | 0x2 << 62)
    }

    fn patient(&self, patient: &str) -> String {
        hex(&(self.digest)("patient", patient))
    }

    /// By how many days all dates of the patient are earlier than they were.
    fn days(&self, patient: &str) -> i64 {
        let digest = (self.digest)("days", patient);
        let drawn = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let drawn = drawn % DAYS_MAX;
        1 + drawn as i64
    }
}

/// How often an attribute was treated in which way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Treated {
    /// It stands in what leaves, as it was.
    pub kept: usize,
    /// It is gone.
    pub removed: usize,
    /// It is there without a value.
    pub emptied: usize,
    /// Another value stands there: a name that names nobody, another UID, a shifted date, pixels that were written anew.
    pub replaced: usize,
}

impl Treated {
    /// Both together.
    pub fn and(self, other: Treated) -> Treated {
        Treated {
            kept: self.kept + other.kept,
            removed: self.removed + other.removed,
            emptied: self.emptied + other.emptied,
            replaced: self.replaced + other.replaced,
        }
    }
}

/// A file that names nobody.
#[derive(Debug)]
pub struct Deidentified {
    /// The whole of it, Explicit VR little endian.
    pub file: Vec<u8>,
    /// Its SOP Instance UID.
    pub instance: String,
    /// What its series is called.
    pub series: String,
    /// What was done, by attribute: `(gggg,eeee)`, and `private` for all private ones.
    pub attributes: BTreeMap<String, Treated>,
}

/// The same image without whose it is.
pub(in crate::decode) fn deidentify(
    bytes: &[u8],
    limits: &Limits,
    naming: &Naming,
) -> Result<Deidentified, Refusal> {
    let read = File::read(bytes, limits)?;
    let set = read.data_set()?;
    let Class::Image = class::of(&read, &set)? else {
        return Err(RefusalReason::NotAnImage.refuse("It is no image: only images are exported."));
    };
    let format = PixelFormat::read(&set, limits)?;
    if format.samples != 1 || 8 * format.bytes_per_sample > BITS {
        return Err(RefusalReason::Unsupported.refuse(
            "Its pixels are colours or have more than 16 bits: such files are not exported.",
        ));
    }
    let values = pixels::stored_values(&set, &read.transfer_syntax, &format)?;
    burnt_in::refuse(&set, read.sop_class.as_deref(), &values, &format)?;
    let said = identity(&set);
    let named = said.patient_key();
    let is_another = |named: &String| naming.is_of.is_some_and(|is_of| !is_of(named));
    if named.as_ref().is_some_and(is_another) {
        return Err(RefusalReason::WrongIdentity.refuse("It is another patient's."));
    }
    let unknown = || said.study_instance_uid.clone().unwrap_or_default();
    let patient = named.unwrap_or_else(unknown);
    let mut cleaning = Cleaning {
        naming,
        patient: naming.patient(&patient),
        days: naming.days(&patient),
        attributes: BTreeMap::new(),
    };
    let mut elements = cleaning.cleaned(&set)?;
    cleaning.note("(7fe0,0010)".into(), |treated| treated.replaced += 1);
    cleaning.complete(&mut elements, &format, &values);
    say_loss(&mut elements, lossy::unsaid(&said, &read.transfer_syntax));
    let class = elements.text(tags::SOP_CLASS_UID).unwrap_or_default();
    let instance = elements.text(tags::SOP_INSTANCE_UID).unwrap_or_default();
    let series = elements.text(tags::SERIES_INSTANCE_UID).unwrap_or_default();
    let file = file(&elements, &class, &instance);
    Ok(Deidentified { file, instance, series, attributes: cleaning.attributes })
}

/// One file on its way.
struct Cleaning<'a> {
    naming: &'a Naming<'a>,
    /// What the patient is called from now on.
    patient: String,
    days: i64,
    attributes: BTreeMap<String, Treated>,
}

impl Cleaning<'_> {
    fn note(&mut self, attribute: String, count: impl Fn(&mut Treated)) {
        count(self.attributes.entry(attribute).or_default());
    }

    /// What stays of a data set, or of an item of a sequence.
    fn cleaned(&mut self, set: &DataSet) -> Result<Elements, Refusal> {
        let mut elements = Elements::default();
        for (&tag, element) in &set.elements {
            if tag == tags::PIXEL_DATA {
                continue;
            }
            let name = if tag.group() % 2 == 1 {
                "private".to_owned()
            } else {
                format!("({:04x},{:04x})", tag.group(), tag.element())
            };
            match action(tag, element) {
                Action::Keep(vr, value) => {
                    elements.put(tag, vr, value);
                    self.note(name, |treated| treated.kept += 1);
                }
                Action::Empty(vr) => {
                    elements.put(tag, vr, Vec::new());
                    self.note(name, |treated| treated.emptied += 1);
                }
                Action::Name(vr) => {
                    elements.put(tag, vr, self.patient.clone().into_bytes());
                    self.note(name, |treated| treated.replaced += 1);
                }
                Action::Uid => {
                    let uids = set.text(tag).unwrap_or_default();
                    elements.put(tag, *b"UI", self.uids(&uids).into_bytes());
                    self.note(name, |treated| treated.replaced += 1);
                }
                Action::Shift => match shifted(&set.text(tag).unwrap_or_default(), self.days) {
                    Some(date) => {
                        elements.put(tag, *b"DA", date.into_bytes());
                        self.note(name, |treated| treated.replaced += 1);
                    }
                    None => {
                        elements.put(tag, *b"DA", Vec::new());
                        self.note(name, |treated| treated.emptied += 1);
                    }
                },
                Action::Items => {
                    let items = set.items(tag)?;
                    let items = items.iter().map(|item| self.cleaned(item));
                    let items: Vec<Elements> = items.collect::<Result<_, _>>()?;
                    elements.put_items(tag, &items);
                    self.note(name, |treated| treated.kept += 1);
                }
                Action::Remove => self.note(name, |treated| treated.removed += 1),
            }
        }
        Ok(elements)
    }

    /// The new names of one UID or of several; those that the standard gives stay.
    fn uids(&self, uids: &str) -> String {
        let named = uids.split('\\').map(|uid| match uid.trim_end_matches('\0') {
            "" => String::new(),
            known if kept::is_of_the_standard(known) => known.to_owned(),
            uid => self.naming.uid(uid),
        });
        named.collect::<Vec<_>>().join("\\")
    }

    /// What every file says that leaves, and its pixels.
    fn complete(&self, elements: &mut Elements, format: &PixelFormat, values: &[f32]) {
        let mut say = |tag: Tag, vr: &[u8; 2], text: &str| {
            elements.put(tag, *vr, text.as_bytes().to_vec());
        };
        say(tags::PATIENT_NAME, b"PN", &self.patient);
        say(tags::PATIENT_ID, b"LO", &self.patient);
        say(tags::PATIENT_IDENTITY_REMOVED, b"CS", "YES");
        say(tags::DEIDENTIFICATION_METHOD, b"LO", METHOD);
        say(tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, b"CS", "MODIFIED");
        // A head's volume shows a face, which nothing here has taken away.
        say(tags::RECOGNIZABLE_VISUAL_FEATURES, b"CS", "YES");
        elements.put_items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, &codes());
        let bits = format.bits_stored as u16;
        let mut count = |tag: Tag, number: u16| {
            elements.put(tag, *b"US", number.to_le_bytes().to_vec());
        };
        count(tags::SAMPLES_PER_PIXEL, 1);
        count(tags::BITS_ALLOCATED, BITS as u16);
        count(tags::BITS_STORED, bits);
        count(tags::HIGH_BIT, bits - 1);
        let word = |value: &f32| (*value as i32 as u16).to_le_bytes();
        let words: Vec<u8> = values.iter().flat_map(word).collect();
        elements.put(tags::PIXEL_DATA, *b"OW", words);
    }
}

/// That something was lost by that method, where nothing but the transfer syntax told it: what is written anew has another one
/// (PS3.3, C.7.6.1.1.5).
fn say_loss(elements: &mut Elements, method: Option<&str>) {
    let Some(method) = method else { return };
    elements.put(tags::LOSSY_IMAGE_COMPRESSION, *b"CS", lossy::LOSSY.into());
    elements.put(tags::LOSSY_IMAGE_COMPRESSION_METHOD, *b"CS", method.into());
}

/// The date so many days earlier; None of what is no date, or before the calendar's days are known.
fn shifted(date: &str, days: i64) -> Option<String> {
    // Old files have points between its parts (PS3.5, 6.2: DA).
    let plain = date.replace('.', "");
    if plain.len() != 8 || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| plain.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let sound = year > 0 && (1..=12).contains(&month) && (1..=31).contains(&day);
    let (year, month, day) = sound.then(|| of_days(days_of(year, month, day) - days))?;
    (year > 0).then(|| format!("{year:04}{month:02}{day:02}"))
}

/// The days since 1970-01-01 of a date in the Gregorian calendar, counted in eras of 400 years that begin in March.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The other way.
fn of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (years + era * 400 + i64::from(month <= 2), month, day)
}
