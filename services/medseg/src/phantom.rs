use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use imaging::encode::{Series, dicom, nifti, nifti_gz, zip};
use imaging::phantom::{Phantom as Head, Settings, Weighting};
use imaging::{Criteria, Finding, Findings, Shape, Volume, slice_png};
use serde_json::{Value, json};

/// What a head measures from one edge of the image to the other, in millimetres.
const FIELD_OF_VIEW_MM: f64 = 240.0;

/// Prints what was made, and the truth about the lesion, as JSON.
#[derive(clap::Args)]
pub struct Phantom {
    /// Varies the head and the lesion; equal seeds give equal files.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// The files' format.
    #[arg(long, value_enum, default_value = "png")]
    format: Format,

    /// A folder; or a file, when the name ends as one (`.png`, `.dcm` for one slice, `.nii`,
    /// `.nii.gz`), or in `.zip`.
    #[arg(long)]
    out: PathBuf,

    /// Also where the lesion's mask goes, in the same format: 1 (255 in a PNG) in the lesion, 0 elsewhere.
    #[arg(long)]
    mask: Option<PathBuf>,

    /// How many slices; a PNG is one unless more are asked for, a volume 24.
    #[arg(long)]
    slices: Option<usize>,

    /// Rows and columns of a slice.
    #[arg(long, default_value_t = 256)]
    size: usize,

    /// Millimetres between slices, rows and columns, as in `5,0.9,0.9`; 240 mm across unless set.
    #[arg(long, value_parser = three)]
    spacing: Option<[f64; 3]>,

    /// The lesion's volume in millilitres; drawn by the seed unless set.
    #[arg(long, conflicts_with = "no_lesion")]
    lesion_ml: Option<f64>,

    /// A healthy head.
    #[arg(long)]
    no_lesion: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Png,
    Nifti,
    Dicom,
}

impl Format {
    /// As it is said on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Nifti => "nifti",
            Self::Dicom => "dicom",
        }
    }
}

/// How the name of a single file ends, and what is in it then.
const ENDINGS: [(&str, Format); 4] = [
    (".png", Format::Png),
    (".dcm", Format::Dicom),
    (".nii", Format::Nifti),
    (".nii.gz", Format::Nifti),
];

impl Phantom {
    /// Makes the phantom and writes it.
    pub fn run(self) -> anyhow::Result<()> {
        self.check_name(&self.out)?;
        self.mask.as_deref().map_or(Ok(()), |mask| self.check_name(mask))?;
        let head = Head::new(&self.settings()?)?;
        let written = write(&self.out, self.files(&self.out, &head.volume)?)?;
        if let Some(mask) = &self.mask {
            write(mask, self.files(mask, &truth(&head))?)?;
        }
        println!("{:#}", self.truth(&head, &written)?);
        Ok(())
    }

    /// A file whose name says another format than it is in misleads whoever opens it.
    fn check_name(&self, out: &Path) -> anyhow::Result<()> {
        match ENDINGS.into_iter().find(|(ending, _)| ends(out, ending)) {
            Some((_, format)) if format != self.format => {
                let (out, format) = (out.display(), format.name());
                bail!("the name {out} says --format {format}: say it too, or name a folder")
            }
            _ => Ok(()),
        }
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        anyhow::ensure!(self.size > 0, "a slice has at least one row and column");
        let slices = self.slices.unwrap_or(if self.format == Format::Png { 1 } else { 24 });
        let pixel_mm = FIELD_OF_VIEW_MM / self.size as f64;
        let spacing = self.spacing.unwrap_or([5.0, pixel_mm, pixel_mm]);
        Ok(Settings {
            seed: self.seed,
            shape: Shape { slices, rows: self.size, columns: self.size },
            spacing,
            tumour: !self.no_lesion,
            lesion_ml: self.lesion_ml,
            weighting: Weighting::Flair,
        })
    }

    /// Names and bytes. Numbers begin at 1 and sort as text.
    fn files(&self, out: &Path, volume: &Volume) -> domain::Result<Vec<(String, Vec<u8>)>> {
        let slices = 0..volume.shape.slices;
        let geometry = volume.geometry.as_ref();
        match self.format {
            Format::Png => slices
                .map(|i| Ok((format!("slice-{:03}.png", i + 1), slice_png(volume, i)?)))
                .collect(),
            Format::Dicom => {
                let series = Series::of_seed(self.seed);
                slices
                    .map(|i| Ok((format!("image-{:03}.dcm", i + 1), dicom(volume, &series, i)?)))
                    .collect()
            }
            Format::Nifti if ends(out, ".nii") => {
                Ok(vec![("phantom.nii".into(), nifti(&volume.voxels, volume.shape, geometry)?)])
            }
            Format::Nifti => Ok(vec![(
                "phantom.nii.gz".into(),
                nifti_gz(&volume.voxels, volume.shape, geometry)?,
            )]),
        }
    }

