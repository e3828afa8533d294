//! What scans are grouped by, and which group one is in.

use domain::{Answer, ErrorKind, Result};
use proto::drift::QualityBy;
use time::OffsetDateTime;

/// Where little that is marked ends and much begins, as parts of the whole volume, air included: in a head's field of view of
/// nine litres, about 9 mL and 90 mL. The offline figures have other marks: they count parts of a slice, and of the truth.
pub const LITTLE: f64 = 0.001;
pub const MUCH: f64 = 0.01;

/// What a scan of which nobody says it is grouped as.
const UNKNOWN: &str = "unknown";

/// What the scans of a group have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    Model,
    Week,
    Kind,
    Size,
    Site,
    Scanner,
}

impl By {
    pub fn asked(by: QualityBy) -> Result<By> {
        match by {
            QualityBy::Model => Ok(By::Model),
            QualityBy::Week => Ok(By::Week),
            QualityBy::Kind => Ok(By::Kind),
            QualityBy::Size => Ok(By::Size),
            QualityBy::Site => Ok(By::Site),
            QualityBy::Scanner => Ok(By::Scanner),
            QualityBy::Unspecified => Err(ErrorKind::Invalid
                .error("scans are grouped by model, week, kind, size, site or scanner")),
        }
    }

    /// The group of a scan that was completed then.
    pub fn group(self, traits: &Traits, at_ms: i64) -> Key {
        match self {
            By::Model => Key::named(&traits.model),
            By::Week => Key::named(&week(at_ms)),
            By::Kind => Key::named(&traits.kind),
            By::Site => Key::named(&traits.site),
            By::Scanner => Key::named(&traits.scanner),
            By::Size => Key { place: traits.size as u8, name: traits.size.name().to_owned() },
        }
    }
}

/// A group's name, and its place before names are compared.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    place: u8,
    pub name: String,
}

impl Key {
    fn named(name: &str) -> Key {
        let name = if name.is_empty() { UNKNOWN } else { name };
        Key { place: 0, name: name.to_owned() }
    }
}

/// What a scan is grouped by, beside the time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Traits {
    /// Name and version.
    pub model: String,
    /// Of the image; empty: nobody says.
    pub kind: String,
    pub size: Size,
    /// Where and with what it was made; empty: nobody says.
    pub site: String,
    pub scanner: String,
}

impl Traits {
    pub fn new(name: &str, version: &str, kind: &str, size: Size) -> Traits {
        let model = if name.is_empty() { String::new() } else { format!("{name}/{version}") };
        let (site, scanner) = (String::new(), String::new());
        Traits { model, kind: kind.to_owned(), size, site, scanner }
    }

    /// The same, made there and with that.
    pub fn made(self, site: Option<String>, scanner: Option<String>) -> Traits {
        let (site, scanner) = (site.unwrap_or_default(), scanner.unwrap_or_default());
        Traits { site, scanner, ..self }
    }
}

/// How much the model has marked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Size {
    Nothing,
    Small,
    Medium,
    Large,
}

impl Size {
    pub const ALL: [Size; 4] = [Size::Nothing, Size::Small, Size::Medium, Size::Large];

    /// The size of a mask that takes that part of the volume.
    pub fn of(fraction: f64) -> Size {
        match fraction {
            part if part > MUCH => Size::Large,
            part if part >= LITTLE => Size::Medium,
            part if part > 0.0 => Size::Small,
            _ => Size::Nothing,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Size::Nothing => "nothing marked",
            Size::Small => "under 0.1 % of the volume",
            Size::Medium => "0.1 to 1 %",
            Size::Large => "over 1 %",
        }
    }
}

/// How sure the model is of an answer, in classes: readers look at what looks doubtful, so that of a scan's certainty follows how
/// likely it is to be reviewed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Certainty {
    #[default]
    Unsaid,
    Low,
    Middle,
    High,
}

/// Where the model is no more unsure, and where it is sure.
pub const UNSURE: f64 = 0.7;
pub const SURE: f64 = 0.9;

