//! Instances as pictures: the slices that they are, as every face here draws them (PS3.18, 8.3.5 and 10.4.1.1.3).

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use domain::artefact::{CAPTURE, DOCUMENT};
use domain::{Artefact, ErrorKind, Identity};

use super::held::{self, Bytes, Held, Item, Study};
use super::index::Telling;
use super::retrieve::left_out;
use super::{Target, accept};
use crate::Gateway;
use crate::caller::Caller;
use crate::problem::{INVALID, NOT_ACCEPTABLE, NOT_FOUND, Problem};
use crate::{dicom, scan_report, slices, thumbnails};

/// A slice as a picture: the instance's, or that of its frame (from 1).
pub async fn rendered(
    mut gateway: Gateway,
    caller: Caller,
    target: Target,
    frame: u32,
    window: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    accept::require_png(headers)?;
    let window = window.map(window_of).transpose()?;
    let study = target.study_held(&mut gateway, &caller).await?;
    let png = match slice_of(&mut gateway, &caller, &study, &target, frame).await? {
        Shown::Slice(scan, slice) => {
            let scan = &study.scans[scan].scan;
            slices::picture(&mut gateway, &caller, scan, slice, window).await?.0
        }
        Shown::Object(scan, artefact) if *artefact == CAPTURE => {
            let scan = &study.scans[scan].scan;
            let result = scan_report::result(&mut gateway, &caller, scan).await?;
            dicom::picture(&mut gateway, &caller, &scan.id, &result).await?
        }
        Shown::Object(..) => {
            return Err(NOT_ACCEPTABLE
                .problem("no picture is drawn of this kind of object: ask for the object itself"));
        }
    };
    Ok(answered(png, &study, &target))
}

fn answered(png: impl IntoResponse, study: &Study, target: &Target) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "image/png")], png).into_response();
    left_out(&mut response, &study.warnings(target), 0);
    response
}

