//! Command sets of DIMSE (PS3.7, 6.3 and annex E): elements of group 0000 in implicit VR little endian, and no other.

/// No command set that is answered here is larger.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024;
/// PS3.5, 9.1.
const UID_CHARS_MAX: usize = 64;

const GROUP_LENGTH: u16 = 0x0000;
const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
const REQUESTED_SOP_CLASS_UID: u16 = 0x0003;
const COMMAND_FIELD: u16 = 0x0100;
const MESSAGE_ID: u16 = 0x0110;
const MESSAGE_ID_BEING_RESPONDED_TO: u16 = 0x0120;
const COMMAND_DATA_SET_TYPE: u16 = 0x0800;
const STATUS: u16 = 0x0900;
const ERROR_COMMENT: u16 = 0x0902;
const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;
const REQUESTED_SOP_INSTANCE_UID: u16 = 0x1001;
const EVENT_TYPE_ID: u16 = 0x1002;
const ACTION_TYPE_ID: u16 = 0x1008;

const C_STORE: u16 = 0x0001;
const C_ECHO: u16 = 0x0030;
const N_EVENT_REPORT: u16 = 0x0100;
const N_ACTION: u16 = 0x0130;
const C_CANCEL: u16 = 0x0fff;
/// What a command's number has in it where it is a response.
const RESPONSE: u16 = 0x8000;
/// The answer to a report of ours: the one response that comes in.
const HEARD: u16 = N_EVENT_REPORT | RESPONSE;
const NO_DATA_SET: u16 = 0x0101;
/// Any other value says that there is one.
const DATA_SET: u16 = 0x0001;

/// What the other side asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    Store,
    Echo,
    /// Something is to be done with an instance that is none to be stored: a commitment is requested.
    Action,
    /// No request, but the answer to a report of ours.
    Heard,
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
    /// Which action is asked for.
    pub action: Option<u16>,
}

/// How a request went (PS3.7, annex C; PS3.4, B.2.3), and why in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    pub code: u16,
    comment: &'static str,
}

macro_rules! statuses {
    ($($name:ident = $code:literal, $comment:literal;)*) => {
        impl Status {
            $(pub const $name: Status = Status { code: $code, comment: $comment };)*
            const ALL: &'static [Status] = &[$(Status::$name),*];
        }
    };
}

statuses! {
    SUCCESS = 0x0000, "";
    NO_ROOM = 0xa700, "no room for more instances now: send it again later";
    SHARE_FULL = 0xa700, "your hospital's share of the room is full: send it again later";
    TOO_LARGE = 0xa702, "the instance is larger than is taken";
    ANOTHER_CLASS = 0xa900, "the SOP class is not the one that was negotiated";
    UNREADABLE = 0xc000, "a C-STORE brings a data set";
    NO_INSTANCE = 0x0117, "the SOP instance UID is none";
    UNKNOWN_OPERATION = 0x0211, "only C-STORE, C-ECHO and N-ACTION are answered";
    FAILED = 0x0110, "it cannot be told now what is kept: ask again later";
    NOT_WELL_KNOWN = 0x0112, "commitments are asked of their one known instance";
    NO_SUCH_CLASS = 0x0118, "the SOP class is not the one that was negotiated";
    NO_REQUEST = 0x0115, "the request for a commitment cannot be read";
    NO_SUCH_ACTION = 0x0123, "the only action is to request a commitment";
}

/// Every status that is answered, with what is said of it.
pub fn statuses() -> Vec<(u16, &'static str)> {
    Status::ALL.iter().map(|status| (status.code, status.comment)).collect()
}