impl Certainty {
    pub const ALL: [Certainty; 4] =
        [Certainty::Unsaid, Certainty::Low, Certainty::Middle, Certainty::High];

    pub fn of(confidence: Option<f64>) -> Certainty {
        match confidence {
            Some(sure) if sure >= SURE => Certainty::High,
            Some(sure) if sure >= UNSURE => Certainty::Middle,
            Some(sure) if sure < UNSURE => Certainty::Low,
            _ => Certainty::Unsaid,
        }
    }
}

/// Scans of one answer, of which the model is about as sure. A tumour that was found comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Stratum {
    none_found: bool,
    certainty: Certainty,
}

impl Stratum {
    pub fn of(answer: Answer, certainty: Certainty) -> Stratum {
        Stratum { none_found: answer == Answer::NoneFound, certainty }
    }
}

/// The week of ISO 8601, in UTC, such as 2026-W09.
fn week(at_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000));
    at.map_or_else(
        |_| UNKNOWN.to_owned(),
        |at| {
            let (year, week, _) = at.to_iso_week_date();
            format!("{year:04}-W{week:02}")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_monday_and_belongs_to_the_year_of_its_thursday() {
        for (ms, name) in [
            // Thursday, 1 January 1970.
            (0, "1970-W01"),
            // Sunday, 27 December 2020, 23:59:59.999, and the millisecond after.
            (1_609_113_599_999, "2020-W52"),
            (1_609_113_600_000, "2020-W53"),
            // Friday, 1 January 2021, is of the week that began in the year before.
            (1_609_459_200_000, "2020-W53"),
            // Monday, 30 December 2024, of one that ends in the year after.
            (1_735_516_800_000, "2025-W01"),
            (-1, "1970-W01"),
            (i64::MAX, UNKNOWN),
        ] {
            assert_eq!(week(ms), name, "{ms}");
        }
    }

    #[test]
    fn sizes_meet_at_their_marks_and_stand_from_small_to_large() {
        let sizes = [0.0, 1e-9, 0.000_999, LITTLE, MUCH, 0.010_001, 1.0].map(Size::of);
        use Size::{Large, Medium, Nothing, Small};
        assert_eq!(sizes, [Nothing, Small, Small, Medium, Medium, Large, Large]);
        assert_eq!(Size::of(f64::NAN), Nothing);
        let key = |size| By::Size.group(&Traits::new("m", "1", "flair", size), 0);
        assert!(Size::ALL.map(key).is_sorted(), "small before large, whatever their names");
    }

    #[test]
    fn a_scan_of_which_nobody_says_it_is_in_a_group_all_the_same() {
        let traits = Traits::new("", "", "", Size::Nothing);
        let name = |by: By| by.group(&traits, 0).name;
        assert_eq!((name(By::Model), name(By::Kind)), (UNKNOWN.to_owned(), UNKNOWN.to_owned()));
        let known = Traits::new("medseg-mr", "0.4.0", "flair", Size::Small);
        assert_eq!(By::Model.group(&known, 0).name, "medseg-mr/0.4.0");
        assert_eq!(By::Kind.group(&known, 0).name, "flair");
        assert_eq!(By::Site.group(&known, 0).name, UNKNOWN);
        let made = known.made(Some("West".into()), Some("Acme Maker 3 T".into()));
        assert_eq!(By::Site.group(&made, 0).name, "West");
        assert_eq!(By::Scanner.group(&made, 0).name, "Acme Maker 3 T");
    }

    #[test]
    fn certainty_meets_at_its_marks() {
        let of = [0.0, 0.699, UNSURE, 0.899, SURE, 1.0].map(|sure| Certainty::of(Some(sure)));
        use Certainty::{High, Low, Middle, Unsaid};
        assert_eq!(of, [Low, Low, Middle, Middle, High, High]);
        assert_eq!((Certainty::of(None), Certainty::of(Some(f64::NAN))), (Unsaid, Unsaid));
    }
}
