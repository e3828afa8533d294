//! What may be one volume together, and what may not.

use super::*;

fn file(z: f64, more: &[Element]) -> Vec<u8> {
    let elements = slice(EXPLICIT, &PIXELS, &[&place(z)[..], more].concat());
    EXPLICIT.file(&EXPLICIT.data_set(&elements))
}

/// Two slices, each of which says this besides: their number, or why they are refused.
fn joined(one: &[Element], other: &[Element]) -> Result<usize, Refusal> {
    let files = [("a".to_owned(), file(0.0, one)), ("b".to_owned(), file(9.0, other))];
    let decoded = decode::decode(&encode::zip(&files).unwrap(), &limits())?;
    Ok(decoded.volume.shape.slices)
}

#[test]
fn slices_of_two_people_two_series_or_two_echoes_are_no_volume() {
    let date = |date: &str| (tags::PATIENT_BIRTH_DATE, "DA", text(date));
    let sex = |sex: &str| (tags::PATIENT_SEX, "CS", text(sex));
    let series = |uid: &str| (tags::SERIES_INSTANCE_UID, "UI", text(uid));
    let frame = |uid: &str| (tags::FRAME_OF_REFERENCE_UID, "UI", text(uid));
    let echo = |ms: &str| (tags::ECHO_TIME, "DS", text(ms));
    let kind = |kind: &str| (tags::IMAGE_TYPE, "CS", text(kind));
    let b_value = |b: f64| (tags::DIFFUSION_B_VALUE, "FD", b.to_le_bytes().to_vec());
    let nobody = (tags::PATIENT_ID, "LO", Vec::new());
    let cases = [
        ([vec![], vec![]], None),
        ([vec![date("19500101")], vec![date("19990101")]], Some("two patients: their dates")),
        (
            [vec![nobody.clone(), date("19500101")], vec![nobody, date("19990101")]],
            Some("two patients: their dates"),
        ),
        ([vec![date("19500101")], vec![date("1950.01.01")]], None),
        ([vec![date("19500101")], vec![]], None),
        ([vec![sex("M")], vec![sex("F")]], Some("two patients: their sexes")),
        ([vec![series("1.2"), frame("1.3")], vec![series("1.2")]], None),
        ([vec![frame("1.3")], vec![]], Some("two series")),
        (
            [vec![series("1.2"), frame("1.3")], vec![series("1.2"), frame("1.4")]],
            Some("two series"),
        ),
        ([vec![echo("10")], vec![echo("90")]], Some("different echo times (10 and 90 ms)")),
        ([vec![echo("85")], vec![echo("85.25")]], None),
        ([vec![echo("85")], vec![]], None),
        ([vec![b_value(0.0)], vec![b_value(1000.0)]], Some("different b-values")),
        (
            [vec![kind("ORIGINAL\\PRIMARY\\M\\ND")], vec![kind("ORIGINAL\\PRIMARY\\P\\ND")]],
            Some("different kinds"),
        ),
        ([vec![kind("ORIGINAL\\PRIMARY\\OTHER")], vec![kind("DERIVED\\PRIMARY\\OTHER")]], None),
    ];
    for ([one, other], wrong) in cases {
        match (joined(&one, &other), wrong) {
            (Ok(slices), None) => assert_eq!(slices, 2),
            (Err(refusal), Some(words)) => {
                assert_eq!(refusal.problem, RefusalReason::MixedSeries, "{words}");
                assert!(refusal.detail.starts_with("a and b ") && refusal.detail.contains(words));
                // Nothing of the patient.
                assert!(!refusal.detail.contains("19"), "{refusal}");
            }
            (outcome, wrong) => panic!("{wrong:?}: {outcome:?}"),
        }
    }
}

