//! Where things lie that make programs start: a table. Paths are those of Debian, Red Hat, SUSE and Alpine.

/// A kind of persistence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Category {
    /// Its name in events and settings.
    pub(crate) name: &'static str,
    /// What one is called in a sentence.
    pub(crate) noun: &'static str,
    /// MITRE ATT&CK technique.
    pub(crate) technique: (&'static str, &'static str),
    /// Whether a new one is serious by itself.
    pub(crate) grave: bool,
    /// Whether its content is told, as far as the settings allow.
    pub(crate) telling: bool,
}

/// How to look at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// One file.
    File,
    /// The files in a directory.
    Directory,
    /// The files in a directory and one level below, whose names end so; all where no endings are given.
    Tree(&'static [&'static str]),
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) category: Category,
    pub(crate) look: Look,
    /// Absolute; or below each home directory where it begins with `~/`.
    pub(crate) path: &'static str,
}

const fn category(
    name: &'static str,
    noun: &'static str,
    technique: (&'static str, &'static str),
    grave: bool,
    telling: bool,
) -> Category {
    Category { name, noun, technique, grave, telling }
}

const CRON: Category = category("cron", "cron job", ("T1053.003", "Cron"), false, true);
const AT: Category = category("at", "at job", ("T1053.002", "At"), false, true);
const UNIT: Category = category("systemd", "systemd unit", ("T1543.002", "Systemd Service"), false, true);
const TIMER: Category =
    category("systemd_timer", "systemd timer", ("T1053.006", "Systemd Timers"), false, true);
const GENERATOR: Category =
    category("systemd_generator", "systemd generator", ("T1543.002", "Systemd Service"), true, false);
const RC: Category = category("rc", "start script", ("T1037.004", "RC Scripts"), false, true);
const PROFILE: Category = category(
    "shell_profile",
    "shell profile",
    ("T1546.004", "Unix Shell Configuration Modification"),
    false,
    true,
);
const KEYS: Category =
    category("authorized_keys", "authorized_keys file", ("T1098.004", "SSH Authorized Keys"), false, true);
const SSH: Category = category("ssh", "ssh configuration", ("T1098.004", "SSH Authorized Keys"), false, true);
const PRELOAD: Category =
    category("ld_preload", "preloaded library list", ("T1574.006", "Dynamic Linker Hijacking"), true, true);
const LINKER: Category =
    category("ld_conf", "library search path", ("T1574.006", "Dynamic Linker Hijacking"), false, true);
const PAM: Category =
    category("pam", "PAM configuration", ("T1556.003", "Pluggable Authentication Modules"), false, true);
const PAM_MODULE: Category =
    category("pam_module", "PAM module", ("T1556.003", "Pluggable Authentication Modules"), true, false);
const MODULES: Category = category(
    "kernel_modules",
    "kernel module at boot",
    ("T1547.006", "Kernel Modules and Extensions"),
    false,
    true,
);
const UDEV: Category = category("udev", "udev rule", ("T1546.017", "Udev Rules"), false, true);
const DESKTOP: Category =
    category("autostart", "desktop autostart entry", ("T1547.013", "XDG Autostart Entries"), false, true);
const HOOK: Category =
    category("package_hook", "package manager hook", ("T1546.016", "Installer Packages"), false, true);
const SUDO: Category = category("sudoers", "sudo rule", ("T1548.003", "Sudo and Sudo Caching"), false, true);

/// Set-uid and set-gid files, which a walk finds.
pub(crate) const SET_ID: Category =
    category("set_id", "set-uid program", ("T1548.001", "Setuid and Setgid"), false, false);

const UNITS: Look =
    Look::Tree(&[".service", ".socket", ".path", ".mount", ".automount", ".conf", ".target", ".slice"]);
const TIMERS: Look = Look::Tree(&[".timer"]);

macro_rules! places {
    ($($category:ident { $($look:expr => $($path:literal),+);+ })*) => {
        &[$($($(Place { category: $category, look: $look, path: $path },)+)+)*]
    };
}

