//! `medseg dataset series`: how often the choice among a study's series is right, on series of which somebody has said what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, bail};
use domain::statistics::Rate;
use imaging::encode::zip;
use imaging::picker::{self, Pick, Registered, is_open, middle, pick, shown_tiles};
use imaging::{
    Archive, Grouping, ImageKind, KindPrediction, Limits, Modality, SeriesFacts, Shape, Volume,
    decode,
};
use model::{Device, Segmenter};

/// What says of each series what it is, beside the studies' folders.
const LABELS: &str = "labels.csv";
const HEADER: &str = "study,series,kind";
/// The kinds of image that models are made for.
pub const KINDS: [ImageKind; 2] = [ImageKind::Flair, ImageKind::T1Contrast];

/// A series of which somebody has said what it is.
struct Labelled {
    study: String,
    series: String,
    kind: ImageKind,
}

impl Labelled {
    /// Whether a model is made for it.
    fn fits(&self, kinds: &[ImageKind]) -> bool {
        kinds.contains(&self.kind)
    }
}

/// A model that is asked what series look like, as ingest asks the one that serves.
pub struct Looking(Segmenter);

impl Looking {
    /// With the weights at `model`.
    pub fn with(model: &Path, device: &str) -> anyhow::Result<Looking> {
        Ok(Looking(Segmenter::load(model, Device::choose(device)?)?))
    }

    fn sees(&mut self, volume: Volume, said: ImageKind) -> anyhow::Result<Option<KindPrediction>> {
        let info = self.0.model_info().clone();
        let (wanted, slice) = (middle(volume.shape.slices), volume.shape.slice_len());
        let shape = Shape { slices: wanted.len(), ..volume.shape };
        let voxels = volume.voxels[wanted.start * slice..wanted.end * slice].to_vec();
        let shown = Volume { shape, voxels, ..volume };
        let side = info.facts.readings.of(ImageKind::Unknown, shape.slices).input.side;
        let tiles = shown_tiles(&shown, info.preprocessing()?, side)?;
        let seen = self.0.predict(&tiles, false)?;
        let classes = &info.facts.classes;
        let told = KindPrediction::of(classes, seen.iter().map(|one| one.kinds.as_slice()));
        // As ingest believes it.
        let is_named = ![ImageKind::Other, ImageKind::Unknown].contains(&said);
        let is_believed = is_named || classes.contains(&ImageKind::Other);
        Ok(told.filter(|_| is_believed))
    }
}

/// How often the choice was right.
pub struct Accuracy {
    series: Rate,
    kinds: Rate,
    studies: Rate,
    /// Each series that was chosen wrongly, in words.
    wrong: Vec<String>,
}

impl Accuracy {
    /// Of the series in that folder, each in `study/series/`, of which `labels.csv` says what they are, for models of those kinds; with
    /// `looking` a model is asked where ingest asks one.
    pub fn of(
        folder: &Path,
        kinds: &[ImageKind],
        mut looking: Option<Looking>,
    ) -> anyhow::Result<Accuracy> {
        let labelled = labels(&folder.join(LABELS))?;
        let mut studies = BTreeMap::<&str, Vec<&Labelled>>::new();
        for one in &labelled {
            studies.entry(&one.study).or_default().push(one);
        }
        let mut judged = Vec::new();
        for (study, series) in &studies {
            judged.extend(choice(folder, study, series, kinds, looking.as_mut())?);
        }
        Ok(Accuracy::counted(&judged, kinds))
    }

