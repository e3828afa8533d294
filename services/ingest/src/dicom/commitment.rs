//! What is promised of instances (Storage Commitment Push Model, PS3.4, annex J): who has sent them may delete its own.
//!
//! Request and report are data sets of two levels, in implicit VR little endian, which every application entity speaks.

use serde::{Deserialize, Serialize};

use super::dimse::is_uid;

pub const CLASS: &str = "1.2.840.10008.1.20.1";
/// The one instance of that class (PS3.4, J.3.5).
pub const WELL_KNOWN: &str = "1.2.840.10008.1.20.1.1";
/// The action that requests a commitment (PS3.4, J.3.2).
pub const REQUEST: u16 = 1;
/// A request for some ten thousand instances.
pub const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Why an instance is not promised (PS3.3, C.14): it is not here, no scan keeps it, or it is of another class than is said.
const NO_SUCH_INSTANCE: u16 = 0x0112;
const PROCESSING_FAILURE: u16 = 0x0110;
const CLASS_INSTANCE_CONFLICT: u16 = 0x0119;

const GROUP: u16 = 0x0008;
const REFERENCED_SOP_CLASS_UID: u16 = 0x1150;
const REFERENCED_SOP_INSTANCE_UID: u16 = 0x1155;
const TRANSACTION_UID: u16 = 0x1195;
const FAILURE_REASON: u16 = 0x1197;
const FAILED_SOP_SEQUENCE: u16 = 0x1198;
const REFERENCED_SOP_SEQUENCE: u16 = 0x1199;

const ITEM: [u16; 2] = [0xfffe, 0xe000];
const ITEM_END: [u16; 2] = [0xfffe, 0xe00d];
const SEQUENCE_END: [u16; 2] = [0xfffe, 0xe0dd];
const UNDEFINED: u32 = u32::MAX;
const HEAD_BYTES: usize = 8;
/// No request nests deeper; one that does is not read.
const DEPTH_MAX: usize = 8;

/// An instance that somebody refers to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Referenced {
    pub class: String,
    pub instance: String,
}

/// A request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Asked {
    transaction: String,
    pub referenced: Vec<Referenced>,
}

/// What is promised, and what is not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Commitment {
    transaction: String,
    committed: Vec<Referenced>,
    /// With the reason.
    failed: Vec<(Referenced, u16)>,
}

/// What is known of an instance; what is said later outweighs what is said before.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fate {
    /// There is none, or not any more.
    Unknown,
    /// A scan keeps it.
    Kept,
    /// A scan keeps it, and it is of another class than is said.
    AnotherClass,
    /// No scan was made of it, or that was deleted.
    Lost,
    /// It may still become part of a scan, or be refused or discarded.
    Waiting,
}

impl Asked {
    /// Reads a request. None: it is none, or is broken.
    pub fn read(bytes: &[u8]) -> Option<Asked> {
        let (mut transaction, mut referenced) = (None, Vec::new());
        for ([group, element], value) in elements(bytes)? {
            match (group, element) {
                (GROUP, TRANSACTION_UID) => transaction = Some(text(value)),
                (GROUP, REFERENCED_SOP_SEQUENCE) => {
                    for item in items(value)? {
                        referenced.push(Referenced::read(item)?);
                    }
                }
                _ => {}
            }
        }
        let transaction = transaction.filter(|uid| is_uid(uid))?;
        (!referenced.is_empty()).then_some(Asked { transaction, referenced })
    }

    /// What is promised where that is what is known of each instance.
    pub fn promised(&self, fates: &[Fate]) -> Commitment {
        let (mut committed, mut failed) = (Vec::new(), Vec::new());
        for (one, fate) in self.referenced.iter().zip(fates) {
            match fate {
                Fate::Kept => committed.push(one.clone()),
                Fate::Unknown => failed.push((one.clone(), NO_SUCH_INSTANCE)),
                Fate::AnotherClass => failed.push((one.clone(), CLASS_INSTANCE_CONFLICT)),
                Fate::Lost | Fate::Waiting => failed.push((one.clone(), PROCESSING_FAILURE)),
            }
        }
        Commitment { transaction: self.transaction.clone(), committed, failed }
    }
}

