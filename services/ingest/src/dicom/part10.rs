//! The beginning of a DICOM file (PS3.10, 7.1): what goes before a data set that came over the network, where it had none.

/// Who has written the file: a UUID of our own under 2.25. Without a version, so that the same instance is the same bytes
/// whichever version has taken it.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.188272192349605704448127378368375081193";
pub const IMPLEMENTATION_VERSION_NAME: &str = "MEDSEG";

/// Preamble and meta information of an instance in that transfer syntax.
pub fn head(sop_class: &str, sop_instance: &str, transfer_syntax: &str) -> Vec<u8> {
    let mut meta = Vec::new();
    // Other bytes have a length of four bytes, behind two that say nothing (PS3.5, 7.1.2).
    meta.extend(b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01");
    put(&mut meta, 0x0002, *b"UI", sop_class, 0);
    put(&mut meta, 0x0003, *b"UI", sop_instance, 0);
    put(&mut meta, 0x0010, *b"UI", transfer_syntax, 0);
    put(&mut meta, 0x0012, *b"UI", IMPLEMENTATION_CLASS_UID, 0);
    put(&mut meta, 0x0013, *b"SH", IMPLEMENTATION_VERSION_NAME, b' ');
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM\x02\0\0\0UL\x04\0");
    bytes.extend((meta.len() as u32).to_le_bytes());
    bytes.extend(meta);
    bytes
}

/// So many bytes of a file are enough to say its class.
pub const CLASS_BYTES: u64 = 256;
/// Where a head of ours says of which class the instance is: behind preamble, length and version.
const CLASS_AT: usize = 158;

/// The class that [`head`] has written at the beginning of a file. Nothing is read that a sender has.
pub fn sop_class(file: &[u8]) -> Option<String> {
    let (head, value) = file.get(CLASS_AT..)?.split_first_chunk::<8>()?;
    let [2, 0, 2, 0, b'U', b'I', length @ ..] = *head else { return None };
    let value = value.get(..usize::from(u16::from_le_bytes(length)))?;
    Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned())
}

/// A text of the group 0002. All that is put is far shorter than 64 KiB.
fn put(to: &mut Vec<u8>, element: u16, vr: [u8; 2], text: &str, pad: u8) {
    let mut value = text.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(pad);
    }
    to.extend([2, 0]);
    to.extend(element.to_le_bytes());
    to.extend(vr);
    to.extend((value.len() as u16).to_le_bytes());
    to.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_long_it_is_and_what_follows() {
        let bytes = head("1.2.840.10008.5.1.4.1.1.4", "1.2.3", "1.2.840.10008.1.2.1");
        assert_eq!(bytes[128..132], *b"DICM");
        let length = u32::from_le_bytes(*bytes[140..].first_chunk().unwrap()) as usize;
        assert_eq!(bytes.len(), 144 + length);
        assert_eq!(bytes.len() % 2, 0);
        for class in ["1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"] {
            let bytes = head(class, "1.2.3", "1.2.840.10008.1.2.1");
            let enough = bytes.len().min(CLASS_BYTES as usize);
            assert_eq!(sop_class(&bytes[..enough]).as_deref(), Some(class));
            assert_eq!(sop_class(&bytes[..CLASS_AT + 10]), None);
        }
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(holds(b"\x02\0\x03\0UI\x06\x001.2.3\0"));
        assert!(holds(b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"));
        assert!(IMPLEMENTATION_CLASS_UID.len() <= 64);
    }
}
