#!/bin/bash
# The package under the host's own systemd: installed, its units started, every way to lose a
# filter tried while lanfence-watch runs, the package purged. Prints a line of a table for each way:
# milliseconds from the kernel's notification to the closed tap, and seconds until it was mended.
# Run it in a throwaway host only: it flushes the ruleset and restarts libvirtd.
# A package in target/debian is installed; without one its files are put where it would put them.
set -u
. "$(dirname "$0")/../common/host.sh"

journal() { journalctl -q -o cat -u lanfence-watch --after-cursor "$cursor" 2>/dev/null; }
# A line of the unit itself: systemd 252 leaves out the first line of a unit that follows another's.
mark() {
    cursor=$(journalctl -q -u lanfence-watch -n 1 --show-cursor -o cat | sed -n 's/^-- cursor: //p')
    [ -n "$cursor" ] || cursor=$(journalctl -q -n 1 --show-cursor -o cat | sed -n 's/^-- cursor: //p')
}

fenced() { lanfence audit --policy /etc/lanfence/lanfence.toml web; }
fell() { journal | grep -Eq "fell|not-fenced|changed"; }
opened() { [ -z "$(nft list table bridge lanfence 2>/dev/null | grep '"vnet')" ]; }
# The watcher has proven it, which it has to have before it can notice a loss.
proven() { systemctl show -P StatusText lanfence-watch | grep -Eq '^([1-9][0-9]*) of \1 interfaces are fenced$'; }
well() { proven && opened && fenced; }

# lose NAME COMMAND…: the watcher has to find it by itself and mend it.
lose() {
    local what=$1 started closed
    shift
    mark
    started=$SECONDS
    "$@" >/tmp/lose.out 2>&1 || { fail "$what: $* ended with $?"; cat /tmp/lose.out; }
    if until_true 120 fell && until_true 180 well; then
        closed=$(journal | sed -n 's/.* closed after \([0-9]*\) ms.*/\1/p' | head -1)
        echo "| $what | ${closed:--} | $((SECONDS - started)) |"
        # What is not said above: why, and what passed meanwhile.
        journal | grep -E "^(alert|warning) " | cut -c 1-300
    else
        fail "$what: not mended"
        journal
        lanfence audit web
    fi
}

systemctl start libvirtd
# A package that is older than what it is made of would be another program.
deb=$(compgen -G "target/debian/lanfence_*.deb" | head -1)
if [ -n "$deb" ] && [ -n "$(find src dist Cargo.lock -newer "$deb" -print -quit)" ]; then
    echo "$deb is older than its sources: it is not installed (cargo xtask package makes a new one)"
    deb=
fi
if [ -n "$deb" ]; then
    dpkg -i "$deb" || { echo "FAILED: the package cannot be installed"; exit 1; }
    package=1
else
    echo "there is no package of today: the program and the units are put where it would put them"
    install "$(command -v lanfence)" /usr/bin/lanfence
    install -m 644 dist/systemd/* /etc/systemd/system/
    mkdir -p /etc/lanfence
    systemctl daemon-reload
    package=0
fi
hash -r
[ "$(command -v lanfence)" = /usr/bin/lanfence ] || PATH=/usr/bin:$PATH

ip link add br0 type bridge
ip addr add 192.168.1.9/24 dev br0
ip link set br0 up
cat >/tmp/web.xml <<'X'
<domain type='kvm'><name>web</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='pcnet'/></interface>
<memballoon model='none'/></devices></domain>
X
virsh -q define /tmp/web.xml && virsh -q start web || exit 1
virsh dumpxml --inactive web >/tmp/config.before

cd /etc/lanfence || exit 1
lanfence init --domain web || fail "init"
sed -i 's/^# bridges = /bridges = /' lanfence.toml
grep -qx 'bridges = \["br0"\]' lanfence.toml || fail "init names no bridge to fence"
lanfence apply web || fail "apply"
mark
systemctl enable --now lanfence-watch.service lanfence-audit.timer || fail "the units do not start"
until_true 120 systemctl is-active lanfence-watch || fail "lanfence-watch is not active"
until_true 180 well || fail "not fenced at first"

echo "| way to lose it | closed after, ms | mended after, s |"
echo "|---|---|---|"
lose "nft flush ruleset" nft flush ruleset
if ebtables-save 2>/dev/null | grep -q libvirt-I-vnet0; then
    lose "ebtables -t nat -F" ebtables -t nat -F
    lose "a jump deleted" ebtables -t nat -D PREROUTING -i vnet0 -j libvirt-I-vnet0
    lose "an ACCEPT in front" ebtables -t nat -I PREROUTING -i vnet0 -j ACCEPT
    lose "a rule deleted" ebtables -t nat -D libvirt-I-vnet0 -j DROP
else
    base=libvirt_nwfilter_ethernet
    lose "an element deleted" nft delete element bridge $base vmap-iif '{ "vnet0" }'
    lose "a chain flushed" nft flush chain bridge $base vnet0-out
fi
lose "binding deleted" virsh -q nwfilter-binding-delete vnet0
lose "update-device without it" virsh -q update-device web --live <(
    echo "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='pcnet'/></interface>"
)
virsh nwfilter-dumpxml lan-only |
    sed '/<rule action=.drop. direction=.out. priority=.[0-9]*.\/>/d' >/tmp/weak.xml
lose "filter's content changed" virsh -q nwfilter-define /tmp/weak.xml
lose "systemctl restart nftables" systemctl restart nftables
cat >/tmp/second.xml <<'X'
<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><model type='pcnet'/></interface>
X
lose "a NIC plugged in without it" virsh -q attach-device web /tmp/second.xml --live
# A guest that answers nothing gives a NIC back at its reset.
recreate() {
    virsh -q detach-interface web bridge --mac 52:54:00:00:00:01 --live
    virsh -q reset web
    until_true 60 sh -c "! virsh -q domiflist web | grep -q 00:00:01" || return 1
    virsh -q attach-interface web bridge br0 --model pcnet --mac 52:54:00:00:00:0a --live
}
lose "detached and attached again" recreate

mark
systemctl restart libvirtd
until_true 60 well || fail "not fenced after libvirtd's restart"
systemctl kill -s KILL lanfence-watch
until_true 60 systemctl is-active lanfence-watch || fail "systemd did not start it again"
lose "flushed after kill -9 and a new start" nft flush ruleset

# What it costs while nothing happens.
before=$(systemctl show -P CPUUsageNSec lanfence-watch)
sleep 30
after=$(systemctl show -P CPUUsageNSec lanfence-watch)
echo "idle: $(((after - before) / 30000)) µs of CPU a second"
systemctl reload lanfence-watch || fail "reload"
until_true 30 sh -c "journalctl -q -o cat -u lanfence-watch | grep -q 'was read again'" || fail "reload said nothing"
systemctl start lanfence-audit.service
[ "$(systemctl show -P Result lanfence-audit.service)" = success ] || fail "the audit unit: $(systemctl status --no-pager lanfence-audit.service)"
systemctl stop lanfence-watch
until_true 30 fenced || fail "not fenced after the watcher's end"

virsh -q destroy web
until_true 30 sh -c "! virsh -q domstate web | grep -q running"
cd /tmp || exit 1
lanfence remove --policy /etc/lanfence/lanfence.toml web || fail "remove"
cmp -s /tmp/config.before <(virsh dumpxml --inactive web) || fail "remove left something in the definition"
if [ "$package" = 1 ]; then
    dpkg -P lanfence || fail "purge"
    for left in /usr/bin/lanfence /var/lib/lanfence /lib/systemd/system/lanfence-watch.service \
        /usr/lib/systemd/system/lanfence-watch.service /etc/libvirt/hooks/qemu.d/lanfence; do
        [ ! -e "$left" ] || fail "the purged package left $left"
    done
fi

[ "$failed" = 0 ] && echo "watch and its units are as they must be"
exit "$failed"
