use super::*;
use crate::nwfilter::write;
use proptest::prelude::*;
use rstest::rstest;
use std::fmt::Write as _;

const ARTICLE: &str = include_str!("../../../examples/no-out-traffic.xml");

#[test]
fn the_articles_filter() {
    let filter = read(ARTICLE, "no-out-traffic.xml").unwrap();
    assert_eq!(
        (filter.name.as_str(), filter.chain.as_str(), filter.priority),
        ("no-out-traffic", "ipv4", Some(-700))
    );
    assert_eq!(filter.rule_count(), 5);
    assert!(!filter.rules().next().unwrap().elements[0].positive);
    assert_eq!(read(&write(&filter), "again").unwrap(), filter);
}

fn rule(inside: &str) -> String {
    format!(
        "<filter name='x'>\n  <rule action='drop' direction='out'>\n    {inside}\n  </rule>\n</filter>"
    )
}

#[rstest]
#[case::misspelt_attribute(
    &rule("<ip dstipadr='1.2.3.4'/>"),
    "f.xml:3:5: unknown attribute dstipadr in <ip>: libvirt silently ignores it; did you mean dstipaddr?"
)]
#[case::misspelt_protocol(
    &rule("<tpc dstportstart='80'/>"),
    "f.xml:3:5: unknown element tpc in <rule>: libvirt silently ignores it; did you mean tcp?"
)]
#[case::attribute_of_another_protocol(
    &rule("<arp dstportstart='80'/>"),
    "f.xml:3:5: unknown attribute dstportstart in <arp>: libvirt silently ignores it; it knows srcmacaddr, srcmacmask, dstmacaddr, dstmacmask, hwtype, protocoltype, opcode, arpsrcmacaddr, arpdstmacaddr, arpsrcipaddr, arpsrcipmask, arpdstipaddr, arpdstipmask, gratuitous, comment"
)]
#[case::two_protocols(
    &rule("<ip/><arp/>"),
    "f.xml:3:10: <arp> after <ip> in one rule: libvirt silently ignores it"
)]
#[case::match_maybe(
    &rule("<ip match='maybe'/>"),
    "f.xml:3:5: match `maybe` is neither yes nor no: libvirt takes it for yes"
)]
#[case::bad_action(
    "<filter name='x'><rule action='allow' direction='out'/></filter>",
    "f.xml:1:18: action `allow` is none of accept, drop, reject, return, continue"
)]
#[case::bad_direction(
    "<filter name='x'><rule action='drop' direction='output'/></filter>",
    "f.xml:1:18: direction `output` is none of in, out, inout"
)]
#[case::bad_priority(
    "<filter name='x'><rule action='drop' direction='out' priority='5000'/></filter>",
    "f.xml:1:18: priority 5000 is none: use -1000 to 1000 (libvirt silently takes 500)"
)]
#[case::bad_chain(
    "<filter name='x' chain='ip4'/>",
    "f.xml:1:1: chain `ip4` is none: use root, or a name of at most 12 characters that begins with mac, stp, vlan, arp, rarp, ipv4, ipv6"
)]
#[case::no_name("<filter/>", "f.xml:1:1: <filter> lacks the attribute name")]
#[case::path_as_name(
    "<filter name='../x'/>",
    "f.xml:1:1: `../x` cannot be the name of a filter: libvirt makes a file of it; use at most 247 letters, digits and _ . -"
)]
#[case::not_a_filter(
    "<domain/>",
    "f.xml:1:1: <domain> is no filter; the file must hold one <filter>"
)]
#[case::two_filters(
    "<filter name='x'/><filter name='y'/>",
    "f.xml:1:19: a second <filter> in one file; write each into a file of its own"
)]
#[case::empty("", "f.xml:1:1: there is no <filter> in the file")]
#[case::truncated(
    "<filter name='x'>\n  <rule action='drop'",
    "f.xml:2:3: this is no well-formed XML: syntax error: tag not closed: `>` not found before end of input"
)]
#[case::unclosed(
    "<filter name='x'>\n  <rule action='drop' direction='out'>",
    "f.xml:2:39: the file ends in the middle of the filter"
)]
#[case::crossed(
    "<filter name='x'></rule></filter>",
    "f.xml:1:18: this is no well-formed XML: ill-formed document: expected `</filter>`, but `</rule>` was found"
)]
#[case::doctype(
    "<!DOCTYPE f [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>\n<filter name='&b;'/>",
    "f.xml:1:1: a document type declaration is refused: filters need none, and entities in it can be used for attacks"
)]
#[case::undefined_entity(
    "<filter name='&lol;'/>",
    "f.xml:1:1: the value of name in <filter>: at 1..4: unrecognized entity `lol`"
)]
#[case::text(
    "<filter name='x'>hello</filter>",
    "f.xml:1:18: the text `hello` cannot stand here"
)]
#[case::bad_uuid(
    "<filter name='x'><uuid>12</uuid></filter>",
    "f.xml:1:26: `12` is no UUID"
)]
#[case::skipped_parameter(
    "<filter name='x'><filterref filter='y'><parameter name='A-B' value='1'/></filterref></filter>",
    "f.xml:1:40: parameter A-B=1 has a character that libvirt does not take: it silently skips the parameter; names have letters, digits and _, values . and : besides"
)]
#[case::twice(
    "<filter name='x' name='y'/>",
    "f.xml:1:1: in <filter>: position 16: duplicated attribute, previous declaration at position 7"
)]
#[case::deep(
    "<filter name='x'><rule action='drop' direction='in'><ip><ip/></ip></rule></filter>",
    "f.xml:1:57: <ip> is nested too deeply; a filter has 3 levels"
)]
#[case::bad_value(
    &rule("<ip srcipaddr='1.2.3.4' dstipaddr='1.2.3.4/24'/>"),
    "f.xml:3:5: `1.2.3.4/24` cannot be the dstipaddr of <ip>: write an IPv4 address"
)]
#[case::number_as_address(
    &rule("<ip srcipaddr='12'/>"),
    "f.xml:3:5: the srcipaddr `12` of <ip>: libvirt reads it as `0.0.0.12`"
)]
#[case::bad_variable(
    &rule("<ip srcipaddr='$LAN[x]'/>"),
    "f.xml:3:5: `$LAN[x]` cannot be the srcipaddr of <ip>: write $NAME, $NAME[@iterator] or $NAME[element]"
)]
#[case::cut_comment(
    &rule(&format!("<ip comment='{}'/>", "x".repeat(257))),
    "f.xml:3:5: the comment `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` of <ip>: libvirt reads it as `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`"
)]
#[case::megabyte_value(
    &rule(&format!("<ip srcipaddr='{}'/>", "1".repeat(1 << 20))),
    "f.xml:3:5: `1111111111111111111111111111111111111111…` cannot be the srcipaddr of <ip>: write an IPv4 address"
)]
#[case::megabyte_name(
    &rule(&format!("<{}/>", "a".repeat(1 << 20))),
    "f.xml:3:5: unknown element aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… in <rule>: libvirt silently ignores it; it knows mac, vlan, stp, arp, rarp, ip, ipv6, tcp, udp, sctp, icmp, icmpv6, igmp, esp, ah, udplite, all, tcp-ipv6, udp-ipv6, sctp-ipv6, esp-ipv6, ah-ipv6, udplite-ipv6, all-ipv6"
)]
#[case::megabyte_attribute(
    &rule(&format!("<ip {}='1'/>", "a".repeat(1 << 20))),
    "f.xml:3:5: unknown attribute aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… in <ip>: libvirt silently ignores it; it knows srcmacaddr, srcmacmask, dstmacaddr, dstmacmask, srcipaddr, srcipmask, dstipaddr, dstipmask, protocol, srcportstart, srcportend, dstportstart, dstportend, dscp, comment"
)]
#[case::name_of_a_filter_with_markup(
    "<filter name='a&lt;b'/>",
    "f.xml:1:1: `a<b` cannot be the name of a filter: libvirt makes a file of it; use at most 247 letters, digits and _ . -"
)]
#[case::long_name(
    &format!("<filter name='{}'/>", "n".repeat(248)),
    "f.xml:1:1: `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…` cannot be the name of a filter: libvirt makes a file of it; use at most 247 letters, digits and _ . -"
)]
#[case::priority_without_chain(
    "<filter name='x' priority='5'/>",
    "f.xml:1:1: a priority without a chain: libvirt drops it; add chain='root' or leave it out"
)]
#[case::word_as_priority(
    "<filter name='x'><rule action='drop' direction='out' priority='high'/></filter>",
    "f.xml:1:18: priority `high` is no number: use -1000 to 1000 (older libvirt silently takes 500, newer refuses the filter)"
)]
#[case::statematch_off(
    "<filter name='x'><rule action='drop' direction='out' statematch='no'/></filter>",
    "f.xml:1:18: statematch `no` is neither true nor false: libvirt takes it for true"
)]
#[case::attribute_in_two_elements(
    &rule("<ip srcipaddr='1.2.3.4'/><ip match='no' srcipaddr='1.2.3.5'/>"),
    "f.xml:3:30: srcipaddr stands in two elements of the rule: libvirt keeps the last one only"
)]
#[case::many_elements(
    &rule(&"<ip/>".repeat(100_000)),
    "f.xml:3:325: the rule has more than 64 elements"
)]
#[case::prefixed(
    "<a:filter xmlns:a='b' name='x'/>",
    "f.xml:1:1: <a:filter> has a namespace's prefix, which libvirt does not look at: it reads <filter>"
)]
fn refusals(#[case] text: &str, #[case] expected: &str) {
    let error = read(text, "f.xml").expect_err("must be refused");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_huge_file_is_refused_unread() {
    let text = " ".repeat(MAX_BYTES + 1);
    assert!(
        read(&text, "f.xml")
            .unwrap_err()
            .to_string()
            .contains("at most")
    );
}

/// Everything at once that libvirt reads as something else.
const SLOPPY: &str = "\
<filter name='x' colour='red'>
  remark
  <rule action='drop' direction='out' priority='5000' statematch='no'>
    <ip match='maybe' dstipadr='1.2.3.4' srcipaddr='12' dscp='a'/>
    <arp opcode='1'><mac/></arp>
    <tpc dstportstart='80'/>
  </rule>
  <a:rule action='accept' direction='in' priority='abc'><arp gratuitous='ja'/></a:rule>
  <filterref filter='y'>
    <parameter name='A-B' value='1'/>
    <parameter name='C' value='2'/>
  </filterref>
</filter>
";

#[test]
fn the_lenient_reader_lists_what_libvirt_ignores() {
    let document = as_libvirt(SLOPPY, "f.xml").unwrap();
    let mut text = String::new();
    for Ignored { position, what } in &document.ignored {
        let _ = writeln!(text, "{}:{}: {what}", position.0, position.1);
    }
    insta::assert_snapshot!(text + "\n" + &write(&document.filter));
}

#[test]
fn both_readers_agree_on_a_clean_file() {
    let lenient = as_libvirt(ARTICLE, "f.xml").unwrap();
    assert_eq!(lenient, document(ARTICLE, "f.xml").unwrap());
    assert_eq!(lenient.rules, [(3, 3), (6, 3), (9, 3), (12, 3), (15, 3)]);
}

#[test]
fn what_is_ignored_is_not_followed_forever() {
    let deep = |count: usize| {
        let inside = format!("{}{}", "<b>".repeat(count), "</b>".repeat(count));
        format!("<filter name='x'>{inside}</filter>")
    };
    assert!(as_libvirt(&deep(200), "f.xml").is_ok());
    let error = as_libvirt(&deep(100_000), "f.xml").unwrap_err();
    assert!(error.to_string().contains("nested too deeply"), "{error}");
    let many = format!("<filter name='x'>{}</filter>", "<b/>".repeat(100_000));
    let error = as_libvirt(&many, "f.xml").unwrap_err();
    assert!(error.to_string().contains("1000th thing"), "{error}");
}

#[test]
fn a_hundred_thousand_rules_on_one_line_are_read() {
    let rules = "<rule action='drop' direction='in'/>".repeat(100_000);
    let text = format!("<filter name='x'>{rules}</filter>");
    let document = document(&text, "f.xml").unwrap();
    assert_eq!(document.filter.rule_count(), 100_000);
    assert_eq!(document.rules.last(), Some(&(1, 18 + 36 * 99_999)));
}

proptest! {
    #[test]
    fn garbage_never_panics(text in "[<>/='\" a-z&;!\\-\\[\\]\\n]{0,200}") {
        let _ = read(&text, "garbage");
        let _ = as_libvirt(&text, "garbage");
    }

    #[test]
    fn a_cut_filter_is_an_error(cut in 1..ARTICLE.trim_end().len()) {
        prop_assert!(read(&ARTICLE[..cut], "cut").is_err());
    }
}
