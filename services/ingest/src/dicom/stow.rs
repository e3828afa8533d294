//! Instances that a request brings (STOW-RS, PS3.18, 10.5): each is looked at in the jail, and then lies in the inbox as if a
//! scanner had sent it, with the very same bytes.

use std::collections::{HashSet, VecDeque};
use std::io::SeekFrom;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};

use domain::limits::UPLOAD_FILES_MAX;
use domain::{ErrorKind, Result};
use futures::{Stream, TryStreamExt, stream};
use imaging::{DicomInstance, Refusal, RefusalReason};
use jail::answer::series_digest;
use platform::trail;
use proto::ingest::{StoreHeader, StoredInstance};
use proto::storage::{Arrival, ErasedArrival};
use service::claims::Claims;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::dimse::is_uid;
use super::inbox::{Arriving, Full, NotTaken, keep_all};
use super::part10;
use super::reception::Reception;
use super::senders::Sender;
use super::telling::count_instance;
use crate::decoder::TOGETHER;
use crate::spool::{Piece, Spooled, WRITE_BYTES, unusable};
use crate::upload::Uploads;

/// Why an instance is not stored: a Failure Reason (PS3.18, 10.5.3; PS3.7, annex C), and the same in words.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Failure {
    reason: u16,
    words: String,
}

const PROCESSING_FAILURE: u16 = 0x0110;
const CLASS_NOT_SUPPORTED: u16 = 0x0122;
const NOT_AUTHORISED: u16 = 0x0124;
const OUT_OF_RESOURCES: u16 = 0xa700;
const MISMATCH: u16 = 0xa900;
const CANNOT_UNDERSTAND: u16 = 0xc000;
const SYNTAX_NOT_SUPPORTED: u16 = 0xc122;

/// Every reason that is told, with what it means here, for the conformance statement.
pub const REASONS: [(u16, &str); 7] = [
    (OUT_OF_RESOURCES, "no room now: send it again later; or it is larger than is taken"),
    (MISMATCH, "it is of another study than the address names"),
    (CANNOT_UNDERSTAND, "it cannot be read"),
    (CLASS_NOT_SUPPORTED, "it holds no slice"),
    (
        NOT_AUTHORISED,
        "its study or series was erased with its patient: an administrator may let it come back",
    ),
    (SYNTAX_NOT_SUPPORTED, "its transfer syntax is not decoded, or is another than its part says"),
    (PROCESSING_FAILURE, "it could not be looked at now: send it again later"),
];

/// Instances of so many bytes are enough to be looked at and kept together.
const TOGETHER_BYTES: usize = 32 * 1024 * 1024;

/// What is the same for all instances of a request.
struct Request {
    reception: Arc<Reception>,
    sender: Arc<Sender>,
    /// In the name of whose hospital.
    uploads: Uploads,
    header: StoreHeader,
    token: String,
    /// Series of which it is noted that they were erased: once for all of their instances.
    noted: Mutex<HashSet<String>>,
}

