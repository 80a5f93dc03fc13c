//! The page of a run, looked at in Chromium. Where there is none, the tests are skipped.

use crate::browser::Browser;
use crate::common::{Verified, lanfence, verify_tap};
use lanfence::report::json::to_json;
use lanfence::report::model::Run;
use std::path::PathBuf;

const SKIPPED: &str = "skipped: no Chromium (apt install chromium, or LANFENCE_CHROMIUM)";

/// What would run in a page that let it.
const HOSTILE: &str =
    "</script></style><img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>";

/// The page of a run, made from its report.
fn page(verified: &Verified, run: &Run) -> PathBuf {
    let folder = verified.dir.path();
    let (report, page) = (folder.join("page.json"), folder.join("page.html"));
    std::fs::write(&report, to_json(run)).expect("a report");
    let made = lanfence()
        .args(["report", "html"])
        .arg(&report)
        .arg("--output")
        .arg(&page)
        .arg("--out")
        .arg(folder.join("out"))
        .output()
        .expect("lanfence can be started");
    assert!(made.status.success(), "{made:?}");
    page
}

/// The run with its one cell many times over, as the full matrix has them.
fn grid(run: &Run, cells: usize) -> Run {
    let mut run = run.clone();
    let like = run.cells.remove(0);
    for number in 0..cells {
        let mut cell = like.clone();
        cell.nic = format!("e1000-8254{number}em");
        cell.name = format!("linux/{}", cell.nic);
        cell.guest = "linux".into();
        run.cells.push(cell);
    }
    run
}

#[test]
fn a_red_grid_shows_what_leaked_and_why_in_two_clicks() {
    let Some(mut browser) = Browser::start() else {
        println!("{SKIPPED}");
        return;
    };
    let filter = crate::common::example("no-out-traffic.xml");
    let verified = verify_tap(&[&filter]);
    let page = page(&verified, &grid(verified.run(), 51));
    let size = std::fs::metadata(&page).expect("the page").len();
    assert!(size < 1_000_000, "{size} bytes");

    browser.open(&page, "", 1280, false);
    assert_eq!(
        browser.eval("document.querySelectorAll('table.grid tbody tr').length"),
        51
    );
    assert_eq!(
        browser.eval("document.querySelector('h1 .verdict').textContent"),
        "FAIL"
    );
    browser.click("#wrong details.leak > summary");
    browser.click("#wrong details.leak .findings a");
    let shown = browser.eval(
        "(() => { const it = document.querySelector('details.probe[open]'); const box = it.getBoundingClientRect();
         return box.top >= 0 && box.top < innerHeight ? it.innerText : 'out of sight'; })()",
    );
    let shown = shown.as_str().expect("a text");
    for words in [
        "LEAK",
        "with the filter: delivered",
        "seen at",
        "Rules",
        "So the filter lets it pass.",
        "Frame",
    ] {
        assert!(shown.contains(words), "{words} is not in\n{shown}");
    }
    let focused = "document.activeElement.parentElement.matches('details.probe[open]')";
    assert_eq!(browser.eval(focused), true);

    // An entry of the grid shows its probes alone; the keyboard reaches the search.
    browser.click("table.grid td.leak a");
    let all = "[...document.querySelectorAll('details.probe')].filter((it) => !it.hidden)";
    let rows = format!("new Set({all}.map((it) => it.parentElement)).size");
    assert_eq!(browser.eval(&rows), 1);
    browser.eval("document.querySelector('button[type=reset]').click()");
    browser.key("/");
    assert_eq!(browser.eval("document.activeElement.id"), "q");
    for letter in ["v", "x", "l", "a", "n"] {
        browser.key(letter);
    }
    browser.eval("new Promise((done) => setTimeout(() => done(1), 300))");
    let found = browser.eval("document.querySelector('#found').value");
    let found = found.as_str().expect("a text").to_owned();
    assert!(
        found.ends_with(" of 381 probes shown") && found.len() <= 24,
        "{found}"
    );
    assert_eq!(browser.console(), Vec::<&serde_json::Value>::new());
}

