"""The cases of tests/channel/foreign. Each begins in an empty directory and is one claim."""

import os
import subprocess
import sys
import tempfile
import traceback

from served import Served
import packages
import theirs

KEYS = os.path.abspath(os.environ["LINNET_KEYS"])
CLIENT = os.environ["LINNET_TUF_CLIENT"] and os.path.abspath(os.environ["LINNET_TUF_CLIENT"])


class Ours:
    """A channel of linnet-keys, in channel/ with the keys in keys/."""

    def __init__(self, *options):
        self.run("init", *options)

    def run(self, *arguments, keys="keys", fails=False):
        command = [KEYS, "--unencrypted", "--channel", "channel", "--keys", keys, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode != 0) == fails, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def release(self, version):
        content = packages.write("package.tar.gz", "release", version)
        self.run("add-release", "package.tar.gz", "--notes", f"release {version}")
        return content

    def root(self, version=1):
        with open(f"channel/{version}.root.json", "rb") as file:
            return file.read()


def their_client_follows_our_channel():
    ours = Ours()
    content = ours.release("0.1.0")
    with Served("channel") as served:
        client = theirs.Client(served.url, ours.root())
        assert client.get("release/linnet-0.1.0-x86_64.tar.gz") == content
        assert client.get("release/linnet-0.2.0-x86_64.tar.gz") is None


def their_client_follows_our_delegations():
    ours = Ours()
    ours.release("0.1.0")
    plugin = packages.write("plugin.tar.gz", "plugin", "1.0.0")
    ours.run("add-plugin", "plugin.tar.gz", "--name", "yara")
    fleet = b'{"version": 1, "update": {"release": "release/linnet-0.1.0-x86_64.tar.gz", "salt": "a"}}'
    with open("fleet.json", "wb") as file:
        file.write(fleet)
    ours.run("publish-config", "fleet.json")
    with Served("channel") as served:
        client = theirs.Client(served.url, ours.root())
        assert client.get("config/fleet.json") == fleet
        assert client.get("plugin/yara-1.0.0-x86_64.tar.gz") == plugin
        assert client.get("config/other.json") is None


def their_client_goes_through_our_rotated_roots_in_order():
    ours = Ours()
    content = ours.release("0.1.0")
    with Served("channel") as served:
        early = theirs.Client(served.url, ours.root(), "early")
        assert early.get("release/linnet-0.1.0-x86_64.tar.gz") == content
        for role in ["root", "timestamp", "targets", "snapshot", "root", "config", "plugins"]:
            ours.run("rotate", role)
        newer = ours.release("0.2.0")
        # A host that followed before, and one that comes with the first root only.
        for name in ["early", "late"]:
            served.paths.clear()
            client = theirs.Client(served.url, ours.root(), name)
            assert client.get("release/linnet-0.2.0-x86_64.tar.gz") == newer
            roots = [path for path in served.paths if path.endswith(".root.json")]
            assert roots == [f"/{version}.root.json" for version in range(2, 8)], roots
            assert client.version("root") == 6


def their_client_takes_refreshed_and_revoked():
    ours = Ours()
    ours.release("0.1.0")
    with Served("channel") as served:
        theirs.Client(served.url, ours.root()).refresh()
        ours.run("refresh")
        client = theirs.Client(served.url, ours.root())
        client.refresh()
        assert client.version("timestamp") == 3
        ours.run("revoke", "0.1.0")
        assert theirs.Client(served.url, ours.root()).get("release/linnet-0.1.0-x86_64.tar.gz") is None


def their_client_follows_what_two_of_three_signed():
    ours = Ours("--organisation")
    os.mkdir("other")
    one = sorted(name for name in os.listdir("keys") if name.startswith("targets-"))
    for name in one[1:]:
        os.rename(f"keys/{name}", f"other/{name}")
    content = packages.write("package.tar.gz", "release", "0.1.0")
    assert "1 of 2 signatures" in ours.run("add-release", "package.tar.gz")
    with Served("channel") as served:
        assert theirs.Client(served.url, ours.root()).get("release/linnet-0.1.0-x86_64.tar.gz") is None
        os.rename(f"other/{one[2]}", "third.pem")
        with open("keys/pending/2.targets.json", "rb") as waiting, open("2.targets.json", "wb") as copy:
            copy.write(waiting.read())
        ours.run("sign", "2.targets.json", keys="other")
        ours.run("merge", "2.targets.json")
        assert theirs.Client(served.url, ours.root()).get("release/linnet-0.1.0-x86_64.tar.gz") == content


