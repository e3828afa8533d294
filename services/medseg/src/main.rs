use std::process::ExitCode;

use clap::{Parser, Subcommand};
use medseg::{
    audit, bench, certify, dataset, evaluate, finish, forward, model, phantom, replay, segment,
    serve, tenant, train, user,
};
use service::cli;

/// Finds brain tumours in head scans: the whole mesh in one process, and the tools around it.
#[derive(Parser)]
#[command(version)]
struct Medseg {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every service in one process, on one directory.
    Serve(Box<serve::Serve>),
    /// Analyse files and write the results to a folder: no server, no account, no port.
    Segment(Box<segment::Segment>),
    /// Hand on what a watched folder brought to another medseg, once the line is there.
    Forward(Box<forward::Forward>),
    /// Manage tenants and users of a data directory.
    User(user::User),
    /// Make, suspend, resume and close tenants, of a running medseg or in its database.
    Tenant(tenant::Tenant),
    /// Verify the chains of the audit trail.
    Audit(audit::Audit),
    /// Register, compare and promote the models of a running medseg.
    Model(model::Model),
    /// Make a result again, with the model that made it, and compare the two.
    Replay(Box<replay::Replay>),
    /// Measure phantoms of known size, and sign a certificate of it; or verify one.
    Certify(Box<certify::Certify>),
    /// Import, look through, split and copy labelled data.
    Dataset(dataset::Dataset),
    /// Train a model from a folder with a manifest.csv.
    Train(Box<train::Train>),
    /// Choose and measure anew how a model reads scans; its weights stay as they are.
    Finish(finish::Finish),
    /// Measure a model against scans with known masks.
    Evaluate(Box<evaluate::Evaluate>),
    /// Print a table of speeds: the whole way of a scan beside the bare network.
    Bench(bench::Bench),
    /// Make a head scan with a lesion of known size.
    Phantom(phantom::Phantom),
}

fn main() -> ExitCode {
    // Before anything connects: each client of TLS asks the process which implementation it has.
    service::choose_tls();
    cli::mind_readers();
    cli::end(run(cli::parse::<Medseg>().command))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(serve) => serve.run()?,
        // Their exit status is their answer.
        Command::Segment(segment) => return segment.run(),
        Command::Replay(replay) => return replay.run(),
        Command::Certify(certify) => return certify.run(),
        Command::Forward(forward) => return forward.run(),
        Command::User(user) => user.run()?,
        Command::Tenant(tenant) => tenant.run()?,
        Command::Audit(audit) => audit.run()?,
        Command::Model(model) => model.run()?,
        Command::Dataset(dataset) => dataset.run()?,
        Command::Train(train) => train.run()?,
        Command::Finish(finish) => finish.run()?,
        Command::Evaluate(evaluate) => evaluate.run()?,
        Command::Bench(bench) => bench.run()?,
        Command::Phantom(phantom) => phantom.run()?,
    }
    Ok(ExitCode::SUCCESS)
}
