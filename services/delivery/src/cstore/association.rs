//! One association, from its request to its release, in which instances are stored one after the other.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, AssociationRJResult, AssociationRQ,
    PDataValue, PDataValueType, Pdu, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem, read_pdu, write_pdu,
};
use report::dicom::{Instance, TRANSFER_SYNTAXES};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::Titles;
use super::dimse::{COMMAND_BYTES_MAX, request, status};

const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// As the door of ingest and the objects of results name this software: a UUID of our own under 2.25.
const IMPLEMENTATION_CLASS_UID: &str = "2.25.188272192349605704448127378368375081193";
const IMPLEMENTATION_VERSION_NAME: &str = "MEDSEG";

/// What a PDU that we are sent may have: answers are far shorter.
const PDU_BYTES_MAX: u32 = 64 * 1024;
/// What a value is cut into at most, whatever the other side takes.
const VALUE_BYTES_MAX: u32 = 128 * 1024;
/// The head of a value within a PDU (PS3.8, 9.3.5.1); no value is cut shorter than the second.
const VALUE_HEAD_BYTES: u32 = 6;
const VALUE_BYTES_MIN: u32 = 64;
const READ_BYTES: usize = 16 * 1024;

/// How long the other side may take to say whether it takes part, to take or send a PDU, to answer once it has all of an instance, and
/// to release.
const NEGOTIATED_WITHIN: Duration = Duration::from_secs(30);
const PDU_WITHIN: Duration = Duration::from_secs(30);
const STORED_WITHIN: Duration = Duration::from_secs(60);
const RELEASED_WITHIN: Duration = Duration::from_secs(5);

/// What became of one class of objects in the negotiation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Context {
    /// It is taken, in that context and transfer syntax.
    Accepted(u8, &'static str),
    /// It is not, for that reason.
    Refused(String),
}

/// An association that the other side has accepted.
pub struct Association<S> {
    stream: S,
    received: BytesMut,
    answer: AssociationAC,
    classes: Vec<String>,
    value_bytes_max: usize,
    message_id: u16,
}

/// The context in which a class is offered in a transfer syntax: one for each, because of several syntaxes in one context the other side
/// picks, and may pick the worse one. Odd numbers, as contexts have (PS3.8, 9.3.2.2).
fn context_id(class: usize, syntax: usize) -> u8 {
    (1 + 2 * (class * TRANSFER_SYNTAXES.len() + syntax)) as u8
}

impl<S: AsyncRead + AsyncWrite + Unpin> Association<S> {
    /// Asks for an association in which objects of these classes, at most 32, are stored; or in words why there is none.
    pub async fn open(
        stream: S,
        titles: Titles<'_>,
        classes: Vec<String>,
    ) -> Result<Association<S>, String> {
        let mut line = (stream, BytesMut::new());
        send(&mut line.0, &proposal(titles, &classes)).await?;
        let answer = receive(&mut line.0, &mut line.1, NEGOTIATED_WITHIN).await?;
        let answer = match answer {
            Pdu::AssociationAC(answer) => answer,
            Pdu::AssociationRJ(rejection) => {
                let how = match rejection.result {
                    AssociationRJResult::Permanent => "it rejects the association",
                    AssociationRJResult::Transient => "it rejects the association for now",
                };
                return Err(format!("{how}: {}", rejection.source));
            }
            Pdu::AbortRQ { .. } => return Err("it aborted the association".to_owned()),
            _ => return Err(NO_DICOM.to_owned()),
        };
        let value_bytes_max = value_bytes_max(&answer.user_variables);
        let (stream, received) = line;
        Ok(Association { stream, received, answer, classes, value_bytes_max, message_id: 0 })
    }

    /// Whether objects of that class are taken.
    pub fn context(&self, class: &str) -> Context {
        let at = self.classes.iter().position(|own| own == class);
        at.map_or_else(
            || Context::Refused("it was not offered".to_owned()),
            |at| chosen(at, &self.answer.presentation_contexts),
        )
    }

