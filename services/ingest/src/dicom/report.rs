//! What has come of a request for a commitment, told by N-EVENT-REPORT (PS3.7, 10.1.1): on the association of the request, else on
//! one of our own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::{
    AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed,
    PresentationContextResultReason, RequestorRoles, UserVariableItem,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::commitment::{CLASS, Commitment, WELL_KNOWN};
use super::contexts::{APPLICATION_CONTEXT, IMPLICIT_VR_LITTLE_ENDIAN};
use super::dimse::{Command, Operation, event_report};
use super::line::{Cut, Line};
use super::part10::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use super::pending::{Note, Pending};
use super::reception::Reception;
use super::tls::Client;

/// What is taken of those who are told: they say little.
const PDU_BYTES: u32 = 16 * 1024;
/// What a value may have that every application entity takes (PS3.8, 9.3.1: nobody's bound is lower in practice).
const VALUE_BYTES: usize = 4 * 1024;
/// How often it is tried, and how long is waited in between.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(5);
/// How often it is looked whether what was asked is decided, once who has asked is gone: each time half as often, down to the last.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_LAST: Duration = Duration::from_secs(30);

/// A report that nobody has said to have heard.
pub struct Report {
    pub message_id: u16,
    pub commitment: Commitment,
    /// Where it lies until it is heard.
    pub note: Option<Note>,
}

/// Who we are to the other side, and who it is.
#[derive(Clone, Deserialize, Serialize)]
pub struct Titles {
    pub ours: String,
    pub theirs: String,
}

impl Report {
    /// The message, in that context and in values of at most so many bytes.
    pub fn message(&self, context: u8, value_bytes_max: usize) -> Vec<Pdu> {
        let event = if self.commitment.is_whole() { 1 } else { 2 };
        let command = event_report(self.message_id, CLASS, WELL_KNOWN, event);
        let data_set = self.commitment.data_set();
        [(PDataValueType::Command, command), (PDataValueType::Data, data_set)]
            .into_iter()
            .flat_map(|(value_type, bytes)| values(context, &value_type, &bytes, value_bytes_max))
            .collect()
    }

    /// It was heard, or there is nobody to hear it.
    pub async fn forget(self) {
        if let Some(note) = self.note {
            note.forget().await;
        }
    }
}

/// The bytes as PDUs, of which the last says that it is.
pub fn values(
    context: u8,
    value_type: &PDataValueType,
    bytes: &[u8],
    value_bytes_max: usize,
) -> Vec<Pdu> {
    let mut pieces = bytes.chunks(value_bytes_max).peekable();
    let mut pdus = Vec::new();
    while let Some(piece) = pieces.next() {
        let value = PDataValue {
            presentation_context_id: context,
            value_type: value_type.clone(),
            is_last: pieces.peek().is_none(),
            data: piece.to_vec(),
        };
        pdus.push(Pdu::PData { data: vec![value] });
    }
    pdus
}

/// Where a sender takes what was not heard.
#[derive(Clone)]
pub struct ReportTo {
    pub address: SocketAddr,
    /// None: without TLS.
    pub tls: Option<Client>,
}

/// Tells what was not heard on the association that it was asked on, at the address that the sender takes it.
pub async fn unheard(
    reports: Vec<Report>,
    (to, titles): (Option<&ReportTo>, &Titles),
    idle: Duration,
    stop: &CancellationToken,
) {
    let Some(to) = to else {
        if !reports.is_empty() {
            tracing::info!("a commitment was not heard, and nobody says where it is taken");
        }
        return;
    };
    for report in reports {
        let telling = told_in_the_end(&report, to, titles, idle);
        let told = stop.run_until_cancelled(telling).await;
        // What is noted is told by whoever runs next.
        let Some(told) = told else { return };
        if !told {
            tracing::warn!(to = %to.address, "a commitment could not be reported: it can be asked for again");
        }
        report.forget().await;
    }
}

