//! What one sender has sent: instances are put into their series, and a series that is complete goes the way of every upload.

mod asks;
mod end;
mod erased;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::limits::UPLOAD_FILES_MAX;
use domain::{ErrorKind, Result, hex};
use futures::{FutureExt, StreamExt, stream};
use imaging::{Refusal, RefusalReason};
use platform::trail::{self, Circumstances};
use proto::ingest::UploadHeader;
use proto::storage::BatchEntry;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::blocking;
use super::inbox::Instance;
use super::outcome::{Became, OfScans, Outcome};
use super::reception::Reception;
use super::senders::{Acting, Sender};
use super::telling::{count_instance, count_series, tell_room};
use crate::decoder::TOGETHER;
use crate::rpc::refused;
use crate::series_choice::MARKED;
use crate::spool::{Received, Spooled};
use crate::upload::{Taken, Uploads};

/// How often it is looked for what has come.
const TICK: Duration = Duration::from_millis(500);
/// How often it is looked whether a caller can be forgotten of whom nothing is here.
const RETIRES: Duration = Duration::from_secs(60);
/// How long is waited after something has failed that may pass; each time twice as long, up to so many times.
const RETRY_MS: i64 = 10_000;
const DOUBLED_MAX: u32 = 6;
/// How often an instance is looked at, and a series decoded, for which the decoder has too little time or memory: mostly that is
/// the machine's fault, and what is refused for good is not looked at again when it is sent again.
const LOOKS_MAX: u32 = 3;
/// How long what is in hand may take once this process is told to stop; what is dropped is done again.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Puts together what that sender sends, until it is told to stop, or nothing more is known of a caller.
pub async fn gathered(
    reception: Arc<Reception>,
    sender: Arc<Sender>,
    stop: CancellationToken,
) -> Result<()> {
    let mut gathering = Gathering::of(reception, sender).await?;
    while !stop.is_cancelled() {
        stop.run_until_cancelled(gathering.step()).await;
        if stop.run_until_cancelled(gathering.has_retired()).await == Some(true) {
            break;
        }
        stop.run_until_cancelled(gathering.pause()).await;
    }
    let mut working = gathering.working;
    let last = async { while working.join_next().await.is_some() {} };
    let _ = timeout(LAST_WORK, last).await;
    Ok(())
}

struct Gathering {
    reception: Arc<Reception>,
    sender: Arc<Sender>,
    series: HashMap<String, Known>,
    working: JoinSet<Done>,
    /// Instances that the decoder had too little time or memory for, and how often.
    doubtful: HashMap<PathBuf, u32>,
    /// Nothing is looked at before: something is away.
    paused_ms: i64,
    pauses: u32,
    /// Storage is not asked before whether anything else was erased.
    asks_ms: i64,
}

/// What is known of a series.
struct Known {
    touched_ms: i64,
    /// Rises with each instance.
    version: u64,
    in_hand: bool,
    tries: u32,
    not_before_ms: i64,
    /// When something was made of all that has come.
    settled_ms: Option<i64>,
    /// Somebody knows that all of it has come.
    is_complete: bool,
    /// The study, once somebody has asked; empty: its instances do not say.
    study: Option<String>,
    /// What was erased when it was last looked whether this was; empty: it was not.
    looked: String,
}

struct Done {
    series: String,
    version: u64,
    settled_ms: Result<i64>,
}

impl Gathering {
    /// With what an earlier process has left: each series is waited for anew.
    async fn of(reception: Arc<Reception>, sender: Arc<Sender>) -> Result<Gathering> {
        let (inbox, folder) = (reception.inbox.clone(), sender.folder.clone());
        let left = blocking(move || inbox.series(&folder)).await?;
        let now_ms = reception.clock.now_ms();
        let series = left.into_iter().map(|series| (series, Known::touched(now_ms))).collect();
        let (working, doubtful) = (JoinSet::new(), HashMap::new());
        let (paused_ms, pauses, asks_ms) = (i64::MIN, 0, i64::MIN);
        Ok(Gathering { reception, sender, series, working, doubtful, paused_ms, pauses, asks_ms })
    }

    /// Waits until there may be something to do.
    async fn pause(&self) {
        if self.series.is_empty() && self.pauses == 0 {
            let news = self.sender.news.notified();
            if self.sender.is_caller() {
                let _ = timeout(RETIRES, news).await;
            } else {
                news.await;
            }
        } else {
            tokio::time::sleep(TICK).await;
        }
    }

