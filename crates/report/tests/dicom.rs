//! Results as DICOM objects, read back by another hand than the one that wrote them.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod analysis;
#[path = "dicom/sides.rs"]
mod sides;

use std::io::Cursor;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, InMemDicomObject};
use domain::{Answer, ErrorKind, Identity};
use imaging::phantom::{Phantom, Settings};
use imaging::{
    ClassifiedKind, Criteria, Finding, Findings, ImageFacts, Laterality, Limits, ResultDocument,
    Shape, StoredGrid, Timing, Totals, Volume, lettered_png, mask_nifti, overlay_png, shown_slice,
};
use report::dicom::DicomResult;
use report::{Language, Unmade};

use analysis::{DIGEST, NOW_MS, SCAN, model};

/// All ways in which rows may run along one and columns along another of the patient's axes, some of them turned round.
const ORDERS: [&str; 8] = ["LPS", "RAS", "LAI", "RPS", "LIA", "PSR", "ASL", "SRA"];

/// A scan with a finding on one side of the head, as a file of that order had it.
struct Head {
    volume: Volume,
    found: Findings,
    grid: StoredGrid,
}

fn head(order: &str) -> Head {
    let settings = Settings {
        shape: Shape { slices: 66, rows: 72, columns: 80 },
        spacing: [3.0, 3.0, 2.8],
        lesion_ml: Some(12.0),
        ..Settings::slice(2)
    };
    let Phantom { volume, truth, .. } = Phantom::new(&settings).unwrap();
    let stored = volume.stored_as(order).unwrap().radiological();
    assert_eq!(stored.shape, volume.shape, "{order}");
    assert!(
        stored.voxels == volume.voxels,
        "{order}: pictures are the same, however it was stored"
    );
    let probabilities: Vec<f32> = truth.iter().map(|&inside| 0.9 * f32::from(inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let found = Findings::new(&probabilities, stored.shape, stored.geometry.as_ref(), criteria);
    let found = found.unwrap().located(&stored).unwrap();
    assert!(!found.findings.is_empty());
    let grid = StoredGrid::read(&stored.to_bytes()).unwrap().unwrap();
    Head { volume: stored, found, grid }
}

fn identity(slices: usize) -> Identity {
    let some = |text: &str| Some(text.to_owned());
    Identity {
        patient_name: some("Diallo^Aïssatou=山田^太郎"),
        patient_id: some(" 04711"),
        issuer_of_patient_id: some("H1"),
        patient_birth_date: some("19700131"),
        patient_sex: some("F"),
        accession_number: some("A-77"),
        study_date: some("20231114"),
        study_time: some("101112"),
        study_id: some("7"),
        study_instance_uid: some("1.2.3"),
        series_instance_uid: some("1.2.3.4"),
        sop_class_uid: some(uids::MR_IMAGE_STORAGE),
        frame_of_reference_uid: some("1.2.3.5"),
        sop_instance_uids: (0..slices).map(|slice| format!("1.2.3.4.{slice}")).collect(),
        ..Identity::default()
    }
}

fn result(head: &Head, answer: Answer) -> ResultDocument {
    let findings: &[Finding] = if answer == Answer::Found { &head.found.findings } else { &[] };
    let shown = shown_slice(head.volume.shape, &head.found);
    let reason = matches!(answer, Answer::NotAnalysable | Answer::Failed).then(|| "why not".into());
    ResultDocument {
        answer,
        totals: Some(Totals::new(findings, head.volume.shape)),
        image: Some(ImageFacts::new(&head.volume, ClassifiedKind::default(), shown)),
        model: Some(model()),
        timing: Timing::new(NOW_MS, NOW_MS, NOW_MS, 1.0),
        findings: findings.to_vec(),
        ..ResultDocument::failed(SCAN.into(), reason, NOW_MS, NOW_MS)
    }
}

fn dicom(head: &Head, answer: Answer) -> DicomResult {
    let (own, _) = head.volume.own_grid();
    DicomResult::new(identity(own.slices), &head.grid, result(head, answer)).unwrap()
}

fn segmentation(head: &Head) -> Vec<u8> {
    let mask = mask_nifti(&head.volume, &head.found).unwrap();
    dicom(head, Answer::Found).segmentation(&mask, &head.grid).unwrap()
}

fn read(file: &[u8]) -> DefaultDicomObject {
    dicom_object::from_reader(Cursor::new(file)).unwrap()
}

fn text(object: &InMemDicomObject, tag: Tag) -> String {
    let text = object.element(tag).unwrap().to_str().unwrap().into_owned();
    text.trim_end_matches(['\0']).to_owned()
}

fn numbers(object: &InMemDicomObject, tag: Tag) -> Vec<f64> {
    object.element(tag).unwrap().to_multi_float64().unwrap()
}

fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.element(tag).unwrap().items().unwrap()
}

fn first(object: &InMemDicomObject, tag: Tag) -> &InMemDicomObject {
    &items(object, tag)[0]
}

fn why_not(unmade: Result<Vec<u8>, Unmade>) -> &'static str {
    match unmade {
        Err(Unmade::Absent(why)) => why,
        Err(Unmade::Failed(error)) => panic!("{error}"),
        Ok(_) => panic!("it was made"),
    }
}

