use domain::{ErrorKind, Result};
use imaging::phantom::{Phantom, Settings};
use imaging::{Framed, Prepared, Preprocessing};
use rand::{Rng, RngExt};
use tch::{Kind, Tensor};

use super::picture::Picture;
use super::variation::Variation;
use crate::Device;
use crate::dataset::{Labelled, Patient};
use crate::parallel::in_parallel;

/// The side of the tiles that training keeps in memory: more than the network sees, so that turning and zooming
/// them loses nothing.
pub const KEPT_SIDE: usize = 256;
/// The normalised brightness of a kept byte of 0.
pub const DARKEST: f64 = -1.0;
/// The normalised brightness of a kept byte of 255; what is brighter is cut off.
pub const BRIGHTEST: f64 = 3.0;

/// How often a drawn slice is a phantom; of the others, each source gives as many.
pub const PHANTOM_PART: f64 = 0.03;
/// How often a slice of a patient who has both kinds shows a tumour.
const TUMOUR_PART: f64 = 0.6;
/// How often a slice of a volume is shown as if it had come alone.
const ALONE_PART: f64 = 0.3;
/// Below this part of the tile a tumour is small, and drawn that much more often: small ones are missed most.
const SMALL_PART: f32 = 0.005;
const SMALL_WEIGHT: f64 = 2.5;
/// How often a tumour of another patient is pasted in, where a source has slices without any.
const PASTED_PART: f64 = 0.25;
/// Where phantoms for training begin; demonstrations and tests use small seeds and never meet these.
const PHANTOM_SEED: u64 = 1 << 40;

/// Labelled slices in the device's memory, to be drawn from.
pub struct Pool {
    /// Bytes (N, [`KEPT_SIDE`], [`KEPT_SIDE`]): brightness, and how much of each pixel is tumour.
    whole: Planes,
    /// The same with half as many pixels a side, which is all that a small network takes.
    halved: Planes,
    patients: Vec<Views>,
    sources: Vec<Source>,
    phantoms: Vec<View>,
}

/// Brightness, and how much of each pixel is tumour, as bytes of the same shape.
pub struct Planes {
    /// From [`DARKEST`] at 0 to [`BRIGHTEST`] at 255.
    pub brightness: Tensor,
    /// 0: none; 255: all of the pixel.
    pub tumour: Tensor,
}

/// A slice's places in the pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Prepared with its volume: the slice before, itself, the one after; where there is none, itself again.
    pub together: [i64; 3],
    /// Prepared as if it had come alone.
    alone: i64,
    /// How much of the tile is tumour.
    tumour: f32,
}

/// One patient's slices.
struct Views {
    source: usize,
    with_tumour: Vec<View>,
    without: Vec<View>,
}

struct Source {
    name: String,
    /// Places in the pool's patients, each as often as it is to be drawn.
    patients: Vec<usize>,
    with_tumour: Vec<View>,
    /// Whether any slice shows no tumour.
    healthy: bool,
}

