//! The index of a scan's instances, which the jail has made of its upload: where the bytes of each are.

use std::collections::HashSet;

use domain::ErrorKind;
use domain::artefact::INSTANCES;
use imaging::{Instance, StoredInstance};
use report::dicom::is_uid;

use super::held::{Bytes, plain};
use crate::caller::Caller;
use crate::problem::{INTERNAL, Problem};
use crate::{Gateway, artefacts};

/// What the index of the scan has; nothing where there is none.
pub async fn of(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &str,
) -> Result<Vec<StoredInstance>, Problem> {
    let Some(index) = artefacts::whole(gateway, caller, scan, INSTANCES.name).await? else {
        return Ok(Vec::new());
    };
    let read =
        tokio::task::spawn_blocking(move || serde_json::from_slice::<Vec<StoredInstance>>(&index));
    let read = read.await.map_err(|error| {
        ErrorKind::Internal.error("an index of instances could not be read").because(error)
    })?;
    read.map_err(|error| {
        tracing::error!(%error, scan.id = scan, "an index of instances is none");
        INTERNAL.problem("internal error")
    })
}

/// UID, class and bytes of each of the wanted instances of one scan: first those that its index has, in its order, then those that it
/// leaves out, of which no more than the scan's class is known. None is passed over: who asks would take what is left for all.
pub fn known(
    index: Vec<StoredInstance>,
    wanted: &[String],
    class: &str,
) -> Vec<(String, String, Bytes)> {
    let asked: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    let told = |stored: StoredInstance| {
        let Instance { sop_instance, sop_class, .. } = &stored.instance;
        let (uid, class) = (plain(sop_instance).to_owned(), plain(sop_class).to_owned());
        (uid, class, handed_out(stored))
    };
    let mut known: Vec<_> = index.into_iter().map(told).collect();
    known.retain(|(uid, ..)| asked.contains(uid.as_str()));
    let indexed: HashSet<&str> = known.iter().map(|(uid, ..)| uid.as_str()).collect();
    let left_out = wanted.iter().filter(|uid| !indexed.contains(uid.as_str()));
    let left_out = left_out.map(|uid| (uid.clone(), class.to_owned(), Bytes::Unindexed));
    let left_out: Vec<_> = left_out.collect();
    known.extend(left_out);
    known
}

/// Where the instance's bytes are. What calls itself by no UID, or is in something that is none, is not handed out: whoever has sent
/// it may have put anything there, and it would stand in the heads of parts.
fn handed_out(stored: StoredInstance) -> Bytes {
    let Instance { sop_instance, transfer_syntax, .. } = &stored.instance;
    if is_uid(plain(sop_instance)) && is_uid(plain(transfer_syntax)) {
        Bytes::Stored(Box::new(stored))
    } else {
        Bytes::Unindexed
    }
}

#[cfg(test)]
mod tests {
    use imaging::Extent;
    use serde_json::Map;

    use super::*;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn stored(uid: &str, syntax: &str) -> StoredInstance {
        StoredInstance {
            stored: Extent { at: 0, bytes: 1 },
            packed: false,
            bytes: 1,
            sha256: String::new(),
            instance: Instance {
                sop_class: "1.2".into(),
                sop_instance: uid.into(),
                transfer_syntax: syntax.into(),
                attributes: Map::new(),
                frames: 1,
                pixels: None,
                bulk: Vec::new(),
            },
        }
    }

    #[test]
    fn what_is_no_uid_stands_in_the_head_of_no_part() {
        let is_stored = |uid, syntax| matches!(handed_out(stored(uid, syntax)), Bytes::Stored(_));
        assert!(is_stored("1.2.3\0", EXPLICIT));
        assert!(!is_stored("1.2\r\nContent-Type: text/html\r\n\r\n", EXPLICIT));
        assert!(!is_stored("1.2.3", "1.2\r\nX: y"));
    }

    #[test]
    fn what_the_index_leaves_out_is_told_and_not_passed_over() {
        let index = ["1.2.9", "1.2.3\0"].map(|uid| stored(uid, EXPLICIT));
        let wanted = ["1.2.4", "1.2.3"].map(str::to_owned);
        let known = known(index.into(), &wanted, "1.1");
        let told = known.iter().map(|(uid, class, bytes)| {
            (uid.as_str(), class.as_str(), matches!(bytes, Bytes::Stored(_)))
        });
        assert!(told.eq([("1.2.3", "1.2", true), ("1.2.4", "1.1", false)]));
    }
}
