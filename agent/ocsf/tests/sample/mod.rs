//! Events as a sensor would make them: the golden files and the speed measurement share them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test data; a fault here is to be loud")]

use linnet_ocsf::class::{
    ApplicationError, ApplicationLifecycle, Base, LaunchKind, LifecycleActivity, ProcessActivity,
    ProcessEvent, ScriptActivity, Severity, Status,
};
use linnet_ocsf::command::CommandLine;
use linnet_ocsf::number::{Decimal, DeviceNumber, Hex, Octal, Timespec};
use linnet_ocsf::object::{
    Actor, Container, Data, Device, DeviceKind, Enrichment, File, FileAttributes, Fingerprint, Group, Image,
    LongString, Namespaces, Os, Process, ProcessAttributes, ProcessEntity, Product, Script, ScriptKind,
    Session, User,
};
use linnet_ocsf::prelude::Prelude;
use linnet_ocsf::text::Text;
use serde::Serialize;

const TIME_MS: i64 = 1_764_000_000_123;
const CONTAINER: &str = "3f4e8c0d9b7a65f4e3d2c1b0a9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6";
const DIGEST: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
const ANCESTORS: [(&str, u32, &str); 8] = [
    ("sh", 48_213, "9b1deb4d.bc55.1f0c3a9d07"),
    ("node", 48_101, "9b1deb4d.bbe5.1f0c3a9d07"),
    ("npm exec build", 48_090, "9b1deb4d.bbda.1f0c3a9d07"),
    ("bash", 47_990, "9b1deb4d.bb76.1f0c3a9d07"),
    ("containerd-shim", 47_801, "9b1deb4d.bab9.1f0c3a9d07"),
    ("containerd", 1_402, "9b1deb4d.57a.1f0c3a9d07"),
    ("kubelet", 1_300, "9b1deb4d.514.1f0c3a9d07"),
    ("systemd", 1, "9b1deb4d.1.5f5e100"),
];

/// The host and product of all samples.
pub fn prelude() -> Prelude {
    let device = Device {
        uid: "0b5c7a0e6d1f4c0f9a58f3f4c6f1f7d2",
        hostname: Some("node-17.example.org"),
        kind: DeviceKind::Unknown,
        os: Some(Os::linux("Debian GNU/Linux", Some("13"), Some("6.12.48+deb13-cloud-amd64"))),
        boot_time_ms: Some(1_763_900_000_000),
        boot_uid: Some("9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"),
    };
    let product = Product { name: "Linnet", vendor_name: Some("Linnet"), version: Some("0.1.0"), uid: None };
    Prelude::new(&device, &product).unwrap().of_run(0x4f0c_9a1b_e2d3_7755)
}

/// An exec as common as they come, on the host or in a pod, with this many ancestors (eight at most).
pub fn exec<R>(
    prelude: &Prelude,
    ancestors: usize,
    in_pod: bool,
    use_it: impl FnOnce(&ProcessActivity<'_>) -> R,
) -> R {
    let mut buffer = String::new();
    let area = b"gcc\0-O2\0-Wall\0-c\0src/main.c\0-o\0build/main.o\0";
    let command = CommandLine::read(&mut buffer, area, area.len() as u64);
    let hashes = [Fingerprint::Sha256(&DIGEST)];
    let ancestry: [ProcessEntity<'_>; 8] = ANCESTORS.map(|(name, pid, uid)| ProcessEntity {
        pid: Some(pid),
        uid: Some(uid),
        name: Some(name),
        ..ProcessEntity::default()
    });
    let container = Container {
        uid: CONTAINER,
        runtime: Some("containerd"),
        orchestrator: Some("kubernetes"),
        pod_uid: Some("6f2d3a8e-7c1b-4d5e-9f80-1a2b3c4d5e6f"),
        ..Container::default()
    };
    let parent = Process { pid: Some(48_213), uid: Some(ANCESTORS[0].2), ..Process::default() };
    let actor = Process { name: Some("sh"), path: Some("/bin/dash"), ..parent };
    let event = ProcessActivity {
        base: Base { sequence: Some(1_234_567), ..Base::new(prelude, TIME_MS) },
        event: ProcessEvent::Launch(LaunchKind::Exec),
        actor: Actor { process: Some(&actor), user: None },
        process: Process {
            pid: Some(48_214),
            uid: Some("9b1deb4d.bc56.1f0c3a9e21"),
            name: Some("gcc"),
            cmd_line: Some(command.text),
            file: Some(File {
                uid: Some(Decimal(2_359_812)),
                size: Some(1_002_384),
                modified_time_ms: Some(1_741_000_000_000),
                owner: Some(User::from(0)),
                hashes: &hashes,
                xattributes: Some(FileAttributes {
                    dev: Some(DeviceNumber { major: 0, minor: 52 }),
                    ctime: Some(Timespec { sec: 1_741_000_100, nsec: 223_344_556 }),
                    mode: Some(Octal(0o100_755)),
                    hash_road: Some("cache"),
                    ..FileAttributes::default()
                }),
                ..File::at("/usr/bin/x86_64-linux-gnu-gcc-14")
            }),
            created_time_ms: Some(TIME_MS - 2),
            working_directory: Some("/workspace/project"),
            user: Some(User::from(1000)),
            group: Some(Group::from(1000)),
            namespace_pid: in_pod.then_some(214),
            container: in_pod.then_some(container),
            parent_process: Some(&parent),
            ancestry: &ancestry[..ancestors],
            xattributes: Some(ProcessAttributes {
                cap_effective: Some(Hex(0xa804_25fb)),
                namespaces: in_pod.then_some(Namespaces {
                    pid: Some(4_026_532_801),
                    mnt: Some(4_026_532_799),
                    net: Some(4_026_532_700),
                    ..Namespaces::default()
                }),
                ..ProcessAttributes::of_command(&command)
            }),
            ..Process::default()
        },
    };
    use_it(&event)
}

