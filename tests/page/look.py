#!/usr/bin/env python3
"""Looks at the pages of three channels in a headless Chromium, by chromedriver's WebDriver protocol. Started by run.

A claim is a function of a page as it was shown in one way; what it yields is what is wrong.
"""
import base64
import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

WORK, PICTURES = sys.argv[1], sys.argv[2]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


class Browser:
    """One session with an empty profile of its own."""

    def __init__(self, driver):
        self.base = driver
        self.profile = tempfile.mkdtemp(prefix="profile-", dir=WORK)
        options = {"args": FLAGS + [f"--user-data-dir={self.profile}"], "perfLoggingPrefs": {"enableNetwork": True}}
        if binary := shutil.which("chromium"):
            options["binary"] = binary
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.read().decode()[:1000]}")

    def own(self, path, body):
        return self.call("POST", f"/session/{self.session}{path}", body)

    def devtools(self, command, **parameters):
        return self.own("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *args):
        return self.own("/execute/sync", {"script": script, "args": list(args)})

    def log(self, kind):
        return self.own("/se/log", {"type": kind})

    def show(self, url, width, scheme, script=True):
        self.log("browser"), self.log("performance")
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.devtools("Emulation.setScriptExecutionDisabled", value=not script)
        self.own("/url", {"url": url})

    def picture(self, name):
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 6000), "scale": 1}
        data = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        with open(os.path.join(PICTURES, name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))

    def requests(self):
        messages = (json.loads(entry["message"])["message"] for entry in self.log("performance"))
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        # The browser's own first tab is none of the page.
        return [url for url in sent if not url.startswith(("data:", "chrome:", "chrome-"))]

    def end(self):
        self.call("DELETE", f"/session/{self.session}")


# Every visible piece of text with its colour on what is painted behind it; WCAG 2.1, 1.4.3.
CONTRAST = """
const parse = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return {r: n[0], g: n[1], b: n[2], a: n.length > 3 ? n[3] : 1}; };
const light = (c) => [c.r, c.g, c.b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c; if (c.a > 0) return null; } return null; };
const worst = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let count = 0;
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE", "TITLE", "title"].includes(e.tagName) || !e.getClientRects().length) continue;
  const style = getComputedStyle(e), ink = parse(e instanceof SVGElement ? style.fill : style.color), ground = behind(e);
  if (!ground) { worst.push("no ground behind " + walker.currentNode.data); continue; }
  const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
  count++;
  if (ratio < 4.5) worst.push(ratio.toFixed(2) + " " + walker.currentNode.data.trim().slice(0, 40));
}
return [count, worst];
"""
# What is wider than the page, and text that is cut off by its box.
OVERFLOW = """
const wide = [...document.querySelectorAll("main *")].filter((e) => { const r = e.getBoundingClientRect(); return r.width && getComputedStyle(e).position !== "absolute" && !e.closest("thead") && r.right > innerWidth + 1; });
return [document.documentElement.scrollWidth, innerWidth, wide.slice(0, 5).map((e) => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40))];
"""


def fits(browser, where):
    width, inner, wide = browser.run(OVERFLOW)
    if width > inner or wide:
        yield f"{width} px in {inner}: {wide}"


def reads_well(browser, where):
    count, worst = browser.run(CONTRAST)
    if count < 20:
        yield f"only {count} pieces of text were looked at"
    if worst:
        yield f"{len(worst)} of {count} pieces of text: {worst[:5]}"


def is_quiet(browser, where):
    said = [entry["message"] for entry in browser.log("browser")]
    if said:
        yield f"console: {said[:3]}"
    asked = browser.requests()
    if len(asked) != 1:
        yield f"{len(asked)} requests: {asked[:5]}"


def is_ours_alone(browser, where):
    title, scripts, odd = browser.run("""return [document.title, document.scripts.length, [...document.querySelectorAll("main *")]
        .filter((e) => [...e.attributes].some((a) => /^on|^style$|^src$|^href$/.test(a.name)) || ["IMG", "STYLE", "SCRIPT", "IFRAME"].includes(e.tagName)).map((e) => e.outerHTML.slice(0, 80))]""")
    if title != "Linnet channel" or scripts != 1 or odd:
        yield f"title {title!r}, {scripts} scripts, {odd[:3]}"


