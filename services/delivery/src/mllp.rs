//! A result as a message of HL7 v2, in the frame of MLLP (HL7 v2.5.1, 2.9 and appendix C): one connection for each delivery.
//!
//! The same result of the same patient is the same message under the same control id, so that who has taken it once can tell.

use std::collections::HashSet;
use std::time::Duration;

use domain::Result;
use report::hl7;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::dial::Dial;
use crate::handed::{Handed, Of};
use crate::outcome::Outcome;
use crate::post::clipped;

/// The scheme of addresses.
const SCHEME: &str = "mllp";

/// What stands around a message.
const START: u8 = 0x0b;
const END: [u8; 2] = [0x1c, 0x0d];

/// What the receiver has to take a message in, and to acknowledge it.
const SENT_WITHIN: Duration = Duration::from_secs(30);
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// The most that an acknowledgment may have.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a message or a bundle is not made of a scan: sent, it would be nobody's or, worse, somebody's.
pub const NOBODYS: &str = "the scan does not say whose it is, or by a number that means nobody";

/// The message, or in words why there is none.
pub async fn written(handed: &Handed, of: Of) -> Result<Result<Vec<u8>, &'static str>> {
    let document = handed.document(of).await?;
    let patient = handed.patient(of).await?;
    if patient.patient_key().is_none() {
        return Ok(Err(NOBODYS));
    }
    Ok(Ok(hl7::message(&patient, &document.result)))
}

/// Sends the message.
pub async fn send(dial: &Dial, url: &str, message: &[u8]) -> Outcome {
    let answer = match dial.connect(url, SCHEME).await {
        Ok(stream) => exchanged(stream, message).await,
        Err(words) => Err(words),
    };
    match answer {
        Ok(answer) => judged(&answer, message),
        Err(words) => Outcome::Later(clipped(&words)),
    }
}

/// What is answered to the message, without its frame.
async fn exchanged<S>(mut stream: S, message: &[u8]) -> Result<Vec<u8>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let framed = [&[START][..], message, &END[..]].concat();
    let sent = async {
        stream.write_all(&framed).await?;
        stream.flush().await
    };
    match timeout(SENT_WITHIN, sent).await {
        Ok(sent) => sent.map_err(|error| format!("it broke off: {error}"))?,
        Err(_) => return Err(format!("it took nothing for {} s", SENT_WITHIN.as_secs())),
    }
    let silent = || format!("it did not answer within {} s", ANSWERED_WITHIN.as_secs());
    let answer =
        timeout(ANSWERED_WITHIN, unframed(&mut stream)).await.unwrap_or_else(|_| Err(silent()));
    let _ = timeout(CLOSED_WITHIN, stream.shutdown()).await;
    answer
}

/// The first message that comes.
async fn unframed<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, String> {
    let mut received = Vec::new();
    loop {
        if let Some(answer) = message_in(&received) {
            return Ok(answer.to_vec());
        }
        if received.len() >= ANSWER_BYTES_MAX {
            return Err("it answered more than an acknowledgment has".to_owned());
        }
        let mut some = [0; 4096];
        match stream.read(&mut some).await {
            Ok(0) => return Err("it broke off before it acknowledged".to_owned()),
            Ok(count) => received.extend_from_slice(&some[..count]),
            Err(error) => return Err(format!("it broke off before it acknowledged: {error}")),
        }
    }
}

/// Reads those bytes as what a receiver answers.
pub fn read_of_strangers(bytes: &[u8]) {
    const OURS: &[u8] = b"MSH|^~\\&|medseg||||2026||ORU^R01^ORU_R01|c0ffee|P|2.5.1\rPID|1||4711\r";
    let _ = judged(message_in(bytes).unwrap_or(bytes), OURS);
}

/// What stands in the first frame that is whole. Some receivers end it without the carriage return.
fn message_in(received: &[u8]) -> Option<&[u8]> {
    let start = received.iter().position(|byte| *byte == START)? + 1;
    let behind = received.get(start..)?;
    behind.iter().position(|byte| *byte == END[0]).and_then(|end| behind.get(..end))
}

/// MSH-10 of our own message.
fn control_id(message: &[u8]) -> &str {
    // Fields of MSH are counted from its separator, which is the first.
    let header = std::str::from_utf8(message).unwrap_or_default().split('\r').next();
    header.and_then(|header| header.split('|').nth(9)).unwrap_or_default()
}

