//! The examples do what they say. They are compiled into this program too, because
//! `cargo test --test all` does not build them as programs.

use lanfence::nwfilter::evaluate::Decision;
use std::path::{Path, PathBuf};

#[allow(dead_code, reason = "only `cargo run --example` starts its `main`")]
#[path = "../../examples/evaluate_frame.rs"]
mod evaluate_frame;
#[allow(dead_code, reason = "only `cargo run --example` starts its `main`")]
#[path = "../../examples/generate_filter.rs"]
mod generate_filter;
#[allow(dead_code, reason = "only `cargo run --example` starts its `main`")]
#[path = "../../examples/list_leaks.rs"]
mod list_leaks;

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");
const ARTICLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/no-out-traffic.xml");

/// UDP of the guest from 192.168.1.77 to port 443 of 203.0.113.10.
const TO_THE_WAN: &str = "525400000001525400000101080045000020000000004011\
    7ccdc0a8014dcb00710a9c4001bb000c0000deadbeef";

#[test]
fn a_generated_filter_has_no_leak_and_the_articles_has_some() {
    let dir = tempfile::tempdir().expect("a directory for the filter");
    let file = dir.path().join("generated.xml");
    let xml = generate_filter::filter_of(Path::new(POLICY)).expect("the shipped policy");
    std::fs::write(&file, xml).expect("the filter");
    let leaks = |filter: PathBuf| list_leaks::leaks(Path::new(POLICY), filter).expect("a filter");
    assert_eq!(leaks(file), Vec::<String>::new());
    let leaks = leaks(ARTICLE.into());
    assert!(leaks.iter().any(|id| id == "wan-ipv6/udp-53"), "{leaks:?}");
}

#[test]
fn a_frame_to_the_wan_is_dropped() {
    let frame = lanfence::frame::from_hex(TO_THE_WAN).expect("hex digits");
    let evaluation = evaluate_frame::evaluate(ARTICLE.into(), &frame).expect("a filter");
    assert_eq!(evaluation.decision, Decision::Drop);
}