/// Stores what comes: a [`Piece::File`] begins an instance, and is called as its sender calls the transfer syntax. Each of them that is answered
/// without a failure survives a crash, also where the request fails then.
pub async fn store(
    reception: &Arc<Reception>,
    claims: &Claims,
    token: &str,
    header: StoreHeader,
    pieces: impl Stream<Item = Result<Piece>>,
) -> Result<Vec<StoredInstance>> {
    let StoreHeader { study_uid, site } = &header;
    if !study_uid.is_empty() && !is_uid(study_uid) {
        return Err(ErrorKind::Invalid.error("a study is named by its Study Instance UID"));
    }
    let sender = reception.callers.admitted(&reception.inbox, claims, token, site).await?;
    let uploads = reception.uploads.of(claims.tenant().id());
    let at_a_time = uploads.decoder.at_a_time();
    let (reception, token) = (reception.clone(), token.to_owned());
    let noted = Mutex::default();
    let request = Arc::new(Request { reception, sender, uploads, header, token, noted });
    let (mut pieces, mut stored, mut in_hand) = (pin!(pieces), Vec::new(), VecDeque::new());
    let mut begun = begun(pieces.try_next().await?)?;
    let (mut count, mut together, mut bytes_together) = (0, Vec::new(), 0);
    while let Some(syntax) = begun.take() {
        count += 1;
        if count > UPLOAD_FILES_MAX {
            return Err(ErrorKind::Invalid
                .error(format!("a request may bring {UPLOAD_FILES_MAX} instances at most")));
        }
        let mut next = None;
        let body = stream::poll_fn(|cx| match ready!(pieces.as_mut().poll_next(cx)) {
            Some(Ok(Piece::Bytes(bytes))) => {
                bytes_together += bytes.len();
                Poll::Ready(Some(Ok(bytes)))
            }
            Some(Ok(Piece::File(syntax))) => {
                next = Some(syntax);
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(None),
        });
        match request.uploads.spool.keep(body).await? {
            Ok(spooled) => together.push((spooled, syntax)),
            Err(refusal) => return Err(ErrorKind::Invalid.error(refusal.detail)),
        }
        begun = next;
        let is_enough = together.len() >= TOGETHER || bytes_together >= TOGETHER_BYTES;
        if begun.is_some() && !is_enough {
            continue;
        }
        // While the next ones come, those before are looked at.
        while in_hand.len() >= at_a_time {
            done(&mut in_hand, &mut stored).await?;
        }
        let (request, some) = (request.clone(), std::mem::take(&mut together));
        // From where they come, the audit trail says of what is refused.
        let storing = async move { request.some(some).await }.in_current_span();
        in_hand.push_back(tokio::spawn(trail::propagate(trail::current(), storing)));
        bytes_together = 0;
    }
    while !in_hand.is_empty() {
        done(&mut in_hand, &mut stored).await?;
    }
    room_for_some(&stored)?;
    Ok(stored)
}

/// What the first piece begins; None where there is none.
fn begun(first: Option<Piece>) -> Result<Option<String>> {
    match first {
        Some(Piece::File(syntax)) => Ok(Some(syntax)),
        None => Ok(None),
        Some(Piece::Bytes(_)) => Err(ErrorKind::Invalid.error("bytes belong to an instance")),
    }
}

/// Waits for the first of those in hand.
async fn done(
    in_hand: &mut VecDeque<JoinHandle<Result<Vec<StoredInstance>>>>,
    stored: &mut Vec<StoredInstance>,
) -> Result<()> {
    let Some(first) = in_hand.pop_front() else { return Ok(()) };
    let some = first.await.map_err(|error| {
        ErrorKind::Internal.error("storing instances panicked").because(error)
    })??;
    stored.extend(some);
    Ok(())
}

/// Fails where there was no room for any: who sends comes back later.
fn room_for_some(stored: &[StoredInstance]) -> Result<()> {
    let none = stored.iter().all(|one| one.failure == u32::from(OUT_OF_RESOURCES));
    if none && !stored.is_empty() {
        return Err(ErrorKind::Exhausted
            .error("there is no room for more instances now: send them again later"));
    }
    Ok(())
}

impl Request {
    /// Looks at some of them, each with the sender's word of its transfer syntax, and puts those that fit into the inbox. Says of each
    /// what became of it, in their order.
    async fn some(&self, spooled: Vec<(Spooled, String)>) -> Result<Vec<StoredInstance>> {
        let paths: Vec<PathBuf> = spooled.iter().map(|(one, _)| one.path().to_owned()).collect();
        let looked = self.uploads.decoder.instances(&paths).await?;
        // Before a turn is taken: while storage is slow, none is held for it.
        let erased = self.erased(&looked).await?;
        let turn = self.reception.keeping.take(self.uploads.decoder.party()).await;
        let mut stored = Vec::with_capacity(spooled.len());
        let (mut arriving, mut refusals) = (Vec::new(), Vec::new());
        for (((one, syntax), looked), by) in spooled.iter().zip(looked).zip(erased) {
            let (told, failure) = match looked {
                Ok(told) => {
                    let begun = self.begun(&told, one, syntax, &by).await?;
                    (told, begun.map(|begun| arriving.push(begun)).err())
                }
                Err(refusal) => {
                    let failure = unread(&refusal);
                    refusals.push(refusal);
                    (DicomInstance::default(), Some(failure))
                }
            };
            stored.push(answered(told, failure));
        }
        if !arriving.is_empty() {
            let kept = keep_all(arriving).await;
            // Where it failed amid them, some are there.
            self.sender.news.notify_one();
            kept?;
        }
        drop(turn);
        for one in &stored {
            count_instance(if one.failure == 0 { "kept" } else { "refused" });
        }
        for refusal in refusals.iter().filter(|refusal| !passes(refusal)) {
            self.uploads.note(refusal, &self.header.site, &self.token).await;
        }
        Ok(stored)
    }

    /// What has come, for storage to judge whether it may come back.
    fn arrival(&self, told: &DicomInstance) -> Arrival {
        Arrival {
            patient: told.patient.clone(),
            study_uid: told.study.clone(),
            series_uid: told.series.clone(),
            original_sha256: String::new(),
            received_ms: self.reception.clock.now_ms(),
        }
    }

    /// Of each, because of which erasure it may not come back; empty: it may.
    async fn erased(&self, looked: &[Result<DicomInstance, Refusal>]) -> Result<Vec<String>> {
        let arrivals = looked.iter().flatten().map(|told| self.arrival(told)).collect();
        let found = self.uploads.find_erased(arrivals, &self.token).await?;
        let mut of_those_read = found.erasure_ids.into_iter();
        let by = |one: &Result<_, _>| one.as_ref().ok().and_then(|_| of_those_read.next());
        Ok(looked.iter().map(by).map(Option::unwrap_or_default).collect())
    }

    /// Why it is not taken, once that is in the audit trail: once for each series.
    async fn refused(&self, told: &DicomInstance, by: &str) -> Result<Failure> {
        let is_first = {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.insert(told.series.clone())
        };
        if is_first {
            let arrival = Some(self.arrival(told));
            let told = ErasedArrival { arrival, instances: 1, dropped: false };
            self.uploads.note_erased(told, &self.token).await?;
        }
        // An answer has 64 characters for it, and the reason says the rest.
        Ok(Failure { reason: NOT_AUTHORISED, words: format!("It was erased (erasure {by}).") })
    }

    /// Begins to put it into the inbox, all of it, unless it was erased `by` something; or says why not.
    async fn begun(
        &self,
        told: &DicomInstance,
        spooled: &Spooled,
        syntax: &str,
        by: &str,
    ) -> Result<Result<Arriving, Failure>> {
        if let Some(failure) = unfit(told, &self.header.study_uid, syntax) {
            return Ok(Err(failure));
        }
        if !by.is_empty() {
            return Ok(Err(self.refused(told, by).await?));
        }
        match self.written(told, spooled).await? {
            Ok(arriving) => Ok(Ok(arriving)),
            Err(NotTaken::TooLarge) => {
                Ok(Err(Failure::of(OUT_OF_RESOURCES, "It is larger than is taken.")))
            }
            Err(NotTaken::NoRoom(full)) => {
                let words = match full {
                    Full::Hospital | Full::Sender => {
                        "Your hospital's share of the room is full: send it again later."
                    }
                    Full::Inbox | Full::Disk => {
                        "There is no room for more instances now: send it again later."
                    }
                };
                Ok(Err(Failure::of(OUT_OF_RESOURCES, words)))
            }
            Err(NotTaken::Failed(error)) => Err(error),
        }
    }

    /// The head is the one that a scanner's instance gets: so the same instance is the same bytes by each door.
    async fn written(
        &self,
        told: &DicomInstance,
        spooled: &Spooled,
    ) -> Result<Result<Arriving, NotTaken>> {
        let head = part10::head(&told.sop_class, &told.sop_instance, &told.transfer_syntax);
        let inbox = &self.reception.inbox;
        let arriving = match inbox.begin(&self.sender.folder, &told.sop_instance, head) {
            Ok(arriving) => arriving,
            Err(why) => return Ok(Err(why)),
        };
        let mut arriving = arriving.of_series(series_digest(&told.study, &told.series));
        let mut file = File::open(spooled.path()).await.map_err(unusable)?;
        file.seek(SeekFrom::Start(told.data_set_at)).await.map_err(unusable)?;
        let mut chunk = vec![0; WRITE_BYTES];
        loop {
            let read = file.read(&mut chunk).await.map_err(unusable)?;
            if read == 0 {
                return Ok(Ok(arriving));
            }
            if let Err(why) = arriving.write(&chunk[..read]).await {
                return Ok(Err(why));
            }
        }
    }
}

/// Why one is not stored that cannot be read.
fn unread(refusal: &Refusal) -> Failure {
    let reason = if passes(refusal) { PROCESSING_FAILURE } else { CANNOT_UNDERSTAND };
    Failure { reason, words: refusal.detail.clone() }
}

/// Mostly that the decoder has too little time or memory is the machine's fault: it says nothing about the file.
fn passes(refusal: &Refusal) -> bool {
    refusal.problem == RefusalReason::TooLarge
}

fn answered(told: DicomInstance, failure: Option<Failure>) -> StoredInstance {
    let (failure, comment) =
        failure.map_or((0, String::new()), |failure| (failure.reason, failure.words));
    StoredInstance {
        sop_class: told.sop_class,
        sop_instance: told.sop_instance,
        study_uid: told.study,
        series_uid: told.series,
        failure: failure.into(),
        comment,
    }
}

impl Failure {
    fn of(reason: u16, words: &str) -> Failure {
        Failure { reason, words: words.to_owned() }
    }
}

/// Why an instance that can be read is not taken: `study` is the request's, and `syntax` the sender's word; empty: none.
fn unfit(told: &DicomInstance, study: &str, syntax: &str) -> Option<Failure> {
    for (uid, what) in [
        (&told.sop_class, "SOP Class"),
        (&told.sop_instance, "SOP Instance"),
        (&told.study, "Study Instance"),
        (&told.series, "Series Instance"),
    ] {
        if !is_uid(uid) {
            let words = format!("It has no {what} UID that is one.");
            return Some(Failure { reason: CANNOT_UNDERSTAND, words });
        }
    }
    if !study.is_empty() && told.study != study {
        let words = "It is of another study than the one that the address names.";
        return Some(Failure::of(MISMATCH, words));
    }
    if !told.is_slice {
        let words = "Its SOP class holds no slice: only images are analysed.";
        return Some(Failure::of(CLASS_NOT_SUPPORTED, words));
    }
    let known = imaging::transfer_syntaxes().contains(&told.transfer_syntax.as_str());
    if !known || (!syntax.is_empty() && syntax != told.transfer_syntax) {
        let words = if known {
            "Its part names another transfer syntax than its head."
        } else {
            "Its transfer syntax is not decoded here."
        };
        return Some(Failure::of(SYNTAX_NOT_SUPPORTED, words));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> DicomInstance {
        DicomInstance {
            study: "1.2".into(),
            series: "1.2.1".into(),
            sop_class: "1.2.840.10008.5.1.4.1.1.4".into(),
            sop_instance: "1.2.1.1".into(),
            transfer_syntax: "1.2.840.10008.1.2.1".into(),
            patient: "4711".into(),
            is_slice: true,
            data_set_at: 300,
        }
    }

    #[test]
    fn what_is_not_taken_is_told_why_by_the_standards_numbers() {
        let reason = |told: &DicomInstance, study: &str, syntax: &str| {
            unfit(told, study, syntax).map(|failure| failure.reason)
        };
        assert_eq!(reason(&instance(), "", ""), None);
        assert_eq!(reason(&instance(), "1.2", "1.2.840.10008.1.2.1"), None);
        assert_eq!(reason(&instance(), "1.3", ""), Some(0xa900));
        assert_eq!(reason(&instance(), "1.2", "1.2.840.10008.1.2"), Some(0xc122));
        let of = |change: fn(&mut DicomInstance)| {
            let mut changed = instance();
            change(&mut changed);
            reason(&changed, "", "")
        };
        assert_eq!(of(|one| one.is_slice = false), Some(0x0122));
        assert_eq!(of(|one| one.transfer_syntax = "1.2.840.10008.1.2.4.202".into()), Some(0xc122));
        let broken: [fn(&mut DicomInstance); 4] = [
            |one| one.study.clear(),
            |one| one.series = "series".into(),
            |one| one.sop_instance = "../../1".into(),
            |one| one.sop_class.clear(),
        ];
        for change in broken {
            assert_eq!(of(change), Some(0xc000));
        }
    }

    #[test]
    fn who_finds_no_room_at_all_is_told_to_come_back() {
        let one = |failure: u16| StoredInstance { failure: failure.into(), ..Default::default() };
        assert!(room_for_some(&[]).is_ok());
        assert!(room_for_some(&[one(0xa700), one(0)]).is_ok());
        assert!(room_for_some(&[one(0xa700), one(0xc000)]).is_ok());
        let none = room_for_some(&[one(0xa700), one(0xa700)]).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Exhausted);
    }
}
