//! `manifest.json`: what an image was made of, for reports and for people.

use std::fmt::Write as _;

/// A JSON object with string values, written in order.
#[derive(Debug, Default)]
pub struct Manifest {
    entries: Vec<(String, Value)>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Number(u64),
    Object(Vec<(String, String)>),
}

impl Manifest {
    /// Adds a string.
    pub fn text(mut self, name: &str, value: &str) -> Manifest {
        self.entries.push((name.into(), Value::Text(value.into())));
        self
    }

    /// Adds a number.
    pub fn number(mut self, name: &str, value: u64) -> Manifest {
        self.entries.push((name.into(), Value::Number(value)));
        self
    }

    /// Adds an object of strings.
    pub fn object(mut self, name: &str, values: Vec<(String, String)>) -> Manifest {
        self.entries.push((name.into(), Value::Object(values)));
        self
    }

    /// The JSON text.
    pub fn json(&self) -> String {
        let lines: Vec<String> = self
            .entries
            .iter()
            .map(|(name, value)| format!("  {}: {}", quoted(name), value.json()))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }
}

impl Value {
    fn json(&self) -> String {
        match self {
            Value::Text(text) => quoted(text),
            Value::Number(number) => number.to_string(),
            Value::Object(entries) => {
                let lines: Vec<String> = entries
                    .iter()
                    .map(|(name, value)| format!("    {}: {}", quoted(name), quoted(value)))
                    .collect();
                format!("{{\n{}\n  }}", lines.join(",\n"))
            }
        }
    }
}

fn quoted(text: &str) -> String {
    let mut result = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => result.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(result, "\\u{:04x}", u32::from(control));
            }
            other => result.push(other),
        }
    }
    result.push('"');
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_json() {
        let manifest = Manifest::default()
            .number("format", 1)
            .text("kernel", "6.1 \"x\"\n")
            .object("sha256", vec![("vmlinux".into(), "00".into())]);
        assert_eq!(
            manifest.json(),
            "{\n  \"format\": 1,\n  \"kernel\": \"6.1 \\\"x\\\"\\u000a\",\n  \"sha256\": {\n    \
             \"vmlinux\": \"00\"\n  }\n}\n"
        );
    }
}
