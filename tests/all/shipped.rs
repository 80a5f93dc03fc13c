//! The filters that libvirt ships: read, printed, bound, evaluated and explained.
//!
//! Their text is libvirt's and not kept here; `cargo xtask` fetches it and names
//! its directory.

use crate::common::lanfence;
use crate::kernel::{Answer, Case, GUEST, ask};
use lanfence::check::Expectations;
use lanfence::diagnosis::{Subject, causes_of};
use lanfence::fix::{Binding, fix};
use lanfence::frame::Tag;
use lanfence::layout::Layout;
use lanfence::nwfilter::evaluate::{Backend, Compiled, Decision, Way};
use lanfence::nwfilter::{Filter, FilterTree, ShippedFilters, Strictness, read, write};
use lanfence::policy::Policy;
use lanfence::probe::Pass;
use lanfence::probe::catalogue;
use lanfence::verdict::Verdict;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// All of them, as libvirt 9.0 to 11.3 ship them.
const NAMES: [&str; 24] = [
    "allow-arp",
    "allow-dhcp",
    "allow-dhcp-server",
    "allow-dhcpv6",
    "allow-dhcpv6-server",
    "allow-incoming-ipv4",
    "allow-incoming-ipv6",
    "allow-ipv4",
    "allow-ipv6",
    "clean-traffic",
    "clean-traffic-gateway",
    "no-arp-ip-spoofing",
    "no-arp-mac-spoofing",
    "no-arp-spoofing",
    "no-ip-multicast",
    "no-ip-spoofing",
    "no-ipv6-multicast",
    "no-ipv6-spoofing",
    "no-mac-broadcast",
    "no-mac-spoofing",
    "no-other-l2-traffic",
    "no-other-rarp-traffic",
    "qemu-announce-self",
    "qemu-announce-self-rarp",
];

/// The page about them, written by `lanfence explain`.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/nwfilter/SHIPPED.md");

/// Set to write the page anew.
const WRITE: &str = "LANFENCE_WRITE_PAGES";

fn directory() -> PathBuf {
    let named = std::env::var_os("LANFENCE_SHIPPED_FILTERS").map(PathBuf::from);
    let installed = Path::new("/usr/share/libvirt/nwfilter").to_path_buf();
    let mut places = named.into_iter().chain([installed]);
    places
        .find(|place| place.join("clean-traffic.xml").exists())
        .expect("LANFENCE_SHIPPED_FILTERS names no libvirt filters: run the tests with `cargo xtask test`")
}

