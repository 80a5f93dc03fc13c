#!/usr/bin/env bash
# Prints the key of what a runner may keep from run to run. A saved guest runs only on the kind of
# CPU that it was saved on, and GitHub's runners have CPUs of two vendors.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

vendor=$(sed -n 's/^vendor_id[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
# shellcheck source=/dev/null
system=$(. /etc/os-release && echo "$ID-${VERSION_ID:-rolling}")
sources=$(cd "$root" && find src images xtask Cargo.toml Cargo.lock -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)

family="lanfence-$system-${vendor:-unknown}"
echo "key=$family-$sources"
echo "restore-key=$family-"
