//! Tables of paths as the runtimes write them, and the properties of [`parse`].

use proptest::prelude::*;

use super::{Container, PodUid, Runtime, parse};

const A: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const B: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const POD: &str = "c6d5d3d5-79b6-4b0c-9a4e-2f0f4a7d2a11";
const POD_SYSTEMD: &str = "c6d5d3d5_79b6_4b0c_9a4e_2f0f4a7d2a11";
const STATIC_POD: &str = "0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b";

/// A path with `{A}`, `{B}`, `{POD}`, `{POD_SYSTEMD}` and `{STATIC}` put in.
fn fill(pattern: &str) -> String {
    pattern
        .replace("{A}", A)
        .replace("{B}", B)
        .replace("{POD}", POD)
        .replace("{POD_SYSTEMD}", POD_SYSTEMD)
        .replace("{STATIC}", STATIC_POD)
}

/// pattern, id, runtime, pod.
type Case = (&'static str, &'static str, Runtime, Option<&'static str>);

const CASES: &[Case] = &[
    // Docker, cgroupfs and systemd drivers, rootless, with a parent of one's own, in another container.
    ("/docker/{A}", A, Runtime::Docker, None),
    ("docker/{A}", A, Runtime::Docker, None),
    ("/system.slice/docker-{A}.scope", A, Runtime::Docker, None),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope", A, Runtime::Docker, None),
    ("/batch.slice/docker-{A}.scope", A, Runtime::Docker, None),
    ("/batch/{A}", A, Runtime::Unknown, None),
    ("/docker/{A}/docker/{B}", B, Runtime::Docker, None),
    ("/system.slice/docker-{A}.scope/docker/{B}", B, Runtime::Docker, None),
    ("/system.slice/docker-{A}.scope/system.slice/docker-{B}.scope", B, Runtime::Docker, None),
    ("/actions_job/{A}", A, Runtime::Docker, None),
    ("/system.slice:docker:{A}", A, Runtime::Docker, None),
    // As another cgroup namespace sees it in /proc/PID/cgroup, and after removal.
    ("/../{A}", A, Runtime::Unknown, None),
    ("/../../docker/{A}", A, Runtime::Docker, None),
    ("/docker/{A} (deleted)", A, Runtime::Docker, None),
    // BuildKit's steps.
    ("/docker/buildkit/x0k4w8p2m6n1b5v9c3z7l0q4e", "x0k4w8p2m6n1b5v9c3z7l0q4e", Runtime::Buildkit, None),
    (
        "/system.slice/docker-x0k4w8p2m6n1b5v9c3z7l0q4e.scope",
        "x0k4w8p2m6n1b5v9c3z7l0q4e",
        Runtime::Buildkit,
        None,
    ),
    ("/docker/{A}/buildkit/x0k4w8p2m6n1b5v9c3z7l0q4e", "x0k4w8p2m6n1b5v9c3z7l0q4e", Runtime::Buildkit, None),
    // containerd.
    ("/system.slice/cri-containerd-{A}.scope", A, Runtime::Containerd, None),
    ("/system.slice/nerdctl-{A}.scope", A, Runtime::Containerd, None),
    ("/default/{A}", A, Runtime::Containerd, None),
    ("/k8s.io/{A}", A, Runtime::Containerd, None),
    (
        "/system.slice/containerd.service/kubepods-burstable-pod{POD_SYSTEMD}.slice:cri-containerd:{A}",
        A,
        Runtime::Containerd,
        Some(POD),
    ),
    // Kubernetes: cgroupfs and systemd drivers, the three classes of service, static pods.
    ("/kubepods/burstable/pod{POD}/{A}", A, Runtime::Unknown, Some(POD)),
    ("/kubepods/besteffort/pod{POD}/{A}", A, Runtime::Unknown, Some(POD)),
    ("/kubepods/pod{POD}/{A}", A, Runtime::Unknown, Some(POD)),
    ("/kubepods/burstable/pod{STATIC}/{A}", A, Runtime::Unknown, Some(STATIC_POD)),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_SYSTEMD}.slice/cri-containerd-{A}.scope",
        A,
        Runtime::Containerd,
        Some(POD),
    ),
    (
        "/kubepods.slice/kubepods-pod{POD_SYSTEMD}.slice/cri-containerd-{A}.scope",
        A,
        Runtime::Containerd,
        Some(POD),
    ),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC}.slice/docker-{A}.scope",
        A,
        Runtime::Docker,
        Some(STATIC_POD),
    ),
    ("/kubepods/burstable/podnot-a-uid/{A}", A, Runtime::Unknown, None),
    // CRI-O; with crun the processes sit one level below the scope.
    ("/kubepods/burstable/pod{POD}/crio-{A}", A, Runtime::CriO, Some(POD)),
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{POD_SYSTEMD}.slice/crio-{A}.scope",
        A,
        Runtime::CriO,
        Some(POD),
    ),
    ("/kubepods.slice/kubepods-pod{POD_SYSTEMD}.slice/crio-{A}.scope/container", A, Runtime::CriO, Some(POD)),
    // k3s, and kind: nodes are containers of Docker, with pods inside.
    ("/system.slice/k3s.service/kubepods/besteffort/pod{POD}/{A}", A, Runtime::Unknown, Some(POD)),
    (
        "/docker/{A}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{POD_SYSTEMD}.slice/cri-containerd-{B}.scope",
        B,
        Runtime::Containerd,
        Some(POD),
    ),
    ("/docker/{A}/kubelet/kubepods/burstable/pod{POD}/{B}", B, Runtime::Unknown, Some(POD)),
    ("/docker/{A}/system.slice/kubelet.service", A, Runtime::Docker, None),
    // A Docker daemon in a pod: the inner container, in the outer's pod.
    ("/kubepods/burstable/pod{POD}/{A}/docker/{B}", B, Runtime::Docker, Some(POD)),
    // Podman.
    ("/machine.slice/libpod-{A}.scope", A, Runtime::Podman, None),
    ("/machine.slice/libpod-{A}.scope/container", A, Runtime::Podman, None),
    ("/libpod_parent/libpod-{A}", A, Runtime::Podman, None),
    ("/libpod_parent/{A}/libpod-{B}", B, Runtime::Podman, None),
    ("/libpod_parent/{A}", A, Runtime::Podman, None),
    ("/machine.slice/machine-libpod_pod_{A}.slice/libpod-{B}.scope", B, Runtime::Podman, None),
    ("/system.slice/web.service/libpod-payload-{A}", A, Runtime::Podman, None),
    ("/system.slice/web.service/libpod-payload-{A}/init.scope", A, Runtime::Podman, None),
    // A monitor that runs in an outer container belongs to that one.
    ("/docker/{A}/machine.slice/libpod-conmon-{B}.scope", A, Runtime::Docker, None),
    ("/docker/{A}/libpod_parent/{B}/conmon", A, Runtime::Docker, None),
    // LXC, LXD, Proxmox.
    ("/lxc.payload.web01", "web01", Runtime::Lxc, None),
    ("/lxc.payload.web01/system.slice/ssh.service", "web01", Runtime::Lxc, None),
    ("/lxc.payload.project_web01/init.scope", "project_web01", Runtime::Lxc, None),
    ("/lxc/web01", "web01", Runtime::Lxc, None),
    ("/lxc/101/ns/system.slice/cron.service", "101", Runtime::Lxc, None),
    ("/lxc.payload.web01/docker/{A}", A, Runtime::Docker, None),
    ("/docker/{A}/lxc.monitor.inner", A, Runtime::Docker, None),
    // ECS.
    (
        "/ecs/0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b/0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b-1234567890",
        "0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b-1234567890",
        Runtime::Ecs,
        None,
    ),
    ("/ecs/{STATIC}/{A}", A, Runtime::Ecs, None),
    ("/ecs/production/{POD}/{A}", A, Runtime::Ecs, None),
    ("/ecstasks.slice/ecstasks-{STATIC}.slice/docker-{A}.scope", A, Runtime::Docker, None),
    // Garden.
    ("/garden/6f0b1a2c-3d4e-5f60-7182-93a4", "6f0b1a2c-3d4e-5f60-7182-93a4", Runtime::Garden, None),
    (
        "/system.slice/garden.service/garden/good/6f0b1a2c-3d4e-5f60-7182-93a4",
        "6f0b1a2c-3d4e-5f60-7182-93a4",
        Runtime::Garden,
        None,
    ),
    ("/garden/{POD}", POD, Runtime::Garden, None),
    // systemd-nspawn: the payload, not the supervisor.
    ("/machine.slice/systemd-nspawn@web.service/payload", "web", Runtime::Nspawn, None),
    ("/machine.slice/systemd-nspawn@web.service/payload/init.scope", "web", Runtime::Nspawn, None),
    ("/machine.slice/systemd-nspawn@web.service/init.scope", "web", Runtime::Nspawn, None),
    (
        r"/machine.slice/machine-my\x2dweb.scope/payload/system.slice/ssh.service",
        r"my\x2dweb",
        Runtime::Nspawn,
        None,
    ),
    // Prefixes that nobody listed still say that this is a container.
    ("/system.slice/balena-{A}.scope", A, Runtime::Unknown, None),
    // Cut at the top.
    ("{A}", A, Runtime::Unknown, None),
    ("docker-{A}.scope/init.scope", A, Runtime::Docker, None),
    ("pod{POD}/{A}", A, Runtime::Unknown, Some(POD)),
    ("urstable-pod{POD_SYSTEMD}.slice/crio-{A}.scope", A, Runtime::CriO, Some(POD)),
    // Doubled and trailing slashes.
    ("//docker//{A}/", A, Runtime::Docker, None),
];