    /// Stores an instance in an accepted context: the status that it is answered with, or in words why there is none.
    pub async fn store(
        &mut self,
        (context, syntax): (u8, &str),
        instance: &Instance,
    ) -> Result<u16, String> {
        let data_set = instance.data_set(syntax).map_err(|error| error.to_string())?;
        self.message_id = self.message_id.wrapping_add(1);
        let command = request(self.message_id, &instance.class, &instance.uid);
        for (bytes, value_type) in
            [(command, PDataValueType::Command), (data_set, PDataValueType::Data)]
        {
            self.send_value(context, value_type, &bytes).await?;
        }
        let response = self.response(context).await?;
        status(&response, self.message_id).ok_or_else(|| NO_DICOM.to_owned())
    }

    async fn send_value(
        &mut self,
        context: u8,
        value_type: PDataValueType,
        bytes: &[u8],
    ) -> Result<(), String> {
        let mut pieces = bytes.chunks(self.value_bytes_max).peekable();
        while let Some(piece) = pieces.next() {
            let value = PDataValue {
                presentation_context_id: context,
                value_type: value_type.clone(),
                is_last: pieces.peek().is_none(),
                data: piece.to_vec(),
            };
            send(&mut self.stream, &Pdu::PData { data: vec![value] }).await?;
        }
        Ok(())
    }

    /// The command set that is answered with.
    async fn response(&mut self, context: u8) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        loop {
            let pdu = receive(&mut self.stream, &mut self.received, STORED_WITHIN).await?;
            let values = match pdu {
                Pdu::PData { data } => data,
                Pdu::AbortRQ { .. } => return Err("it aborted the association".to_owned()),
                Pdu::ReleaseRQ => return Err("it wanted to end before it answered".to_owned()),
                _ => return Err(NO_DICOM.to_owned()),
            };
            for value in values {
                let fits = value.presentation_context_id == context
                    && value.value_type == PDataValueType::Command
                    && bytes.len() + value.data.len() <= COMMAND_BYTES_MAX;
                if !fits {
                    return Err(NO_DICOM.to_owned());
                }
                bytes.extend_from_slice(&value.data);
                if value.is_last {
                    return Ok(bytes);
                }
            }
        }
    }

    /// Ends it in order. What was stored is stored, whether the other side answers or not.
    pub async fn release(mut self) {
        if send(&mut self.stream, &Pdu::ReleaseRQ).await.is_ok() {
            let _ = receive(&mut self.stream, &mut self.received, RELEASED_WITHIN).await;
        }
        let _ = timeout(RELEASED_WITHIN, self.stream.shutdown()).await;
    }

    /// Ends it where the other side does not say what it should.
    pub async fn abort(mut self) {
        let reason = AbortRQServiceProviderReason::ReasonNotSpecified;
        let abort = Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) };
        let _ = send(&mut self.stream, &abort).await;
        let _ = timeout(RELEASED_WITHIN, self.stream.shutdown()).await;
    }
}

const NO_DICOM: &str = "it answered something else than DICOM";

fn proposal(titles: Titles<'_>, classes: &[String]) -> Pdu {
    let contexts = classes.iter().enumerate().flat_map(|(at, class)| {
        TRANSFER_SYNTAXES.iter().enumerate().map(move |(syntax, uid)| PresentationContextProposed {
            id: context_id(at, syntax),
            abstract_syntax: class.clone(),
            transfer_syntaxes: vec![(*uid).to_owned()],
        })
    });
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: titles.calling.to_owned(),
        called_ae_title: titles.called.to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: contexts.collect(),
        user_variables: vec![
            UserVariableItem::MaxLength(PDU_BYTES_MAX),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
        ],
    })
}

/// Of the contexts in which a class was offered the first that is accepted, in the order of [`TRANSFER_SYNTAXES`].
fn chosen(class: usize, results: &[PresentationContextResult]) -> Context {
    let mut why = "it said nothing of it".to_owned();
    for (at, &syntax) in TRANSFER_SYNTAXES.iter().enumerate() {
        let id = context_id(class, at);
        let Some(result) = results.iter().find(|result| result.id == id) else { continue };
        if result.reason == PresentationContextResultReason::Acceptance {
            return Context::Accepted(id, syntax);
        }
        why = result.reason.to_string();
    }
    Context::Refused(why)
}