    async fn step(&mut self) {
        // Before it is looked at what has come: all that came earlier is in its series when it is asked which are complete.
        let now_ms = self.reception.clock.now_ms();
        while let Some(done) = self.working.try_join_next() {
            if let Ok(done) = done {
                self.note(done, now_ms);
            }
        }
        if now_ms >= self.paused_ms {
            match self.file_arrived(now_ms).await {
                Ok(()) => self.pauses = 0,
                Err(error) => {
                    self.paused_ms = now_ms + pause_ms(self.pauses);
                    self.pauses += 1;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        calling = self.sender.title(),
                        "instances wait for their series"
                    );
                }
            }
        }
        let all_filed = self.pauses == 0;
        self.answer_asks(all_filed).await;
        if let Err(error) = self.drop_erased(now_ms).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                calling = self.sender.title(),
                "it cannot be told now whether something here was erased"
            );
        }
        if all_filed {
            self.begin_complete(now_ms);
        }
        if let Err(error) = self.give_up(now_ms).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what nobody can hand on was not removed"
            );
        }
        if let Err(error) = self.remove_expired(now_ms).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a series that is done was not removed"
            );
        }
        tell_room(self.reception.inbox.bytes());
    }

    /// Puts all that has come into its series. Stops at the first that cannot be looked at now: nothing is complete without it.
    async fn file_arrived(&mut self, now_ms: i64) -> Result<()> {
        let (inbox, folder) = (self.reception.inbox.clone(), self.sender.folder.clone());
        let arrived = blocking(move || inbox.arrived(&folder)).await?;
        self.doubtful.retain(|path, _| arrived.contains(path));
        if arrived.is_empty() {
            return Ok(());
        }
        let Acting { tenant, .. } = self.reception.acting(&self.sender).await?;
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for path in arrived {
            match self.reception.inbox.known_series(&path) {
                Some(series) => known.push((series, path)),
                None => unknown.push(path),
            }
        }
        self.file(known, now_ms).await?;
        let decoder = self.reception.uploads.decoder.of(tenant);
        let at_a_time = decoder.at_a_time();
        let groups: Vec<Vec<PathBuf>> = unknown.chunks(TOGETHER).map(<[PathBuf]>::to_vec).collect();
        let looked = stream::iter(groups).map(move |paths| {
            let decoder = decoder.clone();
            async move {
                let told = decoder.series(&paths).await;
                (paths, told)
            }
        });
        let mut looked = pin!(looked.buffered(at_a_time));
        while let Some((paths, told)) = looked.next().await {
            self.file_looked(paths.into_iter().zip(told?), now_ms).await?;
        }
        Ok(())
    }

    /// Puts into their series what the jail has looked at, each with what it told.
    async fn file_looked(
        &mut self,
        looked: impl Iterator<Item = (PathBuf, Result<Option<String>, Refusal>)>,
        now_ms: i64,
    ) -> Result<()> {
        let (mut arrived, mut all_looked) = (Vec::new(), Ok(()));
        for (path, told) in looked {
            match told {
                Ok(Some(series)) if is_digest(&series) => arrived.push((series, path)),
                Ok(None) => self.discard(path).await?,
                Err(refusal) if refusal.problem == RefusalReason::TooLarge => {
                    all_looked = self.require_look(&path);
                    if all_looked.is_err() {
                        break;
                    }
                    arrived.push((alone(&path), path));
                }
                // What cannot be read goes the same way, and is refused there.
                Ok(Some(_)) | Err(_) => arrived.push((alone(&path), path)),
            }
        }
        self.file(arrived, now_ms).await?;
        all_looked
    }

    /// Fails where the instance is to be looked at once more, later.
    fn require_look(&mut self, path: &Path) -> Result<()> {
        let looks = self.doubtful.entry(path.to_owned()).or_default();
        *looks += 1;
        if *looks < LOOKS_MAX {
            return Err(ErrorKind::Unavailable.error("an instance could not be looked at now"));
        }
        self.doubtful.remove(path);
        Ok(())
    }

    async fn file(&mut self, arrived: Vec<(String, PathBuf)>, now_ms: i64) -> Result<()> {
        if arrived.is_empty() {
            return Ok(());
        }
        let (inbox, folder) = (self.reception.inbox.clone(), self.sender.folder.clone());
        let (filed, all_filed) = blocking(move || Ok(inbox.file(&folder, arrived))).await?;
        for series in filed {
            let known = self.series.entry(series).or_insert_with(|| Known::touched(now_ms));
            let (version, in_hand, study) = (known.version + 1, known.in_hand, known.study.take());
            *known = Known { version, in_hand, study, ..Known::touched(now_ms) };
        }
        all_filed
    }

    /// What holds no slice, whatever its class, is for nothing here.
    async fn discard(&self, path: PathBuf) -> Result<()> {
        let (inbox, folder) = (self.reception.inbox.clone(), self.sender.folder.clone());
        blocking(move || inbox.discard(&folder, &path)).await?;
        count_instance("no_image");
        Ok(())
    }

    /// Hands on those that have been quiet for long enough, or of which it is known that all is there.
    fn begin_complete(&mut self, now_ms: i64) {
        let at_a_time = self.reception.uploads.decoder.at_a_time();
        let complete = self.series.iter_mut().filter(|(_, known)| {
            let quiet = now_ms - known.touched_ms >= self.reception.quiet_ms;
            (quiet || known.is_complete)
                && !known.in_hand
                && known.settled_ms.is_none()
                && now_ms >= known.not_before_ms
        });
        for (series, known) in complete.take(at_a_time.saturating_sub(self.working.len())) {
            known.in_hand = true;
            let (reception, sender) = (self.reception.clone(), self.sender.clone());
            let (series, version, tries) = (series.clone(), known.version, known.tries);
            self.working.spawn(async move {
                let settling = reception.settle(&sender, &series, tries);
                // Where it came from, as the audit trail says it: what the sender calls itself.
                let asked = Circumstances::new(sender.title().to_owned(), String::new());
                let settling = trail::asked(asked, settling);
                let settling = AssertUnwindSafe(settling).catch_unwind().await;
                let panicked = |_| Err(ErrorKind::Internal.error("making a scan panicked"));
                Done { series, version, settled_ms: settling.unwrap_or_else(panicked) }
            });
        }
    }

    fn note(&mut self, done: Done, now_ms: i64) {
        let Some(known) = self.series.get_mut(&done.series) else { return };
        known.in_hand = false;
        match done.settled_ms {
            Ok(at_ms) if known.version == done.version => known.settled_ms = Some(at_ms),
            // Something of it has come meanwhile: when it is quiet again, there will be a new version.
            Ok(_) => {}
            Err(error) => {
                known.not_before_ms = now_ms + pause_ms(known.tries);
                known.tries += 1;
                count_series("failed");
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    calling = self.sender.title(),
                    "a series is complete and cannot be handed on yet"
                );
            }
        }
    }

    async fn remove_expired(&mut self, now_ms: i64) -> Result<()> {
        let kept_ms = self.reception.kept_ms;
        let has_expired = |known: &Known| {
            !known.in_hand
                && known.settled_ms.is_some_and(|at_ms| at_ms.saturating_add(kept_ms) <= now_ms)
        };
        let expired = self.series.iter().filter(|(_, known)| has_expired(known));
        let expired: Vec<String> = expired.map(|(series, _)| series.clone()).collect();
        for series in expired {
            let (inbox, folder, of) =
                (self.reception.inbox.clone(), self.sender.folder.clone(), series.clone());
            blocking(move || inbox.remove(&folder, &of)).await?;
            self.series.remove(&series);
        }
        Ok(())
    }
}

