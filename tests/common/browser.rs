//! A Chromium without a window, driven through its DevTools protocol over two pipes.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Names of the program where none is set.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-headless-shell",
    "chromium-browser",
    "google-chrome",
];

/// Longest wait for an answer of the browser; it has taken seconds on a busy machine.
const ANSWER: Duration = Duration::from_secs(120);

/// A browser with one tab.
pub struct Browser {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    /// What it told unasked since the last page was opened.
    events: Vec<Value>,
    session: Option<String>,
    next: u64,
    /// Its profile goes when it does.
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Browser {
    /// Starts it; none where it is not installed.
    pub fn start() -> Option<Self> {
        let given = std::env::var("LANFENCE_CHROMIUM").ok();
        let runs = |name: &str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let names = given.iter().map(String::as_str).chain(NAMES);
        let name = names.into_iter().find(|name| runs(name))?.to_owned();
        let profile = tempfile::tempdir().expect("a folder for its profile");
        // The protocol wants the descriptors 3 and 4.
        let mut process = Command::new("sh")
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            ])
            .args([&name, "--headless", "--no-sandbox", "--disable-gpu"])
            .args([
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let input = process.stdin.take().expect("a pipe");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("the protocol is JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            input,
            messages,
            events: Vec::new(),
            session: None,
            next: 0,
            _profile: profile,
        };
        let tab = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.ask(domain, &json!({}));
        }
        Some(browser)
    }

    /// Sends a command and waits for what it gives.
    pub fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let text = format!("{message}\0");
        self.input.write_all(text.as_bytes()).expect("it listens");
        loop {
            let message = self.hear(method);
            if message["id"] == self.next {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn hear(&self, waited_for: &str) -> Value {
        let heard = self.messages.recv_timeout(ANSWER);
        heard.unwrap_or_else(|error| panic!("the browser said nothing to {waited_for}: {error}"))
    }

    /// Opens a file at a place in it, on a screen of this width.
    pub fn open(&mut self, file: &Path, hash: &str, width: u32, dark: bool) {
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600
        });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let scheme = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.ask(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [scheme] }),
        );
        // Else another place in the same file is no new page.
        for url in [
            "about:blank".to_owned(),
            format!("file://{}{hash}", file.display()),
        ] {
            self.events.clear();
            self.ask("Page.navigate", &json!({ "url": url }));
            let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
            while !self.events.iter().any(loaded) {
                let message = self.hear("Page.navigate");
                self.events.push(message);
            }
        }
    }

    /// What the page says to a script.
    pub fn eval(&mut self, script: &str) -> Value {
        let call = json!({
            "expression": script, "returnByValue": true, "awaitPromise": true
        });
        let answer = self.ask("Runtime.evaluate", &call);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Clicks with the mouse on what a selector finds, where it is on the screen.
    pub fn click(&mut self, selector: &str) {
        let script = format!(
            "(() => {{ const it = document.querySelector({selector:?}); it.scrollIntoView({{ block: 'center' }});
             const box = it.getClientRects()[0]; return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        );
        let place = self.eval(&script);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1
            });
            self.ask("Input.dispatchMouseEvent", &event);
        }
        // What a click starts runs before the next frame but one.
        self.eval(
            "new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(1)), 50))",
        );
    }

    /// Runs a script that saves a file, and gives what was saved.
    pub fn save(&mut self, script: &str, folder: &Path) -> Vec<u8> {
        let folder = folder.join("saved");
        std::fs::create_dir_all(&folder).expect("a folder for what is saved");
        let allow = json!({
            "behavior": "allowAndName", "downloadPath": folder, "eventsEnabled": true
        });
        self.ask("Browser.setDownloadBehavior", &allow);
        self.eval(&format!("void ({script})"));
        let mut at = 0;
        loop {
            while at == self.events.len() {
                let message = self.hear("a file that is saved");
                self.events.push(message);
            }
            let event = &self.events[at];
            let state = event["params"]["state"].as_str();
            if event["method"] == "Browser.downloadProgress" && state == Some("completed") {
                let name = event["params"]["guid"].as_str().expect("a name");
                return std::fs::read(folder.join(name)).expect("what was saved");
            }
            assert_ne!(state, Some("canceled"), "{event}");
            at += 1;
        }
    }

    /// Presses a key that writes this text.
    pub fn key(&mut self, key: &str) {
        let text = if key == "Enter" { "\r" } else { key };
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let event = json!({ "type": kind, "key": key, "text": text });
            self.ask("Input.dispatchKeyEvent", &event);
        }
    }

    /// Errors and all else in the console since the page was opened.
    pub fn console(&self) -> Vec<&Value> {
        const SPEAK: [&str; 3] = [
            "Log.entryAdded",
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
        ];
        let said = |event: &&Value| {
            event["method"]
                .as_str()
                .is_some_and(|it| SPEAK.contains(&it))
        };
        self.events.iter().filter(said).collect()
    }
}