/// What a value may have, by what the other side says of its PDUs; 0 is no bound.
fn value_bytes_max(said: &[UserVariableItem]) -> usize {
    let bound = said.iter().find_map(|item| match item {
        UserVariableItem::MaxLength(bytes @ 1..) => Some(*bytes),
        _ => None,
    });
    let value = bound.map_or(VALUE_BYTES_MAX, |bytes| bytes.saturating_sub(VALUE_HEAD_BYTES));
    // Even, so that a data set, which is even, has no piece that is not: some archives refuse those.
    (value.clamp(VALUE_BYTES_MIN, VALUE_BYTES_MAX) & !1) as usize
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, pdu: &Pdu) -> Result<(), String> {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).map_err(|_| "what is to be said is no PDU".to_owned())?;
    let sent = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    match timeout(PDU_WITHIN, sent).await {
        Ok(sent) => sent.map_err(|error| format!("it broke off: {error}")),
        Err(_) => Err(format!("it took nothing for {} s", PDU_WITHIN.as_secs())),
    }
}

/// The next PDU.
async fn receive<S: AsyncRead + Unpin>(
    stream: &mut S,
    received: &mut BytesMut,
    within: Duration,
) -> Result<Pdu, String> {
    let silent = || format!("it did not answer within {} s", within.as_secs());
    timeout(within, read(stream, received)).await.unwrap_or_else(|_| Err(silent()))
}

async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    received: &mut BytesMut,
) -> Result<Pdu, String> {
    loop {
        if let Some(pdu) = next(received)? {
            return Ok(pdu);
        }
        received.reserve(READ_BYTES);
        match stream.read_buf(received).await {
            Ok(0) => return Err("it broke off".to_owned()),
            Err(error) => return Err(format!("it broke off: {error}")),
            Ok(_) => {}
        }
    }
}

/// The PDU that has come whole, taken out of what was received.
fn next(received: &mut BytesMut) -> Result<Option<Pdu>, String> {
    let mut unread = &received[..];
    // What is wrong in it is not kept: it may quote what was sent.
    let pdu = read_pdu(&mut unread, PDU_BYTES_MAX, true).map_err(|_| NO_DICOM.to_owned())?;
    let read = received.len() - unread.len();
    if pdu.is_some() {
        received.advance(read);
    }
    Ok(pdu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: u8, reason: PresentationContextResultReason) -> PresentationContextResult {
        let transfer_syntax = TRANSFER_SYNTAXES[1].to_owned();
        PresentationContextResult { id, reason, transfer_syntax }
    }

    #[test]
    fn a_class_goes_in_the_syntax_that_it_is_written_in_where_that_is_taken() {
        use PresentationContextResultReason::{
            AbstractSyntaxNotSupported, Acceptance, TransferSyntaxesNotSupported,
        };
        let results = [
            result(1, Acceptance),
            result(3, Acceptance),
            result(5, TransferSyntaxesNotSupported),
            result(7, Acceptance),
            result(9, AbstractSyntaxNotSupported),
            result(11, AbstractSyntaxNotSupported),
        ];
        assert_eq!(chosen(0, &results), Context::Accepted(1, TRANSFER_SYNTAXES[0]));
        assert_eq!(chosen(1, &results), Context::Accepted(7, TRANSFER_SYNTAXES[1]));
        assert_eq!(chosen(2, &results), Context::Refused("abstract syntax not supported".into()));
        assert_eq!(chosen(3, &results), Context::Refused("it said nothing of it".into()));
    }

    #[test]
    fn no_value_is_longer_than_the_other_side_takes() {
        let of = |bytes| value_bytes_max(&[UserVariableItem::MaxLength(bytes)]);
        assert_eq!((of(16_384), of(0), of(10)), (16_378, 128 * 1024, 64));
        assert_eq!((value_bytes_max(&[]), of(u32::MAX)), (128 * 1024, 128 * 1024));
        assert_eq!(of(16_383), 16_376, "no piece is odd");
    }
}
