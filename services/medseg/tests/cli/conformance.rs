//! The conformance statement in the manual, and the tables of its integration guide: written from the tables by which the programs work,
//! and from objects that they have written, so that they say what this build does.

mod guide;
mod ihe;
mod objects;
mod tables;

use std::fs;
use std::path::Path;

use crate::place::Place;

/// At least one scan has a finding.
const FOUND: i32 = 10;

/// What no table holds.
const BEGINNING: &str = "\
# Conformance statement

What medseg speaks, in the order of DICOM PS3.2. This page is written from the program's own tables and from objects that it has written, and the suite
holds that it still says what they say: it is of the very version that serves it. What it means for somebody who connects a system stands in
[For integrators](integrators.md), with settings for other products in [Recipes](recipes.md). medseg is research software without medical approval.

## Overview

| service | as | by |
|---|---|---|
| Verification, Storage, Storage Commitment (Push Model) | SCP | DICOM associations, with TLS or without |
| Storage | SCU | DICOM associations, with TLS or, within networks that the installation names, without |
| STOW-RS, QIDO-RS, WADO-RS | origin server | DICOMweb (PS3.18), with a bearer token |
| STOW-RS | user agent | DICOMweb |
| Query/Retrieve (C-FIND, C-MOVE, C-GET), Modality Worklist, MPPS, print | not supported | |
| Media | files and zips of files with or without a DICOMDIR are read by upload; no media are written | |

## Implementation

Images come in by a door of `ingest`, where they wait until their series is complete, are analysed, and their results are made as objects of the same
study. `delivery` sends those to the destinations that a hospital names, each in an association or a request of its own; what fails is tried again.
";

const ENDING: &str = "\
## Extended character sets

Read are the single-byte and multi-byte character sets of PS3.3 C.12.1.1.2. Written is `ISO_IR 192`.

## Security

- TLS 1.2 and 1.3 (PS3.15 B), with certificates of both sides where the installation asks for them. AE titles give no rights: a table binds each to an
  API client of one hospital, and to addresses.
- DICOMweb needs a bearer token (RFC 6750) like every call; what one hospital stores, no other finds.
- De-identification (PS3.15 E, Basic Profile) of what leaves for learning is described in `docs/training.md` in the repository.
- Each reading of whose scan it is, is in an audit trail, which is handed out as audit messages of PS3.15 A.5, too (`GET /v1/audit.xml`), and pushed by syslog over TLS (PS3.15 A.6) where the installation names a repository (`AUDIT_SYSLOG`).
";

#[test]
fn the_conformance_statement_is_what_the_programs_do() {
    let place = Place::new();
    let objects = objects::written(&place);
    let parts = [
        BEGINNING.to_owned(),
        tables::storage_scp(),
        tables::storage_scu(&objects),
        tables::dicomweb(),
        tables::destinations(),
        tables::settings(),
        ENDING.to_owned(),
        ihe::mapping(&objects),
        objects::attributes(&objects),
    ];
    keeps("../../docs/manual/conformance.md", &parts.join("\n"));
}

#[test]
fn the_integration_guide_has_the_tables_of_this_build() {
    let file = "../../docs/manual/integrators.md";
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let document = tables::openapi();
    let parts = [
        ("of a scan", guide::of_a_scan(&document)),
        ("events", guide::events()),
        ("destinations", guide::destinations()),
        ("problems", guide::problems()),
        ("limits", guide::limits()),
        ("calls", guide::calls(&document)),
    ];
    keeps(file, &guide::filled(&page, &parts));
}

/// Compares a file of the repository with what it should say; `UPDATE_OPENAPI=1` writes it anew.
fn keeps(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == kept,
        "{file} has changed: run UPDATE_OPENAPI=1 cargo test -p medseg --test cli conformance"
    );
}