#[test]
fn an_inconclusive_run_says_why_and_fits_a_phone() {
    let Some(mut browser) = Browser::start() else {
        println!("{SKIPPED}");
        return;
    };
    let verified = verify_tap(&["--inject", "sensor"]);
    let page = page(&verified, &grid(verified.run(), 51));
    for dark in [false, true] {
        browser.open(&page, "", 390, dark);
        assert_eq!(
            browser.eval("document.querySelector('h1 .verdict').textContent"),
            "INCONCLUSIVE"
        );
        let because = browser.eval("document.querySelector('#wrong').innerText");
        assert!(
            because.as_str().expect("a text").contains("because"),
            "{because}"
        );
        assert_eq!(browser.eval("document.documentElement.scrollWidth"), 390);
        let light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128";
        assert_eq!(browser.eval(light), !dark);
        assert_eq!(browser.console(), Vec::<&serde_json::Value>::new());
    }
}

#[test]
fn a_place_in_the_page_opens_and_evidence_is_linked() {
    let Some(mut browser) = Browser::start() else {
        println!("{SKIPPED}");
        return;
    };
    let verified = verify_tap(&["--no-filter"]);
    let page = page(&verified, verified.run());
    browser.open(&page, "#p-wan-ipv4-udp-53", 1280, false);
    let open = "document.querySelector('#p-wan-ipv4-udp-53').open";
    assert_eq!(browser.eval(open), true);
    // The rules are saved from the page itself, whatever became of the folder.
    let link =
        "[...document.querySelectorAll('.files a')].find((it) => it.textContent === 'rules.txt')";
    let name = browser.eval(&format!("{link}.download"));
    assert_eq!(name, "tap-raw-rules.txt");
    let saved = browser.save(&format!("{link}.click()"), verified.dir.path());
    let rules = verified.dir.path().join("out/tap-raw/rules.txt");
    assert_eq!(saved, std::fs::read(rules).expect("the rules"));
    // What is too large lies where the link leads.
    let linked = browser.eval(
        "[...document.querySelectorAll('.files a')].map((it) => it.getAttribute('href')).filter((it) => !it.startsWith('data:')).join()",
    );
    for link in linked
        .as_str()
        .expect("links")
        .split(',')
        .filter(|it| !it.is_empty())
    {
        assert!(verified.dir.path().join(link).is_file(), "{link}");
    }
    assert_eq!(browser.console(), Vec::<&serde_json::Value>::new());
}

#[test]
fn hostile_words_of_a_report_stay_words() {
    let Some(mut browser) = Browser::start() else {
        println!("{SKIPPED}");
        return;
    };
    let verified = verify_tap(&["--no-filter"]);
    let mut run = grid(verified.run(), 2);
    run.filter.name = Some(HOSTILE.into());
    run.host.kernel = HOSTILE.into();
    run.cells[0].name = HOSTILE.into();
    run.cells[0].evidence = vec![
        "javascript:window.pwned=1".into(),
        "../../etc/passwd".into(),
    ];
    for probe in &mut run.cells[0].probes {
        probe.summary = HOSTILE.into();
        probe.note = Some(HOSTILE.into());
    }
    run.probes[0].id = HOSTILE.into();
    run.cells[0].probes[0].id = HOSTILE.into();
    let page = page(&verified, &run);
    browser.open(&page, "", 1280, false);
    assert_eq!(browser.eval("typeof window.pwned"), "undefined");
    assert_eq!(browser.eval("document.querySelectorAll('img').length"), 0);
    assert_eq!(browser.eval("document.scripts.length"), 1);
    assert_eq!(
        browser.eval("document.querySelector('.tested').textContent.includes('<img src=x')"),
        true
    );
    let links = browser.eval(
        "[...new Set([...document.querySelectorAll('.files a')].map((it) => it.protocol))].join()",
    );
    let links = links.as_str().expect("protocols").to_owned();
    for protocol in links.split(',').filter(|it| !it.is_empty()) {
        assert!(["file:", "data:"].contains(&protocol), "{links}");
    }
    assert_eq!(browser.console(), Vec::<&serde_json::Value>::new());
}
