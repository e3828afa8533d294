//! Command sets of C-STORE (PS3.7, 9.3.1): elements of group 0000 in implicit VR little endian.

const GROUP_LENGTH: u16 = 0x0000;
const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
const COMMAND_FIELD: u16 = 0x0100;
const MESSAGE_ID: u16 = 0x0110;
const MESSAGE_ID_BEING_RESPONDED_TO: u16 = 0x0120;
const PRIORITY: u16 = 0x0700;
const COMMAND_DATA_SET_TYPE: u16 = 0x0800;
const STATUS: u16 = 0x0900;
const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;

const C_STORE: u16 = 0x0001;
const C_STORE_RESPONSE: u16 = 0x8001;
const MEDIUM: u16 = 0x0000;
/// Any value but the one that says that there is none.
const A_DATA_SET: u16 = 0x0001;

/// The most that a response may have.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024;

/// The request to store an instance.
pub fn request(message_id: u16, class: &str, uid: &str) -> Vec<u8> {
    let mut elements = Vec::new();
    put_uid(&mut elements, AFFECTED_SOP_CLASS_UID, class);
    put(&mut elements, COMMAND_FIELD, &C_STORE.to_le_bytes());
    put(&mut elements, MESSAGE_ID, &message_id.to_le_bytes());
    put(&mut elements, PRIORITY, &MEDIUM.to_le_bytes());
    put(&mut elements, COMMAND_DATA_SET_TYPE, &A_DATA_SET.to_le_bytes());
    put_uid(&mut elements, AFFECTED_SOP_INSTANCE_UID, uid);
    let mut bytes = Vec::with_capacity(elements.len() + 12);
    put(&mut bytes, GROUP_LENGTH, &(elements.len() as u32).to_le_bytes());
    bytes.extend(elements);
    bytes
}

/// The status in the response to that message; None: it is none, is broken, or answers another.
pub fn status(bytes: &[u8], message_id: u16) -> Option<u16> {
    let (mut rest, mut field, mut answered, mut status) = (bytes, None, None, None);
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk::<8>()?;
        let [0, 0, low, high, length @ ..] = *head else { return None };
        let (value, next) = behind.split_at_checked(u32::from_le_bytes(length) as usize)?;
        rest = next;
        match u16::from_le_bytes([low, high]) {
            COMMAND_FIELD => field = Some(short(value)?),
            MESSAGE_ID_BEING_RESPONDED_TO => answered = Some(short(value)?),
            STATUS => status = Some(short(value)?),
            _ => {}
        }
    }
    status.filter(|_| field == Some(C_STORE_RESPONSE) && answered == Some(message_id))
}

fn short(value: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(*value.first_chunk::<2>()?))
}

fn put(to: &mut Vec<u8>, element: u16, value: &[u8]) {
    to.extend([0, 0]);
    to.extend(element.to_le_bytes());
    to.extend((value.len() as u32).to_le_bytes());
    to.extend(value);
}

/// A UID of an even length, as all values are.
fn put_uid(to: &mut Vec<u8>, element: u16, uid: &str) {
    let mut value = uid.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    put(to, element, &value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(field: u16, message_id: u16, status: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, GROUP_LENGTH, &[0; 4]);
        put(&mut bytes, COMMAND_FIELD, &field.to_le_bytes());
        put(&mut bytes, MESSAGE_ID_BEING_RESPONDED_TO, &message_id.to_le_bytes());
        put(&mut bytes, STATUS, &status.to_le_bytes());
        bytes
    }

    #[test]
    fn a_request_says_how_long_it_is_and_what_it_brings() {
        let bytes = request(7, "1.2.3", "1.2.34");
        let length = u32::from_le_bytes(*bytes[8..].first_chunk().unwrap()) as usize;
        assert_eq!((length, bytes.len() % 2), (bytes.len() - 12, 0));
        let holds = |element: &[u8]| bytes.windows(element.len()).any(|window| window == element);
        assert!(holds(&[0, 0, 0, 1, 2, 0, 0, 0, 1, 0]), "C-STORE-RQ");
        assert!(holds(b"\0\0\x02\0\x06\0\0\x001.2.3\0"), "its class, of an even length");
        assert!(holds(&[0, 0, 0, 8, 2, 0, 0, 0, 1, 0]), "a data set follows");
    }

    #[test]
    fn a_status_is_that_of_the_message_that_was_sent() {
        assert_eq!(status(&response(C_STORE_RESPONSE, 7, 0xb000), 7), Some(0xb000));
        assert_eq!(status(&response(C_STORE_RESPONSE, 8, 0), 7), None);
        assert_eq!(status(&response(0x8030, 7, 0), 7), None);
        let whole = response(C_STORE_RESPONSE, 7, 0);
        for length in 0..whole.len() {
            assert_eq!(status(&whole[..length], 7), None, "{length}");
        }
        let mut endless = whole;
        endless[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(status(&endless, 7), None);
    }
}
