use super::*;
use crate::nwfilter::{generate, read};
use crate::policy::Policy;
use rstest::rstest;

mod in_vain;

fn names(texts: &[&str]) -> Vec<&'static str> {
    let filters: Vec<Filter> = texts
        .iter()
        .map(|text| read(text, "test").unwrap())
        .collect();
    let top = filters[0].name.clone();
    let given = [("L", "1.2.3.4"), ("M", "1.2.3.4"), ("M", "1.2.3.5")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let compiled = Compiled::new(&filters, &top, [2; 6], &given).unwrap();
    let findings = lint(&filters, &top, &compiled);
    for finding in &findings {
        let known = catalogue::find(finding.lint).expect("in the catalogue");
        assert_eq!(finding.severity, known.severity, "{}", finding.lint);
    }
    findings.iter().map(|finding| finding.lint).collect()
}

/// Whether the lint finds something, with the severity that the catalogue names.
fn finds(name: &str, texts: &[&str]) -> bool {
    catalogue::find(name).expect("in the catalogue");
    names(texts).contains(&name)
}

fn rule(direction: &str, element: &str) -> String {
    format!(
        "<filter name='x'><rule action='drop' direction='{direction}'>{element}</rule></filter>"
    )
}

#[rstest]
#[case::b1(
    "lost-negation",
    "out",
    "<tcp match='no' dstportstart='80'/>",
    "<tcp match='no' srcportstart='1' srcportend='2' dstportstart='80'/>"
)]
#[case::b1_beside_a_positive_port(
    "lost-negation",
    "out",
    "<tcp srcportstart='1'/><tcp match='no' dstportstart='80'/>",
    "<tcp srcportstart='1'/><tcp dstportstart='80'/>"
)]
#[case::both_ports(
    "negated-port-pair",
    "out",
    "<udp match='no' srcportstart='1' srcportend='1' dstportstart='80'/>",
    "<udp match='no' srcportstart='1' srcportend='2' dstportstart='80'/>"
)]
#[case::b2(
    "icmp-code-alone",
    "out",
    "<icmp code='1'/>",
    "<icmp type='3' code='1'/>"
)]
#[case::b3(
    "ipset-ignored",
    "out",
    "<tcp ipset='s' ipsetflags='dst'/>",
    "<all ipset='s' ipsetflags='dst'/>"
)]
#[case::ipset_forgotten(
    "ipset-forgotten",
    "out",
    "<tcp ipset='s'/>",
    "<all ipset='s' ipsetflags='dst'/>"
)]
#[case::b7("icmp-type-inout", "inout", "<icmp type='8'/>", "<icmp/>")]
#[case::b9(
    "arp-mask-inherited",
    "out",
    "<arp arpsrcipaddr='1.0.0.0' arpsrcipmask='8' arpdstipaddr='1.2.3.4'/>",
    "<arp arpsrcipaddr='1.0.0.0' arpsrcipmask='8' arpdstipaddr='1.2.3.4' arpdstipmask='32'/>"
)]
#[case::b10("dscp-is-tos", "out", "<ip dscp='46'/>", "<all dscp='46'/>")]
#[case::b11(
    "vlan-encap",
    "out",
    "<vlan encap-protocol='arp'/>",
    "<vlan vlanid='5'/>"
)]
#[case::b12("stp-attributes", "out", "<stp type='0'/>", "<stp/>")]
#[case::negated_list(
    "negated-list",
    "out",
    "<ip match='no' dstipaddr='$M'/>",
    "<ip match='no' dstipaddr='$L'/>"
)]
#[case::turned_round(
    "inout-turned-round",
    "inout",
    "<ip dstipaddr='1.2.3.4'/>",
    "<ip protocol='udp'/>"
)]
#[case::turned_round_and_the_same(
    "inout-turned-round",
    "inout",
    "<ip srcipaddr='1.2.3.0' srcipmask='24' dstipaddr='1.2.3.0' dstipmask='25'/>",
    "<ip srcipaddr='1.2.3.0' srcipmask='24' dstipaddr='1.2.3.0' dstipmask='24'/>"
)]
#[case::turned_round_ports(
    "inout-turned-round",
    "inout",
    "<ip protocol='udp' srcportstart='67' dstportstart='68'/>",
    "<ip protocol='udp' srcportstart='123' dstportstart='123'/>"
)]
#[case::turned_round_at_layer_3(
    "inout-turned-round",
    "inout",
    "<tcp dstportstart='25'/>",
    "<all srcipaddr='1.2.3.4'/>"
)]
#[case::broadcast(
    "broadcast-mask",
    "out",
    "<ip dstipaddr='255.255.255.255' dstipmask='24'/>",
    "<ip dstipaddr='255.255.255.255' dstipmask='32'/>"
)]
#[case::host_bits(
    "host-bits",
    "out",
    "<ip dstipaddr='192.168.1.1' dstipmask='24'/>",
    "<ip dstipaddr='192.168.1.0' dstipmask='24'/>"
)]
#[case::groups(
    "part-of-multicast",
    "out",
    "<ip dstipaddr='224.0.0.0' dstipmask='8'/>",
    "<ip dstipaddr='224.0.0.0' dstipmask='240.0.0.0'/>"
)]
#[case::release(
    "iptables-release",
    "out",
    "<udp dstportstart='64' dstportend='53'/>",
    "<udp dstportstart='53' dstportend='64'/>"
)]
#[case::network("layer-3", "out", "<tcp/>", "<ip protocol='tcp'/>")]
#[case::open("default-accept", "out", "<ip/>", "")]
#[case::one_way("direction-unfiltered", "out", "<ip/>", "<none/>")]
fn of_rules(#[case] name: &str, #[case] direction: &str, #[case] bad: &str, #[case] good: &str) {
    assert!(finds(name, &[&rule(direction, bad)]), "{bad}");
    // What is right for one direction only is right for both with another word.
    let good = if good == "<none/>" {
        rule("inout", "")
    } else {
        rule(direction, good)
    };
    assert!(!finds(name, &[&good]), "{good}");
}

