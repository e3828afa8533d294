use std::process::ExitCode;

use auth::{Config, build, open};
use service::{system_clock, system_random};

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async |config: Config| {
        let (ports, first_start) = open(&config, system_clock(), system_random()).await?;
        if let Some(first_start) = first_start {
            println!("{first_start}");
        }
        Ok(build(config, ports))
    })
    .await
}
