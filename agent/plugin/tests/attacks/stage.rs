//! A room for one attack: a directory of plugins with the attacker in it, and a host that runs it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use linnet_fleet::health::Plugin;
use linnet_plugin_host::manifest::Capability;
use linnet_plugin_host::supervisor::Timing;
use linnet_plugin_host::{Chosen, Options, PluginEvent, PluginHost, Policy, Wanted};
use serde_json::{Value, json};

/// Everything happens within this time, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(30);
const NAME: &str = "attacker";

pub struct Stage {
    _room: tempfile::TempDir,
    pub options: Options,
    pub policy: Policy,
    settings: Value,
}

pub struct Host {
    host: Option<PluginHost>,
    events: Arc<Mutex<Vec<PluginEvent>>>,
}

impl Stage {
    /// `word` names the cgroups of this attack.
    pub fn new(word: &str, settings: &Value, capabilities: &[Capability]) -> Self {
        let room = tempfile::tempdir_in("/var/tmp").expect("a room");
        fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let directory = room.path().join("plugins");
        let own = directory.join(NAME);
        fs::create_dir_all(&own).expect("the plugin's directory");
        for path in [&directory, &own] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
        }
        let program = std::env::current_exe().expect("this program");
        fs::copy(program, own.join("attacker")).expect("a copy of this program");
        fs::set_permissions(own.join("attacker"), fs::Permissions::from_mode(0o755)).expect("chmod");
        let manifest = json!({
            "schema_version": 1, "kind": "plugin", "name": NAME, "version": "6.6.6", "protocol": 1,
            "arch": std::env::consts::ARCH, "executable": "attacker", "events": [2004],
            "capabilities": capabilities,
            "read_paths": ["/sys/kernel/mm", "/var/tmp"],
            "needs": {"memory_max_bytes": 24 << 20, "pids_max": 8, "events_per_second": 20, "events_burst": 2000},
        });
        let path = own.join("plugin.json");
        fs::write(&path, manifest.to_string()).expect("the manifest");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        let timing = Timing {
            ready: Duration::from_secs(3),
            ping: Duration::from_millis(500),
            pong: Duration::from_secs(3),
            ask: Duration::from_millis(300),
            terminate: Duration::from_millis(500),
            back_off: Duration::from_millis(50),
            failures: 3,
            ..Timing::default()
        };
        let options = Options {
            launcher: PathBuf::from("/proc/self/exe"),
            launcher_arguments: vec!["plugin-launch".to_owned()],
            cgroup: format!("linnet-attack-{word}-{}", std::process::id()),
            state_directory: room.path().join("state"),
            directory,
            timing,
            filter: true,
        };
        Self { _room: room, options, policy: Policy::default(), settings: settings.clone() }
    }

    pub fn manifest(&self) -> PathBuf {
        self.options.directory.join(NAME).join("plugin.json")
    }

    fn wanted(&self, settings: &Value) -> Wanted {
        let chosen = Chosen { settings: settings.clone(), place: PathBuf::from(NAME), trial: None };
        let enabled = BTreeMap::from([(NAME.to_owned(), chosen)]);
        Wanted { enabled, policy: self.policy.clone() }
    }

    pub fn start(&self) -> Host {
        let events = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&events);
        let deliver = move |event| {
            taken.lock().expect("not poisoned").push(event);
            Ok(())
        };
        let host =
            PluginHost::start(self.options.clone(), self.wanted(&self.settings), deliver).expect("a host");
        Host { host: Some(host), events }
    }

    /// How many processes are in the attacker's cgroup.
    pub fn processes(&self) -> usize {
        let family = format!("{}-plugins", self.options.cgroup);
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let points = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup"))
            .filter_map(|line| line.split(' ').nth(4));
        points
            .filter_map(|point| {
                let found = find(&PathBuf::from(point), &family, 6)?;
                fs::read_to_string(found.join(NAME).join("cgroup.procs")).ok()
            })
            .map(|text| text.lines().count())
            .max()
            .unwrap_or(0)
    }

    /// Runs a host in a process of its own, kills it, and gives the pid of the plugin it had.
    pub fn pid_of_killed_host(&self) -> u32 {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg("host")
            .arg(&self.options.directory)
            .arg(&self.options.cgroup)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a host");
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().expect("its output"));
        std::io::BufRead::read_line(&mut out, &mut line).expect("its plugin's pid");
        let pid = line.trim().parse().expect("a pid");
        assert!(lives(pid));
        child.kill().expect("kill");
        child.wait().expect("wait");
        pid
    }
}

/// The program as a host that is going to be killed.
pub fn be_host(directory: &str, cgroup: &str) -> ! {
    let mut stage = Stage::new("unused", &json!({ "act": "stubborn" }), &[]);
    stage.options.directory = PathBuf::from(directory);
    cgroup.clone_into(&mut stage.options.cgroup);
    let host = stage.start();
    host.await_events(1);
    println!("{}", host.await_state("running").pid.expect("it runs"));
    loop {
        std::thread::sleep(PATIENCE);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What a failed test leaves: empty cgroups of this attack.
        let family = format!("{}-plugins", self.options.cgroup);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for point in
            mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4))
        {
            if let Some(found) = find(&PathBuf::from(point), &family, 6) {
                let _ = fs::remove_dir(found.join(NAME));
                let _ = fs::remove_dir(found);
            }
        }
    }
}

fn find(directory: &PathBuf, name: &str, depth: u32) -> Option<PathBuf> {
    let path = directory.join(name);
    if path.is_dir() {
        return Some(path);
    }
    let next = depth.checked_sub(1)?;
    let entries = fs::read_dir(directory).ok()?.flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find(&entry.path(), name, next))
}

impl Host {
    pub fn configure(&self, stage: &Stage, settings: &Value) {
        self.host.as_ref().expect("it runs").configure(stage.wanted(settings));
    }

    pub fn await_events(&self, count: usize) -> Vec<PluginEvent> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut events = self.events.lock().expect("not poisoned");
            if events.len() >= count {
                return events.drain(..).collect();
            }
            drop(events);
            assert!(Instant::now() < until, "no event comes: {:?}", self.report());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn events(&self) -> Vec<PluginEvent> {
        self.events.lock().expect("not poisoned").drain(..).collect()
    }

    fn report(&self) -> Option<Plugin> {
        self.host.as_ref().and_then(|host| host.report().into_iter().next())
    }

    pub fn await_state(&self, state: &str) -> Plugin {
        let until = Instant::now() + PATIENCE;
        loop {
            let report = self.report();
            if let Some(plugin) = report.clone().filter(|plugin| plugin.state == state) {
                return plugin;
            }
            assert!(Instant::now() < until, "not {state}: {report:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn stop(mut self) -> Plugin {
        let host = self.host.take().expect("it runs");
        host.stop().into_iter().next().expect("one plugin")
    }
}

pub fn within(time: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + time;
    while !is_so() {
        assert!(Instant::now() < until, "not within {time:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process is there and no zombie.
pub fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

/// Processor time of this process.
pub fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Resident memory of this process.
pub fn own_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").expect("statm");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
