//! Whose scan it is, in all combinations of what files say: two slices are of one patient only where they say the same, and two scans
//! have one patient only where both say who that is.

use super::*;

/// What stands for a patient's number: as it is written, with what it says; empty: nothing.
const NUMBERS: [(&[u8], &str); 12] = [
    (b"4711", "4711"),
    (b"4711 ", "4711"),
    (b"4711\0\0", "4711"),
    (b"04711 ", "04711"),
    (b"4712", "4712"),
    (b"ab-1", "ab-1"),
    (b"AB-1", "AB-1"),
    (b"47 11 ", "47 11"),
    (b"W/I ", "W/I"),
    (b"unknown ", "unknown"),
    (b"0 ", "0"),
    (b"", ""),
];
/// The same of who has given it.
const ISSUERS: [(&[u8], &str); 4] =
    [(b"", ""), (b"North ", "North"), (b"North\0", "North"), (b"South ", "South")];
/// Numbers that stand there for form's sake.
const NOBODY: [&str; 4] = ["W/I", "unknown", "0", ""];
const WRITERS: [Writer; 4] = [EXPLICIT, IMPLICIT, BIG, DEFLATED];
const SLICES: usize = 5;

/// What a file says of its patient, and what that means.
#[derive(Clone, Copy, Debug)]
struct Said {
    number: (&'static [u8], &'static str),
    issuer: (&'static [u8], &'static str),
}

impl Said {
    fn all() -> Vec<Said> {
        let with = |number| ISSUERS.map(|issuer| Said { number, issuer });
        NUMBERS.into_iter().flat_map(with).collect()
    }

    fn is_same(self, other: Said) -> bool {
        (self.number.1, self.issuer.1) == (other.number.1, other.issuer.1)
    }

    /// What the patient is called within a hospital; None: nobody knows.
    fn key(self) -> Option<String> {
        let (number, issuer) = (self.number.1, self.issuer.1);
        let key = if issuer.is_empty() { number.into() } else { format!("{issuer}\\{number}") };
        (!NOBODY.contains(&number)).then_some(key)
    }

    fn file(self, writer: Writer, z: f64) -> Vec<u8> {
        let more = [
            (tags::PATIENT_ID, "LO", self.number.0.to_vec()),
            (tags::ISSUER_OF_PATIENT_ID, "LO", self.issuer.0.to_vec()),
            (tags::SERIES_INSTANCE_UID, "UI", text("1.2.3")),
        ];
        let elements = slice(writer, &PIXELS, &[&place(z)[..], &more].concat());
        writer.file(&writer.data_set(&elements))
    }
}

fn joined(files: impl IntoIterator<Item = Vec<u8>>) -> Result<usize, RefusalReason> {
    let named = |(at, file): (usize, Vec<u8>)| (at.to_string(), file);
    let files: Vec<_> = files.into_iter().enumerate().map(named).collect();
    let decoded = decode::decode(&encode::zip(&files).unwrap(), &limits());
    decoded.map(|decoded| decoded.volume.shape.slices).map_err(|refusal| refusal.problem)
}

#[test]
fn two_slices_are_one_patients_only_where_they_say_the_same() {
    let all = Said::all();
    for one in &all {
        for other in &all {
            let expected =
                if one.is_same(*other) { Ok(2) } else { Err(RefusalReason::MixedSeries) };
            let found = joined([one.file(EXPLICIT, 0.0), other.file(EXPLICIT, 9.0)]);
            assert_eq!(found, expected, "{one:?} {other:?}");
        }
    }
}

#[test]
fn one_slice_of_somebody_else_is_seen_wherever_it_stands_and_however_it_is_written() {
    let all = Said::all();
    let own = all[0];
    for other in all.iter().filter(|other| !own.is_same(**other)) {
        for foreign in 0..SLICES {
            let writer = WRITERS[foreign % WRITERS.len()];
            let said = |at: usize| if at == foreign { *other } else { own };
            let files = (0..SLICES).map(|at| said(at).file(writer, 3.0 * at as f64));
            assert_eq!(joined(files), Err(RefusalReason::MixedSeries), "{other:?} at {foreign}");
        }
    }
}

#[test]
fn two_scans_have_one_patient_only_where_both_say_who_that_is() {
    for said in Said::all() {
        for writer in WRITERS {
            let decoded = decode::decode(&said.file(writer, 0.0), &limits()).unwrap();
            let identity = decoded.identity.unwrap();
            assert_eq!(identity.patient_key(), said.key(), "{said:?} {}", writer.syntax);
        }
    }
    // A number that stands there for form's sake joins nobody, whoever has given it.
    assert!(Said::all().iter().filter(|said| said.key().is_none()).count() >= 16);
}

#[test]
fn a_name_is_the_same_in_whichever_set_of_letters_it_is_written() {
    let named = |set: &str, name: &[u8], z: f64| {
        let more = [
            (tags::SPECIFIC_CHARACTER_SET, "CS", text(set)),
            (tags::PATIENT_NAME, "PN", name.to_vec()),
            (tags::SERIES_INSTANCE_UID, "UI", text("1.2.3")),
        ];
        let elements = slice(EXPLICIT, &PIXELS, &[&place(z)[..], &more].concat());
        EXPLICIT.file(&EXPLICIT.data_set(&elements))
    };
    let [latin, utf8]: [&[u8]; 2] = [b"M\xfcller^Zo\xeb", b"M\xc3\xbcller^Zo\xc3\xab"];
    let both = [named("ISO_IR 100", latin, 0.0), named("ISO_IR 192", utf8, 9.0)];
    assert_eq!(joined(both), Ok(2));
    let two = [named("ISO_IR 100", latin, 0.0), named("ISO_IR 192", b"Mueller^Zoe ", 9.0)];
    assert_eq!(joined(two), Err(RefusalReason::MixedSeries));
}
