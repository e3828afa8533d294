//! The compression that some tools put around single files (RFC 1952).

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::GzDecoder;

use super::{Limits, unpacking};
use crate::{Refusal, RefusalReason};

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The file within the compression; the file itself where there is none.
pub(super) fn unpacked<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, Refusal> {
    if !bytes.starts_with(&MAGIC) {
        return Ok(Cow::Borrowed(bytes));
    }
    let (mut rest, mut file) = (bytes, Vec::new());
    // Members one after another are one file (2.2). What follows and is none is padding, as gzip(1) has it.
    while rest.starts_with(&MAGIC) {
        let mut member = GzDecoder::new(rest);
        let left = limits.bytes - file.len();
        member.by_ref().take(left as u64 + 1).read_to_end(&mut file).map_err(unpacking)?;
        if file.len() > limits.bytes {
            let most = limits.bytes / 1_000_000;
            return Err(
                RefusalReason::TooLarge.refuse(format!("It unpacks to more than {most} MB."))
            );
        }
        rest = member.into_inner();
    }
    // It has grown by doubling, and the voxels are still to come.
    file.shrink_to_fit();
    Ok(Cow::Owned(file))
}

/// The first bytes within the compression of a file that begins with `head`.
pub(super) fn head(head: &[u8]) -> Cow<'_, [u8]> {
    if !head.starts_with(&MAGIC) {
        return Cow::Borrowed(head);
    }
    let mut bytes = vec![0; head.len()];
    let mut read = 0;
    let mut member = GzDecoder::new(head);
    // The head ends in the middle: what was read before that is enough.
    while let Ok(more @ 1..) = member.read(&mut bytes[read..]) {
        read += more;
    }
    bytes.truncate(read);
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::read::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    }

    fn file(bytes: &[u8]) -> Result<Vec<u8>, RefusalReason> {
        let unpacked = unpacked(bytes, &Limits::default());
        unpacked.map(Cow::into_owned).map_err(|refusal| refusal.problem)
    }

    #[test]
    fn members_are_one_file_and_padding_behind_them_is_none() {
        let two = [packed(b"one "), packed(b"two")].concat();
        for behind in [&b""[..], &[0; 512], b"garbage"] {
            assert_eq!(file(&[&two, behind].concat()), Ok(b"one two".to_vec()));
        }
        assert_eq!(file(b"plain"), Ok(b"plain".to_vec()));
    }

    #[test]
    fn a_member_that_ends_early_is_truncated_and_one_too_large_is_refused() {
        let whole = packed(&[7; 4000]);
        assert_eq!(file(&whole[..whole.len() - 9]), Err(RefusalReason::Truncated));
        let limits = Limits { bytes: 3999, ..Limits::default() };
        assert_eq!(unpacked(&whole, &limits).unwrap_err().problem, RefusalReason::TooLarge);
    }

    #[test]
    fn a_head_is_unpacked_as_far_as_it_goes() {
        let noise: Vec<u8> =
            (0..9000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let packed = packed(&noise);
        let head = head(&packed[..packed.len() / 2]).into_owned();
        assert!(head.len() >= 540 && noise.starts_with(&head), "{}", head.len());
    }
}
