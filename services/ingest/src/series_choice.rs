//! Which series of an upload are analysed without being asked for, and what is told of each of them.

use std::collections::{BTreeMap, BTreeSet};

use domain::Result;
use imaging::SeriesFacts;
use imaging::picker::{
    Fit, KindModel, Pick, Preference, Registered, Rule, is_open, is_told_by_content, pick,
};
use jail::answer::Group;
use proto::ingest::UploadHeader;
use proto::storage::{SeriesFit, SeriesRulesRef};
use service::claims::{authorised, vouched};

use crate::kinds::Looked;
use crate::spool::Spooled;
use crate::upload::Uploads;

/// What an upload says where each of its series is to be analysed.
pub const ALL: &str = "all";
/// The same where somebody sends whole studies, series by series: of one alone it is not known whether others fit better, so
/// that only what never fits is kept without being analysed.
pub const MARKED: &str = "marked";

/// What becomes of one group of an upload's files.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// None: it was compared with no other.
    fit: Option<Pick>,
    /// The model that has told its kind, where that is what told it.
    kind_model: Option<KindModel>,
}

impl Choice {
    /// Why it is kept without being analysed; empty: it is analysed.
    pub fn not_picked(&self) -> String {
        let Some(Pick { fit, picked: false }) = &self.fit else { return String::new() };
        let why = fit.why_not().unwrap_or_else(|| "other series fit better".into());
        format!(
            "this series was kept and not analysed, because {why} (it fits to {:.0} %). Ask for its analysis where it is wanted",
            100.0 * fit.score
        )
    }

    /// What is told of it; None where there is nothing to compare it with.
    pub fn message(&self) -> Option<SeriesFit> {
        let Pick { fit, picked } = self.fit.as_ref()?;
        let KindModel { name: kind_model_name, version: kind_model_version } =
            self.kind_model.clone().unwrap_or_default();
        Some(SeriesFit {
            score_permille: (1000.0 * fit.score).round() as u32,
            picked: *picked,
            reasons: fit.reasons.iter().map(|reason| reason.name().to_owned()).collect(),
            kind_model_name,
            kind_model_version,
        })
    }
}

impl Uploads {
    /// What becomes of each of the groups, in their order. Where an archive holds several series of a study, and nothing but words
    /// tells the kind of one, a model looks at it.
    pub async fn choices(
        &self,
        archive: Option<&Spooled>,
        groups: &[Group],
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Vec<Choice>> {
        let mut choices = vec![Choice::default(); groups.len()];
        let facts: Vec<(usize, SeriesFacts)> = to_compare(groups, upload);
        if facts.is_empty() {
            return Ok(choices);
        }
        let rules = self.rules(token).await?;
        let registered = Registered { kinds: KINDS.to_vec(), modalities: self.modalities.clone() };
        let (places, mut series): (Vec<usize>, Vec<SeriesFacts>) = facts.into_iter().unzip();
        let (mut unasked, mut looked) = (BTreeSet::new(), Looked::default());
        if let Some(archive) = archive.filter(|_| is_choosing(&upload.series)) {
            let open = (0..series.len()).filter(|at| is_open(&series[*at], &registered, &rules));
            let open: Vec<_> = open.map(|at| (at, &groups[places[at]])).collect();
            looked = self.look_at(archive, &open, &mut series, token).await;
            unasked.extend(open.iter().map(|(at, _)| *at).filter(|at| !looked.asked.contains(at)));
        }
        for (at, mut found) in pick(&series, &registered, &rules).into_iter().enumerate() {
            if unasked.contains(&at) {
                found.fit.reasons.push(looked.why_not());
            }
            let kind_model = looked.by.remove(&at).filter(|_| is_told_by_content(&series[at]));
            let fit = Some(asked_for(found, &upload.series));
            choices[places[at]] = Choice { fit, kind_model };
        }
        Ok(choices)
    }

    /// The hospital's rules; one that cannot be read is of a later version, and no rule here.
    async fn rules(&self, token: &str) -> Result<Vec<Rule>> {
        let request = vouched(authorised(SeriesRulesRef {}, token), &self.own.get().await?);
        let rules = self.series_rules.clone().list(request).await?.into_inner().rules;
        let rule = |rule: proto::storage::SeriesRule| {
            let preference: Preference = rule.preference.parse().ok()?;
            Some(Rule { site: rule.site, contains: rule.contains, preference })
        };
        Ok(rules.into_iter().filter_map(rule).collect())
    }
}

/// The kinds of image that models can be registered for.
const KINDS: [imaging::ImageKind; 2] = [imaging::ImageKind::Flair, imaging::ImageKind::T1Contrast];

/// The series that are compared, with their places: those of a study of which several came, and each where whole studies come
/// series by series.
fn to_compare(groups: &[Group], upload: &UploadHeader) -> Vec<(usize, SeriesFacts)> {
    let mut of_study = BTreeMap::<&str, usize>::new();
    for facts in groups.iter().filter_map(|group| group.series.as_ref()) {
        *of_study.entry(&facts.study).or_default() += 1;
    }
    let several = |facts: &SeriesFacts| !facts.study.is_empty() && of_study[&*facts.study] > 1;
    let site = |facts: &SeriesFacts| match &*upload.site {
        "" => facts.site.clone(),
        stated => stated.to_owned(),
    };
    let facts =
        groups.iter().enumerate().filter_map(|(at, group)| Some((at, group.series.as_ref()?)));
    facts
        .filter(|(_, facts)| upload.series == MARKED || several(facts))
        .map(|(at, facts)| (at, SeriesFacts { site: site(facts), ..facts.clone() }))
        .collect()
}

/// Whether an archive's scans are several series of one study, and nothing else.
pub fn is_one_study(groups: &[Group]) -> bool {
    let scans: Vec<&Group> = groups.iter().filter(|group| group.scan).collect();
    let study = |group: &&Group| group.series.as_ref().map(|facts| facts.study.clone());
    let studies: BTreeSet<Option<String>> = scans.iter().map(study).collect();
    let named =
        studies.first().is_some_and(|study| study.as_ref().is_some_and(|it| !it.is_empty()));
    scans.len() > 1 && studies.len() == 1 && named
}

/// Whether how well series fit decides on any of them, by what their sender asks for.
fn is_choosing(series: &str) -> bool {
    ![ALL, MARKED].contains(&series)
}

/// What becomes of a series by what its sender asks for.
fn asked_for(found: Pick, series: &str) -> Pick {
    let Pick { fit, picked } = found;
    let never = |fit: &Fit| fit.score <= 0.0;
    let picked = match series {
        ALL => true,
        MARKED => !never(&fit),
        _ => picked,
    };
    Pick { fit, picked }
}

#[cfg(test)]
mod tests {
    use imaging::picker::{Mark, Reason};

