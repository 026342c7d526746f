#!/bin/sh
# Installs Linnet on this host, from the channel of its fleet.
#
#   curl -fsS https://updates.example.org/linnet/install.sh | sh -s -- --tag web
#   sh install.sh --channel URL --root-sha256 HEX --updater-sha256 HEX [--tag TAG]... [--ca-file FILE] [--proxy URL]
#
# `packaging/publish-installer` puts this file into the channel with the first three values filled in. It fetches one
# program, the updater, and checks its digest; the updater verifies all the rest from the root of trust, whose digest it
# checks, too. A pipe from curl trusts whoever serves this file; to trust nobody, compare this file's digest first.
# A host that is installed already keeps what it has.
set -eu

# Filled in by publish-installer.
channel=''
root_sha256=''
updater_sha256_x86_64=''

say() { echo "linnet: $*" >&2; }

die() {
    say "$*"
    exit 1
}

usage() {
    say "$*"
    say "usage: install.sh [--channel URL] [--root-sha256 HEX] [--updater-sha256 HEX] [--tag TAG]... [--ca-file FILE] [--proxy URL]"
    exit 2
}

fetch() {
    if command -v curl >/dev/null; then
        set -- -fsS --retry 3 --proto '=https,http,file' -o "$2" "$1"
        [ -z "$ca_file" ] || set -- --cacert "$ca_file" "$@"
        [ -z "$proxy" ] || set -- --proxy "$proxy" "$@"
        curl "$@"
    elif command -v wget >/dev/null; then
        set -- -q -O "$2" "$1"
        [ -z "$ca_file" ] || set -- --ca-certificate="$ca_file" "$@"
        if [ -n "$proxy" ]; then https_proxy=$proxy http_proxy=$proxy wget "$@"; else wget "$@"; fi
    else
        die "neither curl nor wget is here"
    fi
}

# A directory in which programs may be executed; /tmp is often mounted without that.
workplace() {
    for place in "${TMPDIR:-/tmp}" /var/tmp /run /opt; do
        work=$(mktemp -d "$place/linnet-install.XXXXXX" 2>/dev/null) || continue
        printf '#!/bin/sh\nexit 0\n' >"$work/try"
        chmod 0755 "$work/try"
        if "$work/try" 2>/dev/null; then return 0; fi
        rm -rf "$work"
    done
    die "no directory was found in which a program may be executed: give one in TMPDIR"
}

# In a function, so that a download that breaks off runs nothing.
main() {
    tags='' ca_file='' proxy='' updater_sha256=''
    while [ $# -gt 0 ]; do
        case $1 in
        --channel | --root-sha256 | --updater-sha256 | --tag | --ca-file | --proxy)
            [ $# -ge 2 ] || usage "$1 wants a value"
            case $1 in
            --channel) channel=$2 ;;
            --root-sha256) root_sha256=$2 ;;
            --updater-sha256) updater_sha256=$2 ;;
            --tag) tags="$tags $2" ;;
            --ca-file) ca_file=$2 ;;
            --proxy) proxy=$2 ;;
            esac
            shift 2
            ;;
        *) usage "unknown argument $1" ;;
        esac
    done
    [ "$(id -u)" = 0 ] || die "run this as root"
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) arch=x86_64 ;;
    *) die "there is no release for $(uname -s) on $(uname -m)" ;;
    esac
    [ -n "$updater_sha256" ] || updater_sha256=$updater_sha256_x86_64
    [ -n "$channel" ] || usage "--channel is missing"
    [ -n "$root_sha256" ] || usage "--root-sha256 is missing: the digest of the channel's 1.root.json"
    [ -n "$updater_sha256" ] || usage "--updater-sha256 is missing: the digest of $channel/install/linnet-updater-$arch"
    channel=${channel%/}
    umask 022

    workplace
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    fetch "$channel/install/linnet-updater-$arch" "$work/linnet-updater" || die "fetching the updater did not work"
    found=$(sha256sum "$work/linnet-updater" | cut -d ' ' -f 1)
    [ "$found" = "$updater_sha256" ] || die "the updater that came has the digest $found, and not $updater_sha256: nothing was run"
    chmod 0755 "$work/linnet-updater"

    set -- --url "$channel" --root-sha256 "$root_sha256"
    for tag in $tags; do set -- "$@" --tag "$tag"; done
    [ -z "$ca_file" ] || set -- "$@" --ca-file "$ca_file"
    [ -z "$proxy" ] || set -- "$@" --proxy "$proxy"
    "$work/linnet-updater" enrol "$@"
    "$work/linnet-updater" install --only-newer
}

main "$@"
