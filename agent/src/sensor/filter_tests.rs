use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::process::{Image, cgroups::Cgroups};

const HOST: u32 = 100;

/// An exec of root's `/usr/bin/true -x` in the host's mount namespace, by cron.
struct Case {
    body: linnet_ebpf::Exec,
    exe: &'static str,
    script: &'static str,
    argv: &'static [u8],
    flags: u16,
    cgroup: &'static str,
    parent: (&'static str, bool),
}

impl Default for Case {
    fn default() -> Self {
        let mut body: linnet_ebpf::Exec = zerocopy::FromZeros::new_zeroed();
        body.mnt_ns = HOST;
        body.exe.inode = 7;
        body.exe.nlink = 1;
        body.exe.mode = 0o100_755;
        body.argc = 2;
        Self {
            body,
            exe: "/usr/bin/true",
            script: "",
            argv: b"true\0-x\0",
            flags: 0,
            cgroup: "/system.slice/cron.service",
            parent: ("/usr/sbin/cron", true),
        }
    }
}

/// Names leaf first, each with its NUL, as the kernel side writes them.
fn names(path: &str) -> Vec<u8> {
    path.split('/')
        .rev()
        .filter(|name| !name.is_empty())
        .flat_map(|name| [name.as_bytes(), b"\0"].concat())
        .collect()
}

impl Case {
    fn left_out(&self, ignore: &Value, sampling: &Value) -> Option<LeftOut> {
        let json = json!({"ignore": ignore, "sampling": sampling}).to_string();
        let settings = linnet_settings::parse(std::path::Path::new("x"), json.as_bytes()).unwrap();
        let mut filters = Filters::new([HOST, 0]);
        filters.set(&settings.ignore, &settings.sampling, &mut Ledger::default());
        let (exe, script) = (names(self.exe), names(self.script));
        let mut body = self.body;
        body.argv_len = u32::try_from(self.argv.len()).unwrap();
        body.argv_true_len = body.argv_true_len.max(body.argv_len);
        if !self.script.is_empty() {
            body.script = body.exe;
        }
        let path = |below| Path { below, above: &[], bind: &[], flags: self.flags };
        let exec = Exec {
            body: &body,
            argv: self.argv,
            filename: b"",
            interp: b"",
            exe: path(&exe),
            script: path(&script),
            cwd: path(b""),
            cgroup: path(b""),
        };
        let key = Key { pid: 42, start_ticks: 7 };
        let image = |path: &str, sound| Rc::new(Image { name: "x".into(), path: path.into(), sound });
        let context = Context {
            key,
            parent: key,
            parent_image: Some(image(self.parent.0, self.parent.1)),
            image: image(self.exe, true),
            cgroup: Cgroups::new().of_path(self.cgroup.as_bytes()),
            ancestors: Rc::from([]),
            exec_count: 1,
        };
        let mut written = Vec::new();
        exec.exe.write_in_namespace(&mut written);
        filters.exec(&exec, &written, &context)
    }