const HOST: &[&str] = &[
    "",
    "/",
    "///",
    "/init.scope",
    "/user.slice",
    "/user.slice/user-1000.slice/session-3.scope",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4242.scope",
    "/user.slice/user-0.slice/session-c1.scope",
    "/system.slice",
    "/system.slice/docker.service",
    "/system.slice/docker.socket",
    "/system.slice/containerd.service",
    "/system.slice/crio.service",
    "/system.slice/podman.service",
    "/system.slice/lxc.service",
    "/system.slice/lxcfs.service",
    "/system.slice/garden.service",
    "/system.slice/ecs.service",
    "/system.slice/k3s.service",
    "/system.slice/kubelet.service",
    "/system.slice/ssh.service",
    "/system.slice/system-getty.slice/getty@tty1.service",
    "/system.slice/docker-compose-web.service",
    "/docker",
    "/docker/buildkit",
    "/kubepods.slice",
    "/kubepods/burstable/pod{POD}",
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_SYSTEMD}.slice",
    // Monitors and helpers on the host, which carry a container's id but are not in it.
    "/machine.slice/libpod-conmon-{A}.scope",
    "/kubepods.slice/kubepods-pod{POD_SYSTEMD}.slice/crio-conmon-{A}.scope",
    "/kubepods.slice:crio-conmon:{A}",
    "/libpod_parent/conmon",
    "/libpod_parent/{A}/conmon",
    "/lxc.monitor.web01",
    "/lxc.monitor/101",
    "/lxc.pivot",
    "/lxc.payload.",
    "/lxc",
    "/machine.slice/systemd-nspawn@web.service",
    "/machine.slice/systemd-nspawn@web.service/supervisor",
    r"/machine.slice/machine-qemu\x2d1\x2dvm.scope",
    r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/vcpu0",
    // Podman's health checks run on the host in units named after the container.
    "/system.slice/{A}.service",
    "/system.slice/{A}-1f2e3d4c5b6a7988.service",
    // Not quite an id.
    "/docker/4F797C539E6C745DE61A93CA3FF892358ECBCACCD8414D5DB545C38428142970",
    "/docker/4f797c539e6c",
    "/system.slice/docker-{A}0.scope",
    "/default/web",
    "/0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b-",
    "/0c9a6b1f3e8d4a5c9b7e2d1f6a8c4e3b-12ab",
    "/{POD}",
];

