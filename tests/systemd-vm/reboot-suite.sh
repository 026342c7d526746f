#!/bin/bash
# What becomes of a host that is rebooted in the middle of an update; runs inside the test machine, once in each boot.
#
# A boot looks at what the one before it left, then brings the next update to the next state and reboots the machine.
# Nothing is done by hand in between: the units put things right. Prints `ok NAME: what was seen` or `FAILED NAME: why`,
# and at the end, or after the first failure, `N passed, N failed`.
set -uo pipefail

# The state, the point at which the updater is killed in it (`-`: it works until the machine goes down), the release that
# is wanted, and the one that is to run in the end.
steps=(
    "DOWNLOADING after-download 0.2.0 0.2.0"
    "VERIFIED stage-unpacked 0.3.0 0.3.0"
    "STAGED after-verify 0.4.0 0.4.0"
    "PREFLIGHT after-self-test 0.5.0 0.5.0"
    "SWITCHING after-switch-current 0.6.0 0.6.0"
    "PROBATION - 0.7.0 0.7.0"
    "PROBATION armed-anew 0.7.1 0.7.1"
    "COMMITTED after-switch-committed 0.8.0 0.8.0"
    "ROLLING_BACK restored-current 0.9.0 0.8.0"
    "ROLLED_BACK old-agent-restarted 0.9.1 0.8.0"
    "FAILED after-clean 0.9.2 0.8.0"
)
agent=linnet-agent.service
health=/run/linnet/health.json
updater=/opt/linnet/committed/bin/linnet-updater
state_dir=/var/lib/linnet/updater
# What the suite keeps from boot to boot.
kept=/srv/kept

say() {
    echo "$@"
    return 1
}

# Waits until a command succeeds, whatever it says until then: `within SECONDS COMMAND...`.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 1
    done
}

follow() {
    mkdir -p /etc/linnet
    cat >/etc/linnet/updater.json <<SETTINGS
{"channel": {"url": "file:///srv/channels/$1"}, "disk": {"reserve_bytes": 0},
 "probation": {"stable_s": 3, "patience_s": 30, "stale_s": 8, "dead_man_s": 30}}
SETTINGS
}

seconds_up() { cut -d . -f 1 /proc/uptime; }

running() { jq -r .version "$health" 2>/dev/null; }

