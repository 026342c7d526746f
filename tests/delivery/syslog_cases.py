"""Syslog to the real rsyslog: over TLS with a private authority and a client certificate, and over a unix socket.

rsyslog runs in the foreground from a configuration of its own, below the work directory, and never as the machine's service.
What it wrote to its file is what was delivered.
"""

import datetime
import json
import re
import signal
import socket
import subprocess
import threading
import time

from agent import PATIENCE, WORK, Agent, account, cause, check_account, in_spool, settled
from server import Server
from tally import Tally

MESSAGE = re.compile(
    rb'(\d+) (\S+) (\S+) linnet - (fork|exec|exit|script|plugin|sensor) \[linnet@32473 uid="([0-9a-f]+-[0-9a-f]+)"\] (\{.*\})'
)
CONFIGURATION = """
global(workDirectory="{directory}" maxMessageSize="1m" {global_tls})
{input}
template(name="whole" type="string" string="%pri% %timestamp:::date-rfc3339% %hostname% %app-name% %procid% %msgid% %structured-data% %msg%\\n")
action(type="omfile" file="{directory}/events" template="whole")
"""
TLS_GLOBAL = """defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{directory}/ca.pem"
    defaultNetstreamDriverCertFile="{directory}/server.pem" defaultNetstreamDriverKeyFile="{directory}/server.key" """
TLS_INPUT = """module(load="imtcp" maxFrameSize="1048576" streamDriver.name="gtls" streamDriver.mode="1"
    streamDriver.authMode="x509/name" permittedPeer=["host-1"])
input(type="imtcp" address="127.0.0.1" port="{port}")"""
UNIX_INPUT = """module(load="imuxsock" sysSock.use="off")
input(type="imuxsock" socket="{directory}/log" useSpecialParser="off" parseHostName="on" ignoreTimestamp="off")"""


class Rsyslog(Server):
    def __init__(self, name, over_tls):
        super().__init__(name, "/usr/sbin/rsyslogd")
        values = {"directory": self.directory, "port": self.port}
        if over_tls:
            certificates(self.directory)
        text = CONFIGURATION.format(
            global_tls=TLS_GLOBAL.format(**values) if over_tls else "",
            input=(TLS_INPUT if over_tls else UNIX_INPUT).format(**values),
            **values,
        )
        (self.directory / "conf").write_text(text)
        self.over_tls = over_tls

    def command(self):
        return ["-n", "-f", self.directory / "conf", "-i", self.directory / "pid"]

    def start(self):
        (self.directory / "pid").unlink(missing_ok=True)
        super().start()

    def is_up(self):
        if not self.over_tls:
            return (self.directory / "log").exists()
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def end(self, number):
        super().end(number)
        if number == signal.SIGKILL:
            (self.directory / "log").unlink(missing_ok=True)
            # What it was writing may be cut.
            with (self.directory / "events").open("ab") as events:
                events.write(b"\n")

    def read(self):
        """What stands in its file by now; each message is checked."""
        tally = Tally()
        path = self.directory / "events"
        for line in path.read_bytes().splitlines() if path.exists() else []:
            found = MESSAGE.fullmatch(line)
            if not found:
                # rsyslog speaks of itself, in its own name; the last message of one that was killed may be cut.
                assert not line or b" rsyslogd " in line or not line.endswith(b"}"), line
                continue
            priority, moment, host, _, uid, event = found.groups()
            value = json.loads(event)
            assert value["metadata"]["uid"].encode() == uid and value["device"]["hostname"].encode() == host, line
            moment = datetime.datetime.fromisoformat(moment.decode().replace("Z", "+00:00"))
            assert round(moment.timestamp() * 1000) == value["time"], line
            severity = {1: 6, 2: 5, 3: 4, 4: 3}[value["severity_id"]]
            assert int(priority) == 19 * 8 + severity, line
            tally.take([event])
        return tally