/// An exec by which everything that can be said is said.
pub fn exec_with_everything<R>(prelude: &Prelude, use_it: impl FnOnce(&ProcessActivity<'_>) -> R) -> R {
    let mut buffer = String::new();
    let area = b"sudo\0sh\0-c\0echo 'a b'\x1b[2J\0\0\xff\xfe\0unfinis\xc3";
    let command = CommandLine::read(&mut buffer, area, 20_000);
    let hashes = [Fingerprint::Sha256(&DIGEST)];
    let (name, cwd) = (Text::new(b"su\xf0do"), Text::new(b"/tmp/\xc3"));
    let path = Text::new("/tmp/\u{9b}31m\u{202e}od\u{2066}us".as_bytes());
    let strange = Text::new(b"/tmp/\x80/sudo");
    let ancestry = [ProcessEntity {
        pid: Some(7),
        uid: Some("p7"),
        name: Some("sh"),
        path: Some("/bin/sh"),
        cmd_line: Some("sh -i"),
        created_time_ms: Some(TIME_MS - 9_000),
    }];
    let parent = Process { pid: Some(7), uid: Some("p7"), ..Process::default() };
    let enrichments = [
        Enrichment {
            name: "process.container.uid",
            value: CONTAINER,
            data: Data::Text("checkout"),
            kind: Some("kubernetes.label"),
            provider: Some("containerd"),
            desc: Some("the label app"),
        },
        Enrichment {
            name: "process.pid",
            value: "8",
            data: Data::Number(-1),
            kind: None,
            provider: None,
            desc: None,
        },
    ];
    let event = ProcessActivity {
        base: Base {
            sequence: Some(1),
            logged_time_ms: Some(TIME_MS + 5),
            severity: Severity::Low,
            status: Some(Status::Success),
            status_detail: Some("in time"),
            message: Some("a set-uid program was started"),
            enrichments: &enrichments,
            ..Base::new(prelude, TIME_MS)
        },
        event: ProcessEvent::Launch(LaunchKind::Exec),
        actor: Actor { process: Some(&parent), user: Some(User { uid: Decimal(1000), name: Some("ann") }) },
        process: Process {
            pid: Some(8),
            uid: Some("p8"),
            name: Some(&name.text),
            cmd_line: Some(command.text),
            path: Some(&path.text),
            file: Some(File {
                uid: Some(Decimal(u64::MAX)),
                size: Some(0),
                modified_time_ms: Some(-1),
                owner: Some(User::from(u32::MAX)),
                is_deleted: true,
                hashes: &hashes,
                xattributes: Some(FileAttributes {
                    dev: Some(DeviceNumber { major: 0, minor: 1 }),
                    ctime: Some(Timespec { sec: 1_741_000_100, nsec: 5 }),
                    mode: Some(Octal(0o104_755)),
                    gid: Some(0),
                    nlink: Some(0),
                    fs_magic: Some(Hex(0x0102_1994)),
                    memfd: true,
                    path_raw: strange.raw,
                    hash_road: Some("proc_exe"),
                    hash_ctime_moved: true,
                    hash_missing: Some("changed"),
                    content_missing: None,
                }),
                ..File::at(&strange.text)
            }),
            created_time_ms: Some(TIME_MS - 4),
            terminated_time_ms: Some(TIME_MS - 1),
            working_directory: Some(&cwd.text),
            user: Some(User::from(1000)),
            group: Some(Group { uid: Decimal(1000), name: Some("staff") }),
            auid: Some(1000),
            session: Some(Session { uid: Some(Decimal(3)), terminal: Some("pts0") }),
            tid: Some(9),
            namespace_pid: Some(2),
            container: Some(Container {
                uid: CONTAINER,
                name: Some("checkout"),
                runtime: Some("containerd"),
                orchestrator: Some("kubernetes"),
                pod_uid: Some("0123456789abcdef0123456789abcdef"),
                image: Some(Image { uid: "sha256:00", name: Some("checkout"), tag: Some("1.2") }),
            }),
            parent_process: Some(&parent),
            ancestry: &ancestry,
            xattributes: Some(ProcessAttributes {
                name_raw: name.raw,
                working_directory_raw: cwd.raw,
                euid: Some(0),
                egid: Some(0),
                cap_effective: Some(Hex(u64::MAX)),
                namespaces: Some(Namespaces {
                    pid: Some(1),
                    mnt: Some(2),
                    net: Some(3),
                    user: Some(4),
                    cgroup: Some(5),
                }),
                exec_count: Some(2),
                script: Some("/app/run"),
                cgroup: Some("/user.slice"),
                set_uid: true,
                set_gid: true,
                by_descriptor: true,
                from_proc: true,
                signal: Some(9),
                core_dumped: true,
                runtime_ns: Some(3_000_000),
                ..ProcessAttributes::of_command(&command)
            }),
        },
    };
    use_it(&event)
}

/// A fork without an exec.
pub fn fork<R>(prelude: &Prelude, use_it: impl FnOnce(&ProcessActivity<'_>) -> R) -> R {
    let parent = Process { pid: Some(40), uid: Some("p40"), name: Some("nginx"), ..Process::default() };
    let event = ProcessActivity {
        base: Base { sequence: Some(2), ..Base::new(prelude, TIME_MS) },
        event: ProcessEvent::Launch(LaunchKind::Fork),
        actor: Actor { process: Some(&parent), user: None },
        process: Process {
            pid: Some(41),
            uid: Some("p41"),
            name: Some("nginx"),
            created_time_ms: Some(TIME_MS),
            parent_process: Some(&Process { name: None, ..parent }),
            container: Some(Container { uid: CONTAINER, ..Container::default() }),
            ..Process::default()
        },
    };
    use_it(&event)
}

/// The end of a process, by itself or by a signal.
pub fn exit<R>(prelude: &Prelude, signal: Option<u8>, use_it: impl FnOnce(&ProcessActivity<'_>) -> R) -> R {
    let itself = Process { pid: Some(41), uid: Some("p41"), ..Process::default() };
    let event = ProcessActivity {
        base: Base { sequence: Some(3), ..Base::new(prelude, TIME_MS) },
        event: ProcessEvent::Terminate { exit_code: if signal.is_none() { Some(2) } else { None } },
        actor: Actor { process: Some(&itself), user: None },
        process: Process {
            name: Some("nginx"),
            terminated_time_ms: Some(TIME_MS),
            container: Some(Container { uid: CONTAINER, ..Container::default() }),
            xattributes: Some(ProcessAttributes {
                signal,
                core_dumped: signal.is_some(),
                runtime_ns: Some(12_345_678),
                ..ProcessAttributes::default()
            }),
            ..itself
        },
    };
    use_it(&event)
}

/// A script of which `content` was read.
pub fn script<R>(
    prelude: &Prelude,
    content: &[u8],
    true_len: u64,
    use_it: impl FnOnce(&ScriptActivity<'_>) -> R,
) -> R {
    let hashes = [Fingerprint::Sha256(&DIGEST)];
    let runner = Process { pid: Some(50), uid: Some("p50"), name: Some("run"), ..Process::default() };
    let event = ScriptActivity {
        base: Base { sequence: Some(4), ..Base::new(prelude, TIME_MS) },
        actor: Actor { process: Some(&runner), user: None },
        script: Script {
            file: Some(File { size: Some(true_len), ..File::at("/app/run") }),
            hashes: &hashes,
            parent_uid: Some("s1"),
            name: Some("run"),
            uid: Some("s2"),
            ..Script::new(ScriptKind::of_content(content), LongString::new(content, true_len))
        },
    };
    use_it(&event)
}

/// What the sensor says of itself when it starts, stops, or in between.
pub fn lifecycle<R>(
    prelude: &Prelude,
    activity: LifecycleActivity,
    use_it: impl FnOnce(&ApplicationLifecycle<'_, Counters>) -> R,
) -> R {
    let event = ApplicationLifecycle {
        base: Base { sequence: Some(0), status: Some(Status::Success), ..Base::new(prelude, TIME_MS) },
        activity,
        unmapped: (activity == LifecycleActivity::HealthReport).then_some(Counters {
            attempted: 20_000,
            received: 20_000,
            lost: 0,
        }),
    };
    use_it(&event)
}

/// A report of events that are missing.
pub fn loss<R>(prelude: &Prelude, use_it: impl FnOnce(&ApplicationError<'_, Counters>) -> R) -> R {
    let event = ApplicationError {
        base: Base {
            severity: Severity::Medium,
            message: Some("17 events were lost: the ring was full"),
            ..Base::new(prelude, TIME_MS)
        },
        count: Some(17),
        start_time_ms: Some(TIME_MS - 1000),
        end_time_ms: Some(TIME_MS),
        unmapped: Some(Counters { attempted: 20_000, received: 19_983, lost: 17 }),
    };
    use_it(&event)
}

/// The loss equation as a sensor would report it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Counters {
    attempted: u64,
    received: u64,
    lost: u64,
}
