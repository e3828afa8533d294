//! Who may do what: every route of the REST face and every RPC behind it, for each role and for whoever has none, with ids of the
//! caller's own hospital, of another and of nobody.
//!
//! What is expected stands in a table for each face. `CALLS` plays them again and again (`make authorisation`), and then it is told
//! how long what is another's takes beside what never was: nobody is to learn from that which it is.

mod rest;
mod rpc;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use service::claims::Role;

/// An id that nothing has.
const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

/// The letter of each role in the tables.
const ROLES: [(char, Role); 8] = [
    ('C', Role::Clinician),
    ('J', Role::Adjudicator),
    ('I', Role::Integrator),
    ('S', Role::Scientist),
    ('A', Role::Admin),
    ('O', Role::Operator),
    ('W', Role::Service),
    ('D', Role::Delivery),
];

/// Those that somebody in a hospital may have.
const OF_HOSPITALS: [Role; 5] =
    [Role::Clinician, Role::Adjudicator, Role::Integrator, Role::Scientist, Role::Admin];

/// Who may ask, as the second column of a table has it.
#[derive(Clone, Debug, Eq, PartialEq)]
enum May {
    /// `*`: no token is asked for.
    Anybody,
    /// `@`: whoever has a token; it is about themselves.
    Oneself,
    /// `-`: ingest decides, in whose place a double stands here.
    Ingest,
    /// Their letters, and behind `?` those of whom it depends on more than their role.
    These { may: Vec<Role>, depends: Vec<Role> },
    /// `V:` and letters: in whose name one of medseg's own services asks, and nobody by themselves.
    Vouched(Vec<Role>),
}

impl May {
    fn read(text: &str) -> May {
        match text {
            "*" => return May::Anybody,
            "@" => return May::Oneself,
            "-" => return May::Ingest,
            _ => {}
        }
        if let Some(letters) = text.strip_prefix("V:") {
            return May::Vouched(roles(letters));
        }
        let (may, depends) = text.split_once('?').unwrap_or((text, ""));
        May::These { may: roles(may), depends: roles(depends) }
    }

    /// Who of a hospital may.
    fn of_a_hospital(&self) -> Vec<Role> {
        let May::These { may, .. } = self else { return Vec::new() };
        OF_HOSPITALS.into_iter().filter(|role| may.contains(role)).collect()
    }
}

fn roles(letters: &str) -> Vec<Role> {
    let role = |letter| ROLES.iter().find(|(of, _)| *of == letter).unwrap().1;
    letters.chars().map(role).collect()
}

/// What is to come of a call, as far as it is a question of who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    Unauthenticated,
    Forbidden,
    /// Neither.
    Admitted,
    /// Not the first: the rest is no question of the role alone.
    Known,
    Anything,
}

/// Rows of a table, by the columns between `|`.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.split('|').map(str::trim).collect())
}

/// `id=scan name='mask.png'`: which field or part of the path is the id of what, or that very text.
fn fields(column: &'static str) -> Vec<(&'static str, &'static str)> {
    column.split_whitespace().map(|field| field.split_once('=').unwrap()).collect()
}

/// Ids by the kind of what has them.
type Ids = BTreeMap<&'static str, String>;

/// What stands for that field: the text itself, or the id of such a thing.
fn value(of: &str, ids: Option<&Ids>) -> String {
    match of.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(text) => text.to_owned(),
        None => ids.and_then(|ids| ids.get(of)).cloned().unwrap_or_else(|| UNKNOWN.to_owned()),
    }
}

/// Whether one of those things is there, so that what is another's can be told from what never was.
fn has_own(fields: &[(&str, &str)], ids: &Ids) -> bool {
    fields.iter().any(|(_, of)| ids.contains_key(*of))
}

/// What has been played.
#[derive(Default)]
struct Tally {
    calls: usize,
    mismatches: Vec<String>,
    foreign: Vec<Duration>,
    unknown: Vec<Duration>,
}

impl Tally {
    /// Whether so many calls have been played as this face is to have.
    fn is_done(&self) -> bool {
        self.calls > 0 && 2 * self.calls >= wanted()
    }

    fn expect<T: Debug + PartialEq>(&mut self, of: impl FnOnce() -> String, said: T, expected: T) {
        if said != expected {
            self.mismatches.push(format!("{}: {said:?} in place of {expected:?}", of()));
        }
    }

    fn end(mut self, face: &str) {
        let (calls, wrong) = (self.calls, self.mismatches.len());
        self.mismatches.truncate(40);
        assert!(wrong == 0, "{face}: {wrong} of {calls} calls:\n{}", self.mismatches.join("\n"));
        if wanted() > 0 {
            let [foreign, unknown] = [self.foreign, self.unknown].map(median);
            let ratio = foreign.as_secs_f64() / unknown.as_secs_f64();
            println!(
                "authorisation: {face}: {calls} calls, 0 mismatches; what is another's takes {ratio:.2} times what never was takes (medians, \
                 {foreign:.1?} and {unknown:.1?})"
            );
        }
    }
}

/// Over both faces; 0: each table once.
fn wanted() -> usize {
    std::env::var("CALLS").map_or(0, |calls| calls.parse().unwrap())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