/// Waits until it is decided what is promised of what was asked on an association that has ended, and tells it.
pub async fn later(
    reception: Arc<Reception>,
    mut pending: Pending,
    (to, titles): (Option<ReportTo>, Titles),
    idle: Duration,
    stop: CancellationToken,
) {
    if to.is_none() {
        tracing::info!(
            "a commitment was asked for and not waited for, and nobody says where it is taken"
        );
        if let Some(note) = pending.into_note() {
            note.forget().await;
        }
        return;
    }
    let mut pause = LOOK;
    let deciding = async {
        loop {
            if let Some(commitment) = pending.decided(&reception).await {
                return commitment;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_LAST);
        }
    };
    let Some(commitment) = stop.run_until_cancelled(deciding).await else { return };
    let report = Report { message_id: 1, commitment, note: pending.into_note() };
    unheard(vec![report], (to.as_ref(), &titles), idle, &stop).await;
}

async fn told_in_the_end(report: &Report, to: &ReportTo, titles: &Titles, idle: Duration) -> bool {
    for tried in 0..TRIES {
        if tried > 0 {
            sleep(PAUSE).await;
        }
        let Ok(Ok(stream)) = timeout(idle, TcpStream::connect(to.address)).await else {
            continue;
        };
        if told_by(report, (to, stream), titles, idle).await.is_ok() {
            return true;
        }
    }
    false
}

/// Tells it over that connection: by TLS where it is to be so, and then in no other way.
async fn told_by(
    report: &Report,
    (to, stream): (&ReportTo, TcpStream),
    titles: &Titles,
    idle: Duration,
) -> Result<(), Cut> {
    let Some(tls) = &to.tls else {
        return told(report, Line::over(stream, idle), titles).await;
    };
    match timeout(idle, tls.over(stream)).await {
        Ok(Ok(stream)) => told(report, Line::over(stream, idle), titles).await,
        Ok(Err(error)) => {
            tracing::info!(to = %to.address, %error, "no TLS with whoever takes commitments");
            Err(Cut::Garbled)
        }
        Err(_) => Err(Cut::Idle),
    }
}

/// Tells it in an association of its own. `Garbled`: the other side does not take it, or says something else.
async fn told<S>(report: &Report, mut line: Line<S>, titles: &Titles) -> Result<(), Cut>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const CONTEXT: u8 = 1;
    line.send(&Pdu::AssociationRQ(request(CONTEXT, titles))).await?;
    let Pdu::AssociationAC(accepted) = line.receive(PDU_BYTES).await? else {
        return Err(Cut::Garbled);
    };
    let takes = accepted.presentation_contexts.iter().any(|context| {
        context.id == CONTEXT && context.reason == PresentationContextResultReason::Acceptance
    });
    if !takes {
        return Err(Cut::Garbled);
    }
    for pdu in report.message(CONTEXT, VALUE_BYTES) {
        line.send(&pdu).await?;
    }
    heard(&mut line).await?;
    line.send(&Pdu::ReleaseRQ).await?;
    let _ = line.receive(PDU_BYTES).await;
    line.close(CLOSING).await;
    Ok(())
}

/// Returns once the other side says that it has heard.
async fn heard<S>(line: &mut Line<S>) -> Result<(), Cut>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut command = Vec::new();
    loop {
        let Pdu::PData { data } = line.receive(PDU_BYTES).await? else { return Err(Cut::Garbled) };
        for value in data {
            command.extend(value.data);
            if command.len() > PDU_BYTES as usize {
                return Err(Cut::Garbled);
            }
            if value.is_last {
                let said = Command::read(&command).ok_or(Cut::Garbled)?;
                let heard = said.operation() == Operation::Heard;
                return if heard { Ok(()) } else { Err(Cut::Garbled) };
            }
        }
    }
}

