#!/bin/bash
# The tale's second part, inside the machine: a host's life from `dpkg -i` to `dpkg -P`.
#
# What goes wrong ends it with a reason. The tale is printed at the end, each line behind `T:`.
set -u

export tale=/run/tale.md prompt='web1#' HOME=/root
: >"$tale"
# shellcheck source=tests/demo-fleet/tale.sh
source /usr/lib/linnet-suite/tale.sh
events=/var/log/linnet/events.ndjson
operator=/srv/operator

# shellcheck disable=SC2317  # a trap calls it
ended() {
    local code=$?
    kill "$beat" 2>/dev/null
    if ((code != 0)); then
        journalctl --unit='linnet-*' --output=cat --no-pager --lines=60
        tail -n 5 /run/nginx-error.log
    fi
    # What was told until then helps to see what went wrong, too.
    close_block
    sed 's/^/T:/' "$tale"
}
trap ended EXIT
# A machine that says nothing for long is taken to hang, and on a busy host a step may take its time.
while sleep 20; do echo "… $SECONDS s"; done &
beat=$!

# What the publisher does in the meantime.
as_publisher() {
    prompt='publisher$'
    cd "$operator" || exit 1
}
as_host() {
    prompt='web1#'
    cd /root || exit 1
}
linnet-keys() { command linnet-keys --unencrypted "$@"; }

follows() { [[ $(jq -r '.remote.running.version' /run/linnet/health.json) == "$1" ]]; }
has_event() { jq -e -n "first(inputs | select($1))" "$events"; }
runs() { [[ $(jq -r .version /run/linnet/health.json) == "$1" && $(readlink /opt/linnet/current) == releases/"$1"-* ]]; }

