//! Tables as kernels and container runtimes show them.

use proptest::prelude::*;

use super::*;

const HYBRID_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const HYBRID_CGROUP: &str = "\
9:name=systemd:/
8:pids:/
4:memory:/jobs/a:b
2:cpuacct:/
1:cpu:/
0::/
";
const V2_MOUNTS: &str = "\
23 29 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";
const V2_CGROUP: &str = "0::/system.slice/linnet-agent.service\n";

fn location(version: Version, mount: &str, own: &str) -> Option<Location> {
    Some(Location { version, mount: mount.into(), own: own.into() })
}

#[test]
fn hybrid_controllers_are_on_v1() {
    let found = Hierarchies::parse(HYBRID_MOUNTS, HYBRID_CGROUP);
    assert_eq!(found.mode(), LimitMode::Hybrid);
    assert_eq!(found.locate(Controller::Cpu), location(Version::V1, "/sys/fs/cgroup/cpu", "/"));
    assert_eq!(found.locate(Controller::Memory), location(Version::V1, "/sys/fs/cgroup/memory", "/jobs/a:b"));
    assert_eq!(found.systemd(), location(Version::V1, "/sys/fs/cgroup/systemd", "/"));
}

#[test]
fn a_controller_that_v1_gave_up_is_on_v2() {
    let cgroup = HYBRID_CGROUP.replace("4:memory:/jobs/a:b\n", "");
    let found = Hierarchies::parse(HYBRID_MOUNTS, &cgroup);
    assert_eq!(found.locate(Controller::Memory), location(Version::V2, "/sys/fs/cgroup/unified", "/"));
    assert_eq!(found.mode(), LimitMode::Hybrid);
}

#[test]
fn v2_has_everything_in_one_place() {
    let found = Hierarchies::parse(V2_MOUNTS, V2_CGROUP);
    let unit = location(Version::V2, "/sys/fs/cgroup", "/system.slice/linnet-agent.service");
    assert_eq!(found.mode(), LimitMode::V2);
    for controller in REQUIRED {
        assert_eq!(found.locate(controller), unit);
    }
    assert_eq!(found.systemd(), unit);
}

#[test]
fn v1_with_shared_hierarchies() {
    let mounts = "\
25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
26 24 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
27 24 0:24 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
";
    let found =
        Hierarchies::parse(mounts, "4:cpu,cpuacct:/a\n3:memory:/b\n2:pids:/user.slice\n1:name=systemd:/x\n");
    assert_eq!(found.mode(), LimitMode::V1);
    assert_eq!(found.locate(Controller::Cpu), location(Version::V1, "/sys/fs/cgroup/cpu,cpuacct", "/a"));
    assert_eq!(found.locate(Controller::CpuAcct), found.locate(Controller::Cpu));
    assert_eq!(found.systemd(), None, "not mounted");
}

#[test]
fn a_mount_of_a_part_is_taken_off_the_path() {
    // Docker on v1 without a cgroup namespace.
    let mounts = "40 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    for (path, own) in
        [("/docker/abc", Some("/")), ("/docker/abc/x", Some("/x")), ("/docker/abcd", None), ("/", None)]
    {
        let found = Hierarchies::parse(mounts, &format!("4:memory:{path}\n"));
        let own = own.and_then(|own| location(Version::V1, "/sys/fs/cgroup/memory", own));
        assert_eq!(found.locate(Controller::Memory), own, "{path}");
    }
}

#[test]
fn a_cgroup_outside_of_the_namespace_is_out_of_sight() {
    let found = Hierarchies::parse(V2_MOUNTS, "0::/../../init.scope\n");
    assert_eq!(found.locate(Controller::Cpu), None);
}

#[test]
fn without_mounts_there_is_nothing() {
    let found = Hierarchies::parse("", "0::/\n");
    assert_eq!(found.mode(), LimitMode::None);
    assert_eq!(found.locate(Controller::Memory), None);
}

#[test]
fn escapes_in_mount_points_are_undone() {
    for (field, expected) in
        [(r"/a\040b", "/a b"), (r"\134", "\\"), (r"/a\", "/a\\"), (r"\04", r"\04"), (r"\999é", r"\999é")]
    {
        assert_eq!(unescaped(field), expected);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(mountinfo in "(\\PC|\n| - cgroup2? |\\\\){0,80}", cgroup in "(\\PC|\n|:|/){0,60}") {
        let found = Hierarchies::parse(&mountinfo, &cgroup);
        let _ = (found.mode(), found.systemd());
        for controller in crate::controller::ALL {
            let _ = found.locate(controller);
        }
    }
}