    #[expect(clippy::needless_pass_by_value, reason = "a rule is written where it is asked for")]
    fn is_ignored_by(&self, rule: Value) -> bool {
        self.left_out(&json!({ "r": rule }), &json!({})).is_some_and(|left_out| left_out.by_image)
    }
}

#[test]
fn everything_that_a_rule_gives_must_be_so() {
    let case = Case::default();
    let whole = json!({"exe": "/usr/bin/*", "parent": "/usr/sbin/cron", "uids": [0], "args": ["-*"]});
    assert!(case.is_ignored_by(whole.clone()));
    for (key, other) in [
        ("exe", json!("/usr/bin/false")),
        ("parent", json!("/usr/sbin/atd")),
        ("uids", json!([1000])),
        ("args", json!([])),
        ("args", json!(["-x", "*"])),
        ("args", json!(["y"])),
        ("container", json!("0123456789ab")),
        ("owners", json!([1000])),
        ("script", json!("/etc/cron.daily/*")),
        ("enabled", json!(false)),
    ] {
        let mut rule = whole.clone();
        rule[key] = other;
        assert!(!case.is_ignored_by(rule.clone()), "{rule}");
    }
}

#[test]
fn a_path_in_a_namespace_that_anybody_can_make_hides_nothing() {
    let rule = || json!({"exe": "/usr/bin/true"});
    assert!(Case::default().is_ignored_by(rule()));
    let mut own_namespace = Case::default();
    own_namespace.body.mnt_ns = HOST + 1;
    assert!(!own_namespace.is_ignored_by(rule()));
    let docker = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert!(!Case { cgroup: docker, ..Case::default() }.is_ignored_by(rule()));
    own_namespace.cgroup = docker;
    assert!(own_namespace.is_ignored_by(json!({"exe": "/usr/bin/true", "container": "0123456789ab"})));
    assert!(!own_namespace.is_ignored_by(json!({"exe": "/usr/bin/true", "container": "1123456789ab"})));
    assert!(own_namespace.is_ignored_by(json!({"exe": "/usr/bin/true", "container": "any"})));
}

#[test]
fn a_file_that_another_could_have_written_hides_nothing() {
    let rule = || json!({"exe": "/usr/bin/true"});
    for change in [
        |case: &mut Case| case.body.exe.uid = 1000,
        |case: &mut Case| case.body.exe.mode = 0o100_775,
        |case: &mut Case| case.body.exe.mode = 0o100_757,
        |case: &mut Case| case.body.exe.flags = FILE_FLAG_UNHASHED,
        |case: &mut Case| case.body.exe.nlink = 0,
        |case: &mut Case| case.flags = linnet_ebpf::PATH_DETACHED,
        |case: &mut Case| case.flags = linnet_ebpf::PATH_CUT,
    ] {
        let mut case = Case::default();
        change(&mut case);
        assert!(!case.is_ignored_by(rule()), "{:?} {}", case.body.exe.mode, case.flags);
    }
    let mut of_app = Case::default();
    of_app.body.exe.uid = 1000;
    assert!(of_app.is_ignored_by(json!({"exe": "/usr/bin/true", "owners": [0, 1000]})));
}

#[test]
fn a_rule_for_an_interpreter_is_none_for_scripts() {
    let script = Case { script: "/tmp/evil.sh", exe: "/usr/bin/dash", ..Case::default() };
    assert!(!script.is_ignored_by(json!({"exe": "/usr/bin/dash"})));
    assert!(script.is_ignored_by(json!({"exe": "/usr/bin/dash", "script": "/tmp/*.sh"})));
    assert!(!script.is_ignored_by(json!({"script": "/etc/cron.daily/*"})));
}

#[test]
fn what_a_process_says_of_itself_matters_in_no_rule() {
    // argv[0] is what the caller likes; the arguments must be there whole.
    let named = Case { argv: b"/usr/sbin/cron\0-x\0", ..Case::default() };
    assert!(named.is_ignored_by(json!({"exe": "/usr/bin/true", "args": ["-x"]})));
    let mut cut = Case::default();
    cut.body.argv_true_len = 100;
    assert!(!cut.is_ignored_by(json!({"exe": "/usr/bin/true", "args": ["-x"]})));
    let mut smuggled = Case { argv: b"true\0-x\0--evil\0", ..Case::default() };
    smuggled.body.argc = 3;
    assert!(!smuggled.is_ignored_by(json!({"exe": "/usr/bin/true", "args": ["-x"]})));
}

#[test]
fn a_parent_whose_path_is_its_own_doing_counts_for_nothing() {
    let unsound = Case { parent: ("/usr/sbin/cron", false), ..Case::default() };
    assert!(!unsound.is_ignored_by(json!({"exe": "/usr/bin/true", "parent": "/usr/sbin/cron"})));
}

#[test]
fn another_effective_user_is_another_user() {
    let mut raised = Case::default();
    raised.body.uid = 1000;
    for uids in [json!([0]), json!([1000]), json!([0, 1000])] {
        assert!(!raised.is_ignored_by(json!({"exe": "/usr/bin/true", "uids": uids})));
    }
}

#[test]
fn the_draw_leaves_out_its_share_and_never_what_is_unusual() {
    let mut filters = Filters::new([HOST, 0]);
    filters.sampling = Sampling { exec_permille: 250, fork_permille: 1000 };
    let told = (0..4000).filter(|pid| filters.is_drawn(Key { pid: *pid, start_ticks: 1 }, 250)).count();
    // 1000 expected, standard deviation 27.
    assert!((860..=1140).contains(&told), "{told}");
    let key = Key { pid: 9, start_ticks: 9 };
    assert_eq!(filters.is_drawn(key, 500), filters.is_drawn(key, 500));
    // A process that is in a small share is in each larger one.
    for pid in 0..500 {
        let key = Key { pid, start_ticks: 3 };
        assert!(!filters.is_drawn(key, 100) || filters.is_drawn(key, 600));
    }
    let sampling = json!({"exec_permille": 1});
    let mut set_uid = Case::default();
    set_uid.body.flags = EXEC_FLAG_SECURE;
    let memfd = Case { flags: linnet_ebpf::PATH_DETACHED, ..Case::default() };
    for _ in 0..20 {
        assert_eq!(set_uid.left_out(&json!({}), &sampling), None);
        assert_eq!(memfd.left_out(&json!({}), &sampling), None);
    }
}

#[test]
fn no_two_runs_draw_the_same() {
    let drawn = |filters: &Filters| {
        (0..200).map(|pid| filters.is_drawn(Key { pid, start_ticks: 1 }, 500)).collect::<Vec<_>>()
    };
    assert_ne!(drawn(&Filters::new([HOST, 0])), drawn(&Filters::new([HOST, 0])));
}
