use bytes::Bytes;
use domain::{Clock, ErrorKind, EvaluationId, Random};
use futures::stream::{self, BoxStream, StreamExt};
use proto::drift::drift_server::Drift;
use proto::drift::{
    CompareWindowsRequest, Comparison, ConfirmedComparison, ConfirmedRequest,
    ListEvaluationsRequest, ListWindowsRequest, OfflineEvaluation, OfflineEvaluations, Quality,
    QualityRequest, ReadRowsRequest, Report as Reply, ReportRef, ReportRequest, Rows, RowsFormat,
    RowsKept, ScansAsked, WindowInFull, WindowRef, Windows,
};
use service::CHUNK_BYTES;
use service::claims::{Claims, Role, Verifier, bearer};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::message::message;
use crate::page;
use crate::quality::{Bound, Period, apart, confirmed, offline, quality};
use crate::references::References;
use crate::report::{Report, report};
use crate::store::{self, Store};
use crate::windows;

/// Who reads reports of drift and reports evaluations, and who reads figures of quality.
const REPORTS: [Role; 2] = [Role::Scientist, Role::Admin];
const FIGURES: [Role; 3] = [Role::Clinician, Role::Scientist, Role::Admin];

/// Translates between the wire and the store.
pub struct Rpc {
    pub store: Store,
    pub references: References,
    pub verifier: Verifier,
    pub bound: Bound,
    pub clock: Clock,
    pub random: Random,
}

impl Rpc {
    async fn allowed(&self, metadata: &MetadataMap, roles: &[Role]) -> Result<Claims, Status> {
        Ok(self.verifier.caller(metadata, roles).await?)
    }
}

#[tonic::async_trait]
impl Drift for Rpc {
    async fn create_report(
        &self,
        request: Request<ReportRequest>,
    ) -> Result<Response<Reply>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        let token = bearer(request.metadata()).unwrap_or_default().to_owned();
        let now_ms = self.clock.now_ms();
        let ReportRequest { from_ms, to_ms } = request.into_inner();
        let Period { from_ms, to_ms } = period(from_ms, to_ms, now_ms)?;
        let window = self.store.window(tenant, from_ms, to_ms).await?;
        let reference = self.references.of(&window, &token).await?;
        let id = new_id(&self.random);
        let report = apart(move || report(id, now_ms, &window, &reference)).await?;
        let json = store::json(&report)?;
        self.store.keep(tenant, &report, &json).await?;
        Ok(reply(report, json))
    }

    async fn get_report(&self, request: Request<ReportRef>) -> Result<Response<Reply>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        let json = self.store.report(tenant, &request.get_ref().id).await?;
        Ok(reply(store::parsed(&json)?, json))
    }

    async fn list_windows(
        &self,
        request: Request<ListWindowsRequest>,
    ) -> Result<Response<Windows>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        Ok(Response::new(windows::list(&self.store, tenant, request.into_inner()).await?))
    }

    async fn get_window(
        &self,
        request: Request<WindowRef>,
    ) -> Result<Response<WindowInFull>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        let token = bearer(request.metadata()).unwrap_or_default();
        let WindowRef { id, carriers } = request.get_ref();
        let (of, reader) = ((&self.store, &self.references), (tenant, token));
        Ok(Response::new(windows::in_full(of, reader, id, *carriers).await?))
    }

    async fn compare_windows(
        &self,
        request: Request<CompareWindowsRequest>,
    ) -> Result<Response<Comparison>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        let CompareWindowsRequest { a, b } = request.get_ref();
        Ok(Response::new(windows::comparison(&self.store, tenant, [a, b]).await?))
    }

    type ReadRowsStream = BoxStream<'static, Result<Rows, Status>>;

    async fn read_rows(
        &self,
        request: Request<ReadRowsRequest>,
    ) -> Result<Response<Self::ReadRowsStream>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        let asked = request.into_inner();
        let (period, format) =
            (period(asked.from_ms, asked.to_ms, self.clock.now_ms())?, asked.format());
        let rows = windows::rows(&self.store, tenant, period, format).await?;
        let pieces: Vec<Result<Rows, Status>> = rows
            .chunks(CHUNK_BYTES)
            .map(|piece| Ok(of_format(piece.to_vec().into(), format)))
            .collect();
        Ok(Response::new(stream::iter(pieces).boxed()))
    }

    async fn get_quality(
        &self,
        request: Request<QualityRequest>,
    ) -> Result<Response<Quality>, Status> {
        let claims = self.allowed(request.metadata(), &FIGURES).await?;
        let to_reader = !claims.roles.iter().any(|role| REPORTS.contains(role));
        let asked = request.into_inner();
        let period = period(asked.from_ms, asked.to_ms, self.clock.now_ms())?;
        let (store, tenant) = (&self.store, claims.tenant());
        let quality = quality(store, tenant, asked.by(), period, self.bound, to_reader).await?;
        Ok(Response::new(quality))
    }

    async fn record_evaluation(
        &self,
        request: Request<OfflineEvaluation>,
    ) -> Result<Response<OfflineEvaluation>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        let id = EvaluationId::new(&self.clock, &self.random);
        let (said, now_ms) = (request.into_inner(), self.clock.now_ms());
        Ok(Response::new(offline::record(&self.store, tenant, id, now_ms, said).await?))
    }

    async fn count_rows(&self, request: Request<ScansAsked>) -> Result<Response<RowsKept>, Status> {
        let tenant = self.allowed(request.metadata(), &[Role::Admin]).await?.tenant();
        let rows = self.store.rows_of(tenant, &request.get_ref().scan_ids).await?;
        Ok(Response::new(RowsKept { rows }))
    }

    async fn compare_confirmed(
        &self,
        request: Request<ConfirmedRequest>,
    ) -> Result<Response<ConfirmedComparison>, Status> {
        let tenant = self.allowed(request.metadata(), &REPORTS).await?.tenant();
        let token = bearer(request.metadata()).unwrap_or_default().to_owned();
        let (store, models, asked) =
            (&self.store, self.references.registry(), request.into_inner());
        Ok(Response::new(confirmed(store, models, (tenant, token.as_str()), asked).await?))
    }

    async fn list_evaluations(
        &self,
        request: Request<ListEvaluationsRequest>,
    ) -> Result<Response<OfflineEvaluations>, Status> {
        let tenant = self.allowed(request.metadata(), &FIGURES).await?.tenant();
        Ok(Response::new(offline::list(&self.store, tenant, request.into_inner()).await?))
    }
}

/// From the beginning, and until now, unless something else is asked for.
fn period(from_ms: i64, to_ms: i64, now_ms: i64) -> domain::Result<Period> {
    let to_ms = if to_ms == 0 { now_ms } else { to_ms };
    if from_ms < 0 || from_ms >= to_ms {
        return Err(ErrorKind::Invalid.error("a window ends after it begins"));
    }
    Ok(Period { from_ms, to_ms })
}

/// A piece of rows, in the field of its format.
fn of_format(piece: Bytes, format: RowsFormat) -> Rows {
    match format {
        RowsFormat::Unspecified | RowsFormat::Csv => Rows { csv: piece, ..Rows::default() },
        RowsFormat::Parquet => Rows { parquet: piece, ..Rows::default() },
    }
}

fn new_id(random: &Random) -> String {
    format!("{:032x}", u128::from_be_bytes(random.bytes()))
}

fn reply(report: Report, json: String) -> Response<Reply> {
    let html = page::html(&report);
    Response::new(message(report, json, html))
}