fn text(name: &str) -> String {
    let path = directory().join(format!("{name}.xml"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn filters() -> Vec<Filter> {
    let read = |name| read(&text(name), name).unwrap_or_else(|error| panic!("{error}"));
    NAMES.into_iter().map(read).collect()
}

#[test]
fn the_package_has_those_that_are_known() {
    let mut found: Vec<String> = std::fs::read_dir(directory())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}

/// What libvirt prints of each is what the writer prints of what the strict
/// reader read, and the reader reads that as the same filter.
#[test]
fn each_is_read_and_printed_as_libvirt_does() {
    let case = |name: &str| Case {
        bind: false,
        ..case(vec![(name.to_owned(), text(name))], Vec::new(), Vec::new())
    };
    let answers = ask(Backend::Ebtables, &NAMES.map(case)).expect("a lab");
    for ((name, mut filter), answer) in NAMES.into_iter().zip(filters()).zip(&answers) {
        assert_eq!(filter.name, name);
        let dumped = answer
            .dumped
            .first()
            .unwrap_or_else(|| panic!("{answer:#?}"));
        let uuid = dumped
            .split_once("<uuid>")
            .and_then(|(_, rest)| rest.split_once('<'));
        filter.uuid = Some(uuid.expect("libvirt makes one up").0.to_owned());
        assert_eq!(&write(&filter), dumped, "{name}");
        assert_eq!(&write(&read(dumped, name).unwrap()), dumped);
        assert_eq!(&answer.redumped[0], dumped, "{name}");
    }
}

fn case(
    filters: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
    frames: Vec<(bool, Vec<u8>)>,
) -> Case {
    Case {
        filters,
        parameters,
        bind: true,
        device: None,
        bridge_nf: true,
        frames,
    }
}

/// Values of the variables that the filters use, of the hosts that frames are between.
fn parameters(name: &str, layout: &Layout) -> Vec<(String, String)> {
    let mac = layout
        .gateway
        .mac
        .map(|octet| format!("{octet:02x}"))
        .join(":");
    let server = if name.contains("v6") {
        layout.gateway.link_local.to_string()
    } else {
        layout.gateway.v4.to_string()
    };
    [
        ("IP", layout.guest.v4.to_string()),
        ("IPV6", layout.guest.link_local.to_string()),
        ("IPV6", layout.guest.v6.to_string()),
        ("DHCPSERVER", server),
        ("GATEWAY_MAC", mac),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// The filter with all that it refers to, itself last.
fn with_references(name: &str, all: &[Filter], out: &mut Vec<(String, String)>) {
    let filter = all
        .iter()
        .find(|filter| filter.name == name)
        .expect("shipped");
    for reference in filter.references() {
        if !out.iter().any(|(known, _)| known == reference) {
            with_references(reference, all, out);
        }
    }
    out.push((name.to_owned(), text(name)));
}

/// Every frame of the catalogue, and whether the guest sends it.
fn frames(layout: &Layout) -> Vec<(bool, Vec<u8>)> {
    let tag = |index| Tag {
        run: 0,
        pass: Pass::Filtered.number(),
        index,
    };
    let probes = catalogue(&Policy::example(), layout, tag);
    let frames = probes.iter().flat_map(|probe| {
        let from_guest = probe.is_from_guest();
        let frames = probe.wire(layout).frames;
        frames.into_iter().map(move |frame| (from_guest, frame))
    });
    frames.collect()
}

/// Each can be bound, and of every frame of the catalogue the evaluator says
/// what the kernel does.
#[test]
fn each_is_bound_and_evaluated_as_the_kernel_does() {
    let layout = Layout::of(&Policy::example()).expect("room for hosts");
    assert_eq!(layout.guest.mac, GUEST);
    let (all, frames) = (filters(), frames(&layout));
    let cases = NAMES.map(|name| {
        let mut parts = Vec::new();
        with_references(name, &all, &mut parts);
        case(parts, parameters(name, &layout), frames.clone())
    });
    for ((name, case), answer) in NAMES
        .iter()
        .zip(&cases)
        .zip(ask(Backend::Ebtables, &cases).expect("a lab"))
    {
        assert!(answer.bound, "{name}: {:?}", answer.refused);
        let compiled = Compiled::new(&all, name, GUEST, &case.parameters)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let compared = agree(name, &compiled, &frames, &answer);
        assert!(
            compared > 200,
            "{name}: only {compared} frames were compared"
        );
    }
}

fn agree(name: &str, compiled: &Compiled, frames: &[(bool, Vec<u8>)], answer: &Answer) -> usize {
    let mut compared = 0;
    for (at, (from_guest, frame)) in frames.iter().enumerate() {
        // What the bridge keeps back without a filter shows nothing of one.
        if !answer.open[at] {
            continue;
        }
        let way = if *from_guest {
            Way::FromGuest
        } else {
            Way::ToGuest
        };
        let passed = match compiled.decide(frame, way) {
            Decision::Accept => true,
            Decision::Drop => false,
            Decision::Undecided(why) => panic!("{name}: {why}"),
        };
        let kernel = answer.passed[at];
        assert_eq!(
            passed,
            kernel,
            "{name} {way:?}: {}",
            lanfence::frame::summary(frame)
        );
        compared += 1;
    }
    compared
}

const INTRODUCTION: &str = "# The filters that libvirt ships, explained

This page is the output of `lanfence explain NAME` for each of the 24 filters of libvirt's package
`libvirt-daemon-config-nwfilter`. A test writes it anew and compares;
`LANFENCE_WRITE_PAGES=1 cargo xtask test --test all -- shipped` replaces it.

How to read it: *Frames from the guest* and *Frames to the guest* list the rules in the order in
which the kernel tries them, with their values filled in. *What of them passes* is exact, over all
frames with whole headers and without fragments: for each kind of frames the values that a field
has in those that pass, and only fields that are restricted; each line holds by itself, over all
values of the others. Variables that the interface has to set have example values, which are shown.

A filter that accepts what it knows and does not drop the rest restricts nothing by itself: it is
made to be referred to by one that does.
";

fn explained(name: &str) -> String {
    // From inside the directory, so that no path of this machine is on the page.
    let output = lanfence()
        .args(["explain", &format!("{name}.xml")])
        .current_dir(directory())
        .env("LANFENCE_SHIPPED_FILTERS", ".")
        .output()
        .expect("lanfence can be started");
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// `lanfence explain clean-traffic` finds it by its name.
#[test]
fn filters_are_found_by_name() {
    let run = |verb: &str, name: &str| {
        let output = lanfence()
            .args([verb, name])
            .env("LANFENCE_SHIPPED_FILTERS", directory())
            .output()
            .expect("lanfence can be started");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    let found = run("explain", "clean-traffic");
    assert!(
        found.starts_with("filter  clean-traffic with 10 filters"),
        "{found}"
    );
    assert_eq!(run("explain", "clean-traffic.xml"), found);
    let missing = run("explain", "no-such-filter.xml");
    assert!(missing.contains("error: no-such-filter.xml"), "{missing}");
}

#[test]
fn the_page_is_what_explain_prints() {
    let mut page = INTRODUCTION.to_owned();
    for name in NAMES {
        let _ = write!(page, "\n## {name}\n\n```text\n{}```\n", explained(name));
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(PAGE, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    let lines = written.lines().zip(page.lines()).enumerate();
    let different = lines.into_iter().find(|(_, (old, new))| old != new);
    assert!(
        written == page,
        "{PAGE} is not what explain prints; first difference: {different:?}\n  cure: set {WRITE}=1 to write it anew"
    );
}

/// Each of them as a filter of its own, with what it refers to.
fn trees() -> Vec<FilterTree> {
    let shipped = ShippedFilters::in_directories(vec![directory()]);
    let tree = |name: &&str| {
        let file = directory().join(format!("{name}.xml"));
        let tree = FilterTree::load(&[file], Some(name), Strictness::AsLibvirt, &shipped);
        tree.expect("libvirt reads its own")
    };
    NAMES.iter().map(tree).collect()
}

/// Every probe that a shipped filter fails has one cause, which names a rule or a chain of it.
#[test]
fn every_failure_has_one_cause() {
    let policy = Policy::example();
    let layout = Layout::of(&policy).unwrap();
    let own = [layout.guest.v4.into()];
    let mut counted = 0;
    for tree in trees() {
        let bound = tree.bind(layout.guest.mac, layout.guest.v4, &[], Backend::default());
        let Ok(bound) = bound else { continue };
        let expectations = Expectations::of(&policy, &layout, &own, Backend::default());
        let judgement = expectations.judge(&bound.filter);
        let subject = Subject {
            tree: &tree,
            filter: &bound.filter,
            rulings: expectations.rulings(),
        };
        let causes = causes_of(&subject, &judgement);
        let mut told: Vec<&String> = causes.iter().flat_map(|cause| &cause.probes).collect();
        let failed = judgement.probes.iter();
        let failed = failed.filter(|judged| matches!(judged.verdict, Verdict::Fail(_)));
        let mut failed: Vec<&String> = failed.map(|judged| &judged.probe.id).collect();
        told.sort();
        failed.sort();
        assert_eq!(told, failed, "{}", tree.top);
        assert!(causes.iter().all(|cause| cause.explained), "{causes:#?}");
        assert!(
            causes.iter().all(|cause| cause.place.is_some()),
            "{causes:#?}"
        );
        assert!(causes.len() <= 30, "{}: {}", tree.top, causes.len());
        counted += causes.len();
    }
    assert!(counted > 100, "{counted}");
}

/// Each can be mended, some of them by replacing all that they are.
#[test]
fn each_can_be_fixed() {
    let policy = Policy::example();
    let layout = Layout::of(&policy).unwrap();
    let mut fixed = 0;
    for tree in trees() {
        let parameters = [("IP".to_owned(), layout.guest.v4.to_string())];
        let own = [layout.guest.v4.into()];
        let expectations = Expectations::of(&policy, &layout, &own, Backend::default());
        let binding = Binding {
            layout: &layout,
            expectations: &expectations,
            parameters: &parameters,
            backend: Backend::default(),
        };
        let found = fix(&tree, &policy, binding);
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", tree.top));
        assert!(!found.edits.is_empty() && found.after != found.before);
        read(&found.after, &tree.top).unwrap_or_else(|error| panic!("{error}\n{}", found.after));
        fixed += 1;
    }
    assert_eq!(fixed, NAMES.len());
}
