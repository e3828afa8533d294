use std::collections::BTreeMap;

use serde::Serialize;

use super::{Case, SEED, grouped, rates};
use crate::evaluate::{Counts, Rate, bootstrap, mean};

/// Some of the patients, or some of the slices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// What the members have in common.
    pub by: GroupedBy,
    /// The site, or one of [`SIZES`].
    pub name: String,
    /// Patients, or slices.
    pub count: usize,
    /// Volumetric of patients, within the slice of slices; None of a group without any.
    pub dice_mean: Option<f64>,
    /// 95 %, bootstrap over patients.
    pub dice_interval: Option<[f64; 2]>,
    /// Slices without tumour in which one was found, of the group's slices without.
    pub far: Rate,
    /// Slices with tumour in which none was found, of the group's slices with.
    pub frr: Rate,
}

/// What figures are given apart by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupedBy {
    /// Patients, by where they were scanned.
    Site,
    /// Slices with a tumour, by the part of the slice that it takes.
    Size,
}

/// Where small tumours end and large ones begin, as parts of their slice.
const SMALL: f64 = 0.005;
const LARGE: f64 = 0.02;
/// The groups by size, as reports name them, from small to large.
pub const SIZES: [&str; 3] = ["under 0.5 % of the slice", "0.5 to 2 %", "over 2 %"];

/// Patients by site, where that is known.
pub fn by_site(cases: &[Case]) -> Vec<Group> {
    let mut sites = BTreeMap::<&str, Vec<&Case>>::new();
    for case in cases {
        if let Some(site) = &case.site {
            sites.entry(site).or_default().push(case);
        }
    }
    let group = |(name, cases): (&str, Vec<&Case>)| {
        let dice: Vec<f64> = cases.iter().map(|case| case.counts().dice()).collect();
        let scans = cases.iter().flat_map(|case| &case.scans);
        let (far, frr) = rates(&scans.flat_map(|scan| scan.slices.clone()).collect::<Vec<_>>());
        Group {
            by: GroupedBy::Site,
            name: name.to_owned(),
            count: dice.len(),
            dice_mean: mean(&dice),
            dice_interval: bootstrap(&grouped(&dice), SEED),
            far,
            frr,
        }
    };
    sites.into_iter().map(group).collect()
}

/// Slices with a tumour, by its size.
pub fn by_size(cases: &[Case]) -> Vec<Group> {
    let group = |(size, name): (usize, &str)| {
        // Patients stay together: slices of one are alike.
        let of_patient = |case: &Case| {
            let slices = case.scans.iter().flat_map(|scan| {
                scan.slices.iter().filter(|counts| counts.truth > 0).filter(move |counts| {
                    let part = counts.truth as f64 / scan.slice_pixels as f64;
                    size == usize::from(part >= SMALL) + usize::from(part > LARGE)
                })
            });
            slices.copied().collect::<Vec<Counts>>()
        };
        let slices: Vec<Vec<Counts>> = cases.iter().map(of_patient).collect();
        let dice: Vec<Vec<f64>> = slices
            .iter()
            .map(|slices| slices.iter().map(|counts| counts.dice()).collect())
            .collect();
        let (far, frr) = rates(&slices.concat());
        Group {
            by: GroupedBy::Size,
            name: name.to_owned(),
            count: frr.of,
            dice_mean: mean(&dice.concat()),
            dice_interval: bootstrap(&dice, SEED),
            far,
            frr,
        }
    };
    SIZES.into_iter().enumerate().map(group).filter(|group| group.count > 0).collect()
}

#[cfg(test)]
mod tests {
    use imaging::ImageKind;

    use super::*;
    use crate::evaluate::Outcome;

    /// One slice of 1,000 pixels for each size of tumour, half of which was found.
    fn case(id: &str, sizes: &[usize]) -> Case {
        let of_size =
            |truth: &usize| Counts { overlap: truth / 2, found: truth / 2, truth: *truth };
        let slices: Vec<Counts> = sizes.iter().map(of_size).collect();
        let scan = Outcome {
            marked: slices.clone(),
            slices,
            classified: ImageKind::Unknown,
            slice_pixels: 1000,
            expected: None,
            ms: 1.0,
        };
        let (id, source) = (id.to_owned(), String::new());
        Case { id, source, site: None, kind: ImageKind::Unknown, scans: vec![scan] }
    }

    #[test]
    fn a_tumour_of_half_a_per_cent_is_no_longer_small_and_one_of_two_is_not_yet_large() {
        let groups = by_size(&[case("a", &[4, 5, 0]), case("b", &[20, 21, 1000])]);
        let counts: Vec<_> =
            groups.iter().map(|group| (group.name.as_str(), group.count)).collect();
        assert_eq!(counts, [(SIZES[0], 1), (SIZES[1], 2), (SIZES[2], 2)]);
        assert!(
            groups.iter().all(|group| group.far.of == 0),
            "slices without a tumour have no size"
        );
    }

    #[test]
    fn patients_of_an_unknown_site_are_in_no_group() {
        let known = Case { site: Some("DU".into()), ..case("b", &[10, 0]) };
        let groups = by_site(&[case("a", &[10]), known]);
        let [group] = &groups[..] else { panic!("{groups:?}") };
        assert_eq!((group.name.as_str(), group.count, group.far.of, group.frr.of), ("DU", 1, 1, 1));
        // 2 * 5 / (5 + 10)
        assert_eq!(group.dice_mean, Some(10.0 / 15.0));
    }
}
