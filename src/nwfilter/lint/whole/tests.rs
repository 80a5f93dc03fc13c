use super::*;
use crate::nwfilter::read;
use rstest::rstest;

/// libvirt learns the guest's address from its traffic, if that is all that is unset.
#[rstest]
#[case::nobody_gives("$N", "", &["N"])]
#[case::given("$L", "", &[])]
#[case::learned("$IP", "", &[])]
#[case::learned_beside_another("$IP", "<rule action='drop' direction='out'><ip dstipaddr='$N'/></rule>", &["IP", "N"])]
#[case::several("$N", "<rule action='drop' direction='in'><tcp dstportstart='$P' dstportend='$Q'/></rule>", &["N", "P", "Q"])]
fn of_variables_that_nothing_sets(#[case] value: &str, #[case] more: &str, #[case] unset: &[&str]) {
    let rule = format!("<rule action='drop' direction='out'><ip srcipaddr='{value}'/></rule>");
    let filter = read(&format!("<filter name='x'>{rule}{more}</filter>"), "test").unwrap();
    let given = [("L".to_owned(), "1.2.3.4".to_owned())];
    let whole = whole(&[filter], "x", [2; 6], &given, Backend::Ebtables);
    let found = whole
        .findings
        .iter()
        .filter(|finding| finding.lint == "unset-variable");
    let found: Vec<&Finding> = found.collect();
    assert_eq!(found.len(), unset.len(), "{found:?}");
    for (finding, name) in found.iter().zip(unset) {
        assert_eq!(finding.severity, Severity::Error);
        assert!(
            finding.message.contains(&format!("${name},")),
            "{}",
            finding.message
        );
    }
    // Everything else is looked at all the same.
    assert!(whole.unbound.is_none());
    assert!(
        whole
            .findings
            .iter()
            .any(|finding| finding.lint == "default-accept")
    );
}

#[test]
fn an_address_that_is_not_learned_is_unset() {
    let filter = read(
        "<filter name='x'><rule action='drop' direction='out'><ip srcipaddr='$IP'/></rule></filter>",
        "test",
    );
    let off = [("CTRL_IP_LEARNING".to_owned(), "None".to_owned())];
    let whole = whole(&[filter.unwrap()], "x", [2; 6], &off, Backend::Ebtables);
    assert_eq!(whole.findings[0].lint, "unset-variable");
}

#[test]
fn of_references_that_lead_nowhere() {
    let text = "<filter name='x'><filterref filter='gone'/><rule action='drop' direction='out'><ip dscp='46'/></rule><filterref filter='away'/></filter>";
    let whole = whole(
        &[read(text, "test").unwrap()],
        "x",
        [2; 6],
        &[],
        Backend::Ebtables,
    );
    let found = whole
        .findings
        .iter()
        .filter(|finding| finding.lint == "missing-filter");
    let messages: Vec<&str> = found.map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].contains("gone") && messages[1].contains("away"));
    assert!(
        whole
            .findings
            .iter()
            .any(|finding| finding.lint == "dscp-is-tos")
    );
    assert!(
        whole
            .findings
            .iter()
            .any(|finding| finding.lint == "default-accept")
    );
}

/// While libvirt learns, the guest's IPv4 passes, whatever the filter says.
#[rstest]
#[case::by_default("<ip match='no' srcipaddr='$IP'/>", &[], true)]
#[case::from_any_frame("<ip match='no' srcipaddr='$IP'/>", &[("CTRL_IP_LEARNING", "ANY")], true)]
#[case::from_a_lease("<ip match='no' srcipaddr='$IP'/>", &[("CTRL_IP_LEARNING", "dhcp")], false)]
#[case::never("<ip match='no' srcipaddr='$IP'/>", &[("CTRL_IP_LEARNING", "none")], false)]
#[case::given("<ip match='no' srcipaddr='$IP'/>", &[("IP", "192.168.1.7")], false)]
#[case::nothing_asks_for_it("<ip match='no' srcipaddr='192.168.1.7'/>", &[], false)]
#[case::another_is_unset("<ip srcipaddr='$IP' dstipaddr='$N'/>", &[], false)]
#[case::that_drops_no_ipv4_from_the_guest("<arp arpsrcipaddr='$IP'/>", &[], false)]
#[case::at_layer_3("<tcp dstipaddr='10.0.0.0' dstipmask='8'/><tcp srcipaddr='$IP'/>", &[], true)]
fn of_frames_that_get_out_meanwhile(
    #[case] element: &str,
    #[case] given: &[(&str, &str)],
    #[case] expected: bool,
) {
    let text =
        format!("<filter name='x'><rule action='drop' direction='out'>{element}</rule></filter>");
    let given: Vec<(String, String)> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let whole = whole(
        &[read(&text, "test").unwrap()],
        "x",
        [2; 6],
        &given,
        Backend::Ebtables,
    );
    let mut findings = whole.findings.iter();
    let found = findings.find(|finding| finding.lint == "learning-lets-out");
    assert_eq!(found.is_some(), expected, "{:?}", whole.findings);
    if let Some(found) = found {
        assert_eq!(found.severity, Severity::Warning);
        assert!(
            found.message.contains("which the filter drops"),
            "{}",
            found.message
        );
    }
}
