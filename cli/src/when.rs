//! Where to begin, as a person writes it: an end of the log, a time, or how long ago. Pure; now is an input.

use std::time::Duration;

/// What --from takes, for its errors.
const EXPECTED: &str = "expected earliest, latest, @SECONDS since 1970, a time as in 2026-11-29T05:30:00Z, or how long ago as in 2h, 90s or 1d12h";

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// At the first record there is.
    Earliest,
    /// At the next record to come.
    Latest,
    /// At the first record of this time or later: milliseconds since 1970.
    Time(i64),
    /// At the first record of that long ago or later.
    Ago(Duration),
}

impl From {
    /// Reads what --from says.
    ///
    /// # Errors
    /// What would do.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let from = match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            text => match text.strip_prefix('@') {
                Some(seconds) => unix(seconds).map(Self::Time),
                None => rfc3339(text)
                    .map(Self::Time)
                    .or_else(|| ago(text).map(Self::Ago)),
            },
        };
        from.ok_or_else(|| EXPECTED.to_owned())
    }
}

/// Seconds since 1970, with up to three decimals.
fn unix(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds = number(seconds)?;
    seconds.checked_mul(1000)?.checked_add(millis(fraction)?)
}

/// `2h`, `1d12h`, `500ms`: whole numbers, each with its unit.
fn ago(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let count = u64::try_from(number(&rest[..digits])?).ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len());
        let each = match &rest[..unit] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(60 * 60),
            "d" => Duration::from_secs(24 * 60 * 60),
            _ => return None,
        };
        rest = &rest[unit..];
        let seconds = count.checked_mul(each.as_secs())?;
        let part = if each.as_secs() == 0 {
            Duration::from_millis(count)
        } else {
            Duration::from_secs(seconds)
        };
        sum = sum.checked_add(part)?;
    }
    (!text.is_empty()).then_some(sum)
}

/// `2026-11-29T05:30:00.123+01:00`, with `Z` for no offset; a space may take the place of the T.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let [year, month, day] = fields(date, "-", [4, 2, 2])?;
    let clock = fields(time.get(..8)?, ":", [2, 2, 2])?;
    let [hour, minute, second] = clock;
    // A leap second is the second before it.
    let second = second.min(59);
    if !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || clock[2] > 60
    {
        return None;
    }
    let rest = time.get(8..)?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let millis = match rest.get(..zone)? {
        "" => 0,
        fraction => millis(fraction.strip_prefix('.')?)?,
    };
    let offset = match rest.get(zone..)? {
        "Z" | "z" => 0,
        offset => {
            let [hours, minutes] = fields(offset.get(1..)?, ":", [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if offset.starts_with('-') {
                -minutes
            } else {
                minutes
            }
        }
    };
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset;
    Some((minutes * 60 + second) * 1000 + millis)
}

/// Numbers of so many digits each.
fn fields<const N: usize>(text: &str, separator: &str, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (place, digits) in digits.into_iter().enumerate() {
        let part = parts.next().filter(|part| part.len() == digits)?;
        numbers[place] = number(part)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The decimals of a second; what is finer than milliseconds is left out.
fn millis(decimals: &str) -> Option<i64> {
    number(decimals)?;
    let padded = format!("{decimals:0<3}");
    number(padded.get(..3)?)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// In the Gregorian calendar, with years that begin in March, so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_times_are_read() {
        for (text, from) in [
            ("earliest", From::Earliest),
            ("latest", From::Latest),
            ("@0", From::Time(0)),
            ("@1700000000", From::Time(1_700_000_000_000)),
            ("@1700000000.5", From::Time(1_700_000_000_500)),
            ("1970-01-01T00:00:00Z", From::Time(0)),
            ("1969-12-31T23:59:59Z", From::Time(-1_000)),
            ("2000-02-29T12:00:00Z", From::Time(951_825_600_000)),
            ("2000-03-01T00:00:00Z", From::Time(951_868_800_000)),
            ("2023-11-14T22:13:20Z", From::Time(1_700_000_000_000)),
            (
                "2023-11-14T23:13:20.123456+01:00",
                From::Time(1_700_000_000_123),
            ),
            ("2023-11-14 17:43:20.5-04:30", From::Time(1_700_000_000_500)),
            ("2016-12-31T23:59:60Z", From::Time(1_483_228_799_000)),
            ("2h", From::Ago(Duration::from_secs(7_200))),
            ("1d12h", From::Ago(Duration::from_secs(129_600))),
            ("90s", From::Ago(Duration::from_secs(90))),
            ("250ms", From::Ago(Duration::from_millis(250))),
            ("0s", From::Ago(Duration::ZERO)),
        ] {
            assert_eq!(From::parse(text), Ok(from), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "@",
            "@x",
            "@-1",
            "@1.",
            "@99999999999999999",
            "h",
            "2",
            "2 h",
            "2w",
            "-2h",
            "2h3",
            "yesterday",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-11-31T00:00:00Z",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:13:20",
            "2023-11-14",
            "2023-11-14T22:13:20+1:00",
            "2023-11-14T22:13Z",
            "2023-11-14T22:13:20.Z",
            "99999999999999999999d",
            "2023-11-14T22:13:20Zé",
            "é023-11-14T22:13:20Z",
        ] {
            assert!(From::parse(text).is_err(), "{text}");
        }
    }
}
