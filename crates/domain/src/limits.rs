//! How much of anything there may be, where more than one part of the system says it: said once, used by all.
//!
//! What the REST face's description says of them is literals, which a test of the gateway compares with these.

/// Scans of a page whose reader does not say how many.
pub const PAGE_DEFAULT: u32 = 50;

/// Scans of a page at most.
pub const PAGE_MAX: u32 = 200;

/// The largest upload where nobody has configured another, in MiB. Gateway and decoder are told the same.
pub const UPLOAD_MIB_DEFAULT: u32 = 512;

/// Files of one upload, entries of an archive and of a batch. A series has some hundred slices.
pub const UPLOAD_FILES_MAX: usize = 4096;

/// Characters of the name of a batch's entry: longer ones are cut, as they are only shown.
pub const ENTRY_NAME_CHARS_MAX: usize = 255;

/// Characters of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

/// Characters of what people call a patient, an examination or a scan: DICOM's longest identifier (PS3.5, LO and UI).
pub const IDENTIFIER_CHARS_MAX: usize = 64;

/// The longest identity of a scan, as JSON: that of a volume of thousands of slices, each of which is named in it.
pub const IDENTITY_BYTES_MAX: usize = 1 << 20;

/// The longest index of an upload's DICOM instances, as JSON: what headers of thousands of slices say.
pub const INDEX_BYTES_MAX: usize = 64 << 20;

/// Characters of a new password at least: length counts, not composition.
pub const PASSWORD_CHARS_MIN: usize = 12;

/// Characters of a new password at most.
pub const PASSWORD_CHARS_MAX: usize = 128;

/// Characters of the name of a user, an API client or a hospital.
pub const ACCOUNT_NAME_CHARS_MAX: usize = 128;

/// Characters of what a reader notes of a result.
pub const NOTE_CHARS_MAX: usize = 2000;

/// Characters of what a reader notes of all findings of one result together: a list of words stays small enough to be told at once.
pub const FINDING_NOTES_CHARS_MAX: usize = 10_000;

/// Places that one reader says something was missed at.
pub const MISSED_PLACES_MAX: usize = 100;

/// Findings of one result that one reader judges.
pub const JUDGED_FINDINGS_MAX: usize = 1000;

/// Words of others that one word of an adjudicator settles.
pub const ADJUDICATED_MAX: usize = 32;

/// Characters of what somebody reports that went wrong.
pub const INCIDENT_CHARS_MAX: usize = 4000;

/// Bytes of the slices that a model is asked about before a series is chosen: seven of 1024 x 1024 pixels.
pub const SHOWN_SLICES_BYTES_MAX: usize = 7 * 1024 * 1024 * 4;

/// Seconds that an upload may take: as long as the slowest that keeps the pace.
pub const UPLOAD_SECONDS_MAX: u64 = 48 * 3600;
