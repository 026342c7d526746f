#!/bin/bash
# What an operator relies on when linnet-agent is a systemd service; runs inside the test machine.
#
# A check is a function that prints why it fails. They run in the order of the list at the end, on one service that
# lives from check to check, as a service does. Prints `ok NAME` or `FAILED NAME: why` and at the end
# `N passed, N failed`.
set -uo pipefail

unit=linnet-agent.service
events=/var/log/linnet/events.ndjson
health=/run/linnet/health.json

property() { systemctl show "$unit" --property="$1" --value; }

main_pid() { property MainPID; }

# Seconds since the boot. The shell's own SECONDS are the wall clock's, which a check sets.
uptime_s() { cut -d . -f 1 /proc/uptime; }

# Waits until a command succeeds: `within SECONDS COMMAND...`.
within() {
    local end=$(($(uptime_s) + $1))
    shift
    until "$@"; do
        (($(uptime_s) < end)) || return 1
        sleep 0.2
    done
}

say() {
    echo "$@"
    return 1
}

replaced() { [[ $(property ActiveState) == active && $(main_pid) != "$1" && $(main_pid) != 0 ]]; }

watchdog_was_fed_since() { [[ $(property WatchdogTimestampMonotonic) != "$1" ]]; }

# The cgroup directory that the agent is in.
agent_cgroup() { sed -n 's,^0::,/sys/fs/cgroup,p' "/proc/$(main_pid)/cgroup"; }

# Runs a command that only this call can have run, and waits until the output has it.
command_is_seen() {
    local marker=linnet-marker-$1-$RANDOM$RANDOM
    /bin/echo "$marker" >/dev/null
    within 60 grep -qs -- "$marker" "$events"
}

# A check of one limit: the file in the agent's cgroup has a number, not `max`.
limit_is_set() {
    local value
    value=$(cat "$(agent_cgroup)/$1" 2>&1) || say "$1 of the agent's cgroup: $value"
    [[ $value =~ ^[0-9]+ ]] || say "$1 of $(agent_cgroup) is '$value'"
}

service_becomes_active() {
    local answer
    answer=$(systemctl start "$unit" 2>&1) || say "$answer"
    [[ $(property Type) == notify ]] || say "Type is $(property Type), so active says nothing"
    [[ $(property ActiveState) == active ]] || say "state is $(property ActiveState)"
}

agent_is_in_the_delegated_cgroup() {
    local group
    group=/sys/fs/cgroup$(property ControlGroup)
    [[ $(property Delegate) == yes ]] || say "Delegate is $(property Delegate)"
    [[ $(agent_cgroup) == "$group"* ]] || say "agent is in $(agent_cgroup), the service in $group"
}

# A unit option that gives it a mount namespace would hide the mounts of containers that start later.
agent_sees_the_mounts_of_the_host() {
    [[ $(readlink "/proc/$(main_pid)/ns/mnt") == "$(readlink /proc/1/ns/mnt)" ]] || say "it has a mount namespace of its own"
}

limits_are_set() {
    local file
    for file in memory.max memory.high cpu.max pids.max; do
        limit_is_set "$file" || return 1
    done
}

status_exits_0() {
    local answer
    answer=$(linnet-agent status 2>&1) || say "code $?: $answer"
}

status_reports_the_limits_in_force() {
    local answer max
    max=$(cat "$(agent_cgroup)/memory.max")
    answer=$(linnet-agent status --json) || say "code $?"
    jq -e --argjson max "$max" '.limits | [.. | numbers] | index($max) != null' <<<"$answer" >/dev/null ||
        say "memory.max is $max; status says: $(jq -c .limits <<<"$answer")"
}

health_document_is_of_the_running_agent() {
    local pid
    pid=$(jq -e '.pid' "$health") || say "no .pid in $health"
    [[ $pid == "$(main_pid)" ]] || say "document of $pid, the service is $(main_pid)"
}

a_command_is_in_the_output() {
    command_is_seen first || say "not in $events: $(wc -l <"$events") lines"
}

