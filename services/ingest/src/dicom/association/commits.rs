//! Commitments within an association (PS3.4, annex J): requested by N-ACTION, reported by N-EVENT-REPORT.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Accepted, Taken};
use crate::dicom::commitment::{self, Asked};
use crate::dicom::dimse::{Command, Status};
use crate::dicom::line::Cut;
use crate::dicom::pending::Pending;
use crate::dicom::report::Report;

/// Reports that nobody has heard: whoever asks for more of them does not listen.
const REPORTS_MAX: usize = 16;
/// Requests of one sender that are not decided: they lie in memory, too, and most are of a series or a study each.
const REQUESTS_MAX: usize = 64;

impl<S> Accepted<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Begins to take a request for a commitment.
    pub(super) fn begin_request(&self, context: u8, command: &Command) -> Taken {
        let context = self.contexts.iter().find(|one| one.id == context);
        let negotiated = context.is_some_and(|context| {
            context.sop_class == commitment::CLASS && context.transfer_syntax.is_ok()
        });
        if !negotiated || command.sop_class != commitment::CLASS {
            // Of the services that take no instances (PS3.7, 10.1.4.1.10).
            return Taken::Refused(Status::NO_SUCH_CLASS);
        }
        if command.sop_instance != commitment::WELL_KNOWN {
            return Taken::Refused(Status::NOT_WELL_KNOWN);
        }
        if command.action != Some(commitment::REQUEST) {
            return Taken::Refused(Status::NO_SUCH_ACTION);
        }
        Taken::Request(Vec::new())
    }

    /// Answers a request for a commitment, and reports what has come of it as soon as that is decided: mostly when the series that
    /// it is about have become scans.
    pub(super) async fn commit(
        &mut self,
        context: u8,
        to: &Command,
        request: &[u8],
    ) -> Result<(), Cut> {
        let Some(asked) = Asked::read(request) else {
            return self.answer(context, to, Status::NO_REQUEST).await;
        };
        let share = self.door.asked.take(self.sender.folder.clone(), |taken| {
            if taken.of(&self.sender.folder) < REQUESTS_MAX { Ok(()) } else { Err(()) }
        });
        let (Ok(share), true) = (share, self.reports.len() < REPORTS_MAX) else {
            return self.answer(context, to, Status::FAILED).await;
        };
        let reception = &self.door.reception;
        let mut pending = Pending::of(asked, &self.sender, self.titles, reception, share);
        // Nobody else can be told once this association is gone.
        if self.sender.report_to.is_some()
            && let Err(error) = pending.keep(reception).await
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a request for a commitment is not kept"
            );
            return self.answer(context, to, Status::FAILED).await;
        }
        self.pending.push((context, pending));
        self.answer(context, to, Status::SUCCESS).await?;
        self.tell_decided().await
    }

    /// The other side has heard the report that it names.
    pub(super) async fn heard(&mut self, message_id: u16) {
        let heard = self.reports.iter().position(|report| report.message_id == message_id);
        if let Some(at) = heard {
            self.reports.remove(at).forget().await;
        }
    }

    /// Reports what is decided of what was asked.
    pub(super) async fn tell_decided(&mut self) -> Result<(), Cut> {
        let door = self.door;
        let mut at = 0;
        while let Some((context, pending)) = self.pending.get_mut(at) {
            let context = *context;
            let decided = pending.decided(&door.reception).await;
            let Some(commitment) = decided else {
                at += 1;
                continue;
            };
            self.reported = self.reported.wrapping_add(1);
            // Before a word of it is said: whoever hangs up then is told elsewhere.
            let (_, pending) = self.pending.remove(at);
            let note = pending.into_note();
            let report = Report { message_id: self.reported, commitment, note };
            let message = report.message(context, self.value_bytes_max);
            self.reports.push(report);
            for pdu in message {
                self.line.send(&pdu).await?;
            }
        }
        Ok(())
    }
}