impl Pool {
    /// Loads all slices of these patients, and makes that many phantoms; at least one of both. `loaded` hears of each.
    pub fn load(
        patients: &[Patient],
        phantoms: u64,
        device: Device,
        loaded: impl Fn(),
    ) -> Result<Pool> {
        let (mut kept, mut sources, mut all) = (Kept::default(), Vec::new(), Vec::new());
        // A patient for each core at a time: decoding and preparing take far longer than reading.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for wave in patients.chunks(cores) {
            let parts = in_parallel(wave.iter().map(|patient| || Kept::of(patient)))?;
            for (patient, (part, own)) in wave.iter().zip(parts) {
                let (source, first) = (Source::of(&mut sources, patient), kept.append(part));
                let mut views = Views { source, with_tumour: Vec::new(), without: Vec::new() };
                for view in own {
                    views.side(view.tumour > 0.0).push(view.later(first));
                    loaded();
                }
                let volumes = patient.scans().iter().any(|scan| scan.len() > 1);
                sources[source].add(all.len(), &views, volumes);
                all.push(views);
            }
        }
        let mut made = Vec::new();
        for seed in PHANTOM_SEED..PHANTOM_SEED + phantoms {
            made.extend(kept.views(&phantom(seed)?)?);
            loaded();
        }
        if all.is_empty() && made.is_empty() {
            return Err(ErrorKind::Invalid.error("there is nothing to learn from"));
        }
        let whole = kept.planes(device);
        let halved = whole.halved();
        Ok(Pool { whole, halved, patients: all, sources, phantoms: made })
    }

    /// The same if each of its sources shows a tumour; `Invalid`, naming the source and what the pool is for, if not.
    pub fn for_use_in(self, what: &str) -> Result<Pool> {
        match self.sources.iter().find(|source| source.with_tumour.is_empty()) {
            None => Ok(self),
            Some(Source { name, .. }) => {
                Err(ErrorKind::Invalid
                    .error(format!("no slice of {name} for {what} shows a tumour")))
            }
        }
    }

    /// All that is kept of each slice.
    pub fn whole(&self) -> &Planes {
        &self.whole
    }

    /// What pictures of that side are made from: planes of at least as many pixels.
    pub fn planes(&self, side: usize) -> &Planes {
        if 2 * side <= KEPT_SIDE { &self.halved } else { &self.whole }
    }

    /// What each patient's source is called, in the order of loading.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.patients.iter().map(|views| self.sources[views.source].name.as_str())
    }

    /// All slices of patients, each with its patient's place.
    pub fn views(&self) -> Vec<(usize, View)> {
        let of_patient = |(patient, views): (usize, &Views)| {
            let all = views.with_tumour.iter().chain(&views.without);
            all.map(|view| (patient, *view)).collect::<Vec<_>>()
        };
        self.patients.iter().enumerate().flat_map(of_patient).collect()
    }

    /// A random slice, to be varied with that `strength` (above 0, up to 1): first its source, then its patient.
    pub fn draw(&self, strength: f32, random: &mut impl Rng) -> Picture {
        let phantom = random.random_bool(PHANTOM_PART) && !self.phantoms.is_empty();
        if phantom || self.sources.is_empty() {
            let view = self.phantoms[random.random_range(0..self.phantoms.len())];
            return Picture::new(view.together, Variation::draw(strength, random));
        }
        let source = &self.sources[random.random_range(0..self.sources.len())];
        let patient = source.patients[random.random_range(0..source.patients.len())];
        let alone = random.random_bool(ALONE_PART);
        let view = self.patients[patient].draw(random);
        let picture = Picture::new(view.shown(alone), Variation::draw(strength, random));
        if !source.healthy || !random.random_bool(PASTED_PART) {
            return picture;
        }
        let pasted = source.with_tumour[random.random_range(0..source.with_tumour.len())];
        picture.with(pasted.shown(alone), random)
    }
}

impl Source {
    /// The place of the patient's source among them, which it takes if it is new.
    fn of(sources: &mut Vec<Source>, patient: &Patient) -> usize {
        let known = sources.iter().position(|source| source.name == patient.source);
        known.unwrap_or_else(|| {
            let name = patient.source.clone();
            let (patients, with_tumour) = (Vec::new(), Vec::new());
            sources.push(Source { name, patients, with_tumour, healthy: false });
            sources.len() - 1
        })
    }

    /// Volumes are evaluated by patient, so each patient counts alike; where slices come alone, each slice does.
    fn add(&mut self, patient: usize, views: &Views, volumes: bool) {
        let often = if volumes { 1 } else { views.with_tumour.len() + views.without.len() };
        self.patients.extend(std::iter::repeat_n(patient, often));
        self.with_tumour.extend(&views.with_tumour);
        self.healthy |= !views.without.is_empty();
    }
}

impl Views {
    fn side(&mut self, tumour: bool) -> &mut Vec<View> {
        if tumour { &mut self.with_tumour } else { &mut self.without }
    }

    fn draw(&self, random: &mut impl Rng) -> View {
        let tumour = random.random_bool(TUMOUR_PART);
        let (with, without) = (&self.with_tumour, &self.without);
        if with.is_empty() || (!tumour && !without.is_empty()) {
            return without[random.random_range(0..without.len())];
        }
        let weight = |view: &View| if view.tumour < SMALL_PART { SMALL_WEIGHT } else { 1.0 };
        let mut left = random.random_range(0.0..with.iter().map(weight).sum::<f64>());
        let drawn = with.iter().find(|view| {
            left -= weight(view);
            left < 0.0
        });
        // A rounding may leave a trace of the sum.
        *drawn.unwrap_or(&with[with.len() - 1])
    }
}

impl View {
    /// The same so many places later.
    fn later(self, by: i64) -> View {
        View { together: self.together.map(|at| at + by), alone: self.alone + by, ..self }
    }

