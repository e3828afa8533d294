//! A system of a hospital, on a real socket, which answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(30);

/// What it does with the next message.
#[derive(Clone, Debug)]
pub enum Does {
    Answer(u16, String),
    /// Never answers.
    Hang,
    /// Leads elsewhere.
    Redirect(String),
}

/// What it was sent.
#[derive(Clone, Debug)]
pub struct Message {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

#[derive(Default)]
struct Inner {
    received: Mutex<Vec<Message>>,
    does: Mutex<VecDeque<Does>>,
}

/// Stops when dropped.
pub struct Receiver {
    pub url: String,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Does these with the first messages, and takes all others.
    pub async fn start(does: &[Does]) -> anyhow::Result<Receiver> {
        let inner = Arc::new(Inner::default());
        inner.does.lock().unwrap_or_else(PoisonError::into_inner).extend(does.iter().cloned());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/studies", listener.local_addr()?);
        let app = Router::new().fallback(take).with_state(inner.clone());
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Receiver { url, inner, task })
    }

    pub fn received(&self) -> Vec<Message> {
        self.inner.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The messages once there are so many.
    pub async fn until(&self, count: usize) -> anyhow::Result<Vec<Message>> {
        let all = async {
            loop {
                let received = self.received();
                if received.len() >= count {
                    return received;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        Ok(tokio::time::timeout(PATIENCE, all).await?)
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let message = Message { headers, body: body.to_vec() };
    inner.received.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    let does = inner.does.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    match does {
        None => StatusCode::OK.into_response(),
        Some(Does::Hang) => std::future::pending().await,
        Some(Does::Redirect(to)) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
        }
        Some(Does::Answer(status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            (status, body).into_response()
        }
    }
}