/// The table.
pub(crate) const PLACES: &[Place] = places![
    CRON { Look::File => "/etc/crontab", "/etc/anacrontab";
        Look::Directory => "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
            "/etc/cron.monthly", "/etc/periodic/15min", "/etc/periodic/hourly", "/etc/periodic/daily",
            "/etc/periodic/weekly", "/etc/periodic/monthly", "/var/spool/cron", "/var/spool/cron/crontabs",
            "/var/spool/cron/tabs" }
    AT { Look::Directory => "/var/spool/at", "/var/spool/atjobs", "/var/spool/cron/atjobs" }
    UNIT { UNITS => "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/user", "/usr/lib/systemd/user",
            "~/.config/systemd/user", "~/.local/share/systemd/user" }
    TIMER { TIMERS => "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/user", "/usr/lib/systemd/user",
            "~/.config/systemd/user", "~/.local/share/systemd/user" }
    GENERATOR { Look::Directory => "/etc/systemd/system-generators", "/run/systemd/system-generators",
            "/usr/local/lib/systemd/system-generators", "/usr/lib/systemd/system-generators",
            "/etc/systemd/user-generators", "/usr/lib/systemd/user-generators" }
    RC { Look::File => "/etc/rc.local", "/etc/rc.d/rc.local", "/etc/inittab", "/etc/rc.conf";
        Look::Directory => "/etc/init.d", "/etc/rc.d/init.d", "/etc/init", "/etc/local.d", "/etc/update-motd.d",
            "/etc/network/if-up.d", "/etc/NetworkManager/dispatcher.d" }
    PROFILE { Look::File => "/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/environment", "/etc/zshenv",
            "/etc/zshrc", "/etc/zprofile", "/etc/zsh/zshenv", "/etc/zsh/zshrc", "/etc/zsh/zprofile", "/etc/zsh/zlogin",
            "/etc/csh.cshrc", "/etc/csh.login", "~/.profile", "~/.bashrc", "~/.bash_profile", "~/.bash_login",
            "~/.bash_logout", "~/.zshenv", "~/.zshrc", "~/.zprofile", "~/.zlogin", "~/.cshrc", "~/.kshrc",
            "~/.config/fish/config.fish", "~/.pam_environment";
        Look::Directory => "/etc/profile.d" }
    KEYS { Look::File => "~/.ssh/authorized_keys", "~/.ssh/authorized_keys2", "~/.ssh/rc", "~/.ssh/environment";
        Look::Directory => "/etc/ssh/authorized_keys" }
    SSH { Look::File => "/etc/ssh/sshd_config", "/etc/ssh/sshrc";
        Look::Directory => "/etc/ssh/sshd_config.d" }
    PRELOAD { Look::File => "/etc/ld.so.preload" }
    LINKER { Look::File => "/etc/ld.so.conf"; Look::Directory => "/etc/ld.so.conf.d" }
    PAM { Look::File => "/etc/pam.conf"; Look::Directory => "/etc/pam.d" }
    PAM_MODULE { Look::Directory => "/lib/security", "/lib64/security", "/usr/lib/security", "/usr/lib64/security",
            "/usr/lib/x86_64-linux-gnu/security", "/usr/lib/aarch64-linux-gnu/security" }
    MODULES { Look::File => "/etc/modules";
        Look::Directory => "/etc/modules-load.d", "/run/modules-load.d", "/usr/lib/modules-load.d", "/etc/modprobe.d",
            "/usr/lib/modprobe.d" }
    UDEV { Look::Directory => "/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d" }
    DESKTOP { Look::Directory => "/etc/xdg/autostart", "~/.config/autostart" }
    HOOK { Look::Directory => "/etc/apt/apt.conf.d", "/etc/dpkg/dpkg.cfg.d", "/etc/yum/pluginconf.d",
            "/etc/dnf/plugins" }
    SUDO { Look::File => "/etc/sudoers"; Look::Directory => "/etc/sudoers.d" }
];

/// Names of all categories, for the settings.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = PLACES.iter().map(|place| place.category.name).chain([SET_ID.name]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_named_once_for_a_category() {
        let mut seen = std::collections::BTreeSet::new();
        for place in PLACES {
            assert!(place.path.starts_with('/') || place.path.starts_with("~/"), "{}", place.path);
            assert!(seen.insert((place.category.name, place.path)), "{} twice", place.path);
            assert!(place.category.technique.0.starts_with('T'));
        }
        assert!(names().len() >= 18);
    }
}
