use super::*;

const HEADER: &str = "patient,slice,image,mask";

/// What a manifest of that text comes to, beside three files.
fn patients(text: &str) -> Result<Vec<Patient>> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png", "a, left.png"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let manifest = folder.path().join("manifest.csv");
    fs::write(&manifest, text).unwrap();
    read(&manifest)
}

fn refusal(text: &str) -> String {
    patients(text).unwrap_err().to_string()
}

/// The ids of patients, with the numbers of their slices.
fn numbers(text: &str) -> Vec<(String, Vec<u32>)> {
    let number = |patient: &Patient| patient.slices.iter().map(|entry| entry.slice).collect();
    let all = patients(text).unwrap();
    all.iter().map(|patient| (patient.id.clone(), number(patient))).collect()
}

fn image(patient: &Patient) -> String {
    patient.slices[0].image.file_name().unwrap().to_string_lossy().into()
}

#[test]
fn columns_are_found_by_name_and_others_are_not_read() {
    let text =
        "mask,extra,image,slice,patient\nb.png,x,a.png,10,p\nb.png,x,a.png,9,p\nb.png,,a.png,1,o\n";
    assert_eq!(numbers(text), [("o".to_owned(), vec![1]), ("p".to_owned(), vec![10, 9])]);
    assert_eq!(patients(text).unwrap()[0].slices[0].image.file_name().unwrap(), "a.png");
}

#[test]
fn a_value_in_quotes_may_hold_commas_quotes_and_line_ends() {
    let all = patients(&format!(
        "{HEADER},site\n\"p \"\"1\"\"\",1,\"a, left.png\",b.png,\"Oslo,\nNorway\"\nq,1,a.png,b.png,\n"
    ));
    let all = all.unwrap();
    assert_eq!((all[0].id.as_str(), image(&all[0]).as_str()), ("p \"1\"", "a, left.png"));
    assert_eq!((all[0].site.as_deref(), &all[1].site), (Some("Oslo,\nNorway"), &None));
}

#[test]
fn a_comma_without_quotes_is_refused_and_shifts_nothing() {
    let why = refusal(&format!("{HEADER}\np,1,a, left.png,b.png\n"));
    assert!(why.contains("line 2: too many columns"), "{why}");
    assert!(refusal(&format!("{HEADER}\np,1,a.png\n")).contains("line 2: too few columns"));
}

#[test]
fn a_byte_order_mark_windows_line_ends_and_a_missing_last_one_are_read() {
    for text in [
        format!("\u{feff}{HEADER}\np,1,a.png,b.png\n"),
        format!("{HEADER}\r\np,1,a.png,b.png\r\n"),
        format!("\u{feff}{HEADER}\r\np,1,a.png,b.png"),
        format!("{HEADER}\n p , 1 , a.png , b.png \n"),
    ] {
        assert_eq!(numbers(&text), [("p".to_owned(), vec![1])], "{text:?}");
    }
}

#[test]
fn blank_lines_are_passed_over_and_counted() {
    let text = |last: &str| format!("{HEADER}\n\np,1,a.png,b.png\n  \n,,,\n\n\n{last}\n");
    assert_eq!(numbers(&text("p,2,a.png,b.png")), [("p".to_owned(), vec![1, 2])]);
    assert!(refusal(&text("p,two,a.png,b.png")).contains("line 8, column slice"));
    let windows = text("p,two,a.png,b.png").replace('\n', "\r\n");
    assert!(refusal(&windows).contains("line 8, column slice"));
}

#[test]
fn what_is_missing_or_wrong_is_named_with_its_line_and_column() {
    for (text, why) in [
        ("", "manifest.csv has no column patient"),
        ("patient,slice,image\n", "has no column mask"),
        ("patient,slice,image,mask\np,1,a.png,gone.png\n", "line 2, column mask: no file "),
        ("patient,slice,image,mask\np,1,,b.png\n", "line 2, column image: no file "),
        ("patient,slice,image,mask\n,1,a.png,b.png\n", "line 2, column patient: empty"),
        ("patient,slice,image,mask\np,one,a.png,b.png\n", "column slice: not a whole number"),
        ("patient,slice,image,mask\np,-1,a.png,b.png\n", "column slice: not a whole number"),
        ("patient,slice,image,mask,kind\np,1,a.png,b.png,t2\n", "column kind: not one that"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(why), "{refused}");
    }
    assert!(read(Path::new("/nowhere/m.csv")).unwrap_err().to_string().contains("/nowhere/m.csv"));
}

#[test]
fn fold_and_site_are_read_and_a_patient_is_in_one_fold() {
    let lines = |lines: &str| format!("{HEADER},fold\n{lines}");
    let all = patients(&lines("TCGA_DU_7013_1,5,a.png,b.png,3\nx,1,a.png,b.png,\n")).unwrap();
    assert_eq!((all[0].site.as_deref(), all[0].fold.as_deref()), (Some("DU"), Some("3")));
    assert_eq!((&all[1].site, &all[1].fold), (&None, &None));
    let why = refusal(&lines("p,1,a.png,b.png,1\np,2,a.png,b.png,2\n"));
    assert!(why.contains("line 3: patient p is in two folds"), "{why}");
}

#[test]
fn the_kind_of_image_is_a_column_and_one_for_all_slices_of_a_patient() {
    let lines = |lines: &str| format!("{HEADER},kind\n{lines}");
    let all = patients(&lines("p,1,a.png,b.png,t1_contrast\nq,1,a.png,b.png,\n")).unwrap();
    let kinds: Vec<ImageKind> = all.iter().map(|patient| patient.kind).collect();
    assert_eq!(kinds, [ImageKind::T1Contrast, ImageKind::Unknown]);
    let two = lines("p,1,a.png,b.png,flair\np,2,a.png,b.png,t1_contrast\n");
    assert!(refusal(&two).contains("two kinds"));
}

#[test]
fn a_patient_is_in_one_part_of_a_known_name() {
    let lines = |lines: &str| format!("{HEADER},part\n{lines}");
    let all = patients(&lines("p,1,a.png,b.png,test\nq,1,a.png,b.png,\n")).unwrap();
    assert_eq!((all[0].part, all[1].part), (Some(Part::Test), None));
    let why = refusal(&lines("p,1,a.png,b.png,training\np,2,a.png,b.png,test\n"));
    assert!(why.contains("line 3: patient p is in two parts"), "{why}");
    let why = refusal(&lines("p,1,a.png,b.png,train\n"));
    assert!(why.contains("line 2, column part: not one that is known"), "{why}");
}
