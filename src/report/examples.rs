//! Hand-built runs that the snapshots print.

use crate::frame::Checksum;
use crate::probe::{Expect, Group, Point};
use crate::report::model::{
    BackEnd, Cell, CellError, ClientRun, DhcpClient, DhcpClients, ErrorKind, Failure, FilterInfo,
    Host, Identity, Outcome, ProbeResult, Run, SCHEMA_VERSION, SentAgain, Step, Timing, Verdict,
};

/// Id, group, summary and expectation of each probe.
const CATALOGUE: [(&str, Group, &str, Expect); 20] = [
    (
        "dhcp/discover",
        Group::Dhcp,
        "DHCP discover to the broadcast address",
        Expect::Pass,
    ),
    (
        "dhcp/ack",
        Group::Dhcp,
        "DHCP acknowledgement from the router",
        Expect::Pass,
    ),
    (
        "lan-unicast/udp",
        Group::LanUnicast,
        "UDP to a LAN host",
        Expect::Pass,
    ),
    (
        "lan-unicast/ping6",
        Group::LanUnicast,
        "ICMPv6 echo to a LAN host",
        Expect::Pass,
    ),
    (
        "broadcast/netbios",
        Group::Broadcast,
        "NetBIOS name query to the directed broadcast",
        Expect::Pass,
    ),
    (
        "multicast/mdns",
        Group::Multicast,
        "mDNS query to 224.0.0.251",
        Expect::Pass,
    ),
    (
        "multicast/ssm-232",
        Group::Multicast,
        "UDP to a source-specific group in 232.0.0.0/8",
        Expect::Pass,
    ),
    (
        "multicast/router-mac",
        Group::Multicast,
        "UDP to a group address in a frame for the router's MAC",
        Expect::Drop,
    ),
    (
        "arp/request",
        Group::Arp,
        "ARP request for the LAN host",
        Expect::Pass,
    ),
    (
        "ipv6-control/ns",
        Group::Ipv6Control,
        "neighbour solicitation for the LAN host",
        Expect::Pass,
    ),
    (
        "lan-inbound/ssh",
        Group::LanInbound,
        "SSH from the LAN host and a command over it",
        Expect::Pass,
    ),
    (
        "wan-ipv4/udp-53",
        Group::WanIpv4,
        "UDP to port 53 of a WAN host",
        Expect::Drop,
    ),
    (
        "wan-ipv4/tcp-443",
        Group::WanIpv4,
        "TCP to port 443 of a WAN host",
        Expect::Drop,
    ),
    (
        "wan-ipv6/udp-53",
        Group::WanIpv6,
        "UDP to port 53 of a WAN host over IPv6",
        Expect::Drop,
    ),
    (
        "wan-edges/class-e",
        Group::WanEdges,
        "UDP to 255.255.255.1, ordinary unicast for some routers",
        Expect::Drop,
    ),
    (
        "tunnels/lsrr",
        Group::Tunnels,
        "IPv4 with a loose source route over a LAN host",
        Expect::Drop,
    ),
    (
        "reflection/icmp",
        Group::Reflection,
        "echo request to a LAN host with a WAN address as its source",
        Expect::Drop,
    ),
    (
        "encapsulation/vlan-0",
        Group::Encapsulation,
        "IPv4 to the WAN in a priority-tagged frame (802.1Q, VID 0)",
        Expect::Drop,
    ),
    (
        "rogue/ra",
        Group::Rogue,
        "router advertisement",
        Expect::Drop,
    ),
    (
        "wan-inbound/udp",
        Group::WanInbound,
        "UDP from a WAN host to the guest",
        Expect::Drop,
    ),
];

/// Everything as the policy wants it, one known gap.
pub(crate) fn green() -> Run {
    Run {
        schema_version: SCHEMA_VERSION,
        version: "0.1.0".into(),
        policy: "lanfence.toml".into(),
        filter: FilterInfo {
            name: Some("lan-only".into()),
            source: "generated from lanfence.toml".into(),
            rules: 58,
            texts: Vec::new(),
            parameters: Vec::new(),
            left_out: Vec::new(),
        },
        host: Host {
            accel: "tcg".into(),
            accel_reason: "KVM guest did not reach READY in 10 s".into(),
            kernel: "6.1.0-41-amd64".into(),
            libvirt: "11.3.0".into(),
            backend: "ebtables".into(),
            segment: "bridge".into(),
            iptables: "iptables v1.8.11 (nf_tables)".into(),
            nft: "nftables v1.1.3 (Commodore Bullmoose #4)".into(),
            qemu: "10.0.2".into(),
            guest_kernel: "6.1.158-1".into(),
            privilege: "user namespace".into(),
            sysctls: vec![
                "net.bridge.bridge-nf-call-iptables=1".into(),
                "net.bridge.bridge-nf-call-ip6tables=1".into(),
                "net.bridge.bridge-nf-call-arptables=1".into(),
            ],
        },
        cells: vec![cell("pcnet", "pcnet32"), cell("virtio", "virtio_net")],
        causes: Vec::new(),
        skipped: Vec::new(),
        probes: Vec::new(),
        matrix: Vec::new(),
        inputs: None,
        identity: Some(identity("5f")),
        wall_ms: 15_432,
        started: None,
    }
}

