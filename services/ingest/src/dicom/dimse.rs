//! Command sets of DIMSE (PS3.7, 6.3 and annex E): elements of group 0000 in implicit VR little endian, and no other.

/// No command set that is answered here is larger.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024;
/// PS3.5, 9.1.
const UID_CHARS_MAX: usize = 64;

const GROUP_LENGTH: u16 = 0x0000;
const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
const COMMAND_FIELD: u16 = 0x0100;
const MESSAGE_ID: u16 = 0x0110;
const MESSAGE_ID_BEING_RESPONDED_TO: u16 = 0x0120;
const COMMAND_DATA_SET_TYPE: u16 = 0x0800;
const STATUS: u16 = 0x0900;
const ERROR_COMMENT: u16 = 0x0902;
const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;

const C_STORE: u16 = 0x0001;
const C_ECHO: u16 = 0x0030;
const C_CANCEL: u16 = 0x0fff;
/// What a command's number has in it where it is a response.
const RESPONSE: u16 = 0x8000;
const NO_DATA_SET: u16 = 0x0101;

/// What the other side asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    Store,
    Echo,
    /// Of what is asked here nothing takes long enough to be cancelled; it has no response.
    Cancel,
    Other,
}

/// A request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    field: u16,
    message_id: u16,
    pub has_data_set: bool,
    /// Empty: it says none.
    pub sop_class: String,
    /// Empty: it says none.
    pub sop_instance: String,
}

/// How a request went (PS3.7, annex C; PS3.4, B.2.3), and why in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    pub code: u16,
    comment: &'static str,
}

impl Status {
    pub const SUCCESS: Status = Status { code: 0x0000, comment: "" };
    pub const NO_ROOM: Status =
        Status { code: 0xa700, comment: "no room for more instances now: send it again later" };
    pub const TOO_LARGE: Status =
        Status { code: 0xa702, comment: "the instance is larger than is taken" };
    pub const ANOTHER_CLASS: Status =
        Status { code: 0xa900, comment: "the SOP class is not the one that was negotiated" };
    pub const UNREADABLE: Status = Status { code: 0xc000, comment: "a C-STORE brings a data set" };
    pub const NO_INSTANCE: Status =
        Status { code: 0x0117, comment: "the SOP instance UID is none" };
    pub const UNKNOWN_OPERATION: Status =
        Status { code: 0x0211, comment: "only C-STORE and C-ECHO are answered" };
}

impl Command {
    /// Reads a request. None: it is none, or is broken.
    pub fn read(bytes: &[u8]) -> Option<Command> {
        let (mut rest, mut field, mut message_id, mut data_set) = (bytes, None, None, None);
        let (mut sop_class, mut sop_instance) = (String::new(), String::new());
        while !rest.is_empty() {
            let (head, behind) = rest.split_first_chunk::<8>()?;
            let [0, 0, low, high, length @ ..] = *head else { return None };
            let (value, next) = behind.split_at_checked(u32::from_le_bytes(length) as usize)?;
            rest = next;
            match u16::from_le_bytes([low, high]) {
                AFFECTED_SOP_CLASS_UID => sop_class = text(value),
                AFFECTED_SOP_INSTANCE_UID => sop_instance = text(value),
                COMMAND_FIELD => field = Some(short(value)?),
                MESSAGE_ID => message_id = Some(short(value)?),
                COMMAND_DATA_SET_TYPE => data_set = Some(short(value)?),
                _ => {}
            }
        }
        let (field, has_data_set) = (field?, data_set? != NO_DATA_SET);
        // Who cancels names the message that is meant in another element, and none of its own.
        let message_id = if field == C_CANCEL { message_id.unwrap_or(0) } else { message_id? };
        let is_request = field & RESPONSE == 0;
        is_request.then_some(Command { field, message_id, has_data_set, sop_class, sop_instance })
    }

    pub fn operation(&self) -> Operation {
        match self.field {
            C_STORE => Operation::Store,
            C_ECHO => Operation::Echo,
            C_CANCEL => Operation::Cancel,
            _ => Operation::Other,
        }
    }

    /// The command set of the response.
    pub fn response(&self, status: Status) -> Vec<u8> {
        let mut elements = Vec::new();
        if !self.sop_class.is_empty() {
            put_text(&mut elements, AFFECTED_SOP_CLASS_UID, &self.sop_class, 0);
        }
        put_short(&mut elements, COMMAND_FIELD, self.field | RESPONSE);
        put_short(&mut elements, MESSAGE_ID_BEING_RESPONDED_TO, self.message_id);
        put_short(&mut elements, COMMAND_DATA_SET_TYPE, NO_DATA_SET);
        put_short(&mut elements, STATUS, status.code);
        if !status.comment.is_empty() {
            put_text(&mut elements, ERROR_COMMENT, status.comment, b' ');
        }
        if !self.sop_instance.is_empty() {
            put_text(&mut elements, AFFECTED_SOP_INSTANCE_UID, &self.sop_instance, 0);
        }
        let mut bytes = Vec::with_capacity(elements.len() + 12);
        put(&mut bytes, GROUP_LENGTH, &(elements.len() as u32).to_le_bytes());
        bytes.extend(elements);
        bytes
    }
}