impl Referenced {
    fn read(item: &[u8]) -> Option<Referenced> {
        let (mut class, mut instance) = (String::new(), String::new());
        for (tag, value) in elements(item)? {
            match tag {
                [GROUP, REFERENCED_SOP_CLASS_UID] => class = text(value),
                [GROUP, REFERENCED_SOP_INSTANCE_UID] => instance = text(value),
                _ => {}
            }
        }
        (is_uid(&class) && is_uid(&instance)).then_some(Referenced { class, instance })
    }

    fn item(&self, failure: Option<u16>) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_uid(&mut bytes, REFERENCED_SOP_CLASS_UID, &self.class);
        put_uid(&mut bytes, REFERENCED_SOP_INSTANCE_UID, &self.instance);
        if let Some(reason) = failure {
            put(&mut bytes, [GROUP, FAILURE_REASON], &reason.to_le_bytes());
        }
        bytes
    }
}

impl Commitment {
    /// Whether all is promised that was asked for.
    pub fn is_whole(&self) -> bool {
        self.failed.is_empty()
    }

    /// What the report says (PS3.4, table J.3-2).
    pub fn data_set(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_uid(&mut bytes, TRANSACTION_UID, &self.transaction);
        let failed = self.failed.iter().map(|(one, reason)| one.item(Some(*reason)));
        put_items(&mut bytes, FAILED_SOP_SEQUENCE, failed);
        let committed = self.committed.iter().map(|one| one.item(None));
        put_items(&mut bytes, REFERENCED_SOP_SEQUENCE, committed);
        bytes
    }
}

type Element<'a> = ([u16; 2], &'a [u8]);

/// The elements of a data set or an item. None: it is cut, or nests too deep.
fn elements(mut rest: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let (tag, length, behind) = head(rest)?;
        let (bytes, whole) = match length {
            UNDEFINED => undefined(behind, SEQUENCE_END, 0)?,
            length => (length as usize, length as usize),
        };
        elements.push((tag, behind.get(..bytes)?));
        rest = behind.get(whole..)?;
    }
    Some(elements)
}

/// The items of a sequence.
fn items(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (ITEM, length, behind) = head(rest)? else { return None };
        let (bytes, whole) = match length {
            UNDEFINED => undefined(behind, ITEM_END, 0)?,
            length => (length as usize, length as usize),
        };
        items.push(behind.get(..bytes)?);
        rest = behind.get(whole..)?;
    }
    Some(items)
}

/// How long a value of undefined length is, without what ends it and with it.
fn undefined(value: &[u8], end: [u16; 2], depth: usize) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        let (tag, length, behind) = head(value.get(at..)?)?;
        if tag == end {
            return Some((at, at + HEAD_BYTES));
        }
        at += HEAD_BYTES;
        at += match (length, tag) {
            (UNDEFINED, _) if depth >= DEPTH_MAX => return None,
            (UNDEFINED, ITEM) => undefined(behind, ITEM_END, depth + 1)?.1,
            (UNDEFINED, _) => undefined(behind, SEQUENCE_END, depth + 1)?.1,
            (length, _) => length as usize,
        };
    }
}

fn head(bytes: &[u8]) -> Option<([u16; 2], u32, &[u8])> {
    let (head, behind) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [a, b, c, d, length @ ..] = *head;
    let tag = [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])];
    Some((tag, u32::from_le_bytes(length), behind))
}

fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim_matches(|c: char| c == '\0' || c == ' ').to_owned()
}

fn put(to: &mut Vec<u8>, [group, element]: [u16; 2], value: &[u8]) {
    to.extend(group.to_le_bytes());
    to.extend(element.to_le_bytes());
    to.extend((value.len() as u32).to_le_bytes());
    to.extend(value);
}

/// A sequence of those items, unless there are none.
fn put_items(to: &mut Vec<u8>, sequence: u16, items: impl Iterator<Item = Vec<u8>>) {
    let mut all = Vec::new();
    for item in items {
        put(&mut all, ITEM, &item);
    }
    if !all.is_empty() {
        put(to, [GROUP, sequence], &all);
    }
}