#[test]
fn every_runtime_is_recognised() {
    for (pattern, id, runtime, pod) in CASES {
        let path = fill(pattern);
        let got = parse(&path).unwrap_or_else(|| panic!("{path}: not recognised"));
        let pod_uid = got.pod_uid.as_ref().map(PodUid::as_str);
        assert_eq!((got.id, got.runtime, pod_uid), (*id, *runtime, *pod), "{path}");
    }
}

#[test]
fn the_host_is_not_a_container() {
    for pattern in HOST {
        let path = fill(pattern);
        assert_eq!(parse(&path), None, "{path}");
    }
}

#[test]
fn thousands_of_levels_below_a_container_keep_it() {
    let path = format!("/docker/{A}{}", "/deep".repeat(3000));
    assert_eq!(parse(&path).map(|c| c.id), Some(A));
}

#[test]
fn runtimes_have_distinct_names() {
    let mut names: Vec<_> = CASES.iter().map(|(_, _, runtime, _)| runtime.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "buildkit",
            "containerd",
            "cri-o",
            "docker",
            "ecs",
            "garden",
            "lxc",
            "podman",
            "systemd-nspawn",
            "unknown"
        ]
    );
}

/// Any container path of the table.
fn container_path() -> impl Strategy<Value = String> {
    prop::sample::select(CASES).prop_map(|(pattern, ..)| fill(pattern))
}