impl Known {
    fn touched(now_ms: i64) -> Known {
        Known {
            touched_ms: now_ms,
            version: 0,
            in_hand: false,
            tries: 0,
            not_before_ms: i64::MIN,
            settled_ms: None,
            is_complete: false,
            study: None,
            looked: String::new(),
        }
    }
}

impl Reception {
    /// Makes of a series what an upload of its files would have become, unless that was done; says when it was.
    ///
    /// A crash between the scan and the note of it makes no second one: the key is of the instances. `tries`: how often it has
    /// failed.
    async fn settle(&self, sender: &Sender, series: &str, tries: u32) -> Result<i64> {
        let (inbox, folder, of) = (self.inbox.clone(), sender.folder.clone(), series.to_owned());
        let note = inbox.note(&folder, &of);
        let at = note.clone();
        let (instances, noted, received_ms) = blocking(move || {
            let instances = inbox.instances(&folder, &of)?;
            let oldest_ms = inbox.oldest_ms(&folder, &of)?.unwrap_or_default();
            Ok((instances, Outcome::load(&at)?, oldest_ms))
        })
        .await?;
        if let Some(outcome) = noted.filter(|outcome| has_all(outcome, &instances)) {
            return Ok(outcome.at_ms);
        }
        if instances.is_empty() {
            return Ok(self.clock.now_ms());
        }
        let (became, accepted) = self.made_of(sender, &instances, (tries, received_ms)).await?;
        count_series(became.name());
        tracing::info!(
            calling = sender.title(),
            instances = instances.len(),
            became = became.name(),
            "a series is complete"
        );
        let instances = instances.into_iter().map(|instance| instance.sha256).collect();
        let outcome = Outcome { instances, at_ms: self.clock.now_ms(), became, accepted };
        blocking(move || outcome.save(&note).map(|()| outcome.at_ms)).await
    }

