//! What became of the fleet's documents on this host: decided here, purely, and stored by [`super::store`].
//!
//! ```text
//! received -> refused                        it is not valid here, or goes back: what runs stays
//! received -> trying -> good                 it was applied, and the sensor lived on for a while
//!                    \-> refused             the sensor came up MAX_STARTS times while trying it, and never lived on
//! ```
//!
//! 1. `trying` is stored *before* the document is applied, so that a crash in applying is seen at the next start.
//! 2. The last good document is replaced only by one that proved itself.
//! 3. A refused document is remembered by its digest and not tried again; another one may be.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Starts that a document on trial may take. One can be a reboot or a kill that it has nothing to do with.
pub const MAX_STARTS: u32 = 3;

/// A document of the fleet, whose signatures were verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its own version.
    pub version: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its text.
    pub text: String,
}

/// A document that is not followed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its own version, where it could be read.
    pub version: Option<u64>,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Why, with the key.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// A document on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trying {
    /// The document.
    pub document: Document,
    /// How often the sensor started with it.
    pub starts: u32,
}

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The last document that proved itself.
    pub good: Option<Document>,
    /// The document on trial.
    pub trying: Option<Trying>,
    /// The last one that was refused.
    pub refused: Option<Refused>,
}

/// What to do with a document that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is followed already, or was refused before: nothing to do.
    Known,
    /// It is refused; remember it.
    Refuse(Refused),
    /// Try it.
    Try,
}

impl Memory {
    /// The document that the sensor follows: the one on trial, else the last good one.
    pub fn running(&self) -> Option<&Document> {
        self.trying.as_ref().map(|trying| &trying.document).or(self.good.as_ref())
    }

    /// At the start of the sensor. A document whose trial never ended well is given up.
    pub fn started(&mut self, now: Timestamp) {
        let Some(trying) = &mut self.trying else { return };
        if trying.starts < MAX_STARTS {
            trying.starts += 1;
            return;
        }
        let Document { version, sha256, .. } = trying.document.clone();
        let why = format!("the sensor was started {} times with it and did not live on", trying.starts);
        self.refused = Some(Refused { version: Some(version), sha256, why, at: now });
        self.trying = None;
    }

    /// Whether a received document is to be tried. `verdict` is what the settings say of it.
    pub fn received(&self, document: &Document, verdict: Result<(), String>, now: Timestamp) -> Answer {
        let is = |known: &str| known == document.sha256;
        let is_refused = self.refused.as_ref().is_some_and(|refused| is(&refused.sha256));
        if is_refused || self.running().is_some_and(|running| is(&running.sha256)) {
            return Answer::Known;
        }
        let refuse = |why: String| {
            let Document { version, sha256, .. } = document.clone();
            Answer::Refuse(Refused { version: Some(version), sha256, why, at: now })
        };
        if let Some(running) = self.running()
            && document.version <= running.version
        {
            return refuse(format!(
                "its version is {}, version {} is followed here: publish it with a higher one",
                document.version, running.version
            ));
        }
        match verdict {
            Err(why) => refuse(why),
            Ok(()) => Answer::Try,
        }
    }

    /// Puts a document on trial, in place of one that is.
    pub fn put_on_trial(&mut self, document: Document) {
        self.trying = Some(Trying { document, starts: 1 });
    }

    /// The document on trial could not be applied after all; what is followed now is the last good one.
    pub fn give_up(&mut self, why: String, now: Timestamp) {
        if let Some(Trying { document, .. }) = self.trying.take() {
            let Document { version, sha256, .. } = document;
            self.refused = Some(Refused { version: Some(version), sha256, why, at: now });
        }
    }

