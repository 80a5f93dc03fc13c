use super::*;
use rstest::rstest;

#[test]
fn the_example_is_the_articles_lan() {
    let policy = Policy::example();
    assert!(policy.may_send_to("192.168.1.77".parse().unwrap()));
    assert!(policy.may_send_to("255.255.255.255".parse().unwrap()));
    assert!(policy.may_send_to("ff02::fb".parse().unwrap()));
    for outside in [
        "192.168.2.1",
        "8.8.8.8",
        "255.255.255.0",
        "2001:db8::1",
        "ff0e::1",
    ] {
        assert!(!policy.may_send_to(outside.parse().unwrap()), "{outside}");
    }
}

fn error(text: &str) -> String {
    Policy::parse(text, "p.toml")
        .expect_err("must be refused")
        .to_string()
}

fn lan(prefixes: &str) -> String {
    format!("[lan]\nprefixes = [{prefixes}]\n")
}

#[rstest]
#[case::host_bits(&lan("\"192.168.1.5/24\""))]
#[case::overlap(&lan("\"10.0.0.0/8\", \"10.1.0.0/16\""))]
#[case::twice(&lan("\"10.0.0.0/8\", \"10.0.0.0/8\""))]
#[case::empty(&lan(""))]
#[case::everything(&lan("\"0.0.0.0/0\""))]
#[case::multicast(&lan("\"224.0.0.0/24\""))]
#[case::loopback(&lan("\"127.0.0.0/8\""))]
#[case::link_local(&lan("\"169.254.0.0/16\""))]
#[case::no_mask(&lan("\"192.168.1.0\""))]
#[case::no_prefix(&lan("\"home\""))]
#[case::unknown_key("[lan]\nprefixs = []\n")]
#[case::unknown_table("[wan]\n")]
#[case::foreign_gateway("[lan]\nprefixes = [\"10.0.0.0/8\"]\ngateway = \"192.168.1.1\"\n")]
#[case::bad_name("name = \"../x\"\n[lan]\nprefixes = [\"10.0.0.0/8\"]\n")]
#[case::unicast_group(
    "[lan]\nprefixes = [\"10.0.0.0/8\"]\n[multicast]\ngroups = [\"8.8.8.0/24\"]\n"
)]
#[case::allowed_already("[lan]\nprefixes = [\"10.0.0.0/8\"]\n[allow]\nhosts = [\"10.0.0.1/32\"]\n")]
#[case::bad_toml("[lan\n")]
#[case::no_lan("name = \"x\"\n")]
fn refusals(#[case] text: &str) {
    let name = std::thread::current()
        .name()
        .unwrap_or_default()
        .rsplit("::")
        .next()
        .unwrap_or_default()
        .to_owned();
    insta::assert_snapshot!(name, error(text));
}

#[test]
fn a_missing_file_and_foreign_bytes_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Policy::read(&dir.path().join("none.toml"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("No such file"), "{missing}");
    let path = dir.path().join("latin1.toml");
    std::fs::write(&path, b"name = \"\xff\"").unwrap();
    let foreign = Policy::read(&path).unwrap_err().to_string();
    assert!(foreign.contains("byte 8 is not UTF-8"), "{foreign}");
}

#[test]
fn without_an_ipv6_prefix_no_ipv6_group_may_be_sent_to() {
    let policy = Policy::parse("[lan]\nprefixes = [\"192.168.7.16/28\"]\n", "test").unwrap();
    assert!(!policy.may_send_to("ff02::fb".parse().unwrap()));
    assert!(policy.may_send_to("224.0.0.251".parse().unwrap()));
}