    /// What they have become, and of a batch the digests of those that a scan has.
    async fn made_of(
        &self,
        sender: &Sender,
        instances: &[Instance],
        (tries, received_ms): (u32, i64),
    ) -> Result<(Became, Vec<String>)> {
        let Acting { token, tenant } = self.acting(sender).await?;
        let uploads = self.uploads.of(tenant);
        let bytes: u64 = instances.iter().map(|instance| instance.bytes).sum();
        if instances.len() > UPLOAD_FILES_MAX || bytes > self.upload_bytes {
            let refusal = RefusalReason::TooLarge.refuse("The series is larger than an upload.");
            uploads.note(&refusal, &sender.site, &token).await;
            return Ok((Became::Refused(refused(refusal).problem), Vec::new()));
        }
        let received = received(&uploads, instances).await?;
        let header = UploadHeader { received_ms, ..header(&received, &sender.site) };
        match uploads.take_received(&received, &header, &token).await {
            Ok(Ok(Taken::Scan(scan))) => Ok((Became::Scan(scan.id), Vec::new())),
            Ok(Ok(Taken::Batch(batch))) => {
                let accepted = accepted(&batch.entries, instances);
                Ok((Became::Batch(batch.id), accepted))
            }
            Ok(Err(refusal)) if is_final(refusal.problem, tries) => {
                uploads.note(&refusal, &sender.site, &token).await;
                Ok((Became::Refused(refused(refusal).problem), Vec::new()))
            }
            Ok(Err(_)) => Err(ErrorKind::Unavailable.error("a series could not be decoded now")),
            // The key is of the bytes and of all that is stated: it was used for nothing else.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok((Became::Deleted, Vec::new())),
            Err(error) => Err(error),
        }
    }
}

/// The instances as the files of one upload: the same ones are the same bytes, in whichever order they came.
async fn received(uploads: &Uploads, instances: &[Instance]) -> Result<Received> {
    let spooled =
        |instance: &Instance| Spooled::lying_at(instance.path.clone(), instance.sha256.clone());
    if let [one] = instances {
        return Ok(Received::One(spooled(one)));
    }
    let file = |instance: &Instance| (file_name(&instance.sop_instance), spooled(instance));
    Ok(Received::Several(uploads.spool.pack(instances.iter().map(file).collect()).await?))
}

/// What an instance is called in the upload of its series.
pub fn file_name(sop_instance: &str) -> String {
    format!("{sop_instance}.dcm")
}

/// The digests of those instances of which it is sure that a scan has them.
fn accepted(entries: &[BatchEntry], instances: &[Instance]) -> Vec<String> {
    let of_scans = OfScans::of(entries);
    let is_accepted = |one: &&Instance| of_scans.has(&file_name(&one.sop_instance));
    instances.iter().filter(is_accepted).map(|one| one.sha256.clone()).collect()
}

fn header(received: &Received, site: &str) -> UploadHeader {
    let (Received::One(spooled) | Received::Several(spooled)) = received;
    UploadHeader {
        // What is stated beside it is part of it: nobody finds a scan of another site.
        idempotency_key: format!("dicom {} {site}", spooled.sha256),
        site: site.to_owned(),
        series: MARKED.to_owned(),
        ..UploadHeader::default()
    }
}

/// Whether a series that is refused for that reason, and has failed so often before, is not decoded again.
fn is_final(problem: RefusalReason, tries: u32) -> bool {
    problem != RefusalReason::TooLarge || tries.saturating_add(1) >= LOOKS_MAX
}

/// Whether something was made of all of them. Fewer than were there are what is left of a series that is being removed.
fn has_all(outcome: &Outcome, instances: &[Instance]) -> bool {
    let known: HashSet<&String> = outcome.instances.iter().collect();
    instances.iter().all(|instance| known.contains(&instance.sha256))
}

