//! Days, for entries that expire.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A day of the Gregorian calendar in UTC. Later days are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day that it is.
    pub fn today() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::of(since.unwrap_or_default())
    }

    /// The day of a time since 1970.
    fn of(since_epoch: Duration) -> Self {
        let text = crate::report::text::rfc3339(since_epoch);
        let day = text.get(..10).and_then(|day| day.parse().ok());
        // Beyond the year 9999 everything has expired.
        day.unwrap_or(Self {
            year: u16::MAX,
            month: 12,
            day: 31,
        })
    }
}

impl From<toml::value::Date> for Date {
    fn from(date: toml::value::Date) -> Self {
        let toml::value::Date { year, month, day } = date;
        Self { year, month, day }
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Result<toml::value::Datetime, _> = text.parse();
        match parsed {
            Ok(toml::value::Datetime {
                date: Some(date),
                time: None,
                offset: None,
            }) => Ok(date.into()),
            _ => Err("write a day as 2027-03-31".to_owned()),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_leap_day("2024-02-29", true)]
    #[case::no_leap_year("2025-02-29", false)]
    #[case::a_time("2024-02-29T10:00:00Z", false)]
    #[case::words("soon", false)]
    fn days(#[case] text: &str, #[case] good: bool) {
        let parsed = text.parse::<Date>();
        assert_eq!(parsed.is_ok(), good);
        if let Ok(date) = parsed {
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn days_are_in_order() {
        let of = |text: &str| text.parse::<Date>().expect("a day");
        assert!(of("2026-12-31") < of("2027-01-01"));
        assert_eq!(Date::of(Duration::from_secs(86_400)), of("1970-01-02"));
    }
}
