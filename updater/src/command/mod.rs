//! The command line. Each command is a function from a [`Context`] to a [`Report`]; nothing else prints.

mod arguments;
mod context;
mod enrol;
mod hold;
mod install;
mod look;
mod recover;
mod report;
mod self_test;
mod uninstall;
mod update;

pub use arguments::{Arguments, Command};
pub use report::Report;

use context::{Context, Failed};

/// Runs a command, and prints what came of it. Returns the exit code.
#[must_use]
pub fn execute(arguments: &Arguments) -> u8 {
    let report = Context::new(arguments).and_then(|context| dispatch(&context, &arguments.command));
    let report = report.unwrap_or_else(|failed| Report::failed(&failed));
    report.print(arguments.json);
    report.code
}

fn dispatch(context: &Context<'_>, command: &Command) -> Result<Report, Failed> {
    match command {
        Command::Install { from, root, only_newer } => {
            install::install(context, from.as_deref(), root.as_deref(), *only_newer)
        }
        Command::Enrol(wanted) => enrol::enrol(context, wanted),
        Command::Enable => hold::enable(context),
        Command::Disable { why } => hold::disable(context, why.clone()),
        Command::Pin { version, why } => hold::pin(context, *version, why.clone()),
        Command::Unpin => hold::unpin(context),
        Command::Retry { version } => hold::retry(context, *version),
        Command::Check => update::check(context),
        Command::Update => update::update(context),
        Command::Run => update::run(context),
        Command::Rollback { why } => recover::rollback(context, why.clone()),
        Command::Recover { dead_man, agent_failed } => recover::recover(context, *dead_man, *agent_failed),
        Command::DeadMan => recover::dead_man(context),
        Command::Status => look::status(context),
        Command::History { lines } => look::history(context, *lines),
        Command::Uninstall { purge } => uninstall::uninstall(context, *purge),
        Command::SelfTest => self_test::self_test(context),
    }
}
