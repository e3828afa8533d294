use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use model::dataset::LeftOut;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::downloads::Downloads;
use super::{Omission, Scan, is_name};
use crate::api::{Api, Session, understood};

/// Access tokens last a few minutes only, and an export as long as it takes.
const SIGN_IN_EVERY: Duration = Duration::from_secs(120);
/// How the server says that it hands nothing out.
const NO_CONSENT: &str = "/problems/no-consent";

/// A page of `/v1/dataset`: what is read here.
#[derive(Deserialize)]
struct Page {
    scans: Vec<Scan>,
    left_out: Vec<Unconfirmed>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Unconfirmed {
    id: String,
    why: String,
}

/// All that the server lists.
#[derive(Default)]
pub struct Listed {
    pub scans: Vec<Scan>,
    pub left_out: Vec<LeftOut>,
}

/// A medseg that hands confirmed scans out, and who asks.
pub struct Source {
    api: Api,
    session: Session,
    since: Instant,
}

impl Source {
    pub async fn of(api: Api) -> anyhow::Result<Source> {
        let session = api.sign_in().await?;
        Ok(Source { api, session, since: Instant::now() })
    }

    async fn session(&mut self) -> anyhow::Result<&Session> {
        if self.since.elapsed() > SIGN_IN_EVERY {
            self.session = self.api.sign_in().await?;
            self.since = Instant::now();
        }
        Ok(&self.session)
    }

    /// Page by page; None where the hospital has not consented.
    pub async fn listed(&mut self) -> anyhow::Result<Option<Listed>> {
        let (mut listed, mut cursor) = (Listed::default(), String::new());
        loop {
            let Some(page) = self.page(&cursor).await? else { return Ok(None) };
            for scan in &page.scans {
                // They become names of files.
                ensure!(
                    is_name(&scan.id) && is_name(&scan.patient),
                    "the server names a scan as no medseg does"
                );
            }
            listed.scans.extend(page.scans);
            let left_out = page.left_out.into_iter();
            listed
                .left_out
                .extend(left_out.map(|Unconfirmed { id, why }| LeftOut { name: id, why }));
            match page.next_cursor {
                Some(next) if next != cursor => cursor = next,
                _ => return Ok(Some(listed)),
            }
        }
    }

    async fn page(&mut self, cursor: &str) -> anyhow::Result<Option<Page>> {
        let session = self.session().await?;
        let request = session.request(Method::GET, &["dataset"])?.query(&[("cursor", cursor)]);
        let answer = session.answer(request).await?;
        if answer.status() == StatusCode::FORBIDDEN {
            let problem: Value = answer.json().await.unwrap_or_default();
            if problem["type"] == NO_CONSENT {
                return Ok(None);
            }
            bail!("{}", problem["detail"].as_str().unwrap_or("the user may not do this"));
        }
        let page = understood(answer).await?.json().await;
        page.map(Some).context("the answer is no page of confirmed scans")
    }

    /// Brings what is not there yet, and takes away what is listed no more.
    pub async fn fetched(
        &mut self,
        listed: Listed,
        downloads: &Downloads,
    ) -> anyhow::Result<Listed> {
        let Listed { scans, mut left_out } = listed;
        let wanted: BTreeSet<&str> = scans.iter().map(|scan| scan.id.as_str()).collect();
        downloads.keep_only(&wanted)?;
        let (mut there, mut fetched) = (Vec::new(), BTreeSet::new());
        for scan in scans {
            if downloads.has(&scan)? {
                there.push(scan);
            } else if downloads.fetch(self.session().await?, &scan).await? {
                fetched.insert(scan.id.clone());
                there.push(scan);
            } else {
                let why = "it was confirmed no more when it was asked for".to_owned();
                left_out.push(LeftOut { name: scan.id, why });
            }
        }
        let listed = Listed { scans: there, left_out };
        if fetched.is_empty() {
            return Ok(listed);
        }
        self.unchanged(listed, &fetched, downloads).await
    }

    /// Brings the DICOM images of those scans that came so; why the others have none.
    pub async fn dicom(
        &mut self,
        scans: &[Scan],
        downloads: &Downloads,
    ) -> anyhow::Result<Vec<Omission>> {
        let mut without = Vec::new();
        for scan in scans {
            let why = downloads.fetch_dicom(self.session().await?, scan).await?;
            without.extend(why.map(|why| Omission { id: scan.id.clone(), why }));
        }
        Ok(without)
    }

    /// Leaves out what was fetched and is listed otherwise by now: of two masks nobody knows which one came.
    async fn unchanged(
        &mut self,
        before: Listed,
        fetched: &BTreeSet<String>,
        downloads: &Downloads,
    ) -> anyhow::Result<Listed> {
        let Some(now) = self.listed().await? else {
            bail!("the hospital lets its scans be learned from no more: make the export again");
        };
        let now: BTreeMap<&str, &Scan> =
            now.scans.iter().map(|scan| (scan.id.as_str(), scan)).collect();
        let Listed { scans, mut left_out } = before;
        let mut there = Vec::new();
        for scan in scans {
            let is_same = now.get(scan.id.as_str()).is_some_and(|now| now.is_as(&scan));
            if is_same || !fetched.contains(&scan.id) {
                there.push(scan);
            } else {
                downloads.forget(&scan)?;
                let why = "its readers said otherwise while it was fetched".to_owned();
                left_out.push(LeftOut { name: scan.id, why });
            }
        }
        Ok(Listed { scans: there, left_out })
    }
}
