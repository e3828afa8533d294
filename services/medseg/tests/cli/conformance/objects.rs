//! Objects that the program has written, and which attributes they have.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::header::Header;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::{InMemDicomObject, open_file};

use super::FOUND;
use super::tables::class_name;
use crate::place::Place;

/// One file of a result.
pub struct Object {
    pub name: String,
    pub class: String,
    /// As it lies on the disk.
    pub bytes: Vec<u8>,
    data_set: InMemDicomObject,
}

/// The objects of a scan in which something was found.
pub fn written(place: &Place) -> Vec<Object> {
    let phantom = "--slices 24 --size 96 --spacing 6,2.5,2.5 --lesion-ml 20 --seed 5";
    place.medseg(&format!("phantom --format dicom {phantom} --out head")).good();
    let ended = place.medseg("segment head --out results --model threshold: --research");
    ended.printed(FOUND);
    let names = place.names("results/head");
    let objects: Vec<_> = names.into_iter().filter(|name| name.ends_with(".dcm")).collect();
    assert!(objects.len() > 3, "only {objects:?} were written");
    objects.into_iter().map(|name| Object::read(place, name)).collect()
}

impl Object {
    fn read(place: &Place, name: String) -> Object {
        let path = place.at(&format!("results/head/{name}"));
        let file = open_file(&path).unwrap();
        let class = file.meta().media_storage_sop_class_uid().trim_end_matches('\0').to_owned();
        let (bytes, data_set) = (fs::read(&path).unwrap(), file.into_inner());
        Object { name, class, bytes, data_set }
    }

    /// Whether that text stands in it.
    pub fn holds(&self, text: &str) -> bool {
        self.bytes.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

/// Of each object a table with all of its attributes.
pub fn attributes(objects: &[Object]) -> String {
    let mut told = String::from(
        "## Attributes of the objects\n\n\
         As written of a scan in which something was found; `>` stands before what is within a sequence. Not unfolded is the content of structured reports, \
         which follows its templates. \"some\": not in each item, or not of each scan.\n",
    );
    for object in objects {
        let name = class_name(&object.class);
        write!(told, "\n### {} ({name})\n\n", object.name).unwrap();
        told.push_str("| attribute | tag | VR | in |\n|---|---|---|---|\n");
        rows(&[&object.data_set], 0, &mut told);
    }
    told
}

/// What is in one place of several data sets.
struct Held {
    vr: VR,
    times: usize,
}

fn rows<'o>(data_sets: &[&'o InMemDicomObject], depth: usize, told: &mut String) {
    let mut found = BTreeMap::<Tag, (Held, Vec<&'o InMemDicomObject>)>::new();
    for data_set in data_sets {
        for element in data_set.iter() {
            let fresh = || (Held { vr: element.vr(), times: 0 }, Vec::new());
            let (held, items) = found.entry(element.tag()).or_insert_with(fresh);
            held.times += 1;
            items.extend(element.items().into_iter().flatten());
        }
    }
    for (tag, (held, items)) in found {
        let known = StandardDataDictionary.by_tag(tag).map(|entry| entry.alias().to_owned());
        let (name, within) = (known.unwrap_or_default(), "> ".repeat(depth));
        let each = if held.times == data_sets.len() { "each" } else { "some" };
        writeln!(told, "| {within}{name} | {tag} | {} | {each} |", held.vr).unwrap();
        if tag != tags::CONTENT_SEQUENCE && !items.is_empty() {
            rows(&items, depth + 1, told);
        }
    }
}
