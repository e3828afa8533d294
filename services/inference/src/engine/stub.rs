use std::thread;
use std::time::Duration;

use domain::{ErrorKind, Result};
use imaging::{ImageKind, ModelInfo, Prepared, TilePrediction};
use url::Url;

use super::{Engine, tile_predictions, weightless};

/// Takes its time and finds nothing; or breaks, in one of the ways that engines break.
///
/// `stub:?ms=50` waits for each batch, `stub:?slice_ms=5` for each slice; `&fault=` is one of
/// `nan`, `short`, `error`, `panic`, `memory` (more than one slice is too many) and `abort` (a slice that is not
/// square ends the process). `&tells=other` is sure that each slice is of that kind.
pub struct Stub {
    batch: Duration,
    slice: Duration,
    fault: Option<Fault>,
    tells: Option<ImageKind>,
}

/// The kinds that one tells which tells any.
const KINDS: [ImageKind; 3] = [ImageKind::Flair, ImageKind::T1Contrast, ImageKind::Other];

enum Fault {
    Nan,
    Short,
    Error,
    Panic,
    Memory,
    Abort,
}

impl Stub {
    pub fn new(url: &Url) -> Result<Stub> {
        let invalid = |name: &str| ErrorKind::Invalid.error(format!("`{url}`: bad `{name}`"));
        let (batch, slice) = (Duration::ZERO, Duration::ZERO);
        let mut stub = Stub { batch, slice, fault: None, tells: None };
        for (name, value) in url.query_pairs() {
            let ms = || value.parse().map(Duration::from_millis).map_err(|_| invalid(&name));
            match &*name {
                "ms" => stub.batch = ms()?,
                "slice_ms" => stub.slice = ms()?,
                "fault" => stub.fault = Some(Fault::named(&value).ok_or_else(|| invalid(&name))?),
                "tells" => stub.tells = Some(value.parse().map_err(|_| invalid(&name))?),
                _ => return Err(invalid(&name)),
            }
        }
        Ok(stub)
    }
}

impl Fault {
    fn named(name: &str) -> Option<Fault> {
        Some(match name {
            "nan" => Self::Nan,
            "short" => Self::Short,
            "error" => Self::Error,
            "panic" => Self::Panic,
            "memory" => Self::Memory,
            "abort" => Self::Abort,
            _ => return None,
        })
    }
}

impl Engine for Stub {
    fn model_info(&self) -> ModelInfo {
        let mut info = weightless("stub", 0.5, 1);
        info.facts.classes = self.tells.map_or_else(Vec::new, |_| KINDS.to_vec());
        info
    }

    fn predict(&mut self, tiles: &[Prepared], _mirrored: bool) -> Result<Vec<TilePrediction>> {
        let slices = u32::try_from(tiles.len()).unwrap_or(u32::MAX);
        thread::sleep(self.batch + self.slice * slices);
        let nothing = |tile: &Prepared| vec![0.0; tile.pixels.len()];
        let mut outputs: Vec<Vec<f32>> = tiles.iter().map(nothing).collect();
        match self.fault {
            None => {}
            Some(Fault::Nan) => outputs.iter_mut().for_each(|output| output[0] = f32::NAN),
            Some(Fault::Short) => outputs.iter_mut().for_each(|output| output.truncate(1)),
            Some(Fault::Error) => {
                return Err(ErrorKind::Internal.error("the stub was told to fail"));
            }
            Some(Fault::Panic) => panic!("the stub was told to panic"),
            Some(Fault::Memory) if tiles.len() > 1 => {
                return Err(ErrorKind::Exhausted.error("the stub was told to have no memory"));
            }
            Some(Fault::Memory) => {}
            Some(Fault::Abort) => {
                let is_square = |tile: &Prepared| tile.placement.rows == tile.placement.columns;
                if !tiles.iter().all(is_square) {
                    std::process::abort();
                }
            }
        }
        let mut predictions = tile_predictions(outputs);
        if let Some(told) = self.tells {
            let kinds = KINDS.map(|kind| if kind == told { 0.96 } else { 0.02 });
            predictions.iter_mut().for_each(|prediction| prediction.kinds = kinds.to_vec());
        }
        Ok(predictions)
    }
}
