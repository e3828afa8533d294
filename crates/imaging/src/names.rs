//! What file names say: which files are the numbered slices of one series, and which call themselves a mask.
//!
//! Names are believed only where the content cannot tell, and never against it.

mod natural;
mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

pub(crate) use self::natural::natural;
use self::pieces::{Piece, pieces};

/// Echoes, phases or sequences of one slice: more of them are rare.
const FEW: usize = 8;
/// Numbers that are years where all of a place are.
const YEARS: RangeInclusive<usize> = 1900..=2099;
/// So many years in a row are numbers of a camera or of a long export: no patient is imaged every year for so long. A
/// shorter row of them is torn apart, which is seen at once; joined visits are not.
const COUNTED_YEARS: usize = 20;
/// Below this, a number behind a `b` is no b-value of diffusion.
const B_VALUE: usize = 50;
/// Names are only shown, and may be long.
const SHOWN_CHARS_MAX: usize = 60;

/// Whether the name, or that of a folder around it, says that the file is a mask.
pub fn says_mask(name: &str) -> bool {
    pieces(name).iter().any(Piece::is_mask_word)
}

/// What a name and its twin have in common: `p/7.png` and `p/7_mask.png`, `images/7.png` and `masks/7.png`.
pub fn twin(name: &str) -> String {
    let kept = pieces(name)
        .into_iter()
        .filter(|piece| !piece.is_mask_word() && !piece.is_image_word())
        .map(|piece| match piece {
            Piece::Number(number) => number,
            Piece::Text(text) => text,
        });
    kept.collect::<Vec<_>>().join(" ")
}

/// The files of each numbered series among `names`, in the order of their numbers; what is not numbered stands alone.
///
/// Names of one series differ in one number of the file, or in several that rise in step (`IM1_z-5`). So `a_1`, `a_2`,
/// `b_1` are two series, and so are `flair` and `t1`. Other folders are other series, however they are numbered. Dates
/// count no slices, nor do numbers that a word calls a patient's, a visit's or a sequence's: `T1` and `T2` stand apart.
pub fn series(names: &[&str]) -> Vec<Vec<usize>> {
    let mut alike = BTreeMap::<Vec<Piece>, Vec<(usize, Vec<String>)>>::new();
    for (index, name) in names.iter().enumerate() {
        let (skeleton, numbers) = skeleton(name);
        alike.entry(skeleton).or_default().push((index, numbers));
    }
    let mut found: Vec<Vec<usize>> =
        alike.into_iter().flat_map(|(skeleton, files)| runs(&skeleton, files)).collect();
    for run in &mut found {
        run.sort_by(|a, b| natural(names[*a], names[*b]));
    }
    found.sort_by(|a, b| natural(names[a[0]], names[b[0]]));
    found
}

/// The pieces of a name, and the numbers taken out of them that may count slices. Those of folders, and those that a
/// word calls something else, stay and tell series apart.
fn skeleton(name: &str) -> (Vec<Piece>, Vec<String>) {
    let mut skeleton = pieces(name);
    let file = skeleton.iter().rposition(|piece| piece.is_of(&["/"])).map_or(0, |at| at + 1);
    let mut numbers = Vec::new();
    for at in file..skeleton.len() {
        let is_key = at > 0 && skeleton[at - 1].is_key_word();
        if let Piece::Number(number) = &mut skeleton[at]
            && !is_key
        {
            numbers.push(std::mem::take(number));
        }
    }
    (skeleton, numbers)
}

/// Splits files whose names differ in numbers only into runs in which one number counts the slices.
fn runs(skeleton: &[Piece], files: Vec<(usize, Vec<String>)>) -> Vec<Vec<usize>> {
    let alone = || files.iter().map(|(index, _)| vec![*index]).collect();
    let empty = Piece::Number(String::new());
    let places: Vec<usize> = (0..skeleton.len()).filter(|at| skeleton[*at] == empty).collect();
    let named: Vec<usize> =
        (0..places.len()).filter(|field| is_of_slice(skeleton, &places, *field)).collect();
    let before = |field: usize| places[field].checked_sub(1).map(|at| &skeleton[at]);
    let (keys, counts): (Vec<usize>, Vec<usize>) = (0..places.len())
        .filter(|field| varies(&files, *field))
        .partition(|field| tells_apart(before(*field), &files, *field));
    // Where a word for slice stands before a number, that one counts or none does.
    let counter = counts.iter().rfind(|field| named.is_empty() || named.contains(field));
    let Some(&counter) = counter else { return alone() };
    let steps = counts.into_iter().filter(|field| !in_step(&files, counter, *field));
    let others: Vec<usize> = keys.into_iter().chain(steps).filter(|f| *f != counter).collect();
    let mut runs = BTreeMap::<Vec<&str>, Vec<(usize, &str)>>::new();
    for (index, numbers) in &files {
        let key = others.iter().map(|field| &*numbers[*field]).collect();
        runs.entry(key).or_default().push((*index, &numbers[counter]));
    }
    let longest = runs.values().map(Vec::len).max().unwrap_or_default();
    // Many runs of a few: two echoes of each slice, perhaps, or one slice of each patient.
    if longest < runs.len() && longest <= FEW {
        return alone();
    }
    // The same number twice is no count: `1.png` beside `01.png`.
    let split = |run: Vec<(usize, &str)>| {
        let numbers: BTreeSet<&str> = run.iter().map(|(_, number)| *number).collect();
        let places = run.iter().map(|(index, _)| *index);
        match numbers.len() == run.len() {
            true => vec![places.collect()],
            false => places.map(|index| vec![index]).collect(),
        }
    };
    runs.into_values().flat_map(split).collect()
}

