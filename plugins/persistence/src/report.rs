//! Its events: what is there is an OCSF Startup Item Query (5022), what changed is a Detection Finding (2004).

use std::path::{Path, PathBuf};

use linnet_plugin::processes::Container;
use linnet_plugin::rooted::Found;
use linnet_plugin::{Event, Severity, files};
use rustix::fs::Stat;
use serde_json::{Map, Value, json};

use crate::catalogue::{Category, PLACES, SET_ID};

const DETECTION_FINDING: u32 = 2004;
const STARTUP_ITEM_QUERY: u32 = 5022;
/// Writable by everybody: nobody installs a program there.
const OPEN_TO_ALL: [&str; 4] = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"];

/// A thing as it was seen.
pub(crate) struct Seen {
    pub(crate) category: Category,
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
    pub(crate) sha256: Option<String>,
    /// Where it leads, if it is a link.
    pub(crate) link: Option<PathBuf>,
    /// What it leads to in the end.
    pub(crate) file: Option<Found>,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Present,
    New,
    Changed,
}

impl Seen {
    /// A short digest of what makes a difference: mode, owner, content, target.
    pub(crate) fn digest(&self) -> String {
        let hash = self.sha256.as_deref().and_then(|hash| hash.get(..16)).unwrap_or("?");
        let link = self.link.as_ref().map_or_else(String::new, |link| format!(" {}", link.display()));
        format!("{:o} {} {hash}{link}", self.stat.st_mode & 0o7777, self.stat.st_uid)
    }

    fn severity(&self, change: Change) -> Severity {
        let path = self.path.to_string_lossy();
        let open = OPEN_TO_ALL.iter().any(|directory| path.starts_with(directory));
        match change {
            Change::Present => Severity::Informational,
            _ if self.category.grave || (self.category == SET_ID && open) => Severity::High,
            _ => Severity::Medium,
        }
    }
}

fn object_with(mut object: Value, name: &str, value: Value) -> Value {
    if let Value::Object(members) = &mut object
        && !value.is_null()
    {
        members.insert(name.to_owned(), value);
    }
    object
}

/// The event of a thing that is there.
pub(crate) fn event(
    seen: &Seen,
    change: Change,
    container: Option<&Container>,
    content: Option<String>,
) -> Event {
    let file = files::object(&seen.path, Some(&seen.stat), seen.sha256.as_deref());
    let path = seen.path.to_string_lossy();
    let mut details = json!({ "category": seen.category.name });
    if let Some(link) = &seen.link {
        details = object_with(details, "link_target", link.to_string_lossy().into());
    }
    let place =
        container.map_or_else(String::new, |container| format!(" in container {}", short(&container.id)));
    if change == Change::Present {
        let job = json!({ "name": file.get("name"), "file": file });
        let item = json!({
            "name": path,
            "type_id": 99,
            "type": seen.category.noun,
            "start_type_id": 99,
            "start_type": seen.category.name,
            "job": job,
        });
        return Event::new(STARTUP_ITEM_QUERY, 1, Severity::Informational)
            .with("message", format!("{} {path}{place} is there", seen.category.noun))
            .with("query_result_id", 1)
            .with("startup_item", item)
            .with(
                "unmapped",
                object_with(details, "container", container.map_or(Value::Null, Container::object)),
            );
    }
    let (verb, word) = if change == Change::New { ("new", "added") } else { ("changed", "changed") };
    details = object_with(details, "change", word.into());
    details = object_with(details, "content", content.map_or(Value::Null, Value::from));
    let title = format!("{verb} {}: {path}{place}", seen.category.noun);
    finding(seen.category, &path, &title, seen.severity(change), container)
        .with("evidences", evidences(file, details, container))
}

/// The event of a thing that is gone, of which path and digest are remembered.
pub(crate) fn removed(
    category: &str,
    path: &str,
    digest: &str,
    container: Option<&Container>,
) -> Option<Event> {
    let category =
        PLACES.iter().map(|place| place.category).chain([SET_ID]).find(|known| known.name == category)?;
    let file = object_with(files::object(Path::new(path), None, None), "is_deleted", true.into());
    let details = json!({ "category": category.name, "change": "removed", "was": digest });
    let place =
        container.map_or_else(String::new, |container| format!(" in container {}", short(&container.id)));
    let title = format!("{} is gone: {path}{place}", category.noun);
    Some(
        finding(category, path, &title, Severity::Low, container)
            .with("evidences", evidences(file, details, container)),
    )
}

fn finding(
    category: Category,
    path: &str,
    title: &str,
    severity: Severity,
    container: Option<&Container>,
) -> Event {
    let whose = container.map_or("host", |container| container.id.as_str());
    let (uid, name) = category.technique;
    Event::new(DETECTION_FINDING, 1, severity).with("message", title).with("status_id", 1).with(
        "finding_info",
        json!({
            // The same thing in the same place is the same finding, whatever it changes to.
            "uid": format!("persistence:{whose}:{}:{path}", category.name),
            "title": title,
            "types": ["persistence", category.name],
            "attacks": [{
                "tactic": { "uid": "TA0003", "name": "Persistence" },
                "technique": { "uid": uid, "name": name },
            }],
        }),
    )
}

fn evidences(file: Value, details: Value, container: Option<&Container>) -> Value {
    let mut evidence = Map::new();
    evidence.insert("file".to_owned(), file);
    evidence.insert("data".to_owned(), details);
    if let Some(container) = container {
        evidence.insert("container".to_owned(), container.object());
    }
    json!([evidence])
}

/// As people write a container's id.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_that_is_gone_is_told_with_what_it_was() {
        let event = removed("cron", "/etc/cron.d/x", "644 0 abc", None).unwrap();
        let event = Value::Object(event.into_fields());
        assert_eq!(event["message"], "cron job is gone: /etc/cron.d/x");
        assert_eq!(event["evidences"][0]["data"]["was"], "644 0 abc");
        assert_eq!(event["finding_info"]["uid"], "persistence:host:cron:/etc/cron.d/x");
        assert!(removed("weather", "/x", "", None).is_none());
    }
}