impl Command {
    /// Reads a request, or the answer to a report. None: it is neither, or is broken.
    pub fn read(bytes: &[u8]) -> Option<Command> {
        let (mut rest, mut field, mut data_set) = (bytes, None, None);
        let (mut message_id, mut answered, mut action) = (None, None, None);
        let (mut sop_class, mut sop_instance) = (String::new(), String::new());
        while !rest.is_empty() {
            let (head, behind) = rest.split_first_chunk::<8>()?;
            let [0, 0, low, high, length @ ..] = *head else { return None };
            let (value, next) = behind.split_at_checked(u32::from_le_bytes(length) as usize)?;
            rest = next;
            match u16::from_le_bytes([low, high]) {
                AFFECTED_SOP_CLASS_UID | REQUESTED_SOP_CLASS_UID => sop_class = text(value),
                AFFECTED_SOP_INSTANCE_UID | REQUESTED_SOP_INSTANCE_UID => {
                    sop_instance = text(value);
                }
                COMMAND_FIELD => field = Some(short(value)?),
                MESSAGE_ID => message_id = Some(short(value)?),
                MESSAGE_ID_BEING_RESPONDED_TO => answered = Some(short(value)?),
                ACTION_TYPE_ID => action = Some(short(value)?),
                COMMAND_DATA_SET_TYPE => data_set = Some(short(value)?),
                _ => {}
            }
        }
        let (field, has_data_set) = (field?, data_set? != NO_DATA_SET);
        let message_id = match field {
            // Who cancels names the message that is meant in another element, and none of its own.
            C_CANCEL => message_id.unwrap_or(0),
            HEARD => answered?,
            _ => message_id?,
        };
        let is_taken = field & RESPONSE == 0 || field == HEARD;
        let command = Command { field, message_id, has_data_set, sop_class, sop_instance, action };
        is_taken.then_some(command)
    }

    pub fn operation(&self) -> Operation {
        match self.field {
            C_STORE => Operation::Store,
            C_ECHO => Operation::Echo,
            N_ACTION => Operation::Action,
            HEARD => Operation::Heard,
            C_CANCEL => Operation::Cancel,
            _ => Operation::Other,
        }
    }

    /// What names it, and its answer.
    pub fn message_id(&self) -> u16 {
        self.message_id
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
        if let Some(action) = self.action {
            put_short(&mut elements, ACTION_TYPE_ID, action);
        }
        with_length(&elements)
    }
}

/// The command set of a report that something has come of an instance of that class; a data set follows.
pub fn event_report(message_id: u16, class: &str, instance: &str, event: u16) -> Vec<u8> {
    let mut elements = Vec::new();
    put_text(&mut elements, AFFECTED_SOP_CLASS_UID, class, 0);
    put_short(&mut elements, COMMAND_FIELD, N_EVENT_REPORT);
    put_short(&mut elements, MESSAGE_ID, message_id);
    put_short(&mut elements, COMMAND_DATA_SET_TYPE, DATA_SET);
    put_text(&mut elements, AFFECTED_SOP_INSTANCE_UID, instance, 0);
    put_short(&mut elements, EVENT_TYPE_ID, event);
    with_length(&elements)
}

/// The elements, behind the one that says how long they are.
fn with_length(elements: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(elements.len() + 12);
    put(&mut bytes, GROUP_LENGTH, &(elements.len() as u32).to_le_bytes());
    bytes.extend(elements);
    bytes
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
    fn a_report_is_no_request_of_ours_to_answer_and_its_answer_is_told_from_requests() {
        let report = event_report(3, "1.2.3", "1.2.34", 2);
        let holds = |element: &[u8]| report.windows(element.len()).any(|window| window == element);
        assert!(holds(&[0, 0, 0, 1, 2, 0, 0, 0, 0, 1]), "N-EVENT-REPORT-RQ");
        assert!(holds(&[0, 0, 2, 0x10, 2, 0, 0, 0, 2, 0]), "the event");
        assert_eq!(Command::read(&report).unwrap().operation(), Operation::Other);

        let mut answer = Vec::new();
        put_short(&mut answer, COMMAND_FIELD, HEARD);
        put_short(&mut answer, MESSAGE_ID_BEING_RESPONDED_TO, 3);
        put_short(&mut answer, COMMAND_DATA_SET_TYPE, NO_DATA_SET);
        let heard = Command::read(&answer).unwrap();
        assert_eq!((heard.operation(), heard.message_id()), (Operation::Heard, 3));
    }

    #[test]
    fn a_comment_fits_its_element() {
        // LO: 64 characters at most.
        for status in [
            Status::NO_ROOM,
            Status::SHARE_FULL,
            Status::TOO_LARGE,
            Status::ANOTHER_CLASS,
            Status::UNREADABLE,
            Status::NO_INSTANCE,
            Status::UNKNOWN_OPERATION,
            Status::FAILED,
            Status::NOT_WELL_KNOWN,
            Status::NO_SUCH_CLASS,
            Status::NO_REQUEST,
            Status::NO_SUCH_ACTION,
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
