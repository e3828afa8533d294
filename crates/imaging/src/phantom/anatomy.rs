use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Weighting;
use super::noise::{mix, smooth, step};

const AIR: f32 = 0.0;
const BONE: f32 = 0.05;
const FLUID: f32 = 0.07;

/// A head in patient millimetres: nested, dented ellipsoids around the origin, turned a little.
pub(super) struct Head {
    salt: u32,
    /// Half the width, length and height of the outer skin.
    radii: [f32; 3],
    /// Cosine and sine of the turn about the long axis.
    turn: [f32; 2],
    /// Millimetres.
    scalp: f32,
    skull: f32,
    fat: f32,
    white_matter: f32,
    /// How much brighter grey matter is; negative where it is darker.
    contrast: f32,
    fluid: f32,
    /// 0 in the young, 1 where the sulci gape.
    atrophy: f32,
    ventricles: f32,
    /// Per millimetre.
    slope: [f32; 3],
}

impl Head {
    pub(super) fn new(random: &mut ChaCha8Rng, weighting: Weighting) -> Head {
        let angle: f32 = random.random_range(-0.2..0.2);
        let flair = Head {
            salt: random.random(),
            radii: [
                random.random_range(70.0..80.0),
                random.random_range(88.0..101.0),
                random.random_range(84.0..98.0),
            ],
            turn: [angle.cos(), angle.sin()],
            scalp: random.random_range(5.0..9.0),
            skull: random.random_range(4.5..7.5),
            fat: random.random_range(0.6..0.95),
            white_matter: random.random_range(0.24..0.34),
            contrast: random.random_range(0.03..0.065),
            fluid: FLUID,
            atrophy: random.random_range(0.0..1.0),
            ventricles: random.random_range(0.7..1.5),
            slope: std::array::from_fn(|_| random.random_range(-0.0018..0.0018)),
        };
        match weighting {
            Weighting::Flair => flair,
            Weighting::T1Contrast => Head {
                white_matter: flair.white_matter + 0.16,
                contrast: -1.8 * flair.contrast,
                fluid: 0.12,
                ..flair
            },
        }
    }

    /// How far under the brain's surface a place lies, in millimetres; negative outside.
    pub(super) fn brain_depth(&self, at: [f32; 3]) -> f32 {
        self.depth(self.turned(at)) - self.scalp - self.skull - 2.0
    }

    /// The tissue's signal, 0..1.
    pub(super) fn brightness(&self, at: [f32; 3]) -> f32 {
        let at = self.turned(at);
        let depth = self.depth(at);
        if depth < -1.5 {
            return AIR;
        }
        let skin = step(-0.8, 0.8, depth);
        let bone = step(self.scalp - 1.0, self.scalp + 1.0, depth);
        let brain = depth - self.scalp - self.skull;
        let marrow = 0.12 * (1.0 - (brain + 0.5 * self.skull).abs() / 1.2).max(0.0);
        let outer = mix(
            skin * self.fat * (0.85 + 0.2 * smooth(scaled(at, 0.2), self.salt)),
            BONE + marrow,
            bone,
        );
        if brain <= 0.0 {
            return outer;
        }
        mix(outer.min(BONE), self.inner(at, brain), step(0.0, 2.0, brain))
    }

    /// The signal of white matter, which others are measured by.
    pub(super) fn white_matter(&self) -> f32 {
        self.white_matter
    }

    /// The coil's uneven sensitivity, about 1.
    pub(super) fn bias(&self, at: [f32; 3]) -> f32 {
        let tilt: f32 = at.iter().zip(self.slope).map(|(part, slope)| part * slope).sum();
        let rim = (at[0] * at[0] + at[1] * at[1]) / 90.0_f32.powi(2);
        (0.94 + tilt + 0.12 * rim).clamp(0.6, 1.5)
    }

