//! One association: who calls is let in or told why not, and then instance after instance is taken.

mod commits;

use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, AssociationRJ, AssociationRJResult,
    AssociationRJServiceProviderASCEReason, AssociationRJServiceProviderPresentationReason,
    AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ, PDataValue, PDataValueType,
    Pdu, UserVariableItem,
};
use service::Share;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Door;
use super::commitment;
use super::contexts::{APPLICATION_CONTEXT, Context, negotiated};
use super::dimse::{COMMAND_BYTES_MAX, Command, Operation, Status, is_uid};
use super::inbox::{Arriving, Full, NotTaken};
use super::line::{Cut, Line};
use super::part10::{self, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use super::pending::Pending;
use super::report::{Report, Titles, unheard, values};
use super::senders::{Origin, Sender, Stranger};
use super::telling::{Ended, count_instance};
use super::tls::Shown;

/// The most that a request for an association may have: 128 contexts with all transfer syntaxes that there are.
const REQUEST_BYTES_MAX: u32 = 512 * 1024;
/// The head of a value within a PDU (PS3.8, 9.3.5.1).
const VALUE_HEAD_BYTES: u32 = 6;
/// What a response is cut into at most, where the other side says no bound: it is far shorter.
const RESPONSE_BYTES: u32 = 16 * 1024;
/// No value is cut shorter, whatever the other side says.
const RESPONSE_BYTES_MIN: u32 = 64;

/// How often it is looked whether what was asked is decided.
const LOOK: Duration = Duration::from_secs(1);
/// How long the other side may take to close a connection that has been ended.
const CLOSING: Duration = Duration::from_secs(5);

/// An association that was accepted.
struct Accepted<'a, S> {
    door: &'a Door,
    line: Line<S>,
    sender: Arc<Sender>,
    titles: &'a Titles,
    contexts: Vec<Context>,
    /// What a value of a response may have.
    value_bytes_max: usize,
    /// The command set that is under way, and in which context.
    command: (u8, Vec<u8>),
    open: Option<Open>,
    /// Whether the log says already that there is no room: one association may bring thousands.
    has_warned: bool,
    /// What was told and not heard yet.
    reports: &'a mut Vec<Report>,
    reported: u16,
    /// What was asked and is not decided yet, each with its context.
    pending: &'a mut Vec<(u8, Pending)>,
    _share: Share<String>,
}

/// A request whose data set is under way.
struct Open {
    context: u8,
    command: Command,
    taken: Taken,
}

/// Where a data set goes.
enum Taken {
    Instance(Box<Arriving>),
    /// A request for a commitment.
    Request(Vec<u8>),
    /// Nowhere: it is answered so once all of it has gone by.
    Refused(Status),
    /// Nowhere, and nobody waits for an answer.
    Passed,
}

/// Serves whoever has connected from there until one of both ends it.
pub async fn serve<S>(door: &Door, stream: S, origin: Origin, stop: &CancellationToken) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = Line::over(stream, door.idle);
    let request = match line.receive(REQUEST_BYTES_MAX).await {
        Ok(Pdu::AssociationRQ(request)) => request,
        Ok(_) => return abort(line, AbortRQServiceProviderReason::UnexpectedPdu).await,
        Err(Cut::Garbled) => {
            return abort(line, AbortRQServiceProviderReason::UnrecognizedPdu).await;
        }
        Err(_) => return Ended::Cut,
    };
    let (sender, share) = match admitted(door, &request, &origin).await {
        Ok(admitted) => admitted,
        Err(rejection) => {
            tracing::info!(
                calling = %shown(&request.calling_ae_title),
                reason = %rejection.source,
                "rejected an association"
            );
            if line.send(&Pdu::AssociationRJ(rejection)).await.is_ok() {
                line.close(CLOSING).await;
            }
            return Ended::Rejected;
        }
    };
    let titles =
        Titles { ours: request.called_ae_title.clone(), theirs: request.calling_ae_title.clone() };
    let report_to = sender.report_to.clone();
    let value_bytes_max = value_bytes_max(&request.user_variables);
    let (answer, contexts) = acceptance(request, door.pdu_bytes);
    if line.send(&answer).await.is_err() {
        return Ended::Cut;
    }
    let (mut reports, mut pending) = (Vec::new(), Vec::new());
    let accepted = Accepted {
        door,
        line,
        sender,
        titles: &titles,
        contexts,
        value_bytes_max,
        command: (0, Vec::new()),
        open: None,
        has_warned: false,
        reports: &mut reports,
        reported: 0,
        pending: &mut pending,
        _share: share,
    };
    let ended = accepted.until_its_end(stop).await;
    for (_, pending) in pending {
        door.tell_later(pending, report_to.clone(), stop);
    }
    unheard(reports, (report_to.as_ref(), &titles), door.idle, stop).await;
    ended
}

