//! Who sends asks whether what it has sent is kept (PS3.4, annex J).

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use dicom_ul::ClientAssociation;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use ingest::DicomSettings;

use crate::door::{COMMITMENT, Hospitals, MR, NORTH, context, options, parts, series, status};

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
    let items = instances.iter().map(|uid| {
        let class = element([8, 0x1150], MR.as_bytes());
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
fn reported(address: SocketAddr, instances: &[String]) -> (Vec<u8>, Vec<u8>) {
    let mut association = options(NORTH).establish(address).unwrap();
    send(&mut association, PDataValueType::Command, action(WELL_KNOWN, 1));
    send(&mut association, PDataValueType::Data, request(instances));
    let answer = association.receive().unwrap();
    assert_eq!(status(&answer), 0);
    let report = (received(&mut association), received(&mut association));
    let heard = [
        element([0, 0x0100], &0x8100u16.to_le_bytes()),
        element([0, 0x0120], &1u16.to_le_bytes()),
        element([0, 0x0800], &0x0101u16.to_le_bytes()),
        element([0, 0x0900], &0u16.to_le_bytes()),
    ];
    send(&mut association, PDataValueType::Command, heard.concat());
    association.release().unwrap();
    report
}

async fn asked(hospitals: &Hospitals, instances: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let instances: Vec<String> = instances.iter().map(|&uid| uid.to_owned()).collect();
    let address = hospitals.address;
    tokio::task::spawn_blocking(move || reported(address, &instances)).await.unwrap()
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
