#!/usr/bin/env bash
# Lets an ordinary user of a throwaway runner run lanfence's lab: opens the devices of virtual
# machines, and where AppArmor restricts user namespaces gives lanfence a profile of its own.
# Usage: open-host.sh PROGRAM, the path that lanfence has or will have.
set -euo pipefail
program=$1

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# A rule of udev is applied some time later, and not at all where udev does not run.
for device in /dev/kvm /dev/vhost-net /dev/net/tun; do
    if [ -e "$device" ] && ! { [ -r "$device" ] && [ -w "$device" ]; }; then
        echo "opening $device"
        as_root chmod 0666 "$device"
    fi
done

restricted=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
if [ "$(id -u)" != 0 ] && [ "$(cat "$restricted" 2>/dev/null || echo 0)" = 1 ]; then
    echo "giving $program an AppArmor profile with user namespaces"
    profile=/etc/apparmor.d/lanfence
    printf 'abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile lanfence "%s" flags=(unconfined) {\n  userns,\n}\n' \
        "$program" | as_root tee "$profile" >/dev/null
    as_root apparmor_parser --replace "$profile"
fi

# Ids for the user namespace (subuid(5)); runners have them, images of containers often not.
if [ "$(id -u)" != 0 ]; then
    user=$(id -un)
    for it in "uid /etc/subuid" "gid /etc/subgid"; do
        read -r kind file <<<"$it"
        if ! grep -q "^$user:" "$file" 2>/dev/null; then
            echo "giving $user subordinate ids in $file"
            as_root usermod "--add-sub${kind}s" 100000-165535 "$user"
        fi
    done
fi