#[test]
fn slices_whose_patients_are_called_otherwise_are_no_volume_and_blanks_are_no_difference() {
    let id = |id: &str| (tags::PATIENT_ID, "LO", text(id));
    let issuer = |issuer: &str| (tags::ISSUER_OF_PATIENT_ID, "LO", text(issuer));
    let name = |name: &str| (tags::PATIENT_NAME, "PN", text(name));
    let nobody = || (tags::PATIENT_ID, "LO", Vec::new());
    // Of one and the same series, as far as its UID says.
    let series = || (tags::SERIES_INSTANCE_UID, "UI", text("1.2.3"));
    let of_two = [
        [vec![id("4711")], vec![id("4712")]],
        [vec![id("4711")], vec![nobody()]],
        [vec![id("4711")], vec![id("04711")]],
        [vec![id("ab-1")], vec![id("AB-1")]],
        [vec![id("4711")], vec![id("W/I")]],
        [vec![id("47 11")], vec![id("4711")]],
        [vec![id("4711"), issuer("North")], vec![id("4711"), issuer("South")]],
        [vec![id("4711"), issuer("North")], vec![id("4711")]],
        [vec![id("4711"), name("Doe^Jane")], vec![id("4711"), name("Roe^Jane")]],
        [vec![nobody(), name("Doe^Jane")], vec![nobody(), name("Roe^Jane")]],
    ];
    for case in of_two {
        let [one, other] = case.map(|said| [said, vec![series()]].concat());
        let refusal = joined(&one, &other).unwrap_err();
        assert_eq!(refusal.problem, RefusalReason::MixedSeries, "{one:?} {other:?}");
        assert!(refusal.detail.contains("two patients"), "{refusal}");
        for told in ["4711", "Jane", "North"] {
            assert!(!refusal.detail.contains(told), "{refusal}");
        }
    }
    let of_one = [
        [vec![id("4711")], vec![id("4711 ")]],
        [vec![id("4711")], vec![(tags::PATIENT_ID, "LO", b"4711\0\0".to_vec())]],
        [vec![id("4711"), issuer("North")], vec![id("4711"), issuer("North ")]],
    ];
    for case in of_one {
        let [one, other] = case.map(|said| [said, vec![series()]].concat());
        assert_eq!(joined(&one, &other), Ok(2), "{one:?} {other:?}");
    }
}

#[test]
fn one_instance_with_two_pictures_is_nobodys_volume_and_a_copy_is_left_out() {
    let uid = |uid: &str| vec![(tags::SOP_INSTANCE_UID, "UI", text(uid))];
    let refusal = joined(&uid("1.2.3"), &uid("1.2.3")).unwrap_err();
    assert_eq!(refusal.problem, RefusalReason::MixedSeries);
    assert!(refusal.detail.contains("one and the same SOP Instance UID"), "{refusal}");
    assert_eq!(joined(&uid("1.2.3"), &uid("1.2.4")), Ok(2));
    let same = file(0.0, &uid("1.2.3"));
    let files = [("a".to_owned(), same.clone()), ("b".to_owned(), same)];
    let decoded = decode::decode(&encode::zip(&files).unwrap(), &limits()).unwrap();
    assert_eq!(decoded.volume.shape.slices, 1);
}

#[test]
fn frames_of_two_echoes_between_each_other_are_no_volume() {
    let with_echoes = |echoes: [f64; 3]| {
        let mut elements = enhanced(&[(0.0, "1"), (2.0, "1"), (4.0, "1")]);
        elements.retain(|(tag, ..)| *tag != tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let own = [0.0, 2.0, 4.0].into_iter().zip(echoes).map(|(z, ms): (f64, f64)| {
            let echo = vec![(tags::EFFECTIVE_ECHO_TIME, "FD", ms.to_le_bytes().to_vec())];
            vec![
                EXPLICIT.sequence(tags::PLANE_POSITION_SEQUENCE, &[place(z)[..1].to_vec()]),
                EXPLICIT.sequence(tags::MR_ECHO_SEQUENCE, &[echo]),
            ]
        });
        let own: Vec<Vec<Element>> = own.collect();
        elements.push(EXPLICIT.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, &own));
        let elements = slice(EXPLICIT, &PIXELS, &elements);
        decode::decode(&EXPLICIT.file(&EXPLICIT.data_set(&elements)), &limits())
    };
    assert_eq!(with_echoes([90.0, 90.0, 90.1]).unwrap().volume.shape.slices, 3);
    let refusal = with_echoes([10.0, 90.0, 10.0]).unwrap_err();
    assert_eq!(refusal.problem, RefusalReason::MixedSeries);
    let expected = "Slices 1 and 2 of 3 have different echo times (10 and 90 ms).";
    assert!(refusal.detail.starts_with(expected), "{refusal}");
}
