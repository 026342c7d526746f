# shellcheck shell=bash
# How a story is told: prose, commands with what they really answer, and checks that nobody reads. Sourced.
#
# `tell` writes prose, `show` runs a command and writes it with its answer, `hold` checks something and writes nothing.
# The first thing that is not as the story says ends it. The tale goes to the file $tale.

: "${tale:?}"
block=no

close_block() {
    if [[ $block == yes ]]; then printf '```\n' >>"$tale"; fi
    block=no
}

# Prose, from standard input.
tell() {
    close_block
    printf '\n' >>"$tale"
    cat >>"$tale"
}

open_block() {
    if [[ $block == no ]]; then printf '\n```console\n' >>"$tale"; fi
    block=yes
}

# `show COMMAND [CODE]`: the command has to end with CODE (0). What it says is left in $said.
show() {
    local code=0 wanted=${2:-0}
    open_block
    said=$(eval "$1" 2>&1) || code=$?
    printf '%s %s\n' "$prompt" "$1" >>"$tale"
    [[ -z $said ]] || printf '%s\n' "$said" >>"$tale"
    if ((code != wanted)); then
        echo "FAILED: '$1' ended with $code in place of $wanted: $said"
        exit 1
    fi
    echo "ok $1 ($SECONDS s)"
}

# `hold SECONDS WHAT COMMAND…`: the command succeeds within so many seconds.
hold() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= end)); then
            echo "FAILED: $what"
            exit 1
        fi
        sleep 0.5
    done
    echo "ok $what ($SECONDS s)"
}
