use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ErrorKind;
use domain::artefact::VOLUME;
use futures::TryStreamExt;
use imaging::{Plane, Slices, SlicesReader, View};
use proto::audit::Note;
use proto::storage::ScanRef;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Gateway;
use crate::artefacts;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::problem::{INTERNAL, INVALID, NOT_FOUND, Problem};
use crate::scans::{Binary, Scan};
use crate::shelf::Title;

/// Voxels never change; and whose token it was that a cache has them by is in `Vary`.
const KEPT: &str = "private, max-age=3600";
const VARY: &str = "authorization";
/// The values that are black and white in the picture.
pub const WINDOW: HeaderName = HeaderName::from_static("x-window");
/// How high a pixel of the picture is for its width.
const ASPECT: HeaderName = HeaderName::from_static("x-pixel-aspect");
/// What of the patient is at the picture's left, right, upper and lower edge.
const SIDES: HeaderName = HeaderName::from_static("x-sides");

/// Neighbours that are read with a slice, as long as they are no larger together than this.
const TOGETHER_BYTES: usize = 16 << 20;

/// How a slice is shown.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    /// The values that are shown as black and as white, as in `0,400`; the scan's own unless set.
    #[param(pattern = r"^-?[0-9.]+(e-?[0-9]+)?,-?[0-9.]+(e-?[0-9]+)?$")]
    window: Option<String>,
    /// In which plane of the patient slices are cut and counted: from the feet, from the front or from the patient's left
    /// on. As the scan was taken unless set.
    plane: Option<Plane>,
}

/// Shows one slice of the scan
///
/// As radiologists look at it, in the scan's own pixels and without letters; from the moment that the scan is accepted. Of
/// another plane than the scan's own, pixels are seldom square: `X-Pixel-Aspect` says so.
#[utoipa::path(
    operation_id = "get_slice", get, path = "/v1/scans/{id}/slices/{n}", tag = "results",
    params(
        ("id" = String, Path, description = "The scan's id", format = "uuid"),
        ("n" = String, Path, description = "Which slice, from 0, as a picture: `7.png`", pattern = r"^(0|[1-9][0-9]*)\.png$"),
        Shown,
    ),
    responses(
        (status = 200, description = "The slice, 8-bit grey", body = Binary, content_type = "image/png",
            headers(
                ("x-window" = String, description = "The values that are black and white in it, as in `0,400`"),
                ("x-pixel-aspect" = String, description = "How high a pixel is for its width, as in `5.333`; `1.000` where the file does not say"),
                ("x-sides" = Option<String>, description = "What of the patient is at its left, right, upper and lower edge, as in `R,L,H,F`; absent where the file does not say"),
            )),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 400, description = "A plane of a single slice", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such scan, no such slice of it, or planes are asked for and its file does not say which way the patient lies", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((id, file)): Path<(String, String)>,
    Query(Shown { window, plane }): Query<Shown>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let window = window.as_deref().map(window_of).transpose()?;
    let scan = gateway.scans.get(caller.request(ScanRef { id })).await?.into_inner();
    let scan = Scan::try_from(scan)?;
    let slice = match plane {
        None => index_of(&file, &scan)?,
        Some(_) => index_across(&file, &scan)?,
    };
    let tag = tag(&scan.id, plane, slice, window);
    let known = artefacts::matches(&headers, &tag);
    let about = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, KEPT.to_owned()),
        (header::VARY, VARY.to_owned()),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let slices = shelved(&mut gateway, &caller, &scan, slice, plane).await?;
    let shown = [
        (header::CONTENT_TYPE, "image/png".to_owned()),
        (WINDOW, words_of(window.unwrap_or(slices.window()))),
        (ASPECT, format!("{:.3}", slices.pixel_aspect())),
    ];
    let sides = slices.view().map(|view| [(SIDES, sides_of(view))]);
    Ok((about, shown, sides, drawn(slices, slice, window).await?).into_response())
}

/// The slice as a PNG, and the window that it is shown by.
pub async fn picture(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    slice: usize,
    window: Option<[f32; 2]>,
) -> Result<(Vec<u8>, [f32; 2]), Problem> {
    let slices = shelved(gateway, caller, scan, slice, None).await?;
    let shown = window.unwrap_or(slices.window());
    Ok((drawn(slices, slice, window).await?, shown))
}

