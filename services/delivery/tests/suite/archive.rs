//! An archive that takes C-STORE, on a real socket, and does what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use dicom_ul::pdu::{
    AssociationRJ, AssociationRJResult, AssociationRJServiceUserReason, AssociationRJSource, Pdu,
    PresentationContextProposed, PresentationContextResultReason,
};
use tokio::net::TcpListener;

use crate::association::{Instance, Line};

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
                let _ = served(Line::new(stream), does, number, &storing).await;
            }
        });
        Ok(Archive { url, stored })
    }

    pub fn stored(&self) -> Vec<Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn served(
    mut line: Line,
    does: Does,
    number: usize,
    stored: &Mutex<Vec<Stored>>,
) -> anyhow::Result<()> {
    let association = line.association().await?;
    if let Does::Rejects = does {
        let reason = AssociationRJServiceUserReason::CalledAETitleNotRecognized;
        let source = AssociationRJSource::ServiceUser(reason);
        let rejection = AssociationRJ { result: AssociationRJResult::Permanent, source };
        return line.send(&Pdu::AssociationRJ(rejection)).await;
    }
    line.accept(&association, |context| reason(does, context)).await?;
    let statuses: &[u16] = if let Does::Answers(statuses) = does { statuses } else { &[] };
    let mut statuses = statuses.iter();
    while let Some(Instance { request, uid, data_set }) = line.instance().await? {
        let mut contexts = association.presentation_contexts.iter();
        let context =
            contexts.find(|context| context.id == request.context).context("a context")?;
        let kept = Stored {
            association: number,
            titles: [&association.called_ae_title, &association.calling_ae_title]
                .map(|title| title.trim().to_owned()),
            transfer_syntax: context.transfer_syntaxes[0].clone(),
            uid,
            data_set,
        };
        stored.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        if let Does::Dies = does {
            return Ok(());
        }
        line.answer(&request, statuses.next().copied().unwrap_or(0)).await?;
    }
    Ok(())
}

fn reason(does: Does, context: &PresentationContextProposed) -> PresentationContextResultReason {
    use PresentationContextResultReason::{
        AbstractSyntaxNotSupported, Acceptance, TransferSyntaxesNotSupported,
    };
    match does {
        Does::Refuses(class) if class == context.abstract_syntax => AbstractSyntaxNotSupported,
        Does::Refuses(_) if context.transfer_syntaxes[0] != "1.2.840.10008.1.2" => {
            TransferSyntaxesNotSupported
        }
        _ => Acceptance,
    }
}
