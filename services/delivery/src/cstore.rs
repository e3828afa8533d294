//! DICOM objects to an archive, by C-STORE (DICOM PS3.4, annex B): one association for each delivery.
//!
//! The same result is the same object, with the same UID: what is sent again is there once.

mod association;
mod dimse;

use domain::Result;
use report::dicom::Instance;

use crate::dial::Dial;
use crate::objects::Object;
use crate::outcome::{Attempted, Outcome};
use crate::post::clipped;
use association::{Association, Context};

/// The scheme of addresses.
const SCHEME: &str = "dicom";

/// Duplicate SOP Instance (PS3.7, C.5.1): it is there already.
const DUPLICATE: u16 = 0x0111;

/// The titles of the application entities at both ends.
#[derive(Clone, Copy)]
pub struct Titles<'a> {
    pub called: &'a str,
    pub calling: &'a str,
}

/// What was said of one object.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Said {
    Status(u16),
    /// Its class is not taken, for that reason.
    Refused(String),
}

/// What a status comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meaning {
    Stored,
    /// Stored, and something is said of it.
    Warning,
    /// Not stored, and may be another time.
    Later,
    /// Not stored, however often it is sent.
    Never,
}

/// PS3.4, B.2.3, and what PS3.7, annex C has for all services. What is of no class that is named there is tried again.
fn meaning(status: u16) -> Meaning {
    match status {
        0x0000 => Meaning::Stored,
        // Coercion of data elements, data set does not match SOP class, elements discarded: it is stored all the same.
        DUPLICATE | 0x0001 | 0xb000..=0xbfff => Meaning::Warning,
        // Data set does not match SOP class; cannot understand; no such SOP class; invalid SOP instance.
        0xa900..=0xa9ff | 0xc000..=0xcfff | 0x0117 | 0x0122 => Meaning::Never,
        // Among them out of resources (A7xx), processing failure (0110) and not authorised (0124).
        _ => Meaning::Later,
    }
}

/// Sends the objects.
pub async fn send(
    dial: &Dial,
    url: &str,
    titles: Titles<'_>,
    objects: Vec<Object>,
) -> Result<Attempted> {
    let instances = objects
        .into_iter()
        .map(|Object { name, file }| -> Result<_> { Ok((name, Instance::of(file)?)) });
    let instances: Vec<(String, Instance)> = instances.collect::<Result<_>>()?;
    let classes = instances.iter().map(|(_, instance)| instance.class.clone()).collect();
    let stream = match dial.connect(url, SCHEME).await {
        Ok(stream) => stream,
        Err(words) => return Ok(Outcome::Later(words).into()),
    };
    let association = match Association::open(stream, titles, classes).await {
        Ok(association) => association,
        Err(words) => return Ok(Outcome::Later(clipped(&words)).into()),
    };
    let takes = Some(takes(&instances, |class| association.context(class)));
    let outcome = match stored(association, &instances).await {
        (said, None) => judged(&said),
        (said, Some(broken)) => {
            let (of, done) = (instances.len(), said.len());
            Outcome::Later(clipped(&format!("{broken}, after {done} of {of} objects")))
        }
    };
    Ok(Attempted { outcome, takes })
}

/// What was said of the objects, one after the other; and in words what has ended it before all were sent.
async fn stored<S>(
    mut association: Association<S>,
    instances: &[(String, Instance)],
) -> (Vec<(&str, Said)>, Option<String>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut said = Vec::new();
    for (name, instance) in instances {
        let one = match association.context(&instance.class) {
            Context::Refused(why) => Said::Refused(why),
            Context::Accepted(id, syntax) => {
                let answer = association.store((id, syntax), instance).await;
                match answer {
                    Ok(status) => Said::Status(status),
                    Err(broken) => {
                        association.abort().await;
                        return (said, Some(broken));
                    }
                }
            }
        };
        said.push((name.as_str(), one));
    }
    association.release().await;
    (said, None)
}