/// Who calls, with a place among those under way; or how they are rejected (PS3.8, 9.3.4).
async fn admitted(
    door: &Door,
    request: &AssociationRQ,
    origin: &Origin,
) -> Result<(Arc<Sender>, Share<String>), AssociationRJ> {
    use AssociationRJServiceProviderPresentationReason::{LocalLimitExceeded, TemporaryCongestion};
    use AssociationRJServiceUserReason::{
        ApplicationContextNameNotSupported, CalledAETitleNotRecognized, CallingAETitleNotRecognized,
    };
    let for_good = |source| AssociationRJ { result: AssociationRJResult::Permanent, source };
    let for_now = |reason| AssociationRJ {
        result: AssociationRJResult::Transient,
        source: AssociationRJSource::ServiceProviderPresentation(reason),
    };
    let user = |reason| for_good(AssociationRJSource::ServiceUser(reason));
    // Bit 0 is the only version that there is (PS3.8, 9.3.2).
    if request.protocol_version & 1 == 0 {
        let reason = AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported;
        return Err(for_good(AssociationRJSource::ServiceProviderASCE(reason)));
    }
    if request.application_context_name.trim_end_matches(['\0', ' ']) != APPLICATION_CONTEXT {
        return Err(user(ApplicationContextNameNotSupported));
    }
    let found = door.senders.find(&request.calling_ae_title, &request.called_ae_title, origin);
    let sender = found.map_err(|stranger| match stranger {
        Stranger::Calling => user(CallingAETitleNotRecognized),
        Stranger::Called => user(CalledAETitleNotRecognized),
        Stranger::Certificate => {
            tracing::warn!(
                calling = %shown(&request.calling_ae_title),
                certificate_sha256 = origin.certificate.as_ref().map(Shown::sha256),
                "whoever calls so shows no certificate of that sender's: see `certificates` in DICOM_SENDERS"
            );
            user(CallingAETitleNotRecognized)
        }
    })?;
    let most = door.associations;
    let share = door.under_way.take(sender.folder.clone(), |taken| {
        if taken.all() >= most {
            return Err(for_now(TemporaryCongestion));
        }
        // One sender has half of them: others come through.
        let fits = taken.of(&sender.folder) < most.div_ceil(2);
        if fits { Ok(()) } else { Err(for_now(LocalLimitExceeded)) }
    })?;
    if door.senders.is_barred(&sender).await {
        tracing::warn!(
            calling = sender.title(),
            "the API client of this sender may not send scans: see DICOM_SENDERS"
        );
        return Err(user(CallingAETitleNotRecognized));
    }
    if let Some(hospital) = sender.hospital() {
        door.reception.inbox.belongs(&sender.folder, hospital);
    }
    Ok((sender, share))
}

fn acceptance(request: AssociationRQ, pdu_bytes: u32) -> (Pdu, Vec<Context>) {
    let contexts = negotiated(request.presentation_contexts);
    let answer = Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        called_ae_title: request.called_ae_title,
        calling_ae_title: request.calling_ae_title,
        presentation_contexts: contexts.iter().map(Context::result).collect(),
        user_variables: vec![
            UserVariableItem::MaxLength(pdu_bytes),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    });
    (answer, contexts)
}

/// What a value of a response may have, by what the other side says of its PDUs; 0 is no bound.
fn value_bytes_max(said: &[UserVariableItem]) -> usize {
    let bound = said.iter().find_map(|item| match item {
        UserVariableItem::MaxLength(0) => None,
        UserVariableItem::MaxLength(bytes) => Some(*bytes),
        _ => None,
    });
    let value = bound.unwrap_or(RESPONSE_BYTES).min(RESPONSE_BYTES);
    value.saturating_sub(VALUE_HEAD_BYTES).max(RESPONSE_BYTES_MIN) as usize
}