def our_client_follows_their_channel():
    channel = theirs.Channel("theirs")
    channel.add("hello.txt", b"hello")
    channel.publish()
    with Served("theirs") as served:
        client = OurClient(served.url, channel.root(1))
        client.refresh()
        assert client.get("hello.txt") == b"hello"
        client.get("other.txt", fails=True)


def our_client_follows_their_delegations():
    channel = theirs.Channel("theirs")
    channel.delegate("one", ["one/*"], terminating=False)
    channel.delegate("two", ["one/*", "two/*"], terminating=True)
    channel.delegate("three", ["two/*"], terminating=False)
    channel.add("one/a.txt", b"from one", role="one")
    channel.add("two/b.txt", b"from two", role="two")
    channel.add("two/c.txt", b"behind a terminating role", role="three")
    channel.publish()
    with Served("theirs") as served:
        client = OurClient(served.url, channel.root(1))
        assert client.get("one/a.txt") == b"from one"
        assert client.get("two/b.txt") == b"from two"
        client.get("two/c.txt", fails=True)


def our_client_goes_through_their_rotated_roots_in_order():
    channel = theirs.Channel("theirs")
    channel.add("hello.txt", b"hello")
    channel.publish()
    with Served("theirs") as served:
        client = OurClient(served.url, channel.root(1))
        client.refresh()
        for role in ["root", "timestamp", "root"]:
            channel.rotate(role)
        channel.add("hello.txt", b"hello again")
        channel.publish()
        served.paths.clear()
        assert client.get("hello.txt") == b"hello again"
        roots = [path for path in served.paths if path.endswith(".root.json")]
        assert roots == [f"/{version}.root.json" for version in range(2, 6)], roots
        assert client.version("root") == 4


def our_client_refuses_their_rolled_back_and_unsigned():
    channel = theirs.Channel("theirs")
    channel.add("hello.txt", b"hello")
    channel.publish()
    with Served("theirs") as served:
        client = OurClient(served.url, channel.root(1))
        with open("theirs/timestamp.json", "rb") as file:
            old = file.read()
        channel.publish()
        client.refresh()
        before = client.version("timestamp")
        theirs.put("theirs/timestamp.json", old)
        client.refresh(fails=True)
        channel.publish(unsigned=True)
        client.refresh(fails=True)
        assert client.version("timestamp") == before


class OurClient:
    """fleet/examples/tuf_client.rs, as a test suite of clients drives it."""

    def __init__(self, url, root):
        self.url = url
        with open("root.json", "wb") as file:
            file.write(root)
        self.run("init", "root.json")

    def run(self, *arguments, fails=False):
        options = ["--metadata-dir", "metadata", "--metadata-url", self.url]
        done = subprocess.run([CLIENT, *options, *arguments], capture_output=True, text=True)
        assert (done.returncode != 0) == fails, f"{arguments}: {done.stdout}{done.stderr}"

    def refresh(self, fails=False):
        self.run("refresh", fails=fails)

    def get(self, path, fails=False):
        os.makedirs("downloads", exist_ok=True)
        options = ["--target-name", path, "--target-base-url", f"{self.url}/targets/", "--target-dir", "downloads"]
        self.run(*options, "download", fails=fails)
        if fails:
            return None
        found = [os.path.join(directory, name) for directory, _, names in os.walk("downloads") for name in names]
        newest = max(found, key=os.path.getmtime)
        with open(newest, "rb") as file:
            return file.read()

    def version(self, role):
        return theirs.version(f"metadata/{role}.json")


CASES = [
    their_client_follows_our_channel,
    their_client_follows_our_delegations,
    their_client_goes_through_our_rotated_roots_in_order,
    their_client_takes_refreshed_and_revoked,
    their_client_follows_what_two_of_three_signed,
]
NEEDS_CLIENT = [
    our_client_follows_their_channel,
    our_client_follows_their_delegations,
    our_client_goes_through_their_rotated_roots_in_order,
    our_client_refuses_their_rolled_back_and_unsigned,
]


def main():
    cases = CASES + (NEEDS_CLIENT if CLIENT else [])
    passed = failed = 0
    for case in cases:
        name = case.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            try:
                case()
                passed += 1
                print(f"ok      {name}")
            except Exception:
                failed += 1
                print(f"FAILED  {name}")
                traceback.print_exc(file=sys.stdout)
            os.chdir("/")
    if not CLIENT:
        print(f"NOT RUN: {len(NEEDS_CLIENT)} cases of our client, because fleet/examples/tuf_client.rs is not there")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
