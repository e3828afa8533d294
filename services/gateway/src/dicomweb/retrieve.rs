//! Hands out instances, and what is in them (PS3.18, 10.4).

use std::collections::HashSet;
use std::io;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes as Piece;
use domain::{ErrorKind, TenantId};
use futures::{TryStreamExt, stream};
use imaging::{Instance, PixelExtents};
use service::Turn;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

use super::accept::{self, Packing};
use super::budget::Budget;
use super::held::{self, Bytes, Series, Study};
use super::index::Telling;
use super::parts::Boundary;
use super::{Target, frames, json, uploaded};
use crate::Gateway;
use crate::caller::Caller;
use crate::dicom;
use crate::problem::{NOT_ACCEPTABLE, NOT_FOUND, Problem};

/// Pieces of a body on their way; a slow reader holds the writer back.
const PIECES_UNDER_WAY: usize = 4;
/// Explicit little endian: what our own objects are written in.
const OWN_SYNTAX: &str = "1.2.840.10008.1.2.1";
/// Explicit big endian, which is retired.
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const DICOM: &str = "application/dicom";
const OCTETS: &str = "application/octet-stream";
/// The pixels, among long values.
const PIXEL_DATA: &str = "7FE00010";

const UNINDEXED: &str = "no index says where they stand in the upload of their scan, as of those that came before medseg kept one: they are \
    in its `original`, and cannot be handed out one by one";

impl Target {
    /// The study that is meant, with as much of it as is.
    pub async fn study_held(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
    ) -> Result<Study, Problem> {
        held::study(gateway, caller, &self.study, self.series.as_deref()).await
    }
}

/// One instance that is handed out.
struct Sent {
    /// The place of its scan in the study.
    scan: usize,
    location: String,
    bytes: Bytes,
}

impl Sent {
    fn transfer_syntax(&self) -> &str {
        match &self.bytes {
            Bytes::Stored(stored) => &stored.instance.transfer_syntax,
            _ => OWN_SYNTAX,
        }
    }

    /// Its bytes where they stand in no upload; None: they do.
    async fn made(
        &self,
        gateway: &mut Gateway,
        caller: &Caller,
        study: &Study,
    ) -> Result<Option<Piece>, Problem> {
        match &self.bytes {
            Bytes::Stored(_) | Bytes::Told(_) | Bytes::Unindexed => Ok(None),
            Bytes::Made(made) => Ok(Some(Piece::copy_from_slice(made))),
            Bytes::Object(artefact) => {
                let held = &study.scans[self.scan];
                let whose = (&held.identity, &held.reference);
                Ok(Some(dicom::object(gateway, caller, &held.scan, whose, artefact).await?.into()))
            }
        }
    }
}

/// What is handed out of each instance.
#[derive(Clone, Copy)]
enum Of {
    /// All of it.
    Whole,
    /// Parts of it.
    Parts,
    /// What it says of itself.
    Metadata,
}

impl Of {
    fn telling(self, series: &Series<'_>, base: &str) -> Telling {
        match self {
            Of::Whole => Telling::Place,
            Of::Parts => Telling::Parts,
            Of::Metadata => Telling::Metadata(json::instances(series, base)),
        }
    }
}

/// What of a study a target means.
struct Meant {
    sent: Vec<Sent>,
    /// How many more cannot be handed out.
    unindexed: usize,
    budget: Budget,
}

async fn meant(
    gateway: &mut Gateway,
    caller: &Caller,
    study: &Study,
    target: &Target,
    base: &str,
    of: Of,
) -> Result<Meant, Problem> {
    let (mut sent, mut unindexed) = (Vec::new(), 0);
    let budget = gateway.indexes.budget(caller.tenant());
    let named = target.instance.as_ref().map(std::slice::from_ref);
    let mut seen = HashSet::new();
    for series in study.series() {
        if target.series.as_ref().is_some_and(|wanted| *wanted != series.uid()) {
            continue;
        }
        // Of several patients' images under one UID none is handed out among another's.
        let of_another = series.object.is_none() && !seen.insert(series.uid());
        let is_found = sent.len() + unindexed > 0;
        let passed_over = if named.is_some() { is_found } else { of_another };
        if passed_over {
            continue;
        }
        let telling = of.telling(&series, base);
        for item in series.items(gateway, caller, named, &telling, &budget).await? {
            if target.instance.as_ref().is_some_and(|wanted| *wanted != item.uid) {
                continue;
            }
            let location = json::address(&item, base);
            let scan = study.scans.iter().position(|held| held.scan.id == item.held.scan.id);
            match item.bytes {
                Bytes::Unindexed => unindexed += 1,
                bytes => sent.push(Sent { scan: scan.unwrap_or_default(), location, bytes }),
            }
        }
    }
    if sent.is_empty() && unindexed > 0 {
        return Err(NOT_FOUND.problem(UNINDEXED));
    }
    if sent.is_empty() { Err(study.unknown()) } else { Ok(Meant { sent, unindexed, budget }) }
}