CLAIMS = {
    "nothing_scrolls_sideways": fits,
    "every_text_has_a_contrast_of_4.5": reads_well,
    "the_console_is_empty_and_nothing_else_is_asked_for": is_quiet,
    "what_others_wrote_is_text": is_ours_alone,
}
passed = failed = 0


def tell(name, faults):
    global passed, failed
    faults = list(faults)
    if faults:
        failed += 1
        print(f"FAILED {name}: {'; '.join(faults)[:1500]}")
    else:
        passed += 1
        print(f"ok {name}")


def text(browser, selector):
    return browser.run("return [...document.querySelectorAll(arguments[0])].filter((e) => e.getClientRects().length).map((e) => e.textContent)", selector)


def at_hours(browser, url, hours):
    """The page as a visitor sees it who comes so many hours later."""
    script = f"const real = Date.now; Date.now = () => real() + {hours} * 3600000;"
    added = browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)
    browser.show(url, 1280, "light")
    browser.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def moves_with_the_clock(browser, url):
    browser.show(url, 1280, "light")
    before = browser.run("return Number(document.querySelector('.now').getAttribute('x1').replace('%', ''))")
    if (share := text(browser, ".share")[0]) != "10 %":
        yield f"the share is {share}"
    if text(browser, ".warnings li") != ["Everything signed is fresh, and nothing is due."]:
        yield f"warnings: {text(browser, '.warnings li')}"
    at_hours(browser, url, 30)
    after = browser.run("return Number(document.querySelector('.now').getAttribute('x1').replace('%', ''))")
    if not after > before + 10:
        yield f"now was at {before} % and is at {after} % 30 hours later"
    if (share := text(browser, ".share")[0]) != "50 %":
        yield f"30 hours later the share is {share}"
    if (states := text(browser, ".rollout:first-of-type tbody .badge")[:4]) != ["over", "over", "now", "to come"]:
        yield f"30 hours later the waves are {states}"
    at_hours(browser, url, 24 * 8)
    warnings = text(browser, ".warnings li")
    if not any("timestamp has expired" in line for line in warnings) or any("nothing is due" in line for line in warnings):
        yield f"a week later it warns of {warnings}"


def is_whole_without_script(browser, url):
    browser.show(url, 1280, "light", script=False)
    browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    content = " ".join(text(browser, "main"))
    for words in ["wave 2 of 4", "10 %", "release/linnet-0.2.0-x86_64.tar.gz", "agent.events.fork: false -> true",
                  "when this page was written", "2 of 3", "quiet-db", "db1, db2, db3, db4, db5 and 2 more"]:
        if words not in content:
            yield f"{words!r} is not there"


@contextlib.contextmanager
def served(directory):
    """A server on loopback that counts what it is asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()


def comes_alone_from_a_server(browser):
    with served(f"{WORK}/busy/channel") as (url, asked):
        browser.show(url, 1280, "light")
        time.sleep(0.5)
        if asked != ["/"]:
            yield f"the server was asked for {asked}"


opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
os.makedirs(PICTURES, exist_ok=True)
driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
try:
    for line in driver.stdout:
        if "started successfully on port" in line:
            port = int(line.rsplit(" ", 1)[1].strip().rstrip("."))
            break
    else:
        raise SystemExit("chromedriver did not start")
    threading.Thread(target=driver.stdout.read, daemon=True).start()
    browser = Browser(f"http://127.0.0.1:{port}")
    for channel in ["empty", "busy", "hostile"]:
        faults = {name: [] for name in CLAIMS}
        for width, scheme in [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]:
            where = f"{channel}-{scheme}-{width}"
            browser.show(f"file://{WORK}/{channel}/channel/index.html", width, scheme)
            for name, claim in CLAIMS.items():
                faults[name] += [f"{where}: {fault}" for fault in claim(browser, where)]
            browser.picture(where)
        for name, found in faults.items():
            tell(f"{channel}: {name}", found)
    busy = f"file://{WORK}/busy/channel/index.html"
    tell("the_picture_moves_with_the_visitors_clock", moves_with_the_clock(browser, busy))
    tell("the_page_is_whole_without_script", is_whole_without_script(browser, busy))
    tell("a_server_is_asked_for_the_page_alone", comes_alone_from_a_server(browser))
    browser.end()
finally:
    driver.terminate()
    driver.wait()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
