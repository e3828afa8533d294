//! A scanner that sends by C-STORE to the mesh's ingest.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use dicom_ul::ClientAssociationOptions;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use serde_json::json;
use tests::mesh::Mesh;
use tests::process::free_port;

use super::association::{element, elements};
use super::steps::wait;

const MR_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const PIECE_BYTES: usize = 10_000;
/// Who is killed closes the line; whoever is silent for longer has failed.
const SILENCE: Duration = Duration::from_secs(30);

const STUDY_INSTANCE_UID: [u8; 4] = [0x20, 0, 0x0d, 0];
const SOP_INSTANCE_UID: [u8; 4] = [8, 0, 0x18, 0];

pub struct Scanner {
    address: SocketAddr,
}

impl Scanner {
    /// Opens the door of ingest, for a scanner that sends in the name of an API client of the hospital.
    pub async fn start(mesh: &mut Mesh) -> anyhow::Result<Scanner> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let client = json!({ "name": address, "roles": ["integrator"], "scopes": ["scans"] });
        let (status, made) = mesh.client().await?.post_json("/v1/clients", &client).await?;
        ensure!(status == 201, "{status}: {made}");
        let sender = json!({
            "ae_title": "SCANNER", "client_id": made["client_id"], "client_secret": made["client_secret"],
        });
        let table = mesh.data.path().join("senders.json");
        std::fs::write(&table, json!({ "senders": [sender] }).to_string())?;
        mesh.set("ingest", "dicom-listen", &address);
        mesh.set("ingest", "dicom-senders", &table.display().to_string());
        // Whoever looks says that a study is whole: half of one waits for the rest, however long a machine takes to start ingest again.
        mesh.set("ingest", "dicom-quiet-s", "3600");
        for ingest in mesh.parts_of("ingest") {
            mesh.renew(ingest)?;
        }
        Ok(Scanner { address: address.parse()? })
    }

    /// Sends instances, all of them again until all are acknowledged.
    pub async fn send(&self, files: &[Vec<u8>], patience: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let (address, files) = (self.address, files.to_vec());
            match tokio::task::spawn_blocking(move || store(address, &files)).await? {
                Err(error) if begun.elapsed() > patience => return Err(error),
                Err(_) => wait(200).await,
                Ok(()) => return Ok(()),
            }
        }
    }
}

fn store(address: SocketAddr, files: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut association = ClientAssociationOptions::new()
        .calling_ae_title("SCANNER")
        .called_ae_title("MEDSEG")
        .with_presentation_context(MR_IMAGE_STORAGE, vec![EXPLICIT_LITTLE_ENDIAN])
        .read_timeout(SILENCE)
        .establish(address)
        .map_err(|error| anyhow!("{error}"))?;
    let context = association.presentation_contexts().first().context("a context")?.id;
    for file in files {
        let instance = uid_of(file, SOP_INSTANCE_UID)?;
        let command = elements(&[
            (0x0002, MR_IMAGE_STORAGE.as_bytes()),
            (0x0100, &1_u16.to_le_bytes()),
            (0x0110, &9_u16.to_le_bytes()),
            (0x0800, &1_u16.to_le_bytes()),
            (0x1000, instance.as_bytes()),
        ]);
        let mut send = |value_type, is_last, data: &[u8]| {
            let (presentation_context_id, data) = (context, data.to_vec());
            let value = PDataValue { presentation_context_id, value_type, is_last, data };
            let sent = association.send(&Pdu::PData { data: vec![value] });
            sent.map_err(|error| anyhow!("{error}"))
        };
        send(PDataValueType::Command, true, &command)?;
        let mut pieces = data_set(file)?.chunks(PIECE_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            send(PDataValueType::Data, pieces.peek().is_none(), piece)?;
        }
        let answer = association.receive().map_err(|error| anyhow!("{error}"))?;
        let Pdu::PData { data } = answer else { return Err(anyhow!("no answer to a C-STORE")) };
        let status = data.first().and_then(|value| element(&value.data, 0x0900));
        ensure!(status == Some(&[0, 0][..]), "a C-STORE is answered {status:?}");
    }
    association.release().map_err(|error| anyhow!("{error}"))
}

/// The study that a file is of.
pub fn study_of(file: &[u8]) -> anyhow::Result<String> {
    uid_of(file, STUDY_INSTANCE_UID)
}

/// A UID of a file in explicit VR little endian.
fn uid_of(file: &[u8], tag: [u8; 4]) -> anyhow::Result<String> {
    let head = [&tag[..], b"UI"].concat();
    let at = file.windows(head.len()).position(|window| window == head).context("a UID")?;
    let behind = &file[at + head.len()..];
    let length = usize::from(u16::from_le_bytes([behind[0], behind[1]]));
    let uid = std::str::from_utf8(&behind[2..2 + length])?;
    Ok(uid.trim_end_matches('\0').to_owned())
}

/// What is behind the head of a file (PS3.10, 7.1).
fn data_set(file: &[u8]) -> anyhow::Result<&[u8]> {
    let length: [u8; 4] = file[140..144].try_into()?;
    Ok(&file[144 + u32::from_le_bytes(length) as usize..])
}
