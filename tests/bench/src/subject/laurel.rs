//! LAUREL, which runs as a plugin of auditd, with the settings that it ships but for its places, its user and its log's
//! size. It does not hash executables by default, and does not here.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Availability, Subject, auditd, title, version};
use crate::search_path::find_program;
use crate::stage::{Launched, Room, Stage};

/// auditd with LAUREL.
pub struct Laurel {
    /// Its program; if it is not there, the one in the path is taken.
    pub program: PathBuf,
}

impl Laurel {
    fn find(&self) -> Option<PathBuf> {
        // auditd starts it from another directory.
        fs::canonicalize(&self.program).ok().or_else(|| find_program("laurel"))
    }
}

impl Subject for Laurel {
    fn name(&self) -> &'static str {
        "laurel"
    }

    fn availability(&self, stage: &Stage) -> Availability {
        match (auditd::availability(stage), self.find()) {
            (missing @ Availability::Missing { .. }, _) => missing,
            (_, None) => Availability::Missing {
                reason: "LAUREL is not installed: run tests/setup bench, or apt-get install libacl1-dev clang and \
                         cargo install laurel --locked"
                    .to_owned(),
            },
            (Availability::Ready { title: auditd, mut executables }, Some(laurel)) => {
                let title = format!("{auditd} + {}", title("LAUREL", version(&laurel, "--version")));
                executables.push(laurel);
                Availability::Ready { title, executables }
            }
        }
    }

    fn start(&mut self, stage: &mut Stage, room: &Room) -> Result<Launched> {
        let laurel = self.find().context("find laurel")?;
        let settings = room.dir.join("laurel.toml");
        let plugins = room.dir.join("plugins.d");
        let log_dir = room.dir.join("auditd-log");
        for dir in [&plugins, &log_dir] {
            fs::create_dir(dir).with_context(|| format!("make {}", dir.display()))?;
        }
        let plugin = plugins.join("laurel.conf");
        let plugin_text = format!(
            "active = yes\ndirection = out\ntype = always\nformat = string\npath = {}\nargs = --config {}\n",
            laurel.display(),
            settings.display(),
        );
        for (path, text) in [(&settings, settings_text(room)), (&plugin, plugin_text)] {
            fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
        }
        auditd::start(stage, room, self.name(), &log_dir)
    }

    fn stop(&mut self, stage: &mut Stage, launched: Launched) -> Result<()> {
        auditd::stop(stage, launched)
    }

    fn kernel_threads(&self) -> &'static [&'static str] {
        &["kauditd"]
    }
}

fn settings_text(room: &Room) -> String {
    format!(
        "directory = {:?}\nstatusreport-period = 0\ninput = \"stdin\"\n\
         [auditlog]\nfile = \"audit.log\"\nsize = 4000000000\ngenerations = 2\n\
         [transform]\nexecve-argv = [\"array\"]\n\
         [translate]\nuniversal = false\nuser-db = false\ndrop-raw = false\n\
         [enrich]\npid = true\nexecve-env = [\"LD_PRELOAD\", \"LD_LIBRARY_PATH\"]\ncontainer = true\n\
         systemd = true\nscript = true\nuser-groups = true\n\
         [filter]\nfilter-null-keys = false\nfilter-action = \"drop\"\n",
        room.output.display().to_string(),
    )
}
