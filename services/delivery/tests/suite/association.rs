//! An archive's end of an association in which instances come by C-STORE, on a real socket; the end-to-end tests of faults include it, too.

use std::collections::VecDeque;

use anyhow::{Context, bail, ensure};
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed,
    PresentationContextResult, PresentationContextResultReason, UserVariableItem, read_pdu,
    write_pdu,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PDU_BYTES_MAX: u32 = 1024 * 1024;

/// An instance that is to be stored.
pub struct Instance {
    pub request: StoreRequest,
    pub uid: String,
    pub data_set: Vec<u8>,
}

/// What the answer has to name.
pub struct StoreRequest {
    /// The presentation context.
    pub context: u8,
    message_id: Vec<u8>,
}

pub struct Line {
    stream: TcpStream,
    received: Vec<u8>,
    pieces: VecDeque<PDataValue>,
}

impl Line {
    pub fn new(stream: TcpStream) -> Line {
        Line { stream, received: Vec::new(), pieces: VecDeque::new() }
    }

    pub async fn association(&mut self) -> anyhow::Result<AssociationRQ> {
        let Pdu::AssociationRQ(request) = self.receive().await? else { bail!("no request") };
        Ok(request)
    }

    /// Accepts the association; `reason` says of each context whether it is taken.
    pub async fn accept(
        &mut self,
        request: &AssociationRQ,
        reason: impl Fn(&PresentationContextProposed) -> PresentationContextResultReason,
    ) -> anyhow::Result<()> {
        let results = request.presentation_contexts.iter().map(|context| {
            let transfer_syntax = context.transfer_syntaxes[0].clone();
            PresentationContextResult { id: context.id, reason: reason(context), transfer_syntax }
        });
        let accepted = Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            application_context_name: request.application_context_name.clone(),
            called_ae_title: request.called_ae_title.clone(),
            calling_ae_title: request.calling_ae_title.clone(),
            presentation_contexts: results.collect(),
            // Small, so that data sets come in pieces.
            user_variables: vec![UserVariableItem::MaxLength(4096)],
        });
        self.send(&accepted).await
    }

    /// The next instance; None: the association was released.
    pub async fn instance(&mut self) -> anyhow::Result<Option<Instance>> {
        let (mut command, mut data_set) = (Vec::new(), Vec::new());
        while let Some(piece) = self.piece().await? {
            if piece.value_type == PDataValueType::Command {
                command.extend(piece.data);
                continue;
            }
            data_set.extend(piece.data);
            if piece.is_last {
                let uid = element(&command, 0x1000).context("an instance UID")?;
                let uid = String::from_utf8(uid.to_vec())?.trim_end_matches('\0').to_owned();
                let message_id = element(&command, 0x0110).context("a message id")?.to_vec();
                let request = StoreRequest { context: piece.presentation_context_id, message_id };
                return Ok(Some(Instance { request, uid, data_set }));
            }
        }
        Ok(None)
    }

    /// Answers a C-STORE with that status.
    pub async fn answer(&mut self, request: &StoreRequest, status: u16) -> anyhow::Result<()> {
        let value = PDataValue {
            presentation_context_id: request.context,
            value_type: PDataValueType::Command,
            is_last: true,
            data: elements(&[
                (0x0100, &0x8001_u16.to_le_bytes()),
                (0x0120, &request.message_id),
                (0x0800, &0x0101_u16.to_le_bytes()),
                (0x0900, &status.to_le_bytes()),
            ]),
        };
        self.send(&Pdu::PData { data: vec![value] }).await
    }

    pub async fn send(&mut self, pdu: &Pdu) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu)?;
        Ok(self.stream.write_all(&bytes).await?)
    }

    /// The next piece of a message; None: the association was released.
    async fn piece(&mut self) -> anyhow::Result<Option<PDataValue>> {
        while self.pieces.is_empty() {
            match self.receive().await? {
                Pdu::PData { data } => self.pieces.extend(data),
                Pdu::ReleaseRQ => {
                    self.send(&Pdu::ReleaseRP).await?;
                    return Ok(None);
                }
                other => bail!("{}", other.short_description()),
            }
        }
        Ok(self.pieces.pop_front())
    }

    async fn receive(&mut self) -> anyhow::Result<Pdu> {
        loop {
            let mut unread = &self.received[..];
            let pdu = read_pdu(&mut unread, PDU_BYTES_MAX, true)?;
            let read = self.received.len() - unread.len();
            if let Some(pdu) = pdu {
                self.received.drain(..read);
                return Ok(pdu);
            }
            ensure!(self.stream.read_buf(&mut self.received).await? > 0, "it broke off");
        }
    }
}

/// A command set (PS3.7, annex E).
pub fn elements(all: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (element, value) in all {
        bytes.extend([0, 0]);
        bytes.extend(element.to_le_bytes());
        bytes.extend((value.len().next_multiple_of(2) as u32).to_le_bytes());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(2), 0);
    }
    bytes
}

/// The value of an element of a command set.
pub fn element(command: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = command;
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let [_, _, low, high, length @ ..] = *head;
        let (value, next) = behind.split_at_checked(u32::from_le_bytes(length) as usize)?;
        if u16::from_le_bytes([low, high]) == wanted {
            return Some(value);
        }
        rest = next;
    }
    None
}
