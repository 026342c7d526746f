//! Ignore rules: processes that are not told of, each rule with a name by which what it leaves out is counted.
//!
//! A rule says what must *all* be true of an exec. It speaks of what the kernel saw (the file that runs, the user, the
//! parent, the container), never of what a process calls itself: `argv[0]` and the task's name are not in the language.
//! And because a rule is a place to hide in, it is narrow where it says nothing:
//!
//! - without `container` it is for the host alone: the mount namespaces of process 1 and of the sensor, in which
//!   nobody but root decides what file lies at a path;
//! - the file must belong to one of `owners`, root if nothing is said, and be writable by nobody else;
//! - without `script` it is never for an exec that started a script, so that a rule for `/bin/sh` is none for what is
//!   written in sh.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::glob::{PathPattern, WordPattern};

/// Most rules.
pub const MAX_RULES: usize = 64;
const MAX_NAME_BYTES: usize = 64;
const MAX_LIST: usize = 64;
/// A container's id is given by this many of its first digits at least, as `docker ps` shows them.
const MIN_CONTAINER_ID: usize = 12;

/// The rules, by name.
pub type IgnoreRules = BTreeMap<String, IgnoreRule>;

/// Processes that are not told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IgnoreRule {
    /// Whether the rule is in force: an override takes back a rule for some hosts by `false`.
    pub enabled: bool,
    /// The path of the executable; of a script, that of its interpreter.
    pub exe: Option<PathPattern>,
    /// The path of the script, where one was started by its `#!` line.
    pub script: Option<PathPattern>,
    /// The path of the executable of the parent.
    pub parent: Option<PathPattern>,
    /// Real user ids; the effective one must be the same.
    pub uids: Option<Vec<u32>>,
    /// The arguments after the first, every one of them and no more.
    pub args: Option<Vec<WordPattern>>,
    /// `host`, `any`, or the first 12 digits or more of a container's id.
    pub container: String,
    /// Users whom the file may belong to.
    pub owners: Vec<u32>,
}

impl Default for IgnoreRule {
    fn default() -> Self {
        Self {
            enabled: true,
            exe: None,
            script: None,
            parent: None,
            uids: None,
            args: None,
            container: "host".to_owned(),
            owners: vec![0],
        }
    }
}

/// The rule that makes no sense, by its key, and why.
pub(crate) fn check(rules: &IgnoreRules) -> Result<(), (&'static str, String)> {
    let refused = |why: String| Err(("ignore", why));
    if rules.len() > MAX_RULES {
        return refused(format!("{} rules, at most {MAX_RULES} are taken", rules.len()));
    }
    for (name, rule) in rules {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
            return refused(format!(
                "{name:?} is no rule's name: 1 to {MAX_NAME_BYTES} letters, digits, _ and -"
            ));
        }
        if let Err(why) = check_one(rule) {
            return refused(format!("{name}: {why}"));
        }
    }
    Ok(())
}

fn check_one(rule: &IgnoreRule) -> Result<(), String> {
    if rule.exe.is_none() && rule.script.is_none() {
        return Err("give exe or script: a rule is about a file".to_owned());
    }
    for (key, len) in [
        ("uids", rule.uids.as_ref().map(Vec::len)),
        ("args", rule.args.as_ref().map(Vec::len)),
        ("owners", Some(rule.owners.len())),
    ] {
        if len.is_some_and(|len| len > MAX_LIST) {
            return Err(format!("{key} has more than {MAX_LIST} entries"));
        }
    }
    if rule.uids.as_ref().is_some_and(Vec::is_empty) || rule.owners.is_empty() {
        return Err("an empty list of uids or owners matches nothing".to_owned());
    }
    let id = rule.container.as_str();
    let is_id =
        id.len() >= MIN_CONTAINER_ID && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !matches!(id, "host" | "any") && !is_id {
        return Err(format!(
            "container {id:?} is none of host, any, or {MIN_CONTAINER_ID} digits or more of an id"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn refused(rule: &str) -> String {
        let json = format!(r#"{{"ignore": {{"r": {rule}}}}}"#);
        crate::parse(Path::new("x"), json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_rule_that_is_no_rule_is_refused_by_its_name() {
        for (rule, says) in [
            ("{}", "ignore: r: give exe or script"),
            (r#"{"uids": [0]}"#, "ignore: r: give exe or script"),
            (r#"{"exe": "/**"}"#, "ignore.r.exe: \"/**\" matches below every directory"),
            (r#"{"exe": "/a", "comm": "x"}"#, "ignore.r.comm: unknown field"),
            (r#"{"exe": "/a", "uids": []}"#, "empty list"),
            (r#"{"exe": "/a", "container": "web"}"#, "container \"web\" is none of host, any"),
            (r#"{"exe": "/a", "uids": "root"}"#, "ignore.r.uids"),
        ] {
            assert!(refused(rule).contains(says), "{rule}: {}", refused(rule));
        }
        let name = r#"{"ignore": {"a b": {"exe": "/a"}}}"#;
        let error = crate::parse(Path::new("x"), name.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("\"a b\" is no rule's name"), "{error}");
    }

    #[test]
    fn a_rule_is_for_the_host_and_root_s_files_unless_it_says_otherwise() {
        let json = r#"{"ignore": {"r": {"exe": "/usr/lib/nagios/**", "args": ["-H", "*"]}}}"#;
        let settings = crate::parse(Path::new("x"), json.as_bytes()).unwrap();
        let rule = &settings.ignore["r"];
        assert!(rule.enabled && rule.container == "host" && rule.owners == [0]);
    }
}
