//! Which files of an archive, or of a form, are one scan together.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::holes::holes;
use super::{Archive, Kind, dicom, gzip};
use crate::names::{says_mask, series, twin};
use crate::{Refusal, RefusalReason, SeriesFacts};

/// What makes pictures one scan. DICOM files say themselves which series they are of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grouping {
    /// Each picture is a scan of its own.
    Alone,
    /// Pictures whose names are numbered are the slices of one.
    Numbered,
}

/// Files that are sent on together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Places of [`names`](Archive::names), in their order.
    pub places: Vec<usize>,
    /// Whether they are to be a scan; else they are a report, a mask beside its image or no image at all.
    pub scan: bool,
    /// What the headers say of them, where they are a DICOM series: which series of a study is analysed hangs on it.
    pub series: Option<SeriesFacts>,
}

/// Patient, study and series.
type Key = [String; 3];
/// What a file says of its series; None of one that cannot be read.
type Says = Option<dicom::Instance>;

impl Group {
    /// What is no DICOM series.
    fn of(places: Vec<usize>, scan: bool) -> Group {
        Group { places, scan, series: None }
    }

    /// The files of one DICOM series. Studies of two patients are two, whatever their UIDs say.
    fn of_series(patient: &str, study: &str, files: Vec<(usize, Says)>) -> Group {
        // No UID has a line break in it that counts.
        let study = if study.is_empty() { String::new() } else { format!("{patient}\n{study}") };
        let (places, instances): (Vec<usize>, Vec<_>) = files.into_iter().unzip();
        let instances: Vec<dicom::Instance> = instances.into_iter().flatten().collect();
        Group { places, scan: true, series: dicom::facts(&study, &instances) }
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Shares all entries out into groups, in the order of their first files. Headers and names are looked at, no pixels.
    pub fn groups(&mut self, grouping: Grouping) -> Result<Vec<Group>, Refusal> {
        // As in `decode`: a panic in somebody else's parser is one damaged archive.
        let groups = catch_unwind(AssertUnwindSafe(|| self.shared_out(grouping)));
        groups.unwrap_or_else(|_| Err(RefusalReason::Corrupt.refuse("The archive cannot be read.")))
    }

    fn shared_out(&mut self, grouping: Grouping) -> Result<Vec<Group>, Refusal> {
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        let mut groups = Vec::new();
        let mut series_of = BTreeMap::<Key, Vec<(usize, Says)>>::new();
        let (mut pictures, mut unknown) = (Vec::new(), Vec::new());
        for place in 0..names.len() {
            // What cannot be unpacked is said by who reads it.
            let Ok(head) = self.head(place) else {
                groups.push(Group::of(vec![place], true));
                continue;
            };
            match Kind::of_head(&head) {
                Some(Kind::Raster(_)) => pictures.push(place),
                Some(Kind::Dicom) => match self.series(place, grouping)? {
                    Some((key, says)) => series_of.entry(key).or_default().push((place, says)),
                    None => groups.push(Group::of(vec![place], false)),
                },
                Some(_) => groups.push(Group::of(vec![place], true)),
                None => unknown.push(place),
            }
        }
        groups.extend(
            series_of
                .into_iter()
                .map(|([patient, study, _], files)| Group::of_series(&patient, &study, files)),
        );
        groups.extend(numbered(&names, &pictures, grouping));
        share_out_unknown(&mut groups, &names, &unknown, grouping);
        groups.sort_by_key(|group| group.places[0]);
        Ok(groups)
    }

    /// Patient, study and series of a DICOM file, and what it says of the series; None of one that is no slice. One that cannot
    /// be read belongs to no other, nor does one that says no series, unless all were sent as one scan: then its place in the
    /// patient will tell.
    fn series(&mut self, place: usize, grouping: Grouping) -> Result<Option<(Key, Says)>, Refusal> {
        let limits = self.limits();
        let bytes = self.read(place)?;
        let alone = || [String::new(), String::new(), place.to_string()];
        let read =
            gzip::unpacked(&bytes, &limits).and_then(|bytes| dicom::slice_of(&bytes, &limits));
        let read = match read {
            Ok(read) => read.map(|(key, instance)| (key, Some(instance))),
            Err(_) => Some((alone(), None)),
        };
        let unsaid = |key: &Key| key[2].is_empty() && grouping == Grouping::Alone;
        Ok(read.map(|(key, instance)| (if unsaid(&key) { alone() } else { key }, instance)))
    }
}

/// What is of no known content goes with the slices that it is one of by its name: whoever reads them misses it. Else it is
/// no scan.
fn share_out_unknown(
    groups: &mut Vec<Group>,
    names: &[String],
    unknown: &[usize],
    grouping: Grouping,
) {
    let slices = groups.iter().filter(|group| group.scan).flat_map(|group| group.places.clone());
    let places: Vec<usize> = slices.chain(unknown.iter().copied()).collect();
    let is_slice: Vec<bool> = places.iter().map(|place| !unknown.contains(place)).collect();
    let named: Vec<&str> = places.iter().map(|place| names[*place].as_str()).collect();
    let holes = match grouping {
        Grouping::Alone => Vec::new(),
        Grouping::Numbered => holes(&named, &is_slice, &vec![false; named.len()]),
    };
    for place in unknown {
        let slice =
            holes.iter().find(|hole| places[hole.place] == *place).map(|hole| places[hole.slice]);
        let of_it = |group: &&mut Group| slice.is_some_and(|slice| group.places.contains(&slice));
        match groups.iter_mut().find(of_it) {
            Some(group) => {
                group.places.push(*place);
                group.places.sort_unstable();
            }
            None => groups.push(Group::of(vec![*place], false)),
        }
    }
}

fn numbered(names: &[String], pictures: &[usize], grouping: Grouping) -> Vec<Group> {
    let named: Vec<&str> = pictures.iter().map(|place| names[*place].as_str()).collect();
    let runs = match grouping {
        Grouping::Alone => (0..named.len()).map(|index| vec![index]).collect(),
        Grouping::Numbered => series(&named),
    };
    let images: Vec<String> =
        named.iter().filter(|name| !says_mask(name)).map(|name| twin(name)).collect();
    let is_mask = |name: &str| says_mask(name) && images.contains(&twin(name));
    let group = |mut run: Vec<usize>| {
        run.sort_unstable();
        let scan = !run.iter().all(|index| is_mask(named[*index]));
        Group::of(run.into_iter().map(|index| pictures[index]).collect(), scan)
    };
    runs.into_iter().map(group).collect()
}