#[rstest]
#[case::b13(
    "stp-chain-priority",
    "<filter name='x' chain='stp'/>",
    "<filter name='x' chain='stp' priority='-810'/>"
)]
#[case::zero(
    "chain-priority-0",
    "<filter name='x' chain='ipv4' priority='0'/>",
    "<filter name='x' chain='ipv4' priority='1'/>"
)]
#[case::root(
    "root-priority",
    "<filter name='x' chain='root' priority='5'/>",
    "<filter name='x' chain='ipv4' priority='5'/>"
)]
#[case::end(
    "chain-end-accepts",
    "<filter name='x' chain='ipv4'><rule action='drop' direction='out'><ip protocol='udp'/></rule></filter>",
    "<filter name='x' chain='ipv4'><rule action='drop' direction='out'/></filter>"
)]
#[case::end_behind_all_of_the_chains_protocol(
    "chain-end-accepts",
    "<filter name='x' chain='ipv4'><rule action='drop' direction='out'><ip protocol='tcp'/></rule><rule action='accept' direction='out' priority='600'><ip match='no' protocol='udp'/></rule></filter>",
    "<filter name='x' chain='ipv4'><rule action='drop' direction='out'><ip protocol='tcp'/></rule><rule action='accept' direction='out' priority='600'><ip/></rule></filter>"
)]
#[case::end_behind_two_that_are_all(
    "chain-end-accepts",
    "<filter name='x' chain='arp'><rule action='drop' direction='out'><arp opcode='1'/></rule><rule action='accept' direction='out'><arp match='no' opcode='1'/></rule></filter>",
    "<filter name='x' chain='arp'><rule action='drop' direction='out'><arp srcmacaddr='02:00:00:00:00:01'/></rule><rule action='accept' direction='out'><arp match='no' srcmacaddr='02:00:00:00:00:01'/></rule></filter>"
)]
#[case::end_behind_the_chains_ethertype(
    "chain-end-accepts",
    "<filter name='x' chain='ipv6'><rule action='drop' direction='out'><mac protocolid='ipv4'/></rule></filter>",
    "<filter name='x' chain='ipv6'><rule action='drop' direction='out'><mac protocolid='ipv6'/></rule></filter>"
)]
#[case::protocol(
    "chain-of-another-protocol",
    "<filter name='x' chain='ipv4'><rule action='drop' direction='out'><arp/></rule></filter>",
    "<filter name='x' chain='arp'><rule action='drop' direction='out'><arp/></rule></filter>"
)]
#[case::long_name(
    "long-chain-name",
    "<filter name='x' chain='ipv4-1234567'/>",
    "<filter name='x' chain='ipv4-12345'/>"
)]
fn of_filters(#[case] name: &str, #[case] bad: &str, #[case] good: &str) {
    assert!(finds(name, &[bad]));
    assert!(!finds(name, &[good]));
}

