//! Commands from the settings, where there is no systemd. The dead-man is a process of its own session.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child::{self, Output};
use crate::settings::Commands;

use super::{Condition, SelfCall, Service, ServiceError};

const TIMEOUT: Duration = Duration::from_secs(90);

/// The agent as something that commands start and stop.
#[derive(Clone, Debug)]
pub struct CommandService {
    commands: Commands,
}

impl CommandService {
    /// With the commands of the settings.
    #[must_use]
    pub fn new(settings: &Commands) -> Self {
        Self { commands: settings.clone() }
    }
}

fn call(arguments: &[String]) -> Result<(), ServiceError> {
    let error = |why| ServiceError { what: arguments.join(" "), why };
    let Some((program, rest)) = arguments.split_first() else {
        return Err(error("service: the command is empty".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(rest);
    let ended = child::run(command, TIMEOUT, Output::Nowhere).map_err(|source| error(source.to_string()))?;
    if ended.well() { Ok(()) } else { Err(error(ended.in_words())) }
}

impl Service for CommandService {
    fn restart(&self) -> Result<(), ServiceError> {
        call(&self.commands.restart)
    }

    fn stop(&self) -> Result<(), ServiceError> {
        call(&self.commands.stop)
    }

    fn reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn enable(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn disable(&self) -> Result<(), ServiceError> {
        self.stop()
    }

    fn condition(&self) -> Condition {
        Condition::Unknown
    }

    /// The process that is started here looks at [`super::Armed`] and ends when that is gone or is another's.
    fn arm(&self, _after: Duration, self_call: &SelfCall) -> Result<(), ServiceError> {
        let error = |source: std::io::Error| ServiceError {
            what: format!("start {:?} as dead-man", self_call.program),
            why: source.to_string(),
        };
        Command::new(&self_call.program)
            .args(&self_call.arguments)
            .arg("dead-man")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .env_remove("LINNET_KILL_AT")
            .spawn()
            .map(|_detached| ())
            .map_err(error)
    }

    fn disarm(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn has_units(&self) -> bool {
        false
    }
}