/// Whether that can name an instance; so it can name a file, too.
pub fn is_uid(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= UID_CHARS_MAX && text.split('.').all(is_number)
}

fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim_matches(|c: char| c == '\0' || c == ' ').to_owned()
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

fn put_short(to: &mut Vec<u8>, element: u16, value: u16) {
    put(to, element, &value.to_le_bytes());
}

/// A text of an even length, as all values are.
fn put_text(to: &mut Vec<u8>, element: u16, text: &str, pad: u8) {
    let mut value = text.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(pad);
    }
    put(to, element, &value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(field: u16, class: &str, instance: &str, data_set: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, GROUP_LENGTH, &[0; 4]);
        put_text(&mut bytes, AFFECTED_SOP_CLASS_UID, class, 0);
        put_short(&mut bytes, COMMAND_FIELD, field);
        put_short(&mut bytes, MESSAGE_ID, 7);
        put_short(&mut bytes, COMMAND_DATA_SET_TYPE, data_set);
        put_text(&mut bytes, AFFECTED_SOP_INSTANCE_UID, instance, 0);
        bytes
    }

    #[test]
    fn a_request_says_what_is_sent_and_padding_is_no_part_of_it() {
        let command = Command::read(&request(C_STORE, "1.2.3", "1.2.34", 1)).unwrap();
        assert_eq!(command.operation(), Operation::Store);
        assert_eq!((&*command.sop_class, &*command.sop_instance), ("1.2.3", "1.2.34"));
        assert!(command.has_data_set);
        let echo = Command::read(&request(C_ECHO, "1.2", "", NO_DATA_SET)).unwrap();
        assert_eq!((echo.operation(), echo.has_data_set), (Operation::Echo, false));
        let other = Command::read(&request(0x0020, "1.2", "", 0)).unwrap();
        assert_eq!(other.operation(), Operation::Other);
    }

    #[test]
    fn a_response_answers_the_message_that_it_is_asked_by() {
        let command = Command::read(&request(C_STORE, "1.2.3", "1.2.34", 1)).unwrap();
        let bytes = command.response(Status::NO_ROOM);
        assert_eq!(bytes.len() % 2, 0);
        let length = u32::from_le_bytes(*bytes[8..].first_chunk().unwrap()) as usize;
        assert_eq!(length, bytes.len() - 12);
        let holds = |element: &[u8]| bytes.windows(element.len()).any(|window| window == element);
        assert!(holds(&[0, 0, 0, 1, 2, 0, 0, 0, 1, 0x80]), "C-STORE-RSP");
        assert!(holds(&[0, 0, 0x20, 1, 2, 0, 0, 0, 7, 0]), "to message 7");
        assert!(holds(&[0, 0, 0, 9, 2, 0, 0, 0, 0, 0xa7]), "the status");
        // It is a response, and no request.
        assert_eq!(Command::read(&bytes), None);
    }

    #[test]
    fn a_comment_fits_its_element() {
        // LO: 64 characters at most.
        for status in [
            Status::NO_ROOM,
            Status::TOO_LARGE,
            Status::ANOTHER_CLASS,
            Status::UNREADABLE,
            Status::NO_INSTANCE,
            Status::UNKNOWN_OPERATION,
        ] {
            assert!(status.comment.len() <= 64, "{}", status.comment);
        }
    }

    #[test]
    fn what_is_cut_or_of_another_group_is_no_request() {
        let whole = request(C_STORE, "1.2.3", "1.2.34", 1);
        for length in 0..whole.len() - 1 {
            // What ends behind an element and has all that counts is one: the UIDs may be missing.
            let read = Command::read(&whole[..length]);
            assert!(read.is_none_or(|command| command.sop_instance.is_empty()), "{length}");
        }
        let mut foreign = whole.clone();
        foreign[0] = 8;
        assert_eq!(Command::read(&foreign), None);
        let mut endless = whole;
        endless[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Command::read(&endless), None);
    }

    #[test]
    fn a_uid_is_digits_and_dots_and_leads_out_of_no_folder() {
        for uid in ["1.2.840.10008.1.1", "2.25.3", "1"] {
            assert!(is_uid(uid), "{uid}");
        }
        for none in ["", ".", "..", "1..2", "1.2.", "../1", "1.2a", "1 2", &"1".repeat(65)] {
            assert!(!is_uid(none), "{none}");
        }
    }
}