    use super::*;

    fn group(study: &str, marks: &[Mark]) -> Group {
        let series = SeriesFacts {
            study: study.into(),
            modality: "MR".into(),
            site: "file".into(),
            marks: marks.iter().copied().collect(),
            ..SeriesFacts::default()
        };
        Group { name: String::new(), places: vec![0], scan: true, series: Some(series) }
    }

    fn asking(series: &str) -> UploadHeader {
        UploadHeader { series: series.into(), ..UploadHeader::default() }
    }

    #[test]
    fn series_are_compared_where_a_study_has_several() {
        let picture = Group { name: String::new(), places: vec![0], scan: true, series: None };
        let groups = [
            group("1", &[]),
            picture,
            group("2", &[]),
            group("1", &[]),
            group("", &[]),
            group("", &[]),
        ];
        let places = |upload: &UploadHeader| -> Vec<usize> {
            to_compare(&groups, upload).into_iter().map(|(at, _)| at).collect()
        };
        assert_eq!(places(&asking("")), [0, 3]);
        assert_eq!(places(&asking(MARKED)), [0, 2, 3, 4, 5]);
        let site = |site: &str| {
            let upload = UploadHeader { site: site.into(), ..UploadHeader::default() };
            to_compare(&groups, &upload)[0].1.site.clone()
        };
        assert_eq!([site(""), site("north")], ["file", "north"]);
    }

    #[test]
    fn several_series_of_one_study_are_one_and_nothing_else_is() {
        let report = || Group { name: String::new(), places: vec![0], scan: false, series: None };
        let picture = || Group { scan: true, ..report() };
        assert!(is_one_study(&[group("1", &[]), report(), group("1", &[])]));
        for other in [
            vec![group("1", &[])],
            vec![group("1", &[]), group("2", &[])],
            vec![group("1", &[]), group("1", &[]), picture()],
            vec![group("", &[]), group("", &[])],
            vec![picture(), picture()],
            vec![],
        ] {
            assert!(!is_one_study(&other), "{other:?}");
        }
    }

    #[test]
    fn what_its_sender_asks_for_is_done_and_said() {
        let fit = |score: f64| Fit { score, fits: false, reasons: vec![Reason::Derived] };
        let picked = |score: f64, series: &str| {
            asked_for(Pick { fit: fit(score), picked: false }, series).picked
        };
        assert_eq!([picked(0.0, ""), picked(0.0, ALL), picked(0.0, MARKED)], [false, true, false]);
        assert!(picked(0.1, MARKED));

        let kept = Choice { fit: Some(Pick { fit: fit(0.42), picked: false }), kind_model: None };
        assert!(kept.not_picked().contains("it was made of other images (it fits to 42 %)"));
        let told = kept.message().unwrap();
        assert_eq!((told.score_permille, told.picked, &*told.reasons[0]), (420, false, "derived"));
        let analysed =
            Choice { fit: Some(Pick { fit: fit(0.42), picked: true }), kind_model: None };
        assert_eq!(
            (analysed.not_picked(), Choice::default().not_picked()),
            (String::new(), String::new())
        );
        assert!(Choice::default().message().is_none());
    }
}
