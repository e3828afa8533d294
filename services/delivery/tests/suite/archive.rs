//! An archive that takes C-STORE, on a real socket, and does what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use bytes::{Buf, BytesMut};
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceUserReason,
    AssociationRJSource, AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem, read_pdu, write_pdu,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does in the next association.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// Answers the instances with these, one after the other; those that follow with success.
    Answers(&'static [u16]),
    /// Takes no class of that UID, and of the others only Implicit VR Little Endian.
    Refuses(&'static str),
    /// Does not know who is called.
    Rejects,
    /// Takes the first instance, and dies before it says so.
    Dies,
}

/// An instance that it was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    pub association: usize,
    pub titles: [String; 2],
    pub transfer_syntax: String,
    pub uid: String,
    pub data_set: Vec<u8>,
}

pub struct Archive {
    pub url: String,
    stored: Arc<Mutex<Vec<Stored>>>,
}

impl Archive {
    pub async fn start(does: &[Does]) -> anyhow::Result<Archive> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("dicom://{}", listener.local_addr()?);
        let stored = Arc::<Mutex<Vec<Stored>>>::default();
        let (mut does, storing) = (VecDeque::from(does.to_vec()), stored.clone());
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                number += 1;
                let does = does.pop_front().unwrap_or(Does::Answers(&[]));
                let line = Line { stream, received: BytesMut::new() };
                let _ = served(line, does, number, &storing).await;
            }
        });
        Ok(Archive { url, stored })
    }

    pub fn stored(&self) -> Vec<Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Line {
    stream: TcpStream,
    received: BytesMut,
}

impl Line {
    async fn receive(&mut self) -> anyhow::Result<Pdu> {
        loop {
            let mut unread = &self.received[..];
            let pdu = read_pdu(&mut unread, 1024 * 1024, true)?;
            let read = self.received.len() - unread.len();
            if let Some(pdu) = pdu {
                self.received.advance(read);
                return Ok(pdu);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("it broke off");
            }
        }
    }

    async fn send(&mut self, pdu: &Pdu) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu)?;
        Ok(self.stream.write_all(&bytes).await?)
    }
}

async fn served(
    mut line: Line,
    does: Does,
    number: usize,
    stored: &Mutex<Vec<Stored>>,
) -> anyhow::Result<()> {
    let Pdu::AssociationRQ(request) = line.receive().await? else { bail!("no request") };
    if let Does::Rejects = does {
        let reason = AssociationRJServiceUserReason::CalledAETitleNotRecognized;
        let source = AssociationRJSource::ServiceUser(reason);
        let rejection = AssociationRJ { result: AssociationRJResult::Permanent, source };
        return line.send(&Pdu::AssociationRJ(rejection)).await;
    }
    line.send(&accepted(&request, does)).await?;
    let statuses: &[u16] = if let Does::Answers(statuses) = does { statuses } else { &[] };
    let mut statuses = statuses.iter();
    let (mut command, mut data_set) = (Vec::new(), Vec::new());
    loop {
        let values = match line.receive().await? {
            Pdu::PData { data } => data,
            Pdu::ReleaseRQ => return line.send(&Pdu::ReleaseRP).await,
            other => bail!("{}", other.short_description()),
        };
        for PDataValue { presentation_context_id, value_type, is_last, data } in values {
            if value_type == PDataValueType::Command {
                command.extend(data);
                continue;
            }
            data_set.extend(data);
            if !is_last {
                continue;
            }
            let (command, data_set) = (std::mem::take(&mut command), std::mem::take(&mut data_set));
            let uid = element(&command, 0x1000).context("an instance UID")?;
            let context = request
                .presentation_contexts
                .iter()
                .find(|context| context.id == presentation_context_id)
                .context("a context")?;
            let kept = Stored {
                association: number,
                titles: [&request.called_ae_title, &request.calling_ae_title]
                    .map(|title| title.trim().to_owned()),
                transfer_syntax: context.transfer_syntaxes[0].clone(),
                uid: String::from_utf8(uid.to_vec())?.trim_end_matches('\0').to_owned(),
                data_set,
            };
            stored.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
            if let Does::Dies = does {
                return Ok(());
            }
            let status = statuses.next().copied().unwrap_or(0);
            let data = response(&command, status).context("a message id")?;
            let value_type = PDataValueType::Command;
            let value = PDataValue { presentation_context_id, value_type, is_last: true, data };
            line.send(&Pdu::PData { data: vec![value] }).await?;
        }
    }
}

fn accepted(request: &AssociationRQ, does: Does) -> Pdu {
    use PresentationContextResultReason::{
        AbstractSyntaxNotSupported, Acceptance, TransferSyntaxesNotSupported,
    };
    let results = request.presentation_contexts.iter().map(|context| {
        let transfer_syntax = context.transfer_syntaxes[0].clone();
        let reason = match does {
            Does::Refuses(class) if class == context.abstract_syntax => AbstractSyntaxNotSupported,
            Does::Refuses(_) if transfer_syntax != "1.2.840.10008.1.2" => {
                TransferSyntaxesNotSupported
            }
            _ => Acceptance,
        };
        PresentationContextResult { id: context.id, reason, transfer_syntax }
    });
    Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        application_context_name: request.application_context_name.clone(),
        called_ae_title: request.called_ae_title.clone(),
        calling_ae_title: request.calling_ae_title.clone(),
        presentation_contexts: results.collect(),
        // Small, so that data sets come in pieces.
        user_variables: vec![UserVariableItem::MaxLength(4096)],
    })
}

/// The value of an element of a command set.
fn element(command: &[u8], wanted: u16) -> Option<&[u8]> {
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

fn response(command: &[u8], status: u16) -> Option<Vec<u8>> {
    let id = element(command, 0x0110)?;
    let mut bytes = Vec::new();
    for (number, value) in [
        (0x0100_u16, &0x8001_u16.to_le_bytes()[..]),
        (0x0120, id),
        (0x0800, &0x0101_u16.to_le_bytes()[..]),
        (0x0900, &status.to_le_bytes()[..]),
    ] {
        bytes.extend([0, 0]);
        bytes.extend(number.to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value);
    }
    Some(bytes)
}
