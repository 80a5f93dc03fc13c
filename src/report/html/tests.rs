use super::*;
use crate::frame::to_hex;
use crate::layout::Layout;
use crate::policy::Policy;
use crate::probe::{Expect, Pass, Point, Probe, catalogue};
use crate::report::model::{
    Decided, Failure, Outcome, Points, ProbeFacts, ProbeResult, Seen, Verdict,
};
use crate::report::{arbitrary, examples};
use proptest::prelude::*;
use rstest::rstest;

#[test]
fn a_small_run() {
    let mut run = examples::red();
    for cell in &mut run.cells {
        cell.probes.retain(|probe| {
            ["dhcp/discover", "wan-ipv6/udp-53", "tunnels/lsrr"].contains(&probe.id.as_str())
        });
    }
    // Style and script stand in files of their own.
    let page = html(&run, &Evidence::linked("out"));
    let page = page.replace(STYLE, "[style]").replace(SCRIPT, "[script]");
    let hashes = [STYLE, SCRIPT].map(link::hash);
    let page = page
        .replace(&hashes[0], "[hash]")
        .replace(&hashes[1], "[hash]");
    insta::assert_snapshot!(page.replace("><", ">\n<"));
}

/// A report from before the page has no frames and no points, and makes a page all the same.
#[rstest]
#[case::green(examples::green(), "every probe of 2 cells")]
#[case::red(examples::red(), "traffic leaks, and wanted traffic is blocked")]
#[case::inconclusive(examples::inconclusive(), "sensor wan died: read: network is down")]
#[case::cell_error(examples::cell_error(), "has no NIC model `ne2000`")]
#[case::no_filter(examples::no_filter(), "every frame must get through")]
#[case::many_cells(examples::matrix(), "it is a switch, not a NIC")]
#[case::dhcp_clients(examples::clients(), "Windows Server 2003 and XP")]
fn says_what_the_report_says(#[case] run: Run, #[case] words: &str) {
    let page = html(&run, &Evidence::default());
    assert!(page.contains(words), "{page}");
}

/// A leak of the whole catalogue in every cell of the largest matrix.
#[test]
fn a_red_grid_of_51_cells_has_less_than_a_megabyte() {
    let policy = Policy::example();
    let layout = Layout::of(&policy).expect("the shipped policy");
    let probes = catalogue(&policy, &layout, |index| Pass::Filtered.tag(1, index));
    let mut run = examples::red();
    let like = run.cells.remove(0);
    run.probes = probes.iter().map(|probe| facts(probe, &layout)).collect();
    run.cells.clear();
    for number in 0..51 {
        let mut cell = like.clone();
        cell.name = format!("linux/e1000-8254{number}em");
        cell.nic = format!("e1000-8254{number}em");
        cell.probes = probes.iter().map(result).collect();
        run.cells.push(cell);
    }
    let page = html(&run, &Evidence::linked("evidence"));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.contains("all 51 cells"));
}

fn facts(probe: &Probe, layout: &Layout) -> ProbeFacts {
    let frame = probe.wire(layout).frames.into_iter().next();
    ProbeFacts {
        id: probe.id.clone(),
        origin: probe.origin,
        received_at: probe.received_at,
        frame: frame.map(|frame| to_hex(&frame)),
        decided: Some(Decided {
            outcome: Outcome::Delivered,
            filter: Some("no-out-traffic".into()),
            rule: Some(2),
            trace: vec![
                "enters the chain ipv4".into(),
                "matches rule 2 of no-out-traffic: accept out <ip dstipaddr='192.168.1.0' dstipmask='24'/>".into(),
            ],
        }),
    }
}

fn result(probe: &Probe) -> ProbeResult {
    let leaks = probe.expect == Expect::Drop;
    let points = Points::where_seen(|point| point != Point::FromPeer);
    ProbeResult {
        id: probe.id.clone(),
        group: probe.group,
        summary: probe.summary.clone(),
        expect: probe.expect,
        control: Outcome::Delivered,
        filtered: Outcome::Delivered,
        leak_check: leaks.then_some(Outcome::Delivered),
        first_frame: None,
        verdict: if leaks {
            Verdict::Fail(Failure::Leak)
        } else {
            Verdict::Pass
        },
        last_seen: Some(probe.received_at.host()),
        seen: Some(Seen {
            control: Some(points.clone()),
            filtered: Some(points),
            first_frame: None,
        }),
        note: None,
    }
}

/// Tags with their attributes, as a browser finds them; style and script are left out.
fn tags(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let page = page.replace(STYLE, "").replace(SCRIPT, "");
    let mut tags = Vec::new();
    let mut rest = page.as_str();
    while let Some((_, after)) = rest.split_once('<') {
        let end = after.find(|letter: char| letter == '>' || letter.is_whitespace());
        let (name, mut inside) = after.split_at(end.expect("a tag ends"));
        let mut attributes = Vec::new();
        loop {
            inside =
                inside.trim_start_matches(|letter: char| letter == '/' || letter.is_whitespace());
            if let Some(after) = inside.strip_prefix('>') {
                rest = after;
                break;
            }
            let end = inside.find(|letter: char| "=> ".contains(letter));
            let (name, after) = inside.split_at(end.expect("an attribute ends"));
            let (value, after) = match after.strip_prefix("=\"") {
                Some(after) => after.split_once('"').expect("a value ends"),
                None if after.starts_with('=') => ("without quotes", &after[1..]),
                None => ("", after),
            };
            attributes.push((name.to_owned(), value.to_owned()));
            inside = after;
        }
        tags.push((name.to_owned(), attributes));
    }
    tags
}

const TAGS: &str = "!DOCTYPE a b body br circle code dd details div dl dt fieldset footer form h1 h2 h3 h4 h5 head header html i input kbd label legend li link main meta nav ol option output p path rect script section select small span style summary svg symbol table tbody td text th thead title tr ul use button";
const ATTRIBUTES: &str = "aria-hidden aria-label aria-labelledby aria-live autocomplete charset class content cx cy d data-c data-v download height href html http-equiv id lang name open placeholder preserveAspectRatio r rel role rx scope tabindex title type value viewBox width x y";

/// Whether the page holds nothing but what it is made of: no tag, no attribute and no link
/// that came with a text.
fn is_tame(page: &str) -> Result<(), TestCaseError> {
    for (name, attributes) in tags(page) {
        let known = TAGS
            .split(' ')
            .any(|tag| tag == name.trim_start_matches('/'));
        prop_assert!(known, "<{name}> {attributes:?}");
        for (attribute, value) in attributes {
            let known = ATTRIBUTES.split(' ').any(|known| known == attribute);
            prop_assert!(known, "<{name} {attribute}=\"{value}\">");
            if attribute == "href" {
                let icon = name == "link" && value.starts_with("data:image/svg+xml,");
                let leads = value.starts_with('#') || value.starts_with("out/") || icon;
                prop_assert!(leads && !value.contains("/../"), "{value}");
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_that_a_report_says_is_run(run in arbitrary::run()) {
        is_tame(&html(&run, &Evidence::linked("out")))?;
    }
}

/// The check itself sees what a report must not bring.
#[rstest]
#[case::a_tag("<img src=x>")]
#[case::an_attribute("<b onclick=\"x\">")]
#[case::a_link("<a href=\"javascript:x\">")]
#[case::a_way_out("<a href=\"out/../../x\">")]
fn untame_pages_are_noticed(#[case] page: &str) {
    assert!(is_tame(page).is_err());
}
