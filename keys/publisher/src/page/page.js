// The page as it was written is true of the time of publishing. This makes it true of now, by the visitor's clock.
"use strict";
const now = Date.now();
const all = (selector, act) => document.querySelectorAll(selector).forEach(act);
const at = (element, name = "at") => Date.parse(element.dataset[name]);
const span = (ms) => {
  const hours = Math.floor(Math.abs(ms) / 3600000);
  const [count, unit] = hours < 1 ? [Math.floor(Math.abs(ms) / 60000), "minute"] : hours < 48 ? [hours, "hour"] : [Math.floor(hours / 24), "day"];
  const words = count + " " + unit + (count === 1 ? "" : "s");
  if (count === 0) return ms < 0 ? "just now" : "in less than a minute";
  return ms < 0 ? words + " ago" : "in " + words;
};
all(".rel", (element) => { element.textContent = span(at(element) - now); });
all("[data-expires]", (element) => {
  const state = at(element, "expires") <= now ? "bad" : at(element, "due") <= now ? "due" : "";
  element.classList.remove("due", "bad");
  if (state) element.classList.add(state);
  const words = { bad: element.dataset.bad, due: element.dataset.soon }[state] || element.dataset.well;
  if (words) element.textContent = words;
  if (element.tagName === "LI") element.hidden = !state;
});
const warns = document.querySelectorAll(".warnings li:not([hidden]):not(.well)").length;
all(".warnings .well", (element) => { element.hidden = warns > 0; });
all(".rollout", (rollout) => {
  const waves = [...rollout.querySelectorAll(".wave")];
  const begun = waves.filter((wave) => at(wave) <= now);
  waves.forEach((wave) => wave.classList.toggle("begun", at(wave) <= now));
  const svg = rollout.querySelector("svg");
  const from = at(svg, "from"), to = at(svg, "to");
  const place = Math.min(99, Math.max(0, (now - from) / (to - from) * 100));
  const line = svg.querySelector(".now"), label = svg.querySelector(".now-label");
  line.setAttribute("x1", place + "%");
  line.setAttribute("x2", place + "%");
  label.setAttribute("x", place + "%");
  label.setAttribute("dx", place > 50 ? "-6" : "6");
  label.setAttribute("text-anchor", place > 50 ? "end" : "start");
  const permille = begun.length ? Number(begun[begun.length - 1].dataset.permille) : 0;
  const share = rollout.querySelector(".share");
  if (share && !rollout.classList.contains("halted")) share.textContent = permille / 10 + " %";
  const wave = rollout.querySelector(".nth");
  if (wave) wave.textContent = begun.length ? "wave " + begun.length + " of " + waves.length : "before the first of " + waves.length + " waves";
  rollout.querySelectorAll("tbody tr").forEach((row, index) => {
    const badge = row.querySelector(".badge");
    const words = index + 1 < begun.length ? "over" : index + 1 === begun.length ? "now" : "to come";
    badge.textContent = words;
    badge.classList.toggle("plain", words !== "now");
  });
});
all(".as-of", (element) => { element.textContent = "now, by your clock"; });