/// A title as a log may say it: whoever calls has written it.
fn shown(title: &str) -> String {
    title.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect()
}

async fn abort<S>(mut line: Line<S>, reason: AbortRQServiceProviderReason) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = line.send(&Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) }).await;
    Ended::Cut
}

impl<S> Accepted<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn until_its_end(mut self, stop: &CancellationToken) -> Ended {
        use AbortRQServiceProviderReason::{ReasonNotSpecified, UnexpectedPdu, UnrecognizedPdu};
        let end = tokio::time::Instant::now() + self.door.association;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => {
                    abort(self.line, ReasonNotSpecified).await;
                    return Ended::Stopped;
                }
                () = tokio::time::sleep_until(end) => {
                    return abort(self.line, ReasonNotSpecified).await;
                }
                _ = looks.tick(), if !self.pending.is_empty() => {
                    if self.tell_decided().await.is_err() {
                        return Ended::Cut;
                    }
                    continue;
                }
                received = self.line.receive(self.door.pdu_bytes) => received,
            };
            match received {
                Ok(Pdu::PData { data }) => {
                    for value in data {
                        match self.take(value).await {
                            Ok(()) => {}
                            Err(Cut::Garbled) => return abort(self.line, UnexpectedPdu).await,
                            Err(_) => return Ended::Cut,
                        }
                    }
                }
                Ok(Pdu::ReleaseRQ) => {
                    let released = self.line.send(&Pdu::ReleaseRP).await;
                    self.line.close(CLOSING).await;
                    return if released.is_ok() { Ended::Released } else { Ended::Cut };
                }
                Ok(Pdu::AbortRQ { .. }) => return Ended::Aborted,
                Ok(_) => return abort(self.line, UnexpectedPdu).await,
                Err(Cut::Garbled) => return abort(self.line, UnrecognizedPdu).await,
                // It waits for us.
                Err(Cut::Idle) if !self.pending.is_empty() => {}
                Err(Cut::Idle) => return abort(self.line, ReasonNotSpecified).await,
                Err(Cut::Gone) => return Ended::Cut,
            }
        }
    }

    /// Takes the next piece of a message. `Garbled`: it belongs to none.
    async fn take(&mut self, value: PDataValue) -> Result<(), Cut> {
        let PDataValue { presentation_context_id: context, value_type, is_last, data } = value;
        match value_type {
            PDataValueType::Command => self.command_piece(context, &data, is_last).await,
            PDataValueType::Data => self.data_piece(context, &data, is_last).await,
        }
    }

    async fn command_piece(&mut self, context: u8, data: &[u8], last: bool) -> Result<(), Cut> {
        let (begun_in, bytes) = &mut self.command;
        let goes_on = bytes.is_empty() || *begun_in == context;
        if self.open.is_some() || !goes_on || bytes.len() + data.len() > COMMAND_BYTES_MAX {
            return Err(Cut::Garbled);
        }
        *begun_in = context;
        bytes.extend_from_slice(data);
        if !last {
            return Ok(());
        }
        let command = Command::read(&std::mem::take(bytes)).ok_or(Cut::Garbled)?;
        if command.operation() == Operation::Heard {
            self.heard(command.message_id()).await;
        }
        if command.has_data_set {
            let taken = match command.operation() {
                Operation::Heard => Taken::Passed,
                Operation::Action => self.begin_request(context, &command),
                _ => self
                    .begin(context, &command)
                    .map_or_else(Taken::Refused, |arriving| Taken::Instance(Box::new(arriving))),
            };
            self.open = Some(Open { context, command, taken });
            return Ok(());
        }
        match command.operation() {
            Operation::Echo => self.answer(context, &command, Status::SUCCESS).await,
            Operation::Store => self.answer(context, &command, Status::UNREADABLE).await,
            Operation::Action => self.answer(context, &command, Status::NO_REQUEST).await,
            Operation::Other => self.answer(context, &command, Status::UNKNOWN_OPERATION).await,
            Operation::Cancel | Operation::Heard => Ok(()),
        }
    }

    /// Begins to take what the request announces; or how it will be answered once all of it has gone by.
    fn begin(&mut self, context: u8, command: &Command) -> Result<Arriving, Status> {
        if command.operation() != Operation::Store {
            return Err(Status::UNKNOWN_OPERATION);
        }
        let context = self.contexts.iter().find(|one| one.id == context);
        let Some(Context { sop_class, transfer_syntax: Ok(syntax), .. }) = context else {
            return Err(Status::ANOTHER_CLASS);
        };
        if *sop_class != command.sop_class {
            return Err(Status::ANOTHER_CLASS);
        }
        if !is_uid(&command.sop_instance) || !is_uid(sop_class) {
            return Err(Status::NO_INSTANCE);
        }
        let head = part10::head(sop_class, &command.sop_instance, syntax);
        let inbox = &self.door.reception.inbox;
        let begun = inbox.begin(&self.sender.folder, &command.sop_instance, head);
        begun.map_err(|why| told(why, &self.sender, &mut self.has_warned))
    }

    async fn data_piece(&mut self, context: u8, data: &[u8], last: bool) -> Result<(), Cut> {
        let Some(open) = self.open.as_mut().filter(|open| open.context == context) else {
            return Err(Cut::Garbled);
        };
        let refused = match &mut open.taken {
            Taken::Instance(arriving) => {
                let refused = arriving.write(data).await.err();
                refused.map(|why| told(why, &self.sender, &mut self.has_warned))
            }
            Taken::Request(bytes) if bytes.len() + data.len() <= commitment::REQUEST_BYTES_MAX => {
                bytes.extend_from_slice(data);
                None
            }
            Taken::Request(_) => Some(Status::NO_REQUEST),
            Taken::Refused(_) | Taken::Passed => None,
        };
        if let Some(status) = refused {
            // What is there of it goes at once; the rest goes by.
            open.taken = Taken::Refused(status);
        }
        if !last {
            return Ok(());
        }
        let Some(Open { context, command, taken }) = self.open.take() else { return Ok(()) };
        let status = match taken {
            Taken::Instance(arriving) => {
                let failed = arriving.keep().await.err();
                let refused = failed.map(|why| told(why, &self.sender, &mut self.has_warned));
                refused.unwrap_or(Status::SUCCESS)
            }
            Taken::Request(bytes) => return self.commit(context, &command, &bytes).await,
            Taken::Refused(status) => status,
            Taken::Passed => return Ok(()),
        };
        if command.operation() == Operation::Store {
            let kept = status == Status::SUCCESS;
            count_instance(if kept { "kept" } else { "refused" });
            self.sender.news.notify_one();
        }
        self.answer(context, &command, status).await
    }

    async fn answer(&mut self, context: u8, to: &Command, status: Status) -> Result<(), Cut> {
        let response = to.response(status);
        for pdu in values(context, &PDataValueType::Command, &response, self.value_bytes_max) {
            self.line.send(&pdu).await?;
        }
        Ok(())
    }
}