    /// Inside the skull, `depth` millimetres under it.
    fn inner(&self, at: [f32; 3], depth: f32) -> f32 {
        let cortex = self.tissue(at, depth);
        let fluid = self.sulcus(at, depth).max(self.falx(at)).max(self.ventricle(at));
        mix(cortex, self.fluid, fluid)
    }

    fn tissue(&self, at: [f32; 3], depth: f32) -> f32 {
        let folds = 6.0 * smooth(scaled(at, 0.11), self.salt ^ 1)
            + 2.0 * smooth(scaled(at, 0.3), self.salt ^ 2);
        let white = step(-1.5, 1.5, depth - 7.5 - folds);
        let texture = 0.020 * smooth(scaled(at, 0.08), self.salt ^ 3)
            + 0.014 * smooth(scaled(at, 0.35), self.salt ^ 4);
        self.white_matter + self.contrast * (1.0 - white) + texture
    }

    /// Fluid between the folds: thin valleys of a noise, deeper where the brain has shrunk.
    fn sulcus(&self, at: [f32; 3], depth: f32) -> f32 {
        let reach = 7.0 + 11.0 * self.atrophy;
        if depth > reach {
            return 0.0;
        }
        let valley = (smooth(scaled(at, 0.075), self.salt ^ 5)
            + 0.35 * smooth(scaled(at, 0.2), self.salt ^ 6))
        .abs();
        let width = (0.04 + 0.13 * self.atrophy) * (1.0 - depth / reach);
        let crest = 1.0 - step(0.6 * width, 1.8 * width + 0.03, valley);
        crest.max(1.0 - step(0.5, 2.0 + 2.0 * self.atrophy, depth))
    }

    /// The gap between the halves, which the corpus callosum bridges in the middle.
    fn falx(&self, at: [f32; 3]) -> f32 {
        let [x, y, z] = at;
        let bend = 1.8 * smooth([y * 0.05, z * 0.05, 0.0], self.salt ^ 7);
        let gap = 1.0 - step(0.3, 1.5 + self.atrophy, (x - bend).abs());
        let bridged =
            (1.0 - step(0.25, 0.45, (y / self.radii[1]).abs())) * (1.0 - step(38.0, 46.0, z));
        gap * (1.0 - bridged) * step(-35.0, -20.0, z)
    }

    /// The two lateral ventricles: bowed slivers beside the midline.
    fn ventricle(&self, at: [f32; 3]) -> f32 {
        let [x, y, z] = at;
        let height = (z - 20.0) / (17.0 * self.ventricles);
        let along = (y - 2.0) / (33.0 * self.ventricles.sqrt());
        let bow = 5.0 + 9.0 * along * along + 5.0 * (along + 0.2).max(0.0);
        let across = (x.abs() - bow * self.ventricles) / (5.5 * self.ventricles);
        1.0 - step(0.75, 1.1, height * height + along * along + across * across)
    }

    /// Millimetres under the skin, nearly.
    fn depth(&self, at: [f32; 3]) -> f32 {
        let [x, y, z] = at;
        // The back of a head is wider than its front.
        let width = self.radii[0] * (1.0 + 0.07 * (y / self.radii[1]).clamp(-1.0, 1.0));
        let [u, v, w] = [x / width, y / self.radii[1], z / self.radii[2]];
        let share = (u * u + v * v + w * w).sqrt();
        let distance = (x * x + y * y + z * z).sqrt();
        // Far out in the air and deep in the brain the dents do not matter.
        if !(0.2..1.2).contains(&share) {
            return if share < 0.2 { 0.8 * self.radii[0] } else { -10.0 };
        }
        let dents = 1.6 * smooth(scaled(at, 0.035), self.salt ^ 8);
        (1.0 / share - 1.0) * distance + dents
    }

    fn turned(&self, at: [f32; 3]) -> [f32; 3] {
        let [cos, sin] = self.turn;
        [cos * at[0] - sin * at[1], sin * at[0] + cos * at[1], at[2]]
    }
}

fn scaled(at: [f32; 3], frequency: f32) -> [f32; 3] {
    at.map(|part| part * frequency)
}
