use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::{Clock, Error, ErrorKind, Random};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => { $(
        $(#[$doc])*
        ///
        /// A UUID of version 7 (RFC 9562): ids sort by the time that they were made.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, different from every other.
            pub fn new(clock: &Clock, random: &Random) -> $name {
                let ms = u64::try_from(clock.now_ms()).unwrap_or_default();
                $name(Builder::from_unix_timestamp_millis(ms, &random.bytes()).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// What is no id of ours answers like one that never existed.
            fn from_str(text: &str) -> Result<$name, Error> {
                Uuid::parse_str(text)
                    .map($name)
                    .map_err(|_| ErrorKind::NotFound.error(concat!("no such ", $what)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            /// As a column holds it.
            fn try_from(text: String) -> Result<$name, Error> {
                text.parse()
            }
        }
    )* };
}

ids! {
    /// A hospital.
    TenantId, "tenant";
    /// Somebody, or some program, that signs in.
    UserId, "user";
    /// One upload: an image, a series or a volume.
    ScanId, "scan";
    /// The analysis of one scan.
    JobId, "job";
    /// Scans that came in one archive.
    BatchId, "batch";
    /// An upload whose bytes come in several calls.
    PartialUploadId, "upload";
    /// What one reader said of one result, once.
    FeedbackId, "feedback";
    /// What somebody reported that went wrong, once.
    IncidentId, "incident";
    /// A link through which a patient says what went wrong.
    IncidentLinkId, "incident link";
    /// What somebody shows at a sign-in that they hold.
    SecurityKeyId, "security key";
    /// A hospital's own word about which series of a study are analysed.
    SeriesRuleId, "series rule";
    /// A patient's scans that were erased on request, once.
    ErasureId, "erasure";
    /// What may not be deleted until somebody says otherwise.
    HoldId, "hold";
    /// Scans that are compared together with what the model was trained on.
    WindowId, "window";
    /// What was measured of a model on data whose truth is known, once.
    EvaluationId, "evaluation";
    /// A file that was refused at the door, once.
    RefusalId, "refusal";
    /// A hospital's system that results are pushed to.
    DestinationId, "destination";
    /// What is pushed of one scan to one destination.
    DeliveryId, "delivery";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    fn always(byte: u8) -> Random {
        Random::new(move |bytes| bytes.fill(byte))
    }

    #[test]
    fn an_id_is_the_uuid_that_rfc_9562_gives_as_an_example() {
        // Its appendix A.6, made on 22 February 2022 at 19:22:22 UTC.
        let clock = ManualClock::at(1_645_557_742_000).clock();
        let drawn = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        let random = Random::new(move |bytes| bytes.copy_from_slice(&drawn));
        let id = ScanId::new(&clock, &random);
        assert_eq!(id.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        let id = ScanId::new(&clock, &always(0xff));
        assert_eq!(id.to_string(), "017f22e2-79b0-7fff-bfff-ffffffffffff", "version and variant");
    }

    #[test]
    fn ids_sort_by_the_time_that_they_were_made_as_text_too() {
        // The next millisecond carries into the upper half of the time.
        let clock = ManualClock::at(0x018b_cfff_ffff);
        let ids = [0xff, 0x80, 0x00].map(|drawn| {
            let id = JobId::new(&clock.clock(), &always(drawn));
            clock.advance(1);
            id
        });
        assert!(ids.is_sorted() && ids.map(|id| id.to_string()).is_sorted(), "{ids:?}");
    }

    #[test]
    fn what_is_no_id_answers_like_one_that_never_was() {
        for text in [
            "",
            "1",
            "../../etc/passwd",
            "' OR '1' = '1",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            " 017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        ] {
            let refused = text.parse::<ScanId>().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::NotFound, "{text:?}");
            assert_eq!(refused.to_string(), "no such scan");
        }
        let refused = TenantId::try_from("hospital".to_owned()).unwrap_err();
        assert_eq!(refused.to_string(), "no such tenant");
    }

    #[test]
    fn an_id_is_the_same_text_in_json_and_in_a_column() {
        let id = BatchId::new(&ManualClock::at(1).clock(), &always(7));
        let json = serde_json::to_value(id).unwrap();
        assert_eq!(json, id.to_string());
        assert_eq!(serde_json::from_value::<BatchId>(json).unwrap(), id);
        assert_eq!(BatchId::try_from(id.to_string()).unwrap(), id);
        assert!(serde_json::from_str::<BatchId>("\"a batch\"").is_err());
    }
}