    fn counted(judged: &[(&Labelled, SeriesFacts, Pick)], kinds: &[ImageKind]) -> Accuracy {
        let right = |(labelled, _, pick): &(&Labelled, SeriesFacts, Pick)| {
            pick.fit.fits == labelled.fits(kinds)
        };
        let told = judged.iter().filter(|(_, facts, _)| picker::kind(facts) != ImageKind::Unknown);
        let told: Vec<bool> =
            told.map(|(labelled, facts, _)| picker::kind(facts) == labelled.kind).collect();
        let all: BTreeSet<&str> = judged.iter().map(|(one, ..)| &*one.study).collect();
        let wrong: Vec<_> = judged.iter().filter(|judged| !right(judged)).collect();
        let torn: BTreeSet<&str> = wrong.iter().map(|(one, ..)| &*one.study).collect();
        Accuracy {
            series: Rate::new(judged.len() - wrong.len(), judged.len()),
            kinds: Rate::new(told.iter().filter(|right| **right).count(), told.len()),
            studies: Rate::new(all.len() - torn.len(), all.len()),
            wrong: wrong.into_iter().map(in_words).collect(),
        }
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for one in &self.wrong {
            writeln!(f, "wrong: {one}")?;
        }
        writeln!(f, "series chosen rightly:      {}", rate(&self.series))?;
        writeln!(f, "kinds told, of those told:  {}", rate(&self.kinds))?;
        write!(f, "studies without a mistake:  {}", rate(&self.studies))
    }
}

fn rate(rate: &Rate) -> String {
    let Rate { count, of, interval: [from, to], .. } = rate;
    let percent = rate.rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1}", 100.0 * rate));
    let (from, to) = (100.0 * from, 100.0 * to);
    format!("{count} of {of}, {percent} % (95 % interval {from:.1} to {to:.1} %)")
}

fn in_words((labelled, facts, pick): &(&Labelled, SeriesFacts, Pick)) -> String {
    let Labelled { study, series, kind } = labelled;
    let (name, taken) = (kind.name(), picker::kind(facts).name());
    let why = pick.fit.why_not().unwrap_or_else(|| "nothing speaks against it".into());
    format!(
        "{study}/{series} is {name} and was taken for {taken}, score {:.2}: {why}",
        pick.fit.score
    )
}

/// What each series of a study is found to be, as an upload of all of it would have found it.
fn choice<'a>(
    folder: &Path,
    study: &str,
    series: &[&'a Labelled],
    kinds: &[ImageKind],
    mut looking: Option<&mut Looking>,
) -> anyhow::Result<Vec<(&'a Labelled, SeriesFacts, Pick)>> {
    let registered =
        Registered { modalities: vec![Modality::MagneticResonance], kinds: kinds.to_vec() };
    let mut facts = Vec::with_capacity(series.len());
    for one in series {
        let (mut own, archive) = self::facts(&folder.join(study).join(&one.series), study)?;
        if let Some(looking) = looking.as_deref_mut().filter(|_| is_open(&own, &registered, &[])) {
            let decoded = decode(&archive, &Limits::default())
                .map_err(|refusal| anyhow::anyhow!("{study}/{}: {}", one.series, refusal.detail))?;
            own.kind_by_content = looking.sees(decoded.volume, own.kind_said)?;
        }
        facts.push(own);
    }
    let picks = pick(&facts, &registered, &[]);
    Ok(series
        .iter()
        .copied()
        .zip(facts)
        .zip(picks)
        .map(|((one, facts), pick)| (one, facts, pick))
        .collect())
}

/// What the headers of the series in that folder say, and its files as a zip; its study is the one that the labels name.
fn facts(folder: &Path, study: &str) -> anyhow::Result<(SeriesFacts, Vec<u8>)> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((name, bytes));
        }
    }
    let bytes = zip(&files)?;
    let groups = Archive::open(Cursor::new(&bytes), Limits::default())
        .and_then(|mut archive| archive.groups(Grouping::Alone))
        .map_err(|refusal| anyhow::anyhow!("{}: {}", folder.display(), refusal.detail))?;
    let mut series = groups.into_iter().filter_map(|group| group.series);
    match (series.next(), series.next()) {
        (Some(facts), None) => Ok((SeriesFacts { study: study.to_owned(), ..facts }, bytes)),
        (None, _) => bail!("{} holds no DICOM series", folder.display()),
        (Some(_), Some(_)) => bail!("{} holds several DICOM series", folder.display()),
    }
}

