use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::run(storage::open).await
}
