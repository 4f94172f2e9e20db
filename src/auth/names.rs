//! Usernames for people who did not choose one.

use crate::model::Username;
use rand::Rng as _;

/// Longest part of a name that digits can still follow.
const STEM_CHARS: usize = 23;
/// How many names with digits are offered beside the plain one. Each is taken with a chance of one in 90,000 for
/// every user of the same stem, so that running out of them takes a bug.
const WITH_DIGITS: usize = 10;

/// Names made from `text`, the plainest first; the first that is free is to be taken. A `text` that has no letters of
/// a username makes `user` with digits.
pub(super) fn derived(text: &str) -> Vec<Username> {
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
    let plain = Username::new(stem).ok().filter(|name| !name.is_reserved());
    let has_letters = stem.bytes().any(|b| b.is_ascii_alphabetic());
    followed_by_digits(plain, if has_letters { stem } else { "user" })
}

/// `name`, and the same with digits in case it is taken.
pub(super) fn preferred(name: &Username) -> Vec<Username> {
    let stem: String = name.as_str().chars().take(STEM_CHARS).collect();
    followed_by_digits(Some(name.clone()), &stem)
}

fn followed_by_digits(plain: Option<Username>, stem: &str) -> Vec<Username> {
    let mut rng = rand::rng();
    let with_digits = (0..WITH_DIGITS).filter_map(|_| {
        let digits: u32 = rng.random_range(10_000..100_000);
        Username::new(&format!("{stem}_{digits}")).ok()
    });
    plain.into_iter().chain(with_digits).collect()
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
            let names = derived(text);
            assert_eq!(names[0].as_str(), first, "{text}");
            assert_eq!(names.len(), 1 + WITH_DIGITS);
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
            let names = derived(text);
            assert_eq!(names.len(), WITH_DIGITS, "{text}");
            for name in names {
                assert!(name.as_str().starts_with(stem), "{text}: {name}");
            }
        }
    }

    #[test]
    fn a_wanted_name_comes_first_and_as_it_is() {
        let long = Username::new(&"y".repeat(30)).expect("a name");
        let names = preferred(&long);
        assert_eq!(names[0].as_str(), long.as_str());
        assert_eq!(names.len(), 1 + WITH_DIGITS);
        assert!(names[1].as_str().starts_with(&"y".repeat(STEM_CHARS)));
    }
}