/// The shipped policy and a filter whose digest begins so.
pub(crate) fn identity(filter: &str) -> Identity {
    Identity {
        policy: "lan-only".into(),
        lan: ["192.168.0.0/16", "fd00::/8"]
            .map(|net| net.parse().expect("a prefix"))
            .to_vec(),
        policy_sha256: "3a".repeat(32),
        filter_sha256: filter.repeat(32),
    }
}

fn cell(nic: &str, driver: &str) -> Cell {
    let ms = [
        (Step::Lab, 912),
        (Step::Boot, 2_530),
        (Step::Nic, 431),
        (Step::Control, 2_104),
        (Step::Bind, 871),
    ];
    let ms = ms.into_iter().chain([
        (Step::Filtered, 2_240),
        (Step::Unbind, 38),
        (Step::LeakCheck, 655),
    ]);
    Cell {
        name: format!("linux/{nic}"),
        guest: "linux".into(),
        nic: nic.into(),
        driver: Some(driver.into()),
        back_end: (driver == "virtio_net").then_some(BackEnd::Qemu),
        probes: CATALOGUE.into_iter().map(probe).collect(),
        timings: ms.map(|(step, ms)| Timing { step, ms }).collect(),
        error: None,
        leak_check: Some(true),
        evidence: Vec::new(),
        dhcp: None,
        learning: Vec::new(),
        rules: Vec::new(),
        sent_again: Vec::new(),
        flaky: None,
    }
}

/// As expected; the source route is the hole that nwfilter cannot close.
fn probe((id, group, summary, expect): (&str, Group, &str, Expect)) -> ProbeResult {
    let known_gap = id == "tunnels/lsrr";
    let passes = expect == Expect::Pass || known_gap;
    ProbeResult {
        id: id.into(),
        group,
        summary: summary.into(),
        expect,
        control: Outcome::Delivered,
        filtered: if passes {
            Outcome::Delivered
        } else {
            Outcome::Dropped
        },
        leak_check: (expect == Expect::Drop).then_some(Outcome::Delivered),
        first_frame: None,
        verdict: if known_gap {
            Verdict::KnownGap
        } else {
            Verdict::Pass
        },
        last_seen: Some(if passes {
            Point::Peer
        } else {
            Point::TapFromGuest
        }),
        seen: None,
        note: known_gap.then(|| "set accept_source_route=0 on the router".into()),
    }
}

/// The article's filter: leaks, and groups that it blocks without need.
pub(crate) fn red() -> Run {
    let mut run = green();
    let name = Some("no-out-traffic".into());
    run.filter = FilterInfo {
        name,
        source: "examples/no-out-traffic.xml".into(),
        rules: 5,
        texts: Vec::new(),
        parameters: Vec::new(),
        left_out: Vec::new(),
    };
    run.started = Some("2025-11-23T22:12:05.250Z".into());
    for cell in &mut run.cells {
        for id in [
            "wan-ipv6/udp-53",
            "wan-edges/class-e",
            "reflection/icmp",
            "encapsulation/vlan-0",
            "rogue/ra",
            "wan-inbound/udp",
            "multicast/router-mac",
        ] {
            fail(cell, id, Failure::Leak);
        }
        fail(cell, "multicast/ssm-232", Failure::Blocked);
        let dir = cell.name.replace('/', "-");
        cell.evidence = vec![
            format!("{dir}/packets.pcapng"),
            format!("{dir}/ebtables-save.txt"),
        ];
    }
    // One leak on one NIC only, so that merging shows.
    fail(&mut run.cells[1], "wan-ipv4/udp-53", Failure::Leak);
    run
}

fn fail(cell: &mut Cell, id: &str, why: Failure) {
    let probe = find(cell, id);
    probe.verdict = Verdict::Fail(why);
    (probe.filtered, probe.last_seen) = match why {
        Failure::Leak => (Outcome::Delivered, Some(Point::Wan)),
        Failure::Blocked => (Outcome::Dropped, Some(Point::TapFromGuest)),
    };
}

fn find<'a>(cell: &'a mut Cell, id: &str) -> &'a mut ProbeResult {
    let mut probes = cell.probes.iter_mut();
    probes
        .find(|probe| probe.id == id)
        .expect("the catalogue has it")
}

