use imaging::{
    Calibration, DicePredictor, Forms, ImageKind, Modality, ModelFacts, NetworkInput,
    OperatingPoint, Reading, Readings,
};
use serde::{Deserialize, Serialize};

use crate::network::{Design, SIDE_MULTIPLE};

/// What a weights file says of itself. It lies in the file, so the file's digest covers it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "Stored", into = "Written")]
pub struct WeightsFacts {
    /// What is known of the model wherever it runs.
    pub model: ModelFacts,
    /// What the network is made of: the tensors must fit it.
    pub design: Design,
    /// The side of the tiles that the network was trained on, in pixels.
    pub side: usize,
}

/// Facts as files are written: one object, in this order.
#[derive(Serialize)]
struct Written {
    name: String,
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    data_version: String,
    design: Design,
    side: usize,
    preprocessing: String,
    modalities: Vec<Modality>,
    #[serde(rename = "tells", skip_serializing_if = "Vec::is_empty")]
    classes: Vec<ImageKind>,
    readings: Readings,
}

impl From<WeightsFacts> for Written {
    fn from(facts: WeightsFacts) -> Written {
        let WeightsFacts { model, design, side } = facts;
        let ModelFacts {
            name,
            version,
            data_version,
            preprocessing,
            modalities,
            classes,
            readings,
        } = model;
        Written {
            name,
            version,
            data_version,
            design,
            side,
            preprocessing,
            modalities,
            classes,
            readings,
        }
    }
}

/// Facts as files hold them: those written before there were kinds have one way for all of them.
#[derive(Deserialize)]
struct Stored {
    name: String,
    version: String,
    /// What was written before the data had versions says none.
    #[serde(default)]
    data_version: String,
    design: Design,
    side: usize,
    preprocessing: String,
    modalities: Vec<Modality>,
    #[serde(default, rename = "tells")]
    classes: Vec<ImageKind>,
    readings: Option<Readings>,
    threshold: Option<f32>,
    minimum_pixels: Option<usize>,
    volumes: Option<OperatingPoint>,
    #[serde(default)]
    mirrored: bool,
    #[serde(default)]
    calibration: Calibration,
    #[serde(default, rename = "doubt")]
    dice_predictors: StoredDicePredictors,
}

/// The Dice predictors, as those files have them.
#[derive(Default, Deserialize)]
struct StoredDicePredictors {
    volume: Option<DicePredictor>,
    slice: Option<DicePredictor>,
}

impl From<Stored> for WeightsFacts {
    fn from(stored: Stored) -> WeightsFacts {
        let one_way = stored.one_way();
        let model = ModelFacts {
            name: stored.name,
            version: stored.version,
            data_version: stored.data_version,
            preprocessing: stored.preprocessing,
            modalities: stored.modalities,
            classes: stored.classes,
            readings: stored.readings.unwrap_or(one_way),
        };
        WeightsFacts { model, design: stored.design, side: stored.side }
    }
}

impl Stored {
    fn one_way(&self) -> Readings {
        // A threshold that is missing is refused as no probability.
        let threshold = self.threshold.unwrap_or(f32::NAN);
        let alone = OperatingPoint { threshold, minimum_pixels: self.minimum_pixels.unwrap_or(1) };
        let reading =
            |operating_point: OperatingPoint, expected_dice: Option<DicePredictor>| Reading {
                input: NetworkInput { side: self.side, mirrored: self.mirrored },
                operating_point,
                calibration: self.calibration,
                grows_from: None,
                expected_dice,
            };
        let slice = reading(alone, self.dice_predictors.slice);
        let volume = reading(self.volumes.unwrap_or(alone), self.dice_predictors.volume);
        Readings { general: Forms { slice: slice.clone(), volume }, ..Readings::alike(slice) }
    }
}

/// Squares are no larger.
const SIDE_MAX: usize = 1024;

impl WeightsFacts {
    /// Says what of them this program cannot follow.
    pub fn check(&self) -> Result<(), String> {
        let WeightsFacts { model, design, side } = self;
        let ModelFacts { preprocessing, classes, readings, .. } = model;
        imaging::Preprocessing::named(preprocessing).map_err(|error| error.to_string())?;
        for side in readings.all().map(|reading| reading.input.side).chain([*side]) {
            if side == 0 || !side.is_multiple_of(SIDE_MULTIPLE) || side > SIDE_MAX {
                return Err(format!(
                    "its input side {side} is no multiple of {SIDE_MULTIPLE} up to {SIDE_MAX}"
                ));
            }
        }
        readings.all().try_for_each(check_reading)?;
        if classes.iter().any(|kind| ImageKind::of_name(kind.name()).is_none()) {
            return Err("it classifies kinds of image that nobody knows".into());
        }
        if !(0.0..=1.0).contains(&readings.sure_from) {
            return Err("how sure it must be of a kind is no probability".into());
        }
        let buildable = (4..=256).contains(&design.width)
            && design.width % 4 == 0
            && design.depths.iter().all(|depth| (1..=64).contains(depth));
        if buildable { Ok(()) } else { Err("its design cannot be built".into()) }
    }
}

fn check_reading(reading: &Reading) -> Result<(), String> {
    let threshold = reading.operating_point.threshold;
    let growth = reading.grows_from.unwrap_or(threshold);
    if ![threshold, growth].iter().all(|threshold| (0.0..1.0).contains(threshold)) {
        return Err(format!("its threshold {threshold} is no probability"));
    }
    if growth > threshold {
        return Err(format!("its regions would grow from {growth}, above their threshold"));
    }
    let Calibration { slope, offset } = reading.calibration;
    if slope > 0.0 && slope.is_finite() && offset.is_finite() {
        return Ok(());
    }
    Err("its calibration would turn probabilities about".into())
}
