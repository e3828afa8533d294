//! Requests of the Open Inference Protocol, counted before they are unpacked.
//!
//! Two bytes can name a tensor that is two hundred in memory, so a limit of a message's bytes alone bounds nothing.

use std::any::TypeId;
use std::marker::PhantomData;

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::inference::ModelInferRequest;

/// What a request names beside its numbers: inputs, outputs, parameters, and the lengths of shapes.
const NAMED_MAX: usize = 4096;

// The numbers of fields, of `/proto/inference/v2/open_inference.proto`.
const PARAMETERS: u32 = 4;
const INPUTS: u32 = 5;
const OUTPUTS: u32 = 6;
const RAW_CONTENTS: u32 = 7;
const SHAPE_OF_INPUT: u32 = 3;
const CONTENTS_OF_INPUT: u32 = 5;
const PARAMETERS_OF_OUTPUT: u32 = 2;
const FP32_OF_CONTENTS: u32 = 6;

/// The codec of the protocol's service: prost's, but for a request to infer, which is counted first.
#[derive(Clone, Debug)]
pub struct CountedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for CountedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for CountedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CountedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CountedDecoder(ProstDecoder::default())
    }
}

/// Unpacks what is not too much.
#[derive(Clone, Debug, Default)]
pub struct CountedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + 'static> Decoder for CountedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if TypeId::of::<U>() == TypeId::of::<ModelInferRequest>() {
            // One piece: tonic has put the frames of a message together.
            counted(message.chunk())?;
        }
        self.0.decode(message)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

/// Refuses a request that names more than [`NAMED_MAX`], or numbers of another kind than ours.
fn counted(request: &[u8]) -> Result<(), Status> {
    let mut named = Named(0);
    each_field(request, |field, _, content| match field {
        PARAMETERS | RAW_CONTENTS => named.more(1),
        INPUTS => named.more(1).and_then(|()| input(content, &mut named)),
        OUTPUTS => named.more(1).and_then(|()| output(content, &mut named)),
        _ => Ok(()),
    })
}

fn input(input: &[u8], named: &mut Named) -> Result<(), Status> {
    each_field(input, |field, wire, content| match field {
        // Packed, a length is one byte at least.
        SHAPE_OF_INPUT if wire == WireType::LengthDelimited => named.more(content.len()),
        SHAPE_OF_INPUT | PARAMETERS => named.more(1),
        CONTENTS_OF_INPUT => contents(content),
        _ => Ok(()),
    })
}

fn output(output: &[u8], named: &mut Named) -> Result<(), Status> {
    each_field(output, |field, _, _| match field {
        PARAMETERS_OF_OUTPUT => named.more(1),
        _ => Ok(()),
    })
}

/// Four bytes make a number of four; of the other kinds one byte makes up to thirty-two.
fn contents(contents: &[u8]) -> Result<(), Status> {
    each_field(contents, |field, _, _| match field {
        FP32_OF_CONTENTS => Ok(()),
        _ => Err(Status::invalid_argument(
            "a tensor's elements are of the datatype FP32, in `fp32_contents`",
        )),
    })
}

/// How much has been named so far.
struct Named(usize);

impl Named {
    fn more(&mut self, count: usize) -> Result<(), Status> {
        self.0 += count;
        if self.0 <= NAMED_MAX {
            return Ok(());
        }
        let message = format!(
            "a request has {NAMED_MAX} inputs, outputs, parameters and lengths of shapes at most"
        );
        Err(Status::invalid_argument(message))
    }
}

/// Calls `visit` with each field's number, its form on the wire and, where it has a length, its content.
fn each_field(
    mut message: &[u8],
    mut visit: impl FnMut(u32, WireType, &[u8]) -> Result<(), Status>,
) -> Result<(), Status> {
    while message.has_remaining() {
        let (field, wire, content) = next_field(&mut message).map_err(malformed)?;
        visit(field, wire, content)?;
    }
    Ok(())
}

fn next_field<'a>(message: &mut &'a [u8]) -> Result<(u32, WireType, &'a [u8]), DecodeError> {
    let (field, wire) = decode_key(message)?;
    if wire != WireType::LengthDelimited {
        skip_field(wire, field, message, DecodeContext::default())?;
        return Ok((field, wire, &[]));
    }
    let mut behind = *message;
    skip_field(wire, field, &mut behind, DecodeContext::default())?;
    let length = decode_varint(message)? as usize;
    let content = &message[..length];
    *message = behind;
    Ok((field, wire, content))
}

/// As tonic says it.
fn malformed(error: DecodeError) -> Status {
    Status::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::inference::InferTensorContents;
    use crate::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};

    fn judged(request: &ModelInferRequest) -> Result<(), Code> {
        counted(&request.encode_to_vec()).map_err(|status| status.code())
    }

    fn holding(contents: InferTensorContents) -> ModelInferRequest {
        let input = InferInputTensor { contents: Some(contents), ..Default::default() };
        ModelInferRequest { inputs: vec![input], ..Default::default() }
    }

    #[test]
    fn numbers_are_not_counted() {
        let fp32_contents = vec![0.5; 10 * NAMED_MAX];
        let request = holding(InferTensorContents { fp32_contents, ..Default::default() });
        assert_eq!(judged(&request), Ok(()));
        let raw_input_contents = vec![vec![0u8; 10 * NAMED_MAX].into()];
        let request = ModelInferRequest { raw_input_contents, ..Default::default() };
        assert_eq!(judged(&request), Ok(()));
    }

    #[test]
    fn what_is_small_on_the_wire_and_large_in_memory_is_refused() {
        let many = NAMED_MAX + 1;
        let empty = ModelInferRequest::default;
        let shaped = InferInputTensor { shape: vec![1; many], ..Default::default() };
        let output = InferRequestedOutputTensor::default();
        let requests = [
            ModelInferRequest { inputs: vec![InferInputTensor::default(); many], ..empty() },
            ModelInferRequest { inputs: vec![shaped], ..empty() },
            ModelInferRequest { outputs: vec![output; many], ..empty() },
            ModelInferRequest { raw_input_contents: vec![Default::default(); many], ..empty() },
            holding(InferTensorContents { int64_contents: vec![1], ..Default::default() }),
            holding(InferTensorContents { bool_contents: vec![true], ..Default::default() }),
            holding(InferTensorContents {
                bytes_contents: vec![Default::default()],
                ..Default::default()
            }),
        ];
        for (index, request) in requests.iter().enumerate() {
            assert_eq!(judged(request), Err(Code::InvalidArgument), "{index}");
        }
        let most = vec![InferInputTensor::default(); NAMED_MAX];
        assert_eq!(judged(&ModelInferRequest { inputs: most, ..empty() }), Ok(()));
    }

    #[test]
    fn what_ends_too_soon_is_refused() {
        let request =
            holding(InferTensorContents { fp32_contents: vec![1.0], ..Default::default() });
        let bytes = request.encode_to_vec();
        for length in 1..bytes.len() {
            let judged = counted(&bytes[..length]).map_err(|status| status.code());
            assert_eq!(judged, Err(Code::Internal), "{length} bytes");
        }
    }
}
