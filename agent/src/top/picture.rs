//! Lines of text of the figures, for a screen of a given height or for a pipe. Only the last column of a line holds text that another
//! program chose, so that its width moves nothing else; all of it is made safe for a terminal.

use linnet_fleet::health::Losses;

use super::figures::{Figures, Share, Sort};
use crate::terminal::sanitised;

/// The least that is drawn on.
pub const MIN_COLUMNS: u16 = 80;
/// The least that is drawn on.
pub const MIN_LINES: u16 = 24;
/// Lines that are always there.
const FIXED_LINES: u16 = 16;
/// Of these, those of families and shares, where no spool is.
const LEAST_SHARES: usize = 5;
/// Cells of a bar.
const BAR_CELLS: usize = 8;

/// How a line, or a part of it, looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As ever.
    Plain,
    /// A heading.
    Heading,
    /// Something to look at.
    Warning,
    /// Something is wrong.
    Alarm,
}

/// Parts of a line.
pub type Parts = Vec<(Look, String)>;

/// What the keys have chosen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// How groups are sorted.
    pub sort: Sort,
    /// Whether the picture stands still.
    pub is_paused: bool,
}

/// All lines, at most so many. `footer` is the last of them.
pub fn picture(figures: &Figures, choice: Choice, lines: u16, footer: &str) -> Vec<Parts> {
    let mut out = vec![title(figures), state(figures)];
    out.push(heading(format!(
        "{:<7}{:>8}{:>12}  {}",
        "events",
        if figures.since_start { "mean/s" } else { "now/s" },
        "in all",
        "limits and pressure"
    )));
    let rows = figures.shares.len().max(LEAST_SHARES);
    for line in 0..rows {
        let mut parts = match figures.families.get(line) {
            Some((family, rate, total)) => {
                vec![(Look::Plain, format!("{:<7}{:>8.1}{:>12}  ", cut(family, 7), rate, grouped(*total)))]
            }
            None => vec![(Look::Plain, " ".repeat(29))],
        };
        if let Some(share) = figures.shares.get(line) {
            parts.extend(bar(share));
        }
        out.push(parts);
    }
    let is_whole = figures.left_out.starts_with("nothing");
    out.push(vec![
        (Look::Plain, "left out  ".to_owned()),
        (if is_whole { Look::Plain } else { Look::Warning }, safe(&figures.left_out)),
    ]);
    out.push(heading(format!(
        "{:<5}{:>11} ={:>10} +{:>8} {:>10} {:>9} {:>6} {:>7} {:>5}",
        "", "attempted", "received", "lost", "delivered", "filtered", "shed", "dropped", "waits"
    )));
    out.extend(figures.losses.iter().take(3).map(|(kind, losses)| equation(kind, losses)));
    let free =
        lines.saturating_sub(FIXED_LINES).saturating_sub(u16::try_from(rows - LEAST_SHARES).unwrap_or(0));
    let for_groups = usize::from(free.div_ceil(2));
    out.push(heading(format!(
        "{:>8} {:>8} {:>8} {:>8}  container or cgroup, by {}",
        "all/s",
        "fork/s",
        "exec/s",
        "exit/s",
        choice.sort.as_str()
    )));
    for index in 0..for_groups {
        out.push(figures.groups.get(index).map_or_else(Parts::new, |group| {
            let runtime = group.runtime.as_ref().map_or_else(String::new, |runtime| format!("{runtime} "));
            vec![(
                Look::Plain,
                format!(
                    "{:>8.1} {:>8.1} {:>8.1} {:>8.1}  {}",
                    group.all(),
                    group.fork,
                    group.exec,
                    group.exit,
                    safe(&format!("{runtime}{}", group.name))
                ),
            )]
        }));
    }
    let others = if figures.others > 0.0 {
        format!(" (and {:.1}/s of others)", figures.others)
    } else {
        String::new()
    };
    out.push(heading(format!("{:>8}  program{others}", "exec/s")));
    for index in 0..usize::from(free / 2) {
        out.push(figures.programs.get(index).map_or_else(Parts::new, |(path, rate)| {
            vec![(Look::Plain, format!("{rate:>8.1}  {}", safe(path)))]
        }));
    }
    let paused = if choice.is_paused { "  PAUSED" } else { "" };
    out.push(vec![(Look::Heading, footer.to_owned()), (Look::Warning, paused.to_owned())]);
    out
}

