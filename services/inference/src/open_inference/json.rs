//! Requests and answers of the REST face: JSON, with the tensors in it or, by the binary tensor extension, behind it.

use bytes::Bytes;
use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::signature::{Contents, FP32, Input, Tensor};
use super::{Asked, JSON_NUMBER_BYTES, NUMBER_BYTES, Said};

mod numbers;

use numbers::Numbers;

/// What a number of an input takes: once as it is read, once in its tile.
const INPUT_NUMBER_BYTES: usize = 2 * size_of::<f32>();
/// More than an entry of any list takes that holds no numbers.
const ENTRY_BYTES: usize = 256;

/// How an answer is to be written.
pub struct Form {
    id: Option<String>,
    /// Which outputs are wanted as bytes, by name; of the others, what `binary_data_output` says.
    binary: Vec<(String, bool)>,
    otherwise_binary: bool,
}

/// An answer's body, and the length of its JSON where bytes follow.
pub struct Written {
    pub body: Vec<u8>,
    pub json_bytes: Option<usize>,
}

#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<RequestInput>,
    #[serde(default)]
    outputs: Vec<RequestOutput>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    mirrored: bool,
    binary_data_output: bool,
}

#[derive(Deserialize)]
struct RequestInput {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    #[serde(default)]
    parameters: InputParameters,
    data: Option<Numbers>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputParameters {
    binary_data_size: Option<usize>,
}

#[derive(Deserialize)]
struct RequestOutput {
    name: String,
    #[serde(default)]
    parameters: OutputParameters,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputParameters {
    binary_data: Option<bool>,
}

#[derive(Serialize)]
struct Response<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<ResponseOutput<'a>>,
}

#[derive(Serialize)]
struct ResponseOutput<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: &'a [i64],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinaryData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f32]>,
}

#[derive(Serialize)]
struct BinaryData {
    binary_data_size: usize,
}

/// What a request takes in memory beside its body, at most: known before any of it is read. Each number but the first of a
/// list follows a comma, each other entry begins with a brace.
pub fn bytes_of(body: &[u8], json_bytes: Option<usize>) -> usize {
    let (json, raw) = body.split_at(json_bytes.unwrap_or(body.len()).min(body.len()));
    let taken = |byte: &u8| match byte {
        b',' => INPUT_NUMBER_BYTES,
        b'{' => ENTRY_BYTES,
        _ => 0,
    };
    json.iter().map(taken).sum::<usize>() + raw.len() / size_of::<f32>() * INPUT_NUMBER_BYTES
}

/// Reads a request, whose JSON is so long (None: all of it).
pub fn read(body: Bytes, json_bytes: Option<usize>) -> Result<(Asked, Form)> {
    let json_bytes = json_bytes.unwrap_or(body.len());
    if json_bytes > body.len() {
        return Err(invalid("the body ends before its JSON does"));
    }
    let request: Request = serde_json::from_slice(&body[..json_bytes]).map_err(|error| {
        // What serde says is of the caller's own request.
        invalid(&format!("the request is not as the protocol has it: {error}"))
    })?;
    let mut rest = body.slice(json_bytes..);
    let inputs = request.inputs.into_iter().map(|input| input.taken(&mut rest));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    if !rest.is_empty() {
        return Err(invalid(&format!("{} bytes belong to no input", rest.len())));
    }
    let outputs = request.outputs.iter().map(|output| output.name.clone()).collect();
    let Parameters { mirrored, binary_data_output: otherwise_binary } = request.parameters;
    let all_binary = match request.outputs.as_slice() {
        [] => otherwise_binary,
        named => named.iter().all(|it| it.parameters.binary_data.unwrap_or(otherwise_binary)),
    };
    let number_bytes = if all_binary { NUMBER_BYTES } else { JSON_NUMBER_BYTES };
    let told = |output: RequestOutput| Some((output.name, output.parameters.binary_data?));
    let binary = request.outputs.into_iter().filter_map(told).collect();
    let form = Form { id: request.id, binary, otherwise_binary };
    Ok((Asked { inputs, outputs, mirrored, number_bytes }, form))
}

impl RequestInput {
    /// The input, its bytes taken from the front of `rest` where it has some.
    fn taken(self, rest: &mut Bytes) -> Result<Input> {
        let RequestInput { name, datatype, shape, parameters, data } = self;
        let contents = match (data, parameters.binary_data_size) {
            (Some(numbers), None) => Contents::Values(nested_as(&name, &shape, numbers)?),
            (None, Some(size)) if size <= rest.len() => Contents::Raw(rest.split_to(size)),
            (None, Some(_)) => return Err(invalid("the body ends before its tensors do")),
            _ => {
                return Err(invalid(&format!(
                    "the input `{name}` needs `data`, or `binary_data_size` and bytes: one of them"
                )));
            }
        };
        Ok(Input { name, datatype, shape, contents })
    }
}

/// The numbers, where they are nested as their shape says: by another one each would be taken for another pixel's. In one list
/// they may have any.
fn nested_as(name: &str, shape: &[i64], Numbers { values, lengths }: Numbers) -> Result<Vec<f32>> {
    let is_told = |(length, told): (&usize, &i64)| i64::try_from(*length) == Ok(*told);
    let as_told = lengths.len() == shape.len() && lengths.iter().zip(shape).all(is_told);
    if lengths.len() > 1 && !as_told {
        return Err(invalid(&format!(
            "the input `{name}` is nested as {lengths:?}, and its shape is {shape:?}"
        )));
    }
    Ok(values)
}

impl Form {
    /// Writes what the model said in this form.
    pub fn written(&self, said: &Said) -> Result<Written> {
        let binary: Vec<bool> = said.outputs.iter().map(|tensor| self.is_binary(tensor)).collect();
        let outputs = said.outputs.iter().zip(&binary);
        let response = Response {
            model_name: &said.model,
            model_version: &said.version,
            id: self.id.as_deref(),
            outputs: outputs.clone().map(|(tensor, binary)| described(tensor, *binary)).collect(),
        };
        let mut body = serde_json::to_vec(&response).map_err(|error| {
            ErrorKind::Internal.error("the answer cannot be written").because(error)
        })?;
        let json_bytes = binary.contains(&true).then_some(body.len());
        for (tensor, _) in outputs.filter(|(_, binary)| **binary) {
            body.extend(tensor.raw());
        }
        Ok(Written { body, json_bytes })
    }

    fn is_binary(&self, tensor: &Tensor) -> bool {
        let told = self.binary.iter().find(|(name, _)| name == tensor.name);
        told.map_or(self.otherwise_binary, |(_, binary)| *binary)
    }
}

fn described(tensor: &Tensor, binary: bool) -> ResponseOutput<'_> {
    let size = BinaryData { binary_data_size: size_of_val(tensor.values.as_slice()) };
    ResponseOutput {
        name: tensor.name,
        datatype: FP32,
        shape: &tensor.shape,
        parameters: binary.then_some(size),
        data: (!binary).then_some(tensor.values.as_slice()),
    }
}

fn invalid(message: &str) -> domain::Error {
    ErrorKind::Invalid.error(message)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
