//! Decodes one upload in a jail that it locks itself, and answers on standard output. The file comes over the socket
//! that is its standard input, when there is one: it may be started ahead.
//!
//! Nothing but [`jail::handover`] and [`jail::answer`] connects it with the service: it opens no file, knows no
//! token, and may be killed at any moment.

use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use domain::limits::{ENTRY_NAME_CHARS_MAX, IDENTITY_BYTES_MAX, INDEX_BYTES_MAX};
use domain::{Identity, hex};
use imaging::encode::zip;
use imaging::names::shown;
use imaging::{
    Archive, Decoded, Format, Grouping, KnownOfRefused, Limits, Modality, Refusal, RefusalReason,
    Shape, Volume,
};
use jail::answer::{DecoderAnswer, Group, OutlineFacts, ScanFacts, series_digest};
use jail::{Demand, UNJAILED, Walls, handover};
use sha2::{Digest, Sha256};

/// A preview is no larger than this a side.
const PREVIEW_SIDE: usize = 1024;

#[derive(Parser)]
struct Options {
    /// Address space, in MiB.
    #[arg(long)]
    memory_mib: u64,
    /// Processor time, in seconds.
    #[arg(long)]
    cpu_s: u64,
    /// The largest file, and the most that it may unpack to.
    #[arg(long)]
    bytes_max: usize,
    /// What becomes of decoding where the kernel cannot build the whole jail.
    #[arg(long, value_enum, default_value_t = Demand::Required)]
    jail: Demand,
    #[command(subcommand)]
    task: Task,
}

#[derive(Parser)]
enum Task {
    /// Says that it works, and which walls are around it.
    Ready,
    /// Decodes and checks one scan.
    Decode {
        #[arg(long, value_delimiter = ',')]
        modalities: Vec<String>,
    },
    /// Decodes the mask of a scan.
    Outline {
        /// One that medseg has made itself: what lies in main findings is marked.
        #[arg(long)]
        own: bool,
    },
    /// Shares out the entries of an archive.
    Groups {
        /// Pictures whose names are numbered are one scan.
        #[arg(long)]
        numbered: bool,
        /// It is no archive, but one file that came alone.
        #[arg(long)]
        alone: bool,
    },
    /// Says which series DICOM files are instances of, of one after the other.
    Series {
        /// How many there are.
        #[arg(long, default_value_t = 1)]
        files: u8,
    },
    /// Says what DICOM files are, of one after the other.
    Instance {
        /// How many there are.
        #[arg(long, default_value_t = 1)]
        files: u8,
    },
    /// Writes the images of an upload anew, without whose they are; before it stands what they are called.
    Export,
    /// Unpacks one of them, or several into a zip of their own.
    Entry { places: Vec<usize> },
}

impl Task {
    /// How many files it is about.
    fn files(&self) -> u8 {
        match self {
            Task::Series { files } | Task::Instance { files } => *files,
            _ => 1,
        }
    }
}

fn main() -> ExitCode {
    // A panic's words may quote the file, and a backtrace opens others.
    std::panic::set_hook(Box::new(|_| ()));
    run(&Options::parse()).unwrap_or_else(|error| complain(&error, ExitCode::FAILURE))
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let count = options.task.files();
    jail::limit(options.memory_mib, options.cpu_s, count).context("cannot limit this process")?;
    stay_alone()?;
    let limits = Limits { bytes: options.bytes_max, ..Limits::default() };
    let mut files = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let taken = handover::take(std::io::stdin()).context("no socket to take a file from")?;
        let Some(file) = taken else {
            // The service has gone.
            return Ok(ExitCode::SUCCESS);
        };
        files.push(file);
    }
    let walls = match confined(options) {
        Ok(walls) => walls,
        Err(error) => return Ok(complain(&error, ExitCode::from(UNJAILED))),
    };
    for file in &files {
        tell(&options.task, file, limits, walls)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what there is to say of the file.
fn tell(task: &Task, file: &File, limits: Limits, walls: Walls) -> anyhow::Result<()> {
    let (answer, payload) = match perform(task, file, limits, walls)? {
        Ok(answered) => answered,
        Err(refusal) => (refusal.into(), Vec::new()),
    };
    let mut to = BufWriter::new(std::io::stdout().lock());
    answer.write(&payload.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut to)?;
    drop(payload);
    if let DecoderAnswer::Image(facts) = answer {
        // All that must be said was said: from here on this process may run out of time or memory.
        let index = index(file, facts.identity.as_ref(), &limits)?;
        to.write_all(&(index.len() as u64).to_le_bytes())?;
        to.write_all(&index)?;
        to.flush()?;
    }
    Ok(())
}

/// Makes this thread the only one of the pool that a JPEG's components are shared out in: in the jail none can be started.
fn stay_alone() -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().context("this thread cannot work alone")
}

