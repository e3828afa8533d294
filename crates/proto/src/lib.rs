//! The contract between services: messages, clients and servers generated from `/proto`.
//!
//! Events are JSON too, by the names of their fields. Little else here is written by hand; behaviour belongs to the services.

#![deny(missing_docs)]

pub mod counted;
mod json;

/// The descriptors of everything below, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// Shows nothing of a message with a secret, or of one that says who the patient is.
macro_rules! redacted {
    ($($message:ident)+) => { $(
        impl std::fmt::Debug for v1::$message {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($message), "(redacted)"))
            }
        }
    )+ };
}

// The modules nest as the packages do, because the generated code names its siblings by path.

/// What audit trails say.
pub mod audit {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.audit.v1");
    }
    pub use v1::*;
}

/// Accounts, sign-in, tokens and the key set that they are verified with.
pub mod auth {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.auth.v1");
    }
    redacted! {
        BeginSecondFactor BeginSecurityKey FinishProviderSignIn ProviderToBe RecoveryCodes RemoveSecondFactor
        RemoveSecurityKey SecondFactorBegun SecurityKeyAdded
    }
    pub use v1::*;
}

/// Where results are pushed, and what became of each.
pub mod delivery {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.delivery.v1");
    }

    redacted! { NewDestination DestinationChange DestinationMade }
    pub use v1::*;
}

/// Reports of how scans differ from what the model was trained on.
pub mod drift {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.drift.v1");
    }
    pub use v1::*;
}

/// What services tell whoever listens.
pub mod events {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.events.v1");
    }
    pub use v1::*;
}

/// The bare model, as anybody's client asks it (names and numbers are those of the Open Inference Protocol); and in `v1` what ingest alone
/// asks.
pub mod inference {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.inference.v1");
    }
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v2 {
        tonic::include_proto!("inference");
    }
    pub use v2::*;
}

/// Uploads: a file in, an accepted scan or a refusal out.
pub mod ingest {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.ingest.v1");
    }
    pub use v1::*;
}

/// The models: their versions, which of them serve, and who decided so.
pub mod registry {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    pub mod v1 {
        tonic::include_proto!("medseg.registry.v1");
    }
    pub use v1::*;
}

/// Scans, their artefacts and the jobs that analyse them.
pub mod storage {
    #[allow(missing_docs, reason = "generated, and documented in `/proto`")]
    #[expect(clippy::large_enum_variant, reason = "a header is one message of very many")]
    pub mod v1 {
        tonic::include_proto!("medseg.storage.v1");
    }

    redacted! { Identity NamesOfOriginal Whose }
    pub use v1::*;
}

#[cfg(test)]
mod tests {
    use super::events::{FeedbackGiven, ModelIdentity, Observation, ScanCompleted};
    use super::storage::{AcceptHeader, Identity};

    #[test]
    fn an_event_is_json_by_the_names_of_its_fields() {
        let model = ModelIdentity { name: "m".into(), version: "1".into(), sha256: "ab".into() };
        let observation = Observation {
            features: [("mean".to_owned(), 0.5)].into(),
            model: Some(model),
            ..Default::default()
        };
        let done = ScanCompleted {
            tenant: "t".into(),
            scan_id: "s".into(),
            answer: "found".into(),
            completed_ms: 7,
            response_ms: Some(5),
            observation: Some(observation),
            ..Default::default()
        };
        let json = concat!(
            r#"{"tenant":"t","scan_id":"s","answer":"found","completed_ms":7,"response_ms":5,"#,
            r#""observation":{"features":{"mean":0.5},"model":{"name":"m","version":"1","sha256":"ab"}}}"#,
        );
        assert_eq!(serde_json::to_string(&done).unwrap(), json);
        assert_eq!(serde_json::from_str::<ScanCompleted>(json).unwrap(), done);
    }

    #[test]
    fn a_readers_word_leaves_out_what_it_does_not_say() {
        let given = FeedbackGiven {
            tenant_id: "t".into(),
            scan_id: "s".into(),
            feedback_id: "f".into(),
            given_ms: 7,
            verdict: "agree".into(),
            reader_digest: "ab".into(),
            answer: "found".into(),
            ..Default::default()
        };
        let json = concat!(
            r#"{"tenant_id":"t","scan_id":"s","feedback_id":"f","given_ms":7,"verdict":"agree","#,
            r#""reader_digest":"ab","answer":"found"}"#,
        );
        assert_eq!(serde_json::to_string(&given).unwrap(), json);
        assert_eq!(serde_json::from_str::<FeedbackGiven>(json).unwrap(), given);
        let said = r#"{"truth":"tumour","dice":0.5,"model":null,"mask_fraction":null}"#;
        let said: FeedbackGiven = serde_json::from_str(said).unwrap();
        assert_eq!(
            (said.truth.as_deref(), said.dice, said.model),
            (Some("tumour"), Some(0.5), None)
        );
    }

    #[test]
    fn what_an_event_does_not_say_is_none() {
        let json = r#"{"features":{"mean":null,"std":1},"confidence":null,"of a later version":1}"#;
        let observation: Observation = serde_json::from_str(json).unwrap();
        let only = Observation { features: [("std".to_owned(), 1.0)].into(), ..Default::default() };
        assert_eq!(observation, only);
        let failed: ScanCompleted = serde_json::from_str(r#"{"observation":null}"#).unwrap();
        assert_eq!(failed, ScanCompleted::default());
    }

    #[test]
    fn a_debug_print_of_a_message_shows_no_identity() {
        let identity =
            Identity { patient_name: Some("Canary^Yellow".into()), ..Default::default() };
        let header = AcceptHeader { identity: Some(identity), ..Default::default() };
        let shown = format!("{header:?}");
        assert!(shown.contains("redacted") && !shown.contains("Canary"), "{shown}");
    }
}
