//! What is pushed of a result, by kind of destination.

use domain::artefact::{
    CAPTURE, DOCUMENT, FHIR_REPORT, HL7_REPORT, RESULT, SEGMENTATION, STRUCTURED_REPORT,
    TEXT_REPORT,
};
use domain::{ErrorKind, Result};
use proto::delivery::DestinationKind;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The name of the form in which a webhook carries a result within a CloudEvent.
pub const CLOUD_EVENT: &str = "cloudevent";

/// What a destination is.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// A signed POST.
    Webhook,
    /// DICOM objects, by STOW-RS.
    Stow,
    /// DICOM objects, by C-STORE.
    Cstore,
    /// A message of HL7 v2, by MLLP.
    Mllp,
    /// FHIR resources, in one transaction.
    Fhir,
}

impl Kind {
    /// The name used in SQL and metrics.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn named(name: &str) -> Result<Kind> {
        name.parse()
            .map_err(|_| ErrorKind::Internal.error(format!("destinations.kind holds `{name}`")))
    }

    pub fn of(kind: DestinationKind) -> Result<Kind> {
        match kind {
            DestinationKind::Webhook => Ok(Kind::Webhook),
            DestinationKind::Stow => Ok(Kind::Stow),
            DestinationKind::Cstore => Ok(Kind::Cstore),
            DestinationKind::Mllp => Ok(Kind::Mllp),
            DestinationKind::Fhir => Ok(Kind::Fhir),
            DestinationKind::Unspecified => {
                let words = "a destination is a webhook, or takes STOW-RS, C-STORE, MLLP or FHIR";
                Err(ErrorKind::Invalid.error(words))
            }
        }
    }

    pub fn wire(self) -> DestinationKind {
        match self {
            Kind::Webhook => DestinationKind::Webhook,
            Kind::Stow => DestinationKind::Stow,
            Kind::Cstore => DestinationKind::Cstore,
            Kind::Mllp => DestinationKind::Mllp,
            Kind::Fhir => DestinationKind::Fhir,
        }
    }

    /// The scheme of its addresses, where those are not HTTP's; with an `s` behind it, they are spoken to by TLS.
    pub fn scheme(self) -> Option<&'static str> {
        match self {
            Kind::Webhook | Kind::Stow | Kind::Fhir => None,
            Kind::Cstore => Some("dicom"),
            Kind::Mllp => Some("mllp"),
        }
    }

    /// What may be pushed to it.
    pub fn formats(self) -> &'static [&'static str] {
        match self {
            Kind::Webhook => &[CLOUD_EVENT, RESULT.name],
            Kind::Stow | Kind::Cstore => &[
                SEGMENTATION.name,
                STRUCTURED_REPORT.name,
                TEXT_REPORT.name,
                CAPTURE.name,
                DOCUMENT.name,
            ],
            Kind::Mllp => &[HL7_REPORT.name],
            Kind::Fhir => &[FHIR_REPORT.name],
        }
    }
}

/// So many may be named, some of them twice.
const FORMATS_MAX: usize = 6;

/// The formats as a row keeps them, each once. `Invalid` for one that this kind of destination does not take, for none, and for more
/// than one of a webhook, each of whose messages is one document.
pub fn checked(kind: Kind, formats: &[String]) -> Result<String> {
    let known = kind.formats();
    if formats.len() > FORMATS_MAX {
        let message = format!("a destination has {FORMATS_MAX} formats at most");
        return Err(ErrorKind::Invalid.error(message));
    }
    if let Some(strange) = formats.iter().find(|format| !known.contains(&format.as_str())) {
        let known = known.join(", ");
        return Err(ErrorKind::Invalid
            .error(format!("`{strange}` is no format of such a destination: it takes {known}")));
    }
    let kept: Vec<&str> =
        known.iter().copied().filter(|name| formats.iter().any(|format| format == name)).collect();
    match (kind, kept.len()) {
        (_, 0) => Err(ErrorKind::Invalid.error("name at least one format")),
        (Kind::Webhook, 2..) => Err(ErrorKind::Invalid.error("a webhook has one format")),
        _ => Ok(kept.join(" ")),
    }
}

/// The formats that a row keeps.
pub fn listed(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_formats_of_its_kind_each_once() {
        let of = |kind, formats: &[&str]| {
            checked(kind, &formats.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(Kind::Stow, &["sr.dcm", "seg.dcm", "sr.dcm"]).unwrap(), "seg.dcm sr.dcm");
        assert_eq!(of(Kind::Cstore, &["text.dcm", "seg.dcm"]).unwrap(), "seg.dcm text.dcm");
        assert_eq!(of(Kind::Stow, &["report.dcm", "sr.dcm"]).unwrap(), "sr.dcm report.dcm");
        assert_eq!(of(Kind::Webhook, &["cloudevent"]).unwrap(), "cloudevent");
        assert_eq!(of(Kind::Mllp, &["report.hl7"]).unwrap(), "report.hl7");
        assert_eq!(of(Kind::Fhir, &["report.fhir.json"]).unwrap(), "report.fhir.json");
        for (kind, bad) in [
            (Kind::Stow, &[][..]),
            (Kind::Stow, &["result.json"][..]),
            (Kind::Stow, &["report.pdf"][..]),
            (Kind::Webhook, &["seg.dcm"][..]),
            (Kind::Cstore, &["report.hl7"][..]),
            (Kind::Mllp, &["report.fhir.json"][..]),
            (Kind::Fhir, &["sr.dcm"][..]),
            (Kind::Webhook, &["cloudevent", "result.json"][..]),
        ] {
            assert_eq!(of(kind, bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn a_kind_has_one_name_everywhere() {
        for &kind in Kind::VARIANTS {
            assert_eq!(Kind::named(kind.name()).unwrap(), kind);
            assert_eq!(Kind::of(kind.wire()).unwrap(), kind);
        }
    }
}