/// What an acknowledgment says of that message of ours (HL7 v2.5.1, 2.9.2 and 2.9.3): it is taken; it is rejected, however often it is sent;
/// or there is an error, which may be of a moment. An answer that is about another message, or about none, says nothing of this one.
fn judged(answer: &[u8], message: &[u8]) -> Outcome {
    let answer = String::from_utf8_lossy(answer);
    let mut segments = answer.split(['\r', '\n']);
    let separator = segments.next().and_then(|header| header.strip_prefix("MSH"));
    let Some(separator) = separator.and_then(|rest| rest.chars().next()) else {
        return Outcome::Later("it answered something else than HL7".to_owned());
    };
    let of = |name: &str| {
        let segments = answer.split(['\r', '\n']);
        let mut named = segments.map(|segment| segment.split(separator).collect::<Vec<_>>());
        named.find(|fields| fields.first() == Some(&name))
    };
    let Some(acknowledged) = of("MSA") else {
        return Outcome::Later("it answered without an acknowledgment (MSA)".to_owned());
    };
    let field = |number: usize| acknowledged.get(number).map_or("", |field| field.trim());
    if field(2) != control_id(message) {
        return Outcome::Later("it acknowledged another message (MSA-2)".to_owned());
    }
    let code = field(1);
    match code {
        "AA" | "CA" => Outcome::Delivered(String::new()),
        "AE" | "AR" | "CE" | "CR" => {
            let errors = of("ERR").unwrap_or_default();
            let of_errors = |number: usize| errors.get(number).copied().unwrap_or_default();
            let error = coded(of_errors(3));
            // In its own words: MSA-3, the text of the error's code, and what its users are to be told (ERR-8).
            let text = of_errors(3).split('^').nth(1).unwrap_or_default();
            let words = [field(3), text, of_errors(8)].map(|words| untelling(words, message));
            refused(code, error.as_deref(), &words)
        }
        _ => Outcome::Later("it answered with a code that there is none of (MSA-1)".to_owned()),
    }
}

/// What it comes to that the receiver has not taken it, with its words.
fn refused(code: &str, error: Option<&str>, words: &[String]) -> Outcome {
    /// Application record locked, application internal error (table 0357): reasons that pass.
    const PASSING: [&str; 2] = ["206", "207"];
    let words: Vec<&str> =
        words.iter().map(|words| words.trim()).filter(|words| !words.is_empty()).collect();
    let said = if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) };
    let coded = error.map_or_else(String::new, |error| format!(", error {error}"));
    let words = clipped(&format!("it answered {code}{coded}{said}"));
    let passes = error.is_some_and(|error| PASSING.contains(&error));
    if matches!(code, "AR" | "CR") && !passes {
        Outcome::Refused(words)
    } else {
        Outcome::Objected(words)
    }
}

/// Those words without what our message says of whose it is, as receivers quote it: words of PID, the number of the order, and whatever has
/// the digits of a number or of a date.
fn untelling(words: &str, message: &[u8]) -> String {
    const DIGITS_MAX: usize = 3;
    let known = identifying(message);
    let parts = words.split(' ').map(|part| {
        let digits = part.chars().filter(char::is_ascii_digit).count();
        if digits > DIGITS_MAX { "…".to_owned() } else { without(part, &known) }
    });
    parts.collect::<Vec<_>>().join(" ")
}

fn without(part: &str, known: &HashSet<String>) -> String {
    /// The shortest that is looked for within other words, in bytes: a name in Chinese characters has no blanks around it.
    const WITHIN_BYTES_MIN: usize = 4;
    let tells = |word: &str| {
        let lower = word.to_lowercase();
        let within = |one: &String| one.len() >= WITHIN_BYTES_MIN && lower.contains(one.as_str());
        known.contains(&lower) || known.iter().any(within)
    };
    let (mut untelling, mut rest) = (String::new(), part);
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        untelling.push_str(if is_word && tells(run) { "…" } else { run });
        rest = behind;
    }
    untelling
}

/// The words of our message that tell whose it is, in small letters.
fn identifying(message: &[u8]) -> HashSet<String> {
    /// One letter is an initial, and a word of its own.
    const CHARS_MIN: usize = 2;
    let message = String::from_utf8_lossy(message);
    let fields = message.split('\r').flat_map(|segment| {
        let mut fields = segment.split('|');
        let wanted: &[usize] = match fields.next() {
            // Number and issuer, name, day of birth.
            Some("PID") => &[2, 4, 6],
            Some("OBR") => &[17],
            _ => &[],
        };
        fields.enumerate().filter(move |(at, _)| wanted.contains(at)).map(|(_, field)| field)
    });
    let words = fields.flat_map(|field| field.split(|c: char| !c.is_alphanumeric()));
    words.filter(|word| word.chars().count() >= CHARS_MIN).map(str::to_lowercase).collect()
}