/// Components that occur in cgroup paths, with and without meaning to the parser.
fn component() -> impl Strategy<Value = String> {
    let tables = CASES.iter().map(|(pattern, ..)| *pattern).chain(HOST.iter().copied());
    let known: Vec<String> =
        tables.flat_map(|p| fill(p).split('/').map(str::to_owned).collect::<Vec<_>>()).collect();
    prop_oneof![prop::sample::select(known), "[a-z0-9.:@_-]{0,80}", "\\PC{0,20}", "[0-9a-f]{64}"]
}

/// What systemd makes inside a container.
fn child() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("init.scope".to_owned()),
        "system\\.slice/[a-z]{1,10}\\.service",
        "user\\.slice/user-[0-9]{1,4}\\.slice/session-[0-9]{1,3}\\.scope",
        "user\\.slice/user-[0-9]{1,4}\\.slice/user@[0-9]{1,4}\\.service/app\\.slice",
        Just("system.slice/docker.service".to_owned()),
    ]
}

fn joined(components: &[String]) -> String {
    components.iter().flat_map(|c| ["/", c]).collect()
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(path in "\\PC{0,200}") {
        let _ = parse(&path);
    }

    #[test]
    fn the_id_is_a_slice_of_the_path(components in prop::collection::vec(component(), 0..8)) {
        let path = joined(&components);
        if let Some(Container { id, pod_uid, .. }) = parse(&path) {
            prop_assert!(!id.is_empty());
            let inside = path.as_bytes().as_ptr_range();
            let of_id = id.as_bytes().as_ptr_range();
            prop_assert!(inside.start <= of_id.start && of_id.end <= inside.end);
            if let Some(pod) = pod_uid {
                prop_assert!(matches!(pod.as_str().len(), 32 | 36));
            }
        }
    }

    #[test]
    fn parents_never_change_the_id(
        parents in prop::collection::vec(component(), 0..4),
        path in prop::collection::vec(component(), 1..5),
    ) {
        let path = joined(&path);
        if let Some(alone) = parse(&path) {
            let longer = joined(&parents) + &path;
            prop_assert_eq!(parse(&longer).map(|c| c.id), Some(alone.id), "{}", longer);
        }
    }

    #[test]
    fn cgroups_made_inside_a_container_keep_it(path in container_path(), child in child()) {
        prop_assume!(!path.ends_with(" (deleted)"));
        let longer = format!("{path}/{child}");
        prop_assert_eq!(parse(&longer), parse(&path), "{}", longer);
    }

    #[test]
    fn a_path_cut_above_the_container_keeps_its_id(path in container_path(), cut in 0_usize..200) {
        let whole = parse(&path).unwrap();
        let start = whole.id.as_ptr() as usize - path.as_ptr() as usize;
        // Keep the container's own component and its parent, on which LXC, Garden and nspawn depend.
        let own = path[..start].trim_end_matches('/').rfind('/').map_or(0, |at| path[..at].rfind('/').map_or(0, |p| p + 1));
        let cut = (0..=cut.min(own)).rev().find(|at| path.is_char_boundary(*at)).unwrap();
        prop_assert_eq!(parse(&path[cut..]).map(|c| c.id), Some(whole.id), "{}", &path[cut..]);
    }
}
