"""Events in a real columnar engine: Debian's ClickHouse, to which the agent speaks as to any server that takes NDJSON.

The table keeps each line as it came and takes its columns out of it. ClickHouse before 24.8 has no type for JSON, and its own
JSONEachRow wants to know every key; but a line is a row of CSV whose only column is never quoted and never cut, when the
delimiter is a character that JSON must escape.

The server runs in the foreground from a configuration of its own, below the work directory, and never as the machine's service.
"""

import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from agent import PATIENCE, WORK, Agent, account, cause, check_account, in_spool, settled
from server import Server
from tally import Tally

CONFIGURATION = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>{port}</http_port>
  <listen_host>127.0.0.1</listen_host>
  <mark_cache_size>10485760</mark_cache_size>
  <path>{directory}/data/</path>
  <tmp_path>{directory}/tmp/</tmp_path>
  <users_config>{directory}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
</yandex>
"""
USERS = """<yandex>
  <profiles><default></default></profiles>
  <quotas><default></default></quotas>
  <users>
    <linnet>
      <password>{password}</password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </linnet>
  </users>
</yandex>
"""
# The same stands in docs/sinks.md.
TABLE = """
CREATE TABLE linnet (
    line String,
    time DateTime MATERIALIZED toDateTime(intDiv(visitParamExtractUInt(line, 'time'), 1000)),
    class_uid UInt32 MATERIALIZED visitParamExtractUInt(line, 'class_uid'),
    uid String MATERIALIZED visitParamExtractString(visitParamExtractRaw(line, 'metadata'), 'uid')
) ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (time, uid)
"""
QUERY = "?query=INSERT%20INTO%20linnet%20FORMAT%20CSV&format_csv_delimiter=%01"
PASSWORD = "not to be guessed"


class ClickHouse(Server):
    def __init__(self, name):
        super().__init__(name, "/usr/sbin/clickhouse-server")
        self.url = f"http://127.0.0.1:{self.port}/"
        values = {"directory": self.directory, "port": self.port, "password": PASSWORD}
        (self.directory / "config.xml").write_text(CONFIGURATION.format(**values))
        (self.directory / "users.xml").write_text(USERS.format(**values))

    def command(self):
        return [f"--config-file={self.directory}/config.xml"]

    def is_up(self):
        try:
            return self.ask("SELECT 1") == b"1\n"
        except urllib.error.URLError:
            return False

    def ask(self, query):
        request = urllib.request.Request(self.url, query.encode())
        request.add_header("X-ClickHouse-User", "linnet")
        request.add_header("X-ClickHouse-Key", PASSWORD)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()

    def read(self):
        """All rows, as the lines that they were."""
        tally = Tally()
        tally.take(self.ask("SELECT line FROM linnet FORMAT TSVRaw").splitlines())
        return tally


def clickhouse():
    """Nothing is missing after a wrong password, a table that is not there yet, and a server killed under load."""
    server = ClickHouse("clickhouse")
    server.start()
    secret = WORK / "clickhouse.password"
    secret.write_text("wrong\n")
    auth = {"basic": {"user": "linnet", "file": str(secret)}}
    agent = Agent("clickhouse", {"kind": "http", "url": server.url + QUERY, "auth": auth, "timeout_s": 10})
    agent.start()
    tokens = cause(50)
    in_spool(agent, tokens)
    agent.until("a refusal is told", lambda health: "password" in (health["network_sinks"][0].get("last_error") or ""))
    secret.write_text(f"{PASSWORD}\n")
    agent.kill()
    agent.start()
    agent.until("a table is missed", lambda health: "linnet" in (health["network_sinks"][0].get("last_error") or ""))
    server.ask(TABLE)
    for argument in ["\x01\x1b[2J\x7f", 'quoted "\\" \n\t,', "雀\u2028\ufeff", b"\xff\xfe\x80", "a" * 30000]:
        subprocess.run(["/bin/true", argument], check=True)
    load = threading.Thread(target=lambda: tokens.extend(cause(400, "load")))
    load.start()
    time.sleep(0.7)
    server.end(signal.SIGKILL)
    server.start()
    load.join()
    in_spool(agent, tokens)
    settled(agent)
    health = agent.stop()
    there = server.read()
    assert not there.missing(tokens), there.missing(tokens)[:3]
    check_account(there, health)
    # What an analyst would ask: doubles told by uid, columns taken out of the line.
    assert int(server.ask("SELECT uniqExact(uid) FROM linnet")) == len(there.digests)
    launches = int(server.ask("SELECT uniqExact(uid) FROM linnet WHERE class_uid = 1007"))
    assert launches == there.classes[1007], (launches, there.classes)
    assert int(server.ask("SELECT count() FROM linnet WHERE time < now() - 3600 OR time > now() + 60")) == 0
    sent = health["network_sinks"][0]["sent_bytes"] / account_total(health)
    print(f"   {len(there.digests)} events, {there.doubles} doubles, {sent:.0f} bytes on the wire each")
    server.end(signal.SIGTERM)


def account_total(health):
    return sum(one["delivered"] for one in account(health).values())



CASES = [clickhouse]
