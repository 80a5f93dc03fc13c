#!/bin/bash
# The article's own guest, taken over while it runs: Linux on pcnet behind `no-out-traffic`, with a real
# DHCP client (busybox's udhcpc), which sends IPv6 to the WAN all the time, which that filter lets out.
# `audit` names the leak, `apply --replace` fences the guest, and the client keeps its lease and renews it.
# It renews whenever the host tries to connect to it: by itself it would once in half an hour. What the guest sends to the WAN is counted by nft at the host's end of the bridge.
# Run it in a throwaway host only: it makes a bridge.
set -u
. "$(dirname "$0")/../common/host.sh"
done_well="the article's guest keeps its lease"

mac=52:54:00:00:03:01
serial=/var/log/libvirt/qemu/article.serial
images=/var/lib/libvirt/images
guest=${LANFENCE_GUEST:-}
if [ ! -f "$guest/vmlinuz" ] || [ ! -f "$guest/initramfs.cpio" ]; then
    echo "skipped: there is no guest image"
    echo "$done_well"
    exit 0
fi
# The guest's image with another first process: a second archive behind the first adds its files.
mkdir -p "$images" /tmp/more
cat >/tmp/more/lease-changed <<'X'
#!/bin/busybox sh
# What udhcpc calls: deconfig, bound, renew, nak, leasefail.
echo "udhcpc: $1 ${ip:-}" >/dev/console
[ "$1" = bound ] || exit 0
/bin/busybox ip addr add "$ip/24" dev eth0
exit 0
X
cat >/tmp/more/article-init <<'X'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for module in mii pcnet32 af_packet ipv6; do
    [ ! -f /lib/modules/$module.ko ] || $b insmod /lib/modules/$module.ko
done
$b ip link set lo up
$b ip link set eth0 up
$b ip -6 addr add fd00:5::50/64 dev eth0
$b ip -6 route add default via fd00:5::9
$b udhcpc -i eth0 -s /lease-changed -p /client.pid -t 100 -T 3 -A 1 -f &
echo "up" >/dev/console
asked() { $b awk '$1 == "Tcp:" && $2 ~ /^[0-9]+$/ { print $11 }' /proc/net/snmp; }
before=$(asked)
while :; do
    now=$(asked)
    [ "$now" = "$before" ] || { $b kill -USR1 "$($b cat /client.pid)"; before=$now; }
    $b ping -c 1 -W 1 192.168.1.9 >/dev/null && echo "LAN answers" >/dev/console
    $b ping6 -c 1 -W 1 2001:db8:77::1 >/dev/null
    $b sleep 1
done
X
chmod 755 /tmp/more/*
# An entry of an initramfs (the kernel's buffer-format.rst): not every host has cpio. Its third number is the mode.
entry() {
    local name=$1 file=${2:-} size=0
    [ -z "$file" ] || size=$(stat -c %s "$file")
    printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\0' \
        0 0100755 0 0 1 0 "$size" 0 0 0 0 $((${#name} + 1)) 0 "$name"
    zeros $(((4 - (110 + ${#name} + 1) % 4) % 4))
    [ -z "$file" ] || cat "$file"
    zeros $(((4 - size % 4) % 4))
}
zeros() { head -c "$1" /dev/zero; }
{
    cat "$guest/initramfs.cpio"
    for file in lease-changed article-init; do
        entry "$file" "/tmp/more/$file"
    done
    entry 'TRAILER!!!'
} >"$images/article.initramfs"
cp "$guest/vmlinuz" "$images/article.vmlinuz"
chmod 644 "$images"/article.*

systemctl start libvirtd
ip link add br0 type bridge
ip addr add 192.168.1.9/24 dev br0
ip addr add fd00:5::9/64 dev br0 nodad
ip link set br0 up
dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=br0 --bind-interfaces \
    --except-interface=lo --no-ping --dhcp-range=192.168.1.100,192.168.1.150,1h \
    --dhcp-leasefile=/tmp/leases --log-dhcp --log-facility=/tmp/dnsmasq.log --pid-file=/tmp/dnsmasq.pid &
until_true 30 test -s /tmp/dnsmasq.pid || fail "dnsmasq does not start"
nft 'table bridge seen { counter wan { }; chain input { type filter hook input priority 200;
    ip6 daddr 2001:db8:77::/48 counter name wan; }; }' || fail "nft cannot count"

virsh -q nwfilter-define examples/no-out-traffic.xml || fail "the article's filter"
cat >/tmp/article.xml <<X
<domain type='kvm'><name>article</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>$images/article.vmlinuz</kernel>
<initrd>$images/article.initramfs</initrd><cmdline>console=ttyS0 quiet rdinit=/article-init</cmdline></os>
<features><acpi/></features><devices>
<interface type='bridge'><mac address='$mac'/><source bridge='br0'/><filterref filter='no-out-traffic'/>
<model type='pcnet'/><rom enabled='no'/></interface>
<serial type='file'><source path='$serial'/></serial>
<memballoon model='none'/><controller type='usb' model='none'/><video><model type='none'/></video>
</devices></domain>
X
virsh -q define /tmp/article.xml && virsh -q start article || { fail "the guest does not start"; exit 1; }

seen() { nft list counter bridge seen wan | sed -n 's/.*packets \([0-9]*\) .*/\1/p'; }
count() { grep -c "$1" "$2" 2>/dev/null || true; }
# more_than NUMBER COMMAND…: its number has grown.
more_than() {
    local before=$1
    shift
    [ "$("$@")" -gt "$before" ]
}
answers() { count "LAN answers" "$serial"; }
acks() { count "DHCPACK(br0) [0-9.]* $mac" /tmp/dnsmasq.log; }
address() { sed -n "s/.*DHCPACK(br0) \([0-9.]*\) $mac.*/\1/p" /tmp/dnsmasq.log | sort -u; }