/// How an instance that is not taken is answered. That there is no room is said in the log once, unless that was done.
fn told(why: NotTaken, sender: &Sender, has_warned: &mut bool) -> Status {
    match why {
        NotTaken::TooLarge => Status::TOO_LARGE,
        NotTaken::NoRoom(full) => {
            if !std::mem::replace(has_warned, true) {
                tracing::warn!(
                    calling = sender.title(),
                    tenant.id = sender.hospital().map(|hospital| hospital.to_string()),
                    full = full.name(),
                    "instances find no room: their sender is told to send them again later"
                );
            }
            if full == Full::Hospital { Status::SHARE_FULL } else { Status::NO_ROOM }
        }
        NotTaken::Failed(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an instance is not kept");
            Status::NO_ROOM
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_fits_what_the_other_side_takes() {
        let of = |bytes| value_bytes_max(&[UserVariableItem::MaxLength(bytes)]);
        assert_eq!([of(0), of(4096), of(u32::MAX), of(1)], [16_378, 4090, 16_378, 64]);
        assert_eq!(value_bytes_max(&[]), 16_378);
    }

    #[test]
    fn a_title_is_logged_without_what_a_terminal_would_obey() {
        assert_eq!(shown("MR\u{1b}[31m 1\n"), "MR[31m 1");
    }
}
