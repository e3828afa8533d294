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
}
