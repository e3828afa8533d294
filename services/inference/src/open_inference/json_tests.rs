use serde_json::{Value, json};

use super::super::signature::{KIND, PROBABILITY};
use super::*;

fn request(input: Value) -> Value {
    json!({"id": "seven", "inputs": [input]})
}

fn tile(rest: Value) -> Value {
    let mut input = json!({"name": "tile", "datatype": "FP32", "shape": [1, 2, 2, 1]});
    let (Value::Object(input_fields), Value::Object(rest)) = (&mut input, rest) else { panic!() };
    input_fields.extend(rest);
    input
}

fn parsed(request: &Value) -> Result<(Asked, Form)> {
    read(request.to_string().into(), None)
}

fn values(asked: &Asked) -> &[f32] {
    match &asked.inputs[0].contents {
        Contents::Values(values) => values,
        Contents::Raw(_) => panic!("bytes where numbers were sent"),
    }
}

fn said() -> Said {
    let probability = Tensor { name: PROBABILITY, shape: vec![1, 1, 2], values: vec![0.1, 1.0] };
    let kind = Tensor { name: KIND, shape: vec![1, 1], values: vec![0.5] };
    Said { model: "m".into(), version: "1".into(), outputs: vec![probability, kind] }
}

#[test]
fn numbers_are_the_same_flat_and_nested() {
    for data in [json!([1, -0.5, 2, 3]), json!([[[[1], [-0.5]], [[2], [3]]]])] {
        let (asked, _) = parsed(&request(tile(json!({"data": data})))).unwrap();
        assert_eq!(values(&asked), [1.0, -0.5, 2.0, 3.0]);
        assert_eq!(asked.inputs[0].shape, [1, 2, 2, 1]);
        assert!(!asked.mirrored && asked.outputs.is_empty());
    }
}

#[test]
fn numbers_that_are_nested_otherwise_than_their_shape_or_unevenly_are_refused() {
    for (data, words) in [
        (json!([[[[1, 2], [3, 4]]]]), "nested as [1, 1, 2, 2], and its shape is [1, 2, 2, 1]"),
        (json!([[1, 2, 3, 4]]), "nested as [1, 4]"),
        (json!([[[[1], [2]], [[3]]], [[[4]]]]), "as many each"),
        (json!([[1], [[2]], [3], [4]]), "as many each"),
        (json!([1, 2, 3, [4]]), "as many each"),
    ] {
        let error = parsed(&request(tile(json!({"data": data})))).err().unwrap().to_string();
        assert!(error.contains(words), "{error} without {words}");
    }
}

