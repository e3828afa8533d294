//! Series of DICOM files with a mask: a NIfTI volume for all of it, or a picture for each of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::mem;

use domain::Result;
use imaging::encode::zip;
use imaging::names::{says_mask, twin};
use imaging::{Archive, Decoded, Geometry, Grouping, ImageKind, Limits, Volume};

use super::Importing;
use super::files::{Files, folder};
use super::slice::nifti_of;
use super::volume::{Fitting, decoded, truth};

/// The files of one series in one folder.
struct Series {
    place: String,
    folder: String,
    names: Vec<String>,
}

/// A slice with its mask, and how far along its normal it lies.
struct Slice {
    position_mm: f64,
    image: Volume,
    truth: Vec<u8>,
}

/// Takes the series that have masks, and these masks with them.
pub fn take(importing: &mut Importing, files: &mut Files) -> Result<()> {
    let mut folders = BTreeMap::<String, Vec<String>>::new();
    for name in mem::take(&mut files.dicom) {
        folders.entry(folder(&name).to_owned()).or_default().push(name);
    }
    let mut series = Vec::new();
    for (folder, names) in &folders {
        series.extend(series_of(importing, files, folder, names)?);
    }
    let places: Vec<String> = series.iter().map(|one| one.place.clone()).collect();
    let known: BTreeSet<&str> = folders.keys().map(String::as_str).collect();
    let mut used = BTreeSet::new();
    for one in &series {
        one.take(importing, files, &places, &known, &mut used)?;
    }
    files.nifti.retain(|name| !used.contains(name));
    files.pictures.retain(|name| !used.contains(name));
    Ok(())
}

/// The series of a folder, told apart by their headers.
fn series_of(
    importing: &mut Importing,
    files: &Files,
    folder: &str,
    names: &[String],
) -> Result<Vec<Series>> {
    let packed = packed(files, names)?;
    let groups = Archive::open(Cursor::new(packed), Limits::default()).and_then(|mut archive| {
        let there: Vec<String> = archive.names().map(str::to_owned).collect();
        Ok((there, archive.groups(Grouping::Numbered)?))
    });
    let (there, groups) = match groups {
        Ok(groups) => groups,
        Err(refusal) => {
            importing.leave_out(if folder.is_empty() { "." } else { folder }, refusal.to_string());
            return Ok(Vec::new());
        }
    };
    let full = |name: &String| names.iter().find(|full| file_name(full) == name).cloned();
    let scans: Vec<_> = groups.into_iter().filter(|group| group.scan).collect();
    let mut kept = BTreeSet::new();
    let several = scans.len() > 1;
    let series = (1..).zip(scans).map(|(number, group)| {
        let names: Vec<String> =
            group.places.iter().filter_map(|place| full(&there[*place])).collect();
        kept.extend(names.clone());
        let place = if several { format!("{folder}/series{number}") } else { folder.to_owned() };
        Series { place, folder: folder.to_owned(), names }
    });
    let series: Vec<Series> = series.collect();
    for name in names.iter().filter(|name| !kept.contains(*name)) {
        importing.pass_over(name, "no slice of a series");
    }
    Ok(series)
}

/// Those files in one archive, as an upload would come.
fn packed(files: &Files, names: &[String]) -> Result<Vec<u8>> {
    let all: Result<Vec<(String, Vec<u8>)>> =
        names.iter().map(|name| Ok((file_name(name).to_owned(), files.read(name)?))).collect();
    zip(&all?)
}

fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

impl Series {
    fn take(
        &self,
        importing: &mut Importing,
        files: &Files,
        places: &[String],
        folders: &BTreeSet<&str>,
        used: &mut BTreeSet<String>,
    ) -> Result<()> {
        let Some(Decoded { volume, identity, .. }) = self.decoded(importing, files)? else {
            return Ok(());
        };
        let drawn = self.pictures(files);
        let taken = match drawn.is_empty() {
            true => self.by_volume(files, folders, used, &volume),
            false => self.by_slices(files, &drawn)?,
        };
        used.extend(drawn.into_values());
        let slices = match taken {
            Ok(slices) => slices,
            Err(why) => {
                importing.leave_out(self.shown(), why);
                return Ok(());
            }
        };
        // Compared, and written nowhere.
        let who = identity.and_then(|identity| {
            Some(format!("{:?}{}", identity.issuer_of_patient_id, identity.patient_id?))
        });
        let Some(patient) = importing.patient(&self.place, places, volume.kind, who) else {
            return Ok(());
        };
        match slices {
            Taken::Volume(truth) => importing.add_volume(self.shown(), &patient, &volume, &truth),
            Taken::Slices(slices) => (1..).zip(&slices).try_for_each(|(number, slice)| {
                let image = nifti_of(&slice.image, 0, &slice.image.voxels)?;
                let mask = nifti_of(&slice.image, 0, &slice.truth)?;
                importing.made.add(&patient, number, &image, &mask)
            }),
        }
    }

    /// What a report calls it.
    fn shown(&self) -> &str {
        if self.place.is_empty() { "." } else { &self.place }
    }

