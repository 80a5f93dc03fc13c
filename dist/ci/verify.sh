#!/usr/bin/env bash
# Runs `lanfence verify` and leaves every report in a directory; exits as lanfence did.
# Environment: LANFENCE_PROGRAM (default: lanfence in PATH), POLICY, FILTER, BASELINE, ACCEL and
# ARGUMENTS (one argument a line), all of which may be empty.
# The page for a browser is called NAME.html (default: lanfence.html).
# Usage: verify.sh DIRECTORY
set -euo pipefail
reports=$1
page=$reports/${NAME:-lanfence}.html
lanfence=${LANFENCE_PROGRAM:-lanfence}

mkdir -p "$reports"
# What an earlier run left here must not be taken for this one's.
rm -rf "$reports"/{run.json,junit.xml,findings.sarif,evidence,doctor.json} "$page"

binding=()
[ -z "${POLICY:-}" ] || binding+=(--policy "$POLICY")
arguments=("${binding[@]}")
[ -z "${FILTER:-}" ] || arguments+=("$FILTER")
[ -z "${BASELINE:-}" ] || arguments+=(--baseline "$BASELINE")
[ -z "${ACCEL:-}" ] || arguments+=(--accel "$ACCEL")
while IFS= read -r argument; do
    [ -z "$argument" ] || arguments+=("$argument")
done <<<"${ARGUMENTS:-}"

doctor=()
[ "${ACCEL:-}" != kvm ] || doctor+=(--accel kvm)
if ! "$lanfence" doctor "${doctor[@]}" --json "$reports/doctor.json"; then
    echo "error: lanfence's lab cannot run on this runner; what doctor printed above says why" >&2
    exit 3
fi

sarif=$reports/findings.sarif
code=0
"$lanfence" verify "${arguments[@]}" \
    --json "$reports/run.json" --junit "$reports/junit.xml" --html "$page" --sarif "$sarif" \
    --out "$reports/evidence" || code=$?
if [ ! -s "$sarif" ]; then
    # No cell was run. What is wrong with the text of the filter still has its line; where even that
    # cannot be said, there is no file, since one without results would say that all is well.
    "$lanfence" check "${binding[@]}" ${FILTER:+"$FILTER"} --format sarif >"$sarif" || true
    [ -s "$sarif" ] || rm -f "$sarif"
fi
exit "$code"