/// At layer 3 an accept is about a connection, both ends of it, whatever the direction.
#[rstest]
#[case::of_a_port("<tcp dstportstart='22'/>", false)]
#[case::of_an_address("<all dstipaddr='1.2.3.4'/>", false)]
#[case::at_layer_2("<ip dstipaddr='1.2.3.4'/>", true)]
fn of_an_accept_for_both_directions(#[case] element: &str, #[case] turned: bool) {
    let text = rule("inout", element).replace("'drop'", "'accept'");
    assert_eq!(finds("inout-turned-round", &[&text]), turned);
}

/// What nft does as it is written is no finding under libvirt's nftables back end.
#[rstest]
#[case::dscp("dscp-is-tos", "<ip dscp='46'/>")]
#[case::layer_3("layer-3", "<tcp/>")]
#[case::encapsulated("vlan-encap", "<vlan encap-protocol='arp'/>")]
fn of_iptables_alone(#[case] name: &str, #[case] element: &str) {
    let filters = [read(&rule("out", element), "test").unwrap()];
    let found = |backend| {
        let compiled = Compiled::with_backend(&filters, "x", [2; 6], &[], backend).unwrap();
        let mut findings = lint(&filters, "x", &compiled).into_iter();
        findings.any(|finding| finding.lint == name)
    };
    assert!(found(Backend::Ebtables));
    assert!(!found(Backend::Nftables));
}

#[test]
fn of_layer_3_outside_the_root_chain() {
    let name = "layer-3-outside-root";
    let sub =
        "<filter name='s' chain='ipv4'><rule action='drop' direction='out'><tcp/></rule></filter>";
    let top = |rule: &str| {
        format!(
            "<filter name='x'><filterref filter='s'/><rule action='accept' direction='out'>{rule}</rule></filter>"
        )
    };
    assert!(finds(name, &[&top("<udp/>"), sub]));
    // No rule is tried before it, and the rules of IPv6 are others.
    assert!(!finds(name, &[&top("<ip/>"), sub]));
    assert!(!finds(name, &[&top("<udp-ipv6/>"), sub]));
    assert!(!finds(name, &[sub]));
}

#[test]
fn of_chains_of_one_priority() {
    let top = "<filter name='x'><filterref filter='a'/><filterref filter='b'/></filter>";
    let sub = |name: &str, priority| {
        format!(
            "<filter name='{name}' chain='ipv4-{name}' priority='{priority}'><rule action='drop' direction='out'/></filter>"
        )
    };
    let name = "equal-chain-priority";
    assert!(finds(name, &[top, &sub("a", 1), &sub("b", 1)]));
    assert!(!finds(name, &[top, &sub("a", 1), &sub("b", 2)]));
    // No frame is both.
    assert!(!finds(
        name,
        &[top, &sub("a", 1), &sub("b", 1).replace("ipv4-b", "arp-b")]
    ));
    assert!(finds(
        name,
        &[top, &sub("a", 1), &sub("b", 1).replace("ipv4-b", "mac-b")]
    ));
}

#[test]
fn of_many_rules() {
    let many = |count| {
        let rules = "<rule action='drop' direction='out'/>".repeat(count);
        format!("<filter name='x'>{rules}</filter>")
    };
    assert!(names(&[&many(101)]).contains(&"many-rules"));
    assert!(!names(&[&many(100)]).contains(&"many-rules"));
}

#[rstest]
#[case::negated_protocol_with_a_port(
    "<rule action='drop' direction='out'><ip match='no' protocol='tcp' dstportstart='80'/></rule>",
    "<rule action='drop' direction='out'><ip protocol='tcp'/><ip match='no' dstportstart='80'/></rule>"
)]
#[case::unequal_lists(
    "<rule action='drop' direction='out'><ip srcipaddr='$L' dstipaddr='$M'/></rule>",
    "<rule action='drop' direction='out'><ip srcipaddr='$L'/></rule>"
)]
fn of_what_libvirt_refuses(#[case] bad: &str, #[case] good: &str) {
    let list = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let given = [
        list("L", "1.2.3.4"),
        list("M", "1.1.1.1"),
        list("M", "1.1.1.2"),
    ];
    let finding = |rule: &str| {
        let filters = [read(&format!("<filter name='x'>{rule}</filter>"), "test").unwrap()];
        let error = Compiled::new(&filters, "x", [2; 6], &given).err()?;
        refused(&filters, "x", &error)
    };
    let found = finding(bad).expect("it is refused");
    assert_eq!(found.lint, "refused");
    assert_eq!(found.rule.map(|origin| origin.rule), Some(1));
    assert_eq!(finding(good), None);
}