/// What an instance shows.
enum Shown {
    /// A slice of the scan at that place.
    Slice(usize, usize),
    /// The object of its result.
    Object(usize, &'static Artefact),
}

/// Which slice of its scan, as pictures count them, the frame of the instance is.
async fn slice_of(
    gateway: &mut Gateway,
    caller: &Caller,
    study: &Study,
    target: &Target,
    frame: u32,
) -> Result<Shown, Problem> {
    let wanted = target.instance.as_deref().unwrap_or_default();
    for series in study.series() {
        if target.series.as_ref().is_some_and(|wanted| *wanted != series.uid()) {
            continue;
        }
        let place_of = |of: &Held| {
            let place = study.scans.iter().position(|held| held.scan.id == of.scan.id);
            place.unwrap_or_default()
        };
        if series.object.is_some() {
            let budget = gateway.indexes.budget(caller.tenant());
            let items = series.items(gateway, caller, None, &Telling::Place, &budget).await?;
            let artefact = items.iter().find(|item| item.uid == wanted).and_then(artefact_of);
            match artefact {
                Some(artefact) => return Ok(Shown::Object(place_of(series.held), artefact)),
                None => continue,
            }
        }
        let has =
            |of: &&Held| of.identity.sop_instance_uids.iter().any(|uid| held::plain(uid) == wanted);
        let Some(of) = series.scans().find(has) else { continue };
        let grid = dicom::grid(gateway, caller, &of.scan.id).await?;
        let (to_own, slices) = (grid.to_own_grid(), grid.shape().slices);
        if to_own.axes[0] != 0 {
            return Err(NOT_ACCEPTABLE.problem("pictures of this scan are cut across its instances: there is none of this one alone"));
        }
        let own = own_slice(&of.identity, wanted, frame, slices)?;
        let slice = if to_own.flipped[0] { slices - 1 - own } else { own };
        return Ok(Shown::Slice(place_of(of), slice));
    }
    Err(study.unknown())
}

/// Which of so many slices of the grid of its files the frame (from 1) of the instance is. Refused where not each slice has a name of its
/// own: counted among those that have, it would be another slice.
fn own_slice(
    identity: &Identity,
    wanted: &str,
    frame: u32,
    slices: usize,
) -> Result<usize, Problem> {
    let Identity { sop_instance_uids: uids, frame_numbers: frames, .. } = identity;
    let of_frames = uids.len() == 1 && !frames.is_empty();
    let named = if of_frames { frames.len() } else { uids.len() };
    if named != slices {
        return Err(NOT_ACCEPTABLE.problem(
            "the files of this scan do not name each of its slices: which of them this instance is, cannot be told",
        ));
    }
    let own = if of_frames {
        frames.iter().position(|number| *number == frame)
    } else {
        uids.iter().position(|uid| held::plain(uid) == wanted).filter(|_| frame == 1)
    };
    own.ok_or_else(|| NOT_FOUND.problem("the instance has no such frame"))
}

fn artefact_of(item: &Item<'_>) -> Option<&'static Artefact> {
    match item.bytes {
        Bytes::Object(artefact) => Some(artefact),
        // The only object that is named by its bytes.
        Bytes::Made(_) => Some(&DOCUMENT),
        Bytes::Stored(_) | Bytes::Told(_) | Bytes::Unindexed => None,
    }
}

/// A small picture of a study's newest scan, of a series or of an instance.
pub async fn thumbnail(
    mut gateway: Gateway,
    caller: Caller,
    target: Target,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    accept::require_png(headers)?;
    let study = target.study_held(&mut gateway, &caller).await?;
    let shown = match &target.instance {
        Some(_) => Some(slice_of(&mut gateway, &caller, &study, &target, 1).await?),
        None => None,
    };
    let png = match shown {
        Some(Shown::Slice(scan, slice)) => {
            let scan = &study.scans[scan].scan;
            let read = slices::one(&mut gateway, &caller, scan, slice).await?;
            let drawn =
                tokio::task::spawn_blocking(move || read.thumbnail(slice, thumbnails::SIDE));
            drawn.await.map_err(|error| {
                ErrorKind::Internal.error("a thumbnail could not be drawn").because(error)
            })??
        }
        Some(Shown::Object(scan, _)) => {
            thumbnails::drawn(&mut gateway, &caller, &study.scans[scan].scan).await?
        }
        None => {
            let series = study.series().into_iter();
            let mut series = series.filter(|series| {
                target.series.as_ref().is_none_or(|wanted| *wanted == series.uid())
            });
            let series = series.next().ok_or_else(|| study.unknown())?;
            thumbnails::drawn(&mut gateway, &caller, &series.held.scan).await?
        }
    };
    Ok(answered(png, &study, &target))
}

/// The values that are black and white of a center and a width (PS3.18, 8.3.5.1.4), whose curve is a line.
fn window_of(text: &str) -> Result<[f32; 2], Problem> {
    let bad = || INVALID.problem("`window` is a center, a width and `linear`, as in 40,400,linear");
    let mut parts = text.split(',');
    let number = |text: Option<&str>| text?.parse().ok().filter(|number: &f32| number.is_finite());
    let (Some(center), Some(width)) = (number(parts.next()), number(parts.next())) else {
        return Err(bad());
    };
    let curve = parts.next().unwrap_or("linear");
    if width <= 1.0 || !matches!(curve, "linear" | "linear-exact") || parts.next().is_some() {
        return Err(bad());
    }
    let (center, half) = match curve {
        "linear" => (center - 0.5, (width - 1.0) / 2.0),
        _ => (center, width / 2.0),
    };
    Ok([center - half, center + half])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_told_by_names_only_where_each_slice_has_one() {
        let own = |uids: &[&str], frames: &[u32], (wanted, frame): (&str, u32), slices: usize| {
            let identity = Identity {
                sop_instance_uids: uids.iter().map(|uid| (*uid).to_owned()).collect(),
                frame_numbers: frames.to_vec(),
                ..Identity::default()
            };
            own_slice(&identity, wanted, frame, slices).map_err(|problem| problem.status())
        };
        assert_eq!(own(&["1.1", "1.2\0"], &[], ("1.2", 1), 2), Ok(1));
        assert_eq!(own(&["1.1", "1.2"], &[], ("1.2", 2), 2), Err(404));
        assert_eq!(own(&["1.1"], &[3, 1, 2], ("1.1", 1), 3), Ok(1));
        assert_eq!(own(&["1.1"], &[3, 1, 2], ("1.1", 4), 3), Err(404));
        // The first of three slices has no name; and nobody knows in which order these frames lie.
        assert_eq!(own(&["1.2", "1.3"], &[], ("1.2", 1), 3), Err(406));
        assert_eq!(own(&["1.1"], &[], ("1.1", 1), 3), Err(406));
    }

    #[test]
    fn a_window_is_a_center_and_a_width() {
        assert_eq!(window_of("40,401,linear").unwrap(), [-160.5, 239.5]);
        assert_eq!(window_of("40,400,linear-exact").unwrap(), [-160.0, 240.0]);
        for bad in ["", "40", "40,0,linear", "40,400,sigmoid", "a,b", "1,2,linear,3"] {
            assert!(window_of(bad).is_err(), "{bad}");
        }
    }
}
