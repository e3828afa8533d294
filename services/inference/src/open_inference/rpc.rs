use std::collections::HashMap;

use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response as HttpResponse;
use domain::ErrorKind;
use proto::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use proto::inference::infer_parameter::ParameterChoice;
use proto::inference::model_infer_request::InferInputTensor;
use proto::inference::model_infer_response::InferOutputTensor;
use proto::inference::model_metadata_response::TensorMetadata;
use proto::inference::*;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use super::door::{Caller, Door, SOON};
use super::signature::{Contents, FP32, Input, TILE, Tensor};
use super::{Asked, BareModels, EXTENSIONS, NUMBER_BYTES, REQUEST_BYTES, Said};

/// What is told to anybody.
const PROBES: [&str; 2] =
    ["/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"];
/// A byte of a message is in memory so many times: as it came, in a number, and in that number's tile.
const TIMES: usize = 3;

/// The gRPC face.
pub fn routes(models: BareModels, door: Door) -> Routes {
    let server = GrpcInferenceServiceServer::new(Rpc { models });
    let routes = Routes::new(server.max_decoding_message_size(REQUEST_BYTES)).into_axum_router();
    routes.route_layer(from_fn_with_state(door, guarded)).into()
}

async fn guarded(State(door): State<Door>, request: HttpRequest, next: Next) -> HttpResponse {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let refused = |error| Status::from(error).into_http();
    let mut response = door.admit(request, next, TIMES).await.unwrap_or_else(refused);
    let code = response.extensions().get::<Status>().map(Status::code);
    if matches!(code, Some(Code::ResourceExhausted | Code::Unavailable)) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(SOON));
    }
    response
}

/// Translates between the wire and the models.
struct Rpc {
    models: BareModels,
}

#[tonic::async_trait]
impl GrpcInferenceService for Rpc {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self.models.serving.check().is_ok();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let ready = self.models.ready(&name, &version).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let (name, version) = ("medseg".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let extensions = EXTENSIONS.map(str::to_owned).to_vec();
        Ok(Response::new(ServerMetadataResponse { name, version, extensions }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let model = self.models.metadata(&name, &version)?;
        let (signature, facts) = (&model.signature, &model.info.facts);
        let outputs = signature.outputs().into_iter();
        let mut response = Response::new(ModelMetadataResponse {
            name: facts.name.clone(),
            versions: model.versions.clone(),
            platform: model.platform().to_owned(),
            inputs: vec![described(TILE, signature.input_shape())],
            outputs: outputs
                .map(|output| described(output.name(), signature.output_shape(output)))
                .collect(),
        });
        let told = [
            ("medseg-preprocessing", facts.preprocessing.clone()),
            ("medseg-sides", signature.told_sides()),
        ];
        for (name, text) in told {
            if let Ok(text) = text.parse() {
                response.metadata_mut().insert(name, text);
            }
        }
        Ok(response)
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| ErrorKind::Unauthenticated.error("sign in first"))?;
        let mut request = request.into_inner();
        let served = self.models.serving.named(&request.model_name, &request.model_version)?;
        let (id, raw) = (std::mem::take(&mut request.id), !request.raw_input_contents.is_empty());
        let said = self.models.infer(&caller, served, asked(request)?).await?;
        Ok(Response::new(response(id, said, raw)))
    }
}

fn described(name: &str, shape: Vec<i64>) -> TensorMetadata {
    TensorMetadata { name: name.to_owned(), datatype: FP32.to_owned(), shape }
}

fn asked(request: ModelInferRequest) -> domain::Result<Asked> {
    let mirrored = mirrored(&request.parameters)?;
    let outputs = request.outputs.into_iter().map(|output| output.name).collect();
    let raw = request.raw_input_contents;
    let inputs = if raw.is_empty() {
        request.inputs.into_iter().map(typed).collect()
    } else if raw.len() == request.inputs.len() {
        let both = request.inputs.into_iter().zip(raw);
        both.map(|(input, raw)| bare(input, Contents::Raw(raw))).collect::<domain::Result<_>>()?
    } else {
        let message = "as many raw contents as inputs are needed, or none";
        return Err(ErrorKind::Invalid.error(message));
    };
    Ok(Asked { inputs, outputs, mirrored, number_bytes: NUMBER_BYTES })
}

fn mirrored(parameters: &HashMap<String, InferParameter>) -> domain::Result<bool> {
    let Some(told) = parameters.get("mirrored") else { return Ok(false) };
    match told.parameter_choice {
        Some(ParameterChoice::BoolParam(mirrored)) => Ok(mirrored),
        _ => Err(ErrorKind::Invalid.error("`mirrored` is true or false (bool_param)")),
    }
}

/// An input that holds its own numbers.
fn typed(input: InferInputTensor) -> Input {
    let InferInputTensor { name, datatype, shape, contents, .. } = input;
    let values = contents.unwrap_or_default().fp32_contents;
    Input { name, datatype, shape, contents: Contents::Values(values) }
}

/// An input whose bytes came beside it.
fn bare(input: InferInputTensor, contents: Contents) -> domain::Result<Input> {
    let InferInputTensor { name, datatype, shape, contents: own, .. } = input;
    if own.is_some() {
        let message = format!("the input `{name}` has contents, and raw ones too");
        return Err(ErrorKind::Invalid.error(message));
    }
    Ok(Input { name, datatype, shape, contents })
}

fn response(id: String, said: Said, raw: bool) -> ModelInferResponse {
    let raw_output_contents = match raw {
        true => said.outputs.iter().map(|tensor| tensor.raw().into()).collect(),
        false => Vec::new(),
    };
    let output = |Tensor { name, shape, values }: Tensor| InferOutputTensor {
        name: name.to_owned(),
        datatype: FP32.to_owned(),
        shape,
        parameters: HashMap::new(),
        contents: (!raw)
            .then(|| InferTensorContents { fp32_contents: values, ..Default::default() }),
    };
    ModelInferResponse {
        model_name: said.model,
        model_version: said.version,
        id,
        parameters: HashMap::new(),
        outputs: said.outputs.into_iter().map(output).collect(),
        raw_output_contents,
    }
}
