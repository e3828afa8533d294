//! The door by TLS: who connects without it is not understood, and who must show a certificate shows one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, UserVariableItem, read_pdu, write_pdu,
};
use ingest::DicomSettings;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::door::Hospitals;

/// Puts an authority, a certificate for `localhost` and two for scanners into the folder, unless they are there.
fn certificates(folder: &Path) {
    if folder.join("authority.pem").try_exists().unwrap() {
        return;
    }
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    for name in ["localhost", "scanner", "another"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn secure(dicom: &mut DicomSettings, folder: &Path) {
    certificates(folder);
    dicom.dicom_tls_certificate = Some(folder.join("localhost.pem"));
    dicom.dicom_tls_key = Some(folder.join("localhost.key"));
}

fn known_only(dicom: &mut DicomSettings, folder: &Path) {
    secure(dicom, folder);
    dicom.dicom_tls_authority = Some(folder.join("authority.pem"));
}

/// One of the certificates is the one title's, and no other's.
fn bound(dicom: &mut DicomSettings, folder: &Path) {
    known_only(dicom, folder);
    let table = dicom.dicom_senders.as_ref().unwrap();
    let (north, written) = (r#""client_id": "north","#, std::fs::read_to_string(table).unwrap());
    let with = format!(r#"{north} "certificates": ["scanner"],"#);
    std::fs::write(table, written.replace(north, &with)).unwrap();
}

/// How a scanner connects, with that certificate or without.
fn scanner(folder: &Path, shows: Option<&str>) -> ClientConfig {
    service::choose_tls();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("authority.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let Some(name) = shows else { return config.with_no_client_auth() };
    let certificate = CertificateDer::from_pem_slice(&read(&format!("{name}.pem"))).unwrap();
    let (chain, key) = (vec![certificate], read(&format!("{name}.key")));
    let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
    config.with_client_auth_cert(chain, key).unwrap()
}

/// Whether an association is accepted over such a connection.
async fn associated(address: SocketAddr, config: ClientConfig) -> bool {
    associated_as("NORTH_MR", address, config).await
}

/// The same under that title.
async fn associated_as(title: &str, address: SocketAddr, config: ClientConfig) -> bool {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await else {
        return false;
    };
    let request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: title.into(),
        called_ae_title: "MEDSEG".into(),
        application_context_name: "1.2.840.10008.3.1.1.1".into(),
        presentation_contexts: vec![PresentationContextProposed {
            id: 1,
            abstract_syntax: "1.2.840.10008.1.1".into(),
            transfer_syntaxes: vec!["1.2.840.10008.1.2".into()],
        }],
        user_variables: vec![UserVariableItem::MaxLength(16_384)],
    };
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &Pdu::AssociationRQ(request)).unwrap();
    if stream.write_all(&bytes).await.is_err() {
        return false;
    }
    let mut received = Vec::new();
    loop {
        // Who shows no certificate hears of it here at the earliest (RFC 8446, 4.4.2.4).
        let Ok(1..) = stream.read_buf(&mut received).await else { return false };
        if let Some(pdu) = read_pdu(&mut &received[..], 16_384, true).unwrap() {
            return matches!(pdu, Pdu::AssociationAC(_));
        }
    }
}

#[tokio::test]
async fn an_association_comes_by_tls_and_in_no_other_way() {
    let hospitals = Hospitals::with(secure).await;
    assert!(associated(hospitals.address, scanner(hospitals.folder(), None)).await);
    let mut plain = TcpStream::connect(hospitals.address).await.unwrap();
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &Pdu::ReleaseRQ).unwrap();
    plain.write_all(&bytes).await.unwrap();
    let mut said = Vec::new();
    // An alert of TLS, if anything: no PDU.
    let _ = plain.read_to_end(&mut said).await;
    assert!(said.is_empty() || said[0] == 21, "{said:?}");
}

#[tokio::test]
async fn where_certificates_are_demanded_nobody_comes_in_without_one() {
    let hospitals = Hospitals::with(known_only).await;
    assert!(associated(hospitals.address, scanner(hospitals.folder(), Some("scanner"))).await);
    assert!(!associated(hospitals.address, scanner(hospitals.folder(), None)).await);
}

#[tokio::test]
async fn a_title_whose_certificate_is_named_comes_with_no_other_and_the_certificate_with_no_other_title()
 {
    let hospitals = Hospitals::with(bound).await;
    for (title, certificate, accepted) in [
        ("NORTH_MR", "scanner", true),
        ("NORTH_MR", "another", false),
        ("SOUTH_MR", "scanner", false),
        ("SOUTH_MR", "another", true),
    ] {
        let config = scanner(hospitals.folder(), Some(certificate));
        let told = associated_as(title, hospitals.address, config).await;
        assert_eq!(told, accepted, "{title} with {certificate}");
    }
}