/// Whether the word before a number calls it a slice's: `slice_7`, but not `slice5mm`.
fn is_of_slice(skeleton: &[Piece], places: &[usize], field: usize) -> bool {
    let at = places[field];
    let Some(before) = at.checked_sub(1).map(|before| &skeleton[before]) else { return false };
    let is_length = skeleton.get(at + 1).is_some_and(|behind| behind.is_of(&["mm"]));
    (before.is_slice_word() && !is_length) || (before.is_frame_word() && field + 1 == places.len())
}

/// Whether the numbers of a place are years or b-values, which are too few, or too far apart, to count slices.
fn tells_apart(before: Option<&Piece>, files: &[(usize, Vec<String>)], field: usize) -> bool {
    let values = files.iter().map(|(_, numbers)| numbers[field].parse().ok());
    let values: Option<BTreeSet<usize>> = values.collect();
    let Some(values) = values else { return false };
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return false };
    let follows = |is_word: fn(&Piece) -> bool| before.is_some_and(is_word);
    // More numbers than gaps.
    let is_row = last - first < 2 * values.len();
    let years = YEARS.contains(first) && YEARS.contains(last) && !follows(Piece::is_slice_word);
    let b_values = follows(Piece::is_b_word) && *last >= B_VALUE;
    (years && !(is_row && values.len() >= COUNTED_YEARS)) || (b_values && !is_row)
}

fn varies(files: &[(usize, Vec<String>)], field: usize) -> bool {
    files.iter().any(|(_, numbers)| numbers[field] != files[0].1[field])
}

/// Whether a number rises or falls by the same amount with each step of the counter, over three files at least.
fn in_step(files: &[(usize, Vec<String>)], counter: usize, field: usize) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    let pairs: Option<Vec<(f64, f64)>> = files
        .iter()
        .map(|(_, numbers)| Some((number(&numbers[counter])?, number(&numbers[field])?)))
        .collect();
    let Some(mut pairs) = pairs else { return false };
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let slope = |pair: &[(f64, f64)]| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0);
    let slopes: Vec<f64> = pairs.windows(2).map(slope).collect();
    slopes.len() >= 2 && slopes.iter().all(|slope| (slope - slopes[0]).abs() < 1e-6)
}

/// Between which numbers a run of names has a gap, when most of them are one step apart.
pub fn gap<'a>(names: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let numbers: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            let numbers = pieces(name).into_iter().filter_map(|piece| match piece {
                Piece::Number(number) => Some(number),
                Piece::Text(_) => None,
            });
            numbers.collect()
        })
        .collect();
    let first = numbers.first()?;
    let counter = (0..first.len()).rev().find(|field| {
        numbers.iter().any(|other| other.get(*field).is_some_and(|n| *n != first[*field]))
    })?;
    let counted: Option<Vec<f64>> =
        numbers.iter().map(|numbers| numbers.get(counter)?.parse().ok()).collect();
    let counted = counted?;
    let steps: Vec<f64> = counted.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let least = steps.iter().copied().fold(f64::INFINITY, f64::min);
    let at = steps.iter().position(|step| *step > 1.5 * least)?;
    Some((names[at], names[at + 1]))
}

