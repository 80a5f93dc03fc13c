use super::*;
use crate::domain::Domain;
use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

fn filterref(parameters: &[(&str, &str)]) -> FilterRef {
    let parameters = parameters.iter();
    FilterRef {
        filter: "lan-only".into(),
        parameters: parameters
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

fn domain(devices: &str) -> String {
    format!("<domain type='kvm'>\n  <name>g</name>\n  <devices>{devices}</devices>\n</domain>\n")
}

/// The text with the filterref in the first interface, and that taken out again.
fn there_and_back(xml: &str, filterref: &FilterRef) -> (String, String) {
    let with = set_filterref(
        xml,
        &Domain::parse(xml).unwrap().interfaces[0],
        Some(filterref),
    );
    let interface = Domain::parse(&with).unwrap().interfaces.remove(0);
    assert_eq!(
        interface.filterrefs,
        std::slice::from_ref(filterref),
        "{with}"
    );
    let without = set_filterref(&with, &interface, None);
    (with, without)
}

#[test]
fn a_filterref_stands_as_libvirt_prints_it() {
    let xml = domain(
        "\n    <interface type='bridge'>\n      <source bridge='br0'/>\n      <model type='virtio'/>\n    </interface>\n  ",
    );
    let (with, without) = there_and_back(&xml, &filterref(&[("IP", "192.0.2.7")]));
    insta::assert_snapshot!(with, @r"
    <domain type='kvm'>
      <name>g</name>
      <devices>
        <interface type='bridge'>
          <source bridge='br0'/>
          <model type='virtio'/>
          <filterref filter='lan-only'>
            <parameter name='IP' value='192.0.2.7'/>
          </filterref>
        </interface>
      </devices>
    </domain>
    ");
    assert_eq!(without, xml);
}

#[rstest]
#[case::one_line(
    "<interface type='bridge'><source bridge='b'/></interface>",
    "<interface type='bridge'><source bridge='b'/><filterref filter='lan-only'/></interface>"
)]
#[case::one_tag(
    "<interface type='ethernet'/>",
    "<interface type='ethernet'> <filterref filter='lan-only'/></interface>"
)]
#[case::one_tag_on_its_line(
    "\n\t\t<interface type='ethernet' />\n",
    "\n\t\t<interface type='ethernet' >\n\t\t\t<filterref filter='lan-only'/>\n\t\t</interface>\n"
)]
#[case::nothing_in_it(
    "<interface type='user'></interface>",
    "<interface type='user'><filterref filter='lan-only'/></interface>"
)]
#[case::only_white_space(
    "<interface type='user'>\n  </interface>",
    "<interface type='user'><filterref filter='lan-only'/>\n  </interface>"
)]
#[case::only_a_comment(
    "<interface type='user'> <!-- <filterref filter='x'/> --> </interface>",
    "<interface type='user'><filterref filter='lan-only'/> <!-- <filterref filter='x'/> --> </interface>"
)]
#[case::lines_of_windows(
    "<interface type='user'>\r\n\r\n  <mac address='52:54:00:00:00:01'/>\r\n</interface>",
    "<interface type='user'>\r\n\r\n  <mac address='52:54:00:00:00:01'/>\r\n  <filterref filter='lan-only'/>\r\n</interface>"
)]
#[case::text_of_cdata(
    "<interface type='user'><![CDATA[</interface>]]> <a/><![CDATA[ ]]></interface>",
    "<interface type='user'><![CDATA[</interface>]]> <a/> <filterref filter='lan-only'/><![CDATA[ ]]></interface>"
)]
fn put_in_and_taken_out(#[case] interface: &str, #[case] expected: &str) {
    let xml = domain(interface);
    let (with, without) = there_and_back(&xml, &filterref(&[]));
    assert_eq!(with, domain(expected));
    assert_eq!(without, xml);
}

#[rstest]
#[case::another(
    "<interface type='user'>\n  <filterref filter='x'>\n    <parameter name='A' value='1'/>\n  </filterref>\n  <mac address='52:54:00:00:00:01'/>\n</interface>",
    "<interface type='user'>\n  <filterref filter='lan-only'>\n    <parameter name='A' value='2'/>\n  </filterref>\n  <mac address='52:54:00:00:00:01'/>\n</interface>"
)]
#[case::two(
    "<interface type='user'><filterref filter='x'/> <a/> <filterref filter='y'/></interface>",
    "<interface type='user'><filterref filter='lan-only'><parameter name='A' value='2'/></filterref> <a/></interface>"
)]
fn replaced_where_it_stood(#[case] interface: &str, #[case] expected: &str) {
    let xml = domain(interface);
    let interface = Domain::parse(&xml).unwrap().interfaces.remove(0);
    let replaced = set_filterref(&xml, &interface, Some(&filterref(&[("A", "2")])));
    assert_eq!(replaced, domain(expected));
}

