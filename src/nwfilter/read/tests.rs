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
#[case::misspelt_attribute(&rule("<ip dstipadr='1.2.3.4'/>"))]
#[case::misspelt_protocol(&rule("<tpc dstportstart='80'/>"))]
#[case::attribute_of_another_protocol(&rule("<arp dstportstart='80'/>"))]
#[case::two_protocols(&rule("<ip/><arp/>"))]
#[case::match_maybe(&rule("<ip match='maybe'/>"))]
#[case::bad_action("<filter name='x'><rule action='allow' direction='out'/></filter>")]
#[case::bad_direction("<filter name='x'><rule action='drop' direction='output'/></filter>")]
#[case::bad_priority(
    "<filter name='x'><rule action='drop' direction='out' priority='5000'/></filter>"
)]
#[case::bad_chain("<filter name='x' chain='ip4'/>")]
#[case::no_name("<filter/>")]
#[case::path_as_name("<filter name='../x'/>")]
#[case::not_a_filter("<domain/>")]
#[case::two_filters("<filter name='x'/><filter name='y'/>")]
#[case::empty("")]
#[case::truncated("<filter name='x'>\n  <rule action='drop'")]
#[case::unclosed("<filter name='x'>\n  <rule action='drop' direction='out'>")]
#[case::crossed("<filter name='x'></rule></filter>")]
#[case::doctype("<!DOCTYPE f [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>\n<filter name='&b;'/>")]
#[case::undefined_entity("<filter name='&lol;'/>")]
#[case::text("<filter name='x'>hello</filter>")]
#[case::bad_uuid("<filter name='x'><uuid>12</uuid></filter>")]
#[case::skipped_parameter(
    "<filter name='x'><filterref filter='y'><parameter name='A-B' value='1'/></filterref></filter>"
)]
#[case::twice("<filter name='x' name='y'/>")]
#[case::deep("<filter name='x'><rule action='drop' direction='in'><ip><ip/></ip></rule></filter>")]
#[case::bad_value(&rule("<ip srcipaddr='1.2.3.4' dstipaddr='1.2.3.4/24'/>"))]
#[case::number_as_address(&rule("<ip srcipaddr='12'/>"))]
#[case::bad_variable(&rule("<ip srcipaddr='$LAN[x]'/>"))]
#[case::cut_comment(&rule(&format!("<ip comment='{}'/>", "x".repeat(257))))]
#[case::megabyte_value(&rule(&format!("<ip srcipaddr='{}'/>", "1".repeat(1 << 20))))]
#[case::megabyte_name(&rule(&format!("<{}/>", "a".repeat(1 << 20))))]
#[case::megabyte_attribute(&rule(&format!("<ip {}='1'/>", "a".repeat(1 << 20))))]
#[case::name_of_a_filter_with_markup("<filter name='a&lt;b'/>")]
#[case::long_name(&format!("<filter name='{}'/>", "n".repeat(248)))]
#[case::priority_without_chain("<filter name='x' priority='5'/>")]
#[case::word_as_priority(
    "<filter name='x'><rule action='drop' direction='out' priority='high'/></filter>"
)]
#[case::statematch_off(
    "<filter name='x'><rule action='drop' direction='out' statematch='no'/></filter>"
)]
#[case::attribute_in_two_elements(&rule("<ip srcipaddr='1.2.3.4'/><ip match='no' srcipaddr='1.2.3.5'/>"))]
#[case::many_elements(&rule(&"<ip/>".repeat(100_000)))]
#[case::prefixed("<a:filter xmlns:a='b' name='x'/>")]
fn refusals(#[case] text: &str) {
    let name = std::thread::current()
        .name()
        .unwrap_or_default()
        .rsplit("::")
        .next()
        .unwrap_or_default()
        .to_owned();
    insta::assert_snapshot!(
        name,
        read(text, "f.xml")
            .expect_err("must be refused")
            .to_string()
    );
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
  <a:rule action='accept' direction='in'><arp gratuitous='ja'/></a:rule>
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
    for Ignored { place, what } in &document.ignored {
        let _ = writeln!(text, "{}:{}: {what}", place.0, place.1);
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
