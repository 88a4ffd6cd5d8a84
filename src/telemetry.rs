//! Logs: structured fields on standard error. `SPANHOUSE_LOG` filters them as `RUST_LOG` would.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Ours at `info`; libraries speak up only when something is wrong. The table library logs as errors what it then returns
/// as values, such as a table that is yet to be created.
const DEFAULT: &str = "warn,delta_kernel=off,spanhouse=info,collector=info,storage=info,query=info,ui=info,demo=info";

pub fn start() -> anyhow::Result<()> {
    let filter = std::env::var("SPANHOUSE_LOG").unwrap_or_else(|_| DEFAULT.to_owned());
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("SPANHOUSE_LOG {filter:?} is no log filter"))?;
    let json = std::env::var("SPANHOUSE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        logs.json().init();
    } else {
        logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_target(false).init();
    }
    Ok(())
}
