//! Two trails as one list, newest first.

use std::fmt;
use std::iter::Peekable;

use proto::audit::Entry;

use super::{AuditEntry, Trail};

/// Before which position of each trail a page begins; None: with its newest entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    pub scans: Option<i64>,
    pub accounts: Option<i64>,
}

/// What stands for the newest entry: no position is 0.
const NEWEST: i64 = 0;

impl Cursor {
    pub fn parse(text: &str) -> Option<Cursor> {
        let (scans, accounts) = text.split_once('.')?;
        let position = |digits: &str| {
            let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_: &i64| all_digits)
        };
        let before = |position: i64| (position != NEWEST).then_some(position);
        Some(Cursor { scans: before(position(scans)?), accounts: before(position(accounts)?) })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [scans, accounts] = [self.scans, self.accounts].map(|at| at.unwrap_or(NEWEST));
        write!(f, "{scans}.{accounts}")
    }
}

/// A page, and where the next one begins; None: this is the last.
pub struct Merged {
    pub entries: Vec<AuditEntry>,
    pub next: Option<Cursor>,
}

/// The newest `limit` entries of both. Each trail keeps its own order, also where a clock was set back.
pub fn merged(scans: Vec<Entry>, accounts: Vec<Entry>, mut cursor: Cursor, limit: usize) -> Merged {
    let (mut scans, mut accounts) = (scans.into_iter().peekable(), accounts.into_iter().peekable());
    let mut entries = Vec::with_capacity(limit);
    while entries.len() < limit {
        let Some((trail, entry)) = newest(&mut scans, &mut accounts) else { break };
        match trail {
            Trail::Scans => cursor.scans = Some(entry.position),
            Trail::Accounts => cursor.accounts = Some(entry.position),
        }
        entries.push(AuditEntry::of(trail, entry));
    }
    let is_last = scans.peek().is_none() && accounts.peek().is_none();
    Merged { entries, next: (!is_last).then_some(cursor) }
}

fn newest<E: Iterator<Item = Entry>>(
    scans: &mut Peekable<E>,
    accounts: &mut Peekable<E>,
) -> Option<(Trail, Entry)> {
    let at = |entry: Option<&Entry>| entry.map(|entry| entry.at_ms);
    if at(scans.peek()) >= at(accounts.peek()) {
        // Nothing is older than whatever there is.
        scans.next().map(|entry| (Trail::Scans, entry))
    } else {
        accounts.next().map(|entry| (Trail::Accounts, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(entries: &[(i64, i64)]) -> Vec<Entry> {
        let entry = |&(position, at_ms): &(i64, i64)| Entry { position, at_ms, ..Entry::default() };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn pages_of_both_trails_lose_nothing_and_repeat_nothing() {
        let scans = [(3, 30), (2, 10), (1, 20)];
        let accounts = [(2, 25), (1, 5)];
        let (mut seen, mut cursor) = (Vec::new(), Cursor::default());
        loop {
            let before = |all: &[(i64, i64)], at: Option<i64>| {
                let asked = all.iter().filter(|entry| at.is_none_or(|at| entry.0 < at));
                trail(&asked.copied().take(3).collect::<Vec<_>>())
            };
            let of_both = (before(&scans, cursor.scans), before(&accounts, cursor.accounts));
            let page = merged(of_both.0, of_both.1, cursor, 2);
            seen.extend(page.entries.iter().map(AuditEntry::id));
            let Some(next) = page.next else { break };
            cursor = Cursor::parse(&next.to_string()).unwrap();
        }
        assert_eq!(seen, ["scans-3", "accounts-2", "scans-2", "scans-1", "accounts-1"]);
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        for text in ["", "1", "a.b", "-1.2", "+1.2", "1.2.3", "99999999999999999999.1"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
        let cursor = Cursor { scans: None, accounts: Some(7) };
        assert_eq!((cursor.to_string().as_str(), Cursor::parse("0.7")), ("0.7", Some(cursor)));
    }
}