/// Locks this process in. Whoever asks whether it works is told which walls there are, whatever is demanded.
fn confined(options: &Options) -> anyhow::Result<Walls> {
    let walls = jail::confine()?;
    let asks = matches!(options.task, Task::Ready);
    if let (Demand::Required, false, Some(missing)) = (options.jail, asks, walls.missing()) {
        bail!("this kernel has no {missing} for the jail (--jail=best-effort decodes without)");
    }
    Ok(walls)
}

/// One line, for whoever started it by hand: the service listens to none.
fn complain(error: &anyhow::Error, code: ExitCode) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    code
}

type Answered = Result<(DecoderAnswer, Vec<Vec<u8>>), Refusal>;

fn perform(task: &Task, file: &File, limits: Limits, walls: Walls) -> std::io::Result<Answered> {
    Ok(match task {
        Task::Ready => Ok((DecoderAnswer::Ready(walls), Vec::new())),
        Task::Decode { modalities } => decode(whole(file, &limits)?, &limits, modalities),
        Task::Outline { own } => outline(&whole(file, &limits)?, &limits, *own),
        Task::Groups { alone: true, .. } => alone(whole(file, &limits)?, limits),
        Task::Groups { numbered, .. } => groups(file, limits, *numbered),
        Task::Series { .. } => series(&whole(file, &limits)?, &limits),
        Task::Instance { .. } => instance(&whole(file, &limits)?, &limits),
        Task::Export => jail::export::export(&whole(file, &limits)?, &limits).map(packed),
        Task::Entry { places } => entry(file, limits, places).map(packed),
    })
}

/// Bytes that follow their announcement.
fn packed(bytes: Vec<u8>) -> (DecoderAnswer, Vec<Vec<u8>>) {
    (DecoderAnswer::Entry { bytes: bytes.len() as u64 }, vec![bytes])
}

