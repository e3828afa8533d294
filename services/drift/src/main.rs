use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::run(drift::open).await
}