fn labels(path: &Path) -> anyhow::Result<Vec<Labelled>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some(HEADER) {
        bail!("{} does not begin with `{HEADER}`", path.display());
    }
    let labelled = |(number, line): (usize, &str)| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [study, series, kind] = *fields else {
            bail!("{}, line {number}: it has not three columns", path.display());
        };
        let kind = match kind {
            "other" => ImageKind::Other,
            kind => ImageKind::of_name(kind).with_context(|| {
                format!("{}, line {number}: `{kind}` is no kind of image", path.display())
            })?,
        };
        Ok(Labelled { study: study.to_owned(), series: series.to_owned(), kind })
    };
    let lines = (2..).zip(lines).filter(|(_, line)| !line.trim().is_empty());
    lines.map(labelled).collect()
}

#[cfg(test)]
mod tests {
    use imaging::encode::{Series, dicom};
    use imaging::phantom::{Phantom, Settings};

    use super::*;

    fn written(folder: &Path, series: &Series) {
        let shape = Shape { slices: 12, rows: 64, columns: 64 };
        let settings = Settings { shape, spacing: [6.0, 2.4, 2.4], ..Settings::slice(2) };
        let volume = Phantom::new(&settings).unwrap().volume;
        fs::create_dir_all(folder).unwrap();
        for slice in 0..shape.slices {
            let file = dicom(&volume, series, slice).unwrap();
            fs::write(folder.join(format!("{slice}.dcm")), file).unwrap();
        }
    }

    #[test]
    fn what_was_chosen_is_compared_with_what_somebody_said() {
        let place = tempfile::tempdir().unwrap();
        let flair = Series::of_seed(1);
        written(&place.path().join("a/flair"), &flair);
        let map = flair.beside(2).described("ADC", "DERIVED\\PRIMARY\\DIFFUSION\\ADC");
        written(&place.path().join("a/map"), &map);
        // One whose words are wrong: the picker is, too, and that is told.
        written(&place.path().join("b/lies"), &Series::of_seed(3));
        let labels = "study,series,kind\na,flair,flair\na,map,other\nb,lies,other\n";
        fs::write(place.path().join(LABELS), labels).unwrap();
        let accuracy = Accuracy::of(place.path(), &KINDS, None).unwrap();
        let counts = |rate: &Rate| (rate.count, rate.of);
        assert_eq!((counts(&accuracy.series), counts(&accuracy.studies)), ((2, 3), (1, 2)));
        assert_eq!((counts(&accuracy.kinds), accuracy.wrong.len()), ((2, 3), 1));
        let said = accuracy.to_string();
        assert!(said.contains("wrong: b/lies is other and was taken for flair"), "{said}");
        assert!(said.contains("2 of 3, 66.7 % (95 % interval 20.8 to 93.9 %)"), "{said}");
        // Where models are made for another kind alone, none of them is wanted.
        let other = Accuracy::of(place.path(), &[ImageKind::T1Contrast], None).unwrap();
        assert_eq!((counts(&other.series), counts(&other.kinds)), ((3, 3), (2, 3)));
    }

    #[test]
    fn a_label_that_is_none_is_named_with_its_line() {
        let place = tempfile::tempdir().unwrap();
        let refused = |text: &str| {
            fs::write(place.path().join(LABELS), text).unwrap();
            Accuracy::of(place.path(), &KINDS, None).err().unwrap().to_string()
        };
        assert!(refused("a,b,c\n").contains(HEADER));
        assert!(refused("study,series,kind\na,b\n").contains("line 2"));
        assert!(refused("study,series,kind\n\na,b,t9\n").contains("line 3: `t9`"));
        assert!(refused("study,series,kind\na,b,other\n").contains("cannot read"));
    }
}
