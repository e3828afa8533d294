//! What an action is in the terms of DICOM PS3.15, A.5.3, which FHIR uses, too.

/// An event as DICOM names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind {
    /// In the scheme DCM (CID 400).
    pub code: &'static str,
    /// What the code means, in DICOM's words.
    pub meaning: &'static str,
    /// C, R, U, D or E.
    pub action: &'static str,
    /// 0: success; 4: it did not succeed.
    pub outcome: &'static str,
    /// What kind of that event it is (CID 401); None: DICOM does not say.
    pub subtype: Option<(&'static str, &'static str)>,
}

const AUTHENTICATION: (&str, &str) = ("110114", "User Authentication");
const LOGIN: (&str, &str) = ("110122", "Login");
const LOGOUT: (&str, &str) = ("110123", "Logout");
const LOG_USED: (&str, &str) = ("110101", "Audit Log Used");
const ACCESSED: (&str, &str) = ("110103", "DICOM Instances Accessed");
const TRANSFERRED: (&str, &str) = ("110104", "DICOM Instances Transferred");
const DELETED: (&str, &str) = ("110105", "DICOM Study Deleted");
const EXPORT: (&str, &str) = ("110106", "Export");
const RECORD: (&str, &str) = ("110110", "Patient Record");
const ALERT: (&str, &str) = ("110113", "Security Alert");
const ACTIVITY: (&str, &str) = ("110100", "Application Activity");
const CONFIGURATION: (&str, &str) = ("110129", "Security Configuration");
const SOFTWARE: (&str, &str) = ("110131", "Software Configuration");
const RESTRICTED: (&str, &str) = ("110132", "Use of Restricted Function");
const ATTRIBUTES: (&str, &str) = ("110137", "User security Attributes Changed");

/// The event that an action is.
pub fn of(action: &str) -> Kind {
    let noun = action.split('.').next().unwrap_or_default();
    match (action, noun) {
        ("sign_in.failed", _) => kind(AUTHENTICATION, "E", "4", Some(LOGIN)),
        ("session.ended", _) => kind(AUTHENTICATION, "E", "0", Some(LOGOUT)),
        (_, "sign_in") => kind(AUTHENTICATION, "E", "0", Some(LOGIN)),
        ("audit.read", _) => kind(LOG_USED, "R", "0", None),
        ("scan.identity.read", _) => kind(RECORD, "R", "0", None),
        ("scan.pixels.read" | "scan.learned.from" | "scan.learned.original", _) => {
            kind(ACCESSED, "R", "0", None)
        }
        ("scan.accepted", _) => kind(TRANSFERRED, "C", "0", None),
        (
            "scan.deleted"
            | "scan.deleted.again"
            | "scan.erased"
            | "scan.expired"
            | "scan.original.expired"
            | "erased.dropped"
            | "patient.erased",
            _,
        ) => kind(DELETED, "D", "0", None),
        ("delivery.failed" | "delivery.closed", _) => kind(EXPORT, "R", "4", None),
        (_, "delivery") => kind(EXPORT, "R", "0", None),
        ("hold.refused" | "erased.refused", _) | (_, "access") => {
            kind(ALERT, "E", "4", Some(RESTRICTED))
        }
        (_, "user" | "client" | "second_factor") => kind(ALERT, "U", "0", Some(ATTRIBUTES)),
        ("erasure.lifted", _) | (_, "tenant" | "provider" | "destination" | "limit") => {
            kind(ALERT, "U", "0", Some(CONFIGURATION))
        }
        (_, "models" | "model") => kind(ALERT, "U", "0", Some(SOFTWARE)),
        _ => kind(ACTIVITY, "U", "0", None),
    }
}

fn kind(
    (code, meaning): (&'static str, &'static str),
    action: &'static str,
    outcome: &'static str,
    subtype: Option<(&'static str, &'static str)>,
) -> Kind {
    Kind { code, meaning, action, outcome, subtype }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_from_what_was_done() {
        for (action, code, outcome) in [
            ("sign_in.succeeded", "110114", "0"),
            ("sign_in.failed", "110114", "4"),
            ("scan.identity.read", "110110", "0"),
            ("scan.learned.original", "110103", "0"),
            ("delivery.failed", "110106", "4"),
            ("delivery.delivered", "110106", "0"),
            ("access.refused", "110113", "4"),
            ("user.changed", "110113", "0"),
            ("scan.erased", "110105", "0"),
            ("scan.expired", "110105", "0"),
            ("scan.learned.original", "110103", "0"),
            ("hold.refused", "110113", "4"),
            ("erased.refused", "110113", "4"),
            ("erased.dropped", "110105", "0"),
            ("erasure.lifted", "110113", "0"),
            ("limit.set", "110113", "0"),
            ("hold.placed", "110100", "0"),
            ("hold.replaced", "110100", "0"),
            ("what.comes.later", "110100", "0"),
        ] {
            let kind = of(action);
            assert_eq!((kind.code, kind.outcome), (code, outcome), "{action}");
        }
    }
}