/// Says what is left out.
pub fn left_out(response: &mut Response, warnings: &[&str], unindexed: usize) {
    if unindexed > 0 {
        super::warn(response, &format!("{unindexed} instances are left out: {UNINDEXED}"));
    }
    for warning in warnings {
        super::warn(response, warning);
    }
}

/// All instances that are meant, as they came, or as they are made.
pub async fn instances(
    mut gateway: Gateway,
    caller: Caller,
    target: Target,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let base = super::base(headers);
    let study = target.study_held(&mut gateway, &caller).await?;
    let Meant { sent, unindexed, budget } =
        meant(&mut gateway, &caller, &study, &target, &base, Of::Whole).await?;
    let warnings = study.warnings(&target);
    let syntaxes: Vec<&str> = sent.iter().map(Sent::transfer_syntax).collect();
    let packing = accept::packing(headers, &syntaxes)?;
    let salts = study.scans.iter().map(|held| held.scan.original_sha256.as_str());
    let boundary = Boundary::of(salts.chain(sent.iter().map(|sent| sent.location.as_str())));
    let content_type = match packing {
        Packing::Multipart => boundary.media_type(DICOM),
        Packing::Single => format!("{DICOM}; transfer-syntax={}", syntaxes[0]),
    };
    let (sender, pieces) = mpsc::channel(PIECES_UNDER_WAY);
    let writer = Writer { gateway, caller, study, sender, _budget: budget };
    let write = async move {
        let boundary = Some(boundary).filter(|_| packing == Packing::Multipart);
        if let Err(problem) = writer.write(sent, boundary).await {
            tracing::error!(%problem, "instances broke off");
            // Breaks the answer off, so that nobody takes it for whole; a reader who is gone does not mind.
            let _ = writer.sender.send(Err(io::Error::other("the answer broke off"))).await;
        }
    };
    tokio::spawn(write.in_current_span());
    let body = Body::from_stream(ReceiverStream::new(pieces));
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    left_out(&mut response, &warnings, unindexed);
    Ok(response)
}

/// Writes a body while it is sent.
struct Writer {
    gateway: Gateway,
    caller: Caller,
    study: Study,
    sender: mpsc::Sender<io::Result<Piece>>,
    /// Of what is still to be sent.
    _budget: Budget,
}

impl Writer {
    async fn write(&self, sent: Vec<Sent>, boundary: Option<Boundary>) -> Result<(), Problem> {
        let mut gateway = self.gateway.clone();
        for one in sent {
            if let Some(boundary) = &boundary {
                let content_type = format!("{DICOM}; transfer-syntax={}", one.transfer_syntax());
                self.put(boundary.before(&content_type, &one.location)).await?;
            }
            if let Bytes::Stored(stored) = &one.bytes {
                let scan = &self.study.scans[one.scan].scan.id;
                let mut pieces = uploaded::stored(&mut gateway, &self.caller, scan, stored).await?;
                while let Some(piece) = pieces.try_next().await.map_err(failed)? {
                    self.put(piece).await?;
                }
            } else if let Some(made) = one.made(&mut gateway, &self.caller, &self.study).await? {
                self.put(made).await?;
            }
            if boundary.is_some() {
                self.put(Boundary::behind()).await?;
            }
        }
        if let Some(boundary) = boundary {
            self.put(boundary.end()).await?;
        }
        Ok(())
    }

    async fn put(&self, piece: Piece) -> Result<(), Problem> {
        let gone = |_| failed(io::Error::other("nobody reads the answer any more"));
        self.sender.send(Ok(piece)).await.map_err(gone)
    }
}

fn failed(error: io::Error) -> Problem {
    ErrorKind::Unavailable.error("instances cannot be read").because(error).into()
}

/// What the instances that are meant say of themselves.
pub async fn metadata(
    mut gateway: Gateway,
    caller: Caller,
    target: Target,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    accept::require_json(headers)?;
    let base = super::base(headers);
    let study = target.study_held(&mut gateway, &caller).await?;
    let Meant { sent, unindexed, budget } =
        meant(&mut gateway, &caller, &study, &target, &base, Of::Metadata).await?;
    let mut all = Vec::with_capacity(sent.len());
    for one in sent {
        let told = match one {
            Sent { bytes: Bytes::Told(told), .. } => told,
            one => {
                let Some(made) = one.made(&mut gateway, &caller, &study).await? else { continue };
                let said = held::described(&made)?.attributes;
                let told = json::written(&json::metadata(said, &one.location))?;
                budget.hold(told.len())?;
                told
            }
        };
        all.push(told);
    }
    let content_type = [(header::CONTENT_TYPE, "application/dicom+json")];
    let mut response = (content_type, listed(all, budget)).into_response();
    left_out(&mut response, &study.warnings(&target), unindexed);
    Ok(response)
}

