//! Where and with what a scan was made: nothing of the patient.

use serde::{Deserialize, Serialize};

/// The longest text that is kept of a site or a scanner, in characters.
const CHARS_MAX: usize = 64;

/// Where and with what a scan was made, as its file says (DICOM's general equipment) or its sender: what scans are grouped by when
/// models are watched. No serial number, and nothing of the patient.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Equipment {
    /// The institution (0008,0080), or else the station (0008,1010). None: nobody says.
    pub site: Option<String>,
    /// Manufacturer (0008,0070), model (0008,1090) and field strength (0018,0087), such as `Acme Maker 1.5 T`. None: nobody says.
    pub scanner: Option<String>,
}

impl Equipment {
    /// Of what a file says; `tesla` is the strength of its magnet.
    pub fn new(
        institution: Option<&str>,
        station: Option<&str>,
        [manufacturer, model]: [Option<&str>; 2],
        tesla: Option<f64>,
    ) -> Equipment {
        let said = |text: Option<&str>| text.and_then(plain);
        let named = [said(manufacturer), said(model)].into_iter().flatten().collect::<Vec<_>>();
        // A field strength alone is no scanner.
        let strength = tesla.and_then(self::tesla).filter(|_| !named.is_empty());
        let strength = strength.map(|tenths| format!("{tenths} T"));
        let scanner = named.into_iter().chain(strength).collect::<Vec<_>>().join(" ");
        Equipment { site: said(institution).or_else(|| said(station)), scanner: plain(&scanner) }
    }

    /// The same with the site that its sender states, who knows better than the file where it was made; empty: nothing.
    #[must_use]
    pub fn stated(self, site: &str) -> Equipment {
        Equipment { site: plain(site).or(self.site), ..self }
    }
}

/// The strength of a magnet in tesla, to a tenth: files say 1.494 and 1.5 of one magnet. Some say it in gauss. None of what no magnet
/// around a head has.
pub fn tesla(said: f64) -> Option<f64> {
    const GAUSS_PER_TESLA: f64 = 10_000.0;
    /// No magnet around a head is stronger.
    const TESLA_MAX: f64 = 30.0;
    let tesla = if said > TESLA_MAX { said / GAUSS_PER_TESLA } else { said };
    let tenths = (tesla * 10.0).round() / 10.0;
    (tenths > 0.0 && tenths <= TESLA_MAX).then_some(tenths)
}

/// On one line, without padding and not too long; None when nothing is left.
fn plain(text: &str) -> Option<String> {
    let printed: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept: String = words.chars().take(CHARS_MAX).collect();
    (!kept.is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner(manufacturer: &str, model: &str, tesla: Option<f64>) -> Option<String> {
        Equipment::new(None, None, [Some(manufacturer), Some(model)], tesla).scanner
    }

    #[test]
    fn a_scanner_is_called_by_what_its_file_says_of_it() {
        for (manufacturer, model, tesla, name) in [
            ("Acme", "Maker 3", Some(1.494), Some("Acme Maker 3 1.5 T")),
            (" Acme\0", "", Some(3.0), Some("Acme 3 T")),
            ("Acme", "Maker", Some(15_000.0), Some("Acme Maker 1.5 T")),
            ("Acme", "Maker", Some(f64::NAN), Some("Acme Maker")),
            ("Acme\nInc.", "Maker", Some(-1.0), Some("Acme Inc. Maker")),
            ("", " ", Some(1.5), None),
        ] {
            assert_eq!(scanner(manufacturer, model, tesla).as_deref(), name, "{manufacturer:?}");
        }
        let long = scanner(&"ü".repeat(100), "Maker", None).unwrap();
        assert_eq!(long, "ü".repeat(CHARS_MAX));
    }

    #[test]
    fn a_site_is_what_its_sender_states_then_the_institution_then_the_station() {
        let site = |institution, station, stated| {
            Equipment::new(institution, station, [None, None], None).stated(stated).site
        };
        assert_eq!(site(Some("General"), Some("MR1"), "").as_deref(), Some("General"));
        assert_eq!(site(Some(" \0"), Some("MR1"), "").as_deref(), Some("MR1"));
        assert_eq!(site(Some("General"), Some("MR1"), "West ").as_deref(), Some("West"));
        assert_eq!(site(None, None, ""), None);
    }
}
