use super::*;
use crate::nwfilter::read;
use rstest::rstest;

fn found(rules: &str, way: Way) -> Vec<Summary> {
    let filter = read(&format!("<filter name='x'>{rules}</filter>"), "test").unwrap();
    let compiled = Compiled::new(&[filter], "x", [2; 6], &[]).unwrap();
    summaries(&compiled, way)
}

const DROP: &str = "<rule action='drop' direction='inout' priority='1000'/>";

#[rstest]
#[case::nothing_is_filtered("", false)]
#[case::all_is_dropped(DROP, true)]
fn all_or_nothing(#[case] rules: &str, #[case] closed: bool) {
    for way in [Way::FromGuest, Way::ToGuest] {
        let found = found(rules, way);
        assert!(found.len() > 20);
        for kind in found {
            assert_eq!(
                (kind.is_closed(), kind.is_open()),
                (closed, !closed),
                "{kind:?}"
            );
        }
    }
}

/// What is said of the kind with this name.
fn words(rules: &str, way: Way, name: &str) -> String {
    let found = found(rules, way);
    let kind = found.iter().find(|kind| kind.name == name).unwrap();
    let list = |regions: &[Region]| {
        let words: Vec<String> = regions.iter().map(|region| kind.words(region)).collect();
        words.join(" | ")
    };
    let form = match &kind.form {
        Form::Only(regions) => format!("only {}", list(regions)),
        Form::AllBut(regions) => format!("all but {}", list(regions)),
        Form::Unknown => "unknown".to_owned(),
    };
    format!("{form} / {}", list(&kind.further_answers()))
}

#[rstest]
#[case::one_protocol_of_those_with_ports(
    "<rule action='drop' direction='out'><udp dstipaddr='10.44.0.0' dstipmask='24'/></rule>",
    "IPv4 udp",
    "only to all but 10.44.0.0/24 / "
)]
#[case::another_is_not_meant(
    "<rule action='drop' direction='out'><udp dstipaddr='10.44.0.0' dstipmask='24'/></rule>",
    "IPv4 sctp",
    "all but  / "
)]
#[case::ports(
    "<rule action='accept' direction='out'><ip protocol='tcp' dstportstart='80' dstportend='81'/></rule>
     <rule action='drop' direction='out'/>",
    "IPv4 tcp", "only to port 80-81 / "
)]
#[case::pairs_stay_pairs(
    "<rule action='accept' direction='out'><ip protocol='tcp' dstipaddr='10.0.0.1' dstportstart='80'/></rule>
     <rule action='accept' direction='out'><ip protocol='tcp' dstipaddr='10.0.0.2' dstportstart='443'/></rule>
     <rule action='drop' direction='out'/>",
    "IPv4 tcp", "only to 10.0.0.1, to port 80 | to 10.0.0.2, to port 443 / "
)]
#[case::a_hole_in_the_rules_own_words(
    "<rule action='drop' direction='out' priority='1'><ip dstipaddr='10.7.9.0' dstipmask='24'/></rule>
     <rule action='accept' direction='out' priority='2'><ip dstipaddr='10.0.0.0' dstipmask='8'/></rule>
     <rule action='drop' direction='out' priority='3'/>",
    "IPv4 tcp", "only to 10.0.0.0/8 but 10.7.9.0/24 / "
)]
#[case::the_whole_of_ipv4(
    "<rule action='accept' direction='out'><ip dstipaddr='0.0.0.0' dstipmask='0'/></rule>
     <rule action='drop' direction='out'/>",
    "IPv4 tcp",
    "all but  / "
)]
fn of_frames_from_the_guest(#[case] rules: &str, #[case] name: &str, #[case] expected: &str) {
    assert_eq!(words(rules, Way::FromGuest, name), expected);
}

#[test]
fn answers_of_allowed_connections_are_named() {
    let rules = "<rule action='accept' direction='out' priority='1'><tcp dstipaddr='10.0.0.0' dstipmask='8' dstportstart='22'/></rule>
         <rule action='drop' direction='inout' priority='2'><all/></rule>";
    let answers = words(rules, Way::ToGuest, "IPv4 tcp");
    assert_eq!(answers, "only  / from 10.0.0.0/8, from port 22");
    let found = found(rules, Way::FromGuest);
    let tcp = found.iter().find(|kind| kind.name == "IPv4 tcp").unwrap();
    assert!(tcp.of_first_packets);
}
