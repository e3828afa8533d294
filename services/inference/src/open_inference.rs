//! The Open Inference Protocol v2: the bare model, over REST and gRPC.
//!
//! A caller prepares slices as the model wants them, and gets what the network says of them: no findings, no measures, and no
//! scan is kept. Slices of all callers, and of the jobs in hand, share the model's batches.

mod door;
mod json;
mod rest;
mod rpc;
mod signature;

use domain::{Priority, Result};
use imaging::ModelInfo;
use service::claims::Verifier;
use tonic::service::Routes;

use crate::cores::blocking;
use crate::model::Whose;
use crate::serving::{Served, Serving};
use crate::shadow::InHand;
use door::{Caller, Door};
use signature::{Input, Signature, Tensor};

/// The largest request.
const REQUEST_BYTES: usize = 64 << 20;
/// Whose turn it is when tiles that were asked for take places beside the hospitals' scans. All callers are one party, which the
/// door shares out: else a hospital's scans would wait behind the thousands of tiles that its own calls bring.
const PARTY: &str = "the bare model";
/// Tensors as bytes behind a JSON header, by the name that the protocol's extension has.
const EXTENSIONS: [&str; 1] = ["binary_tensor_data"];

/// Both faces of the models that serve: gRPC and HTTP.
pub fn faces(serving: Serving, in_hand: InHand, verifier: Verifier) -> (Routes, axum::Router) {
    let models = BareModels { serving, in_hand };
    let door = Door::new(verifier);
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

    /// Predicts what is asked.
    ///
    /// `Invalid` for what is no tile of that model, before the model sees any of it: an engine that fails takes the slices
    /// of others with it.
    async fn infer(&self, caller: &Caller, served: Served, asked: Asked) -> Result<Said> {
        let model = served.model;
        let signature = Signature::of(&model);
        let Asked { inputs, outputs, mirrored } = asked;
        let outputs = signature.asked(&outputs)?;
        let known = signature.clone();
        let tiles = blocking(move || known.tiles(inputs)).await?;
        let whose = Whose { tenant: PARTY.into(), priority: Priority::Routine };
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
        let outputs = blocking(move || signature.tensors(&outputs, seen)).await?;
        Ok(Said { model: name, version, outputs })
    }
}

impl Metadata {
    /// What runs it, and the form of its weights.
    fn platform(&self) -> &'static str {
        if self.info.is_trained() { "medseg_safetensors" } else { "medseg_closed_form" }
    }
}