#[test]
fn two_filterrefs_are_taken_out_together() {
    let xml = domain(
        "<interface type='user'>\n <filterref filter='x'/>\n <a/>\n <filterref filter='y'/>\n</interface>",
    );
    let interface = Domain::parse(&xml).unwrap().interfaces.remove(0);
    let without = set_filterref(&xml, &interface, None);
    assert_eq!(
        without,
        domain("<interface type='user'>\n <a/>\n</interface>")
    );
}

#[test]
fn the_element_alone_is_what_the_text_has() {
    let xml =
        domain("\n    <interface type='bridge'>\n      <source bridge='a'/>\n    </interface>");
    let guest = Domain::parse(&xml).unwrap();
    let element = interface_with(&xml, &guest.interfaces[0], Some(&filterref(&[])));
    let whole = set_filterref(&xml, &guest.interfaces[0], Some(&filterref(&[])));
    assert!(whole.contains(&element));
    assert!(element.starts_with("<interface") && element.ends_with("</interface>"));
}

/// White space and comments between elements.
fn gap() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ \t\r\n]{0,6}",
        Just("\n      ".to_owned()),
        Just("<!-- <filterref filter='no'/> -->".to_owned()),
        Just("<![CDATA[<interface>]]>".to_owned()),
        Just("<?pi?>".to_owned()),
        "[a-z\u{e4}]{1,3}",
    ];
    vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

fn child() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("<mac address='52:54:00:00:00:01'/>".to_owned()),
        Just("<source bridge=\"br0\"></source>".to_owned()),
        Just("<target dev='vnet0' />".to_owned()),
        Just("<driver><!-- > --><host csum='off'/>\n</driver>".to_owned()),
        Just("<alias name='a&gt;&#10;'/>".to_owned()),
    ]
}

fn interface() -> impl Strategy<Value = String> {
    let empty = prop_oneof![
        Just("<interface type='ethernet'/>".to_owned()),
        Just("<interface\n type='ethernet' />".to_owned()),
    ];
    let full = (gap(), vec((child(), gap()), 0..4), "[ \n]{0,2}").prop_map(|(first, rest, end)| {
        let rest: String = rest.into_iter().map(|(child, gap)| child + &gap).collect();
        format!("<interface type='bridge'>{first}{rest}</interface{end}>")
    });
    prop_oneof![1 => empty, 3 => full]
}

fn any_filterref() -> impl Strategy<Value = FilterRef> {
    let value = prop_oneof!["[A-Za-z0-9_.:-]{1,12}", "[<>&'\" \t\r\n\u{e4}]{0,4}"];
    (value.clone(), vec((value.clone(), value), 0..3))
        .prop_map(|(filter, parameters)| FilterRef { filter, parameters })
}

proptest! {
    /// Every other byte stays: what is put in and taken out again leaves the text as it was,
    /// also where another interface has the same MAC address.
    #[test]
    fn taken_out_again_nothing_has_changed(
        parts in vec((gap(), interface()), 1..4),
        last in gap(),
        which in any::<prop::sample::Index>(),
        filterref in any_filterref(),
        other in any_filterref(),
    ) {
        let devices: String = parts.iter().flat_map(|(gap, interface)| [gap.as_str(), interface]).collect();
        let xml = domain(&(devices + &last));
        let before = Domain::parse(&xml).unwrap();
        let which = which.index(before.interfaces.len());
        let (start, end) = (before.interfaces[which].span.start, before.interfaces[which].span.end);

        let with = set_filterref(&xml, &before.interfaces[which], Some(&filterref));
        let after = Domain::parse(&with).unwrap();
        prop_assert_eq!(&with[..start], &xml[..start]);
        prop_assert!(with.ends_with(&xml[end..]));
        prop_assert_eq!(after.interfaces.len(), before.interfaces.len());
        for (number, interface) in after.interfaces.iter().enumerate() {
            let expected = if number == which { vec![filterref.clone()] } else { vec![] };
            prop_assert_eq!(&interface.filterrefs, &expected);
        }
        prop_assert_eq!(set_filterref(&with, &after.interfaces[which], None), xml.clone());

        let replaced = set_filterref(&with, &after.interfaces[which], Some(&other));
        let again = Domain::parse(&replaced).unwrap();
        prop_assert_eq!(&again.interfaces[which].filterrefs, &vec![other]);
        prop_assert_eq!(set_filterref(&replaced, &again.interfaces[which], None), xml);
    }
}