/// The slice with its neighbours, kept for whoever scrolls on.
async fn shelved(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    slice: usize,
    plane: Option<Plane>,
) -> Result<Arc<Slices>, Problem> {
    let (wanted, bytes) = match plane {
        None => together(&scan.shape, slice),
        Some(_) => together_across(&scan.shape, slice),
    };
    let title =
        Title { tenant: caller.tenant(), scan: scan.id.clone(), plane, first: wanted.start };
    let reader = match plane {
        None => SlicesReader::new(wanted),
        Some(plane) => SlicesReader::across(plane, wanted),
    };
    note_reading(gateway, caller, scan).await?;
    let shelf = gateway.shelf.clone();
    shelf.get(title, bytes, read(gateway, caller, &scan.id, reader)).await
}

/// Notes that the caller sees pixels of the scan, as storage does where it hands them out: what lies here was handed to somebody else.
async fn note_reading(gateway: &mut Gateway, caller: &Caller, scan: &Scan) -> Result<(), Problem> {
    let reading = Note {
        action: "scan.pixels.read".to_owned(),
        object_id: scan.id.clone(),
        detail: VOLUME.name.to_owned(),
    };
    gateway.trail.note_own(caller.request(reading)).await?;
    Ok(())
}

async fn drawn(
    slices: Arc<Slices>,
    slice: usize,
    window: Option<[f32; 2]>,
) -> Result<Vec<u8>, Problem> {
    // A large slice takes longer than a thread that serves others may be held.
    let drawn = tokio::task::spawn_blocking(move || slices.png(slice, window)).await;
    let drawn = drawn
        .map_err(|error| ErrorKind::Internal.error("a slice could not be drawn").because(error))?;
    Ok(drawn?)
}

/// One slice of the scan, which is not kept: it would take the place of what somebody looks at.
pub async fn one(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    slice: usize,
) -> Result<Slices, Problem> {
    let [rows, columns] = [1, 2].map(|axis| length(&scan.shape, axis));
    let bytes = size_of::<f32>().saturating_mul(rows).saturating_mul(columns);
    let shelf = gateway.shelf.clone();
    let reader = SlicesReader::new(slice..slice.saturating_add(1));
    shelf.once(caller.tenant(), bytes, read(gateway, caller, &scan.id, reader)).await
}

/// The reader's slices of the stored volume. All of its bytes go by, so that storage has compared its digest.
async fn read(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    mut reader: SlicesReader,
) -> Result<Slices, Problem> {
    let mut bytes = artefacts::read(gateway, caller, id, VOLUME.name).await?.bytes;
    while let Some(bytes) = bytes.try_next().await? {
        reader.push(&bytes).map_err(unsound)?;
    }
    reader.finish().map_err(unsound)
}

/// What storage keeps as a volume is one, and anything else is ours to mend. But which planes it has, it alone says; slices
/// as they are stored were looked for before.
fn unsound(error: domain::Error) -> Problem {
    if error.kind() == ErrorKind::NotFound {
        return NOT_FOUND.problem(error.to_string());
    }
    tracing::error!(%error, "a stored volume cannot be read");
    INTERNAL.problem("internal error")
}

/// The slices that are read with one, and how many bytes their voxels take.
fn together(shape: &[u32], slice: usize) -> (Range<usize>, usize) {
    let [slices, rows, columns] = std::array::from_fn(|axis| length(shape, axis));
    let bytes = size_of::<f32>().saturating_mul(rows).saturating_mul(columns).max(1);
    let count = (TOGETHER_BYTES / bytes).max(1);
    let first = slice / count * count;
    let wanted = first..first.saturating_add(count).min(slices);
    let bytes = bytes.saturating_mul(wanted.len());
    (wanted, bytes)
}

