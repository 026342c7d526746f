#!/bin/bash
# What an operator relies on when the updater works with systemd; runs inside the test machine.
#
# The checks run in the order of the list at the end, on one host that lives from check to check. Prints `ok NAME` or
# `FAILED NAME: why` and at the end `N passed, N failed`.
set -uo pipefail

agent=linnet-agent.service
health=/run/linnet/health.json
first=/srv/linnet-updater
updater=/usr/bin/linnet-updater

say() {
    echo "$@"
    return 1
}

within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.3
    done
}

follow() {
    mkdir -p /etc/linnet
    cat >/etc/linnet/updater.json <<SETTINGS
{"channel": {"url": "file:///srv/channels/$1"}, "disk": {"reserve_bytes": 0},
 "probation": {"stable_s": 6, "patience_s": 30, "stale_s": 4, "dead_man_s": 5}}
SETTINGS
}

# Runs the updater and wants this exit code.
updater_ends() {
    local expected=$1 code=0 said
    shift
    said=$("$updater" "$@" 2>&1) || code=$?
    ((code == expected)) || say "'$*' ended with $code in place of $expected: $said"
}

running() { jq -r .version "$health" 2>/dev/null; }

state() { "$updater" status --json | jq -r .state; }

# Link, running agent, unit file and state are all of this release. In a condition -e is off, hence the returns.
all_is() {
    local version=$1
    [[ $(readlink /opt/linnet/current) == releases/$version-* ]] || say "current leads to $(readlink /opt/linnet/current)" || return
    [[ $(running) == "$version" ]] || say "the agent that runs is $(running)" || return
    [[ $(systemctl show "$agent" -p ActiveState --value) == active ]] || say "$agent is not active" || return
    [[ $(readlink "/proc/$(systemctl show "$agent" -p MainPID --value)/exe") == /opt/linnet/releases/"$version"-* ]] ||
        say "the process is of another release" || return
    [[ $(state) == IDLE ]] || say "the state is $(state)" || return
    [[ ! -e /var/lib/linnet/updater/armed.json ]] || say "a dead-man is still armed" || return
    ! systemctl is-active --quiet 'linnet-dead-man-*.timer' || say "the dead-man's timer still runs"
}

nobody_is_at_work() { [[ $("$updater" status --json | jq .updater_pid) == null ]]; }

all_is_silently() { all_is "$1" >/dev/null; }

install_brings_the_agent_up() {
    local said
    follow 0.1.0
    said=$("$first" install --from /srv/channels/0.1.0 --root /srv/channels/0.1.0/1.root.json 2>&1) || say "code $?: $said"
    all_is 0.1.0
    systemctl is-enabled --quiet "$agent" linnet-rollback.service linnet-updater.timer || say "not all is enabled"
    systemctl is-active --quiet linnet-updater.timer || say "the timer does not run"
    # On a slow machine it would come between the checks.
    systemctl stop linnet-updater.timer
}

