//! What makes programs start again: cron, systemd units and timers, start scripts, shell profiles, SSH keys, preloaded
//! libraries, PAM, kernel modules at boot, set-uid programs and more, on the host and in running containers. All of it in
//! the first report, then what is new, changed or gone.

mod catalogue;
mod containers;
mod places;
mod report;
mod set_id;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use linnet_plugin::processes::Container;
use linnet_plugin::rooted::Root;
use linnet_plugin::{Plugin, Stop, Turn, files, run};
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use places::Item;
use report::{Change, Seen};

/// The plugin's own settings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Report what is there at the first look, too.
    report_present: bool,
    /// Look into running containers.
    containers: bool,
    /// Between two walks for set-uid programs, which are longer than the rest.
    set_id_interval_s: u64,
    /// Directories that this walk leaves out.
    set_id_ignore: Vec<PathBuf>,
    /// Categories that are not looked at.
    ignore_categories: Vec<String>,
    /// Bytes of a changed text that are told along with the change; 0 for none.
    content_bytes: usize,
    /// Larger files are told without a hash.
    max_file_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            report_present: true,
            containers: true,
            set_id_interval_s: 6 * 3600,
            set_id_ignore: ["/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/lxc"]
                .map(PathBuf::from)
                .to_vec(),
            ignore_categories: Vec::new(),
            content_bytes: 1024,
            max_file_bytes: 32 << 20,
        }
    }
}

/// What one root had at the last look: by category and path, a short digest of what it was.
type Known = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// The host's; none before the first look.
    host: Option<Known>,
    /// Those of running containers, by id.
    containers: BTreeMap<String, Known>,
    /// When the last walk for set-uid programs began, in seconds since the epoch.
    set_id_at_s: u64,
}

/// A file whose hash is known, as long as it stays as it was.
struct Hashed {
    change: (i64, i64, u64, i64),
    sha256: Option<String>,
}

#[derive(Default)]
struct Persistence {
    hashed: HashMap<(u64, u64), Hashed>,
}

/// Hashes that are remembered.
const MAX_HASHED: usize = 4096;

impl Plugin for Persistence {
    type Settings = Settings;
    type State = State;
    const INTERVAL: Duration = Duration::from_secs(300);

    fn look(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Stop> {
        let unknown: Vec<String> = turn
            .settings()
            .ignore_categories
            .iter()
            .filter(|name| !catalogue::names().contains(&name.as_str()))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            let message = format!("ignore_categories: {unknown:?} are none of {:?}", catalogue::names());
            turn.log("warn", &message)?;
        }
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let set_id_due =
            now_s.saturating_sub(turn.state().set_id_at_s) >= turn.settings().set_id_interval_s.max(1);
        let host = Root::open(Path::new("/"))?;
        let before = turn.state().host.clone();
        let known = self.root(turn, &host, None, before.as_ref(), set_id_due)?;
        turn.state_mut().host = Some(known);
        if set_id_due {
            turn.state_mut().set_id_at_s = now_s;
        }
        turn.save()?;
        let mut running = BTreeMap::new();
        if turn.settings().containers {
            for (container, root) in containers::running(turn, host.identity()?)? {
                let before = turn.state().containers.get(&container.id).cloned();
                // A container that is new is walked at once: it may not be there at the next walk.
                let walk = set_id_due || before.is_none();
                let known = self.root(turn, &root, Some(&container), before.as_ref(), walk)?;
                running.insert(container.id, known);
            }
        }
        turn.state_mut().containers = running;
        Ok(())
    }
}

