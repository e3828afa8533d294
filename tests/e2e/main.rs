//! medseg from the outside, through its REST face only.
//!
//! Every story is told in each topology: one process on files, and one process per service on
//! sockets, with the servers that `TEST_MYSQL_URL` and `TEST_AMQP_URL` name.

mod bad_models;
mod deliveries;
mod erased;
mod faults;
mod feedback;
mod hospitals;
mod instances;
mod kill;
mod learning;
mod models;
mod partial_uploads;
mod quality;
mod stops;
mod stories;
mod worklist;

use anyhow::ensure;
use tests::client::ready;
use tests::mesh::{Mesh, Options, broker};
use tests::scans;

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process() -> anyhow::Result<()> {
    stories::tell(Mesh::one_process().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_each() -> anyhow::Result<()> {
    // Processes share a broker; a queue in a file is one process's own.
    let Some(queue) = broker() else { return Ok(()) };
    stories::tell(Mesh::one_process_each(&queue).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_under_a_new_authority_while_the_mesh_runs() -> anyhow::Result<()>
{
    let Some(queue) = broker() else { return Ok(()) };
    let mut mesh = Mesh::told(&queue, 1, &Options::default().mutual()).await?;
    let client = mesh.client().await?;
    for seed in [1, 2] {
        let (scan, _) = client.analyse(&scans::png(seed, true)).await?;
        ensure!(scan["answer"] == "found", "{scan}");
        mesh.renew_certificates()?;
        // These two are called by all others, which have not been started anew and connect to them again.
        for service in ["auth", "storage"] {
            let part = mesh.parts_of(service)[0];
            mesh.renew(part)?;
            ready(&mesh.probes(part)?).await?;
        }
    }
    let (scan, _) = client.analyse(&scans::png(3, true)).await?;
    ensure!(scan["answer"] == "found", "{scan}");
    mesh.terminate()
}