every_line_of_the_output_is_json() {
    local lines parsed
    lines=$(wc -l <"$events")
    parsed=$(head -n "$lines" "$events" | jq -c . 2>&1 | wc -l)
    ((lines > 0 && lines == parsed)) || say "$lines lines, $parsed parsed"
}

the_first_event_is_the_start() {
    head -n 1 "$events" | jq -e '.class_uid == 6002 and .activity_id == 3' >/dev/null ||
        say "$(head -n 1 "$events" | cut -c -200)"
}

# plugin NAME FILTER: what the health document says of a plugin.
plugin() { jq -r --arg name "$1" ".plugins[] | select(.name == \$name) | $2" "$health"; }

plugin_runs() { [[ $(plugin "$1" .state) == running ]]; }

plugins_run() {
    within 60 plugin_runs inventory || say "inventory: $(plugin inventory '{state, reason}')"
    within 60 plugin_runs integrity || say "integrity: $(plugin integrity '{state, reason}')"
}

a_plugin_is_in_its_own_cgroup_beside_the_agent_in_the_delegated_unit() {
    local group name found
    group=/sys/fs/cgroup$(property ControlGroup)
    [[ $(agent_cgroup) == "$group/linnet" ]] || say "the agent is in $(agent_cgroup), the service in $group"
    for name in inventory integrity; do
        found=$(sed -n 's,^0::,/sys/fs/cgroup,p' "/proc/$(plugin "$name" .pid)/cgroup")
        [[ $found == "$group/linnet-plugins/$name" ]] || say "$name is in $found, the service in $group"
        [[ $(cat "$found/memory.max") == 15728640 ]] || say "memory.max of $name is $(cat "$found/memory.max")"
        [[ $(cat "$found/cpu.max") == "10000 100000" ]] || say "cpu.max of $name is $(cat "$found/cpu.max")"
        [[ $(cat "$found/pids.max") == 4 ]] || say "pids.max of $name is $(cat "$found/pids.max")"
    done
}

a_plugin_has_a_user_of_its_own_and_what_it_was_granted() {
    local pid uids=() name
    for name in inventory integrity; do
        pid=$(plugin "$name" .pid)
        uids+=("$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$pid/status")")
        grep -qE '^NoNewPrivs:[[:space:]]1$' "/proc/$pid/status" || say "$name may get privileges"
        grep -qE '^Seccomp:[[:space:]]2$' "/proc/$pid/status" || say "$name has no system call filter"
    done
    awk '{ exit !($1 > 1880000000 && $1 == $2 && $1 == $3 && $1 == $4) }' <<<"${uids[0]}" || say "users of inventory: ${uids[0]}"
    [[ ${uids[0]} != "${uids[1]}" ]] || say "both have the user ${uids[0]}"
    grep -qE '^CapEff:[[:space:]]0+$' "/proc/$(plugin inventory .pid)/status" || say "inventory has capabilities"
}

status_tells_what_confines_a_plugin() {
    local layer shown
    shown=$(plugin inventory '.sandbox | join("; ")')
    for layer in "own cgroup" "uid 188" landlock no_new_privs "system call filter" "capabilities: none"; do
        [[ $shown == *"$layer"* ]] || say "$layer is not in: $shown"
    done
    [[ $(plugin inventory '.problems | length') == 0 && $(plugin integrity '.problems | length') == 0 ]] ||
        say "problems: $(plugin inventory .problems) $(plugin integrity .problems)"
    linnet-agent status | grep -q 'confined by .*landlock' || say "$(linnet-agent status | grep -A 5 '^plugin')"
}

package_is_told() {
    jq -e -n --arg name "$1" 'first(inputs | select(.package.name == $name))' "$events" >/dev/null 2>&1
}

inventory_tells_what_rpm_has_installed() {
    within 120 package_is_told linnet-probe || say "not told: $(plugin inventory '{state, reason, losses}')"
    jq -e -n 'first(inputs | select(.package.name == "linnet-probe")) | .package | .epoch == 4 and .release == "3" and
        .package_manager == "rpm" and .purl == "pkg:rpm/linnet-probe@1.2-3?arch=noarch&epoch=4"' "$events" >/dev/null ||
        say "$(grep linnet-probe "$events" | head -n 1)"
}

