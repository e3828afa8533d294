//! How much calls may take, and what they leave to others.

use std::time::Duration;

use proto::inference::ModelInferRequest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::grpc::raw;
use super::*;

/// Of which one hospital has half.
const MEMORY_MIB: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

impl Face {
    /// A call that has so many bytes of its body sent, and never more.
    async fn begun(&self, model: &str, bytes: usize) -> TcpStream {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut line = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v2/models/{model}/infer HTTP/1.1\r\nhost: medseg\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            self.token(Role::Scientist),
            2 * bytes
        );
        line.write_all(head.as_bytes()).await.unwrap();
        line.write_all(&vec![b' '; bytes]).await.unwrap();
        line
    }

    /// A call with so many tiles as bytes, whose answer is to be bytes, too.
    fn call(&self, model: &str, count: usize) -> RequestBuilder {
        let values = bytes(&tiles(count));
        let mut input = tile(count);
        input["parameters"] = json!({"binary_data_size": values.len()});
        let request = json!({"inputs": [input], "parameters": {"binary_data_output": true}});
        let json = request.to_string();
        self.post(&format!("/v2/models/{model}/infer"))
            .header("inference-header-content-length", json.len())
            .body([json.as_bytes(), &values].concat())
    }

    /// From now on whoever calls is of another hospital.
    fn of_another(&mut self) {
        self.tenant = TenantId::new(&system_clock(), &system_random());
    }
}

/// Calls until the answer has that status.
async fn until(status: u16, call: impl Fn() -> RequestBuilder) -> Response {
    let calling = async {
        loop {
            let response = call().send().await.unwrap();
            if response.status() == status {
                return response;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, calling).await.expect("the answer changes in time")
}

#[tokio::test]
async fn a_call_that_finds_no_room_is_to_come_again_and_another_hospitals_is_answered() {
    let mut face = Face::with_memory("echo:", MEMORY_MIB).await;
    let line = face.begun("echo", 3584 << 10).await;
    let full = until(503, || face.call("echo", 1)).await;
    assert_eq!(full.headers()["retry-after"], "1");
    let (_, words) = refusal(full).await;
    assert!(words.contains("memory"), "{words}");
    let status = face.infer(raw(&tiles(1))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");

    let own = face.tenant;
    face.of_another();
    assert_eq!(face.call("echo", 1).send().await.unwrap().status(), 200);
    face.infer(raw(&tiles(1))).await.unwrap();
    face.tenant = own;
    drop(line);
    until(200, || face.call("echo", 1)).await;
}

#[tokio::test]
async fn a_call_that_can_never_have_room_is_told_so() {
    let face = Face::with_memory("echo:", MEMORY_MIB).await;
    let (status, words) = refusal(face.call("echo", 6).send().await.unwrap()).await;
    assert_eq!((status, words.contains("fewer tiles")), (400, true), "{words}");
    let status = face.infer(raw(&tiles(6))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    // The body has room, and its answer as JSON has none.
    let mut input = tile(4);
    input["data"] = json!(vec![0; 4 * PIXELS]);
    let request = face.post("/v2/models/echo/infer").json(&json!({"inputs": [input]}));
    assert_eq!(refusal(request.send().await.unwrap()).await.0, 400);
}

#[tokio::test]
async fn what_calls_took_is_given_back_however_they_end() {
    let face = Face::with_memory("stub:?ms=200", MEMORY_MIB).await;
    for _ in 0..8 {
        drop(face.begun("stub", 1 << 20).await);
        let gone = face.call("stub", 1).timeout(Duration::from_millis(100)).send().await;
        assert!(gone.unwrap_err().is_timeout());
        let refused = [
            face.call("unknown", 1),
            face.call("stub", 1).header("content-encoding", "gzip"),
            face.post("/v2/models/stub/infer").body(vec![b' '; 512 << 10]),
            face.call("stub", 6),
        ];
        for request in refused {
            assert_ne!(request.send().await.unwrap().status(), 200);
        }
        let of_stub = |values: &[f32]| ModelInferRequest {
            model_name: "stub".into(),
            model_version: String::new(),
            ..raw(values)
        };
        face.infer(of_stub(&vec![f32::NAN; PIXELS])).await.unwrap_err();
        face.infer(of_stub(&tiles(6))).await.unwrap_err();
    }
    // All but a little of what a hospital has.
    until(200, || face.call("stub", 5)).await;
}

#[tokio::test]
async fn a_hospitals_calls_that_do_not_end_keep_no_other_hospitals_call_waiting() {
    let mut face = Face::with_memory("echo:", MEMORY_MIB).await;
    let mut flood = Vec::new();
    for _ in 0..32 {
        flood.push(face.begun("echo", 10).await);
    }
    let waits = async {
        let own = || face.call("echo", 1).timeout(Duration::from_millis(300)).send();
        while own().await.is_ok() {}
    };
    timeout(PATIENCE, waits).await.expect("its own calls have to wait");
    face.of_another();
    let other = timeout(PATIENCE, face.call("echo", 1).send()).await.unwrap();
    assert_eq!(other.unwrap().status(), 200);
    drop(flood);
}
