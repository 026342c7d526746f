//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::stage::Where;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// Run the suite.
    Suite {
        /// The agent.
        agent: PathBuf,
        /// The kind of machine.
        place: Where,
        /// Part of the names of the claims to run; empty for all.
        only: String,
    },
    /// Print the names of all claims.
    List,
    /// Be an actor in a claim.
    Act(Vec<OsString>),
    /// Hold a recording against containers that Docker ran.
    CheckDocker {
        /// The agent's output.
        events: PathBuf,
        /// What Docker ran.
        containers: PathBuf,
        /// The agent's last health document.
        health: Option<PathBuf>,
    },
}

/// How it is used.
pub const USAGE: &str = "usage: linnet-live --agent PATH [--where host|vm] [--only SUBSTRING]
       linnet-live --list
       linnet-live check-docker --events FILE --containers FILE [--health FILE]";

/// Reads the arguments behind the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Order, String> {
    let mut args = args.into_iter().peekable();
    match args.peek().and_then(|first| first.to_str()) {
        Some("act") => return Ok(Order::Act(args.skip(1).collect())),
        Some("check-docker") => {
            let mut options = options(args.skip(1))?;
            return Ok(Order::CheckDocker {
                events: options.take("--events")?.into(),
                containers: options.take("--containers")?.into(),
                health: options.maybe("--health").map(Into::into),
            })
            .and_then(|order| options.end(order));
        }
        _ => {}
    }
    let mut args: Vec<OsString> = args.collect();
    if args.len() == 1 && args.first().is_some_and(|arg| arg == "--list") {
        return Ok(Order::List);
    }
    let mut options = options(args.drain(..))?;
    let place = match options.maybe("--where").as_ref().map(|place| place.to_str()) {
        None | Some(Some("host")) => Where::Host,
        Some(Some("vm")) => Where::Vm,
        Some(other) => return Err(format!("--where is host or vm, not {}", other.unwrap_or("that"))),
    };
    let only = options.maybe("--only").unwrap_or_default().to_string_lossy().into_owned();
    let order = Order::Suite { agent: options.take("--agent")?.into(), place, only };
    options.end(order)
}

struct Options(Vec<(String, OsString)>);

fn options(args: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut pairs = Vec::new();
    let mut args = args;
    while let Some(name) = args.next() {
        let name = name.to_string_lossy().into_owned();
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        pairs.push((name, value));
    }
    Ok(Options(pairs))
}

impl Options {
    fn maybe(&mut self, name: &str) -> Option<OsString> {
        let place = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(place).1)
    }

    fn take(&mut self, name: &str) -> Result<OsString, String> {
        self.maybe(name).ok_or_else(|| format!("{name} is missing"))
    }

    fn end(self, order: Order) -> Result<Order, String> {
        self.0.first().map_or(Ok(order), |(name, _)| Err(format!("{name} is not known")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Order, String> {
        parse(line.split_ascii_whitespace().map(OsString::from))
    }

    #[test]
    fn orders_are_read() {
        let suite = |place, only: &str| Order::Suite { agent: "/a".into(), place, only: only.to_owned() };
        for (line, wanted) in [
            ("--agent /a", suite(Where::Host, "")),
            ("--agent /a --where vm --only argv", suite(Where::Vm, "argv")),
            ("--list", Order::List),
            ("act say pid", Order::Act(vec!["say".into(), "pid".into()])),
            (
                "check-docker --containers /c --events /e",
                Order::CheckDocker { events: "/e".into(), containers: "/c".into(), health: None },
            ),
        ] {
            assert_eq!(read(line), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in
            ["", "--agent", "--agent /a --where mars", "--agent /a --speed 3", "check-docker --events /e"]
        {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