/// B35: of layer 3 some libvirt leaves the rule out instead.
#[rstest]
#[case::layer_2("<ip protocol='tcp' srcportstart='$L' dstportstart='$M'/>", false)]
#[case::layer_3("<tcp srcportstart='$L' dstportstart='$M'/>", true)]
fn of_unequal_lists_it_says_where_the_rule_is_left_out(#[case] element: &str, #[case] said: bool) {
    let given = [("L", "1"), ("M", "1"), ("M", "2")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let rule = format!("<rule action='drop' direction='out'>{element}</rule>");
    let filters = [read(&format!("<filter name='x'>{rule}</filter>"), "test").unwrap()];
    let error = Compiled::new(&filters, "x", [2; 6], &given).unwrap_err();
    let found = refused(&filters, "x", &error).expect("it is refused");
    assert_eq!(
        found.message.contains("without this rule"),
        said,
        "{}",
        found.message
    );
}

#[test]
fn the_generated_filter_is_clean() {
    let policy = Policy::example();
    let filters = [generate(&policy)];
    let compiled = Compiled::new(&filters, &policy.name, [2; 6], &[]).unwrap();
    assert_eq!(lint(&filters, &policy.name, &compiled), []);
}

#[test]
fn every_lint_has_a_filter_that_triggers_it_and_one_that_does_not() {
    // The tests above name each lint once with both; that of the reader has its own.
    let source = concat!(
        include_str!("tests.rs"),
        include_str!("tests/in_vain.rs"),
        include_str!("acting/tests.rs"),
        include_str!("whole/tests.rs")
    );
    // Those of definitions are tested where they are found, in src/domain/lint.rs.
    let elsewhere = |lint: &catalogue::Lint| catalogue::OF_DEFINITIONS.contains(&lint.name);
    for lint in catalogue::LINTS.iter().filter(|lint| !elsewhere(lint)) {
        let quoted = format!("\"{}\"", lint.name);
        assert!(source.contains(&quoted), "{} is not tested", lint.name);
    }
    let sorted = catalogue::LINTS.map(|lint| lint.name);
    assert!(sorted.is_sorted());
}

#[test]
fn of_filters_without_a_uuid() {
    let found = |uuid: &str| {
        without_uuid(&read(&format!("<filter name='x'>{uuid}</filter>"), "test").unwrap())
    };
    let finding = found("").unwrap();
    assert_eq!(
        (finding.lint, finding.severity),
        ("no-uuid", Severity::Note)
    );
    assert_eq!(
        found("<uuid>11111111-1111-1111-1111-111111111111</uuid>"),
        None
    );
}

#[test]
fn of_what_libvirt_ignores() {
    let name = "silently-ignored";
    let read = |rule: &str| {
        let text = format!("<filter name='x'>{rule}</filter>");
        let document = crate::nwfilter::as_libvirt(&text, "test").unwrap();
        ignored("x", &document.ignored)
    };
    let found = read("<rule action='drop' direction='out'><ip dstipadr='1.2.3.4'/></rule>");
    assert_eq!(found[0].lint, name);
    assert_eq!(found[0].position, Some((1, 54)));
    assert_eq!(read("<rule action='drop' direction='out'/>"), []);
}

/// The cure that a lint names must be one.
#[rstest]
#[case::plain(
    "<rule action='drop' direction='out'><arp/></rule>",
    "with an unconditional drop"
)]
#[case::before_layer_3(
    "<rule action='drop' direction='out'><arp/></rule><rule action='accept' direction='out'><tcp/></rule>",
    "a drop alone would take from the layer-3 rules"
)]
#[case::behind_a_catch_all(
    "<rule action='accept' direction='out'/>",
    "make it accept what is meant"
)]
fn what_default_accept_advises(#[case] rules: &str, #[case] part: &str) {
    let filters = [read(&format!("<filter name='x'>{rules}</filter>"), "test").unwrap()];
    let compiled = Compiled::new(&filters, "x", [2; 6], &[]).unwrap();
    let findings = lint(&filters, "x", &compiled);
    let found = findings
        .iter()
        .find(|finding| finding.lint == "default-accept")
        .unwrap();
    assert!(found.message.contains(part), "{}", found.message);
}
