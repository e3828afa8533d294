//! How a file reaches a decoder that is running already: as a descriptor over a socket (`SCM_RIGHTS`, unix(7)).
//!
//! So a decoder opens no file, and can be started before there is one.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// What stands for the file in the stream of bytes: a message holds at least one.
const BYTE: [u8; 1] = [0];

/// Sends `file`. Does not block on a socket that nothing was sent on yet.
pub fn give(socket: impl AsFd, file: impl AsFd) -> Result<()> {
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    retry_on_intr(|| {
        sendmsg(&socket, &[IoSlice::new(&BYTE)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Waits for a file. None when the other side has gone without sending one.
pub fn take(socket: impl AsFd) -> Result<Option<File>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = BYTE;
    retry_on_intr(|| {
        recvmsg(&socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    let files = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(files.map(File::from).next())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_file_goes_over_and_an_empty_hand_is_told_from_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"pixels").unwrap();
        file.rewind().unwrap();
        give(&ours, &file).unwrap();
        let mut bytes = String::new();
        take(&theirs).unwrap().unwrap().read_to_string(&mut bytes).unwrap();
        assert_eq!(bytes, "pixels");
        drop(ours);
        assert!(take(&theirs).unwrap().is_none());
    }

    #[test]
    fn nobody_to_give_it_to_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(give(&ours, tempfile::tempfile().unwrap()).is_err());
    }
    #[test]
    fn files_are_taken_in_the_order_in_which_they_were_given_and_a_byte_alone_is_none() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for length in [1, 2, 3] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![7; length]).unwrap();
            give(&ours, &file).unwrap();
        }
        let lengths = [(); 3].map(|()| take(&theirs).unwrap().unwrap().metadata().unwrap().len());
        assert_eq!(lengths, [1, 2, 3]);
        (&ours).write_all(b"x").unwrap();
        assert!(take(&theirs).unwrap().is_none());
    }
}
