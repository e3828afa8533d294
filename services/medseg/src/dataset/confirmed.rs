//! `medseg dataset export --from URL`: the scans that readers have confirmed become a data set.

mod downloads;
mod place;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::bail;
use domain::feedback::{JudgedFinding, Truth};
use imaging::ImageKind;
use model::dataset::{self, Imported, LeftOut, Shares};
use reqwest::Url;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use place::Place;
use source::{Listed, Source};

/// Where confirmed scans come from, and how they are split.
#[derive(clap::Args)]
pub struct Confirmed {
    /// Take the scans that readers have confirmed from the medseg at this address, in place of a manifest. An export that was broken
    /// off goes on where it was, and one that is made again takes what has changed, in and out.
    #[arg(long, value_name = "URL", conflicts_with_all = ["manifest", "part"])]
    pub from: Option<Url>,

    /// With --from: also the images of those scans that came as DICOM, without whose they are (PS3.15, Basic Profile), in `dicom/`, each
    /// scan's in a zip with a report of what was taken away. The hospital's medseg takes it away: nothing else leaves it.
    #[arg(long, requires = "from")]
    dicom: bool,

    /// The user who signs in there: a scientist or an admin, whose password MEDSEG_PASSWORD holds.
    #[arg(long, env = "MEDSEG_USER", default_value = "admin")]
    user: String,

    /// That user's password: by the environment, where other users of the machine do not see it.
    #[arg(long, env = "MEDSEG_PASSWORD", hide_env_values = true, hide = true)]
    password: Option<SecretString>,

    /// With --from: the part of the patients that models are chosen on. Who is in a part stays there in later exports.
    #[arg(long, default_value_t = 0.17)]
    validation: f64,

    /// With --from: the part of the patients that finished models are measured on.
    #[arg(long, default_value_t = 0.1)]
    test: f64,

    /// With --from: decides who is where.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// A scan that readers have confirmed.
#[derive(Clone, Deserialize)]
pub struct Scan {
    scan_id: String,
    id: String,
    patient: String,
    patient_known: bool,
    kind: ImageKind,
    truth: Truth,
    mask_sha256: String,
    volume_sha256: String,
    /// A server of the version before does not say.
    #[serde(default)]
    findings: Vec<JudgedFinding>,
}

/// What came of an export, beside its manifest.
#[derive(Serialize)]
pub struct Report {
    data_version: String,
    scans: usize,
    patients: usize,
    slices: usize,
    /// In how many scans nothing is marked: heads that a model learns to leave alone.
    without_tumour: usize,
    /// Of how many scans nobody knows whose they are: another of the same patient may be in another part.
    of_unknown_patients: usize,
    /// What readers make of single findings of results, by the scan's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    findings: BTreeMap<String, Vec<JudgedFinding>>,
    left_out: Vec<Omission>,
    /// How many, by why: up to the colon, behind which is what holds of one scan.
    left_out_by_why: BTreeMap<String, usize>,
    /// What was taken without, such as empty slices at the ends of volumes.
    passed_over: Vec<Omission>,
    /// Scans without DICOM images, where these were asked for, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_dicom: Vec<Omission>,
}

#[derive(Serialize)]
pub struct Omission {
    id: String,
    why: String,
}

impl Confirmed {
    /// Makes the data set in `out`, and prints what came of it.
    pub fn run(self, url: Url, out: &Path) -> anyhow::Result<()> {
        let shares = Shares { validation: self.validation, test: self.test };
        let with_dicom = self.dicom;
        let api = Api::of(url, self.user, self.password);
        let place = Place::of(out)?;
        let (listed, without_dicom) = tokio::runtime::Runtime::new()?.block_on(async {
            let mut source = Source::of(api).await?;
            let Some(listed) = source.listed().await? else {
                place.empty()?;
                bail!(
                    "the hospital does not let its scans be learned from (`PUT /v1/consent`); what {} had of it is gone",
                    out.display()
                );
            };
            let listed = source.fetched(listed, &place.downloads).await?;
            let wanted: &[Scan] = if with_dicom { &listed.scans } else { &[] };
            let without = source.dicom(wanted, &place.downloads).await?;
            anyhow::Ok((listed, without))
        })?;
        let taken = place.made(&listed.scans, shares, self.seed)?;
        if with_dicom {
            let left_out: BTreeSet<&str> =
                taken.left_out.iter().map(|it| it.name.as_str()).collect();
            let is_there = |scan: &&Scan| !left_out.contains(scan.id.as_str());
            place.add_dicom(listed.scans.iter().filter(is_there))?;
        }
        let report = Report { without_dicom, ..Report::of(listed, taken)? };
        place.finish(&report)?;
        report.print(out);
        Ok(())
    }
}

impl Scan {
    /// Whether the other has the same image and the same truth.
    fn is_as(&self, other: &Scan) -> bool {
        (&self.volume_sha256, &self.mask_sha256, self.truth)
            == (&other.volume_sha256, &other.mask_sha256, other.truth)
    }
}

impl From<LeftOut> for Omission {
    fn from(LeftOut { name, why }: LeftOut) -> Omission {
        Omission { id: name, why }
    }
}

impl Report {
    fn of(listed: Listed, taken: Imported) -> anyhow::Result<Report> {
        let Listed { scans, mut left_out } = listed;
        left_out.extend(taken.left_out);
        let gone: BTreeSet<&str> = left_out.iter().map(|it| it.name.as_str()).collect();
        let there: Vec<&Scan> =
            scans.iter().filter(|scan| !gone.contains(scan.id.as_str())).collect();
        let patients: BTreeSet<&str> = there.iter().map(|scan| scan.patient.as_str()).collect();
        let unknown = there.iter().filter(|scan| !scan.patient_known).count();
        let negative = there.iter().filter(|scan| scan.truth == Truth::NoTumour).count();
        Ok(Report {
            data_version: dataset::version_of(&[taken.manifest])?,
            scans: there.len(),
            patients: patients.len(),
            slices: taken.slices,
            without_tumour: negative,
            of_unknown_patients: unknown,
            findings: judged(&there),
            left_out_by_why: by_why(&left_out),
            left_out: left_out.into_iter().map(Omission::from).collect(),
            passed_over: taken.passed_over.into_iter().map(Omission::from).collect(),
            without_dicom: Vec::new(),
        })
    }

