//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use linnet_bench::birth::Birth;
use linnet_bench::token::StormName;

/// What a process sensor costs, measured beside its peers.
#[derive(Debug, Parser)]
#[command(name = "linnet-bench", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure all subjects, paired and interleaved, and print the table.
    Run(Run),
    /// Make one storm of execs and print what it did as JSON.
    Storm(Storm),
    /// Make a storm of execs with long command lines, each of which also forks without an exec.
    Flood(Flood),
    /// Hold the agent's events and health document against a storm.
    Verify(Verify),
    /// One worker of a storm.
    #[command(hide = true)]
    Worker(Worker),
    /// Move into a cgroup and become another program.
    #[command(hide = true)]
    Within {
        /// The cgroup's directory.
        cgroup: PathBuf,
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        argv: Vec<OsString>,
    },
    /// Undo what is still promised when standard input closes.
    #[command(hide = true)]
    Guard,
}

/// A subject by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SubjectName {
    /// Storms without a sensor; they run in any case.
    None,
    /// Linnet with its cpu limit at one core.
    Linnet,
    /// Linnet with its default cpu limit.
    LinnetDefault,
    /// auditd with rules for execs.
    Auditd,
    /// auditd with LAUREL.
    Laurel,
    /// bpftrace with one bare line an exec.
    Bpftrace,
}

/// How children are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BirthName {
    /// fork, then exec, as shells do.
    Fork,
    /// posix_spawn: a third quicker, so harder on a sensor.
    Spawn,
}

impl From<BirthName> for Birth {
    fn from(name: BirthName) -> Self {
        match name {
            BirthName::Fork => Self::Fork,
            BirthName::Spawn => Self::Spawn,
        }
    }
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Which subjects.
    #[arg(long, value_delimiter = ',', default_values = ["none", "linnet", "auditd", "laurel", "bpftrace"])]
    pub subjects: Vec<SubjectName>,
    /// How often each has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Execs of a timed storm.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub execs: u32,
    /// Execs of a whole session, after which memory is looked at.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub events: u32,
    /// How children are made.
    #[arg(long, value_enum, default_value_t = BirthName::Fork)]
    pub birth: BirthName,
    /// Two rounds of 4,000 execs, sessions of 12,000: to see that it works, not to quote.
    #[arg(long, conflicts_with_all = ["rounds", "execs", "events"])]
    pub quick: bool,
    /// Also write all results to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The agent's program.
    #[arg(long, value_name = "FILE", default_value = "dist/bin/linnet-agent")]
    pub agent: PathBuf,
    /// LAUREL's program; one in the path will do, too.
    #[arg(long, value_name = "FILE", default_value = ".cache/laurel/bin/laurel")]
    pub laurel: PathBuf,
    /// Where to work, instead of the first tmpfs that allows execution.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Arguments of `storm`.
#[derive(Debug, Args)]
pub struct Storm {
    /// How many workers.
    #[arg(long, default_value_t = 2)]
    pub workers: u32,
    /// How many execs all workers make together.
    #[arg(long, default_value_t = 20_000)]
    pub execs: u32,
    /// The storm's name, which begins each token: 1 to 32 of a-z and 0-9.
    #[arg(long, value_name = "NAME")]
    pub token: StormName,
    /// How children are made.
    #[arg(long, value_enum, default_value_t = BirthName::Fork)]
    pub birth: BirthName,
    /// Where to write the program that is executed; it must exist and allow execution.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub dir: PathBuf,
}

/// Arguments of `flood`.
#[derive(Debug, Args)]
pub struct Flood {
    /// How many workers.
    #[arg(long, default_value_t = 2)]
    pub workers: u32,
    /// How many execs all workers make together; each comes with two forks.
    #[arg(long, default_value_t = 100_000)]
    pub execs: u32,
    /// The storm's name, which begins each token: 1 to 32 of a-z and 0-9.
    #[arg(long, value_name = "NAME")]
    pub token: StormName,
    /// How many bytes of arguments each exec has behind its token.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub filler_bytes: u32,
    /// How children are made.
    #[arg(long, value_enum, default_value_t = BirthName::Fork)]
    pub birth: BirthName,
    /// Where to write the program that is executed; it must exist and allow execution.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub dir: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// What `storm` or `flood` printed.
    #[arg(long, value_name = "FILE")]
    pub storm: PathBuf,
    /// The agent's output; name every file of a rotated one.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub events: Vec<PathBuf>,
    /// The agent's health document, written after it drained.
    #[arg(long, value_name = "FILE")]
    pub health: Option<PathBuf>,
    /// Do not fail on lost events, as long as they are accounted for.
    #[arg(long)]
    pub allow_loss: bool,
}

/// Arguments of `worker`.
#[derive(Debug, Args)]
pub struct Worker {
    /// The storm's name.
    #[arg(long)]
    pub storm: StormName,
    /// The worker's number.
    #[arg(long)]
    pub worker: u32,
    /// How many execs it makes.
    #[arg(long)]
    pub execs: u32,
    /// How many bytes of arguments each exec has behind its token.
    #[arg(long)]
    pub filler_bytes: usize,
    /// How children are made.
    #[arg(long, value_enum, default_value_t = BirthName::Fork)]
    pub birth: BirthName,
    /// The program to execute.
    #[arg(long)]
    pub program: PathBuf,
}