current() {
    local name
    name=$(readlink /opt/linnet/current)
    name=${name#releases/}
    echo "${name%-*}"
}

# Every byte of what `current` leads to is as it was signed.
current_is_whole() {
    local said
    said=$(cd /opt/linnet/current && sha256sum --quiet -c "/srv/sums/$(current)" 2>&1) || say "$(current) is not whole: $said"
}

the_agent_runs() {
    [[ $(systemctl show "$agent" -p ActiveState --value) == active && $(running) == "$(current)" &&
        $(readlink "/proc/$(systemctl show "$agent" -p MainPID --value)/exe") == /opt/linnet/releases/"$(current)"-* ]]
}

phase() { sed -n 's/^ *"name": "\([a-z_]*\)",\?$/\U\1/p' "$state_dir/state.json" | head -n 1; }

is_in() { [[ $(phase) == "$1" ]]; }

# Link, running agent and state are of this release, and nothing is under way.
all_is() {
    local status
    # What costs nothing is asked first, for this is asked often.
    is_in IDLE || say "it is in $(phase)" || return
    [[ ! -e $state_dir/armed.json ]] || say "a dead-man is still armed" || return
    [[ $(current) == "$1" ]] || say "current leads to $(current)" || return
    the_agent_runs || say "the agent that runs is $(running), and the service $(systemctl is-active "$agent")" || return
    status=$("$updater" status --json) || say "status: $?: $status" || return
    [[ $(jq -r '.state, .installed.version, .updater_pid' <<<"$status" | tr '\n' ' ') == "IDLE $1 null " ]] ||
        say "status: $(jq -c '[.state, .installed, .updater_pid, .last]' <<<"$status")" || return
    ! systemctl is-active --quiet 'linnet-dead-man-*.timer' || say "the dead-man's timer still runs"
}

lines_of_history() { wc -l <"$state_dir/history.ndjson"; }

install() {
    local said
    follow 0.1.0
    mkdir -p /etc/systemd/system/linnet-updater.timer.d
    # An operator may let it look sooner.
    printf '[Timer]\nOnBootSec=\nOnBootSec=2s\nOnUnitInactiveSec=5s\nRandomizedDelaySec=0\nAccuracySec=1s\n' \
        >/etc/systemd/system/linnet-updater.timer.d/soon.conf
    said=$(/srv/linnet-updater install --from /srv/channels/0.1.0 --root /srv/channels/0.1.0/1.root.json 2>&1) ||
        say "install: code $?: $said"
    within 30 all_is 0.1.0 || all_is 0.1.0
}

# Brings an update into a state.
begin() {
    local state=$1 point=$2 wanted=$3 unit=linnet-updater.service
    systemctl stop linnet-updater.timer "$unit"
    follow "$wanted"
    # Gone at the next boot, unlike what it leaves.
    mkdir -p "/run/systemd/system/$unit.d"
    printf '[Service]\nExecStart=\nExecStart=/srv/kill-points run\nEnvironment=LINNET_KILL_AT=%s\n' "$point" \
        >"/run/systemd/system/$unit.d/kill.conf"
    systemctl daemon-reload
    systemctl start --no-block "$unit"
    if [[ $point == - ]]; then
        within 60 is_in "$state" || say "it is in $(phase)" || return
        [[ $(systemctl is-active "$unit") == activating ]] || say "the updater is not at work any more"
        return
    fi
    within 60 systemctl is-failed --quiet "$unit" || say "the updater was not killed: $(systemctl is-active "$unit")" || return
    is_in "$state" || say "killed at $point it is in $(phase)" || return
    if [[ $point == armed-anew ]]; then
        [[ $(systemctl list-units --no-legend 'linnet-dead-man-*.timer' | wc -l) == 2 ]] || say "no second dead-man is set"
    fi
}

# What the reboot has come to.
check() {
    local state=$1 final=$4 first told
    current_is_whole || return
    within 60 the_agent_runs || say "no agent runs after the boot: $(running), $(systemctl is-active "$agent")" || return
    first="$(running) runs after $(seconds_up) s"
    within 120 all_is "$final" || all_is "$final" || return
    current_is_whole || return
    told=$(tail -n "+$(($(cat "$kept/history") + 1))" "$state_dir/history.ndjson" |
        jq -r 'if .event == "interrupted" then .event + " " + .why else .event end' | tr '\n' ',')
    [[ $told == "interrupted in $state"*,IDLE, ]] || say "history does not tell it: $told" || return
    echo "$first, $final is settled after $(seconds_up) s, history: ${told%,}"
}

finish() {
    local passed=$1 failed=$2
    if ((failed > 0)); then
        journalctl -b --unit=linnet-updater --unit=linnet-agent --unit='linnet-dead-man-*' --unit=linnet-rollback --output=short-monotonic --no-pager --lines=80
        tail -n 30 "$state_dir/history.ndjson"
    fi
    echo "$passed passed, $failed failed"
    exit "$((failed > 0))"
}

mkdir -p "$kept"
echo "   $(seconds_up) s after the boot: services are up"
if [[ ! -e $kept/passed ]]; then
    why=$(
        set -e
        install 2>&1
    ) || { echo "FAILED install: $why"; finish 0 1; }
    echo "   $(seconds_up) s after the boot: installed"
    echo 0 >"$kept/passed"
    at=0
else
    # Told anew before each reboot, so that a machine that comes up for reasons of its own is noticed.
    mv "$kept/step" "$kept/taken" || { echo "FAILED: the machine came up again by itself"; finish "$(cat "$kept/passed")" 1; }
    at=$(cat "$kept/taken")
    read -ra step <<<"${steps[at]}"
    if said=$(check "${step[@]}" 2>&1); then
        echo "ok rebooted in ${step[0]}: $said"
        echo $((at + 1)) >"$kept/passed"
    else
        echo "FAILED rebooted in ${step[0]}: $said"
        finish "$(cat "$kept/passed")" 1
    fi
    at=$((at + 1))
fi
((at < ${#steps[@]})) || finish "$at" 0
read -ra step <<<"${steps[at]}"
said=$(begin "${step[@]}" 2>&1) || { echo "FAILED coming to ${step[0]}: $said"; finish "$at" 1; }
echo "   $(seconds_up) s after the boot: brought to ${step[0]}"
lines_of_history >"$kept/history"
echo "$at" >"$kept/step"
# What `systemctl reboot` comes to; there is no bus here to ask for it.
systemctl start --no-block --job-mode=replace-irreversibly reboot.target
# Until this is ended like everything else.
sleep 120
echo "FAILED: the machine does not go down"
finish "$at" 1
