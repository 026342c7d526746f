//! The canary: a process of the sensor's own, started to see that it is seen. A sensor that sees nothing must never look healthy.

use std::process::{Child, Command, Stdio};

/// The hidden command that ends at once.
pub const COMMAND: &str = "canary";

/// Canaries sent and seen.
#[derive(Default)]
pub struct Canaries {
    flying: Vec<(u32, Child)>,
    /// Pids whose exec was seen, and whose end was not yet.
    landed: Vec<u32>,
    /// Started.
    pub sent: u64,
    /// Seen at exec.
    pub seen: u64,
    /// Sent since the last that was seen.
    pub unseen: u64,
    /// When the last was seen, in milliseconds since the epoch.
    pub last_seen_ms: Option<i64>,
}

/// Canaries that are remembered; more than one at a time means that none comes back.
const MAX_FLYING: usize = 8;

impl Canaries {
    /// Starts one.
    ///
    /// # Errors
    /// When no process can be started, for example at the pids limit.
    pub fn send(&mut self) -> std::io::Result<()> {
        self.reap();
        if self.flying.len() >= MAX_FLYING {
            self.flying.remove(0);
        }
        let child = Command::new("/proc/self/exe")
            .arg(COMMAND)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env_clear()
            .spawn()?;
        self.sent += 1;
        self.unseen += 1;
        self.flying.push((child.id(), child));
        Ok(())
    }

    /// Whether this exec is a canary's; notes that it was seen.
    pub fn is_exec(&mut self, pid: u32, epoch_ms: i64) -> bool {
        if !self.flying.iter().any(|(flying, _)| *flying == pid) {
            return false;
        }
        if !self.landed.contains(&pid) {
            self.seen += 1;
            self.unseen = 0;
            self.last_seen_ms = Some(epoch_ms);
            self.landed.push(pid);
        }
        true
    }

    /// Whether this fork is a canary's.
    pub fn is_fork(&self, pid: u32) -> bool {
        self.flying.iter().any(|(flying, _)| *flying == pid)
    }

    /// Whether this end is a canary's; forgets it.
    pub fn is_exit(&mut self, pid: u32) -> bool {
        let Some(at) = self.landed.iter().position(|landed| *landed == pid) else { return false };
        self.landed.swap_remove(at);
        if let Some(at) = self.flying.iter().position(|(flying, _)| *flying == pid) {
            let (_, mut child) = self.flying.swap_remove(at);
            // It has ended: this does not wait.
            let _ = child.wait();
        }
        true
    }

    /// Takes back the ended ones, so that none stays a zombie. The pids stay known until their exits are met.
    pub fn reap(&mut self) {
        for (_, child) in &mut self.flying {
            let _ = child.try_wait();
        }
    }
}
