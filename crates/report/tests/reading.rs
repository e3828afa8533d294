//! What stands in a report, read back from its PDF.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod analysis;

use domain::feedback::{FindingVerdict, JudgedFinding, Reason, Truth, Verdict};
use domain::{Answer, ErrorKind, Identity};
use imaging::phantom::{Phantom, Settings};
use imaging::{
    ClassifiedKind, Criteria, DocumentHeader, ExpectedDice, Features, Findings, ImageFacts,
    Quality, ResultDocument, Shape, Timing, Totals, Volume, confidence, lettered_png, overlay_png,
    shown_slice, slice_png,
};
use report::{Drawn, KeyPicture, Language, ReaderWord, Readers, Report, Subject};

use analysis::{DIGEST, NOW_MS, SCAN, model};

const LANGUAGES: [Language; 2] = [Language::English, Language::French];

fn head() -> (Volume, Findings) {
    let settings = Settings {
        shape: Shape { slices: 12, rows: 64, columns: 64 },
        spacing: [8.0, 3.5, 3.5],
        lesion_ml: Some(12.0),
        ..Settings::slice(2)
    };
    let Phantom { volume, truth, .. } = Phantom::new(&settings).unwrap();
    let probabilities: Vec<f32> = truth.iter().map(|&inside| f32::from(inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let found = Findings::new(&probabilities, volume.shape, volume.geometry.as_ref(), criteria);
    let found = found.unwrap().located(&volume).unwrap();
    (volume, found)
}

fn result(answer: Answer) -> ResultDocument {
    let (volume, found) = head();
    let findings = if answer == Answer::Found { found.findings } else { Vec::new() };
    let remarks = vec!["the model is unsure of this answer".to_owned(), "own words".to_owned()];
    ResultDocument {
        series: None,
        header: DocumentHeader::default(),
        scan_id: SCAN.into(),
        answer,
        reason: (answer == Answer::NotAnalysable).then(|| "no model was made for CT".into()),
        totals: Some(Totals::new(&findings, volume.shape)),
        confidence: Some(confidence(&[0.0], &findings)),
        expected_dice: (answer == Answer::Found)
            .then_some(ExpectedDice { dice: 0.87, interval: [0.71, 0.94] }),
        quality: Some(Quality { features: Features::new(&volume), remarks }),
        image: Some(ImageFacts::new(&volume, ClassifiedKind::default(), 5)),
        model: Some(model()),
        inputs: None,
        witness: None,
        timing: Timing::new(NOW_MS, NOW_MS, NOW_MS + 60_000, 1.0),
        findings,
    }
}

fn result_of(answer: Answer) -> ResultDocument {
    match answer {
        Answer::Failed => {
            let reason = Some("the worker died three times".into());
            ResultDocument::failed(SCAN.into(), reason, NOW_MS, NOW_MS)
        }
        answer => result(answer),
    }
}

fn pictures() -> Vec<KeyPicture> {
    let (volume, found) = head();
    let slice = shown_slice(volume.shape, &found);
    let png = overlay_png(&volume, &found, slice).unwrap();
    vec![
        KeyPicture { png, slice: Some(slice), drawn: Drawn::Outlines },
        KeyPicture {
            png: slice_png(&volume, slice).unwrap(),
            slice: Some(slice),
            drawn: Drawn::Nothing,
        },
        KeyPicture { png: lettered_png(&volume, 0).unwrap(), slice: None, drawn: Drawn::Letters },
    ]
}

fn identity() -> Identity {
    let some = |text: &str| Some(text.to_owned());
    Identity {
        patient_name: some("Diallo^Aïssatou"),
        patient_id: some("4711"),
        issuer_of_patient_id: some("H1"),
        patient_birth_date: some("19700131"),
        patient_sex: some("F"),
        accession_number: some("A-77"),
        study_date: some("20231114"),
        study_description: some("MR head"),
        ..Identity::default()
    }
}

fn report(answer: Answer, language: Language) -> Report {
    Report {
        language,
        subject: Subject::Known(Box::new(identity()), Some("order 7".into())),
        result: result_of(answer),
        pictures: pictures(),
        readers: Readers::Told(Vec::new()),
        made_ms: NOW_MS,
    }
}

fn english(answer: Answer) -> Report {
    report(answer, Language::English)
}

/// What a reader of the one page sees, with single spaces.
fn text(report: &Report) -> String {
    let pdf = report.to_pdf().unwrap();
    let document = lopdf::Document::load_mem(&pdf).unwrap();
    assert_eq!(document.get_pages().len(), 1);
    let text = document.extract_text(&[1]).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(text: &str, all: &[&str]) {
    for words in all {
        assert!(text.contains(words), "`{words}` is missing in: {text}");
    }
}

#[test]
fn every_answer_is_said_in_both_languages_with_what_it_is_not() {
    for (answer, titles) in [
        (Answer::Found, ["Tumour region found", "Région tumorale trouvée"]),
        (Answer::NoneFound, ["None found", "Rien trouvé"]),
        (Answer::NotAnalysable, ["Not analysable", "Non analysable"]),
        (Answer::Failed, ["Analysis failed", "Échec de l’analyse"]),
    ] {
        for (language, title) in LANGUAGES.into_iter().zip(titles) {
            let text = text(&report(answer, language));
            let warning = match language {
                Language::English => "FOR RESEARCH USE, NOT FOR DIAGNOSIS",
                Language::French => "POUR LA RECHERCHE, PAS POUR LE DIAGNOSTIC",
            };
            assert_eq!(text.matches(warning).count(), 2, "{text}");
            says(&text, &[title, "Diallo, Aïssatou", "Signature", "2023-11-14 22:13 UTC", SCAN]);
        }
    }
    let reasons = [
        (Answer::NotAnalysable, "No model was made for CT."),
        (Answer::Failed, "The worker died three times."),
    ];
    for (answer, reason) in reasons {
        says(&text(&english(answer)), &["Reason:", reason]);
    }
}

#[test]
fn what_was_found_is_measured_doubted_and_of_a_model() {
    let result = result(Answer::Found);
    let [finding] = &result.findings[..] else { panic!("{:?}", result.findings) };
    let slice = format!("{} / 12", finding.slice + 1);
    let volume = format!("{:.1} mL", finding.volume_ml.unwrap());
    let longest = format!("{:.1} ×", finding.longest_diameter.length);
    let text = text(&english(Answer::Found));
    says(
        &text,
        &[
            "One main finding,",
            &slice,
            &volume,
            &longest,
            "0.87",
            "between 0.71 and 0.94",
            "The model is unsure of this answer.",
            "Own words.",
            "medseg-mr 0.4.0",
            DIGEST,
            "35 %",
            "Date of birth",
            "1970-01-31",
            "4711 (H1)",
            "A-77",
            "2023-11-14 · MR head",
            "order 7",
            "findings outlined",
            "findings in a box",
            "R at the left",
            "No reader has given a verdict yet.",
        ],
    );
    let french = self::text(&report(Answer::Found, Language::French));
    says(
        &french,
        &["Le modèle n’est pas sûr de cette réponse.", "Own words.", "Date de naissance"],
    );
    says(
        &french,
        &["à 0,87", "entre 0,71 et 0,94", &volume.replace('.', ","), &longest.replace('.', ",")],
    );
}

/// What results say, but for what is the same in each: all is put together from these.
const REMARKS: [&str; 14] = [
    "its header says that it is FLAIR, and to the model it looks like contrast-enhanced T1: it was judged as FLAIR",
    "what kind of image this is could not be told: the general cut was used",
    "one lesser finding lies apart from the main one: it is in no total",
    "2 lesser findings lie apart from the main one: they are in no total",
    "1 label map was left out",
    "6 label maps were left out",
    "1 copy of a slice was left out",
    "3 copies of slices were left out",
    "1 file that is no slice was left out: a GIF file",
    "3 files that are no slices were left out: a GIF file (2), a structured report",
    "page 2 is a label map and was left out",
    "2 pages are label maps and were left out, page 1 first",
    "by their names, slices are missing between 1.png and 3.png",
    "this is no trained model: it stands in for one, for research, and no patient may depend on it",
];

#[test]
fn a_french_report_says_nothing_in_english() {
    for english in REMARKS {
        let mut report = report(Answer::NoneFound, Language::French);
        report.result.quality.as_mut().unwrap().remarks = vec![english.to_owned()];
        let text = text(&report);
        let words =
            ["left out", "lesser", "header", "slices are", "was used", "trained", " GIF file"];
        assert!(words.iter().all(|word| !text.contains(word)), "{english}: {text}");
    }
    for (english, french) in [
        ("no model is registered for CT", "Aucun modèle n’est enregistré pour CT."),
        ("the analysis was tried 3 times and never finished", "tentée 3 fois"),
        ("the stored scan is damaged and was not analysed: please upload it again", "endommagé"),
    ] {
        let mut report = report(Answer::NotAnalysable, Language::French);
        report.result.reason = Some(english.to_owned());
        says(&text(&report), &[french]);
    }
}

#[test]
fn whose_scan_it_is_may_be_left_out_and_then_it_says_so() {
    let left_out = Report { subject: Subject::LeftOut, ..english(Answer::Found) };
    let text = text(&left_out);
    says(&text, &["This report does not say whose scan it is"]);
    for word in ["Diallo", "4711", "1970", "A-77", "order 7"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let nameless = Subject::Known(Box::default(), None);
    says(&self::text(&Report { subject: nameless, ..english(Answer::Found) }), &["not stated"]);
}

fn word(reader: &str) -> ReaderWord {
    ReaderWord {
        reader: reader.into(),
        given_ms: NOW_MS,
        verdict: Verdict::Reject,
        truth: Some(Truth::NoTumour),
        reason: Some(Reason::FalseFinding),
        note: "a vessel,\nnothing else".into(),
        findings: Vec::new(),
    }
}

#[test]
fn readers_words_stand_there_or_how_many_are_hidden_or_that_they_are_left_out() {
    let with = |readers: Readers| text(&Report { readers, ..english(Answer::Found) });
    says(
        &with(Readers::Told(vec![word("ada")])),
        &[
            "ada rejects it, 2023-11-14 22:13 UTC: there is no tumour; a finding is none; a vessel, nothing else",
        ],
    );
    let doubted = JudgedFinding {
        reason: Some(Reason::Quality),
        note: "too dark".into(),
        ..JudgedFinding::bare(2, FindingVerdict::Unsure)
    };
    let none = JudgedFinding::bare(3, FindingVerdict::Reject);
    let findings = vec![JudgedFinding::bare(1, FindingVerdict::Agree), doubted, none];
    let told = vec![ReaderWord { findings, ..word("ada") }];
    let english = with(Readers::Told(told.clone()));
    says(
        &english,
        &["finding 2: in doubt, the image is not good enough, too dark; finding 3: is none"],
    );
    assert!(!english.contains("finding 1"), "{english}");
    let french = Report {
        language: Language::French,
        readers: Readers::Told(told),
        ..self::english(Answer::Found)
    };
    says(&text(&french), &["lésion 2 : incertaine, l’image n’est pas assez bonne, too dark"]);
    says(&with(Readers::Hidden(2)), &["judged this scan 2 times"]);
    says(&with(Readers::LeftOut), &["is not shown to whoever asked"]);
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let mut report = english(Answer::Found);
    let one = report.result.findings[0].clone();
    report.result.findings =
        (1..=200).map(|label| imaging::Finding { label, ..one.clone() }).collect();
    report.readers = Readers::Told((0..40).map(|index| word(&format!("reader-{index}"))).collect());
    let text = text(&report);
    let number_before = |words: &str| -> usize {
        text[..text.find(words).unwrap()].rsplit(' ').next().unwrap().parse().unwrap()
    };
    let shown = text.matches(&format!("{} / 12", one.slice + 1)).count();
    assert_eq!(shown + number_before(" more: see the result"), 200);
    assert!(shown >= 2, "{text}");
    let named = text.matches("rejects it").count();
    assert_eq!(named + number_before(" more readers: see"), 40);
    assert!(named >= 1, "{text}");
    says(&text, &["Signature", "NOT FOR DIAGNOSIS"]);
}

#[test]
fn a_long_name_is_there_to_its_last_letter() {
    // As long as DICOM lets one be.
    let name = format!("{}^{}", "Q".repeat(32), "Z".repeat(31));
    let identity = Identity { patient_name: Some(name), ..Identity::default() };
    let subject = Subject::Known(Box::new(identity), None);
    let text = text(&Report { subject, ..english(Answer::NoneFound) });
    assert_eq!((text.matches('Q').count(), text.matches('Z').count()), (32, 31), "{text}");
}

#[test]
fn a_name_in_another_script_is_written_by_its_numbers_and_the_foot_explains_them() {
    let named = |name: &str| {
        let identity = Identity { patient_name: Some(name.into()), ..Identity::default() };
        let subject = Subject::Known(Box::new(identity), None);
        text(&Report { subject, ..english(Answer::NoneFound) })
    };
    let explained = "by its number in Unicode";
    says(
        &named("Yamada^Tarou=山田^太郎"),
        &["Yamada, Tarou", "U+5C71", "U+7530", "U+90CE", explained],
    );
    for name in ["Жанна^И", "Ọládélé^Ṣadé", "Kɔfi^Ŋwa"] {
        let text = named(name);
        says(&text, &[&name.replace('^', ", ")]);
        assert!(!text.contains(explained), "{text}");
    }
}

#[test]
fn the_same_report_is_the_same_bytes() {
    let bytes = || english(Answer::Found).to_pdf().unwrap();
    assert!(bytes() == bytes());
    let later = Report { made_ms: NOW_MS + 60_000, ..english(Answer::Found) };
    assert!(later.to_pdf().unwrap() != bytes());
    assert!(bytes().starts_with(b"%PDF-"));
}

#[test]
fn a_scan_without_pictures_says_so_and_a_picture_that_is_none_is_an_error() {
    let without = Report { pictures: Vec::new(), ..english(Answer::Failed) };
    says(&text(&without), &["There is no picture of this scan."]);
    let broken = KeyPicture { png: b"no picture".to_vec(), slice: None, drawn: Drawn::Letters };
    let broken = Report { pictures: vec![broken], ..english(Answer::Found) };
    assert_eq!(broken.to_pdf().unwrap_err().kind(), ErrorKind::Internal);
}