/// The code of an error (ERR-3), if it is one of table 0357: digits.
fn coded(field: &str) -> Option<String> {
    const DIGITS_MAX: usize = 5;
    let code = field.split('^').next()?.trim();
    let sound = (1..=DIGITS_MAX).contains(&code.len()) && code.bytes().all(|c| c.is_ascii_digit());
    sound.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[u8] = "MSH|^~\\&|medseg||||2026||ORU^R01^ORU_R01|c0ffee|P|2.5.1\r\
        PID|1||A4^^^Clinic||Canary^Yellow^B~山田^太郎||19700102|F\r\
        OBR|1||0189^medseg|18748-4^Diagnostic imaging study^LN||||||||||||||X9\r"
        .as_bytes();

    fn answered(msa: &str) -> Outcome {
        let answer = format!("MSH|^~\\&|HIS||medseg||2026||ACK^R01|9|P|2.5.1\r{msa}\r");
        judged(answer.as_bytes(), OURS)
    }

    #[test]
    fn only_consent_to_this_very_message_delivers_it_and_a_rejection_ends_it() {
        for taken in ["MSA|AA|c0ffee", "MSA|CA|c0ffee|fine"] {
            assert_eq!(answered(taken).name(), "delivered", "{taken}");
        }
        for (answer, name, words) in [
            ("MSA|AE|c0ffee", "objected", "it answered AE"),
            (
                "MSA|AE|c0ffee|Value missing\rERR|||101^Required field missing^HL70357|E||||no PV1",
                "objected",
                "it answered AE, error 101: Value missing; Required field missing; no PV1",
            ),
            ("MSA|CE|c0ffee", "objected", "it answered CE"),
            ("MSA|AR|c0ffee|not this version", "refused", "it answered AR: not this version"),
            ("MSA|CR|c0ffee\rERR|||203", "refused", "it answered CR, error 203"),
            ("MSA|AR|c0ffee\rERR|||Canary", "refused", "it answered AR"),
            // What passes by the table is no last word.
            (
                "MSA|AR|c0ffee\rERR|||207^Application internal error",
                "objected",
                "it answered AR, error 207: Application internal error",
            ),
            ("MSA|AA|another", "later", "it acknowledged another message (MSA-2)"),
            ("MSA|AA|", "later", "it acknowledged another message (MSA-2)"),
            ("MSA|OK|c0ffee", "later", "it answered with a code that there is none of (MSA-1)"),
            ("ZZZ|AA|c0ffee", "later", "it answered without an acknowledgment (MSA)"),
        ] {
            let outcome = answered(answer);
            assert_eq!((outcome.name(), outcome.words()), (name, words), "{answer}");
        }
        assert_eq!(judged(b"HTTP/1.1 400 Bad Request", OURS).name(), "later");
    }

    #[test]
    fn the_receivers_words_are_kept_without_whose_result_it_is() {
        for (said, kept) in [
            ("no patient A4 (CANARY, yellow), born 1970-01-02", "no patient … (…, …), born …"),
            ("患者山田がいません X9 20231114", "… … …"),
            (
                "PID-3 of segment 2 is unknown at the clinic",
                "PID-3 of segment 2 is unknown at the …",
            ),
        ] {
            assert_eq!(
                answered(&format!("MSA|AR|c0ffee|{said}")).words(),
                format!("it answered AR: {kept}")
            );
        }
    }

    #[test]
    fn a_message_is_what_stands_in_its_frame() {
        assert_eq!(message_in(b"\x0bMSH|1\r\x1c\r"), Some(&b"MSH|1\r"[..]));
        assert_eq!(message_in(b"noise\x0bMSH|1\r\x1c"), Some(&b"MSH|1\r"[..]));
        assert_eq!(message_in(b"\x0bMSH|1\r"), None);
        assert_eq!(message_in(b"MSH|1\r\x1c\r"), None);
        let own = b"MSH|^~\\&|medseg||||20231114221320+0000||ORU^R01^ORU_R01|c0ffee|P|2.5.1\rPID|1";
        assert_eq!(control_id(own), "c0ffee");
        assert_eq!(control_id(b""), "");
    }

    #[tokio::test]
    async fn what_is_sent_is_framed_and_an_answer_may_come_in_pieces() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let receiver = tokio::spawn(async move {
            let mut sent = Vec::new();
            while !sent.ends_with(&END) {
                sent.push(theirs.read_u8().await.unwrap());
            }
            theirs.write_all(b"\x0bMSH|^~\\&\rMSA|AA|7\r\x1c\r").await.unwrap();
            sent
        });
        let answer = exchanged(ours, b"MSH|one\r").await.unwrap();
        assert_eq!(judged(&answer, b"MSH|^~\\&|||||||ORU|7|P").name(), "delivered");
        assert_eq!(receiver.await.unwrap(), b"\x0bMSH|one\r\x1c\r");
    }
}