/// A sensor died in one cell, probes stayed unproven, another cell did not pass its leak check.
pub(super) fn inconclusive() -> Run {
    let mut run = green();
    for (id, note) in [
        (
            "wan-ipv4/udp-53",
            Some("sensor wan died: read: network is down"),
        ),
        (
            "wan-ipv4/tcp-443",
            Some("sensor wan died: read: network is down"),
        ),
        ("lan-unicast/udp", None),
    ] {
        let probe = find(&mut run.cells[0], id);
        probe.verdict = Verdict::Inconclusive;
        probe.filtered = Outcome::Lost;
        probe.note = note.map(str::to_owned);
    }
    run.cells[0].leak_check = None;
    run.cells[1].leak_check = Some(false);
    find(&mut run.cells[1], "wan-ipv4/udp-53").leak_check = Some(Outcome::Lost);
    run.cells[1].sent_again = vec![SentAgain {
        step: Step::Control,
        probe: "lan-unicast/udp".into(),
    }];
    run
}

/// The second cell's guest has a NIC that QEMU lacks.
pub(super) fn cell_error() -> Run {
    let mut run = green();
    let cell = &mut run.cells[1];
    (cell.name, cell.nic, cell.driver) = ("linux/ne2000".into(), "ne2000".into(), None);
    cell.back_end = None;
    cell.probes.clear();
    cell.timings.truncate(2);
    cell.leak_check = None;
    cell.error = Some(CellError {
        step: Step::Nic,
        message: "QEMU 10.0.2 has no NIC model `ne2000`;\n`lanfence verify --matrix full --list` shows all".into(),
        kind: ErrorKind::Usage,
    });
    run
}

/// Verified without a filter: all that must drop got out.
pub(super) fn no_filter() -> Run {
    let mut run = green();
    run.filter = FilterInfo {
        name: None,
        source: "none".into(),
        rules: 0,
        texts: Vec::new(),
        parameters: Vec::new(),
        left_out: Vec::new(),
    };
    for cell in &mut run.cells {
        cell.leak_check = None;
        for (id, _, _, expect) in CATALOGUE {
            if expect == Expect::Drop && id != "tunnels/lsrr" {
                fail(cell, id, Failure::Leak);
            }
            find(cell, id).leak_check = None;
        }
    }
    run
}

/// Many NIC models, so that the table needs several pieces.
pub(super) fn wide() -> Run {
    let mut run = green();
    let nics = [
        "pcnet",
        "rtl8139",
        "ne2k_pci",
        "i82557b",
        "i82559er",
        "e1000",
        "e1000-82545em",
        "e1000e",
        "igb",
        "tulip",
        "vmxnet3",
        "virtio",
    ];
    run.cells = nics.iter().map(|nic| cell(nic, nic)).collect();
    fail(&mut run.cells[5], "wan-ipv6/udp-53", Failure::Leak);
    find(&mut run.cells[6], "arp/request").verdict = Verdict::Inconclusive;
    find(&mut run.cells[6], "arp/request").filtered = Outcome::NeverSent;
    run
}

/// The DHCP clients of old systems: pcnet gives finished checksums, virtio does not.
pub(super) fn clients() -> Run {
    let mut run = green();
    for (cell, at_tap) in run
        .cells
        .iter_mut()
        .zip([Checksum::Complete, Checksum::Partial])
    {
        let took = |factor: u64| ClientRun {
            bound_us: Some(3_140 * factor),
            renewed_us: Some(1_050 * factor),
            at_tap: Some(at_tap),
            at_guest: Some(Checksum::Complete),
            ..ClientRun::default()
        };
        let client = |name: &str, system: &str, strict| DhcpClient {
            name: name.into(),
            system: system.into(),
            strict,
            control: took(1),
            real: false,
            filtered: Some(took(2)),
            unfinished: None,
        };
        let windows = client("windows-2003", "Windows Server 2003 and XP", true);
        let busybox = client("busybox", "busybox udhcpc", false);
        let vhost = [(&windows, true), (&busybox, false)].map(|(client, refused)| DhcpClient {
            control: ClientRun {
                refused,
                at_guest: Some(Checksum::Partial),
                failure: refused.then(|| "it refused every answer".into()),
                ..ClientRun::default()
            },
            filtered: None,
            ..client.clone()
        });
        let vhost = if at_tap == Checksum::Partial {
            vhost.to_vec()
        } else {
            Vec::new()
        };
        cell.dhcp = Some(DhcpClients {
            clients: vec![windows, busybox],
            vhost,
        });
    }
    run
}

/// All of the above.
pub(super) fn all() -> Vec<Run> {
    vec![
        green(),
        red(),
        inconclusive(),
        cell_error(),
        no_filter(),
        wide(),
        clients(),
    ]
}

/// A matrix: one cell flaky, two that cannot run.
pub(super) fn matrix() -> Run {
    let mut run = wide();
    run.cells[1].flaky = Some("it passed on try 2".into());
    let skipped = |name: &str, reason: &str| crate::report::model::Skipped {
        name: name.into(),
        reason: reason.into(),
    };
    run.skipped = vec![
        skipped("linux/ne2k_isa", "the guest's kernel has no module `ne`"),
        skipped("linux/rocker", "it is a switch, not a NIC"),
    ];
    run
}
