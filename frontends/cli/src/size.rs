//! Sizes and spans of time as people write them: `4M`, `10G`, `60s`, `2h`. Suffixes of sizes are powers of 1024.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct ByteCount(pub u64);

/// A span of time; a bare number counts seconds.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, serde::Serialize, serde::Deserialize)]
pub struct Span(pub Duration);

const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is no size; write a number with K, M, G or T, for example 4M");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| refused())?;
        let shift = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            unit => {
                let named = |(letter, _): &&(char, u32)| {
                    [format!("{letter}"), format!("{letter}B"), format!("{letter}IB")].contains(&unit.to_owned())
                };
                UNITS.iter().find(named).ok_or_else(refused)?.1
            }
        };
        let bytes = number.checked_shl(shift).filter(|bytes| bytes >> shift == number);
        bytes.map(ByteCount).ok_or_else(|| format!("'{text}' is more than 64 bits can count"))
    }
}

impl fmt::Display for ByteCount {
    /// Whole units exactly, everything else with one decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((letter, shift)) = UNITS.iter().rev().find(|(_, shift)| self.0 >> shift > 0) else {
            return write!(f, "{} B", self.0);
        };
        match self.0.trailing_zeros() >= *shift {
            true => write!(f, "{} {letter}iB", self.0 >> shift),
            false => write!(f, "{:.1} {letter}iB", self.0 as f64 / (1u64 << shift) as f64),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is no span of time; write for example 60s, 5m, 2h or 1d");
        let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = text.split_at(digits);
        let number: f64 = number.parse().map_err(|_| refused())?;
        let factor = match unit {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(refused()),
        };
        Duration::try_from_secs_f64(number * factor).map(Span).map_err(|_| refused())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            _ if self.0.subsec_nanos() != 0 => write!(f, "{}s", self.0.as_secs_f64()),
            0 => write!(f, "0s"),
            _ if seconds.is_multiple_of(86400) => write!(f, "{}d", seconds / 86400),
            _ if seconds.is_multiple_of(3600) => write!(f, "{}h", seconds / 3600),
            _ if seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            _ => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> u64 {
        text.parse::<ByteCount>().unwrap().0
    }

    #[test]
    fn suffixes_are_powers_of_1024() {
        assert_eq!([bytes("0"), bytes("512"), bytes("4K"), bytes("4k"), bytes("4KiB")], [0, 512, 4096, 4096, 4096]);
        assert_eq!([bytes("4M"), bytes("10GB"), bytes("2T")], [4 << 20, 10 << 30, 2 << 40]);
    }

    #[test]
    fn what_is_no_size_is_refused_by_name() {
        for bad in ["", "M", "-1", "4X", "4 M", "1.5G", "99999999999T", "16777216T", "99999999999999999999"] {
            let refusal = bad.parse::<ByteCount>().unwrap_err();
            assert!(refusal.contains(&format!("'{bad}'")), "{refusal}");
        }
    }

    #[test]
    fn sizes_read_well() {
        let shown = |bytes| ByteCount(bytes).to_string();
        assert_eq!([shown(0), shown(4096), shown(4 << 20)], ["0 B", "4 KiB", "4 MiB"]);
        assert_eq!([shown(1536), shown(u64::MAX)], ["1.5 KiB", "16777216.0 TiB"]);
    }

    #[test]
    fn spans_have_units() {
        let span = |text: &str| text.parse::<Span>().unwrap().0;
        assert_eq!(span("60"), span("1m"));
        assert_eq!(span("2h"), Duration::from_secs(7200));
        assert_eq!(span("0.5"), span("500ms"));
        for bad in ["", "s", "-1s", "1y", "1 s", "1e400", "..", "nan"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        assert_eq!(span("90s"), "1.5m".parse::<Span>().unwrap().0);
        for text in ["0s", "59s", "1m", "2h", "3d", "0.5s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }
}
