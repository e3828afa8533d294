//! Several scans that came together: in a zip, or as the files of one form.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domain::Result;
use domain::limits::ENTRY_NAME_CHARS_MAX;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use imaging::{Refusal, RefusalReason};
use jail::answer::{DecoderAnswer, Group};
use proto::ingest::UploadHeader;
use proto::storage::{Batch, BatchEntry};
use service::CHUNK_BYTES;
use service::claims::{authorised, vouched};

use crate::process::{Answered, Rest};
use crate::rpc::refusal_message;
use crate::series_choice::Choice;
use crate::spool::{Piece, Received, Spooled};
use crate::upload::Uploads;

impl Uploads {
    /// Takes each picture of the archive, and each series, as one scan. Those that are refused are part of the batch, with
    /// the reason.
    ///
    /// The same archive with the same key finds the scans that it made before.
    pub async fn take_batch(
        &self,
        pieces: impl Stream<Item = Result<Piece>>,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Result<Batch, Refusal>> {
        let archive = match self.spool.keep_files(&upload.file_name, pieces).await? {
            Ok(Received::One(archive) | Received::Several(archive)) => archive,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.take_archive(&archive, upload, token).await
    }

    /// The same for an archive that is on disk already.
    pub async fn take_archive(
        &self,
        archive: &Spooled,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Result<Batch, Refusal>> {
        match self.decoder.groups(archive.path(), false).await? {
            Ok(groups) if groups.is_empty() => {
                Ok(Err(RefusalReason::NotAnImage.refuse("The archive is empty.")))
            }
            Ok(groups) => self.take_groups(archive, groups, upload, token).await.map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Takes each group of the archive's entries as one scan.
    pub async fn take_groups(
        &self,
        archive: &Spooled,
        groups: Vec<Group>,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Batch> {
        let unpacked = AtomicU64::new(0);
        let choices = self.choices(Some(archive), &groups, upload, token).await?;
        let entries = groups.into_iter().zip(choices).map(|(group, choice)| {
            let first = group.places.first().copied().unwrap_or_default();
            let idempotency_key = key_of(&upload.idempotency_key, first);
            let upload = UploadHeader { idempotency_key, ..upload.clone() };
            self.take_group(archive, (group, choice), &unpacked, upload, token)
        });
        let entries =
            stream::iter(entries).buffered(self.decoder.at_a_time()).try_collect().await?;
        let batch = authorised(Batch { entries, ..Batch::default() }, token);
        let batch = vouched(batch, &self.own.get().await?);
        Ok(self.storage.clone().put_batch(batch).await?.into_inner())
    }

    async fn take_group(
        &self,
        archive: &Spooled,
        (group, choice): (Group, Choice),
        // All that the archive's groups have unpacked to so far.
        unpacked_bytes: &AtomicU64,
        upload: UploadHeader,
        token: &str,
    ) -> Result<BatchEntry> {
        let entry = BatchEntry {
            name: shown(&group.name),
            series: choice.message(),
            ..BatchEntry::default()
        };
        let taken = match self.decoder.entry(archive.path(), &group.places).await? {
            Ok(Answered { answer: DecoderAnswer::Entry { bytes }, .. })
                if unpacked_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
                    > self.unpacked_max =>
            {
                Err(unpacks_to_too_much(self.unpacked_max))
            }
            Ok(Answered { answer: DecoderAnswer::Entry { bytes }, rest }) => {
                // On disk before it is decoded, so that this entry's decoder can have the turn of its unpacker.
                match self.spool.keep(unpacked(rest, bytes)).await? {
                    Ok(spooled) => self.hand_on_as(&spooled, &upload, &choice, token).await?,
                    Err(refusal) => Err(refusal),
                }
            }
            Ok(_) => Err(RefusalReason::Corrupt.refuse("It cannot be unpacked.")),
            Err(refusal) => Err(refusal),
        };
        Ok(match taken {
            Ok(scan) => BatchEntry { scan_id: scan.id, ..entry },
            Err(refusal) => {
                self.note(&refusal, &upload.site, token).await;
                // A file's name may be its patient's.
                let is_erased = refusal.problem == RefusalReason::Erased;
                let name = if is_erased { String::new() } else { entry.name };
                BatchEntry { name, refusal: Some(refusal_message(refusal)), ..entry }
            }
        })
    }
}

fn unpacks_to_too_much(most: u64) -> Refusal {
    RefusalReason::TooLarge.refuse(format!(
        "The files of the archive unpack to more than {} MB all together. Send it in parts.",
        most / 1_000_000
    ))
}

/// The bytes that an unpacker has announced.
pub fn unpacked(rest: Rest, bytes: u64) -> impl Stream<Item = Result<Bytes>> {
    stream::try_unfold((rest, bytes as usize), |(mut rest, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let chunk = rest.read(left.min(CHUNK_BYTES)).await?;
        let left = left - chunk.len();
        Ok(Some((chunk, (rest, left))))
    })
    .boxed()
}

fn key_of(batch: &str, place: usize) -> String {
    if batch.is_empty() { String::new() } else { format!("{batch}/{place}") }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(ENTRY_NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_a_key_of_its_own_when_the_batch_has_one() {
        assert_eq!(key_of("", 3), "");
        assert_eq!(key_of("k", 3), "k/3");
    }

    #[test]
    fn a_name_is_shown_without_what_a_terminal_would_obey() {
        assert_eq!(shown("a\u{1b}[31m\r\nb.png"), "a[31mb.png");
        assert_eq!(shown(&"x".repeat(70_000)).len(), ENTRY_NAME_CHARS_MAX);
    }
}