accounts_and_directories_are_set_up() {
    local name mode
    for name in inventory persistence integrity; do
        getent passwd "linnet-$name" >/dev/null || say "no account for $name: $(journalctl -u linnet-setup.service -o cat -n 5)"
    done
    for mode in 755:/run/linnet 755:/var/lib/linnet 700:/var/lib/linnet/agent 755:/var/lib/linnet/updater 750:/var/log/linnet 750:/etc/linnet; do
        [[ $(stat -c %a "${mode#*:}") == "${mode%%:*}" ]] || say "${mode#*:} has mode $(stat -c %a "${mode#*:}")"
    done
}

no_unit_is_more_exposed_than_the_guide_says() {
    local unit limit found units=0
    while read -r unit limit; do
        found=$(systemd-analyze security --no-pager "$unit" | sed -nE 's/.*Overall exposure level for [^:]*: ([0-9.]+) .*/\1/p')
        [[ -n $found ]] || say "systemd-analyze says nothing of $unit"
        [[ $(printf '%s\n' "$found" "$limit" | sort -g | tail -n 1) == "$limit" ]] || say "$unit: $found, the guide says $limit"
        units=$((units + 1))
    done </srv/exposure
    ((units == 4)) || say "the guide has $units units"
}

a_good_update_is_taken_by_the_service() {
    follow 0.2.0
    systemctl start linnet-updater.service || say "$(journalctl -u linnet-updater.service -o cat -n 5)"
    all_is 0.2.0
}

the_updater_is_not_in_the_agent_s_cgroup() {
    local group
    group=$(systemctl show linnet-updater.service -p ControlGroup --value)
    [[ $group != *linnet-agent* ]] || say "it is in $group"
}

rolls_back_by_itself() {
    follow "$1"
    updater_ends "$2" update
    within 10 all_is_silently 0.2.0 || all_is 0.2.0
    updater_ends 11 update
}

a_release_that_crashes_rolls_back() { rolls_back_by_itself 0.3.0 30; }
a_release_that_hangs_rolls_back() { rolls_back_by_itself 0.3.1 30; }
a_release_that_is_never_ready_rolls_back() { rolls_back_by_itself 0.3.2 30; }
a_release_that_leaks_past_its_limit_rolls_back() {
    mkdir -p "/run/systemd/system/$agent.d"
    printf '[Service]\nMemoryMax=48M\nMemorySwapMax=0\n' >"/run/systemd/system/$agent.d/limit.conf"
    systemctl daemon-reload
    rolls_back_by_itself 0.3.3 30
}
a_release_that_refuses_its_settings_rolls_back() { rolls_back_by_itself 0.3.4 30; }
a_release_whose_self_test_fails_is_not_switched_to() { rolls_back_by_itself 0.3.5 25; }

in_probation() { grep -qs '"name": *"probation"' /var/lib/linnet/updater/state.json; }

# Looks at the file and often: with a release that crashes at once, probation lasts no longer than a question takes.
comes_to_probation() {
    local end=$((SECONDS + 60))
    until in_probation; do
        ((SECONDS < end)) || say "never in probation: $(state)" || return
        sleep 0.02
    done
}

the_dead_man_rolls_back_when_the_updater_is_killed() {
    follow 0.4.0
    "$updater" update >/dev/null 2>&1 &
    local pid=$!
    comes_to_probation
    sleep 2
    kill -9 "$pid"
    [[ $(readlink /opt/linnet/current) == releases/0.4.0-* ]] || say "it was not switched"
    within 90 all_is_silently 0.2.0 || all_is 0.2.0
    within 20 nobody_is_at_work || say "the dead-man does not end"
    updater_ends 11 update
}

started_at() { systemctl show "$agent" -p ExecMainStartTimestampMonotonic --value; }
was_started_since() { (($(started_at) > $1)); }

# Follows the check before: the channel never goes back to what an earlier one followed.
systemd_s_verdict_rolls_back_when_the_updater_is_killed() {
    follow 0.3.0
    "$updater" retry 0.3.0 >/dev/null
    mkdir -p "/run/systemd/system/$agent.d"
    printf '[Unit]\nStartLimitBurst=2\n[Service]\nRestartSec=100ms\n' >"/run/systemd/system/$agent.d/burst.conf"
    systemctl daemon-reload
    local before pid
    before=$(started_at)
    "$updater" update >/dev/null 2>&1 &
    pid=$!
    comes_to_probation
    # Probation is on record before the agent is started; killed in between, only the dead-man would help.
    within 30 was_started_since "$before" || say "the release was never started"
    kill -9 "$pid"
    # Well before the dead-man, which waits for 45 s.
    within 35 all_is_silently 0.2.0 || all_is 0.2.0
    within 20 nobody_is_at_work || say "the rollback does not end"
    rm "/run/systemd/system/$agent.d/burst.conf"
    systemctl daemon-reload
}

an_interrupted_probation_goes_on_at_the_next_start() {
    follow 0.4.0
    "$updater" retry >/dev/null
    "$updater" update >/dev/null 2>&1 &
    local pid=$!
    comes_to_probation
    kill -9 "$pid"
    systemctl start linnet-updater.service || say "$(journalctl -u linnet-updater.service -o cat -n 5)"
    all_is 0.4.0
}

rollback_by_hand_goes_back_and_holds() {
    updater_ends 0 rollback --why test
    all_is 0.2.0
    updater_ends 11 update
}

a_pin_holds_and_is_followed() {
    updater_ends 0 pin 0.4.0
    updater_ends 0 update
    all_is 0.4.0
    follow 0.2.0
    updater_ends 11 update
    all_is 0.4.0
    updater_ends 0 unpin
}

disable_stops_everything_and_the_service_does_not_fail() {
    updater_ends 0 disable --why test
    updater_ends 11 update
    systemctl start linnet-updater.service || say "the service failed"
    all_is 0.4.0
    updater_ends 0 enable
}

uninstall_leaves_nothing_that_runs() {
    updater_ends 0 uninstall --purge
    [[ ! -e /opt/linnet && ! -e /var/lib/linnet/updater && ! -e /usr/bin/linnet-agent ]] || say "something is left"
    ! systemctl is-active --quiet "$agent" || say "the agent still runs"
    [[ ! -e /etc/systemd/system/$agent ]] || say "its unit is still there"
}

passed=0 failed=0
for check in install_brings_the_agent_up accounts_and_directories_are_set_up \
    no_unit_is_more_exposed_than_the_guide_says a_good_update_is_taken_by_the_service the_updater_is_not_in_the_agent_s_cgroup \
    a_release_that_crashes_rolls_back systemd_s_verdict_rolls_back_when_the_updater_is_killed a_release_that_hangs_rolls_back a_release_that_is_never_ready_rolls_back \
    a_release_that_leaks_past_its_limit_rolls_back a_release_that_refuses_its_settings_rolls_back \
    a_release_whose_self_test_fails_is_not_switched_to the_dead_man_rolls_back_when_the_updater_is_killed \
    an_interrupted_probation_goes_on_at_the_next_start \
    rollback_by_hand_goes_back_and_holds a_pin_holds_and_is_followed \
    disable_stops_everything_and_the_service_does_not_fail uninstall_leaves_nothing_that_runs; do
    begun=$SECONDS
    # A shell of its own with -e, so that a check ends at the first thing that is wrong.
    why=$(
        set -e
        "$check" 2>&1
    )
    # shellcheck disable=SC2181  # as a condition, the check would run without -e
    if (($? == 0)); then
        echo "ok $check ($((SECONDS - begun)) s)"
        passed=$((passed + 1))
    else
        echo "FAILED $check: ${why:-no reason given}"
        failed=$((failed + 1))
    fi
done
if ((failed > 0)); then
    journalctl --unit=linnet-updater --unit=linnet-agent --unit='linnet-dead-man-*' --unit=linnet-rollback --output=cat --no-pager --lines=80
fi
echo "$passed passed, $failed failed"
((failed == 0))
