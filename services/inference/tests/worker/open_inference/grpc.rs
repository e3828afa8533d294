use std::collections::HashMap;

use proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use proto::inference::infer_parameter::ParameterChoice;
use proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use proto::inference::*;
use service::Peer;
use service::claims::authorised;
use tonic::{Code, Request, Status};

use super::*;

impl Face {
    fn grpc(&self) -> GrpcInferenceServiceClient<Peer> {
        GrpcInferenceServiceClient::new(Peer::connect(&self.url).unwrap())
            .max_decoding_message_size(TOO_MANY_BYTES)
    }

    /// A request of a scientist.
    fn of_scientist<T>(&self, message: T) -> Request<T> {
        authorised(message, &self.token(Role::Scientist))
    }

    pub(super) async fn infer(
        &self,
        request: ModelInferRequest,
    ) -> Result<ModelInferResponse, Status> {
        let answer = self.grpc().model_infer(self.of_scientist(request)).await?;
        Ok(answer.into_inner())
    }
}

fn input(count: usize, contents: Option<InferTensorContents>) -> InferInputTensor {
    InferInputTensor {
        name: "tile".into(),
        datatype: "FP32".into(),
        shape: [count, SIDE, SIDE, 1].map(|length| length as i64).to_vec(),
        parameters: HashMap::new(),
        contents,
    }
}

fn typed(values: Vec<f32>) -> ModelInferRequest {
    let count = values.len() / PIXELS;
    let contents = InferTensorContents { fp32_contents: values, ..Default::default() };
    ModelInferRequest {
        model_name: "echo".into(),
        id: "seven".into(),
        inputs: vec![input(count, Some(contents))],
        ..Default::default()
    }
}

pub(super) fn raw(values: &[f32]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "echo".into(),
        model_version: env!("CARGO_PKG_VERSION").into(),
        inputs: vec![input(values.len() / PIXELS, None)],
        raw_input_contents: vec![bytes(values).into()],
        ..Default::default()
    }
}

fn parameter(choice: ParameterChoice) -> HashMap<String, InferParameter> {
    HashMap::from([("mirrored".into(), InferParameter { parameter_choice: Some(choice) })])
}

#[tokio::test]
async fn an_answer_has_the_form_of_its_request() {
    let face = Face::of("echo:").await;
    let request = ModelInferRequest {
        parameters: parameter(ParameterChoice::BoolParam(true)),
        ..typed(tiles(2))
    };
    let answer = face.infer(request).await.unwrap();
    assert_eq!((answer.model_name.as_str(), answer.id.as_str()), ("echo", "seven"));
    assert_eq!(answer.model_version, env!("CARGO_PKG_VERSION"));
    let output = &answer.outputs[0];
    assert_eq!((output.name.as_str(), output.datatype.as_str()), ("probability", "FP32"));
    assert_eq!(output.shape, [2, SIDE as i64, SIDE as i64]);
    assert!(output.contents.as_ref().unwrap().fp32_contents == echoes(2));
    assert!(answer.raw_output_contents.is_empty());

    let answer = face.infer(raw(&tiles(3))).await.unwrap();
    assert_eq!(answer.outputs[0].contents, None);
    assert!(answer.raw_output_contents == [bytes(&echoes(3))]);
}

#[tokio::test]
async fn the_server_and_its_model_say_what_they_are() {
    let face = Face::of("threshold:").await;
    let server = face.grpc().server_metadata(face.of_scientist(ServerMetadataRequest {})).await;
    assert_eq!(server.unwrap().into_inner().name, "medseg");
    let of = |name: &str| ModelMetadataRequest { name: name.into(), version: String::new() };
    let answer = face.grpc().model_metadata(face.of_scientist(of("threshold"))).await.unwrap();
    assert_eq!(answer.metadata().get("medseg-preprocessing").unwrap(), "head-square-1");
    assert_eq!(answer.metadata().get("medseg-sides").unwrap(), "256");
    let model = answer.into_inner();
    assert_eq!(model.versions, [env!("CARGO_PKG_VERSION")]);
    assert_eq!(model.inputs[0].shape, [-1, SIDE as i64, SIDE as i64, 1]);
    assert_eq!(model.outputs.len(), 1);
    let unknown = face.grpc().model_metadata(face.of_scientist(of("unknown"))).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    for (name, ready) in [("threshold", true), ("unknown", false)] {
        let of = ModelReadyRequest { name: name.into(), version: String::new() };
        let answer = face.grpc().model_ready(face.of_scientist(of)).await;
        assert_eq!(answer.unwrap().into_inner().ready, ready, "{name}");
    }
}

#[tokio::test]
async fn health_is_told_to_anybody_and_all_else_to_those_who_may() {
    let face = Face::of("echo:").await;
    let live = face.grpc().server_live(ServerLiveRequest {}).await.unwrap();
    let ready = face.grpc().server_ready(ServerReadyRequest {}).await.unwrap();
    assert!(live.into_inner().live && ready.into_inner().ready);
    let metadata = face.grpc().server_metadata(ServerMetadataRequest {}).await;
    let model_ready = face.grpc().model_ready(ModelReadyRequest::default()).await;
    let infer = face.grpc().model_infer(raw(&tiles(1))).await;
    let refused = [metadata.err().unwrap(), model_ready.err().unwrap(), infer.err().unwrap()];
    assert_eq!(refused.map(|status| status.code()), [Code::Unauthenticated; 3]);
    let request = authorised(ServerMetadataRequest {}, &face.token(Role::Clinician));
    let status = face.grpc().server_metadata(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_by_code_and_words() {
    let face = Face::of("echo:").await;
    let of = |request: ModelInferRequest, name: &str, version: &str| ModelInferRequest {
        model_name: name.into(),
        model_version: version.into(),
        ..request
    };
    let one = || raw(&tiles(1));
    let asking = |output: &str| ModelInferRequest {
        outputs: vec![InferRequestedOutputTensor { name: output.into(), ..Default::default() }],
        ..one()
    };
    let both =
        ModelInferRequest { raw_input_contents: one().raw_input_contents, ..typed(tiles(1)) };
    let two = ModelInferRequest { raw_input_contents: vec![Default::default(); 2], ..one() };
    let strange =
        ModelInferRequest { parameters: parameter(ParameterChoice::Int64Param(1)), ..one() };
    // Two bytes each, and two hundred where they are unpacked.
    let many = ModelInferRequest { inputs: vec![Default::default(); 1 << 20], ..one() };
    let cases = [
        (of(one(), "unknown", ""), Code::NotFound, "`unknown`"),
        (of(one(), "echo", "none"), Code::NotFound, "version `none`"),
        (raw(&vec![f32::NAN; PIXELS]), Code::InvalidArgument, "no number"),
        (typed(vec![f32::INFINITY; PIXELS]), Code::InvalidArgument, "beyond 1000"),
        (typed(vec![0.0; PIXELS + 1]), Code::InvalidArgument, "65537 values"),
        (asking("kind"), Code::InvalidArgument, "no output `kind`"),
        (both, Code::InvalidArgument, "raw ones too"),
        (two, Code::InvalidArgument, "as many raw contents"),
        (strange, Code::InvalidArgument, "bool_param"),
        (many, Code::InvalidArgument, "4096 inputs"),
    ];
    for (request, code, words) in cases {
        let status = face.infer(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status} without {words}");
    }
    let too_large = vec![0u8; TOO_MANY_BYTES];
    let request = ModelInferRequest { raw_input_contents: vec![too_large.into()], ..one() };
    assert_eq!(face.infer(request).await.unwrap_err().code(), Code::OutOfRange);
    face.infer(one()).await.unwrap();
}
