use super::segment::{escaped, joined, segment};
use super::*;

fn known() -> Identity {
    let some = |text: &str| Some(text.to_owned());
    Identity {
        patient_name: some("Diallo^Aïssatou^M^Dr^PhD=山田^太郎"),
        patient_id: some(" 47|11 "),
        issuer_of_patient_id: some("H&1"),
        patient_birth_date: some("1970.01.31"),
        patient_sex: some("女"),
        study_date: some("20231114"),
        study_time: some("101112.5"),
        ..Identity::default()
    }
}

#[test]
fn no_text_is_taken_for_a_separator_or_ends_a_segment() {
    assert_eq!(escaped("a|b^c&d~e\\f"), "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f");
    let controls = escaped("one\r\ntwo\u{b}\u{1c}\u{85}é");
    assert_eq!(controls, "one\\X0D\\\\X0A\\two\\X0B\\\\X1C\\\\XC285\\é");
}

#[test]
fn fields_stand_at_their_numbers_and_empty_ends_are_left_out() {
    let fields = [(1, "a".to_owned()), (4, "b".to_owned()), (6, String::new())];
    assert_eq!(segment("ABC", &fields), "ABC|a|||b");
    assert_eq!(joined(&["a", "", "b|", ""]), "a^^b\\F\\");
}

#[test]
fn a_patient_is_told_with_their_issuer_and_each_way_to_write_the_name() {
    let name = "Diallo^Aïssatou^M^PhD^Dr^^^A~山田^太郎^^^^^^I";
    let expected = format!("PID|1||47\\F\\11^^^H\\T\\1||{name}||19700131|U");
    assert_eq!(patient(&known()), Some(expected));
    assert_eq!(examined(&known()), "20231114101112");
    let of = |patient_id: Option<&str>| {
        let patient_id = patient_id.map(str::to_owned);
        patient(&Identity { patient_id, patient_name: None, ..known() })
    };
    assert!(of(Some("7")).is_some_and(|told| told.contains("|^^^^^^U|")));
    // Ids for form's sake are nobody's.
    for nobody in [None, Some(" "), Some("ANONYMOUS")] {
        assert_eq!(of(nobody), None);
    }
}

#[test]
fn a_message_is_named_by_what_it_says() {
    let result = ResultDocument::failed("7".into(), Some("why".into()), 0, 1_700_000_000_000);
    let told =
        |identity: &Identity| String::from_utf8_lossy(&message(identity, &result)).into_owned();
    let (one, other) = (told(&known()), told(&Identity::default()));
    assert_eq!(one, told(&known()));
    let id = |message: &str| message.split('|').nth(9).map(str::to_owned);
    assert_ne!(id(&one), id(&other));
    assert_eq!(id(&one).map(|id| id.len()), Some(CONTROL_ID));
    assert!(one.starts_with("MSH|^~\\&|medseg||||20231114221320+0000||ORU^R01^ORU_R01|"));
    let header = other.split('\r').next().unwrap_or_default();
    assert_eq!(header.split('|').nth(17), Some("UNICODE UTF-8"));
    assert!(other.ends_with('\r') && !other.contains("\rPID|") && !other.contains('\n'));
}

#[test]
fn a_number_of_an_order_that_is_too_long_is_left_out_in_words() {
    let result = ResultDocument::failed("7".into(), Some("why".into()), 0, 1_700_000_000_000);
    let told = |accession: String| {
        let identity = Identity { accession_number: Some(accession), ..known() };
        String::from_utf8_lossy(&message(&identity, &result)).into_owned()
    };
    let (fits, long) = (told("A".repeat(60)), told("A".repeat(61)));
    assert!(fits.contains(&"A".repeat(60)) && !fits.contains("left out"));
    assert!(!long.contains("AAAA") && long.contains("accession number is longer"), "{long}");
}
