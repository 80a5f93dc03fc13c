use super::*;
use crate::nwfilter::write;
use proptest::prelude::*;
use rstest::rstest;

const ARTICLE: &str = include_str!("../../../tests/fixtures/no-out-traffic.xml");

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

proptest! {
    #[test]
    fn garbage_never_panics(text in "[<>/='\" a-z&;!\\-\\[\\]\\n]{0,200}") {
        let _ = read(&text, "garbage");
    }

    #[test]
    fn a_cut_filter_is_an_error(cut in 1..ARTICLE.trim_end().len()) {
        prop_assert!(read(&ARTICLE[..cut], "cut").is_err());
    }
}
