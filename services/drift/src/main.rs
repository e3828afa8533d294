#[tokio::main]
async fn main() -> anyhow::Result<()> {
    service::run(drift::open).await
}