/// What a reader of a segmentation sees of its first segment: its millilitres, and where its middle lies in the patient.
fn seen(file: &[u8]) -> (f64, [f64; 3]) {
    let object = read(file);
    let shared = first(&object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    let measures = first(shared, tags::PIXEL_MEASURES_SEQUENCE);
    let (spacing, between) = (
        numbers(measures, tags::PIXEL_SPACING),
        numbers(measures, tags::SPACING_BETWEEN_SLICES)[0],
    );
    let orientation = first(shared, tags::PLANE_ORIENTATION_SEQUENCE);
    let cosines = numbers(orientation, tags::IMAGE_ORIENTATION_PATIENT);
    let [rows, columns] = [tags::ROWS, tags::COLUMNS]
        .map(|tag| object.element(tag).unwrap().to_int::<usize>().unwrap());
    let bits = object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned();
    let (mut count, mut sum): (f64, [f64; 3]) = (0.0, [0.0; 3]);
    for (frame, groups) in
        items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).iter().enumerate()
    {
        let segment = first(groups, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
        if text(segment, tags::REFERENCED_SEGMENT_NUMBER) != "1" {
            continue;
        }
        let position = first(groups, tags::PLANE_POSITION_SEQUENCE);
        let position = numbers(position, tags::IMAGE_POSITION_PATIENT);
        for pixel in 0..rows * columns {
            let bit = frame * rows * columns + pixel;
            if bits[bit / 8] >> (bit % 8) & 1 == 0 {
                continue;
            }
            let (row, column) = ((pixel / columns) as f64, (pixel % columns) as f64);
            count += 1.0;
            sum = std::array::from_fn(|axis| {
                sum[axis]
                    + position[axis]
                    + column * spacing[1] * cosines[axis]
                    + row * spacing[0] * cosines[axis + 3]
            });
        }
    }
    (count * spacing[0] * spacing[1] * between / 1000.0, sum.map(|part| part / count))
}

/// The content items of that name, wherever they are in the tree.
fn named<'a>(object: &'a InMemDicomObject, code: &str) -> Vec<&'a InMemDicomObject> {
    let Ok(below) = object.element(tags::CONTENT_SEQUENCE) else { return Vec::new() };
    let below = below.items().unwrap().iter();
    below
        .flat_map(|item| {
            let name = item.element(tags::CONCEPT_NAME_CODE_SEQUENCE).ok();
            let name = name.map(|name| text(&name.items().unwrap()[0], tags::CODE_VALUE));
            let own = (name.as_deref() == Some(code)).then_some(item);
            own.into_iter().chain(named(item, code))
        })
        .collect()
}

fn value_of(number: &InMemDicomObject) -> (f64, String) {
    let measured = first(number, tags::MEASURED_VALUE_SEQUENCE);
    let unit = first(measured, tags::MEASUREMENT_UNITS_CODE_SEQUENCE);
    (numbers(measured, tags::NUMERIC_VALUE)[0], text(unit, tags::CODE_VALUE))
}

fn coded(item: &InMemDicomObject) -> String {
    text(first(item, tags::CONCEPT_CODE_SEQUENCE), tags::CODE_VALUE)
}

