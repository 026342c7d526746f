//! The hours in which a fleet may change, in UTC.
//!
//! A window that runs over midnight belongs to the day on which it opens.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

const DAY_MINUTES: u16 = 24 * 60;

/// A day of the week, as three letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the days")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// A time of day to the minute, `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay {
    minutes: u16,
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two_digits = |s: &str| match s.as_bytes() {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
                Some(u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
            }
            _ => None,
        };
        text.split_once(':')
            .and_then(|(hours, minutes)| Some((two_digits(hours)?, two_digits(minutes)?)))
            .filter(|&(_, minutes)| minutes < 60)
            .map(|(hours, minutes)| hours * 60 + minutes)
            .filter(|&minutes| minutes <= DAY_MINUTES)
            .map(|minutes| Self { minutes })
            .ok_or_else(|| format!("{text:?} is not a time of day: give HH:MM, 00:00 to 24:00"))
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

/// When a host may change. Without `days` it opens every day.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it opens.
    pub days: Option<Vec<Day>>,
    /// When it opens, UTC.
    pub from: TimeOfDay,
    /// When it closes, UTC; earlier than `from` means on the next day.
    pub to: TimeOfDay,
}

impl Window {
    /// `None` when the window is open at `now`, else the instant at which it opens next.
    #[must_use]
    pub fn opens_after(&self, now: Timestamp) -> Option<Timestamp> {
        let here = now.to_zoned(TimeZone::UTC).datetime();
        // Yesterday's window may still be open; a week from today the same weekday opens again.
        let mut next = None;
        for offset in -1_i64..=7 {
            let Some((opens, closes)) = self.on(here, offset) else { continue };
            if (opens..closes).contains(&here) {
                return None;
            }
            if next.is_none() && opens > here {
                next = opens.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
            }
        }
        // At the end of representable time there is no next day; then it is as if the window never opened.
        Some(next.unwrap_or(Timestamp::MAX))
    }

    /// The window of the day `offset` days after `here`'s, if it opens on that day.
    fn on(&self, here: DateTime, offset: i64) -> Option<(DateTime, DateTime)> {
        let day = here.date().checked_add(offset.days()).ok()?;
        if self.days.as_ref().is_some_and(|days| !days.iter().any(|d| d.weekday() == day.weekday())) {
            return None;
        }
        let midnight = day.to_datetime(jiff::civil::Time::midnight());
        let at = |minutes: u16| midnight.checked_add(i64::from(minutes).minutes()).ok();
        let overnight = if self.to <= self.from { DAY_MINUTES } else { 0 };
        Some((at(self.from.minutes)?, at(self.to.minutes + overnight)?))
    }

    pub(super) fn check(&self) -> Result<(), (String, String)> {
        if self.from == self.to {
            let message = "is the same as window.from: give 00:00 and 24:00 for the whole day".to_owned();
            return Err(("window.to".to_owned(), message));
        }
        if self.from.minutes == DAY_MINUTES {
            return Err(("window.from".to_owned(), "24:00 is no beginning: give 00:00".to_owned()));
        }
        if self.days.as_ref().is_some_and(Vec::is_empty) {
            let message = "names no day: leave it out for every day, or use halt".to_owned();
            return Err(("window.days".to_owned(), message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: Option<&[Day]>, from: &str, to: &str) -> Window {
        Window { days: days.map(<[_]>::to_vec), from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_to_its_last() {
        // 2026-11-23 is a Monday.
        let nights = window(Some(&[Day::Mon, Day::Tue]), "01:00", "05:00");
        for (now, opens) in [
            ("2026-11-23T00:59:59Z", Some("2026-11-23T01:00:00Z")),
            ("2026-11-23T01:00:00Z", None),
            ("2026-11-23T04:59:59.999Z", None),
            ("2026-11-23T05:00:00Z", Some("2026-11-24T01:00:00Z")),
            ("2026-11-24T05:00:00Z", Some("2026-11-30T01:00:00Z")),
            ("2026-11-29T23:00:00Z", Some("2026-11-30T01:00:00Z")),
        ] {
            assert_eq!(nights.opens_after(at(now)), opens.map(at), "{now}");
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_opens_on() {
        let sunday_night = window(Some(&[Day::Sun]), "22:00", "03:00");
        for (now, opens) in [
            ("2026-11-22T21:59:00Z", Some("2026-11-22T22:00:00Z")),
            ("2026-11-22T23:00:00Z", None),
            ("2026-11-23T02:59:00Z", None),
            ("2026-11-23T03:00:00Z", Some("2026-11-29T22:00:00Z")),
            ("2026-11-22T02:00:00Z", Some("2026-11-22T22:00:00Z")),
        ] {
            assert_eq!(sunday_night.opens_after(at(now)), opens.map(at), "{now}");
        }
    }

    #[test]
    fn the_whole_day_of_every_day_is_always_open() {
        let always = window(None, "00:00", "24:00");
        for now in ["2026-11-22T00:00:00Z", "2026-11-22T23:59:59.999Z", "2024-02-29T12:00:00Z"] {
            assert_eq!(always.opens_after(at(now)), None, "{now}");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        let window = window(Some(&[Day::Wed]), "22:00", "03:00");
        for now in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            let _ = window.opens_after(now);
        }
    }

    #[test]
    fn times_that_are_none_are_refused() {
        for text in
            ["", "1:00", "01:0", "01:60", "24:01", "25:00", "-1:00", "+1:00", "01:00:00", "ab:cd", "٠١:٠٠"]
        {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text:?}");
        }
        assert_eq!("24:00".parse::<TimeOfDay>().unwrap().to_string(), "24:00");
    }
}