/// All of the file, or one byte more than is taken.
fn whole(mut file: &File, limits: &Limits) -> std::io::Result<Vec<u8>> {
    // Asking for the file's metadata is a call that could ask for any other file's.
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut bytes = Vec::with_capacity(length.min(limits.bytes as u64 + 1) as usize);
    file.take(limits.bytes as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The voxels that a mask marks: a reader's, or one that medseg has made itself.
fn outline(bytes: &[u8], limits: &Limits, own: bool) -> Answered {
    if !own && let Some((facts, marked)) = imaging::segmentation(bytes, limits)? {
        return Ok((DecoderAnswer::Segmentation(Box::new(facts)), vec![marked]));
    }
    let Decoded { volume, identity: _, equipment: _ } = imaging::decode(bytes, limits)?;
    if !matches!(volume.format, Format::Png | Format::Nifti) {
        return Err(RefusalReason::Unsupported
            .refuse("A mask is a PNG, a NIfTI file or a DICOM segmentation."));
    }
    let marked = if own { Some(imaging::main_marked(&volume)) } else { imaging::marked(&volume) };
    let marked = marked.ok_or_else(|| {
        RefusalReason::Unsupported.refuse("It shows an image, where a mask has a few values only.")
    })?;
    let Volume { shape, geometry, format, stored, .. } = volume;
    let facts = OutlineFacts { format: format.name().into(), shape, geometry, stored };
    Ok((DecoderAnswer::Outline(Box::new(facts)), vec![marked]))
}

fn groups(file: &File, limits: Limits, numbered: bool) -> Answered {
    let grouping = if numbered { Grouping::Numbered } else { Grouping::Alone };
    shared_out(Archive::open(file, limits)?, grouping)
}

/// The same of a file that came alone: as of an archive of which it is all.
fn alone(bytes: Vec<u8>, limits: Limits) -> Answered {
    let archive = zip(&[("file".to_owned(), bytes)]);
    let archive = archive.map_err(|_| RefusalReason::Corrupt.refuse("The file cannot be read."))?;
    shared_out(Archive::open(Cursor::new(archive), limits)?, Grouping::Numbered)
}

fn shared_out<R: Read + Seek>(mut archive: Archive<R>, grouping: Grouping) -> Answered {
    let names: Vec<String> = archive.names().map(str::to_owned).collect();
    let group = |imaging::Group { places, scan, series }| {
        let name = match &*places {
            [first, .., last] => {
                let (first, last) = (shown(&names[*first]), shown(&names[*last]));
                format!("{first} … {last} ({} files)", places.len())
            }
            [place] => names[*place].clone(),
            [] => String::new(),
        };
        let name = name.chars().take(ENTRY_NAME_CHARS_MAX).collect();
        Group { name, places, scan, series }
    };
    let groups = archive.groups(grouping)?.into_iter().map(group).collect();
    Ok((DecoderAnswer::Groups(groups), Vec::new()))
}

/// The series, whoever it is of: two patients in one are for whoever decodes it to see.
fn series(bytes: &[u8], limits: &Limits) -> Answered {
    let named = imaging::series_of(bytes, limits)?.map(|[_, study, series]| {
        if series.is_empty() {
            return Err(RefusalReason::Corrupt.refuse("The DICOM file names no series."));
        }
        Ok(series_digest(&study, &series))
    });
    Ok((DecoderAnswer::Series(named.transpose()?), Vec::new()))
}

fn instance(bytes: &[u8], limits: &Limits) -> Answered {
    let told = imaging::instance_of(bytes, limits)?;
    Ok((DecoderAnswer::Instance(Box::new(told)), Vec::new()))
}

fn entry(file: &File, limits: Limits, places: &[usize]) -> Result<Vec<u8>, Refusal> {
    let mut archive = Archive::open(file, limits)?;
    if let [place] = places {
        return archive.read(*place);
    }
    let names: Vec<String> = archive.names().map(str::to_owned).collect();
    let files: Result<Vec<_>, Refusal> = places
        .iter()
        .map(|place| Ok((names.get(*place).cloned().unwrap_or_default(), archive.read(*place)?)))
        .collect();
    zip(&files?).map_err(|_| RefusalReason::Corrupt.refuse("Its files cannot be packed together."))
}

fn decode(bytes: Vec<u8>, limits: &Limits, modalities: &[String]) -> Answered {
    let registered: Vec<Modality> =
        modalities.iter().filter_map(|term| Modality::of_term(term)).collect();
    let Decoded { volume, identity, equipment } = imaging::decode(&bytes, limits)?;
    // Who counts refusals is told where and with what this file was made.
    let known = KnownOfRefused { equipment: equipment.clone(), kind: Some(volume.kind) };
    imaging::check(&volume, &registered)
        .and_then(|()| credible(identity.as_ref()))
        .map_err(|refusal| refusal.of_known(known))?;
    drop(bytes);
    let preview = imaging::lettered_png(&thumbnail(&volume), 0)
        .map_err(|_| RefusalReason::Corrupt.refuse("The image cannot be shown."))?;
    let Shape { slices, rows, columns } = volume.shape;
    let (format, modality) = (volume.format.name(), volume.modality.map_or("", Modality::term));
    let stored = volume.to_bytes();
    drop(volume);
    let facts = ScanFacts {
        format: format.into(),
        modality: modality.into(),
        shape: [slices, rows, columns].map(|length| length as u32),
        identity,
        equipment,
        preview_bytes: preview.len() as u64,
        volume_bytes: stored.len() as u64,
        volume_sha256: hex(&Sha256::digest(&stored)),
    };
    Ok((DecoderAnswer::Image(Box::new(facts)), vec![preview, stored]))
}

/// The index of the DICOM instances that the volume was made of, as JSON; empty: there is none, or it is larger than is kept. Without
/// it a scan is analysed as any other, and its instances are not handed out one by one.
///
/// The file is read once more: while the volume is encoded there is no room for both.
fn index(file: &File, identity: Option<&Identity>, limits: &Limits) -> std::io::Result<Vec<u8>> {
    let wanted = identity.map(|identity| identity.sop_instance_uids.as_slice());
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(Vec::new()) };
    let instances = imaging::instances(&whole(file, limits)?, wanted, limits);
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let json = serde_json::to_vec(&instances).unwrap_or_default();
    Ok(if json.len() > INDEX_BYTES_MAX { Vec::new() } else { json })
}

/// Refuses an identity that is too long to be one, rather than cut it into somebody else's.
fn credible(identity: Option<&Identity>) -> Result<(), Refusal> {
    let length = serde_json::to_vec(&identity).map_or(usize::MAX, |json| json.len());
    if length > IDENTITY_BYTES_MAX {
        return Err(
            RefusalReason::Corrupt.refuse("Its header says more of the patient than a header can.")
        );
    }
    Ok(())
}

/// The middle slice, small enough for a page.
fn thumbnail(volume: &Volume) -> Volume {
    let Shape { slices, rows, columns } = volume.shape;
    let step = rows.max(columns).div_ceil(PREVIEW_SIDE);
    let slice = volume.slice(slices / 2);
    let shape = Shape { slices: 1, rows: rows / step, columns: columns / step };
    let mean = |at: usize| {
        let (row, column) = (at / shape.columns * step, at % shape.columns * step);
        let tile = (0..step).flat_map(|y| &slice[(row + y) * columns + column..][..step]);
        tile.sum::<f32>() / (step * step) as f32
    };
    let voxels = if step == 1 { slice.to_vec() } else { (0..shape.len()).map(mean).collect() };
    let Volume { geometry, modality, kind, format, window, stored, .. } = *volume;
    let (remarks, protocol) = (Vec::new(), volume.protocol.clone());
    Volume { shape, voxels, geometry, modality, kind, format, window, remarks, stored, protocol }
}

#[cfg(test)]
mod tests {
    use imaging::{Orientation, Protocol};

    use super::*;

    #[test]
    fn an_identity_that_is_too_long_is_refused_and_not_cut() {
        let named =
            |length| Identity { patient_id: Some("x".repeat(length)), ..Identity::default() };
        assert_eq!(credible(None), Ok(()));
        assert_eq!(credible(Some(&named(64))), Ok(()));
        assert_eq!(credible(Some(&named(2 << 20))).unwrap_err().problem, RefusalReason::Corrupt);
    }

    fn picture(shape: Shape, value: impl Fn(usize, usize, usize) -> f32) -> Volume {
        let at = |at: usize| {
            let (slice, within) = (at / shape.slice_len(), at % shape.slice_len());
            value(slice, within / shape.columns, within % shape.columns)
        };
        Volume {
            shape,
            voxels: (0..shape.len()).map(at).collect(),
            geometry: None,
            modality: None,
            kind: imaging::ImageKind::Unknown,
            format: imaging::Format::Png,
            window: [0.0, 9.0],
            remarks: Vec::new(),
            stored: Orientation::default(),
            protocol: Protocol::default(),
        }
    }

    #[test]
    fn a_large_slice_is_shown_small_the_right_way_up_and_in_its_proportions() {
        // Three pixels a side become one, and what is left over at the far edges is none.
        let shape = Shape { slices: 1, rows: 1030, columns: 2054 };
        let small = thumbnail(&picture(shape, |_, row, column| (row + 10_000 * column) as f32));
        assert_eq!((small.shape.rows, small.shape.columns), (343, 684));
        for (row, column) in [(0, 0), (0, 683), (342, 0), (200, 100)] {
            let mean = (3 * row + 1 + 10_000 * (3 * column + 1)) as f32;
            let shown = small.voxels[row * 684 + column];
            assert!((shown / mean - 1.0).abs() < 1e-5, "{row} {column}: {shown} for {mean}");
        }
        let even =
            thumbnail(&picture(Shape { slices: 1, rows: 2048, columns: 4096 }, |_, _, _| 7.0));
        assert_eq!((even.shape.rows, even.shape.columns), (512, 1024));
        assert!(even.voxels.iter().all(|voxel| *voxel == 7.0));
        // The middle one of several, as it is.
        let stack = Shape { slices: 5, rows: 2, columns: 3 };
        let middle = thumbnail(&picture(stack, |slice, row, column| {
            (100 * slice + 10 * row + column) as f32
        }));
        assert_eq!(
            (middle.shape.slices, &middle.voxels[..]),
            (1, &[200.0, 201.0, 202.0, 210.0, 211.0, 212.0][..])
        );
    }

    fn archive(names: &[&str]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let files = names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec()));
        file.write_all(&zip(&files.collect::<Vec<_>>()).unwrap()).unwrap();
        file
    }

    #[test]
    fn entries_are_sent_on_under_their_own_names_and_one_alone_as_it_is() {
        let limits = Limits::default();
        let file = || archive(&["s2", "a/s10", "s1"]);
        assert_eq!(entry(&file(), limits, &[1]).unwrap(), b"s1");
        let both = entry(&file(), limits, &[2, 0]).unwrap();
        let mut both = Archive::open(std::io::Cursor::new(both), limits).unwrap();
        assert_eq!(both.names().collect::<Vec<_>>(), ["a/s10", "s2"]);
        assert_eq!(
            [0, 1].map(|place| both.read(place).unwrap()),
            [b"a/s10".to_vec(), b"s2".to_vec()]
        );
        for places in [&[3][..], &[0, 3]] {
            let refusal = entry(&file(), limits, places).unwrap_err();
            assert_eq!(refusal.problem, RefusalReason::Corrupt);
        }
    }
}
