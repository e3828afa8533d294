//! What an archive holds besides the slices that are analysed.

use std::collections::BTreeMap;

use crate::names::shown;
use crate::{Refusal, RefusalReason};

/// Left out of a scan, and said so.
#[derive(Default)]
pub(super) struct LeftOut {
    label_maps: Vec<String>,
    /// With what they are instead.
    others: Vec<(String, &'static str)>,
    copies: usize,
}

impl LeftOut {
    /// Counts the file `name` as a label map: no slice of the scan.
    pub fn label_map(&mut self, name: &str) {
        self.label_maps.push(name.to_owned());
    }

    /// Counts the file `name` as `what`, a noun in the words of remarks.
    pub fn other(&mut self, name: &str, what: &'static str) {
        self.others.push((name.to_owned(), what));
    }

    /// Counts one more slice that is there a second time.
    pub fn copy(&mut self) {
        self.copies += 1;
    }

    /// In words, for the reader of the result: how many and of what kind, and not what the files are called, as names of
    /// files are often names of patients.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.label_maps.is_empty() {
            let count = counted(self.label_maps.len(), "label map", "label maps");
            remarks.push(format!("{count} left out"));
        }
        if self.copies > 0 {
            let count = counted(self.copies, "copy of a slice", "copies of slices");
            remarks.push(format!("{count} left out"));
        }
        if !self.others.is_empty() {
            let (one, many) = ("file that is no slice", "files that are no slices");
            let count = counted(self.others.len(), one, many);
            remarks.push(format!("{count} left out: {}", self.kinds_of_others()));
        }
        remarks
    }

    /// The refusal of an archive that holds nothing else.
    pub fn nothing_else(&self) -> Refusal {
        if let [first, ..] = &*self.label_maps {
            return only_labels(&format!("{} holds", shown(first)));
        }
        let [(_, what), ..] = &*self.others else {
            return RefusalReason::NotAnImage.refuse("The archive holds no image.");
        };
        let detail = format!(
            "The archive holds no image that is read here, but {}.",
            self.others_in_words()
        );
        match *what {
            ARCHIVE => RefusalReason::Unsupported.refuse("The archive contains another archive."),
            _ => RefusalReason::NotAnImage.refuse(detail),
        }
    }

    fn kinds_of_others(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (_, what) in &self.others {
            *counts.entry(*what).or_default() += 1;
        }
        let kind = |(what, count): (&str, usize)| match count {
            1 => what.to_owned(),
            many => format!("{what} ({many})"),
        };
        counts.into_iter().map(kind).collect::<Vec<_>>().join(", ")
    }

    fn others_in_words(&self) -> String {
        let named: Vec<String> =
            self.others.iter().map(|(name, what)| format!("{} ({what})", shown(name))).collect();
        listed_as_they_are(&named)
    }
}

/// What an archive in an archive is called.
pub(super) const ARCHIVE: &str = "another archive";

/// The refusal of label maps that came alone. `what` is who holds them: `x_mask.png holds`.
pub(crate) fn only_labels(what: &str) -> Refusal {
    RefusalReason::NotAHead.refuse(format!(
        "{what} a label map (a mask): a few values in even patches. A label map is never a scan."
    ))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one} was") } else { format!("{count} {many} were") }
}

fn listed_as_they_are(named: &[String]) -> String {
    const FEW: usize = 4;
    let list = named.iter().take(FEW).cloned().collect::<Vec<_>>().join(", ");
    match named.len().saturating_sub(FEW) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}