    fn shown(self, alone: bool) -> [i64; 3] {
        if alone { [self.alone; 3] } else { self.together }
    }
}

impl Planes {
    fn halved(&self) -> Planes {
        let half = |plane: &Tensor| {
            // In parts: as floats all of them would take four times the memory.
            let parts = plane.split(256, 0).into_iter().map(|part| {
                let mean = part.unsqueeze(1).to_kind(Kind::Float).avg_pool2d(
                    [2, 2],
                    [2, 2],
                    [0, 0],
                    false,
                    true,
                    None,
                );
                mean.round().to_kind(Kind::Uint8).squeeze_dim(1)
            });
            Tensor::cat(&parts.collect::<Vec<_>>(), 0)
        };
        Planes { brightness: half(&self.brightness), tumour: half(&self.tumour) }
    }
}

/// Planes on their way into the pool.
#[derive(Default)]
struct Kept {
    brightness: Vec<u8>,
    tumour: Vec<u8>,
}

const PLANE: usize = KEPT_SIDE * KEPT_SIDE;

impl Kept {
    /// All slices of one patient.
    fn of(patient: &Patient) -> Result<(Kept, Vec<View>)> {
        let mut kept = Kept::default();
        let mut views = Vec::new();
        for scan in patient.scans() {
            views.extend(kept.views(&Labelled::load(scan)?)?);
        }
        Ok((kept, views))
    }

    /// Keeps what another keeps, after its own; answers at which place.
    fn append(&mut self, mut other: Kept) -> i64 {
        let first = self.count();
        self.brightness.append(&mut other.brightness);
        self.tumour.append(&mut other.tumour);
        first
    }

    /// Keeps all slices of a scan, both with their volume and as if each had come alone.
    fn views(&mut self, scan: &Labelled) -> Result<Vec<View>> {
        let slices = scan.volume.shape.slices;
        let first = self.count();
        let parts = self.prepared(scan)?;
        let last = self.count() - 1;
        let mut views = Vec::new();
        for (index, tumour) in parts.into_iter().enumerate() {
            let at = first + index as i64;
            let alone = match slices {
                1 => at,
                _ => {
                    self.prepared(&scan.alone(index))?;
                    self.count() - 1
                }
            };
            let together = [(at - 1).max(first), at, (at + 1).min(last)];
            views.push(View { together, alone, tumour });
        }
        Ok(views)
    }

    /// Keeps the slices as the service would prepare them; answers how much of each is tumour.
    fn prepared(&mut self, scan: &Labelled) -> Result<Vec<f32>> {
        let Labelled { volume, truth } = scan;
        let framed = Framed::new(volume, Preprocessing::NEWEST)?;
        let length = volume.shape.slice_len();
        let mut parts = Vec::new();
        for (index, truth) in truth.chunks(length).enumerate() {
            let Prepared { pixels, placement, .. } = framed.slice(index, KEPT_SIDE)?;
            let truth: Vec<f32> = truth.iter().map(|inside| f32::from(*inside)).collect();
            let inside = placement.sample(&truth, 0.0);
            let byte = |value: f32, [low, high]: [f64; 2]| {
                ((f64::from(value) - low) / (high - low) * 255.0).round() as u8
            };
            self.brightness.extend(pixels.iter().map(|value| byte(*value, [DARKEST, BRIGHTEST])));
            self.tumour.extend(inside.iter().map(|part| byte(*part, [0.0, 1.0])));
            let more_than_half = inside.iter().filter(|part| **part > 0.5).count();
            parts.push(more_than_half as f32 / PLANE as f32);
        }
        Ok(parts)
    }

    fn count(&self) -> i64 {
        (self.tumour.len() / PLANE) as i64
    }

    fn planes(&self, device: Device) -> Planes {
        let side = KEPT_SIDE as i64;
        let there =
            |bytes: &[u8]| Tensor::from_slice(bytes).view([-1, side, side]).to_device(device.place);
        Planes { brightness: there(&self.brightness), tumour: there(&self.tumour) }
    }
}

/// A phantom slice; every third is free of tumour.
pub fn phantom(seed: u64) -> Result<Labelled> {
    let Phantom { volume, truth, .. } =
        Phantom::new(&Settings { tumour: !seed.is_multiple_of(3), ..Settings::slice(seed) })?;
    Ok(Labelled { volume, truth })
}
