# shellcheck shell=bash
# The tale's first part: what a publisher does once. Sourced by `run`, with tale.sh.

cat >"$tale" <<'TEXT'
# A fleet, from nothing

One publisher, one channel, one host: install, watch, toggle, refuse, roll out, roll back, pin, disable, uninstall. Every
command and answer below is from a run on a Debian 12 machine with systemd (`make demo-fleet`; this page is written by it).
`…` stands for what differs from run to run.

## The publisher

A channel is a directory of signed files. It is made once, on a machine that hosts never see. (Keys without a passphrase are
for this story only.)
TEXT

show "alias linnet-keys='linnet-keys --unencrypted'"
# An alias is nothing to a script.
linnet-keys() { command linnet-keys --unencrypted "$@"; }
show 'linnet-keys init'

tell <<'TEXT'
The first release (`make package` builds one), and settings that give it to everybody. `publish-config` says what changes,
and refuses what an agent would refuse.
TEXT
cat >fleet.json <<'JSON'
{
  "version": 1,
  "update": {"release": "release/linnet-0.1.0-x86_64.tar.gz"}
}
JSON
show 'linnet-keys add-release linnet-0.1.0-x86_64.tar.gz --notes "the first"'
show 'cat fleet.json'
show 'linnet-keys publish-config fleet.json'

tell <<'TEXT'
The package for this fleet: its root of trust, and a bundle with the release, so that a host is installed without network.
(`packaging/build --root channel/1.root.json --bundle linnet.bundle deb rpm` builds it; it takes the updater from `dist/bin`.)
TEXT
show 'linnet-keys bundle --out linnet.bundle'
build --root channel/1.root.json --bundle linnet.bundle
show 'ls *.deb'

tell <<'TEXT'
Any web server serves the directory; here it is nginx, as `https://updates.example.org/linnet`.
TEXT
