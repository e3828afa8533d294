use std::sync::Arc;

use domain::limits::SHOWN_SLICES_BYTES_MAX;
use domain::{Error, ErrorKind, Result};
use imaging::{Format, Geometry, ImageKind, Modality, Orientation, Protocol, Shape, Volume};
use proto::inference::v1::kinds_server::{Kinds as Wire, KindsServer};
use proto::inference::v1::shown_part::Part;
use proto::inference::v1::{KindProbability, ShownHeader, ShownPart, ToldKind};
use service::Turns;
use service::claims::Verifier;
use tonic::{Request, Response, Status, Streaming};

use super::{Kinds, Told};

/// Bytes of a voxel.
const VOXEL_BYTES: usize = size_of::<f32>();
/// Questions in hand at a time: the slices of each are held.
const QUESTIONS: usize = 8;
/// Of these, one hospital's at most.
const QUESTIONS_OF_ONE: usize = QUESTIONS / 2;

/// The gRPC face of what ingest asks.
pub fn server(kinds: Kinds, verifier: Verifier) -> KindsServer<Rpc> {
    let turns = Turns::of(QUESTIONS).at_most_each(QUESTIONS_OF_ONE);
    KindsServer::new(Rpc { kinds, verifier, turns })
}

/// Translates between the wire and the models.
pub struct Rpc {
    kinds: Kinds,
    verifier: Verifier,
    turns: Turns<Arc<str>>,
}

#[tonic::async_trait]
impl Wire for Rpc {
    async fn tell_kind(
        &self,
        request: Request<Streaming<ShownPart>>,
    ) -> Result<Response<ToldKind>, Status> {
        // Before anything is read: it is known who asks, and there is room for it.
        let claims = self.verifier.sender(request.metadata()).await?;
        let tenant: Arc<str> = claims.tenant().to_string().into();
        let _turn = self.turns.take(tenant.clone()).await;
        let shown = received(request.into_inner()).await?;
        let Told { kinds, model_name, model_version } = self.kinds.told(tenant, shown).await?;
        let told = |(kind, probability): (ImageKind, f64)| KindProbability {
            kind: kind.name().to_owned(),
            probability,
        };
        let kinds = kinds.into_iter().map(told).collect();
        Ok(Response::new(ToldKind { kinds, model_name, model_version }))
    }
}

/// The slices, once all of them have come.
async fn received(mut parts: Streaming<ShownPart>) -> Result<Volume> {
    let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
        return Err(ErrorKind::Invalid.error("a question begins with its header"));
    };
    let (shape, size) = shape_of(&header)?;
    let mut bytes = Vec::with_capacity(size);
    while let Some(part) = parts.message().await? {
        match part.part {
            Some(Part::Voxels(more)) if bytes.len() + more.len() <= size => {
                bytes.extend_from_slice(&more);
            }
            _ => return Err(other_voxels()),
        }
    }
    if bytes.len() != size {
        return Err(other_voxels());
    }
    let (voxels, _) = bytes.as_chunks::<VOXEL_BYTES>();
    let ShownHeader { modality, row_mm, column_mm, .. } = header;
    let is_known = row_mm > 0.0 && column_mm > 0.0;
    Ok(Volume {
        shape,
        voxels: voxels.iter().map(|voxel| f32::from_le_bytes(*voxel)).collect(),
        geometry: is_known.then(|| Geometry::of_distances([0.0, row_mm, column_mm])),
        modality: Modality::of_term(&modality),
        kind: ImageKind::Unknown,
        format: Format::Dicom,
        window: [0.0, 1.0],
        remarks: Vec::new(),
        stored: Orientation::default(),
        protocol: Protocol::default(),
    })
}

/// The shape that the header says, and how many bytes its voxels take.
fn shape_of(header: &ShownHeader) -> Result<(Shape, usize)> {
    let [slices, rows, columns] =
        [header.slices, header.rows, header.columns].map(|length| length as usize);
    let size = [slices, rows, columns]
        .into_iter()
        .try_fold(VOXEL_BYTES, |size, length| size.checked_mul(length))
        .filter(|size| (1..=SHOWN_SLICES_BYTES_MAX).contains(size));
    let size = size.ok_or_else(|| {
        ErrorKind::Invalid
            .error(format!("so many slices are not looked at: {slices} of {rows} x {columns}"))
    })?;
    Ok((Shape { slices, rows, columns }, size))
}

fn other_voxels() -> Error {
    ErrorKind::Invalid.error("there are other voxels than the header says")
}