fn put_uid(to: &mut Vec<u8>, element: u16, uid: &str) {
    let mut value = uid.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    put(to, [GROUP, element], &value);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn one(instance: &str) -> Referenced {
        Referenced { class: "1.2.840.10008.5.1.4.1.1.4".into(), instance: instance.into() }
    }

    pub fn promised(committed: &[&str], failed: &[&str]) -> Commitment {
        let all = |uids: &[&str]| uids.iter().map(|uid| one(uid)).collect::<Vec<_>>();
        let failed = all(failed).into_iter().map(|one| (one, NO_SUCH_INSTANCE)).collect();
        Commitment { transaction: "1.2.9".into(), committed: all(committed), failed }
    }

    #[test]
    fn a_request_is_read_however_its_sequence_says_its_length() {
        let asked =
            Asked { transaction: "1.2.9".into(), referenced: vec![one("1.2.3"), one("1.2.45")] };
        let defined = promised(&["1.2.3", "1.2.45"], &[]).data_set();
        assert_eq!(Asked::read(&defined).as_ref(), Some(&asked));

        let mut undefined = Vec::new();
        put_uid(&mut undefined, TRANSACTION_UID, "1.2.9");
        let open = |to: &mut Vec<u8>, [group, element]: [u16; 2]| {
            to.extend(group.to_le_bytes());
            to.extend(element.to_le_bytes());
            to.extend(UNDEFINED.to_le_bytes());
        };
        open(&mut undefined, [GROUP, REFERENCED_SOP_SEQUENCE]);
        for referenced in &asked.referenced {
            open(&mut undefined, ITEM);
            undefined.extend(referenced.item(None));
            put(&mut undefined, ITEM_END, &[]);
        }
        put(&mut undefined, SEQUENCE_END, &[]);
        assert_eq!(Asked::read(&undefined).as_ref(), Some(&asked));
        // Cut anywhere, it says no more than it did.
        for whole in [&defined, &undefined] {
            for length in 0..whole.len() {
                assert_ne!(Asked::read(&whole[..length]).as_ref(), Some(&asked), "{length}");
            }
        }
    }

    #[test]
    fn what_names_nothing_or_never_ends_is_no_request() {
        assert_eq!(Asked::read(&[]), None);
        assert_eq!(Asked::read(&promised(&[], &[]).data_set()), None);
        let path = promised(&["../1"], &[]).data_set();
        assert_eq!(Asked::read(&path), None);
        let mut deep = Vec::new();
        for _ in 0..1000 {
            deep.extend([8, 0, 0x99, 0x11, 0xff, 0xff, 0xff, 0xff]);
            deep.extend([0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff]);
        }
        assert_eq!(Asked::read(&deep), None);
    }

    #[test]
    fn what_is_not_promised_is_listed_with_the_reason() {
        let report = promised(&["1.2.3"], &["1.2.4"]);
        assert!(!report.is_whole() && promised(&["1.2.3"], &[]).is_whole());
        let bytes = report.data_set();
        let sequences: Vec<_> = elements(&bytes).unwrap();
        let tags: Vec<u16> = sequences.iter().map(|([_, element], _)| *element).collect();
        assert_eq!(tags, [TRANSACTION_UID, FAILED_SOP_SEQUENCE, REFERENCED_SOP_SEQUENCE]);
        let failed = items(sequences[1].1).unwrap();
        assert_eq!(Referenced::read(failed[0]), Some(one("1.2.4")));
        assert!(failed[0].ends_with(&[8, 0, 0x97, 0x11, 2, 0, 0, 0, 0x12, 0x01]));
    }

    #[test]
    fn nothing_is_promised_but_what_a_scan_keeps() {
        let referenced = ["1.1", "1.2", "1.3", "1.4", "1.5"].map(one).to_vec();
        let asked = Asked { transaction: "1.2.9".into(), referenced };
        let fates = [Fate::Kept, Fate::Unknown, Fate::Lost, Fate::Waiting, Fate::AnotherClass];
        let Commitment { committed, failed, .. } = asked.promised(&fates);
        assert_eq!(committed, [one("1.1")]);
        let reasons = [("1.2", 0x0112), ("1.3", 0x0110), ("1.4", 0x0110), ("1.5", 0x0119)];
        assert_eq!(failed, reasons.map(|(uid, reason)| (one(uid), reason)));
        assert!(Fate::Waiting > Fate::Lost && Fate::Lost > Fate::Kept);
    }
}
