//! Usernames for people who did not choose one.

use crate::model::Username;
use rand::Rng as _;

/// Longest part of a name that digits can still follow.
const STEM_CHARS: usize = 23;
/// How many names with digits are offered beside the plain one. Each is taken with a chance of one in 90,000 for
/// every user of the same stem, so that running out of them takes a bug.
const WITH_DIGITS: usize = 10;

/// A name and others that will do in its place; the first that is free is to be taken.
pub(super) type Names = (Username, Vec<Username>);

/// Names made from `text`, the plainest first. A `text` that has no letters of a username makes `user` with digits.
pub(super) fn derived(text: &str) -> Names {
    let mut stem = String::new();
    for c in text.trim().chars() {
        let c = match c {
            c if c.is_ascii_alphanumeric() || c == '.' => c.to_ascii_lowercase(),
            ' ' | '-' | '_' => '_',
            // What other letters would become is not ours to guess.
            _ => continue,
        };
        // No two marks in a row, and none in front.
        if c.is_ascii_alphanumeric() || stem.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            stem.push(c);
        }
    }
    stem.truncate(STEM_CHARS);
    let stem = stem.trim_end_matches(['_', '.']);
    let has_letters = stem.bytes().any(|b| b.is_ascii_alphabetic());
    let stem = if has_letters { stem } else { "user" };
    let plain = Username::new(stem).ok();
    let first = plain
        .filter(|name| !name.is_reserved() && has_letters)
        .unwrap_or_else(|| with_digits(stem));
    (first, others(stem))
}

/// `name`, and the same with digits in case it is taken.
pub(super) fn preferred(name: &Username) -> Names {
    let stem: String = name.as_str().chars().take(STEM_CHARS).collect();
    let has_letters = stem.bytes().any(|b| b.is_ascii_alphabetic());
    let stem = if has_letters { stem.as_str() } else { "user" };
    (name.clone(), others(stem))
}

fn others(stem: &str) -> Vec<Username> {
    (0..WITH_DIGITS).map(|_| with_digits(stem)).collect()
}

/// `stem` has a letter and at most [`STEM_CHARS`].
fn with_digits(stem: &str) -> Username {
    let digits: u32 = rand::rng().random_range(10_000..100_000);
    Username::new(&format!("{stem}_{digits}")).expect("a stem makes a name with digits behind it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_what_people_are_called() {
        for (text, first) in [
            ("Grace Hopper", "grace_hopper"),
            ("  Ann-Lee  O'Neil. ", "ann_lee_oneil"),
            ("x".repeat(50).as_str(), "x".repeat(STEM_CHARS).as_str()),
            ("a__b..c", "a_b.c"),
        ] {
            let (name, others) = derived(text);
            assert_eq!(name.as_str(), first, "{text}");
            assert_eq!(others.len(), WITH_DIGITS);
        }
    }

    #[test]
    fn what_cannot_be_a_name_gets_digits() {
        for (text, stem) in [
            ("", "user_"),
            ("李小龍", "user_"),
            ("12345", "user_"),
            ("Admin", "admin_"),
            ("me", "me_"),
            ("\0\u{202e}", "user_"),
        ] {
            let (name, others) = derived(text);
            for name in others.iter().chain([&name]) {
                assert!(name.as_str().starts_with(stem), "{text}: {name}");
            }
        }
    }

    #[test]
    fn a_wanted_name_comes_first_and_as_it_is() {
        let long = Username::new(&"y".repeat(30)).expect("a name");
        let (name, others) = preferred(&long);
        assert_eq!(name.as_str(), long.as_str());
        assert_eq!(others.len(), WITH_DIGITS);
        assert!(others[0].as_str().starts_with(&"y".repeat(STEM_CHARS)));
        // The part that digits follow need not have the letter that makes it a name.
        let late = Username::new(&format!("{}a", "1".repeat(29))).expect("a name");
        assert!(preferred(&late).1[0].as_str().starts_with("user_"));
    }
}
