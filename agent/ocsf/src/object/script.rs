//! A script and its content.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::{File, Fingerprint};
use crate::command::trim_broken_end;
use crate::text::Base64;

/// OCSF `script`.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// The language.
    pub kind: ScriptKind<'a>,
    /// The file that it was read from.
    pub file: Option<File<'a>>,
    /// Hashes of the whole content as it lies in the file.
    pub hashes: &'a [Fingerprint<'a>],
    /// The content.
    pub content: LongString<'a>,
    /// The script that called this one.
    pub parent_uid: Option<&'a str>,
    /// A name, for a script without a file.
    pub name: Option<&'a str>,
    /// An id of this execution.
    pub uid: Option<&'a str>,
}

impl<'a> Script<'a> {
    /// A script with nothing known but its language and content.
    #[must_use]
    pub fn new(kind: ScriptKind<'a>, content: LongString<'a>) -> Self {
        Self { kind, file: None, hashes: &[], content, parent_uid: None, name: None, uid: None }
    }
}

impl Serialize for Script<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("script", 8)?;
        object.serialize_field("type_id", &self.kind.type_id())?;
        if let ScriptKind::Other(interpreter) = self.kind {
            object.serialize_field("type", interpreter)?;
        }
        for (key, value) in [("uid", self.uid), ("parent_uid", self.parent_uid), ("name", self.name)] {
            if let Some(value) = value {
                object.serialize_field(key, value)?;
            }
        }
        if let Some(file) = &self.file {
            object.serialize_field("file", file)?;
        }
        if !self.hashes.is_empty() {
            object.serialize_field("hashes", self.hashes)?;
        }
        object.serialize_field("script_content", &self.content)?;
        object.end()
    }
}

/// OCSF `script.type_id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScriptKind<'a> {
    /// Not known.
    #[default]
    Unknown,
    /// PowerShell.
    PowerShell,
    /// Python.
    Python,
    /// JavaScript.
    JavaScript,
    /// A shell of the Bourne family, C shell or fish.
    UnixShell,
    /// Another language, by the name of its interpreter.
    Other(&'a str),
}

impl<'a> ScriptKind<'a> {
    /// The language by the interpreter's file name or path, such as `/usr/bin/python3.12`.
    #[must_use]
    pub fn of_interpreter(path: &'a str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let family = name.trim_end_matches(|ch: char| ch.is_ascii_digit() || ch == '.' || ch == '-');
        match family {
            "" => Self::Unknown,
            "pwsh" => Self::PowerShell,
            "python" | "pypy" => Self::Python,
            "node" | "nodejs" | "deno" | "bun" => Self::JavaScript,
            "sh" | "bash" | "rbash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" | "fish" | "csh" | "tcsh" => {
                Self::UnixShell
            }
            _ => Self::Other(name),
        }
    }

    /// The language by the first line of the content: `#!/usr/bin/env -S python3 -u` is Python.
    ///
    /// Unknown without a `#!` line in UTF-8 that names an interpreter.
    #[must_use]
    pub fn of_content(content: &'a [u8]) -> Self {
        // Linux reads 256 bytes of it (BINPRM_BUF_SIZE, linux/binfmts.h).
        let Some(rest) = content.get(..content.len().min(256)).and_then(|head| head.strip_prefix(b"#!"))
        else {
            return Self::Unknown;
        };
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let Ok(line) = std::str::from_utf8(trim_broken_end(line)) else { return Self::Unknown };
        let mut words = line.split_ascii_whitespace();
        let Some(interpreter) = words.next() else { return Self::Unknown };
        if !interpreter.ends_with("/env") {
            return Self::of_interpreter(interpreter);
        }
        words
            .find(|word| !word.starts_with('-') && !word.contains('='))
            .map_or(Self::Unknown, Self::of_interpreter)
    }

    fn type_id(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::PowerShell => 2,
            Self::Python => 3,
            Self::JavaScript => 4,
            Self::UnixShell => 6,
            Self::Other(_) => 99,
        }
    }
}

/// OCSF `long_string` with the content of a script: text as it is, or base64 where it is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongString<'a> {
    value: Value<'a>,
    untruncated_size: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(&'a str),
    Base64(Base64<'a>),
}

impl<'a> LongString<'a> {
    /// Content of which `bytes` were read from a file of `true_len` bytes.
    ///
    /// A cut through a character leaves that character out, so that text stays text.
    #[must_use]
    pub fn new(bytes: &'a [u8], true_len: u64) -> Self {
        let cut = u64::try_from(bytes.len()).is_ok_and(|len| len < true_len);
        let whole = if cut { trim_broken_end(bytes) } else { bytes };
        let value = std::str::from_utf8(whole).map_or(Value::Base64(Base64(bytes)), Value::Text);
        Self { value, untruncated_size: cut.then_some(true_len) }
    }

    /// Whether the value is base64; the event says so in `unmapped.script_encoding`.
    #[must_use]
    pub fn is_base64(&self) -> bool {
        matches!(self.value, Value::Base64(_))
    }
}

impl Serialize for LongString<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("long_string", 3)?;
        object.serialize_field("value", &self.value)?;
        if let Some(size) = self.untruncated_size {
            object.serialize_field("is_truncated", &true)?;
            object.serialize_field("untruncated_size", &size)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_tells_the_language() {
        for (line, wanted) in [
            ("#!/bin/sh", ScriptKind::UnixShell),
            ("#! /bin/bash -eu\necho", ScriptKind::UnixShell),
            ("#!/usr/bin/env python3", ScriptKind::Python),
            ("#!/usr/bin/env -S PYTHONPATH=/x python3.12 -u\n", ScriptKind::Python),
            ("#!/usr/bin/env node\r\n", ScriptKind::JavaScript),
            ("#!/usr/bin/pwsh", ScriptKind::PowerShell),
            ("#!/usr/bin/perl5.36.0 -w", ScriptKind::Other("perl5.36.0")),
            ("#!/usr/bin/awk -f", ScriptKind::Other("awk")),
            ("#!/usr/bin/env", ScriptKind::Unknown),
            ("#!/", ScriptKind::Unknown),
            ("#!", ScriptKind::Unknown),
            ("", ScriptKind::Unknown),
            ("echo no shebang", ScriptKind::Unknown),
        ] {
            assert_eq!(ScriptKind::of_content(line.as_bytes()), wanted, "{line:?}");
        }
    }

    #[test]
    fn content_stays_text_under_a_cut_and_bytes_become_base64() {
        let bird = "# 雀".as_bytes();
        for (bytes, true_len, wanted, base64) in [
            (bird, 5, r##"{"value":"# 雀"}"##, false),
            (&bird[..4], 5, r##"{"value":"# ","is_truncated":true,"untruncated_size":5}"##, false),
            (&bird[..4], 4, r#"{"value":"IyDpmw=="}"#, true),
            (b"\xff\xfe", 9, r#"{"value":"//4=","is_truncated":true,"untruncated_size":9}"#, true),
            (b"", 0, r#"{"value":""}"#, false),
        ] {
            let content = LongString::new(bytes, true_len);
            assert_eq!(serde_json::to_string(&content).unwrap(), wanted);
            assert_eq!(content.is_base64(), base64);
        }
    }
}
