#!/bin/bash
# The verbs for hosts on a whole host: its own systemd, libvirtd, rules and a guest under KVM.
# Each way to lose a filter must be found by `audit` with its reason and mended by `repair`.
# Run it in a throwaway host only: it flushes the ruleset and restarts libvirtd.
set -u
. "$(dirname "$0")/../common/host.sh"

# audit must say this state and, where one is given, this reason.
expect() {
    local what=$1 state=$2 reason=${3:-}
    lanfence audit --format json > /tmp/audit.json 2> /tmp/audit.err
    local found
    found=$(sed -n 's/^      "state": "\(.*\)"$/\1/p' /tmp/audit.json | head -1)
    if [ "$found" = "$state" ]; then
        [ -z "$reason" ] || grep -q "\"kind\": \"$reason\"" /tmp/audit.json && return
        fail "$what: no $reason"
    else
        fail "$what: $found, not $state"
    fi
    cat /tmp/audit.json /tmp/audit.err
}

# repair must mend it, with exit code 0.
mend() {
    local started ended
    started=$(date +%s%N)
    lanfence repair > /tmp/repair.out 2>&1 || { fail "$1: repair ended with $?"; cat /tmp/repair.out; }
    ended=$(date +%s%N)
    echo "$1: mended in $(((ended - started) / 1000000)) ms"
    expect "$1, repaired" fenced
}

lose() {
    local what=$1 state=$2 reason=$3
    shift 3
    "$@" > /tmp/lose.out 2>&1 || { fail "$what: $* ended with $?"; cat /tmp/lose.out; }
    expect "$what" "$state" "$reason"
    mend "$what"
}

# Something that lanfence does not take away by itself: audit must find it, and must find it gone
# after the command that undoes it.
past() {
    local what=$1 undo=$2
    shift 2
    "$@" > /tmp/lose.out 2>&1 || { fail "$what: $* ended with $?"; cat /tmp/lose.out; }
    expect "$what" open bypass
    bash -ec "$undo" || fail "$what: it cannot be undone"
    expect "$what, undone" fenced
    echo "$what: found"
}

systemctl start libvirtd
ip link add br0 type bridge
ip addr add 192.168.1.9/24 dev br0
ip link set br0 up
cat > /tmp/web.xml <<'X'
<domain type='kvm'><name>web</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='pcnet'/></interface>
<memballoon model='none'/></devices></domain>
X
virsh define /tmp/web.xml && virsh start web || exit 1
virsh dumpxml web > /tmp/live.before
virsh dumpxml --inactive web > /tmp/config.before

top=$PWD
cd /tmp || exit 1
lanfence init --bridge br0 || fail "init"
grep -q '"192.168.1.0/24"' lanfence.toml || fail "init did not find the prefix"
lanfence init --bridge br0 2> /dev/null && fail "init overwrote its file"
expect "before apply" open no-filter
lanfence apply --dry-run web || fail "dry run"
cmp -s /tmp/config.before <(virsh dumpxml --inactive web) || fail "the dry run changed something"
lanfence apply web || fail "apply"
expect "applied" fenced
lanfence apply web | grep -q "nothing was changed" || fail "a second apply changed something"

# The same filter is proven in place, and with a guest of the lab that has this guest's NIC.
lanfence audit --prove web > /tmp/prove.out || { fail "audit --prove"; cat /tmp/prove.out; }
grep -q "proven" /tmp/prove.out || { fail "nothing was proven in place"; cat /tmp/prove.out; }
backend=()
grep -qs '^firewall_backend *= *"nftables"' /etc/libvirt/nwfilter.conf && backend=(--backend nftables)
lanfence verify --domain web "${backend[@]}" --accel kvm > /tmp/verify.out 2>&1 || {
    fail "verify --domain ended with $?"
    tail -40 /tmp/verify.out
}

lose "nft flush ruleset" open rules-missing nft flush ruleset
lose "systemctl restart nftables" open rules-missing systemctl restart nftables
if ebtables-save | grep -q libvirt-I-vnet0; then
    lose "ebtables -t nat -F" open rules-missing ebtables -t nat -F
    lose "a jump deleted" open rules-unhooked ebtables -t nat -D PREROUTING -i vnet0 -j libvirt-I-vnet0
    lose "an ACCEPT in front" open bypass ebtables -t nat -I PREROUTING -i vnet0 -j ACCEPT
    lose "a rule deleted" open rules-differ ebtables -t nat -D libvirt-I-vnet0 -j DROP
    lose "an ACCEPT in its chain" open rules-differ ebtables -t nat -I libvirt-I-vnet0 -j ACCEPT
    lose "nft delete table" open rules-missing nft delete table bridge nat
    printf '*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n' > /tmp/empty.rules
    lose "ebtables-restore of none" open rules-missing sh -c "ebtables-restore < /tmp/empty.rules"
    nft list ruleset > /tmp/saved.nft
    # nft 1.0.6 cannot read what it has printed of some rules of ebtables.
    if nft --check -f /tmp/saved.nft 2> /dev/null; then
        lose "a saved ruleset loaded on top" open rules-differ nft -f /tmp/saved.nft
    fi
    past "a dormant table" "nft add table bridge nat" nft 'add table bridge nat { flags dormant; }'