impl Persistence {
    /// Looks at one root and reports the differences to `before`; gives what is known now.
    fn root(
        &mut self,
        turn: &mut Turn<'_, Self>,
        root: &Root,
        container: Option<&Container>,
        before: Option<&Known>,
        walk: bool,
    ) -> Result<Known, Stop> {
        let mut known = Known::new();
        let mut look = |turn: &mut Turn<'_, Self>, item: Item| -> Result<(), Stop> {
            let key =
                format!("{}|{}", item.category.name, linnet_plugin::text(item.path.as_os_str().as_bytes()));
            if known.contains_key(&key) {
                return Ok(());
            }
            let seen = self.see(turn, root, item)?;
            let digest = seen.digest();
            let change = match before {
                None if turn.settings().report_present => Some(Change::Present),
                None => None,
                Some(before) => match before.get(&key) {
                    None => Some(Change::New),
                    Some(old) if *old != digest => Some(Change::Changed),
                    Some(_) => None,
                },
            };
            known.insert(key, digest);
            match change {
                Some(change) => {
                    let content = content(turn, &seen);
                    turn.report(report::event(&seen, change, container, content))
                }
                None => Ok(()),
            }
        };
        places::each(turn, root, &mut look)?;
        let ignores_set_id =
            turn.settings().ignore_categories.iter().any(|name| name == catalogue::SET_ID.name);
        if walk && !ignores_set_id {
            let starts = if container.is_some() { vec![PathBuf::from("/")] } else { set_id::host_starts() };
            for start in starts {
                set_id::each(turn, root, &start, container.is_some(), &mut look)?;
            }
        }
        for (key, digest) in before.into_iter().flatten() {
            if known.contains_key(key) {
                continue;
            }
            let Some((category, path)) = key.split_once('|') else { continue };
            if category == catalogue::SET_ID.name && !walk && !ignores_set_id {
                known.insert(key.clone(), digest.clone());
                continue;
            }
            if turn.settings().ignore_categories.iter().any(|name| name == category) {
                continue;
            }
            if let Some(event) = report::removed(category, path, digest, container) {
                turn.report(event)?;
            }
        }
        Ok(known)
    }

    /// Reads what there is to know of a thing.
    fn see(&mut self, turn: &mut Turn<'_, Self>, root: &Root, item: Item) -> Result<Seen, Stop> {
        let most = turn.settings().max_file_bytes;
        let mut seen = Seen {
            category: item.category,
            path: item.path,
            stat: item.found.stat,
            sha256: None,
            link: None,
            file: None,
        };
        let target = if item.found.kind() == FileType::Symlink {
            seen.link = item.found.link_target().ok().map(PathBuf::from);
            // The content is what counts where it leads to a file of the same root; a link to /dev/null masks a unit.
            root.find(&seen.path, true).ok().filter(|found| found.kind() == FileType::RegularFile)
        } else {
            Some(item.found)
        };
        let Some(target) = target else { return Ok(seen) };
        let stat = target.stat;
        let key = (stat.st_dev, stat.st_ino);
        let change = (
            stat.st_ctime,
            i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
            u64::from(stat.st_mode),
            stat.st_size,
        );
        if let Some(hashed) = self.hashed.get(&key).filter(|hashed| hashed.change == change) {
            seen.sha256.clone_from(&hashed.sha256);
        } else if let Ok(file) = target.open() {
            seen.sha256 = files::sha256(turn, file, most)?;
            if self.hashed.len() >= MAX_HASHED {
                self.hashed.clear();
            }
            self.hashed.insert(key, Hashed { change, sha256: seen.sha256.clone() });
        }
        seen.stat = if seen.link.is_some() { seen.stat } else { stat };
        seen.file = Some(target);
        Ok(seen)
    }
}

/// The beginning of a text, where the settings and the category allow to tell it.
fn content(turn: &Turn<'_, Persistence>, seen: &Seen) -> Option<String> {
    use std::io::Read;
    let most = turn.settings().content_bytes;
    if most == 0 || !seen.category.telling {
        return None;
    }
    let mut bytes = Vec::new();
    let file = seen.file.as_ref()?.open().ok()?;
    file.take(most as u64).read_to_end(&mut bytes).ok()?;
    // A program is no text.
    (!bytes.contains(&0)).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn main() -> ExitCode {
    run(Persistence::default())
}