/// A name for people: without folders, unless it is a mere number, without what a terminal would obey, and cut.
pub fn shown(name: &str) -> String {
    let mut parts = name.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let named = match parts.next().filter(|folder| !folder.trim_matches('.').is_empty()) {
        Some(folder) if stem.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{folder}/{file}")
        }
        _ => file.to_owned(),
    };
    let clean: String = named.chars().filter(|c| !c.is_control()).collect();
    if clean.chars().count() <= SHOWN_CHARS_MAX {
        return clean;
    }
    clean.chars().take(SHOWN_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<'a>(names: &[&'a str]) -> Vec<Vec<&'a str>> {
        series(names).into_iter().map(|run| run.into_iter().map(|i| names[i]).collect()).collect()
    }

    #[test]
    fn slices_that_differ_in_their_number_are_one_series() {
        for names in [
            &["slice_10.png", "slice_2.png", "slice_1.png"][..],
            &["IM-0001-0001.png", "IM-0001-0002.png"],
            &["p_7_of_24.tif", "p_8_of_24.tif", "p_9_of_24.tif"],
            &["s1_z5.5.png", "s2_z7.png", "s3_z8.5.png"],
            &["../../slip1.png", "../../slip2.png"],
            &["Sch\u{fffd}del_1.png", "Sch\u{fffd}del_2.png"],
            &["1.PNG", "2.png", "3.jpg"],
            &["patient_07/slice_001.png", "patient_07/slice_002.png"],
            &["visit2/20200101/T1/1.png", "visit2/20200101/T1/2.png"],
            &["sub-01_ses-2_T1w_001.png", "sub-01_ses-2_T1w_002.png"],
            &["AX_T2_1.png", "AX_T2_2.png"],
            &["T2.001.png", "T2.002.png"],
            &["case_101_slice_7.png", "case_101_slice_8.png"],
            &["sl5mm_001.png", "sl5mm_002.png"],
            &["slice_1999.png", "slice_2003.png"],
            &["image_7_of_24.png", "image_8_of_24.png"],
            &["img_2_T1.png", "img_3_T1.png"],
            &["scan_1.png", "scan_2.png"],
            &["scan_20200101_1.png", "scan_20200101_2.png"],
            &["scan (1).png", "scan (2).png"],
            &["flair_1.png", "flair_2.png"],
            &["dwi_1.png", "dwi_2.png"],
            &["b_2.png", "b_10.png"],
            &["b50.png", "b51.png"],
            &["IM_1899.png", "IM_1900.png"],
            &["20201301.png", "20201302.png"],
            &[
                "TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif",
                "TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_2.tif",
            ],
        ] {
            assert_eq!(sorted(names).len(), 1, "{names:?}");
        }
        assert_eq!(sorted(&["s10.png", "s9.png"]), [["s9.png", "s10.png"]]);
        // More of them than any patient has yearly visits, or b-values.
        let long = |from: usize, word: &str| {
            let names: Vec<String> = (from..from + 24).map(|n| format!("{word}{n}.png")).collect();
            sorted(&names.iter().map(String::as_str).collect::<Vec<_>>()).len()
        };
        assert_eq!([long(1998, "IMG_"), long(90, "b"), long(1, "T")], [1, 1, 24]);
    }

    #[test]
    fn patients_sequences_and_masks_are_series_of_their_own() {
        for names in [
            &["a_1.png", "a_2.png", "b_1.png", "b_2.png"][..],
            &["4941_1.tif", "4941_2.tif", "4942_1.tif", "4942_2.tif"],
            &["4941_12.tif", "4942_10.tif"],
            &["flair/1.png", "flair/2.png", "t1/1.png", "t1/2.png"],
            &["1.png", "2.png", "1_mask.png", "2_mask.png"],
            &["images/1.png", "images/2.png", "masks/1.png", "masks/2.png"],
            &["flair.png", "t1.png"],
            &["1.png", "01.png"],
        ] {
            assert_eq!(sorted(names).len(), 2, "{names:?}: {:?}", sorted(names));
        }
        let patients = ["CS_1_19960101_1.tif", "CS_2_19990203_7.tif", "CS_9_19980407_5.tif"];
        assert_eq!(sorted(&patients).len(), 3);
        // Many patients have more numbers than slices have.
        let many: Vec<String> = (0..40)
            .flat_map(|p| (1..=12).map(move |n| format!("CS_{}/CS_{}_{n}.tif", 4941 + p, 4941 + p)))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let runs = sorted(&many);
        assert_eq!((runs.len(), runs[0].len()), (40, 12));
        assert!(runs.iter().all(|run| run.iter().all(|name| name[..8] == run[0][..8])));
        let echoes: Vec<String> =
            (1..=9).flat_map(|n| [1, 2].map(|e| format!("im{n}_{e}.png"))).collect();
        let echoes: Vec<&str> = echoes.iter().map(String::as_str).collect();
        assert_eq!(sorted(&echoes).len(), 18);
        let times: Vec<String> =
            (1..=9).flat_map(|n| (1..=20).map(move |t| format!("slice{n}_t{t}.png"))).collect();
        let times: Vec<&str> = times.iter().map(String::as_str).collect();
        assert_eq!((sorted(&times).len(), sorted(&times)[0].len()), (20, 9));
    }

    #[test]
    fn numbers_of_patients_visits_and_sequences_count_no_slices() {
        for names in [
            &["T1.png", "T2.png"][..],
            &["AX_T1.png", "AX_T2.png"],
            &["AXT1.png", "AXT2.png"],
            &["1_T1.png", "1_T2.png"],
            &["patient1.png", "patient2.png", "patient3.png"],
            &["patient_01/scan.png", "patient_02/scan.png"],
            &["sub-01_FLAIR.png", "sub-02_FLAIR.png"],
            &["sub-01/anat/sub-01_FLAIR.png", "sub-02/anat/sub-02_FLAIR.png"],
            &["case1/flair.png", "case2/flair.png"],
            &["41\\1.png", "42\\2.png", "43\\3.png"],
            &["case_101_slice_7.png", "case_102_slice_7.png", "case_103_slice_7.png"],
            &["101_slice_7.png", "102_slice_7.png"],
            &["101_img_7.png", "102_img_7.png"],
            &["BraTS20_Training_001.png", "BraTS20_Training_002.png"],
            &["TCGA_CS_4941_19960909_12.tif", "TCGA_CS_4942_19970222_10.tif"],
            &["series1_1.png", "series2_1.png"],
            &["visit1.png", "visit2.png"],
            &["ses-1.png", "ses-2.png"],
            &["echo1.png", "echo2.png"],
            &["TE30.png", "TE90.png"],
            &["TE30_1.png", "TE60_2.png", "TE90_3.png"],
            &["b0.png", "b1000.png"],
            &["b0.png", "b500.png", "b1000.png"],
            &["dwi_0.png", "dwi_800.png"],
            &["Smith_2019.png", "Smith_2021.png"],
            &["IMG_2019.png", "IMG_2020.png", "IMG_2021.png"],
            &["scan_20200101.png", "scan_20210505.png"],
            &["scan_20200101.png", "scan_20200102.png"],
            &["scan_202001011200.png", "scan_202001011430.png"],
            &["2019-03-01.png", "2019-03-02.png"],
            &["01.02.2020.png", "01.02.2021.png"],
            &["img1.png", "img1 (1).png"],
        ] {
            assert_eq!(sorted(names).len(), names.len(), "{names:?}: {:?}", sorted(names));
        }
        for names in [
            ["b0_1.png", "b0_2.png", "b1000_1.png", "b1000_2.png"],
            ["T1_1.png", "T1_2.png", "T2_1.png", "T2_2.png"],
            ["T1.001.png", "T1.002.png", "T2.001.png", "T2.002.png"],
            ["X_2019_1.png", "X_2019_2.png", "X_2021_1.png", "X_2021_2.png"],
            ["case1/1.png", "case1/2.png", "case2/1.png", "case2/2.png"],
            ["p/20200101/1.png", "p/20200101/2.png", "p/20210101/1.png", "p/20210101/2.png"],
        ] {
            let [one, other] = [&names[..2], &names[2..]];
            assert_eq!(sorted(&names), [one, other]);
        }
        // However many folders hold a few slices each.
        let few: Vec<String> =
            (0..40).flat_map(|p| (1..=3).map(move |n| format!("{p}/{n}.png"))).collect();
        let few: Vec<&str> = few.iter().map(String::as_str).collect();
        assert_eq!((sorted(&few).len(), sorted(&few)[0].len()), (40, 3));
    }

    #[test]
    fn a_mask_is_told_by_a_word_and_leads_to_its_twin() {
        for (mask, image) in [
            ("p/TCGA_1_mask.tif", "p/TCGA_1.tif"),
            ("masks/7.png", "images/7.png"),
            ("case-mask.nii.gz", "case.nii.gz"),
            ("case.seg.nrrd", "case.nrrd"),
            ("007_seg.png", "7.png"),
            ("brainLabel_3.png", "brain_3.png"),
        ] {
            assert!(says_mask(mask) && !says_mask(image), "{mask}");
            assert_eq!(twin(mask), twin(image), "{mask}");
        }
        assert!(!says_mask("damask_1.png") && !says_mask("masked/3.png"));
        assert_ne!(twin("p/1_mask.tif"), twin("q/1.tif"));
    }

    #[test]
    fn a_gap_in_the_count_is_seen_and_another_step_is_none() {
        assert_eq!(gap(&["a1.png", "a2.png", "a4.png", "a5.png"]), Some(("a2.png", "a4.png")));
        assert_eq!(gap(&["a2.png", "a4.png", "a6.png"]), None);
        assert_eq!(gap(&["a.png"]), None);
    }

    #[test]
    fn a_name_is_shown_without_folders_or_what_a_terminal_would_obey() {
        assert_eq!(shown("Smith_John/IM\u{1b}[31m1.dcm"), "IM[31m1.dcm");
        assert_eq!(shown("study/masks\\7.png"), "masks/7.png");
        assert_eq!(shown("../../1.png"), "1.png");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), SHOWN_CHARS_MAX);
    }
}
