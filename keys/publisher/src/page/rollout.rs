//! A rollout as a picture: waves over time, and where it stands.
//!
//! Everything in the picture is given in per cent of its width, so that it fits any screen with its text in its own size.
//! The script moves *now*; without it, now is the time of publishing.

use jiff::Timestamp as Time;
use linnet_fleet::rollout::Wave;

use super::html::Html;
use super::when;

/// Room above the tallest bar, in pixels, for the word *now*; the style sheet knows it too.
const HEAD_PX: u32 = 26;
const HEIGHT_PX: u32 = 186;

/// A time as everybody reads it.
pub fn minute(at: Time) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A share as everybody reads it.
pub fn percent(permille: u16) -> String {
    match permille % 10 {
        0 => format!("{} %", permille / 10),
        tenths => format!("{}.{tenths} %", permille / 10),
    }
}

/// Draws the waves of a rollout. A halted one has its words, and no share.
pub fn draw(out: &mut Html, waves: &[Wave], halted: bool, now: Time) {
    let (Some(first), Some(last)) = (waves.first(), waves.last()) else { return };
    let begun = waves.iter().filter(|wave| wave.at <= now).count();
    let seconds = |at: Time| i128::from(at.as_second());
    let (early, late) = (seconds(first.at.min(now)), seconds(last.at.max(now)));
    let length = (late - early).max(3600);
    let (from, to) = (early - length / 20, late + length / 6);
    let place = |at: Time| percent_of(seconds(at) - from, to - from);

    out.raw(if halted { "<div class=\"rollout halted\">" } else { "<div class=\"rollout\">" });
    out.raw("<p>");
    if halted {
        out.raw("<span class=\"badge bad\">halted</span> No host changes, whatever wave it is.");
    } else {
        let share = begun.checked_sub(1).and_then(|at| waves.get(at)).map_or(0, |wave| wave.permille.get());
        out.raw("<b class=\"share\">").text(&percent(share)).raw("</b> of the hosts (<span class=\"nth\">");
        match begun {
            0 => out.text(&format!("before the first of {} waves", waves.len())),
            begun => out.text(&format!("wave {begun} of {}", waves.len())),
        };
        out.raw("</span>), <span class=\"as-of\">when this page was written</span>");
    }
    out.raw("</p><div class=\"chart\"><div class=\"scale\"><span>100 %</span><span>50 %</span><span>0 %</span></div>");
    out.raw("<div class=\"plot\"><svg role=\"img\" aria-label=\"share of the hosts over time\" data-from=\"");
    out.show(moment(from)).raw("\" data-to=\"").show(moment(to)).raw("\">");
    for at in [0, 500, 1000] {
        let y = height(at);
        out.raw("<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"")
            .show(y)
            .raw("\" y2=\"")
            .show(y)
            .raw("\"/>");
    }
    for (number, wave) in waves.iter().enumerate() {
        let begins = place(wave.at);
        let ends = waves.get(number + 1).map_or(100.0, |next| place(next.at));
        let top = height(wave.permille.get());
        out.raw(if wave.at <= now { "<rect class=\"wave begun\"" } else { "<rect class=\"wave\"" });
        out.raw(" data-at=\"").show(wave.at).raw("\" data-permille=\"").show(wave.permille);
        out.raw("\" x=\"").text(&format!("{begins:.2}%")).raw("\" width=\"");
        out.text(&format!("{:.2}%", (ends - begins - 0.25).max(0.25))).raw("\" y=\"").show(top);
        out.raw("\" height=\"").show(HEIGHT_PX - top).raw("\"><title>");
        out.text(&format!("{} from {}", percent(wave.permille.get()), minute(wave.at)))
            .raw("</title></rect>");
    }
    let here = place(now);
    let x = format!("{here:.2}%");
    out.raw("<line class=\"now\" y1=\"0\" y2=\"100%\" x1=\"").text(&x).raw("\" x2=\"").text(&x).raw("\"/>");
    out.raw("<text class=\"now-label\" y=\"14\" x=\"").text(&x);
    out.raw(if here > 50.0 {
        "\" dx=\"-6\" text-anchor=\"end\">now</text>"
    } else {
        "\" dx=\"6\">now</text>"
    });
    out.raw("</svg></div></div><div class=\"ends\"><span>");
    out.text(&minute(moment(from))).raw("</span><span>").text(&minute(moment(to))).raw("</span></div>");

    out.raw("<table><thead><tr><th>wave</th><th>share</th><th>from</th><th>state</th></tr></thead><tbody>");
    for (number, wave) in waves.iter().enumerate() {
        out.raw("<tr><td data-label=\"wave\">").show(number + 1).raw("</td><td data-label=\"share\">");
        out.text(&percent(wave.permille.get())).raw("</td><td data-label=\"from\">");
        when(out, wave.at, now);
        let (class, words) = match (number + 1).cmp(&begun) {
            std::cmp::Ordering::Less => ("badge plain", "over"),
            std::cmp::Ordering::Equal => ("badge", "now"),
            std::cmp::Ordering::Greater => ("badge plain", "to come"),
        };
        out.raw("</td><td><span class=\"").raw(class).raw("\">").raw(words).raw("</span></td></tr>");
    }
    out.raw("</tbody></table></div>");
}

fn height(permille: u16) -> u32 {
    HEIGHT_PX - (HEIGHT_PX - HEAD_PX) * u32::from(permille) / 1000
}

fn moment(second: i128) -> Time {
    i64::try_from(second).ok().and_then(|second| Time::from_second(second).ok()).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
fn percent_of(part: i128, whole: i128) -> f64 {
    (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0)
}
