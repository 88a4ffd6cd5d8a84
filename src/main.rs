//! `spanhouse`: parse, build, run, drain.
//!
//! - `cli`: the command line.
//! - `config`: settings from file, environment and flags.
//! - `serve`: everything in one process; `listeners`, `control`, `export`, `metrics` are its parts.
//! - `import`, `flush`, `compact`, `retention`, `sql`: commands that talk to a server, or to a directory without one; `client` asks the server.
//! - `reload`: the configuration file, followed while the server runs.
//! - `data_file`: small files of the data directory; `policy` and `head_sampling` keep theirs by it.
//! - `repair`: a damaged directory.

mod cli;
mod client;
mod compact;
mod config;
mod control;
mod data_file;
mod export;
mod flush;
mod head_sampling;
mod import;
mod listeners;
mod metrics;
mod policy;
mod reload;
mod repair;
mod retention;
mod serve;
mod sql;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, ConfigCommand};

fn main() -> ExitCode {
    bound_arenas();
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("spanhouse: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// glibc gives up to eight arenas a core to threads that allocate at once, and what is freed in one serves no other. Requests
/// are allocated on one thread and freed on another, so that would hold half as much memory again.
fn bound_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "no crate offers it; it takes two numbers and touches no memory of ours")]
        // SAFETY: `mallopt` may be called at any time, and refuses what it does not know.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 2);
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match command {
        Command::Serve(arguments) => {
            telemetry::start()?;
            serve(arguments, serve::DEFAULT_DATA, None)
        }
        Command::Demo(arguments) => {
            telemetry::start()?;
            let shop = serve::Shop { seed: arguments.seed, visits_per_second: arguments.visits_per_second };
            serve(arguments.server, serve::DEMO_DATA, Some(shop))
        }
        Command::Import(arguments) => done(block_on(import::run(arguments))),
        Command::Flush(arguments) => done(block_on(flush::run(arguments))),
        Command::Compact(arguments) => done(block_on(compact::run(arguments))),
        Command::Retention(arguments) => done(block_on(retention::run(arguments))),
        Command::Sql(arguments) => done(block_on(sql::run(arguments))),
        Command::Repair(arguments) => block_on(repair::run(arguments)),
        Command::Config { command: ConfigCommand::Check { file } } => done(config::check(&file)),
    }
}

fn serve(
    arguments: cli::ServerArgs,
    default_data: &'static str,
    shop: Option<serve::Shop>,
) -> anyhow::Result<ExitCode> {
    let config = config::load(&arguments, default_data)?;
    let data = config.server.data.clone();
    let path = arguments.config.clone();
    let load: reload::Load = Box::new(move || config::load(&arguments, default_data));
    let source = path.map(|path| reload::Source { path, load });
    block_on(serve::run(config, source, shop))
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| repair::advised(error, &data))
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // What still runs in the background has been told to end; a stuck one must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}
