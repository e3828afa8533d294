//! The Open Inference Protocol v2: the bare model, over REST and gRPC.
//!
//! A caller prepares slices as the model wants them, and gets what the network says of them: no findings, no measures, and no
//! scan is kept. Slices of all callers share batches, which the model sees while no scan waits. What calls may take of memory is
//! counted before it is taken.

mod door;
mod json;
mod memory;
mod rest;
mod rpc;
mod signature;

use domain::Result;
use imaging::ModelInfo;
use service::claims::Verifier;
use tonic::service::Routes;

use crate::cores::Whose;
use crate::in_hand::InHand;
use crate::serving::{Served, Serving};
use door::{Caller, Door};
use memory::{Memory, Room};
use signature::{Input, Signature, Tensor};

/// The largest request.
const REQUEST_BYTES: usize = 64 << 20;
/// What a number of an answer takes while that is written: as a tensor, as its bytes, and among all bytes.
const NUMBER_BYTES: usize = 12;
/// The same in JSON: as a tensor, and in 15 digits, signs and letters at most with a comma.
const JSON_NUMBER_BYTES: usize = 20;
/// Tensors as bytes behind a JSON header, by the name that the protocol's extension has.
const EXTENSIONS: [&str; 1] = ["binary_tensor_data"];

/// Both faces of the models that serve: gRPC and HTTP. Their calls take so much memory, all together.
pub fn faces(
    serving: Serving,
    in_hand: InHand,
    verifier: Verifier,
    memory_bytes: usize,
) -> (Routes, axum::Router) {
    let models = BareModels { serving, in_hand };
    let door = Door::new(verifier, Memory::of(memory_bytes));
    (rpc::routes(models.clone(), door.clone()), rest::routes(models, door))
}

/// The models that serve, without anything around them.
#[derive(Clone)]
struct BareModels {
    serving: Serving,
    in_hand: InHand,
}

/// A request, whichever face it came to.
struct Asked {
    inputs: Vec<Input>,
    /// By name; empty: all that the model gives.
    outputs: Vec<String>,
    mirrored: bool,
    /// What each number of the answer takes while that is written.
    number_bytes: usize,
}

/// What the model said, and which one.
struct Said {
    model: String,
    version: String,
    outputs: Vec<Tensor>,
}

/// What a model takes and gives.
struct Metadata {
    info: ModelInfo,
    versions: Vec<String>,
    signature: Signature,
}

impl BareModels {
    fn metadata(&self, name: &str, version: &str) -> Result<Metadata> {
        let model = self.serving.named(name, version)?.model;
        let (info, signature) = (model.model_info().clone(), Signature::of(&model));
        Ok(Metadata { info, versions: self.serving.versions(name), signature })
    }

    fn ready(&self, name: &str, version: &str) -> Result<()> {
        self.serving.named(name, version)?.model.check()
    }

    /// Predicts what is asked, after whatever scans wait.
    ///
    /// `Invalid` for what is no tile of that model, before the model sees any of it: an engine that fails takes the slices
    /// of others with it. `Exhausted` where the answer would find no room in memory, before the model works for it.
    async fn infer(&self, caller: &Caller, served: Served, asked: Asked) -> Result<Said> {
        let model = served.model;
        let signature = Signature::of(&model);
        let Asked { inputs, outputs, mirrored, number_bytes } = asked;
        let outputs = signature.asked(&outputs)?;
        let known = signature.clone();
        let read = move |room: &Room| {
            let tiles = known.tiles(inputs)?;
            room.take_in_all(known.numbers(&tiles).saturating_mul(number_bytes))?;
            Ok(tiles)
        };
        let tiles = caller.room.blocking(read).await?;
        let whose = Whose { tenant: caller.tenant.clone(), priority: None };
        let facts = &model.model_info().facts;
        let (name, version) = (facts.name.clone(), facts.version.clone());
        let (user, tenant, count) = (&caller.subject, &*caller.tenant, tiles.len());
        tracing::info!(
            user.id = user,
            tenant.id = tenant,
            model = name,
            version,
            tiles = count,
            "the bare model is asked"
        );
        let _one = self.in_hand.one();
        let seen = model.predict(tiles, mirrored, &whose).await?;
        let seen = seen.into_iter().map(|seen| seen.output).collect();
        let outputs = caller.room.blocking(move |_| signature.tensors(&outputs, seen)).await?;
        Ok(Said { model: name, version, outputs })
    }
}

impl Metadata {
    /// What runs it, and the form of its weights.
    fn platform(&self) -> &'static str {
        if self.info.is_trained() { "medseg_safetensors" } else { "medseg_closed_form" }
    }
}