# How many processes run a plugin's program; the kernel keeps 15 letters of a name.
processes_of() { cat /proc/[0-9]*/comm 2>/dev/null | grep -cx "$(cut -c -15 <<<"linnet-$1")"; }

only_one_of_each_plugin() { [[ $(processes_of inventory) == 1 && $(processes_of integrity) == 1 ]]; }

a_second_agent_is_refused() {
    local rc=0
    timeout 20 linnet-agent run --stdout >/dev/null 2>&1 || rc=$?
    ((rc != 0)) || say "it ran and ended well"
    ((rc != 124)) || say "it ran on"
    [[ $(property ActiveState) == active ]] || say "the first one is $(property ActiveState) now"
}

the_watchdog_is_fed() {
    local limit_us before
    limit_us=$(property WatchdogUSec)
    [[ -n $limit_us && $limit_us != 0 && $limit_us != infinity ]] || say "WatchdogSec is '$limit_us'"
    before=$(property WatchdogTimestampMonotonic)
    within 60 watchdog_was_fed_since "$before" || say "no sign of life in 60 s"
}

a_killed_agent_is_restarted_and_works() {
    local old
    old=$(main_pid)
    kill -9 "$old"
    within 60 replaced "$old" || say "state $(property ActiveState), pid $(main_pid) after 60 s"
    command_is_seen restart || say "nothing is seen after the restart"
    limit_is_set memory.max
    plugins_run
    within 10 only_one_of_each_plugin || say "$(processes_of inventory) of inventory, $(processes_of integrity) of integrity"
}

# systemd reads the limit of a running service at its start, so the shorter one needs a restart.
a_hung_agent_is_restarted() {
    local old
    # Half of the unit's own, to be done sooner; much less is what a busy emulated machine takes for a start.
    mkdir -p "/run/systemd/system/$unit.d"
    printf '[Service]\nWatchdogSec=30\nTimeoutAbortSec=2\n' >"/run/systemd/system/$unit.d/watchdog.conf"
    systemctl daemon-reload
    systemctl restart "$unit" || say "restart with a shorter limit: $(property Result)"
    old=$(main_pid)
    kill -STOP "$old"
    within 180 replaced "$old" || say "state $(property ActiveState), pid $(main_pid) after 180 s"
    command_is_seen hung || say "nothing is seen after the restart"
    rm "/run/systemd/system/$unit.d/watchdog.conf"
    systemctl daemon-reload
    systemctl restart "$unit" || say "restart with the limit of the unit: $(property Result)"
    command_is_seen restored || say "nothing is seen after the restart with the limit of the unit"
}

# What waits for the sink `journal`, and what of it was given up.
sink() { jq -r ".network_sinks[0].events | [.[] | $1] | add // 0" "$health"; }

# Whether the journal has what was run under each of these names. That nothing waits cannot be waited for: each look is
# a command, and so an event.
in_the_journal() {
    local where
    journalctl --output=cat >/run/linnet-arrived
    for where; do
        grep -q -- "linnet-marker-$where-" /run/linnet-arrived || say "$where did not arrive" || return 1
    done
}

agent_is_well() { linnet-agent status >/dev/null 2>&1; }

# In seconds since the epoch, whatever the clock was set to: from what it was when the check began.
true_time() { echo $((true_at_begin + $(uptime_s) - uptime_at_begin)); }

