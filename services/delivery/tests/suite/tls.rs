//! C-STORE and MLLP by TLS: results go to whom an authority vouches for, and to nobody else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use proto::delivery::{DeliveryState, DestinationKind, NewDestination};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::archive::Archive;
use crate::world::World;
use crate::{cstore, mllp};

/// The authority that delivery is told of.
pub const AUTHORITY: &str = "authority.pem";

/// Who has signed a receiver's certificate.
#[derive(Clone, Copy)]
enum Signed {
    Known,
    Stranger,
}

/// Puts an authority that is told of, one that is not, and from each a certificate for this machine into the folder.
pub fn certificates(folder: &Path) -> anyhow::Result<()> {
    for (name, file) in [("known", AUTHORITY), ("stranger", "stranger-authority.pem")] {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(folder.join(file), authority.pem())?;
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let certificate = params.signed_by(&key, &authority)?;
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

/// Before a receiver at such an address, one that takes the same by TLS; its address.
async fn before(url: &str, world: &World, signed: Signed) -> anyhow::Result<String> {
    service::choose_tls();
    let name = match signed {
        Signed::Known => "known",
        Signed::Stranger => "stranger",
    };
    let read = |ending: &str| std::fs::read(world.folder().join(format!("{name}.{ending}")));
    let chain = vec![CertificateDer::from_pem_slice(&read("pem")?)?];
    let key = PrivateKeyDer::from_pem_slice(&read("key")?)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (scheme, plain) = url.split_once("://").context("an address")?;
    let plain: SocketAddr = plain.parse()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("{scheme}s://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let Ok(mut behind) = TcpStream::connect(plain).await else { return };
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    Ok(address)
}

pub async fn objects_are_stored_by_tls_where_an_authority_vouches_for_the_archive(
    world: World,
) -> anyhow::Result<()> {
    let archive = Archive::start(&[]).await?;
    let address = before(&archive.url, &world, Signed::Known).await?;
    world.create(cstore::to(&address, &["text.dcm"])).await?;
    world.completed().await?;
    world.ended(DeliveryState::Delivered).await?;
    ensure!(archive.stored().len() == 1, "{:?}", archive.stored());
    Ok(())
}

pub async fn who_shows_a_strangers_certificate_or_none_is_sent_nothing(
    world: World,
) -> anyhow::Result<()> {
    let archive = Archive::start(&[]).await?;
    let stranger = before(&archive.url, &world, Signed::Stranger).await?;
    world.create(cstore::to(&stranger, &["text.dcm"])).await?;
    world.completed().await?;
    let waiting = world.one(|entry| entry.words.contains("no TLS with it")).await?;
    ensure!(waiting.state() == DeliveryState::Waiting, "{waiting:?}");
    ensure!(archive.stored().is_empty(), "{:?}", archive.stored());
    Ok(())
}

pub async fn a_message_is_sent_by_tls_where_an_authority_vouches_for_its_receiver(
    world: World,
) -> anyhow::Result<()> {
    let (url, kept) = mllp::system(&[]).await?;
    let address = before(&url, &world, Signed::Known).await?;
    let new = NewDestination {
        name: "the information system".into(),
        kind: DestinationKind::Mllp.into(),
        url: address,
        formats: vec!["report.hl7".into()],
        ..NewDestination::default()
    };
    world.create(new).await?;
    world.completed().await?;
    world.ended(DeliveryState::Delivered).await?;
    let kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len();
    ensure!(kept == 1, "{kept} messages");
    Ok(())
}
