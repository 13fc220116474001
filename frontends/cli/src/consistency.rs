//! The consistency modes in the words of the command line.

use shoal_types::Consistency;

const MODES: [(Consistency, &str); 3] =
    [(Consistency::Strict, "strict"), (Consistency::Coherent, "coherent"), (Consistency::Relaxed, "relaxed")];

pub fn name(mode: Consistency) -> &'static str {
    MODES.iter().find(|(one, _)| *one == mode).map(|(_, name)| *name).expect("every mode has a name")
}

pub fn parse(text: &str) -> Result<Consistency, String> {
    let found = MODES.iter().find(|(_, name)| *name == text).map(|(mode, _)| *mode);
    found.ok_or_else(|| format!("--consistency {text}: there are strict, coherent and relaxed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_has_a_name_and_others_are_refused() {
        for (mode, text) in MODES {
            assert_eq!((parse(text), name(mode)), (Ok(mode), text));
        }
        assert!(parse("eventual").is_err());
    }
}
