use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use domain::limits::UPLOAD_FILES_MAX;
use futures::Stream;
use futures::stream::BoxStream;

use crate::CONTROL_BODY_BYTES;
use crate::problem::{INVALID, PAYLOAD_TOO_LARGE, Problem};
use crate::upload_options::UploadOptions;
use crate::upload_sink::UploadSink;

const FORM: &[u8] = b"multipart/form-data";
/// Beside the files; those are counted where they are kept.
const FIELDS_MAX: usize = 64;
/// What the parser may hold back of a form; the headers of a field are far smaller.
const HELD_MAX: usize = 1024 * 1024;

/// Whether the body is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    media.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

/// Whether a body has parts, but is no form.
pub fn is_another_multipart(headers: &HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/";
    let media = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let parts =
        media.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART));
    parts && !is_form(headers)
}

/// Copies the files of the form that `bytes` are into `sink`, and reads the form to its end.
pub async fn copy_to(
    head: Parts,
    bytes: impl Stream<Item = Result<Bytes, Problem>> + Send + 'static,
    sink: &mut impl UploadSink,
) -> Result<(), Problem> {
    let (body, held) = FormBody::of(bytes, "the form has no file where one must begin");
    let mut request = Request::from_parts(head, Body::from_stream(body));
    // The intake counts already, up to the limit that was configured.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| INVALID.problem(error.body_text()))?;

    let (mut fields, mut files) = (0, 0);
    while let Some(mut field) = form.next_field().await.map_err(form_problem)? {
        let file_name = field.file_name().map(str::to_owned);
        let is_file = file_name.is_some();
        let (count, most, what) = match is_file {
            true => (&mut files, UPLOAD_FILES_MAX, "files"),
            false => (&mut fields, FIELDS_MAX, "fields"),
        };
        *count += 1;
        if *count > most {
            return Err(INVALID.problem(format!("a form may have {most} {what} at most")));
        }
        if let Some(name) = file_name {
            sink.begin(&name).await;
        }
        read(&mut field, is_file, &held, sink).await?;
    }
    if files > 0 { Ok(()) } else { Err(INVALID.problem("there is no file in the form")) }
}

/// Reads a field to its end: a file into `sink`, and whole a field that it wants.
async fn read(
    field: &mut Field<'_>,
    is_file: bool,
    held: &AtomicUsize,
    sink: &mut impl UploadSink,
) -> Result<(), Problem> {
    let wanted = !is_file && field.name().is_some_and(|name| sink.wants(name));
    if !is_file && !wanted {
        check_field(field.name())?;
    }
    let mut text = Vec::new();
    while let Some(part) = next(field, held).await? {
        match (is_file, wanted) {
            (true, _) => sink.bytes(part).await,
            (false, true) => append(&mut text, &part)?,
            (false, false) => (),
        }
    }
    if wanted { sink.field(&text) } else { Ok(()) }
}

/// Refuses a field that says what only the query may say.
fn check_field(name: Option<&str>) -> Result<(), Problem> {
    let Some((name, option)) = name.and_then(|name| Some((name, UploadOptions::named(name)?)))
    else {
        return Ok(());
    };
    // Passed over, it would be a scan of nobody's, or one that is not urgent.
    Err(INVALID.problem(format!(
        "`{name}` is no field of the form: say it in the query of the address, `?{option}=...`"
    )))
}

/// The next piece of a field's text, which is held whole.
fn append(text: &mut Vec<u8>, piece: &[u8]) -> Result<(), Problem> {
    text.extend_from_slice(piece);
    if text.len() > CONTROL_BODY_BYTES {
        return Err(PAYLOAD_TOO_LARGE.problem("a field of the form is too long"));
    }
    Ok(())
}

async fn next(field: &mut Field<'_>, held: &AtomicUsize) -> Result<Option<Bytes>, Problem> {
    held.store(0, Ordering::Relaxed);
    field.chunk().await.map_err(form_problem)
}

/// The problem of a form that could not be read: one of the gateway's own, or a malformed form.
fn form_problem(error: MultipartError) -> Problem {
    let ours = Problem::within(&error).cloned();
    ours.unwrap_or_else(|| {
        INVALID.problem(format!("the form cannot be read: {}", error.body_text()))
    })
}

