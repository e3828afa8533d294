//! The room that uploads leave on the spool's disk.

use std::time::Duration;

use domain::{Error, ErrorKind};
use tokio::time::timeout;

use crate::files;
use crate::world::{NO_ROOM_MIB, World};

fn said(error: &Error) -> (ErrorKind, String) {
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_breached_reserve_is_answered_before_a_byte_is_sent_and_as_storage_answers() {
    let world = World::with(|config| config.disk_reserve_mib = NO_ROOM_MIB).await;
    let silent = async {
        let upload = world.upload_in_silence().await.unwrap_err();
        let batch = world.upload_batch_in_silence().await.unwrap_err();
        [said(&upload), said(&batch)]
    };
    let answers = timeout(Duration::from_secs(20), silent).await.expect("it waits for the body");
    let storage = World::full().await.upload(&files::dicom_slice()).await.unwrap_err();
    assert_eq!(storage.kind(), ErrorKind::Unavailable);
    assert_eq!(answers, [said(&storage), said(&storage)]);
    assert_eq!(world.spooled(), 0);
}
