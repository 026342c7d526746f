//! The screen: draws the picture, takes keys, and leaves the terminal as it was, whatever ends it: a key, an error, a signal, or a panic.
//!
//! A picture is lines of text, so this needs of a terminal what every one has had since the VT100: an alternate screen, a place for the
//! cursor, bold and colours. A line that is too long is cut by the terminal itself, which knows how wide its characters are.

use std::{
    fmt::Write as _,
    io::{self, Write as _, stdin, stdout},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use async_signal::{Signal, Signals};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr},
};
use smol::stream::StreamExt;

use super::{
    figures::Figures,
    picture::{Choice, Look, MIN_COLUMNS, MIN_LINES, Parts, picture},
};

/// How long a key may wait.
const KEY_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// How often the document is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// What the keys do.
const FOOTER: &str = "q quit  p pause  s sort";
/// Alternate screen, no cursor, no wrapping.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// The opposite, in the opposite order, and plain text.
const END: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What the keys have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Quit,
    Pause,
    Sort,
    Nothing,
}

/// A terminal that is given back when this is dropped.
struct Held {
    before: Termios,
}

impl Held {
    fn take() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // A panic aborts in a release build, and then nothing is dropped.
        let hook = std::panic::take_hook();
        let to_restore = before.clone();
        std::panic::set_hook(Box::new(move |info| {
            give_back(&to_restore);
            hook(info);
        }));
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        let held = Self { before };
        show(BEGIN)?;
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        give_back(&self.before);
    }
}

fn give_back(before: &Termios) {
    // Where the terminal is gone there is nothing to give back.
    let _ = show(END);
    let _ = tcsetattr(stdin(), OptionalActions::Now, before);
}

fn show(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Shows what `look` gives until a key or a signal ends it. `look` is asked twice a second and gives the figures as they are by
/// now, or why there are none.
///
/// # Errors
/// When the terminal can't be used.
pub fn run(colours: bool, mut look: impl FnMut() -> Result<Figures, String>) -> anyhow::Result<()> {
    let mut signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup, Signal::Quit])?;
    let _held = Held::take()?;
    let mut choice = Choice::default();
    let mut shown = look();
    let mut looked_at = Instant::now();
    loop {
        if let Ok(figures) = &mut shown {
            figures.sort(choice.sort);
        }
        let Winsize { ws_col, ws_row, .. } = tcgetwinsize(stdout())?;
        show(&drawn(ws_col, ws_row, &shown, choice, colours))?;
        match key()? {
            Act::Quit => return Ok(()),
            Act::Pause => choice.is_paused = !choice.is_paused,
            Act::Sort => choice.sort = choice.sort.next(),
            Act::Nothing => {}
        }
        if smol::block_on(smol::future::poll_once(signals.next())).is_some() {
            return Ok(());
        }
        if !choice.is_paused && looked_at.elapsed() >= LOOK {
            looked_at = Instant::now();
            shown = look();
        }
    }
}