/// The body as the parser reads it.
///
/// The parser keeps what it has read until it is asked for it, and reads on for as long as there is
/// something to read. So it gets one piece at a time, and no more than a form's headers may take
/// before it has something to give.
pub struct FormBody {
    bytes: BoxStream<'static, Result<Bytes, Problem>>,
    held: Arc<AtomicUsize>,
    fed: bool,
    /// What is wrong where it gives nothing.
    endless: &'static str,
}

impl FormBody {
    /// One of those bytes, and how much of them the parser may hold back: set to nought whenever it has given something.
    pub fn of(
        bytes: impl Stream<Item = Result<Bytes, Problem>> + Send + 'static,
        endless: &'static str,
    ) -> (FormBody, Arc<AtomicUsize>) {
        let held = Arc::<AtomicUsize>::default();
        (FormBody { bytes: Box::pin(bytes), held: held.clone(), fed: false, endless }, held)
    }
}

impl Stream for FormBody {
    type Item = Result<Bytes, Problem>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.fed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(bytes) = ready!(self.bytes.as_mut().poll_next(cx)?) else {
            return Poll::Ready(None);
        };
        self.fed = true;
        let held = self.held.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        if held > HELD_MAX {
            return Poll::Ready(Some(Err(INVALID.problem(self.endless))));
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    /// The names of the files, each with its length.
    struct Copied(Vec<(String, usize)>);

    impl UploadSink for Copied {
        async fn begin(&mut self, file_name: &str) {
            self.0.push((file_name.to_owned(), 0));
        }

        async fn bytes(&mut self, bytes: Bytes) {
            self.0.last_mut().unwrap().1 += bytes.len();
        }
    }

    /// What becomes of a form of `pieces` that are all there at once.
    async fn copied(pieces: Vec<&'static [u8]>) -> Result<Copied, Problem> {
        let head = Request::builder().header("content-type", "multipart/form-data; boundary=b");
        let (head, ()) = head.body(()).unwrap().into_parts();
        let mut sink = Copied(Vec::new());
        let pieces = stream::iter(pieces).map(|piece| Ok(Bytes::from_static(piece)));
        copy_to(head, pieces, &mut sink).await.map(|()| sink)
    }

    const PIECE: &[u8] = &[b'x'; 64 * 1024];
    const BEGIN: &[u8] = b"--b\r\ncontent-disposition: form-data; name=f; filename=f\r\n\r\n";
    const END: &[u8] = b"\r\n--b--\r\n";

    #[tokio::test]
    async fn a_file_may_be_far_larger_than_what_is_held() {
        let pieces = [vec![BEGIN], vec![PIECE; 1000], vec![END]].concat();
        let copied = copied(pieces).await.ok().unwrap();
        assert_eq!(copied.0, [("f".to_owned(), 1000 * PIECE.len())]);
    }

    #[tokio::test]
    async fn every_file_of_a_form_is_poured() {
        let next: &[u8] = b"\r\n--b\r\ncontent-disposition: form-data; name=f; filename=g\r\n\r\n";
        let pieces = [vec![BEGIN], vec![PIECE; 3], vec![next], vec![PIECE; 2], vec![END]].concat();
        let copied = copied(pieces).await.ok().unwrap();
        let named = |name: &str, pieces: usize| (name.to_owned(), pieces * PIECE.len());
        assert_eq!(copied.0, [named("f", 3), named("g", 2)]);
    }

    #[tokio::test]
    async fn so_may_a_field_that_nobody_wants() {
        let text: &[u8] = b"--b\r\ncontent-disposition: form-data; name=t\r\n\r\n";
        let begin: &[u8] =
            b"\r\n--b\r\ncontent-disposition: form-data; name=f; filename=f\r\n\r\nfile";
        let pieces = [vec![text], vec![PIECE; 1000], vec![begin, END]].concat();
        assert_eq!(copied(pieces).await.ok().unwrap().0, [("f".to_owned(), 4)]);
    }

    #[tokio::test]
    async fn headers_without_end_and_a_form_that_never_begins_are_refused_early() {
        let endless: &[u8] = b"--b\r\ncontent-disposition: form-data; name=";
        for begin in [endless, b"no boundary"] {
            let pieces = [vec![begin], vec![PIECE; 1000]].concat();
            let problem = copied(pieces).await.err().unwrap();
            assert_eq!(problem.to_string(), "the form has no file where one must begin");
        }
    }
}
