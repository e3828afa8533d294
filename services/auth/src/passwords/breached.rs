//! Passwords that others have lost: a file of SHA-1 digests in ascending order, as Have I Been Pwned hands it out ("ordered by hash").
//! It has tens of gigabytes, so it is searched where it lies. Nobody outside is asked.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use domain::{Error, ErrorKind, Result};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// 40 digits of a digest, a colon, how often it was found, and the line's end.
const LINE_BYTES_MAX: usize = 64;
const DIGITS: usize = 40;
/// So many places are looked at when the file is opened: one in another order is of no use, and would let everything through.
const SAMPLES: u64 = 256;

type Digest = [u8; 20];

/// The file, opened.
pub struct Breached {
    file: File,
    length: u64,
}

/// A line of it: where it begins, and where the next one would.
struct Line {
    begin: u64,
    end: u64,
    digest: Digest,
}

impl Breached {
    /// Opens the list. `Invalid` says what is wrong with it.
    pub fn open(path: &Path) -> Result<Breached> {
        let wrong = |why: &str| {
            ErrorKind::Invalid.error(format!("BREACHED_PASSWORDS: {} {why}", path.display()))
        };
        let unreadable = |error: io::Error| wrong("cannot be read").because(error);
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let list = Breached { file, length };
        let mut last = None;
        for nth in 0..SAMPLES.min(length) {
            let line = list.line(length / SAMPLES.min(length) * nth).map_err(unreadable)?;
            let digest = line.map(|line| line.digest);
            if digest.is_some() && digest < last {
                return Err(wrong("is not ordered by digest: get it ordered by hash"));
            }
            last = digest.or(last);
        }
        if last.is_none() {
            return Err(wrong("is empty"));
        }
        Ok(list)
    }

    /// Refuses, in words, a password that is in the list.
    pub fn refuse(&self, password: &str) -> Result<()> {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let digest = Digest::try_from(digest.as_ref()).map_err(unsearched)?;
        if self.has(digest).map_err(unsearched)? {
            let words =
                "this password is known from a breach of some other service: choose another one";
            return Err(ErrorKind::Invalid.error(words));
        }
        Ok(())
    }

    /// Halves the file until the line is found, or there is no room for it.
    fn has(&self, digest: Digest) -> io::Result<bool> {
        // If it is there, it begins within.
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.line(middle)?.filter(|line| line.begin < high) {
                None => high = middle,
                Some(line) => match line.digest.cmp(&digest) {
                    Ordering::Equal => return Ok(true),
                    Ordering::Less => low = line.end,
                    Ordering::Greater => high = middle,
                },
            }
        }
        Ok(false)
    }

    /// The first line that begins there or later; None where there is none.
    fn line(&self, from: u64) -> io::Result<Option<Line>> {
        // The byte before tells whether a line begins here.
        let start = from.saturating_sub(1);
        let mut window = [0; 2 * LINE_BYTES_MAX];
        let read = self.read(&mut window, start)?;
        let window = &window[..read];
        let reaches_end = start + read as u64 >= self.length;
        let end_of_line = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        let skipped = match (from, end_of_line(window)) {
            (0, _) => 0,
            (_, Some(end)) => end + 1,
            (_, None) if reaches_end => return Ok(None),
            (_, None) => return Err(malformed()),
        };
        let rest = &window[skipped..];
        let length = match end_of_line(rest) {
            Some(end) => end + 1,
            None if reaches_end => rest.len(),
            None => return Err(malformed()),
        };
        if length == 0 {
            return Ok(None);
        }
        let begin = start + skipped as u64;
        let digest = digest_of(&rest[..length]).ok_or_else(malformed)?;
        Ok(Some(Line { begin, end: begin + length as u64, digest }))
    }

    /// Fills the window as far as the file goes.
    fn read(&self, window: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < window.len() {
            match self.file.read_at(&mut window[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// What a line begins with.
fn digest_of(line: &[u8]) -> Option<Digest> {
    let (digits, rest) = line.split_at_checked(DIGITS)?;
    if !matches!(rest.first(), None | Some(b':' | b'\r' | b'\n')) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(digest)
}

fn malformed() -> io::Error {
    let words = "a line is no SHA-1 digest with a colon and a count behind it";
    io::Error::new(io::ErrorKind::InvalidData, words)
}

/// No password is let through that could not be looked up.
fn unsearched(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let words = "the list of breached passwords cannot be searched now";
    ErrorKind::Unavailable.error(words).because(error)
}

#[cfg(test)]
mod tests {
    use domain::hex;

    use super::*;

    fn sha1(password: &str) -> String {
        hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref()).to_uppercase()
    }

    fn kept(text: &str) -> Result<Breached> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, text).unwrap();
        Breached::open(&path)
    }

    /// The list of these, with counts of several lengths.
    fn list(passwords: impl Iterator<Item = String>, line_end: &str) -> String {
        let mut lines: Vec<_> = passwords.map(|password| sha1(&password)).collect();
        lines.sort_unstable();
        let counted = lines.iter().enumerate();
        counted.map(|(nth, line)| format!("{line}:{}{line_end}", nth * nth * 31 + 1)).collect()
    }

    #[test]
    fn what_is_in_the_list_is_refused_and_nothing_else_is() {
        // Of the standard's own vectors (FIPS 180-4).
        assert_eq!(sha1("abc"), "A9993E364706816ABA3E25717850C26C9CD0D89D");
        for (count, line_end) in [(1, ""), (1, "\n"), (2, "\r\n"), (3, "\n"), (1000, "\r\n")] {
            let text = list((0..count).map(|nth| format!("lost {nth}")), line_end);
            for text in [text.as_str(), text.trim_end(), &text.to_lowercase()] {
                let found = kept(text).unwrap();
                for nth in 0..count {
                    let refused = found.refuse(&format!("lost {nth}")).unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::Invalid, "{nth} of {count}");
                    assert!(found.refuse(&format!("kept {nth}")).is_ok(), "{nth} of {count}");
                }
            }
        }
        let bare = kept(&format!("{}\n", sha1("without a count"))).unwrap();
        assert!(bare.refuse("without a count").is_err());
    }

    #[test]
    fn what_is_no_list_in_order_is_refused_when_it_is_opened() {
        let in_order = list((0..1000).map(|nth| nth.to_string()), "\n");
        let backwards: Vec<&str> = in_order.lines().rev().collect();
        for (text, words) in [
            ("", "is empty"),
            ("correct horse battery staple\n", "cannot be read"),
            (&backwards.join("\n"), "ordered by hash"),
            (&"A".repeat(500), "cannot be read"),
        ] {
            let why = kept(text).err().unwrap();
            assert!(why.to_string().contains(words), "{why}");
        }
        assert!(Breached::open(Path::new("/nowhere/at/all")).is_err());
    }
}
