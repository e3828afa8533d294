use std::time::{Duration, Instant};

use super::*;

const INFER: &str = "/v2/models/echo/infer";
const JSON_BYTES: &str = "inference-header-content-length";

/// A body of JSON and the bytes behind it, and the length of the JSON.
fn behind(json: &Value, bytes: &[u8]) -> (Vec<u8>, usize) {
    let json = json.to_string();
    ([json.as_bytes(), bytes].concat(), json.len())
}

async fn body(response: Response) -> Value {
    let status = response.status();
    let body = response.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn tiles_as_json_come_back_as_probabilities() {
    let face = Face::of("echo:").await;
    let mut input = tile(2);
    input["data"] = json!(tiles(2));
    let request = json!({"id": "seven", "inputs": [input], "parameters": {"mirrored": true}});
    let version = env!("CARGO_PKG_VERSION");
    for path in [INFER, &format!("/v2/models/echo/versions/{version}/infer")] {
        let answer = body(face.post(path).json(&request).send().await.unwrap()).await;
        assert_eq!((&answer["model_name"], &answer["id"]), (&json!("echo"), &json!("seven")));
        assert_eq!(answer["model_version"], version);
        let output = &answer["outputs"][0];
        assert_eq!(output["name"], "probability");
        assert_eq!(output["shape"], json!([2, SIDE, SIDE]));
        assert!(output["data"] == json!(echoes(2)));
        assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn tiles_as_bytes_come_back_as_bytes() {
    let face = Face::of("echo:").await;
    let (count, values) = (3, bytes(&tiles(3)));
    let mut input = tile(count);
    input["parameters"] = json!({"binary_data_size": values.len()});
    let output = json!({"name": "probability", "parameters": {"binary_data": true}});
    let (sent, json_bytes) = behind(&json!({"inputs": [input], "outputs": [output]}), &values);
    let answer = face.post(INFER).header(JSON_BYTES, json_bytes).body(sent).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    let json_bytes: usize = answer.headers()[JSON_BYTES].to_str().unwrap().parse().unwrap();
    let answer = answer.bytes().await.unwrap();
    let (json, rest) = answer.split_at(json_bytes);
    let json: Value = serde_json::from_slice(json).unwrap();
    let size = json!({"binary_data_size": count * PIXELS * 4});
    assert_eq!(json["outputs"][0]["parameters"], size);
    assert!(rest == bytes(&echoes(count)));
}

#[tokio::test]
async fn the_server_and_its_model_say_what_they_are() {
    let face = Face::of("echo:").await;
    let server = body(face.get("/v2").send().await.unwrap()).await;
    assert_eq!(server["name"], "medseg");
    assert_eq!(server["extensions"], json!(["binary_tensor_data"]));
    let version = env!("CARGO_PKG_VERSION");
    for path in ["/v2/models/echo", &format!("/v2/models/echo/versions/{version}")] {
        let model = body(face.get(path).send().await.unwrap()).await;
        assert_eq!((&model["name"], &model["versions"]), (&json!("echo"), &json!([version])));
        let shape = json!([-1, SIDE, SIDE, 1]);
        assert_eq!(model["inputs"], json!([{"name": "tile", "datatype": "FP32", "shape": shape}]));
        assert_eq!(model["outputs"][0]["shape"], json!([-1, SIDE, SIDE]));
        let parameters = &model["parameters"];
        assert_eq!(parameters["sides"], json!([SIDE]));
        assert_eq!(parameters["preprocessing"], "head-square-1");
        let ready = body(face.get(&format!("{path}/ready")).send().await.unwrap()).await;
        assert_eq!(ready, json!({"name": "echo", "ready": true}));
    }
}

#[tokio::test]
async fn health_is_told_to_anybody_and_all_else_to_those_who_may() {
    let face = Face::of("echo:").await;
    let anybody = |path: &str| face.client.get(format!("{}{path}", face.url));
    for (path, word) in [("/v2/health/live", "live"), ("/v2/health/ready", "ready")] {
        assert_eq!(body(anybody(path).send().await.unwrap()).await, json!({ word: true }));
    }
    for path in ["/v2", "/v2/models/echo", "/v2/models/echo/ready", "/v2/models/unknown"] {
        let response = anybody(path).send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(refusal(response).await.0, 401, "{path}");
    }
    let infer = face.client.post(format!("{}{INFER}", face.url)).body(vec![0; 1 << 20]);
    assert_eq!(refusal(infer.send().await.unwrap()).await.0, 401);
    for (role, status) in [
        (Role::Scientist, 200),
        (Role::Admin, 200),
        (Role::Integrator, 200),
        (Role::Clinician, 403),
    ] {
        let response = anybody("/v2").bearer_auth(face.token(role)).send().await.unwrap();
        assert_eq!(response.status(), status, "{role:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_in_the_protocols_form() {
    let face = Face::of("echo:").await;
    let request = |shape: Value, data: Value| json!({"inputs": [{"name": "tile", "datatype": "FP32", "shape": shape, "data": data}]});
    let sound = request(json!([1, SIDE, SIDE, 1]), json!(tiles(1)));
    let far = request(json!([1, SIDE, SIDE, 1]), json!(vec![1e38f32; PIXELS]));
    let mut of_another_type = sound.clone();
    of_another_type["inputs"][0]["datatype"] = json!("UINT8");
    let cases = [
        ("/v2/models/unknown/infer", &sound, 404, "`unknown`"),
        ("/v2/models/echo/versions/none/infer", &sound, 404, "version `none`"),
        (INFER, &json!({}), 400, "inputs"),
        (INFER, &request(json!([1, 2, 2, 1]), json!([0, 0, 0, 0])), 400, "[N, side, side, 1]"),
        (INFER, &request(json!([1, SIDE, SIDE, 1]), json!([0])), 400, "1 values"),
        (INFER, &of_another_type, 400, "UINT8"),
        (INFER, &far, 400, "beyond 1000"),
        ("/v2/models/echo/config", &sound, 404, "nothing at this address"),
        ("/v2/models/echo", &sound, 405, "no such method"),
    ];
    for (path, request, status, words) in cases {
        let (said, error) = refusal(face.post(path).json(request).send().await.unwrap()).await;
        assert_eq!(said, status, "{path}: {error}");
        assert!(error.contains(words), "{path}: {error} without {words}");
    }
    // None of which the model has seen.
    body(face.post(INFER).json(&sound).send().await.unwrap()).await;
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let face = Face::of("echo:").await;
    let too_large = face.post(INFER).body(vec![b' '; TOO_MANY_BYTES]).send().await.unwrap();
    let (status, words) = refusal(too_large).await;
    assert_eq!((status, words.contains("64 MiB")), (413, true), "{words}");
    let packed = face.post(INFER).header("content-encoding", "gzip").body("{}").send().await;
    assert_eq!(refusal(packed.unwrap()).await.0, 415);
    for length in ["3", "-1", "many"] {
        let response = face.post(INFER).header(JSON_BYTES, length).body("{}").send().await;
        assert_eq!(refusal(response.unwrap()).await.0, 400, "{length}");
    }
}

#[tokio::test]
async fn a_model_that_gives_no_probability_is_an_error_and_no_answer() {
    let face = Face::of("stub:?fault=nan").await;
    let mut input = tile(1);
    input["data"] = json!(tiles(1));
    let request = face.post("/v2/models/stub/infer").json(&json!({"inputs": [input]}));
    let (status, words) = refusal(request.send().await.unwrap()).await;
    assert_eq!((status, words.contains("no probability")), (500, true), "{words}");
}

#[tokio::test]
async fn the_tiles_of_one_request_share_batches() {
    let face = Face::of("stub:?ms=400").await;
    let mut input = tile(8);
    let values = bytes(&tiles(8));
    input["parameters"] = json!({"binary_data_size": values.len()});
    let request = json!({"inputs": [input], "parameters": {"binary_data_output": true}});
    let (sent, json_bytes) = behind(&request, &values);
    let request = face.post("/v2/models/stub/infer").header(JSON_BYTES, json_bytes).body(sent);
    let began = Instant::now();
    assert_eq!(request.send().await.unwrap().status(), 200);
    // One by one they take 3.2 s; the first alone and the others by fours, 1.2 s.
    let took = began.elapsed();
    assert!(took < Duration::from_millis(2800), "{took:?}");
}