# renews: one renewal, which the host asks for.
renews() {
    local before
    before=$(acks)
    # Nobody listens there: what counts is the segment.
    timeout 10 bash -c "exec 3<>/dev/tcp/$(address)/9" 2>/dev/null
    until_true 120 more_than "$before" acks || { fail "$1: the client does not renew its lease"; tail -20 /tmp/dnsmasq.log; }
}

until_true 300 more_than 0 acks || { fail "the client takes no lease"; tail -20 "$serial" /tmp/dnsmasq.log; }
until_true 120 more_than 0 answers || fail "the guest does not reach the LAN"
renews "the article's filter"
until_true 120 more_than 0 seen || fail "IPv6 to the WAN did not leave before"
before=$(address)

cd /tmp || exit 1
lanfence init --bridge br0 || fail "init"
lanfence audit article >/tmp/audit.out && fail "the article's guest is called fenced"
grep -q "no-out-traffic" /tmp/audit.out || { fail "audit does not name the filter"; cat /tmp/audit.out; }
began=$(date +%s%N)
lanfence apply --replace article || fail "apply --replace"
ended=$(date +%s%N)
lanfence audit article || fail "the guest is not fenced"

# The client renews its lease through the new filter, and what the old one let out is stopped.
renewed=$(acks) answered=$(answers)
renews "fenced"
until_true 120 more_than $((answered + 2)) answers || fail "the guest does not reach the LAN any more"
leaked=$(seen)
until_true 120 more_than $((answered + 4)) answers || fail "the guest stands still"
[ "$(seen)" = "$leaked" ] || fail "IPv6 to the WAN leaves: $leaked, then $(seen)"
[ "$(address)" = "$before" ] || fail "the address was $before, and then $(address)"
[ "$(count 'udhcpc: bound' "$serial")" = 1 ] || fail "the client took a lease more than once"
[ "$(count 'udhcpc: deconfig' "$serial")" = 1 ] || fail "the client lost its lease"
grep -q "DHCPNAK\|DHCPDISCOVER.*$mac.*$mac" /tmp/dnsmasq.log && fail "the server refused the client"
[ "$(count 'udhcpc: leasefail' "$serial")" = 0 ] || fail "the client gave up"

echo "| lease | before | after | apply --replace |"
echo "|---|---|---|---|"
echo "| $before | $((renewed - 1)) renewals, $leaked frames to the WAN | $(($(acks) - renewed)) renewals, 0 frames to the WAN | $(((ended - began) / 1000000)) ms |"
virsh -q destroy article
virsh -q undefine article
kill "$(cat /tmp/dnsmasq.pid)"
nft delete table bridge seen
ip link del br0
[ "$failed" = 0 ] || { grep udhcpc "$serial"; exit 1; }
echo "$done_well"