    /// The sensor lived on with the document on trial. True when that is news.
    pub fn settled(&mut self) -> bool {
        match self.trying.take() {
            Some(trying) => {
                self.good = Some(trying.document);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(version: u64) -> Document {
        Document { version, sha256: format!("{version:064x}"), text: "{}".to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn good(version: u64) -> Memory {
        Memory { good: Some(document(version)), ..Memory::default() }
    }

    #[test]
    fn a_first_document_is_tried_and_proves_itself() {
        let mut memory = Memory::default();
        assert_eq!(memory.received(&document(1), Ok(()), at(1)), Answer::Try);
        memory.put_on_trial(document(1));
        assert_eq!(memory.running(), Some(&document(1)));
        assert_eq!(memory.good, None);
        assert!(memory.settled());
        assert!(!memory.settled());
        assert_eq!((memory.good.clone(), memory.trying.clone()), (Some(document(1)), None));
        assert_eq!(memory.received(&document(1), Ok(()), at(2)), Answer::Known);
    }

    #[test]
    fn an_invalid_document_and_one_that_goes_back_are_refused_and_the_old_one_runs() {
        let memory = good(5);
        for (version, verdict, why) in [
            (6, Err("hash.wait_ms: 0 is outside".to_owned()), "hash.wait_ms"),
            (4, Ok(()), "its version is 4, version 5 is followed"),
        ] {
            let Answer::Refuse(refused) = memory.received(&document(version), verdict, at(9)) else {
                panic!()
            };
            assert!(refused.why.contains(why), "{}", refused.why);
            assert_eq!((refused.version, refused.at), (Some(version), at(9)));
            let memory = Memory { refused: Some(refused), ..memory.clone() };
            assert_eq!(memory.running(), Some(&document(5)));
            assert_eq!(memory.received(&document(version), Ok(()), at(10)), Answer::Known);
        }
        // The same version with another content: two documents cannot have one version.
        let mut other = document(5);
        other.sha256 = "f".repeat(64);
        assert!(matches!(memory.received(&other, Ok(()), at(1)), Answer::Refuse(_)));
    }

    #[test]
    fn a_document_that_kills_the_sensor_is_given_up_for_the_last_good_one() {
        let mut memory = good(1);
        memory.put_on_trial(document(2));
        for _ in 1..MAX_STARTS {
            memory.started(at(1));
            assert_eq!(memory.running(), Some(&document(2)));
        }
        memory.started(at(2));
        assert_eq!(memory.running(), Some(&document(1)));
        assert!(memory.refused.as_ref().unwrap().why.contains("3 times"));
        assert_eq!(memory.received(&document(2), Ok(()), at(3)), Answer::Known);
        assert_eq!(memory.received(&document(3), Ok(()), at(3)), Answer::Try);
        memory.started(at(4));
        assert_eq!(memory.running(), Some(&document(1)));
    }

    #[test]
    fn what_can_t_be_applied_after_all_is_given_up() {
        let mut memory = good(1);
        memory.put_on_trial(document(2));
        memory.give_up("the cgroup is gone".to_owned(), at(7));
        assert_eq!(memory.running(), Some(&document(1)));
        assert_eq!(memory.refused.unwrap().why, "the cgroup is gone");
    }

    proptest! {
        /// Whatever comes: the version that runs falls only back to the last good one, and that one never falls.
        #[test]
        fn the_good_version_never_falls(steps in proptest::collection::vec((0_u8..5, 1_u64..9, any::<bool>()), 0..60)) {
            let mut memory = Memory::default();
            for (step, version, is_valid) in steps {
                let before = memory.good.as_ref().map(|good| good.version);
                let verdict = if is_valid { Ok(()) } else { Err("no".to_owned()) };
                match step {
                    0 | 1 => match memory.received(&document(version), verdict, at(0)) {
                        Answer::Try => {
                            prop_assert!(is_valid);
                            prop_assert!(memory.running().is_none_or(|running| running.version < version));
                            memory.put_on_trial(document(version));
                        }
                        Answer::Refuse(refused) => memory.refused = Some(refused),
                        Answer::Known => {}
                    },
                    2 => memory.started(at(0)),
                    3 => memory.give_up("no".to_owned(), at(0)),
                    _ => drop(memory.settled()),
                }
                let after = memory.good.as_ref().map(|good| good.version);
                prop_assert!(after >= before);
            }
        }
    }
}