def certificates(directory):
    """An authority, and what it signed for the server and for the host."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority")
    for name, common in [("server", "localhost"), ("host", "host-1")]:
        (directory / f"{name}.ext").write_text(f"subjectAltName=DNS:{common}\n")
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={common}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def arrived(rsyslog, tokens):
    """All of them are in the file, as soon as rsyslog has written what it has in memory."""
    end = time.monotonic() + PATIENCE
    while gone := rsyslog.read().missing(tokens):
        assert time.monotonic() < end, (len(gone), gone[:3])
        time.sleep(0.1)


def through_restarts(name, rsyslog, sink):
    """Exactly once while the connection stands; nothing missing over an orderly restart; a kill under load is measured."""
    agent = Agent(name, {"kind": "syslog", "facility": "local3", **sink})
    rsyslog.start()
    agent.start()
    for argument in ["\x01\x1b[2J\x7f", 'quoted "\\" \n\t', "雀\u2028\ufeff", b"\xff\xfe\x80", "a" * 30000, "] [x@1 uid=\"forged\"]"]:
        subprocess.run(["/bin/true", argument], check=True)
    tokens = cause(200)
    in_spool(agent, tokens)
    settled(agent)
    arrived(rsyslog, tokens)
    assert rsyslog.read().doubles == 0

    rsyslog.end(signal.SIGTERM)
    tokens += cause(50)
    in_spool(agent, tokens)
    agent.until("it is told", lambda health: health["network_sinks"][0].get("last_error"))
    rsyslog.start()
    tokens += cause(50)
    in_spool(agent, tokens)
    settled(agent)
    arrived(rsyslog, tokens)

    before = []
    load = threading.Thread(target=lambda: before.extend(cause(300, "load")))
    load.start()
    time.sleep(0.7)
    rsyslog.end(signal.SIGKILL)
    rsyslog.start()
    load.join()
    after = cause(50)
    in_spool(agent, after)
    settled(agent)
    health = agent.stop()
    # What was in the hands of the one that was killed is its own; nothing else is missing.
    arrived(rsyslog, tokens + after)
    gone = rsyslog.read().missing(before)
    for kind, one in account(health).items():
        assert one["appended"] == one["delivered"] and not one["dropped"], (kind, one)
    there = rsyslog.read()
    assert there.differing == 0, "a double is not what it was the first time"
    print(
        f"   {len(there.digests)} events, {there.doubles} doubles;"
        f" {len(gone)} of {len(before)} processes went down with the server that was killed"
    )


def syslog_over_tls():
    rsyslog = Rsyslog("tls", over_tls=True)
    at = rsyslog.directory
    tls = {"ca_file": str(at / "ca.pem"), "certificate_file": str(at / "host.pem"), "key_file": str(at / "host.key")}
    through_restarts("syslog-tls", rsyslog, {"url": f"syslog+tls://localhost:{rsyslog.port}", "tls": tls})
    rsyslog.end(signal.SIGTERM)


def syslog_over_a_unix_socket():
    rsyslog = Rsyslog("unix", over_tls=False)
    through_restarts("syslog-unix", rsyslog, {"url": f"unix:{rsyslog.directory}/log"})
    rsyslog.end(signal.SIGTERM)


def syslog_account():
    """What the account calls delivered stands in rsyslog's file, kind by kind, while nobody is killed."""
    rsyslog = Rsyslog("account", over_tls=False)
    rsyslog.start()
    agent = Agent("syslog-account", {"kind": "syslog", "facility": "local3", "url": f"unix:{rsyslog.directory}/log"})
    agent.start()
    tokens = cause(300)
    in_spool(agent, tokens)
    settled(agent)
    health = agent.stop()
    # In the end rsyslog writes what it has in memory.
    rsyslog.end(signal.SIGTERM)
    assert not rsyslog.read().missing(tokens)
    there = rsyslog.read()
    check_account(there, health)
    assert there.doubles == 0


CASES = [syslog_over_tls, syslog_over_a_unix_socket, syslog_account]