    fn truth(&self, head: &Head, written: &[PathBuf]) -> anyhow::Result<Value> {
        let lesion = match head.lesion {
            None => Value::Null,
            Some(truth) => json!({
                "volume_ml": truth.volume_mm3 / 1000.0,
                "section_mm2": truth.section_mm2,
                "centre_mm": truth.centre_mm,
                "slice": truth.slice,
                "voxels": measured(head)?,
            }),
        };
        Ok(json!({
            "seed": self.seed,
            "shape": head.volume.shape,
            "spacing_mm": head.volume.geometry.map(|geometry| geometry.spacing()),
            "lesion": lesion,
            "files": written,
        }))
    }
}

/// The lesion's mask, in the head's own grid.
fn truth(head: &Head) -> Volume {
    let voxels = head.truth.iter().map(|inside| f32::from(*inside)).collect();
    Volume { voxels, window: [0.0, 1.0], ..head.volume.clone() }
}

/// The lesion as its voxels have it: box, diameters, volume.
fn measured(head: &Head) -> domain::Result<Option<Finding>> {
    let inside: Vec<f32> = head.truth.iter().map(|&inside| f32::from(inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let found = Findings::new(&inside, head.volume.shape, head.volume.geometry.as_ref(), criteria)?;
    Ok(found.findings.into_iter().next())
}

/// Writes the files as `out` asks for them, and says where they are.
fn write(out: &Path, mut files: Vec<(String, Vec<u8>)>) -> anyhow::Result<Vec<PathBuf>> {
    if ends(out, ".zip") {
        return Ok(vec![save(out.into(), &zip(&files)?)?]);
    }
    if ENDINGS.iter().any(|(ending, _)| ends(out, ending)) {
        let count = files.len();
        let (Some((_, bytes)), 1) = (files.pop(), count) else {
            bail!("{count} slices do not fit in one such file: name a folder or a .zip");
        };
        return Ok(vec![save(out.into(), &bytes)?]);
    }
    files.into_iter().map(|(name, bytes)| save(out.join(name), &bytes)).collect()
}

fn save(path: PathBuf, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn ends(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().to_lowercase().ends_with(ending)
}

fn three(text: &str) -> Result<[f64; 3], String> {
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|it| it.trim().parse()).collect();
    let three = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    three.ok_or_else(|| "three numbers with commas between, such as 5,0.9,0.9".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        phantom: Phantom,
    }

    fn run(folder: &Path, out: &str, more: &[&str]) -> anyhow::Result<()> {
        let out = folder.join(out);
        let line = ["medseg", "--size", "64", "--out", out.to_str().unwrap()];
        Line::try_parse_from(line.iter().chain(more))?.phantom.run()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_format_writes_the_files_that_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        run(folder.path(), "one", &[]).unwrap();
        assert_eq!(names(&at("one")), ["slice-001.png"]);
        run(folder.path(), "series", &["--format", "dicom", "--slices", "3", "--no-lesion"])
            .unwrap();
        assert_eq!(names(&at("series")), ["image-001.dcm", "image-002.dcm", "image-003.dcm"]);
        run(folder.path(), "head.nii", &["--format", "nifti", "--lesion-ml", "8"]).unwrap();
        assert_eq!(fs::read(at("head.nii")).unwrap()[344..347], *b"n+1");
        run(folder.path(), "head.nii.gz", &["--format", "nifti"]).unwrap();
        assert_eq!(fs::read(at("head.nii.gz")).unwrap()[..2], [0x1f, 0x8b]);
        run(folder.path(), "all.zip", &["--slices", "2", "--no-lesion"]).unwrap();
        assert_eq!(fs::read(at("all.zip")).unwrap()[..2], *b"PK");
    }

    #[test]
    fn a_mask_is_written_in_the_form_of_its_head() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mask = at("one_mask.png");
        run(folder.path(), "one.png", &["--mask", mask.to_str().unwrap()]).unwrap();
        let decoded = imaging::decode(&fs::read(&mask).unwrap(), &imaging::Limits::default());
        let voxels = decoded.unwrap().volume.voxels;
        assert_eq!(voxels.len(), 64 * 64);
        assert!(voxels.contains(&255.0) && voxels.iter().all(|value| [0.0, 255.0].contains(value)));
        let masks = at("masks");
        let options = ["--slices", "24", "--mask", masks.to_str().unwrap()];
        run(folder.path(), "head", &options).unwrap();
        assert_eq!(names(&masks).len(), 24);
        let wrong = at("mask.nii.gz");
        assert!(run(folder.path(), "two.png", &["--mask", wrong.to_str().unwrap()]).is_err());
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), "one.png", &["--slices", "2"]).is_err());
        assert!(run(folder.path(), "one.png", &["--lesion-ml", "5000"]).is_err());
        assert!(run(folder.path(), "one.png", &["--lesion-ml", "5", "--no-lesion"]).is_err());
        assert!(run(folder.path(), "one.png", &["--spacing", "1,2"]).is_err());
        assert!(names(folder.path()).is_empty());
    }
}