#[test]
fn in_each_order_of_axes_a_finding_is_as_large_and_on_the_same_side_in_every_object() {
    for order in ORDERS {
        let head = head(order);
        let finding = &head.found.findings[0];
        let (ml, middle) = seen(&segmentation(&head));
        assert!((ml / finding.volume_ml.unwrap() - 1.0).abs() < 1e-6, "{order}: {ml}");
        let expected = finding.centroid_mm.unwrap();
        let near = (0..3).all(|axis| (middle[axis] - expected[axis]).abs() < 1e-3);
        assert!(near, "{order}: {middle:?}, {expected:?}");

        let report = read(&dicom(&head, Answer::Found).structured_report().unwrap());
        let (volume, unit) = value_of(named(&report, "118565006")[0]);
        assert!((volume - finding.volume_ml.unwrap()).abs() < 1e-6 && unit == "mL", "{order}");
        let axis = named(&report, "103339001")[0];
        let ends = numbers(named(axis, "121055")[0], tags::GRAPHIC_DATA);
        let length = (0..3).map(|part| (ends[part + 3] - ends[part]).powi(2)).sum::<f64>().sqrt();
        assert!((length - value_of(axis).0).abs() < 1e-3, "{order}: {length}");
        // The box holds the middle.
        let faces: Vec<f64> = named(&report, "121231")
            .iter()
            .take(2)
            .flat_map(|face| numbers(face, tags::GRAPHIC_DATA))
            .collect();
        let [from, to] = finding.bounds.patient_mm.unwrap();
        for (axis, middle) in expected.iter().enumerate() {
            let along = faces.iter().skip(axis).step_by(3).copied();
            let low = along.clone().fold(f64::MAX, f64::min);
            let high = along.fold(f64::MIN, f64::max);
            assert!((low..high).contains(middle), "{order}");
            assert!((low - from[axis]).abs() < 1e-3 && (high - to[axis]).abs() < 1e-3, "{order}");
        }

        let png =
            overlay_png(&head.volume, &head.found, shown_slice(head.volume.shape, &head.found));
        let capture = read(&dicom(&head, Answer::Found).capture(&png.unwrap()).unwrap());
        assert_eq!(text(&capture, tags::PATIENT_ORIENTATION), "L\\P", "{order}");
        assert_eq!(text(&capture, tags::PIXEL_ASPECT_RATIO), "3000\\2800", "{order}");
    }
}

#[test]
fn a_segmentation_that_comes_back_as_a_mask_marks_each_voxel_that_the_result_marks() {
    for order in ORDERS {
        let head = head(order);
        let (facts, marked) =
            imaging::segmentation(&segmentation(&head), &Limits::default()).unwrap().unwrap();
        let (own, _) = head.volume.own_grid();
        assert_eq!(facts.check_source(&identity(own.slices)), Ok(()), "{order}");
        let Volume { shape, geometry, .. } = &head.volume;
        let laid = facts.laid_on(&marked, *shape, geometry.as_ref()).unwrap();
        let expected: Vec<u8> = head.found.mask.iter().map(|label| u8::from(*label > 0)).collect();
        assert!(laid == expected, "{order}");
        // On the grid as the mask's own file tells it, too.
        let mask = mask_nifti(&head.volume, &head.found).unwrap();
        let mask = imaging::decode(&mask, &Limits::default()).unwrap().volume;
        let laid = facts.laid_on(&marked, mask.shape, mask.geometry.as_ref()).unwrap();
        assert!(Some(laid) == imaging::marked(&mask), "{order}");

        // Whichever two axes its planes have.
        let Shape { slices, rows, columns } = *shape;
        let larger = Shape { slices: slices + 1, rows: rows + 1, columns: columns + 1 };
        let why = facts.laid_on(&marked, larger, geometry.as_ref()).unwrap_err();
        assert!(why.contains("pixels") || why.contains("elsewhere"), "{order}: {why}");
        let mut moved = geometry.unwrap();
        moved.origin[0] += 1.4;
        let why = facts.laid_on(&marked, *shape, Some(&moved)).unwrap_err();
        assert!(why.contains("elsewhere"), "{order}: {why}");
    }
}

