use super::*;
use crate::report::model::Step;
use crate::report::{arbitrary, examples};
use proptest::prelude::*;

const TERMINAL: Mode = Mode::Terminal {
    width: 60,
    color: false,
};

/// A run of two cells side by side, with the time of each event in milliseconds.
fn script() -> Vec<(u64, Event)> {
    let step = |cell: &str, step| Event::Step {
        cell: cell.into(),
        step,
    };
    let done = |cell: &str, step, ms| Event::StepDone {
        cell: cell.into(),
        step,
        ms,
    };
    let run = examples::red();
    vec![
        (
            0,
            Event::Started {
                cells: vec!["linux/pcnet".into(), "linux/virtio".into()],
            },
        ),
        (10, Event::Host(Box::new(run.host.clone()))),
        (20, step("linux/pcnet", Step::Lab)),
        (30, step("linux/virtio", Step::Lab)),
        (940, done("linux/pcnet", Step::Lab, 920)),
        (941, step("linux/pcnet", Step::Boot)),
        (
            990,
            Event::Note {
                cell: None,
                text: "falls back to tcg:\n\u{1b}[31mKVM guest did not reach READY".into(),
            },
        ),
        (
            2_990,
            Event::Note {
                cell: Some("linux/pcnet".into()),
                text: "guest said hello".into(),
            },
        ),
        (3_000, done("linux/pcnet", Step::Boot, 2_060)),
        (
            9_000,
            Event::CellDone {
                cell: Box::new(run.cells[0].clone()),
            },
        ),
        (
            9_500,
            Event::CellDone {
                cell: Box::new(examples::cell_error().cells[1].clone()),
            },
        ),
    ]
}

/// Escape sequences made visible, a frame to a block.
fn play(mode: Mode) -> String {
    let mut shown = String::new();
    let mut live = Live::new(Vec::new(), mode);
    for (at, event) in script() {
        live.event(&event, Duration::from_millis(at))
            .expect("a Vec takes everything");
        let frame = std::mem::take(&mut live.out);
        let _ = writeln!(shown, "-- {at} ms");
        shown.push_str(
            &String::from_utf8(frame)
                .expect("UTF-8")
                .replace('\x1b', "ESC"),
        );
    }
    shown
}

#[test]
fn plain() {
    insta::assert_snapshot!(play(Mode::Plain));
}

#[test]
fn terminal() {
    insta::assert_snapshot!(play(TERMINAL));
}

#[test]
fn plain_says_that_it_still_goes_on() {
    let mut live = Live::new(Vec::new(), Mode::Plain);
    let boot = Event::Step {
        cell: "linux/pcnet".into(),
        step: Step::Boot,
    };
    live.event(&boot, Duration::from_secs(1))
        .expect("a Vec takes everything");
    for second in 2..65 {
        live.tick(Duration::from_secs(second))
            .expect("a Vec takes everything");
    }
    let said = String::from_utf8(std::mem::take(&mut live.out)).expect("UTF-8");
    assert_eq!(
        said,
        "[linux/pcnet] still in boot after 29.0 s\n[linux/pcnet] still in boot after 59.0 s\n"
    );
}

#[test]
fn a_dropped_display_takes_its_status_lines_along() {
    let mut out = Vec::new();
    let mut live = Live::new(&mut out, TERMINAL);
    let boot = Event::Step {
        cell: "linux/pcnet".into(),
        step: Step::Boot,
    };
    live.event(&boot, Duration::ZERO)
        .expect("a Vec takes everything");
    drop(live);
    assert!(
        out.ends_with(b"\r\x1b[1A\x1b[J"),
        "{:?}",
        String::from_utf8_lossy(&out)
    );
}

#[test]
fn status_lines_fit_the_terminal() {
    let mut out = Vec::new();
    let mut live = Live::new(
        &mut out,
        Mode::Terminal {
            width: 20,
            color: true,
        },
    );
    for cell in 0..12 {
        let boot = Event::Step {
            cell: format!("linux/a-long-name-{cell}"),
            step: Step::Boot,
        };
        live.event(&boot, Duration::ZERO)
            .expect("a Vec takes everything");
    }
    live.tick(Duration::from_secs(5))
        .expect("a Vec takes everything");
    drop(live);
    let text = String::from_utf8(out).expect("UTF-8");
    let last = text
        .rsplit("\x1b[J")
        .nth(1)
        .expect("a frame before the last erasure");
    assert_eq!(last.lines().count() - 1, MOST_STATUS_LINES + 1);
    assert!(last.lines().all(|line| line.chars().count() < 20), "{last}");
}

proptest! {
    #[test]
    fn events_survive_their_line(run in arbitrary::run(), ms: u64, text: String) {
        let mut events = vec![
            Event::Started { cells: run.cells.iter().map(|cell| cell.name.clone()).collect() },
            Event::Host(Box::new(run.host)),
            Event::Note { cell: Some(text.clone()), text: text.clone() },
            Event::StepDone { cell: text, step: Step::Boot, ms },
        ];
        events.extend(run.cells.into_iter().map(|cell| Event::CellDone { cell: Box::new(cell) }));
        for event in events {
            let line = serde_json::to_string(&event).expect("only string keys");
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<Event>(&line).expect("own line"), event);
        }
    }

    #[test]
    fn text_from_guests_cannot_drive_the_terminal(text: String, at in 0u64..1 << 40) {
        let mut out = Vec::new();
        let mut live = Live::new(&mut out, Mode::Plain);
        live.event(&Event::Note { cell: Some(text.clone()), text }, Duration::from_millis(at)).expect("a Vec takes everything");
        drop(live);
        let said = String::from_utf8(out).expect("UTF-8");
        prop_assert_eq!(said.chars().filter(|c| c.is_control()).collect::<String>(), "\n");
    }
}
