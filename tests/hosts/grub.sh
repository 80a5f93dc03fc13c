#!/bin/bash
# GRUB and its own DHCP client as a guest of this host, on pcnet and on virtio with real vhost-net, at a
# plain bridge with the DHCP server on the host itself, and in libvirt's own network. What is expected
# was measured (docs/measurements.md#M55): the kernel leaves a checksum unfinished only for a guest whose
# virtio driver has said that it finishes checksums. Linux's does and GRUB's does not, so GRUB gets its
# lease everywhere; that it refuses an unfinished one is shown by what lanfence offers it.
# Run it in a throwaway host only: it makes bridges and networks.
set -u
. "$(dirname "$0")/../common/host.sh"
done_well="GRUB's leases are as they must be"

guest=${LANFENCE_GUEST:-}
if [ ! -f "$guest/grub.0" ] || [ ! -f "$guest/ipxe.lkrn" ]; then
    echo "skipped: the guest image holds no GRUB"
    echo "$done_well"
    exit 0
fi
images=/var/lib/libvirt/images
mkdir -p "$images"
cp "$guest/grub.0" "$guest/ipxe.lkrn" "$images/"
chmod 644 "$images/grub.0" "$images/ipxe.lkrn"
systemctl start libvirtd

# start NAME MAC MODEL SOURCE [DRIVER]: GRUB goes through rounds of its own script, which begin with DHCP.
start() {
    local name=$1 mac=$2 model=$3 source=$4 driver=${5:+"<driver name='$5'/>"}
    cat >"/tmp/$name.xml" <<X
<domain type='kvm'><name>$name</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>$images/ipxe.lkrn</kernel><initrd>$images/grub.0</initrd>
<cmdline>set filename 00 &amp;&amp; set hostname 192.0.2.1 &amp;&amp; set domain 192.0.2.1 &amp;&amp; set root-path 192.0.2.1 &amp;&amp; set 18:string 192.0.2.2 &amp;&amp; ifopen net0 &amp;&amp; imgexec &lt;INITRD&gt;</cmdline>
<bios useserial='yes'/></os><features><acpi/></features><on_poweroff>destroy</on_poweroff><devices>
<interface type='${source%%=*}'><mac address='$mac'/><source $source/><model type='$model'/>$driver<rom enabled='no'/></interface>
<serial type='file'><source path='/var/log/libvirt/qemu/$name.serial'/></serial>
<memballoon model='none'/><controller type='usb' model='none'/><video><model type='none'/></video>
</devices></domain>
X
    virsh -q create "/tmp/$name.xml" || { fail "$name does not start"; return 1; }
}

end() { virsh -q destroy "$1" >/dev/null 2>&1; }
uses_vhost() { tr '\0' ' ' <"/proc/$(cat "/run/libvirt/qemu/$1.pid")/cmdline" | grep -q '"vhost":true\|vhost=on'; }
leased() { grep -q "DHCPACK([a-z0-9]*) [0-9.]* $1" /tmp/dnsmasq.log; }
offered() { grep -q "DHCPOFFER([a-z0-9]*) [0-9.]* $1" /tmp/dnsmasq.log; }
leased_by_libvirt() { virsh -q net-dhcp-leases lanfence-own | grep -qi "$1"; }

# binds NAME MAC MODEL SOURCE DRIVER CHECK: a line of the table.
binds() {
    local name=$1 mac=$2 model=$3 source=$4 driver=$5 check=$6 began=$SECONDS
    start "$name" "$mac" "$model" "$source" "$driver" || return
    if [ "$driver" = vhost ]; then
        uses_vhost "$name" || fail "$name: vhost-net does not carry it"
    fi
    if until_true 300 "$check" "$mac"; then
        echo "| $name | takes its lease | $((SECONDS - began)) s |"
    else
        fail "$name: no lease"
        grep "$mac" /tmp/dnsmasq.log | tail -20
        tail -c 500 "/var/log/libvirt/qemu/$name.serial"
    fi
    end "$name"
}

# The lab takes the host's own back end.
backend=()
if grep -qs '^firewall_backend *= *"nftables"' /etc/libvirt/nwfilter.conf; then
    backend=(--backend nftables)
fi