/// Whether that can name a folder: a decoder that was taken over may say anything.
fn is_digest(series: &str) -> bool {
    series.len() == 64 && series.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The series of an instance that says none, or cannot be read: its own.
fn alone(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    hex(&Sha256::digest(format!("alone {name}")))
}

fn pause_ms(times: u32) -> i64 {
    RETRY_MS << times.min(DOUBLED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_a_digest_and_by_nothing_else_that_a_decoder_may_say() {
        assert!(is_digest(&alone(Path::new("1.2.dcm"))));
        for other in ["", "..", "../../x", &"A".repeat(64), &"0".repeat(63), &"0".repeat(65)] {
            assert!(!is_digest(other), "{other}");
        }
        assert_ne!(alone(Path::new("1.dcm")), alone(Path::new("2.dcm")));
    }

    #[test]
    fn who_is_away_is_asked_less_and_less_often_and_never_given_up() {
        assert_eq!(pause_ms(0), 10_000);
        assert_eq!((pause_ms(1), pause_ms(6), pause_ms(u32::MAX)), (20_000, 640_000, 640_000));
    }

    #[test]
    fn what_the_machine_may_be_at_fault_for_is_decoded_again_and_nothing_else() {
        let fates = [0, 1, 2, u32::MAX].map(|tries| is_final(RefusalReason::TooLarge, tries));
        assert_eq!(fates, [false, false, true, true]);
        assert!(is_final(RefusalReason::Corrupt, 0) && is_final(RefusalReason::UnevenSlices, 0));
    }

    #[test]
    fn what_comes_late_is_news_and_what_is_left_is_not() {
        let instance = |sha256: &str| Instance {
            path: PathBuf::new(),
            sop_instance: "1.2".into(),
            sha256: sha256.into(),
            bytes: 1,
        };
        let instances = ["a".to_owned(), "b".to_owned()].to_vec();
        let became = Became::Scan("x".into());
        let outcome = Outcome { instances, at_ms: 0, became, accepted: Vec::new() };
        assert!(has_all(&outcome, &[instance("a"), instance("b")]));
        assert!(has_all(&outcome, &[instance("b")]) && has_all(&outcome, &[]));
        assert!(!has_all(&outcome, &[instance("a"), instance("b"), instance("c")]));
        assert!(!has_all(&outcome, &[instance("a"), instance("changed")]));
    }

    #[test]
    fn of_a_batch_only_those_are_kept_that_an_accepted_entry_names() {
        let instance = |uid: &str| Instance {
            path: PathBuf::new(),
            sop_instance: uid.into(),
            sha256: format!("digest of {uid}"),
            bytes: 1,
        };
        let entry = |name: &str, scan_id: &str| BatchEntry {
            name: name.into(),
            scan_id: scan_id.into(),
            ..BatchEntry::default()
        };
        let instances = ["1.1", "1.2", "1.3"].map(instance);
        let whole = [entry("1.1.dcm … 1.2.dcm (2 files)", "a"), entry("1.3.dcm", "b")];
        assert_eq!(accepted(&whole, &instances).len(), 3);
        let part = [entry("1.1.dcm", "a"), entry("1.2.dcm … 1.3.dcm (2 files)", "")];
        assert_eq!(accepted(&part, &instances), ["digest of 1.1"]);
        assert_eq!(accepted(&[], &instances), [""; 0]);

        let digests = instances.map(|one| one.sha256).to_vec();
        let of = |became, accepted: &[&str]| Outcome {
            instances: digests.clone(),
            at_ms: 0,
            became,
            accepted: accepted.iter().map(|&digest| digest.to_owned()).collect(),
        };
        let kept = |outcome: &Outcome| outcome.kept().values().filter(|kept| **kept).count();
        assert_eq!(kept(&of(Became::Scan("x".into()), &[])), 3);
        assert_eq!(kept(&of(Became::Batch("x".into()), &["digest of 1.1"])), 1);
        assert_eq!(kept(&of(Became::Batch("x".into()), &[])), 0);
        assert_eq!(kept(&of(Became::Refused("corrupt".into()), &[])), 0);
        assert_eq!(kept(&of(Became::Deleted, &[])), 0);
    }

    #[test]
    fn a_note_of_before_is_read_and_promises_nothing_of_a_batch() {
        let note = r#"{"instances": ["a"], "at_ms": 7, "became": {"Batch": "x"}}"#;
        let read: Outcome = serde_json::from_str(note).unwrap();
        assert_eq!(read.kept().get("a"), Some(&false));
    }
}
