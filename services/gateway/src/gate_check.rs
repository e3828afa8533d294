use proto::registry;
use serde::Serialize;
use utoipa::ToSchema;

/// One of the gate's checks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GateCheck {
    /// `evaluated`, `golden`, `latency`, `cases`, `comparable`, `dice`, `far` or `frr`; beside them, of the hospital's own scans that
    /// readers have confirmed, `confirmed_far` and `confirmed_frr`.
    name: String,
    /// The kind of image whose cases it is about: `flair`, `t1_contrast`, or `unknown` where headers say nothing; `null`: all.
    image_kind: Option<String>,
    pub passed: bool,
    /// Whether it is for whoever decides alone: it refuses nothing.
    pub advisory: bool,
    words: String,
    /// The figure of the version.
    candidate: Option<f64>,
    /// The figure of the version that serves.
    serving: Option<f64>,
}

impl From<registry::Check> for GateCheck {
    fn from(check: registry::Check) -> GateCheck {
        let registry::Check { name, passed, words, candidate, serving, image_kind } = check;
        let image_kind = Some(image_kind).filter(|kind| !kind.is_empty());
        GateCheck { name, image_kind, passed, advisory: false, words, candidate, serving }
    }
}

impl GateCheck {
    /// A figure of confirmed scans, which refuses nothing.
    pub fn advisory(
        name: &str,
        image_kind: Option<String>,
        passed: bool,
        words: String,
        [candidate, serving]: [Option<f64>; 2],
    ) -> GateCheck {
        GateCheck {
            name: name.to_owned(),
            image_kind,
            passed,
            advisory: true,
            words,
            candidate,
            serving,
        }
    }

    /// What it found, and of which kind of image.
    pub fn sentence(&self) -> String {
        let Self { name, image_kind, words, .. } = self;
        match image_kind {
            Some(kind) => format!("{name} ({kind}): {words}"),
            None => format!("{name}: {words}"),
        }
    }
}
