//! The article's guest is taken over while it runs: Linux on pcnet with a DHCP lease that it renews
//! all the time. The exchange of its filter must cost it no more than a renewal.

use crate::common::guest_image;
use crate::small_host::{SmallHost, on_a_small_host, run, until_within};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the guest does: loads its NIC's driver, takes a lease, and asks for it again eight seconds
/// after each answer (udhcpc renews at SIGUSR1, and begins anew at one that comes while it waits
/// for an answer).
const GUEST: &str = "mount -t proc p /proc; mount -t sysfs s /sys; \
    sed -n -e 's/^core //p' -e 's/^nic pcnet32 //p' /lib/modules/order | \
    while read f; do for i in $f; do busybox insmod /lib/modules/$i; done; done; \
    echo '#!/bin/sh' > /s; echo 'case $1 in bound|renew) ip addr add $ip/24 dev eth0; \
    (sleep 8; kill -USR1 $PPID) & esac' >> /s; \
    busybox chmod +x /s; ip link set eth0 up; udhcpc -f -i eth0 -s /s";

/// Longest wait for a renewal: one whose answer is lost while the tap is closed is asked for again
/// after half of the lease's two minutes.
const RENEWAL: Duration = Duration::from_secs(150);

/// The guest's definition, with the article's filter.
fn domain() -> String {
    let image = guest_image();
    let script = GUEST.replace('&', "&amp;").replace('>', "&gt;");
    format!(
        "<domain type='qemu'><name>win98</name><memory unit='MiB'>128</memory>\
         <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{kernel}</kernel>\
         <initrd>{initrd}</initrd>\
         <cmdline>console=ttyS0 rdinit=/bin/busybox -- sh -c \"{script}\"</cmdline></os>\
         <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\
         <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>\
         <model type='pcnet'/><filterref filter='no-out-traffic'/></interface>\
         <serial type='file'><source path='/run/guest.log'/></serial>\
         <memballoon model='none'/></devices></domain>",
        kernel = image.join("vmlinuz").display(),
        initrd = image.join("initramfs.cpio").display(),
    )
}

/// A DHCP server on the host's bridge, and what it has logged.
struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        run("ip", &["addr", "add", "192.168.1.1/24", "dev", "br0"]);
        let mut child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0"])
            .args(["--user=root", "--group=root", "--pid-file=", "--no-ping"])
            .args(["--interface=br0", "--dhcp-leasefile=/run/leases"])
            .args(["--dhcp-authoritative", "--log-facility=-"])
            .arg("--dhcp-range=192.168.1.100,192.168.1.110,2m")
            .stderr(Stdio::piped())
            .spawn()
            .expect("dnsmasq starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    /// Lines with this word: `DHCPACK(br0) 192.168.1.105 52:54:…`.
    fn lines(&self, word: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let with = log.iter().filter(|line| line.contains(word));
        with.cloned().collect()
    }

    /// The addresses that were confirmed.
    fn confirmed(&self) -> Vec<String> {
        let lines = self.lines("DHCPACK(br0)");
        let address = |line: &String| {
            line.split_whitespace()
                .find(|word| word.starts_with("192."))
                .map(str::to_owned)
        };
        lines.iter().filter_map(address).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_articles_guest_keeps_its_lease_while_its_filter_is_exchanged() {
    on_a_small_host(
        "lease::the_articles_guest_keeps_its_lease_while_its_filter_is_exchanged",
        |host: &SmallHost| {
            let article = include_str!("../../examples/no-out-traffic.xml");
            host.libvirt
                .define_filter("no-out-traffic", article)
                .unwrap();
            let server = Server::start();
            let guest = host
                .libvirt
                .connection()
                .define_domain_xml(&domain())
                .expect("libvirt takes it");
            guest.create().expect("QEMU starts it");
            until_within(RENEWAL, "two confirmations of a lease", || {
                server.confirmed().len() >= 2
            });
            let (code, found) = host.audit(&[]);
            assert_eq!(code, 1, "{found:#}");
            assert_eq!(found["interfaces"][0]["state"], "open", "{found:#}");
            let (address, discovers) = (
                server.confirmed()[0].clone(),
                server.lines("DHCPDISCOVER").len(),
            );

            host.lanfence(&["apply", "--replace", "win98"]).ended(0);
            let before = server.confirmed().len();
            until_within(RENEWAL, "two renewals behind the new filter", || {
                server.confirmed().len() >= before + 2
            });
            let confirmed = server.confirmed();
            assert!(confirmed.iter().all(|one| *one == address), "{confirmed:?}");
            assert_eq!(
                server.lines("DHCPDISCOVER").len(),
                discovers,
                "it began anew"
            );
            let (code, found) = host.audit(&[]);
            assert_eq!(
                (code, &found["interfaces"][0]["state"]),
                (0, &"fenced".into()),
                "{found:#}"
            );
        },
    );
}
