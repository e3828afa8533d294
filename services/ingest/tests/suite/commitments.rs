//! Who sends asks whether what it has sent is kept (PS3.4, annex J).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use dicom_ul::ClientAssociation;
use dicom_ul::pdu::{
    AssociationAC, PDataValue, PDataValueType, Pdu, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem, read_pdu, write_pdu,
};
use ingest::DicomSettings;
use proto::storage::ScanRef;
use proto::storage::scans_client::ScansClient;
use service::claims::authorised;

use crate::door::{
    COMMITMENT, Hospitals, MR, NORTH, context, options, parts, series, status, until,
};

const WELL_KNOWN: &str = "1.2.840.10008.1.20.1.1";

/// An element in implicit VR little endian.
fn element([group, element]: [u16; 2], value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    let length = (value.len() as u32).to_le_bytes();
    [&group.to_le_bytes()[..], &element.to_le_bytes(), &length, &value[..]].concat()
}

/// N-ACTION-RQ, with its elements in the order of their tags.
fn action(instance: &str, kind: u16) -> Vec<u8> {
    action_of(COMMITMENT, instance, kind)
}

fn action_of(class: &str, instance: &str, kind: u16) -> Vec<u8> {
    [
        element([0, 0x0003], class.as_bytes()),
        element([0, 0x0100], &0x0130u16.to_le_bytes()),
        element([0, 0x0110], &5u16.to_le_bytes()),
        element([0, 0x0800], &1u16.to_le_bytes()),
        element([0, 0x1001], instance.as_bytes()),
        element([0, 0x1008], &kind.to_le_bytes()),
    ]
    .concat()
}

fn request(instances: &[String]) -> Vec<u8> {
    request_of(MR, instances)
}

fn request_of(class: &str, instances: &[String]) -> Vec<u8> {
    let items = instances.iter().map(|uid| {
        let class = element([8, 0x1150], class.as_bytes());
        element([0xfffe, 0xe000], &[class, element([8, 0x1155], uid.as_bytes())].concat())
    });
    let items: Vec<_> = items.collect();
    [element([8, 0x1195], b"1.2.9"), element([8, 0x1199], &items.concat())].concat()
}

fn send(association: &mut ClientAssociation<TcpStream>, value_type: PDataValueType, data: Vec<u8>) {
    let presentation_context_id = context(association, COMMITMENT);
    let value = PDataValue { presentation_context_id, value_type, is_last: true, data };
    association.send(&Pdu::PData { data: vec![value] }).unwrap();
}

/// All of the next message: command or data set.
fn received(association: &mut ClientAssociation<TcpStream>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let Pdu::PData { data } = association.receive().unwrap() else { panic!("no data") };
        for value in data {
            all.extend(value.data);
            if value.is_last {
                return all;
            }
        }
    }
}

fn holds(bytes: &[u8], sought: &[u8]) -> bool {
    bytes.windows(sought.len()).any(|window| window == sought)
}

/// The command and the data set of the report that is sent on the association of the request.
fn reported(address: SocketAddr, request: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut association = options(NORTH).establish(address).unwrap();
    send(&mut association, PDataValueType::Command, action(WELL_KNOWN, 1));
    send(&mut association, PDataValueType::Data, request);
    let answer = association.receive().unwrap();
    assert_eq!(status(&answer), 0);
    let report = (received(&mut association), received(&mut association));
    send(&mut association, PDataValueType::Command, heard());
    association.release().unwrap();
    report
}

/// N-EVENT-REPORT-RSP.
fn heard() -> Vec<u8> {
    [
        element([0, 0x0100], &0x8100u16.to_le_bytes()),
        element([0, 0x0120], &1u16.to_le_bytes()),
        element([0, 0x0800], &0x0101u16.to_le_bytes()),
        element([0, 0x0900], &0u16.to_le_bytes()),
    ]
    .concat()
}

/// Asks, and waits no longer than for the answer that it was taken.
fn asked_and_left(address: SocketAddr, instances: &[String]) {
    let mut association = options(NORTH).establish(address).unwrap();
    send(&mut association, PDataValueType::Command, action(WELL_KNOWN, 1));
    send(&mut association, PDataValueType::Data, request(instances));
    assert_eq!(status(&association.receive().unwrap()), 0);
    association.release().unwrap();
}

