# What the scripts in tests/hosts share: each reads this file first.

# Whether something was not as it must be.
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}

# until_true SECONDS COMMAND…: waits until the command succeeds, for at most so many seconds, of which an
# emulated host needs many.
until_true() {
    local seconds=$1 end
    shift
    end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}