/// In words which of what was offered is taken, and which is not and why.
fn takes(instances: &[(String, Instance)], context: impl Fn(&str) -> Context) -> String {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (name, instance) in instances {
        match context(&instance.class) {
            Context::Accepted(..) => taken.push(name.clone()),
            Context::Refused(why) => refused.push(format!("{name} ({why})")),
        }
    }
    let part = |what: &str, names: Vec<String>| {
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let parts = [part("takes", taken), part("does not take", refused)];
    clipped(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

/// What the answers come to: it is delivered when all of it is there, and tried again while something may yet be taken.
fn judged(said: &[(&str, Said)]) -> Outcome {
    let (mut remarks, mut later, mut never) = (Vec::new(), Vec::new(), Vec::new());
    for (name, said) in said {
        match said {
            Said::Refused(why) => {
                never.push(format!("{name} is of a class that it refuses: {why}"))
            }
            Said::Status(status) => {
                let words = format!("{name} {status:04X}");
                match meaning(*status) {
                    Meaning::Stored => {}
                    Meaning::Warning if *status == DUPLICATE => {
                        remarks.push(format!("{name} had been stored before"));
                    }
                    Meaning::Warning => remarks.push(format!("stored with a warning: {words}")),
                    Meaning::Later => later.push(words),
                    Meaning::Never => never.push(words),
                }
            }
        }
    }
    let not_stored = [&later[..], &never[..]].concat();
    if not_stored.is_empty() {
        return Outcome::Delivered(clipped(&remarks.join("; ")));
    }
    let (failed, of) = (not_stored.len(), said.len());
    let words =
        clipped(&format!("{failed} of {of} objects are not stored: {}", not_stored.join(", ")));
    if later.is_empty() { Outcome::Refused(words) } else { Outcome::Later(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_stored_tried_again_or_given_up() {
        for (status, expected) in [
            (0x0000, Meaning::Stored),
            (0xb000, Meaning::Warning),
            (0xb006, Meaning::Warning),
            (0xb007, Meaning::Warning),
            (0x0111, Meaning::Warning),
            (0xa700, Meaning::Later),
            (0xa702, Meaning::Later),
            (0x0110, Meaning::Later),
            (0x0124, Meaning::Later),
            (0xfe00, Meaning::Later),
            (0xa900, Meaning::Never),
            (0xc000, Meaning::Never),
            (0xc123, Meaning::Never),
            (0x0122, Meaning::Never),
        ] {
            assert_eq!(meaning(status), expected, "{status:04X}");
        }
    }

    #[test]
    fn it_is_delivered_when_all_of_it_is_there() {
        let of = |said: &[(&'static str, Said)]| {
            let outcome = judged(said);
            (outcome.name(), outcome.words().to_owned())
        };
        let (ok, duplicate) = (Said::Status(0), Said::Status(0x0111));
        let full = Said::Status(0xa700);
        let bad = Said::Status(0xc000);
        assert_eq!(of(&[("sr.dcm", ok.clone())]), ("delivered", String::new()));
        assert_eq!(
            of(&[("seg.dcm", duplicate), ("sr.dcm", Said::Status(0xb000))]),
            (
                "delivered",
                "seg.dcm had been stored before; stored with a warning: sr.dcm B000".into()
            )
        );
        assert_eq!(
            of(&[("seg.dcm", ok.clone()), ("sr.dcm", bad.clone()), ("text.dcm", full)]),
            ("later", "2 of 3 objects are not stored: text.dcm A700, sr.dcm C000".into())
        );
        assert_eq!(
            of(&[("seg.dcm", ok), ("sr.dcm", bad)]),
            ("refused", "1 of 2 objects are not stored: sr.dcm C000".into())
        );
        let refused = Said::Refused("abstract syntax not supported".into());
        assert_eq!(of(&[("seg.dcm", refused)]).0, "refused");
    }
}