/// Takes one report in an association that is not ours, and says that it was heard: its command and its data set.
fn taken(listener: &TcpListener) -> (Vec<u8>, Vec<u8>) {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut unread, mut command, mut data_set) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match next(&mut stream, &mut unread) {
            Pdu::AssociationRQ(request) => {
                assert_eq!((&*request.calling_ae_title, &*request.called_ae_title), TOLD);
                let context = PresentationContextResult {
                    id: request.presentation_contexts[0].id,
                    reason: PresentationContextResultReason::Acceptance,
                    transfer_syntax: request.presentation_contexts[0].transfer_syntaxes[0].clone(),
                };
                let accepted = AssociationAC {
                    protocol_version: 1,
                    application_context_name: request.application_context_name,
                    called_ae_title: request.called_ae_title,
                    calling_ae_title: request.calling_ae_title,
                    presentation_contexts: vec![context],
                    user_variables: vec![UserVariableItem::MaxLength(16_384)],
                };
                say(&mut stream, &Pdu::AssociationAC(accepted));
            }
            Pdu::PData { data } => {
                for PDataValue { presentation_context_id, value_type, is_last, data } in data {
                    if value_type == PDataValueType::Command {
                        command.extend(data);
                        continue;
                    }
                    data_set.extend(data);
                    if is_last {
                        let (value_type, data) = (PDataValueType::Command, heard());
                        let value =
                            PDataValue { presentation_context_id, value_type, is_last, data };
                        say(&mut stream, &Pdu::PData { data: vec![value] });
                    }
                }
            }
            Pdu::ReleaseRQ => {
                say(&mut stream, &Pdu::ReleaseRP);
                return (command, data_set);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Who calls whom where a report is told on an association of ingest's own.
const TOLD: (&str, &str) = ("MEDSEG", "NORTH_MR");

fn next(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Pdu {
    loop {
        let mut rest = &unread[..];
        if let Some(pdu) = read_pdu(&mut rest, 128 * 1024, true).unwrap() {
            let left = rest.to_vec();
            *unread = left;
            return pdu;
        }
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert_ne!(read, 0, "it broke off");
        unread.extend(&bytes[..read]);
    }
}

fn say(stream: &mut TcpStream, pdu: &Pdu) {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).unwrap();
    stream.write_all(&bytes).unwrap();
}

async fn asked(hospitals: &Hospitals, instances: &[&str]) -> (Vec<u8>, Vec<u8>) {
    asked_as(hospitals, MR, instances).await
}

/// The same of instances that are said to be of that class.
async fn asked_as(hospitals: &Hospitals, class: &str, instances: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let instances: Vec<String> = instances.iter().map(|&uid| uid.to_owned()).collect();
    let (address, request) = (hospitals.address, request_of(class, &instances));
    tokio::task::spawn_blocking(move || reported(address, request)).await.unwrap()
}

#[tokio::test]
async fn what_has_become_a_scan_is_promised_and_not_before_and_the_rest_is_listed_as_missing() {
    let hospitals = Hospitals::open().await;
    let slices = series(31);
    hospitals.store(NORTH, &slices).await;
    let [one, other] = [0, 7].map(|slice: usize| parts(&slices[slice]).0);
    let whole = asked(&hospitals, &[&one, &other]).await;
    let succeeded = element([0, 0x1002], &1u16.to_le_bytes());
    assert!(holds(&whole.0, &succeeded) && !holds(&whole.1, &[8, 0, 0x98, 0x11]));
    // It was asked at once, and told when there was a scan.
    assert_eq!(hospitals.scans().await.len(), 1);
    let part = asked(&hospitals, &[&one, "1.2.3.4"]).await;
    assert!(holds(&part.0, &element([0, 0x1002], &2u16.to_le_bytes())));
    let reason = element([8, 0x1197], &0x0112u16.to_le_bytes());
    assert!(holds(&part.1, &reason) && holds(&part.1, one.as_bytes()));
}

#[tokio::test]
async fn what_is_of_another_class_or_was_deleted_since_is_not_promised() {
    let hospitals = Hospitals::open().await;
    let slices = series(36);
    hospitals.store(NORTH, &slices).await;
    let one = parts(&slices[0]).0;
    let scan = hospitals.scans_when(1).await.remove(0);
    let conflict = asked_as(&hospitals, "1.2.840.10008.5.1.4.1.1.2", &[&one]).await;
    assert!(holds(&conflict.0, &element([0, 0x1002], &2u16.to_le_bytes())));
    assert!(holds(&conflict.1, &element([8, 0x1197], &0x0119u16.to_le_bytes())));
    assert!(!holds(&conflict.1, &[8, 0, 0x99, 0x11]), "something of it is promised");
    let whole = asked(&hospitals, &[&one]).await;
    assert!(holds(&whole.0, &element([0, 0x1002], &1u16.to_le_bytes())));

    let delete = authorised(ScanRef { id: scan.id }, &hospitals.admin);
    ScansClient::new(hospitals.storage.peer.clone()).delete(delete).await.unwrap();
    let deleted = asked(&hospitals, &[&one]).await;
    assert!(holds(&deleted.0, &element([0, 0x1002], &2u16.to_le_bytes())));
    assert!(holds(&deleted.1, &element([8, 0x1197], &0x0110u16.to_le_bytes())));
    assert!(!holds(&deleted.1, &[8, 0, 0x99, 0x11]), "something of it is promised");
}

#[tokio::test]
async fn of_what_is_refused_nothing_is_promised() {
    let hospitals = Hospitals::open().await;
    let mut gap = series(33);
    gap.remove(3);
    hospitals.store(NORTH, &gap).await;
    let one = parts(&gap[0]).0;
    let report = asked(&hospitals, &[&one]).await;
    assert!(holds(&report.0, &element([0, 0x1002], &2u16.to_le_bytes())));
    assert!(holds(&report.1, &element([8, 0x1197], &0x0110u16.to_le_bytes())));
    assert!(!holds(&report.1, &[8, 0, 0x99, 0x11]), "something of it is promised");
}

#[tokio::test]
async fn what_is_not_decided_in_time_is_not_promised() {
    let undecided = |dicom: &mut DicomSettings, _: &Path| {
        (dicom.dicom_quiet_s, dicom.dicom_kept_hours) = (3600, 0);
    };
    let hospitals = Hospitals::with(undecided).await;
    let slices = series(34);
    hospitals.store(NORTH, &slices).await;
    let report = asked(&hospitals, &[&parts(&slices[0]).0]).await;
    assert!(holds(&report.0, &element([0, 0x1002], &2u16.to_le_bytes())));
    assert!(holds(&report.1, &element([8, 0x1197], &0x0110u16.to_le_bytes())));
}

#[tokio::test]
async fn nobody_is_promised_what_another_hospital_has_sent_and_what_is_no_request_is_told_so() {
    let hospitals = Hospitals::open().await;
    hospitals.store(crate::door::SOUTH, &series(32)).await;
    let foreign = parts(&series(32)[0]).0;
    let report = asked(&hospitals, &[&foreign]).await;
    assert!(holds(&report.0, &element([0, 0x1002], &2u16.to_le_bytes())));

    let address = hospitals.address;
    let statuses = tokio::task::spawn_blocking(move || {
        let mut association = options(NORTH).establish(address).unwrap();
        let mut told = |command: Vec<u8>, data: Vec<u8>| {
            send(&mut association, PDataValueType::Command, command);
            send(&mut association, PDataValueType::Data, data);
            status(&association.receive().unwrap())
        };
        let request = request(&["1.2".into()]);
        let statuses = [
            told(action_of(MR, WELL_KNOWN, 1), request.clone()),
            told(action("1.2.3", 1), request.clone()),
            told(action(WELL_KNOWN, 2), request),
            told(action(WELL_KNOWN, 1), b"no request".to_vec()),
        ];
        association.release().unwrap();
        statuses
    });
    assert_eq!(statuses.await.unwrap(), [0x0118, 0x0112, 0x0123, 0x0115]);
}

/// Where the files `report_to` and `goes_on` say so, NORTH_MR takes reports elsewhere, and a series is complete soon.
fn told_elsewhere(dicom: &mut DicomSettings, folder: &Path) {
    dicom.dicom_quiet_s = if folder.join("goes_on").try_exists().unwrap() { 1 } else { 3600 };
    let Ok(address) = std::fs::read_to_string(folder.join("report_to")) else { return };
    let table = dicom.dicom_senders.as_ref().unwrap();
    let north = r#""client_id": "north","#;
    let told = format!(r#"{north} "report_to": "{address}","#);
    let written = std::fs::read_to_string(table).unwrap();
    std::fs::write(table, written.replace(north, &told)).unwrap();
}

/// How many requests are noted that were not told.
fn noted(hospitals: &Hospitals) -> usize {
    let senders = std::fs::read_dir(hospitals.folder().join("spool/inbox")).unwrap().flatten();
    let asked = senders.filter_map(|sender| std::fs::read_dir(sender.path().join("asked")).ok());
    asked.map(Iterator::count).sum()
}

#[tokio::test]
async fn what_was_asked_of_a_process_that_is_gone_is_told_once_by_the_next() {
    let mut hospitals = Hospitals::with(told_elsewhere).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::fs::write(hospitals.folder().join("report_to"), address).unwrap();
    hospitals.kill().await;
    hospitals.start().await;

    let slices = series(35);
    hospitals.store(NORTH, &slices).await;
    let instances = [0, 7].map(|slice: usize| parts(&slices[slice]).0).to_vec();
    let (door, of_them) = (hospitals.address, instances.clone());
    let asking = tokio::task::spawn_blocking(move || asked_and_left(door, &of_them));
    asking.await.unwrap();
    assert_eq!(noted(&hospitals), 1);
    hospitals.kill().await;
    std::fs::write(hospitals.folder().join("goes_on"), "").unwrap();
    hospitals.start().await;
    let taking = tokio::task::spawn_blocking(move || (taken(&listener), listener));
    let ((command, data_set), listener) = taking.await.unwrap();
    assert!(holds(&command, &element([0, 0x1002], &1u16.to_le_bytes())));
    assert!(instances.iter().all(|uid| holds(&data_set, uid.as_bytes())));
    assert_eq!(hospitals.scans().await.len(), 1);

    // With the note it is forgotten; so is what is heard on the association that it was asked on.
    until(async || (noted(&hospitals) == 0).then_some(())).await;
    asked(&hospitals, &instances.iter().map(String::as_str).collect::<Vec<_>>()).await;
    until(async || (noted(&hospitals) == 0).then_some(())).await;
    hospitals.kill().await;
    hospitals.start().await;
    listener.set_nonblocking(true).unwrap();
    let again = listener.accept().map(drop).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::WouldBlock);
}