/// We ask for the association, and are the provider of the service all the same (PS3.7, D.3.3.4).
fn request(context: u8, titles: &Titles) -> AssociationRQ {
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: titles.ours.clone(),
        called_ae_title: titles.theirs.clone(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: context,
            abstract_syntax: CLASS.to_owned(),
            transfer_syntaxes: vec![IMPLICIT_VR_LITTLE_ENDIAN.to_owned()],
        }],
        user_variables: vec![
            UserVariableItem::MaxLength(PDU_BYTES),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
            UserVariableItem::ScuScpRoleSelectionSubItem(
                CLASS.to_owned(),
                RequestorRoles { scu: false, scp: true },
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use dicom_ul::pdu::{AssociationAC, PresentationContextResult};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::commitment::tests::promised;
    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    /// An authority in that file, and how somebody answers whose certificate it has signed.
    fn signed(authority_file: &Path) -> TlsAcceptor {
        service::choose_tls();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(authority_file, authority.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }

    /// Takes one report by TLS and says that it was heard; what it was told. None: nobody came that far.
    async fn taken(listener: TcpListener, acceptor: TlsAcceptor) -> Option<Vec<u8>> {
        let (stream, _) = listener.accept().await.ok()?;
        let mut line = Line::over(acceptor.accept(stream).await.ok()?, IDLE);
        let Pdu::AssociationRQ(request) = line.receive(PDU_BYTES).await.ok()? else { return None };
        line.send(&Pdu::AssociationAC(accepted(request))).await.ok()?;
        let mut told = Vec::new();
        loop {
            let values = match line.receive(PDU_BYTES).await.ok()? {
                Pdu::PData { data } => data,
                Pdu::ReleaseRQ => {
                    line.send(&Pdu::ReleaseRP).await.ok()?;
                    return Some(told);
                }
                _ => return None,
            };
            for value in values {
                let is_end = value.value_type == PDataValueType::Data && value.is_last;
                told.extend(value.data);
                if is_end {
                    let heard = values_of(heard_response());
                    line.send(&heard).await.ok()?;
                }
            }
        }
    }

    fn accepted(request: AssociationRQ) -> AssociationAC {
        AssociationAC {
            protocol_version: 1,
            application_context_name: request.application_context_name,
            called_ae_title: request.called_ae_title,
            calling_ae_title: request.calling_ae_title,
            presentation_contexts: vec![PresentationContextResult {
                id: 1,
                reason: PresentationContextResultReason::Acceptance,
                transfer_syntax: IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            }],
            user_variables: vec![UserVariableItem::MaxLength(PDU_BYTES)],
        }
    }

    fn values_of(command: Vec<u8>) -> Pdu {
        values(1, &PDataValueType::Command, &command, VALUE_BYTES).remove(0)
    }

    /// N-EVENT-REPORT-RSP with the status success.
    fn heard_response() -> Vec<u8> {
        let elements = [(0x0100_u16, 0x8100_u16), (0x0120, 1), (0x0800, 0x0101), (0x0900, 0)];
        let element = |(number, value): (u16, u16)| {
            [&[0, 0][..], &number.to_le_bytes(), &2u32.to_le_bytes(), &value.to_le_bytes()].concat()
        };
        elements.into_iter().flat_map(element).collect()
    }

    #[tokio::test]
    async fn a_commitment_is_told_by_tls_to_whom_the_authority_vouches_for_and_to_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let [known, other] = ["known.pem", "other.pem"].map(|name| folder.path().join(name));
        let acceptor = signed(&known);
        let _ = signed(&other);
        let commitment = promised(&["1.2.3"], &[]);
        let report = Report { message_id: 1, commitment, note: None };
        let titles = Titles { ours: "MEDSEG".into(), theirs: "NORTH".into() };
        for (authority, is_told) in [(&known, true), (&other, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let taking = tokio::spawn(taken(listener, acceptor.clone()));
            let tls = Some(Client::of(authority, "127.0.0.1".into()).unwrap());
            let stream = TcpStream::connect(address).await.unwrap();
            let to = ReportTo { address, tls };
            let told = told_by(&report, (&to, stream), &titles, IDLE).await;
            let heard = taking.await.unwrap();
            let has = |bytes: &[u8]| bytes.windows(5).any(|part| part == b"1.2.3");
            assert_eq!((told.is_ok(), heard.is_some_and(|it| has(&it))), (is_told, is_told));
        }
        assert!(Client::of(&folder.path().join("none.pem"), "127.0.0.1".into()).is_err());
    }
}