#[test]
fn each_frame_lies_where_the_image_lies_that_it_refers_to() {
    let head = head("ASL");
    let (own, geometry) = head.volume.own_grid();
    let object = read(&segmentation(&head));
    assert_eq!(text(&object, tags::FRAME_OF_REFERENCE_UID), "1.2.3.5");
    let frames = items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    assert_eq!(text(&object, tags::NUMBER_OF_FRAMES), frames.len().to_string());
    for groups in frames {
        let source =
            first(first(groups, tags::DERIVATION_IMAGE_SEQUENCE), tags::SOURCE_IMAGE_SEQUENCE);
        let instance = text(source, tags::REFERENCED_SOP_INSTANCE_UID);
        let slice: usize = instance.rsplit('.').next().unwrap().parse().unwrap();
        assert!(slice < own.slices && source.element(tags::REFERENCED_FRAME_NUMBER).is_err());
        let position =
            numbers(first(groups, tags::PLANE_POSITION_SEQUENCE), tags::IMAGE_POSITION_PATIENT);
        let expected = geometry.unwrap().position(slice as f64, 0.0, 0.0);
        assert!((0..3).all(|axis| (position[axis] - expected[axis]).abs() < 1e-6), "{slice}");
    }
}

#[test]
fn of_a_file_with_several_frames_each_frame_is_referred_to_by_its_number() {
    let head = head("LPS");
    let slices = head.volume.shape.slices;
    // Its frames run from the other end.
    let frame_numbers = (1..=slices as u32).rev().collect();
    let identity =
        Identity { sop_instance_uids: vec!["1.2.9".into()], frame_numbers, ..identity(0) };
    let dicom = DicomResult::new(identity, &head.grid, result(&head, Answer::Found)).unwrap();
    let mask = mask_nifti(&head.volume, &head.found).unwrap();
    let object = read(&dicom.segmentation(&mask, &head.grid).unwrap());
    let groups = first(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let source = first(first(groups, tags::DERIVATION_IMAGE_SEQUENCE), tags::SOURCE_IMAGE_SEQUENCE);
    let frame: usize = text(source, tags::REFERENCED_FRAME_NUMBER).parse().unwrap();
    assert_eq!(text(source, tags::REFERENCED_SOP_INSTANCE_UID), "1.2.9");
    assert_eq!(frame, slices - head.found.findings[0].bounds.from[0]);
}

#[test]
fn segmentation_and_report_name_each_finding_and_the_model_alike() {
    let head = head("LPS");
    let (seg, report) = (
        read(&segmentation(&head)),
        read(&dicom(&head, Answer::Found).structured_report().unwrap()),
    );
    let segments = items(&seg, tags::SEGMENT_SEQUENCE);
    assert_eq!(segments.len(), head.found.findings.len());
    let groups = named(&report, "125007");
    // One with numbers and one with the box.
    assert_eq!(groups.len(), 2 * segments.len());
    for (segment, groups) in segments.iter().zip(groups.chunks(2)) {
        let tracked = text(segment, tags::TRACKING_UID);
        for group in groups {
            assert_eq!(text(named(group, "112040")[0], tags::UID), tracked);
            assert_eq!(text(named(group, "111001")[0], tags::TEXT_VALUE), "medseg-mr");
            assert_eq!(text(named(group, "111003")[0], tags::TEXT_VALUE), "0.4.0");
        }
        let algorithm = first(segment, tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE);
        assert_eq!(text(algorithm, tags::ALGORITHM_NAME), "medseg-mr");
        assert_eq!(text(algorithm, tags::ALGORITHM_VERSION), "0.4.0");
        assert_eq!(text(segment, tags::SEGMENT_ALGORITHM_TYPE), "AUTOMATIC");
        let image = first(named(groups[0], "121191")[0], tags::REFERENCED_SOP_SEQUENCE);
        assert_eq!(
            text(image, tags::REFERENCED_SOP_INSTANCE_UID),
            text(&seg, tags::SOP_INSTANCE_UID)
        );
        let number = |of: &InMemDicomObject, tag| of.element(tag).unwrap().to_int::<u16>().unwrap();
        assert_eq!(
            number(image, tags::REFERENCED_SEGMENT_NUMBER),
            number(segment, tags::SEGMENT_NUMBER)
        );
    }
    for object in [&seg, &report] {
        assert_eq!(text(object, tags::CONTENT_QUALIFICATION), "RESEARCH");
        assert_eq!(text(object, tags::DEVICE_SERIAL_NUMBER), DIGEST);
    }
}

#[test]
fn whose_scan_it_is_stands_in_each_object_as_in_its_images() {
    let head = head("LPS");
    let dicom = dicom(&head, Answer::Found);
    let png = overlay_png(&head.volume, &head.found, 30).unwrap();
    let files = [
        segmentation(&head),
        dicom.structured_report().unwrap(),
        dicom.basic_text().unwrap(),
        dicom.capture(&png).unwrap(),
        dicom.document(b"%PDF-1".to_vec(), Language::French).unwrap(),
    ];
    for file in files {
        let object = read(&file);
        for (tag, expected) in [
            (tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192"),
            (tags::PATIENT_NAME, "Diallo^Aïssatou=山田^太郎"),
            (tags::ISSUER_OF_PATIENT_ID, "H1"),
            (tags::PATIENT_BIRTH_DATE, "19700131"),
            (tags::ACCESSION_NUMBER, "A-77"),
            (tags::STUDY_INSTANCE_UID, "1.2.3"),
            (tags::STUDY_TIME, "101112"),
        ] {
            assert_eq!(text(&object, tag).trim_end(), expected);
        }
        // A blank before it is part of a number.
        assert_eq!(text(&object, tags::PATIENT_ID).trim_end(), " 04711");
        assert_eq!(text(&object, tags::REFERRING_PHYSICIAN_NAME), "");
    }
}

#[test]
fn the_same_result_is_the_same_bytes_and_another_one_has_another_uid() {
    let (one, again) = (head("LPS"), head("LPS"));
    assert!(segmentation(&one) == segmentation(&again));
    let dicom = dicom(&one, Answer::Found);
    assert!(dicom.structured_report().unwrap() == dicom.structured_report().unwrap());
    let uid = |file: &[u8]| text(&read(file), tags::SOP_INSTANCE_UID);
    let (own, _) = one.volume.own_grid();
    let mut of_another_model = result(&one, Answer::Found);
    of_another_model.model.as_mut().unwrap().sha256 = "00".repeat(32);
    let other = DicomResult::new(identity(own.slices), &one.grid, of_another_model).unwrap();
    let document =
        |of: &DicomResult, pdf: &[u8]| of.document(pdf.to_vec(), Language::English).unwrap();
    let uids = [
        uid(&segmentation(&one)),
        uid(&dicom.structured_report().unwrap()),
        uid(&other.structured_report().unwrap()),
        uid(&dicom.basic_text().unwrap()),
        uid(&document(&dicom, b"%PDF-1")),
        uid(&document(&dicom, b"%PDF-2")),
    ];
    for (index, one) in uids.iter().enumerate() {
        assert!(one.len() <= 64 && !uids[..index].contains(one), "{uids:?}");
    }
}

#[test]
fn engines_without_weights_have_uids_of_their_own_and_no_value_is_empty() {
    let head = head("LPS");
    let (own, _) = head.volume.own_grid();
    let report_of = |name: &str| {
        let mut result = result(&head, Answer::Found);
        let model = result.model.as_mut().unwrap();
        (model.name, model.version, model.sha256) = (name.to_owned(), String::new(), String::new());
        let dicom = DicomResult::new(identity(own.slices), &head.grid, result).unwrap();
        read(&dicom.structured_report().unwrap())
    };
    let (one, other) = (report_of("threshold"), report_of("moments"));
    assert_ne!(text(&one, tags::SOP_INSTANCE_UID), text(&other, tags::SOP_INSTANCE_UID));
    assert_eq!(text(&one, tags::MANUFACTURER_MODEL_NAME), "threshold");
    assert_eq!(text(named(&one, "111003")[0], tags::TEXT_VALUE), "not stated");
    assert_eq!(text(named(&report_of(" "), "111001")[0], tags::TEXT_VALUE), "not stated");
}

#[test]
fn what_is_on_the_middle_is_not_said_to_be_on_both_sides() {
    let head = head("LPS");
    let (own, _) = head.volume.own_grid();
    for (side, code) in [
        (Some(Laterality::Left), Some("7771000")),
        (Some(Laterality::Right), Some("24028007")),
        (Some(Laterality::Midline), Some("399488007")),
        (None, None),
    ] {
        let mut result = result(&head, Answer::Found);
        result.findings.iter_mut().for_each(|finding| finding.laterality = side);
        let dicom = DicomResult::new(identity(own.slices), &head.grid, result).unwrap();
        let report = read(&dicom.structured_report().unwrap());
        let said = named(&report, "272741003").first().map(|item| coded(item));
        assert_eq!(said.as_deref(), code);
    }
}

#[test]
fn what_a_file_may_not_say_so_keeps_no_object_from_being_written() {
    let head = head("LPS");
    let (own, _) = head.volume.own_grid();
    let of_no_code = Identity {
        patient_sex: Some("女".into()),
        patient_age: Some("٤٠ Y".into()),
        ..identity(own.slices)
    };
    let dicom = DicomResult::new(of_no_code, &head.grid, result(&head, Answer::Found)).unwrap();
    let report = read(&dicom.structured_report().unwrap());
    assert_eq!(text(&report, tags::PATIENT_SEX), "");
    assert!(report.element(tags::PATIENT_AGE).is_err());
    assert_eq!(text(&report, tags::PATIENT_BIRTH_DATE), "19700131");
}

#[test]
fn each_of_the_four_answers_is_said_and_nothing_is_marked_where_nothing_was_found() {
    let head = head("LPS");
    let mut captures = std::collections::BTreeSet::new();
    for (answer, presence, own) in [
        (Answer::Found, "52101004", "FOUND"),
        (Answer::NoneFound, "272519000", "NONE_FOUND"),
        (Answer::NotAnalysable, "262008008", "NOT_ANALYSABLE"),
        (Answer::Failed, "82334004", "FAILED"),
    ] {
        let dicom = dicom(&head, answer);
        let report = read(&dicom.structured_report().unwrap());
        assert_eq!(coded(named(&report, "108369006")[0]), presence);
        assert_eq!(coded(named(&report, "ANSWER")[0]), own);
        let comments = named(&report, "121106");
        let comments: Vec<String> =
            comments.iter().map(|item| text(item, tags::TEXT_VALUE)).collect();
        assert!(comments.iter().any(|words| words.contains("not for diagnosis")), "{comments:?}");
        let gives_a_reason = comments.iter().any(|words| words.trim_end() == "why not");
        assert_eq!(gives_a_reason, matches!(answer, Answer::NotAnalysable | Answer::Failed));
        if answer != Answer::Found {
            assert!(why_not(dicom.segmentation(&[], &head.grid)).contains("sr.dcm"));
            assert!(named(&report, "125007").is_empty());
        }
        let in_words = read(&dicom.basic_text().unwrap());
        assert_eq!(coded(named(&in_words, "ANSWER")[0]), own);
        let told = named(&in_words, "121071").len();
        assert_eq!(told, result(&head, answer).findings.len());
        let conclusion = text(named(&in_words, "121077")[0], tags::TEXT_VALUE);
        assert_eq!(conclusion.contains("why not"), gives_a_reason, "{conclusion}");
        let picture = lettered_png(&head.volume, 30).unwrap();
        let capture = read(&dicom.capture(&picture).unwrap());
        assert_eq!(text(&capture, tags::BURNED_IN_ANNOTATION), "YES");
        let rows = capture.element(tags::ROWS).unwrap().to_int::<usize>().unwrap();
        assert!(rows > head.volume.shape.rows);
        let pixels = capture.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
        captures.insert(pixels.into_owned());
    }
    // The slice is the same in all of them, so that they differ in nothing but their words.
    assert_eq!(captures.len(), 4, "a picture does not say which answer it is of");
}

#[test]
fn a_document_holds_the_pdf_and_says_how_long_it_is() {
    let head = head("LPS");
    let object =
        read(&dicom(&head, Answer::Found).document(b"%PDF-".to_vec(), Language::French).unwrap());
    assert!(!text(&object, tags::DOCUMENT_TITLE).is_empty());
    let pdf = object.element(tags::ENCAPSULATED_DOCUMENT).unwrap().to_bytes().unwrap().into_owned();
    let length = object.element(tags::ENCAPSULATED_DOCUMENT_LENGTH).unwrap();
    assert_eq!((&pdf[..], length.to_int::<u32>().unwrap()), (&b"%PDF-\0"[..], 5));
    assert_eq!(text(&object, tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT), "application/pdf");
}

#[test]
fn what_did_not_come_as_dicom_or_from_nowhere_is_refused_in_words() {
    let head = head("LPS");
    let slices = head.volume.shape.slices;
    let made =
        |identity: Identity| DicomResult::new(identity, &head.grid, result(&head, Answer::Found));
    let mut twice = identity(slices);
    twice.sop_instance_uids[1] = twice.sop_instance_uids[0].clone();
    let lacking = [
        twice,
        // One image of many has a name, or one file has frames in an order that nobody has noted.
        identity(1),
        Identity::default(),
        Identity { study_instance_uid: None, ..identity(slices) },
        Identity { series_instance_uid: Some("no uid".into()), ..identity(slices) },
        identity(0),
        identity(slices - 1),
    ];
    for identity in lacking {
        assert!(matches!(made(identity), Err(Unmade::Absent(_))));
    }
    // Without coordinates nothing can be marked in images, and the report still has its numbers.
    let unplaced = Identity { frame_of_reference_uid: None, ..identity(slices) };
    let dicom = made(unplaced).unwrap();
    let mask = mask_nifti(&head.volume, &head.found).unwrap();
    assert!(why_not(dicom.segmentation(&mask, &head.grid)).contains("frame of reference"));
    let report = read(&dicom.structured_report().unwrap());
    assert!(named(&report, "121191").is_empty() && named(&report, "121055").is_empty());
    assert_eq!(named(&report, "118565006").len(), head.found.findings.len());
}

#[test]
fn a_result_that_was_measured_on_another_grid_is_our_fault() {
    let head = head("LPS");
    let mirrored = head.volume.geometry.map(|geometry| {
        let column_step = geometry.column_step.map(|part| -part);
        imaging::Geometry { column_step, ..geometry }
    });
    let mirrored = Volume { geometry: mirrored, ..head.volume.clone() };
    let grid = StoredGrid::read(&mirrored.to_bytes()).unwrap().unwrap();
    let slices = head.volume.shape.slices;
    let made = DicomResult::new(identity(slices), &grid, result(&head, Answer::Found));
    let Err(Unmade::Failed(error)) = made else { panic!("it was made") };
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn a_mask_that_does_not_show_the_findings_is_our_fault() {
    let head = head("LPS");
    let empty = Findings { mask: vec![0; head.volume.shape.len()], findings: Vec::new() };
    let mask = mask_nifti(&head.volume, &empty).unwrap();
    let Err(Unmade::Failed(error)) = dicom(&head, Answer::Found).segmentation(&mask, &head.grid)
    else {
        panic!("it was made")
    };
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn what_was_lost_in_the_images_is_said_of_what_is_made_of_them() {
    let head = head("LPS");
    let some = |text: &str| Some(text.to_owned());
    let (own, _) = head.volume.own_grid();
    let lossy = Identity {
        lossy_image_compression: some("01"),
        lossy_image_compression_ratio: some("4.5"),
        lossy_image_compression_method: some("ISO_10918_1"),
        ..identity(own.slices)
    };
    let dicom = DicomResult::new(lossy, &head.grid, result(&head, Answer::Found)).unwrap();
    let mask = mask_nifti(&head.volume, &head.found).unwrap();
    let object = read(&dicom.segmentation(&mask, &head.grid).unwrap());
    let said = |tag| text(&object, tag).trim().to_owned();
    assert_eq!(said(tags::LOSSY_IMAGE_COMPRESSION), "01");
    assert_eq!(said(tags::LOSSY_IMAGE_COMPRESSION_RATIO), "4.5");
    assert_eq!(said(tags::LOSSY_IMAGE_COMPRESSION_METHOD), "ISO_10918_1");
}

#[test]
fn a_number_that_dicom_does_not_hold_is_left_out_in_words() {
    let head = head("LPS");
    let (own, _) = head.volume.own_grid();
    let of = |accession: &str| {
        let accession_number = Some(accession.to_owned());
        let identity = Identity { accession_number, ..identity(own.slices) };
        let dicom = DicomResult::new(identity, &head.grid, result(&head, Answer::Found)).unwrap();
        let object = read(&dicom.structured_report().unwrap());
        (text(&object, tags::ACCESSION_NUMBER), dicom.left_out().len())
    };
    assert_eq!(of("SIXTEEN-LETTERS-"), ("SIXTEEN-LETTERS-".to_owned(), 0));
    assert_eq!(of("SEVENTEEN-LETTERS"), (String::new(), 1));
}