else
    base=libvirt_nwfilter_ethernet
    lose "an element deleted" open rules-unhooked nft delete element bridge $base vmap-iif '{ "vnet0" }'
    lose "a chain flushed" open rules-differ nft flush chain bridge $base vnet0-out
    # The empty table of layer 3 is still there.
    lose "nft delete table" open rules-unhooked nft delete table bridge $base
    past "an accept before the lookup" \
        "nft delete rule bridge $base prerouting handle \$(nft -a list chain bridge $base prerouting | sed -n 's/.*accept # handle //p' | head -1)" \
        nft insert rule bridge $base prerouting iifname vnet0 accept
    past "a dormant table" "nft add table bridge $base" nft "add table bridge $base { flags dormant; }"
fi
past "tc sends frames elsewhere" "tc qdisc del dev vnet0 ingress" sh -c \
    "tc qdisc add dev vnet0 ingress && tc filter add dev vnet0 ingress matchall action mirred egress redirect dev br0"
past "nft sends frames elsewhere" "nft delete table netdev x" nft \
    'table netdev x { chain y { type filter hook ingress device "vnet0" priority 0; fwd to "br0"; }; }'
past "a flow table" "nft delete table ip x" nft \
    'table ip x { flowtable f { hook ingress priority 0; devices = { vnet0 }; }; }'
lose "the filter's file removed" drifted filter-file rm /etc/libvirt/nwfilter/lan-only.xml
ip link add br9 type bridge
lose "tap in another bridge" drifted other-bridge ip link set vnet0 master br9
ip link del br9
lose "binding deleted" open no-binding virsh nwfilter-binding-delete vnet0
# Before Linux 6.2 a device that is up keeps its name.
if ip link set vnet0 name odd0 2> /dev/null; then
    lose "tap renamed" open no-device true
fi
lose "tap out of its bridge" open no-bridge ip link set vnet0 nomaster
lose "defined anew without it" drifted no-filter virsh define /tmp/config.before
lose "update-device without it" open no-filter virsh update-device web --live <(
    echo "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='pcnet'/></interface>"
)
virsh nwfilter-dumpxml lan-only | sed '/<rule action=.drop. direction=.out. priority=.[0-9]*.\/>/d' > /tmp/weak.xml
lose "filter's content changed" open filter-differs virsh nwfilter-define /tmp/weak.xml

# Detached and attached again, as a guest answers at its reset: a new MAC, and no filterref anywhere.
recreate() {
    virsh -q detach-interface web bridge --mac 52:54:00:00:00:01 --live --config
    virsh -q reset web
    until_true 60 sh -c "! virsh -q domiflist web | grep -q 00:00:01" || return 1
    virsh -q attach-interface web bridge br0 --model pcnet --mac 52:54:00:00:00:0a --live --config
}
# The definition that the guest had before it was fenced, for good.
anew() {
    virsh -q destroy web
    virsh -q define /tmp/config.before
    virsh -q start web
}
lose "detached and attached again" open recreated recreate
lose "defined anew without it, and started" open stripped anew

systemctl restart libvirtd
expect "libvirtd restarted" fenced
systemctl reload libvirtd
expect "libvirtd reloaded" fenced
virsh reset web > /dev/null
expect "guest reset" fenced

virsh destroy web > /dev/null
expect "guest off" fenced
virsh start web > /dev/null
expect "guest started" fenced

lanfence remove web || fail "remove"
cmp -s /tmp/config.before <(virsh dumpxml --inactive web) || {
    fail "remove left something in the definition"
    diff /tmp/config.before <(virsh dumpxml --inactive web)
}
virsh nwfilter-dumpxml lan-only > /dev/null 2>&1 && fail "remove left the filter"

# A guest that was saved without the filter goes on without it.
virsh managedsave web > /dev/null
lanfence apply web > /tmp/apply.out || fail "apply to a saved guest"
grep -q "saved" /tmp/apply.out || fail "apply does not tell of the saved image"
expect "saved without it" open no-filter
mend "saved without it"
virsh start web > /dev/null
expect "restored" fenced

# An image that is restored with another definition runs by that one.
virsh save web /tmp/web.image > /dev/null
sed '/<filterref/d' <(virsh save-image-dumpxml /tmp/web.image) > /tmp/without.xml
virsh restore /tmp/web.image --xml /tmp/without.xml > /dev/null || fail "restore"
expect "restored without it" open no-filter
mend "restored without it"

# A second NIC, plugged in without the filter.
echo "<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><model type='pcnet'/></interface>" > /tmp/second.xml
virsh attach-device web /tmp/second.xml --config > /dev/null || fail "a second NIC"
lanfence audit web > /tmp/second.out && fail "a second NIC without the filter is called fenced"
grep -q "52:54:00:00:00:02.*open\|52:54:00:00:00:02.*drifted" /tmp/second.out || { fail "a second NIC"; cat /tmp/second.out; }
virsh detach-device web /tmp/second.xml --config > /dev/null

# The article's guest is taken over while it runs.
lanfence remove web > /dev/null || fail "remove before the article"
virsh nwfilter-define "$top/examples/no-out-traffic.xml" > /dev/null || fail "the article's filter"
sed "s|<source bridge='br0'/>|&<filterref filter='no-out-traffic'/>|" /tmp/web.xml > /tmp/article.xml
virsh destroy web > /dev/null
virsh undefine web > /dev/null
virsh define /tmp/article.xml > /dev/null && virsh start web > /dev/null
expect "the article's filter" open filter-leaks
lanfence apply --replace web || fail "apply --replace"
expect "the article's guest" fenced

[ "$failed" = 0 ] && echo "all verbs are as they must be"
exit "$failed"
