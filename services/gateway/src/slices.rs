use std::ops::Range;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ErrorKind;
use domain::artefact::VOLUME;
use futures::TryStreamExt;
use imaging::{Slices, SlicesReader};
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

/// Neighbours that are read with a slice, as long as they are no larger together than this.
const TOGETHER_BYTES: usize = 16 << 20;

/// How a slice is shown.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    /// The values that are shown as black and as white, as in `0,400`; the scan's own unless set.
    #[param(pattern = r"^-?[0-9.]+(e-?[0-9]+)?,-?[0-9.]+(e-?[0-9]+)?$")]
    window: Option<String>,
}

/// Shows one slice of the scan
///
/// As radiologists look at it, in the scan's own pixels and without letters; from the moment that the scan is accepted.
#[utoipa::path(
    operation_id = "get_slice", get, path = "/v1/scans/{id}/slices/{n}", tag = "results",
    params(
        ("id" = String, Path, description = "The scan's id", format = "uuid"),
        ("n" = String, Path, description = "Which slice, from 0, as a picture: `7.png`", pattern = r"^(0|[1-9][0-9]*)\.png$"),
        Shown,
    ),
    responses(
        (status = 200, description = "The slice, 8-bit grey", body = Binary, content_type = "image/png",
            headers(("x-window" = String, description = "The values that are black and white in it, as in `0,400`"))),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan, or no such slice of it", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((id, file)): Path<(String, String)>,
    Query(Shown { window }): Query<Shown>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let window = window.as_deref().map(window_of).transpose()?;
    let scan = gateway.scans.get(caller.request(ScanRef { id })).await?.into_inner();
    let scan = Scan::try_from(scan)?;
    let slice = index_of(&file, &scan)?;
    let tag = tag(&scan.id, slice, window);
    let known = artefacts::matches(&headers, &tag);
    let about = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, KEPT.to_owned()),
        (header::VARY, VARY.to_owned()),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let (png, window) = picture(&mut gateway, &caller, &scan, slice, window).await?;
    let shown = [(header::CONTENT_TYPE, "image/png".to_owned()), (WINDOW, words_of(window))];
    Ok((about, shown, png).into_response())
}

/// The slice as a PNG, and the window that it is shown by.
pub async fn picture(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
    slice: usize,
    window: Option<[f32; 2]>,
) -> Result<(Vec<u8>, [f32; 2]), Problem> {
    let (wanted, bytes) = together(&scan.shape, slice);
    let title = Title { tenant: caller.tenant(), scan: scan.id.clone(), first: wanted.start };
    let shelf = gateway.shelf.clone();
    let slices = shelf.get(title, bytes, read(gateway, caller, &scan.id, wanted)).await?;
    let shown = window.unwrap_or(slices.window());
    // A large slice takes longer than a thread that serves others may be held.
    let drawn = tokio::task::spawn_blocking(move || slices.png(slice, window)).await;
    let drawn = drawn
        .map_err(|error| ErrorKind::Internal.error("a slice could not be drawn").because(error))?;
    Ok((drawn?, shown))
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
    let wanted = slice..slice.saturating_add(1);
    shelf.once(caller.tenant(), bytes, read(gateway, caller, &scan.id, wanted)).await
}

/// Those slices of the stored volume. All of its bytes go by, so that storage has compared its digest.
async fn read(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    wanted: Range<usize>,
) -> Result<Slices, Problem> {
    let mut bytes = artefacts::read(gateway, caller, id, VOLUME.name).await?.bytes;
    let mut reader = SlicesReader::new(wanted);
    while let Some(bytes) = bytes.try_next().await? {
        reader.push(&bytes).map_err(unsound)?;
    }
    reader.finish().map_err(unsound)
}

/// What storage keeps as a volume is one, and has as many slices as storage says: anything else is ours to mend.
fn unsound(error: domain::Error) -> Problem {
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

fn length(shape: &[u32], axis: usize) -> usize {
    shape.get(axis).map_or(0, |length| *length as usize)
}

/// The slice that a name such as `7.png` means.
fn index_of(file: &str, scan: &Scan) -> Result<usize, Problem> {
    let digits = file.strip_suffix(".png").filter(|digits| {
        digits.bytes().all(|digit| digit.is_ascii_digit())
            && (*digits == "0" || !digits.starts_with('0'))
    });
    let slices = length(&scan.shape, 0);
    let index =
        digits.and_then(|digits| digits.parse().ok()).filter(|index: &usize| *index < slices);
    index.ok_or_else(|| {
        let last = slices.saturating_sub(1);
        NOT_FOUND.problem(format!("this scan has the slices 0.png to {last}.png"))
    })
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

fn tag(id: &str, slice: usize, window: Option<[f32; 2]>) -> String {
    // A comma would end the tag in a list of them.
    let window = window.map(|[low, high]| format!("/{low}..{high}")).unwrap_or_default();
    format!("\"{id}/slices/{slice}{window}\"")
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
    }
}