ip link add br0 type bridge
ip addr add 192.168.1.9/24 dev br0
ip link set br0 up
dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=br0 --bind-interfaces \
    --except-interface=lo --no-ping --dhcp-range=192.168.1.100,192.168.1.150,1h \
    --dhcp-leasefile=/tmp/leases --log-dhcp --log-facility=/tmp/dnsmasq.log --pid-file=/tmp/dnsmasq.pid &
until_true 30 test -s /tmp/dnsmasq.pid || fail "dnsmasq does not start"
[ -e /dev/vhost-net ] || fail "there is no /dev/vhost-net"

echo "| guest | what GRUB does | after |"
echo "|---|---|---|"
binds pcnet-on-a-bridge 52:54:00:00:02:01 pcnet bridge=\'br0\' "" leased
binds virtio-vhost-on-a-bridge 52:54:00:00:02:02 virtio bridge=\'br0\' vhost leased
binds virtio-qemu-on-a-bridge 52:54:00:00:02:03 virtio bridge=\'br0\' qemu leased

cat >/tmp/own.xml <<'X'
<network><name>lanfence-own</name><bridge name='virbr9'/><forward mode='nat'/>
<ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.100' end='192.168.77.150'/></dhcp></ip></network>
X
if virsh -q net-create /tmp/own.xml 2>/tmp/own.err; then
    binds virtio-vhost-in-libvirts-network 52:54:00:00:02:04 virtio network=\'lanfence-own\' vhost leased_by_libvirt
    # For a guest in it the lab is laid out as such a network.
    cat >/tmp/guest.xml <<X
<domain type='kvm'><name>in-a-network</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
<interface type='network'><mac address='52:54:00:00:02:05'/><source network='lanfence-own'/>
<filterref filter='lan-only'/><model type='virtio'/></interface></devices></domain>
X
    lanfence generate >/tmp/lan-only.xml && virsh -q nwfilter-define /tmp/lan-only.xml && virsh -q define /tmp/guest.xml ||
        fail "the guest in a network is not defined"
    lanfence verify "${backend[@]}" --domain in-a-network --accel kvm --json /tmp/domain.json >/tmp/domain.txt 2>&1 ||
        { fail "the guest in a network ended with $?"; tail -40 /tmp/domain.txt; }
    grep -q '"segment": *"network"' /tmp/domain.json || fail "the guest's network was not laid out"
    virsh -q undefine in-a-network
    virsh -q net-destroy lanfence-own
else
    echo "libvirt's own network is not tried: $(head -1 /tmp/own.err)"
fi
kill "$(cat /tmp/dnsmasq.pid)"
ip link del br0

# The same server's answers, unfinished: Linux on real vhost-net hears them so, GRUB is offered them so.
lanfence verify "${backend[@]}" --accel kvm --nic virtio-vhost --attach running --json /tmp/linux.json >/tmp/linux.txt 2>&1
code=$?
[ "$code" = 0 ] || fail "the Linux guest on vhost-net ended with $code"
grep -q '"at_guest": *"partial"' /tmp/linux.json || fail "no unfinished checksum reached the Linux guest"
# Laid out as a network of libvirt's, the lab has them finished, by the rule that libvirt makes itself.
lanfence verify "${backend[@]}" --accel kvm --nic virtio-vhost --attach running --segment network \
    --json /tmp/network.json >/tmp/network.txt 2>&1
code=$?
[ "$code" = 0 ] || { fail "the Linux guest in a network ended with $code"; tail -40 /tmp/network.txt; }
grep -q '"at_guest": *"complete"' /tmp/network.json || fail "the network's checksums are not known"
grep -q '"at_guest": *"partial"' /tmp/network.json && fail "an unfinished checksum came out of the network"
lanfence verify "${backend[@]}" --accel kvm --cell grub/virtio --json /tmp/grub.json >/tmp/grub.txt 2>&1
code=$?
[ "$code" = 0 ] || fail "GRUB's cell ended with $code"
tr '\n' ' ' </tmp/grub.txt | tr -s ' ' | grep -q "GRUB itself refused an offer with an unfinished" ||
    fail "GRUB took an unfinished checksum"
[ "$failed" = 0 ] || { tail -40 /tmp/linux.txt /tmp/grub.txt; exit 1; }
echo "$done_well"