#[test]
fn bytes_behind_the_json_go_to_their_inputs_in_order() {
    let sized = |size: usize| tile(json!({"parameters": {"binary_data_size": size}}));
    let json = json!({"inputs": [sized(3), sized(2)]}).to_string();
    let body = |rest: &[u8]| Bytes::from([json.as_bytes(), rest].concat());
    let (asked, _) = read(body(b"abcde"), Some(json.len())).unwrap();
    let raw = asked.inputs.into_iter().map(|input| match input.contents {
        Contents::Raw(raw) => raw,
        Contents::Values(_) => panic!("numbers where bytes were sent"),
    });
    assert_eq!(raw.collect::<Vec<_>>(), [&b"abc"[..], b"de"]);
    for (rest, words) in
        [(&b"abcd"[..], "ends before its tensors"), (&b"abcdef"[..], "1 bytes belong")]
    {
        let error = read(body(rest), Some(json.len())).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn parameters_are_taken_and_those_of_others_passed_over() {
    let mut whole = request(tile(json!({"data": [0, 0, 0, 0]})));
    whole["parameters"] = json!({"mirrored": true, "priority": 3});
    whole["outputs"] = json!([{"name": "probability", "parameters": {"classification": 2}}]);
    let (asked, _) = parsed(&whole).unwrap();
    assert!(asked.mirrored);
    assert_eq!(asked.outputs, [PROBABILITY]);
}

#[test]
fn a_request_that_is_not_as_the_protocol_has_it_is_refused() {
    let mut mirrored = request(tile(json!({"data": [0]})));
    mirrored["parameters"] = json!({"mirrored": "yes"});
    let cases = [
        (mirrored, "a boolean"),
        (json!({"id": "seven"}), "inputs"),
        (json!([]), "not as the protocol"),
        (request(tile(json!({}))), "needs `data`"),
        (request(tile(json!({"data": [0], "parameters": {"binary_data_size": 4}}))), "one of them"),
        (request(tile(json!({"parameters": {"binary_data_size": 4}}))), "ends before its tensors"),
        (request(tile(json!({"data": [0, null]}))), "numbers"),
        (request(tile(json!({"data": ["0"]}))), "numbers"),
        (request(tile(json!({"data": [0], "shape": [-0.5]}))), "i64"),
    ];
    for (request, words) in cases {
        let error = parsed(&request).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(words), "{error} without {words}");
    }
    // What Python writes for a number that is none.
    let nan = request(tile(json!({"data": [0]}))).to_string().replace("[0]", "[NaN]");
    assert!(read(nan.into(), None).is_err());
    assert!(read("{}".into(), Some(3)).is_err());
}

#[test]
fn a_request_takes_no_more_beside_its_body_than_it_says_before_it_is_read() {
    let numbers = request(tile(json!({"data": vec![0; 1000]}))).to_string();
    let told = bytes_of(numbers.as_bytes(), None);
    assert!((8000..9000).contains(&told), "{told}");
    let (asked, _) = read(numbers.into(), None).unwrap();
    assert!(2 * size_of_val(values(&asked)) <= told);
    // What is short in JSON and long in memory.
    let entries = format!(r#"{{"inputs": [], "outputs": [{}{{}}]}}"#, "{},".repeat(1000));
    assert!(bytes_of(entries.as_bytes(), None) >= 1000 * size_of::<RequestInput>());
    // Bytes behind the JSON, commas or not, become numbers and tiles; a length that is none is refused later.
    assert_eq!(bytes_of(b"{},,,,,,,,", Some(2)), 256 + 16);
    assert_eq!(bytes_of(b"{}", Some(usize::MAX)), 256);
}

#[test]
fn an_answer_in_json_takes_more_than_one_in_bytes() {
    let input = || tile(json!({"data": [0]}));
    let outputs = |binary: Value| json!([{"name": "probability", "parameters": binary}]);
    let asked = |binary: bool, outputs: Value| {
        let mut whole = request(input());
        whole["parameters"] = json!({ "binary_data_output": binary });
        whole["outputs"] = outputs;
        parsed(&whole).unwrap().0.number_bytes
    };
    for (binary, outputs, bytes) in [
        (false, json!([]), JSON_NUMBER_BYTES),
        (true, json!([]), NUMBER_BYTES),
        (false, outputs(json!({"binary_data": true})), NUMBER_BYTES),
        (true, outputs(json!({"binary_data": false})), JSON_NUMBER_BYTES),
        (true, outputs(json!({})), NUMBER_BYTES),
    ] {
        assert_eq!(asked(binary, outputs.clone()), bytes, "{outputs}");
    }
}

#[test]
fn arrays_too_deep_are_refused_and_no_stack_is_used_up() {
    let deep = format!(r#"{{"inputs": [{{"name": "tile", "data": {}"#, "[".repeat(1 << 20));
    assert!(read(deep.into(), None).is_err());
}

#[test]
fn an_answer_is_json_unless_bytes_are_wanted() {
    let (_, form) = parsed(&request(tile(json!({"data": [0]})))).unwrap();
    let written = form.written(&said()).unwrap();
    assert_eq!(written.json_bytes, None);
    let answer: Value = serde_json::from_slice(&written.body).unwrap();
    let outputs = json!([
        {"name": "probability", "datatype": "FP32", "shape": [1, 1, 2], "data": [0.1, 1.0]},
        {"name": "kind", "datatype": "FP32", "shape": [1, 1], "data": [0.5]},
    ]);
    let expected =
        json!({"model_name": "m", "model_version": "1", "id": "seven", "outputs": outputs});
    // 0.1 is written as the shortest number that is that float.
    assert_eq!(answer, expected);
}

#[test]
fn each_output_comes_in_the_form_that_it_is_wanted_in() {
    let mut whole = request(tile(json!({"data": [0]})));
    whole["parameters"] = json!({"binary_data_output": true});
    whole["outputs"] = json!([
        {"name": "probability"},
        {"name": "kind", "parameters": {"binary_data": false}},
    ]);
    let (_, form) = parsed(&whole).unwrap();
    let Written { body, json_bytes } = form.written(&said()).unwrap();
    let (json, bytes) = body.split_at(json_bytes.unwrap());
    let answer: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(answer["outputs"][0]["parameters"], json!({"binary_data_size": 8}));
    assert_eq!(answer["outputs"][0].get("data"), None);
    assert_eq!(answer["outputs"][1]["data"], json!([0.5]));
    assert_eq!(bytes, [0.1f32.to_le_bytes(), 1.0f32.to_le_bytes()].concat());
}
