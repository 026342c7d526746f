//! Which cgroup hierarchy names containers on this machine.

use std::{fs, io};

/// Controllers by how reliably runtimes make a group in them; `systemd`'s named hierarchy has no subsystem.
const PREFERRED: [&str; 5] = ["pids", "memory", "cpu", "devices", "freezer"];

/// The v1 controller to read paths from, or `None` when all controllers are on v2.
///
/// # Errors
/// When `/proc/cgroups` can't be read.
pub fn v1_controller() -> io::Result<Option<&'static str>> {
    Ok(parse(&fs::read_to_string("/proc/cgroups")?))
}

/// Lines are `name hierarchy num_cgroups enabled`; hierarchy 0 is the unified one (or none).
fn parse(table: &str) -> Option<&'static str> {
    let on_v1 = |name: &str| {
        table.lines().any(|line| {
            let mut fields = line.split_ascii_whitespace();
            fields.next() == Some(name)
                && fields.next().is_some_and(|hierarchy| hierarchy.parse::<u32>().is_ok_and(|id| id != 0))
        })
    };
    PREFERRED.into_iter().find(|name| on_v1(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_preferred_controller_on_v1_is_taken() {
        let table =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t4\t39\t1\npids\t0\t1\t1\n";
        assert_eq!(parse(table), Some("memory"));
    }

    #[test]
    fn a_unified_machine_has_none() {
        assert_eq!(
            parse("#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\nmemory\t0\t1\t1\n"),
            None
        );
        assert_eq!(parse(""), None);
        assert_eq!(parse("pids\tx\nmemory"), None);
    }
}