/// Waits a moment for a key.
fn key() -> io::Result<Act> {
    let input = stdin();
    let mut watched = [PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)];
    match poll(&mut watched, Some(&KEY_WAIT)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Act::Nothing),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut bytes = [0; 64];
    // Past the buffer of the standard library, in which keys would wait unseen.
    match rustix::io::read(&input, &mut bytes) {
        // Whoever typed is gone.
        Ok(0) => Ok(Act::Quit),
        Ok(count) => Ok(act_of(bytes.get(..count).unwrap_or_default())),
        Err(rustix::io::Errno::INTR) => Ok(Act::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// What was typed. An escape alone is the key; with more behind it, it is another key's name.
fn act_of(bytes: &[u8]) -> Act {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const ESCAPE: u8 = 27;
    match bytes {
        [b'q' | b'Q' | CTRL_C | CTRL_D | ESCAPE] => Act::Quit,
        [b'p' | b'P' | b' '] => Act::Pause,
        [b's' | b'S'] => Act::Sort,
        [ESCAPE, ..] | [_] | [] => Act::Nothing,
        // Several keys at once, typed faster than they were read: the last that says something counts, a wish to leave before all.
        [first, rest @ ..] => match (act_of(&[*first]), act_of(rest)) {
            (Act::Quit, _) | (_, Act::Quit) => Act::Quit,
            (first, Act::Nothing) => first,
            (_, rest) => rest,
        },
    }
}

/// What is sent to a terminal of this size to show it.
fn drawn(columns: u16, lines: u16, shown: &Result<Figures, String>, choice: Choice, colours: bool) -> String {
    let picture: Vec<Parts> = if columns < MIN_COLUMNS || lines < MIN_LINES {
        let text = format!("{columns} x {lines}: at least {MIN_COLUMNS} x {MIN_LINES}, please");
        vec![vec![(Look::Plain, text)]]
    } else {
        match shown {
            Ok(figures) => picture(figures, choice, lines, FOOTER),
            Err(why) => vec![
                vec![(Look::Alarm, crate::terminal::sanitised(why).into_owned())],
                vec![(Look::Plain, "waiting for an agent".to_owned())],
                vec![(Look::Heading, FOOTER.to_owned())],
            ],
        }
    };
    let mut out = String::from("\x1b[H");
    for (index, parts) in picture.iter().take(usize::from(lines)).enumerate() {
        if index > 0 {
            out.push_str("\r\n");
        }
        for (look, text) in parts {
            let _ = write!(out, "{}{text}", style(*look, colours));
        }
        // To the end of the line, and without a look that would colour it.
        out.push_str("\x1b[0m\x1b[K");
    }
    out.push_str("\x1b[J");
    out
}

fn style(look: Look, colours: bool) -> &'static str {
    match look {
        Look::Plain => "\x1b[0m",
        Look::Heading => "\x1b[0;1m",
        Look::Warning if colours => "\x1b[0;33m",
        Look::Alarm if colours => "\x1b[0;1;31m",
        Look::Warning | Look::Alarm => "\x1b[0;7m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::figures::{
        figures,
        tests::{at, document},
    };

    fn sent(columns: u16, lines: u16, shown: &Result<Figures, String>) -> String {
        drawn(columns, lines, shown, Choice::default(), true)
    }

    #[test]
    fn screens_of_all_sizes_are_drawn_within_their_lines() {
        let shown = Ok(figures(&document(15, 1500), None, at(16), 30));
        for (columns, lines) in [(80, 24), (81, 25), (200, 60), (u16::MAX, 1000)] {
            let text = sent(columns, lines, &shown);
            assert!(text.contains("docker af4b06aa91faf1c8") && text.contains("q quit"), "{text}");
            assert!(text.matches("\r\n").count() < usize::from(lines));
        }
        for (columns, lines) in [(79, 24), (80, 23), (10, 2), (1, 1), (0, 0)] {
            assert!(!sent(columns, lines, &shown).contains("docker"));
        }
        let text = sent(80, 24, &Err("no agent runs\u{1b}[2J".to_owned()));
        assert!(text.contains("no agent runs\\u{1b}[2J") && text.contains("q quit"), "{text}");
    }

    #[test]
    fn keys_do_what_the_footer_says() {
        for (bytes, act) in [
            (&b"q"[..], Act::Quit),
            (b"Q", Act::Quit),
            (b"p", Act::Pause),
            (b"s", Act::Sort),
            (b"x", Act::Nothing),
            (b"\x1b", Act::Quit),
            (b"\x03", Act::Quit),
            (b"\x1b[A", Act::Nothing),
            (b"\x1b[17~", Act::Nothing),
            (b"xq", Act::Quit),
            (b"qs", Act::Quit),
            (b"sx", Act::Sort),
            (b"", Act::Nothing),
        ] {
            assert_eq!(act_of(bytes), act, "{bytes:?}");
        }
    }

    #[test]
    fn without_colours_what_is_wrong_still_stands_out() {
        for look in [Look::Warning, Look::Alarm] {
            assert!(style(look, true).contains('3'));
            assert_eq!(style(look, false), "\x1b[0;7m");
        }
    }
}
