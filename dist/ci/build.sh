#!/usr/bin/env bash
# Installs what lanfence runs on, and builds it and its guest where they were not kept from an
# earlier run. Prints NAME=VALUE lines: LANFENCE_PROGRAM, LANFENCE_GUEST, LANFENCE_SHIPPED_FILTERS.
# Usage: build.sh DIRECTORY, where the programs are kept. A program that LANFENCE_PROGRAM names
# already is taken as it is, with whatever guest LANFENCE_GUEST names.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
kept=$1

if [ -n "${LANFENCE_PROGRAM:-}" ]; then
    echo "LANFENCE_PROGRAM=$LANFENCE_PROGRAM"
    [ -z "${LANFENCE_GUEST:-}" ] || echo "LANFENCE_GUEST=$LANFENCE_GUEST"
    exit 0
fi

cd "$root"
if ! { [ -x "$kept/lanfence" ] && [ -x "$kept/xtask" ] && [ -d "$(cat "$kept/guest" 2>/dev/null)" ]; }; then
    cargo xtask setup >&2
    cargo build --release --package lanfence --package xtask >&2
    # Those of earlier sources come along where a cache was restored by its family.
    rm -rf "$(dirname "$kept")"
    mkdir -p "$kept"
    # The last of the three to be written says that all are there.
    install target/release/lanfence target/release/xtask "$kept/"
    cargo xtask image >"$kept/guest"
fi
"$kept/xtask" setup >&2
echo "LANFENCE_PROGRAM=$kept/lanfence"
echo "LANFENCE_GUEST=$(cat "$kept/guest")"
echo "LANFENCE_SHIPPED_FILTERS=$("$kept/xtask" filters)"