/// A list of JSON values, piece by piece: it is nowhere a second time.
fn listed(values: Vec<Vec<u8>>, budget: Budget) -> Body {
    let values = values.into_iter().enumerate().flat_map(|(at, value)| {
        let before: &'static [u8] = if at == 0 { b"[" } else { b"," };
        [Piece::from_static(before), Piece::from(value)]
    });
    let pieces = values.chain([Piece::from_static(b"]")]);
    // It is held until all is sent.
    let pieces = pieces.zip(std::iter::repeat(budget)).map(|(piece, _)| Ok::<_, io::Error>(piece));
    Body::from_stream(stream::iter(pieces))
}

/// One instance with all its bytes, which are in memory until its parts are cut out.
struct Whole {
    instance: Instance,
    file: Piece,
    location: String,
    place: Turn<TenantId>,
    warnings: Vec<&'static str>,
}

async fn whole(
    gateway: &mut Gateway,
    caller: &Caller,
    target: &Target,
    headers: &HeaderMap,
) -> Result<Whole, Problem> {
    let study = target.study_held(gateway, caller).await?;
    let base = super::base(headers);
    let Meant { sent, .. } = meant(gateway, caller, &study, target, &base, Of::Parts).await?;
    let one = sent.into_iter().next().ok_or_else(held::unknown)?;
    let warnings = study.warnings(target);
    if let Bytes::Stored(stored) = &one.bytes {
        let scan = &study.scans[one.scan].scan.id;
        let place = gateway.reports.take(caller.tenant()).await;
        let file = uploaded::whole(gateway, caller, scan, stored).await?;
        let (instance, location) = (stored.instance.clone(), one.location);
        return Ok(Whole { instance, file, location, place, warnings });
    }
    // What is made has a place of its own meanwhile: who held one already would wait for others who do, and they for each other.
    let file = one.made(gateway, caller, &study).await?.ok_or_else(held::unknown)?;
    let place = gateway.reports.take(caller.tenant()).await;
    Ok(Whole { instance: held::described(&file)?, file, location: one.location, place, warnings })
}

/// Frames of one instance, as they are stored.
pub async fn frames(
    mut gateway: Gateway,
    caller: Caller,
    target: Target,
    list: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let numbers = frames::numbers(list)?;
    let Whole { instance, file, location, place: _place, warnings } =
        whole(&mut gateway, &caller, &target, headers).await?;
    let plain = instance.pixels.as_ref().is_some_and(frames::is_plain);
    let stored = if plain { OWN_SYNTAX } else { instance.transfer_syntax.as_str() };
    let media = if plain { OCTETS } else { frames::media_type(stored) };
    let packing = accept::values(headers, media, stored, numbers.len() == 1)?;
    let cut = numbers.iter().map(|number| {
        let frame = frames::cut(&file, instance.pixels.as_ref(), *number)?;
        Ok((format!("{location}/frames/{number}"), frame))
    });
    let parts = cut.collect::<Result<Vec<_>, Problem>>()?;
    let mut response = packed(packing, media, &format!("{media}; transfer-syntax={stored}"), parts);
    left_out(&mut response, &warnings, 0);
    Ok(response)
}

fn packed(
    packing: Packing,
    media: &str,
    content_type: &str,
    parts: Vec<(String, Piece)>,
) -> Response {
    if packing == Packing::Single {
        let body = parts.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default();
        return ([(header::CONTENT_TYPE, content_type.to_owned())], body).into_response();
    }
    let salts = parts.iter().flat_map(|(location, bytes)| [location.as_bytes(), bytes.as_ref()]);
    let boundary = Boundary::of(salts);
    boundary.whole(media, content_type, parts)
}

/// A long value of an instance.
pub async fn bulk(
    mut gateway: Gateway,
    caller: Caller,
    target: Target,
    tag: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Whole { instance, file, location, place: _place, warnings } =
        whole(&mut gateway, &caller, &target, headers).await?;
    let value = match (tag, &instance.pixels) {
        (PIXEL_DATA, Some(PixelExtents::Native { all, swapped, .. })) => {
            frames::octets(&file, *all, *swapped)?
        }
        (PIXEL_DATA, _) => {
            return Err(NOT_ACCEPTABLE
                .problem("its pixels are compressed, or it has none: ask for `frames`"));
        }
        _ => {
            let known = instance.bulk.iter().find(|(known, _)| known == tag);
            let no_such = || NOT_FOUND.problem("the instance has no such long value");
            let (_, extent) = known.ok_or_else(no_such)?;
            if instance.transfer_syntax == BIG_ENDIAN {
                return Err(NOT_ACCEPTABLE
                    .problem("the instance is in big endian, and its long values are not turned: ask for all of it"));
            }
            file.slice_ref(frames::part(&file, *extent)?)
        }
    };
    let packing = accept::values(headers, OCTETS, OWN_SYNTAX, true)?;
    let parts = vec![(format!("{location}/bulkdata/{tag}"), value)];
    let mut response = packed(packing, OCTETS, OCTETS, parts);
    left_out(&mut response, &warnings, 0);
    Ok(response)
}