    /// All of its files as one scan; None where they are none, or of another sequence than was asked for, which is told.
    fn decoded(&self, importing: &mut Importing, files: &Files) -> Result<Option<Decoded>> {
        let scan = match decoded(&packed(files, &self.names)?) {
            Ok(scan) => scan,
            Err(why) => {
                importing.leave_out(self.shown(), why);
                return Ok(None);
            }
        };
        let kind = scan.volume.kind;
        let is_other = match importing.import.sequence {
            Some(asked) => kind != asked && kind != ImageKind::Unknown,
            None => kind == ImageKind::Other,
        };
        if is_other {
            importing.pass_over(self.shown(), "another sequence, as its header says");
            return Ok(None);
        }
        Ok(Some(scan))
    }

    /// The mask of each file that has a picture of one.
    fn pictures(&self, files: &Files) -> BTreeMap<String, String> {
        let masks = files.pictures.iter().filter(|name| says_mask(name));
        let masks: BTreeMap<String, &String> = masks.map(|name| (twin(name), name)).collect();
        let pair = |name: &String| Some((name.clone(), (*masks.get(&twin(name))?).clone()));
        self.names.iter().filter_map(pair).collect()
    }

    /// The one NIfTI volume that is the mask of the whole series.
    fn by_volume(
        &self,
        files: &Files,
        folders: &BTreeSet<&str>,
        used: &mut BTreeSet<String>,
        volume: &Volume,
    ) -> Fitting<Taken> {
        let masks = self.masks(files, folders);
        let mask = match masks.as_slice() {
            [] => return Err("no mask beside it".to_owned()),
            [mask] => *mask,
            several => {
                let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                return Err(format!("several masks beside it: {}", names.join(", ")));
            }
        };
        if !used.insert(mask.clone()) {
            return Err(format!(
                "another series has the mask {mask}: say with --sequence which is meant"
            ));
        }
        let bytes = files.read(mask).map_err(|error| error.to_string())?;
        Ok(Taken::Volume(truth(volume, decoded(&bytes)?.volume)?))
    }

    /// The masks in the series' folder or in one below it; else those that are called like it; else those beside it, where
    /// no other series is.
    fn masks<'f>(&self, files: &'f Files, folders: &BTreeSet<&str>) -> Vec<&'f String> {
        let own = self.folder.as_str();
        let within = |mask: &str| {
            let at = folder(mask);
            at == own || (folder(at) == own && !folders.contains(at))
        };
        let called_alike = |mask: &str| !own.is_empty() && twin(mask) == twin(own);
        let siblings = folders.iter().filter(|other| folder(other) == folder(own)).count();
        let beside = |mask: &str| !own.is_empty() && siblings == 1 && folder(mask) == folder(own);
        let those = |fits: &dyn Fn(&str) -> bool| {
            let masks = files.nifti.iter().filter(|name| says_mask(name));
            masks.filter(|name| fits(name)).collect::<Vec<_>>()
        };
        let ways: [&dyn Fn(&str) -> bool; 3] = [&within, &called_alike, &beside];
        ways.into_iter().map(those).find(|masks| !masks.is_empty()).unwrap_or_default()
    }

    /// Each file with its own mask, in the order in which the slices lie.
    fn by_slices(&self, files: &Files, drawn: &BTreeMap<String, String>) -> Result<Fitting<Taken>> {
        let (all, without) = (self.names.len(), self.names.len() - drawn.len());
        if without > 0 {
            return Ok(Err(format!("{without} of its {all} slices have no mask: draw empty ones")));
        }
        let mut slices = Vec::new();
        for (name, mask) in drawn {
            let [bytes, mask_bytes] = [files.read(name)?, files.read(mask)?];
            match slice(&bytes, &mask_bytes) {
                Ok(slice) => slices.push(slice),
                Err(why) => return Ok(Err(format!("{name}: {why}"))),
            }
        }
        slices.sort_by(|a, b| a.position_mm.total_cmp(&b.position_mm));
        let together = slices.windows(2).any(|pair| pair[0].position_mm == pair[1].position_mm);
        Ok(match together {
            true => Err("two of its slices lie in one place".to_owned()),
            false => Ok(Taken::Slices(slices)),
        })
    }
}

/// What is known of a series' tumour.
enum Taken {
    /// Of all voxels.
    Volume(Vec<u8>),
    /// Slice by slice.
    Slices(Vec<Slice>),
}

fn slice(bytes: &[u8], mask: &[u8]) -> Fitting<Slice> {
    let (image, mask) = (decoded(bytes)?.volume, decoded(mask)?.volume);
    if image.shape.slices != 1 {
        return Err("it holds several slices: its mask is to be a volume".to_owned());
    }
    let geometry = image.geometry.as_ref().and_then(Geometry::in_patient);
    let place = geometry.ok_or("its header does not say where it lies")?;
    let position_mm = along_normal(place);
    let truth = truth(&image, mask)?;
    Ok(Slice { position_mm, image, truth })
}

/// How far a slice lies along its own normal, to the head in axial slices, as volumes run.
fn along_normal(geometry: &Geometry) -> f64 {
    let [_, [a, b, c], [d, e, f]] = geometry.steps();
    let normal = [e * c - f * b, f * a - d * c, d * b - e * a];
    let length = normal.iter().map(|part| part * part).sum::<f64>().sqrt();
    let along: f64 = normal.iter().zip(geometry.origin).map(|(part, at)| part * at).sum();
    along / length
}