/// The same across any plane: which of its axes that cuts, the volume itself will say, so that there may be fewer.
fn together_across(shape: &[u32], slice: usize) -> (Range<usize>, usize) {
    let [slices, rows, columns] = std::array::from_fn(|axis| length(shape, axis));
    let sides = [[rows, columns], [slices, columns], [slices, rows]];
    let largest = sides.map(|[height, width]| height.saturating_mul(width)).into_iter().max();
    let bytes = size_of::<f32>().saturating_mul(largest.unwrap_or_default()).max(1);
    let count = (TOGETHER_BYTES / bytes).max(1);
    let first = slice / count * count;
    let longest = slices.max(rows).max(columns);
    let wanted = first..first.saturating_add(count).min(longest);
    let bytes = bytes.saturating_mul(wanted.len());
    (wanted, bytes)
}

fn length(shape: &[u32], axis: usize) -> usize {
    shape.get(axis).map_or(0, |length| *length as usize)
}

/// The slice that a name such as `7.png` means.
fn index_of(file: &str, scan: &Scan) -> Result<usize, Problem> {
    let slices = length(&scan.shape, 0);
    number_of(file).filter(|index| *index < slices).ok_or_else(|| {
        let last = slices.saturating_sub(1);
        NOT_FOUND.problem(format!("this scan has the slices 0.png to {last}.png"))
    })
}

/// The slice of a plane that such a name means. It cannot be beyond the volume's longest side.
fn index_across(file: &str, scan: &Scan) -> Result<usize, Problem> {
    if length(&scan.shape, 0) < 2 {
        return Err(INVALID.problem("this scan is a single slice: it has no other planes"));
    }
    let longest = (0..3).map(|axis| length(&scan.shape, axis)).max().unwrap_or_default();
    let none = || NOT_FOUND.problem("this scan has no such slice in that plane");
    number_of(file).filter(|index| *index < longest).ok_or_else(none)
}

fn number_of(file: &str) -> Option<usize> {
    let digits = file.strip_suffix(".png").filter(|digits| {
        digits.bytes().all(|digit| digit.is_ascii_digit())
            && (*digits == "0" || !digits.starts_with('0'))
    });
    digits.and_then(|digits| digits.parse().ok())
}

/// The window that a text such as `0,400` means.
fn window_of(text: &str) -> Result<[f32; 2], Problem> {
    let value = |text: &str| text.parse().ok().filter(|value: &f32| value.is_finite());
    let ends = text.split_once(',').and_then(|(low, high)| Some([value(low)?, value(high)?]));
    let bad = || INVALID.problem("`window` is two numbers, the lower one first, as in `0,400`");
    ends.filter(|[low, high]| low < high).ok_or_else(bad)
}

fn words_of([low, high]: [f32; 2]) -> String {
    format!("{low},{high}")
}

fn sides_of(View { left, right, top, bottom, .. }: View) -> String {
    format!("{left},{right},{top},{bottom}")
}

fn tag(id: &str, plane: Option<Plane>, slice: usize, window: Option<[f32; 2]>) -> String {
    let plane = match plane {
        None => "",
        Some(Plane::Axial) => "axial/",
        Some(Plane::Coronal) => "coronal/",
        Some(Plane::Sagittal) => "sagittal/",
    };
    // A comma would end the tag in a list of them.
    let window = window.map(|[low, high]| format!("/{low}..{high}")).unwrap_or_default();
    format!("\"{id}/slices/{plane}{slice}{window}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_two_numbers_of_which_the_first_is_the_lower() {
        for (text, expected) in [
            ("0,400", Some([0.0, 400.0])),
            ("-1000,2e3", Some([-1000.0, 2000.0])),
            ("400,0", None),
            ("1,1", None),
            ("0", None),
            ("0,1,2", None),
            ("0,inf", None),
            ("nan,1", None),
            ("", None),
        ] {
            assert_eq!(window_of(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn neighbours_are_read_together_and_a_large_slice_alone() {
        assert_eq!(together(&[24, 256, 256], 7), (0..24, 24 << 18));
        assert_eq!(together(&[155, 512, 512], 40), (32..48, 16 << 20));
        assert_eq!(together(&[155, 512, 512], 150), (144..155, 11 << 20));
        assert_eq!(together(&[2, 4096, 4096], 1), (1..2, 64 << 20));
        assert_eq!(together_across(&[24, 256, 256], 70), (64..128, 64 << 18));
        assert_eq!(together_across(&[2, 4096, 4096], 3), (3..4, 64 << 20));
    }
}
