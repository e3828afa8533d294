//! medseg from the outside, through its REST face only.
//!
//! Every story is told in each topology: one process on files, and one process per service on
//! sockets, with the servers that `TEST_MYSQL_URL` and `TEST_AMQP_URL` name.

mod faults;
mod kill;
mod stories;

use tests::mesh::Mesh;

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process() -> anyhow::Result<()> {
    stories::tell(Mesh::one_process().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_each() -> anyhow::Result<()> {
    // Processes share a broker; a queue in a file is one process's own.
    let Ok(queue) = std::env::var("TEST_AMQP_URL") else {
        println!("skipped: TEST_AMQP_URL names no broker");
        return Ok(());
    };
    stories::tell(Mesh::one_process_each(&queue).await?).await
}
