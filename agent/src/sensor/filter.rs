//! Which processes are not told of: ignore rules and sampling.
//!
//! Both decide from what the kernel saw at exec, before any file is opened for it. What is decided here is remembered in
//! the process table ([`crate::process::Told`]) and counted in the ledger under the rule's name.
//!
//! A rule for the host believes a path only in the mount namespaces of process 1 and of the sensor itself, where root
//! alone decides what lies at it. In a namespace of their own, everybody may mount their program over `/usr/bin/true`.

use std::hash::{BuildHasher, RandomState};

use linnet_ebpf::{EXEC_FLAG_SECURE, FILE_FLAG_UNHASHED, FileFacts};
use linnet_settings::{
    Sampling,
    ignore::{IgnoreRule, IgnoreRules},
};

use super::ledger::{Filter, Ledger};
use crate::{
    event::exec::Context,
    process::{Key, LeftOut},
    record::{Exec, Path},
};

/// Writable by the group or by others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

struct Rule {
    rule: IgnoreRule,
    left_out: LeftOut,
}

/// What is left out.
pub struct Filters {
    rules: Vec<Rule>,
    sampling: Sampling,
    /// Keys the draw of this run; nobody can foresee it.
    draw: RandomState,
    /// The mount namespaces of process 1 and of the sensor; 0 for one that can't be read.
    host_mnt_ns: [u32; 2],
}

impl Filters {
    /// Nothing is left out yet.
    pub fn new(host_mnt_ns: [u32; 2]) -> Self {
        Self { rules: Vec::new(), sampling: Sampling::default(), draw: RandomState::new(), host_mnt_ns }
    }

    /// Follows other settings. Processes that were judged stay as they were judged.
    pub fn set(&mut self, rules: &IgnoreRules, sampling: &Sampling, ledger: &mut Ledger) {
        let enabled = rules.iter().filter(|(_, rule)| rule.enabled);
        self.rules = enabled
            .map(|(name, rule)| Rule {
                rule: rule.clone(),
                left_out: LeftOut { reason: ledger.reason_of_rule(name), by_image: true },
            })
            .collect();
        self.sampling = sampling.clone();
    }

    /// Whether nobody but root decides what lies at the path of a file, and the file is root's.
    pub fn is_sound(&self, mnt_ns: u32, path: &Path<'_>, facts: &FileFacts) -> bool {
        self.is_of_host(mnt_ns) && is_at_its_path(path, facts) && belongs_to(facts, &[0])
    }

    /// Whether a mount namespace is one in which root alone mounts.
    pub fn is_of_host(&self, mnt_ns: u32) -> bool {
        mnt_ns != 0 && self.host_mnt_ns.contains(&mnt_ns)
    }

    /// Why an exec is left out; `exe` is its path as events have it.
    pub fn exec(&self, exec: &Exec<'_>, exe: &[u8], context: &Context) -> Option<LeftOut> {
        let rule = self.rules.iter().find(|one| self.is_for(&one.rule, exec, exe, context));
        if let Some(rule) = rule {
            return Some(rule.left_out);
        }
        let unusual = exec.body.flags & EXEC_FLAG_SECURE != 0 || !is_at_its_path(&exec.exe, &exec.body.exe);
        if unusual || self.is_drawn(context.key, self.sampling.exec_permille) {
            return None;
        }
        Some(SAMPLED)
    }

    /// Why a fork is left out.
    pub fn fork(&self, key: Key) -> Option<LeftOut> {
        (!self.is_drawn(key, self.sampling.fork_permille)).then_some(SAMPLED)
    }

    fn is_drawn(&self, key: Key, permille: u32) -> bool {
        permille >= 1000 || self.draw.hash_one(key) % 1000 < u64::from(permille)
    }

    fn is_for(&self, rule: &IgnoreRule, exec: &Exec<'_>, exe: &[u8], context: &Context) -> bool {
        let body = exec.body;
        let is_script = body.script.inode != 0;
        // A script is told of unless a rule is about it, whatever runs it.
        if is_script != rule.script.is_some() || !self.is_in_place(rule, body.mnt_ns, context) {
            return false;
        }
        if let Some(pattern) = &rule.exe
            && !(pattern.matches(exe) && is_at_its_path(&exec.exe, &body.exe))
        {
            return false;
        }
        if let Some(pattern) = &rule.script {
            let mut path = Vec::new();
            exec.script.write_in_namespace(&mut path);
            if !pattern.matches(&path) || !is_at_its_path(&exec.script, &body.script) {
                return false;
            }
        }
        let file = if is_script { &body.script } else { &body.exe };
        belongs_to(file, &rule.owners)
            && rule.uids.as_ref().is_none_or(|uids| body.uid == body.euid && uids.contains(&body.uid))
            && rule.parent.as_ref().is_none_or(|pattern| {
                context.parent_image.as_ref().is_some_and(|parent| {
                    (parent.sound || rule.container != "host") && pattern.matches(parent.path.as_bytes())
                })
            })
            && rule.args.as_ref().is_none_or(|patterns| {
                arguments(exec).is_some_and(|words| {
                    words.len() == patterns.len()
                        && patterns.iter().zip(words).all(|(pattern, word)| pattern.matches(word))
                })
            })
    }

    fn is_in_place(&self, rule: &IgnoreRule, mnt_ns: u32, context: &Context) -> bool {
        let container = context.cgroup.container.as_ref();
        match rule.container.as_str() {
            "host" => container.is_none() && self.is_of_host(mnt_ns),
            "any" => true,
            id => container.is_some_and(|container| container.id.starts_with(id)),
        }
    }
}

const SAMPLED: LeftOut = LeftOut { reason: Filter::Sampled.reason(), by_image: false };

/// A file that was deleted, was never in a directory, or whose path is known in part only, is at no path.
fn is_at_its_path(path: &Path<'_>, facts: &FileFacts) -> bool {
    !path.is_empty()
        && !path.is_cut()
        && !path.is_detached()
        && facts.flags & FILE_FLAG_UNHASHED == 0
        && facts.nlink > 0
}

fn belongs_to(facts: &FileFacts, owners: &[u32]) -> bool {
    owners.contains(&facts.uid) && facts.mode & WRITABLE_BY_OTHERS == 0
}

/// The arguments after the first; none where the record has not all of them.
fn arguments<'r>(exec: &Exec<'r>) -> Option<Vec<&'r [u8]>> {
    if exec.body.argv_true_len != exec.body.argv_len {
        return None;
    }
    let words: Vec<_> = exec.argv.strip_suffix(&[0])?.split(|byte| *byte == 0).skip(1).collect();
    (words.len() + 1 == usize::try_from(exec.body.argc).ok()?).then_some(words)
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