    fn print(&self, out: &Path) {
        self.left_out.iter().for_each(|Omission { id, why }| println!("left out: {id}: {why}"));
        let without = &self.without_dicom;
        without.iter().for_each(|Omission { id, why }| println!("no DICOM images: {id}: {why}"));
        self.left_out_by_why.iter().for_each(|(why, count)| println!("left out, {why}: {count}"));
        if self.of_unknown_patients > 0 {
            let count = self.of_unknown_patients;
            println!(
                "scans of which nobody knows whose they are, each in a part of its own: {count}"
            );
        }
        let Report { scans, patients, slices, without_tumour, data_version, .. } = self;
        let manifest = out.join("manifest.csv");
        println!(
            "{}: patients: {patients}, scans: {scans}, without a tumour: {without_tumour}, slices: {slices}",
            manifest.display()
        );
        println!("data version {data_version}");
    }
}

fn judged(scans: &[&Scan]) -> BTreeMap<String, Vec<JudgedFinding>> {
    let judged = scans.iter().filter(|scan| !scan.findings.is_empty());
    judged.map(|scan| (scan.id.clone(), scan.findings.clone())).collect()
}

fn by_why(left_out: &[LeftOut]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for LeftOut { why, .. } in left_out {
        let why = why.split(':').next().unwrap_or_default();
        *counts.entry(why.to_owned()).or_default() += 1;
    }
    counts
}

/// As the server makes them.
fn is_name(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_counted_by_why() {
        let whys =
            ["not_analysed", "conflict", "truncated: it ends early", "truncated: so does it"];
        let left_out = whys.map(|why| LeftOut { name: "a scan".to_owned(), why: why.to_owned() });
        let counts = by_why(&left_out);
        let counts: Vec<_> = counts.iter().map(|(why, count)| (&**why, *count)).collect();
        assert_eq!(counts, [("conflict", 1), ("not_analysed", 1), ("truncated", 2)]);
    }

    #[test]
    fn what_a_server_calls_a_scan_stays_within_the_folder() {
        assert!(is_name(&"0af9".repeat(8)));
        for strange in ["", "../../etc/passwd", &"0AF9".repeat(8), &"a".repeat(33)] {
            assert!(!is_name(strange), "{strange}");
        }
    }
}
