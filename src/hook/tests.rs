use super::*;
use proptest::prelude::*;
use rstest::rstest;

fn policy() -> Policy {
    let text = "name = 'lan-only'\n[lan]\nprefixes = ['192.0.2.0/24']\n[fence]\n\
                bridges = ['br0']\nnetworks = ['default']\nguests = ['web-*']\n";
    Policy::parse(text, "p.toml").unwrap()
}

/// A guest with these devices.
fn guest(devices: &str) -> String {
    format!("<domain type='kvm'>\n  <name>g</name>\n  <devices>{devices}</devices>\n</domain>\n")
}

const FILTERED: &str = "<interface type='bridge'><source bridge='br0'/><filterref filter='lan-only'><parameter name='A' value='1'/></filterref></interface>";
const OPEN: &str =
    "<interface type='bridge'><mac address='52:54:00:5a:00:01'/><source bridge='br0'/></interface>";
const ELSEWHERE: &str = "<interface type='bridge'><source bridge='br1'/></interface>";
const MACVTAP: &str =
    "<interface type='direct'><mac address='52:54:00:5a:00:02'/><source dev='eno1'/></interface>";
const OTHER: &str = "<interface type='network'><target dev='vnet7'/><source network='default'/><filterref filter='clean-traffic'/></interface>";
const SWITCH: &str =
    "<interface type='bridge'><source bridge='br0'/><virtualport type='openvswitch'/></interface>";
const TWICE: &str = "<interface type='bridge'><source bridge='br0'/><filterref filter='lan-only'/><filterref filter='x'/></interface>";
const ARGUMENT: &str = "</devices><qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-nic'/><qemu:arg value='user'/></qemu:commandline><devices>";

#[rstest]
#[case("prepare", Step::Admit)]
#[case("start", Step::Admit)]
#[case("migrate", Step::Rewrite)]
#[case("restore", Step::Rewrite)]
#[case("started", Step::Nothing)]
#[case("stopped", Step::Nothing)]
#[case("release", Step::Nothing)]
#[case("reconnect", Step::Nothing)]
#[case("attach", Step::Nothing)]
#[case("detach", Step::Nothing)]
#[case("", Step::Nothing)]
#[case("prepare ", Step::Nothing)]
fn an_operation_is_a_step(#[case] operation: &str, #[case] step: Step) {
    assert_eq!(Step::of(operation), step);
}

#[rstest]
#[case::filtered("g", FILTERED)]
#[case::on_a_bridge_that_nobody_fences("g", ELSEWHERE)]
#[case::macvtap_of_a_guest_that_nobody_fences("g", MACVTAP)]
#[case::an_argument_of_a_guest_that_nobody_fences("g", ARGUMENT)]
#[case::no_interface("web-1", "")]
fn may_start(#[case] name: &str, #[case] devices: &str) {
    admit(name, &guest(devices), &policy()).unwrap();
}

#[rstest]
#[case::open("g", OPEN)]
#[case::second_open("g", &[FILTERED, OPEN].concat())]
#[case::another_filter("g", OTHER)]
#[case::two_filters("g", TWICE)]
#[case::named_by_the_policy("web-1", ELSEWHERE)]
#[case::openvswitch("g", SWITCH)]
#[case::macvtap("web-1", MACVTAP)]
#[case::an_argument("web-1", &[FILTERED, ARGUMENT].concat())]
#[case::a_strange_name("web-1; reboot", OPEN)]
#[case::no_definition("g", "<domain><name>g</name>")]
fn may_not_start(#[case] name: &str, #[case] devices: &str) {
    let xml = if devices.contains("interface") {
        guest(devices)
    } else {
        devices.to_owned()
    };
    let refusal = admit(name, &xml, &policy()).unwrap_err();
    let case = std::thread::current();
    let case = case.name().unwrap().rsplit("::").next().unwrap();
    insta::assert_snapshot!(case, refusal);
}

#[rstest]
#[case::open(
    "g",
    OPEN,
    "<interface type='bridge'><mac address='52:54:00:5a:00:01'/><source bridge='br0'/><filterref filter='lan-only'/></interface>"
)]
#[case::filtered("g", FILTERED, FILTERED)]
#[case::elsewhere("g", ELSEWHERE, ELSEWHERE)]
#[case::another_filter(
    "g",
    OTHER,
    "<interface type='network'><target dev='vnet7'/><source network='default'/><filterref filter='lan-only'/></interface>"
)]
#[case::several("g", &[OPEN, "\n\t", ELSEWHERE, FILTERED, " ", OPEN].concat(), &["<interface type='bridge'><mac address='52:54:00:5a:00:01'/><source bridge='br0'/><filterref filter='lan-only'/></interface>\n\t", ELSEWHERE, FILTERED, " <interface type='bridge'><mac address='52:54:00:5a:00:01'/><source bridge='br0'/><filterref filter='lan-only'/></interface>"].concat())]
fn comes_back_filtered(#[case] name: &str, #[case] devices: &str, #[case] expected: &str) {
    let rewritten = rewrite(name, &guest(devices), &policy()).unwrap();
    assert_eq!(rewritten, guest(expected));
    admit(name, &rewritten, &policy()).unwrap();
}

#[rstest]
#[case::openvswitch("g", SWITCH)]
#[case::macvtap("web-1", MACVTAP)]
fn does_not_come_back(#[case] name: &str, #[case] devices: &str) {
    rewrite(name, &guest(devices), &policy()).unwrap_err();
}

proptest! {
    /// What comes back may start, and keeps all but the filterrefs.
    #[test]
    fn what_comes_back_may_start(
        parts in prop::collection::vec(prop::sample::select(vec![FILTERED, OPEN, ELSEWHERE, OTHER, TWICE, "\n  ", "<!-- x -->"]), 0..8),
        name in "(g|web-1)",
    ) {
        let xml = guest(&parts.concat());
        let back = rewrite(&name, &xml, &policy()).unwrap();
        prop_assert!(admit(&name, &back, &policy()).is_ok(), "{}", back);
        prop_assert_eq!(rewrite(&name, &back, &policy()).unwrap(), back.clone());
        if admit(&name, &xml, &policy()).is_ok() {
            prop_assert_eq!(back, xml);
        }
    }

    /// No text makes it panic.
    #[test]
    fn any_text_is_answered(xml in "[<>/a-z'= &;\n!-]{0,60}", name in ".{0,10}") {
        let policy = policy();
        let _ = admit(&name, &xml, &policy);
        let _ = rewrite(&name, &xml, &policy);
    }
}