/// The lines without looks, and without what is empty at the end of each.
pub fn plain(picture: &[Parts]) -> String {
    picture.iter().fold(String::new(), |mut text, parts| {
        for (_, part) in parts {
            text.push_str(part);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text
    })
}

fn title(figures: &Figures) -> Parts {
    let look = if figures.is_well { Look::Heading } else { Look::Alarm };
    let up = figures.up_s.max(0);
    vec![
        (Look::Heading, format!("{}  ", safe(&figures.title))),
        (look, safe(&figures.state)),
        (
            Look::Plain,
            format!(
                "  up {}:{:02}:{:02}  {} s ago  kernel {}",
                up / 3600,
                up / 60 % 60,
                up % 60,
                figures.age_s,
                safe(&figures.kernel)
            ),
        ),
    ]
}

fn state(figures: &Figures) -> Parts {
    match figures.degraded.as_slice() {
        [] => vec![(Look::Plain, "nothing is degraded".to_owned())],
        [first, more @ ..] => {
            let more = if more.is_empty() { String::new() } else { format!("[1 of {}] ", more.len() + 1) };
            vec![(Look::Alarm, format!("! {more}{}", safe(first)))]
        }
    }
}

fn bar(share: &Share) -> Parts {
    let Some(permille) = share.permille else {
        return vec![(Look::Plain, format!("{:<10}{:>16}  {}", share.name, "", safe(&share.note)))];
    };
    let cells = usize::try_from(permille.min(1000)).unwrap_or(1000) * BAR_CELLS / 1000;
    let look = match permille {
        0..700 => Look::Plain,
        700..900 => Look::Warning,
        _ => Look::Alarm,
    };
    vec![
        (Look::Plain, format!("{:<10}", share.name)),
        (look, format!("[{}{}] {:>3} %", "#".repeat(cells), "-".repeat(BAR_CELLS - cells), permille / 10)),
        (Look::Plain, format!("  {}", safe(&share.note))),
    ]
}

fn equation(kind: &str, losses: &Losses) -> Parts {
    let sum = |map: &std::collections::BTreeMap<String, u64>| map.values().sum::<u64>();
    let (lost, shed, dropped) = (
        losses.lost_ring + losses.rate_limited + losses.missed_by_kernel,
        sum(&losses.shed),
        sum(&losses.dropped),
    );
    let alarm = |count: u64| if count > 0 { Look::Alarm } else { Look::Plain };
    vec![
        (Look::Plain, format!("{:<5}{:>11} ={:>10} +", cut(kind, 5), losses.attempted, losses.received)),
        (alarm(lost), format!("{lost:>8}")),
        (Look::Plain, format!(" {:>10} {:>9}", losses.delivered, sum(&losses.filtered))),
        (if shed > 0 { Look::Warning } else { Look::Plain }, format!(" {shed:>6}")),
        (alarm(dropped + losses.decode_errors), format!(" {:>7}", dropped + losses.decode_errors)),
        (Look::Plain, format!(" {:>5}", losses.waiting)),
    ]
}

fn heading(text: String) -> Parts {
    vec![(Look::Heading, text)]
}

fn safe(text: &str) -> String {
    sanitised(text).into_owned()
}

/// The first characters of a name of ours.
fn cut(name: &str, chars: usize) -> String {
    safe(name).chars().take(chars).collect()
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{
        super::figures::{
            figures,
            tests::{at, document},
        },
        *,
    };

    fn text(lines: u16, choice: Choice) -> String {
        let (first, second) = (document(10, 1000), document(15, 1500));
        plain(&picture(&figures(&second, Some(&first), at(16), 30), choice, lines, "q quit"))
    }

    #[test]
    fn a_small_screen_holds_all_of_it_in_its_height_and_its_width() {
        let text = text(MIN_LINES, Choice::default());
        assert_eq!(text.lines().count(), usize::from(MIN_LINES) - 2, "one kind of three is told of");
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(MIN_COLUMNS), "{line}");
        }
        for wanted in [
            "linnet-agent 1.2.3  pid 77  running  up 0:00:15  1 s ago  kernel 6.1",
            "nothing is degraded",
            "exec      100.0       1 500  memory    [###-----]  41 %  41 MB held of 100 MB",
            "left out  nothing",
            "exec        1503 =      1500 +       3",
            "   200.2    100.0    100.0      0.2  docker af4b06aa91faf1c8",
            "    50.0  /usr/bin/true",
            "q quit",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_large_screen_shows_more_and_a_pause_is_told() {
        let text = text(60, Choice { sort: Sort::Exit, is_paused: true });
        assert_eq!(text.lines().count(), 58);
        assert!(text.contains("by exit") && text.contains("PAUSED"), "{text}");
    }

    #[test]
    fn what_others_chose_can_not_move_a_terminal() {
        let mut shown = figures(&document(15, 1500), None, at(16), 30);
        shown.degraded = vec!["\u{1b}[2J".into(), "more".into()];
        shown.title = "\u{9b}".into();
        shown.state = "\r".into();
        shown.left_out = "\u{7}".into();
        if let Some(group) = shown.groups.first_mut() {
            (group.name, group.runtime) = ("\u{1b}c".into(), Some("\n".into()));
        }
        shown.programs = vec![("/bin/\u{202e}x".into(), 1.0)];
        shown.families = vec![("\u{8}".into(), 1.0, 1)];
        let text = plain(&picture(&shown, Choice::default(), 24, ""));
        assert!(!text.contains(|ch: char| ch.is_control() && ch != '\n'), "{text:?}");
        assert!(text.contains("[1 of 2] \\u{1b}[2J"), "{text}");
        assert!(!text.contains('\u{202e}'));
    }

    #[test]
    fn numbers_are_in_groups_of_three() {
        let numbers = [0, 12, 123, 1234, 123_456, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "12", "123", "1 234", "123 456", "1 234 567"]);
    }
}