/srv/www/lib/ld-linux-x86-64.so.2 --library-path /srv/www/lib /srv/www/nginx -e /run/nginx-error.log -c /srv/www/nginx.conf || exit 1
mkdir -p /root
mkdir -m 0750 /etc/linnet
cp "$operator"/*.deb /root/

as_host
tell <<'TEXT'

## Install

The host is told its channel and its tags (the root of trust is in the package). Two files of the host's own make this story
short: ask for settings each 3 s, not each minute, and watch a release for 5 s, not for a minute.
TEXT
echo '{"fleet": {"poll_s": 3, "trial_s": 3}, "plugins": {"trial_s": 3}}' >/etc/linnet/linnet.json
echo '{"probation": {"stable_s": 5, "patience_s": 120}}' >/etc/linnet/updater.json
show 'cat /etc/linnet/linnet.json /etc/linnet/updater.json'
show 'LINNET_CHANNEL=https://updates.example.org/linnet LINNET_TAGS=web,eu dpkg -i linnet_0.1.0_amd64.deb'
hold 1 "the release is linked and its agent runs" runs 0.1.0
hold 1 "units are enabled" systemctl is-enabled linnet-agent.service linnet-updater.timer linnet-rollback.service

tell <<'TEXT'
The package's updater verified the release in the bundle, tried it, placed it where the updater keeps releases, and watched
it. From now on releases come from the channel, and no package changes that.
TEXT
show 'cat /etc/linnet/enrolment.json'
show 'linnet-updater status | grep -E "^(installed|phase|held|channel|agent)"'
hold 180 "the agent follows the first settings" follows 1
show 'linnet-agent status | grep -E "^(limits|fleet|channel)" | cut -d , -f 1'

tell <<'TEXT'

## Events

One OCSF event a line.
TEXT
show 'bash -c "id -un; :"'
hold 180 "the event is there" has_event '.class_uid == 1007 and .process.cmd_line == "id -un"'
# shellcheck disable=SC2016
show "jq -c 'select(.process.cmd_line == \"id -un\" and .activity_id == 1) | {type_uid, command: .process.cmd_line, user: .process.user.uid, parent: .process.ancestry[0].name}' $events | tail -n 1"

tell <<'TEXT'

## Toggle

The publisher switches fork events on for the hosts with the tag `web`.
TEXT
as_publisher
cat >fleet.json <<'JSON'
{
  "version": 2,
  "update": {"release": "release/linnet-0.1.0-x86_64.tar.gz"},
  "overrides": [
    {"name": "forks-on-web", "match": {"tags": ["web"]}, "patch": {"agent": {"events": {"fork": true}}}}
  ]
}
JSON
show 'cat fleet.json'
show 'linnet-keys publish-config fleet.json'
as_host
tell <<'TEXT'
The host takes it with its next question, without a restart, and says so.
TEXT
hold 180 "the toggle takes effect within a few polls" follows 2
show 'linnet-agent status | grep ^fleet'
show 'linnet-agent config --effective | grep -E "^events.fork|^fleet.poll_s" | tr -s " "'
hold 180 "forks are told of" has_event '.class_uid == 1007 and .launch_type_id == 2'

tell <<'TEXT'

## A broken document

`publish-config` refuses it, by the agent's own code. Published all the same (`--unchecked` is for settings that a newer
agent knows), hosts refuse it whole, say why, and keep what they follow.
TEXT
as_publisher
sed -e 's/"version": 2/"version": 3/' -e 's/"fork"/"forks"/' -i fleet.json
show 'linnet-keys publish-config fleet.json' 1
show 'linnet-keys publish-config --unchecked fleet.json | tail -n 1'
as_host
hold 180 "the broken document is refused" eval 'linnet-agent status | grep -q "refused version 3"'
hold 1 "the old one is followed" follows 2
show 'linnet-agent status | grep -A 2 ^fleet'

tell <<'TEXT'

## A plugin

What is installed on a host is told by the plugin `inventory`: a program and what it asks for, signed by a key of its own.
Version 4 mends the settings and enables it, and the hosts fetch it.
TEXT
as_publisher
show 'ls inventory'
show 'linnet-keys add-plugin inventory | tail -n 1'
cat >fleet.json <<'JSON'
{
  "version": 4,
  "plugins": {"inventory": {"settings": {"cpu_permille": 200}}},
  "update": {"release": "release/linnet-0.1.0-x86_64.tar.gz"}
}
JSON
show 'linnet-keys publish-config fleet.json'
as_host
hold 180 "version 4 is followed" follows 4
hold 300 "the inventory tells of a package" has_event '.metadata.product.feature.name == "inventory" and .package.name == "systemd"'
show "jq -c 'select(.metadata.product.feature.name == \"inventory\" and .package.name == \"systemd\") | {class_uid, package: .package.name, purl: .package.purl}' $events | tail -n 1"
hold 180 "the plugin is good" eval 'linnet-agent status | grep -q "^plugin   inventory 0.1.0: running, from the channel"'
show 'linnet-agent status | grep ^plugin'

tell <<'TEXT'

## A release, by waves

0.2.0 goes to one host in a thousand now, and to all much later. This host is of the second wave, and waits.
TEXT
as_publisher
cat >fleet.json <<'JSON'
{
  "version": 5,
  "plugins": {"inventory": {"settings": {"cpu_permille": 200}}},
  "update": {"release": "release/linnet-0.2.0-x86_64.tar.gz", "salt": "0.2.0",
             "waves": [{"at": "2026-01-01T00:00:00Z", "permille": 1}, {"at": "2036-01-01T00:00:00Z", "permille": 1000}]}
}
JSON
show 'linnet-keys add-release linnet-0.2.0-x86_64.tar.gz --notes "the second" | tail -n 1'
show 'cat fleet.json'
show 'linnet-keys publish-config fleet.json'
as_host
show 'linnet-updater update'
hold 1 "nothing changed before its wave" runs 0.1.0
tell <<'TEXT'
The first hosts are well, and the publisher brings the second wave forward. The timer asks every few minutes; here it is
started by hand.
TEXT
as_publisher
sed -e 's/"version": 5/"version": 6/' -e 's/2036/2026/; s/2026-01-01/2026-02-01/2' -i fleet.json
show 'grep waves fleet.json'
show 'linnet-keys publish-config fleet.json | head -n 1'
as_host
show 'systemctl start linnet-updater.service'
hold 180 "0.2.0 runs" runs 0.2.0
show 'linnet-updater status | grep -E "^(installed|phase|previous|agent)"'

tell <<'TEXT'
The package is still that of 0.1.0. Installed again, it changes nothing of this.
TEXT
show 'dpkg -i linnet_0.1.0_amd64.deb'
hold 1 "the package took nothing back" runs 0.2.0

tell <<'TEXT'

## A bad release

0.3.0 passes its self-test, and crashes when it has run for a moment. Nobody does anything.
TEXT
as_publisher
cat >fleet.json <<'JSON'
{
  "version": 7,
  "plugins": {"inventory": {"settings": {"cpu_permille": 200}}},
  "update": {"release": "release/linnet-0.3.0-x86_64.tar.gz"}
}
JSON
show 'linnet-keys add-release linnet-0.3.0-x86_64.tar.gz --notes "the third" | tail -n 1'
show 'linnet-keys publish-config fleet.json | head -n 1'
as_host
show 'linnet-updater update' 30
hold 180 "0.2.0 runs again" runs 0.2.0
show 'linnet-updater status | grep -E "^(installed|phase|failed|agent)"'
tell <<'TEXT'
It is not taken a second time: not before there is a newer one, or an operator says `retry`.
TEXT
show 'linnet-updater update' 11

tell <<'TEXT'

## The host's operator has the last word

Whatever the channel wants, `pin` keeps a version and `disable` all.
TEXT
show 'linnet-updater pin --why "audit week"'
show 'linnet-updater update' 11
show 'linnet-updater disable --why "nobody touches this host"'
show 'linnet-updater update' 11
show 'linnet-updater enable'
show 'linnet-updater unpin'
show 'linnet-updater history -n 40 | sed -E "s/^[^ ]+ +//" | grep -vE "^(VERIFIED|STAGED|PREFLIGHT|SWITCHING) "'

tell <<'TEXT'

## Uninstall

Removing the package stops the agent and takes what the updater brought; settings, events and the memory of what failed
here stay. Purging takes these, too.
TEXT
show 'dpkg -r linnet'
hold 1 "nothing runs" eval '! systemctl is-active linnet-agent.service linnet-updater.timer'
show 'ls -d /opt/linnet /etc/linnet /var/lib/linnet /var/log/linnet' 2
show 'dpkg -P linnet'
show 'ls -d /opt/linnet /etc/linnet /var/lib/linnet /var/log/linnet' 2
hold 1 "no unit is left" eval '! systemctl list-unit-files --no-legend "linnet-*" | grep -v suite'
hold 1 "no link is left" eval '! ls -L /usr/bin/linnet-agent /usr/bin/linnet-updater'