# A month ahead, a month behind with a restart there, and back: a sink that is away for all of that has everything afterwards.
the_clock_steps_both_ways_and_nothing_is_lost() {
    local socket=/run/linnet-test.sock month=$((30 * 86400)) names true_at_begin uptime_at_begin
    true_at_begin=$(date +%s) uptime_at_begin=$(uptime_s)
    cp /etc/linnet/linnet.json /run/linnet-before.json
    jq --arg url "unix:$socket" '.spool.max_age_s = 3600 |
        .sinks.journal = {kind: "syslog", url: $url, retry_max_s: 1, events: ["exec", "script"]}' \
        /run/linnet-before.json >/etc/linnet/linnet.json
    systemctl restart "$unit" || say "restart with a sink: $(property Result)"
    command_is_seen here || say "nothing is seen with a sink"
    date --set "@$(($(true_time) + month))" >/dev/null
    command_is_seen ahead || say "nothing is seen a month ahead"
    within 30 agent_is_well || say "a month ahead: $(linnet-agent status)"
    date --set "@$(($(true_time) - month))" >/dev/null
    command_is_seen behind || say "nothing is seen a month behind"
    within 30 agent_is_well || say "a month behind: $(linnet-agent status)"
    systemctl restart "$unit" || say "restart a month behind: $(property Result)"
    command_is_seen behind-restarted || say "nothing is seen after a restart a month behind"
    date --set "@$(true_time)" >/dev/null
    command_is_seen back || say "nothing is seen when the clock is right again"
    (($(sink .waiting) > 4)) || say "only $(sink .waiting) events wait: $(jq -c .network_sinks "$health")"
    ln -s /run/systemd/journal/dev-log "$socket"
    names=(here ahead behind behind-restarted back)
    within 60 in_the_journal "${names[@]}" >/dev/null ||
        say "$(in_the_journal "${names[@]}"): $(jq -c .network_sinks "$health")"
    [[ $(sink '.dropped | add // 0') == 0 ]] || say "given up: $(jq -c .network_sinks "$health")"
    rm "$socket" /run/linnet-arrived
    cp /run/linnet-before.json /etc/linnet/linnet.json
    systemctl restart "$unit" || say "restart without the sink: $(property Result)"
}

stop_is_clean_before_systemd_kills() {
    local group
    group=/sys/fs/cgroup$(property ControlGroup)
    systemctl stop "$unit" || say "systemctl stop: $?"
    # After TimeoutStopSec the result would be `timeout`.
    [[ $(property Result) == success && $(property ExecMainStatus) == 0 ]] ||
        say "result $(property Result), code $(property ExecMainStatus)"
    [[ ! -d $group ]] || say "$group is still there"
}

the_last_event_is_the_stop() {
    tail -n 1 "$events" | jq -e '.class_uid == 6002 and .activity_id == 4' >/dev/null ||
        say "$(tail -n 1 "$events" | cut -c -200)"
}

status_of_a_stopped_agent_is_not_0() {
    if linnet-agent status >/dev/null 2>&1; then
        say "it is 0"
    fi
}

passed=0 failed=0 failures=()
for check in service_becomes_active agent_is_in_the_delegated_cgroup agent_sees_the_mounts_of_the_host limits_are_set \
    status_exits_0 \
    status_reports_the_limits_in_force health_document_is_of_the_running_agent a_command_is_in_the_output \
    every_line_of_the_output_is_json the_first_event_is_the_start a_second_agent_is_refused \
    plugins_run a_plugin_is_in_its_own_cgroup_beside_the_agent_in_the_delegated_unit \
    a_plugin_has_a_user_of_its_own_and_what_it_was_granted status_tells_what_confines_a_plugin \
    inventory_tells_what_rpm_has_installed the_watchdog_is_fed \
    a_killed_agent_is_restarted_and_works a_hung_agent_is_restarted the_clock_steps_both_ways_and_nothing_is_lost \
    stop_is_clean_before_systemd_kills the_last_event_is_the_stop status_of_a_stopped_agent_is_not_0; do
    # A shell of its own with -e, so that a check ends at the first thing that is wrong.
    why=$(
        set -e
        "$check" 2>&1
    )
    # shellcheck disable=SC2181  # as a condition, the check would run without -e
    if (($? == 0)); then
        echo "ok $check"
        passed=$((passed + 1))
    else
        failures+=("FAILED $check: ${why:-no reason given}")
        echo "${failures[-1]}"
        failed=$((failed + 1))
    fi
done
if ((failed > 0)); then
    echo "the service's journal:"
    journalctl --unit="$unit" --output=cat --no-pager --lines=60 | cut -c -300
    printf '%s\n' "${failures[@]}"
fi
echo "$passed passed, $failed failed"
((failed == 0))
