//! What a demo is made of: `[demo]` of the file, and `LASTSEEN_DEMO_*`. Flags are laid over it by the command.

use super::prune::parse_age;
use super::{ConfigError, Env, file};
use std::time::Duration;

/// What is set; the command has defaults for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DemoSettings {
    /// How many people.
    pub users: Option<u32>,
    /// Who they are.
    pub seed: Option<u64>,
    /// How many times faster than a real day one goes.
    pub speed: Option<u32>,
    /// How long it runs.
    pub run_for: Option<Duration>,
}

impl DemoSettings {
    /// What this says, and `base` where it says nothing.
    pub fn or(self, base: Self) -> Self {
        Self {
            users: self.users.or(base.users),
            seed: self.seed.or(base.seed),
            speed: self.speed.or(base.speed),
            run_for: self.run_for.or(base.run_for),
        }
    }

    pub(super) fn read(file: Option<&file::File>, env: &Env) -> Result<Self, ConfigError> {
        let mut settings = match file {
            Some(file) => file.demo()?,
            None => Self::default(),
        };
        for key in ["users", "seed", "speed", "for"] {
            let name = format!("LASTSEEN_DEMO_{}", key.to_ascii_uppercase());
            if let Some(text) = env.get(&name)? {
                let set = settings.set(key, text).unwrap_or(Ok(()));
                set.map_err(|why| ConfigError(format!("environment variable {name}: {why}")))?;
            }
        }
        Ok(settings)
    }

    /// Numbers as numbers, the duration as a string; `None` where there is no such key.
    pub(super) fn set_toml(
        &mut self,
        key: &str,
        value: &toml::Value,
    ) -> Option<Result<(), String>> {
        match (key, value) {
            ("for", toml::Value::String(text)) => self.set(key, text),
            ("for", _) => Some(Err("must be a string".to_owned())),
            (_, toml::Value::Integer(number)) => self.set(key, &number.to_string()),
            _ => Self::default()
                .set(key, "0")
                .map(|_| Err("must be a number".to_owned())),
        }
    }

    fn set(&mut self, key: &str, text: &str) -> Option<Result<(), String>> {
        fn put<T>(slot: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
            *slot = Some(value?);
            Ok(())
        }
        Some(match key {
            "users" => put(&mut self.users, parse_users(text)),
            "seed" => put(&mut self.seed, parse_seed(text)),
            "speed" => put(&mut self.speed, parse_speed(text)),
            "for" => put(&mut self.run_for, parse_age(text)),
            _ => return None,
        })
    }
}

/// How many people a demo has.
///
/// # Errors
/// Why it cannot be so many.
pub fn parse_users(text: &str) -> Result<u32, String> {
    number(text, 10, 2_000)
}

/// Any number.
///
/// # Errors
/// It is none.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    number(text, 0, u64::MAX)
}

/// How many times faster than a real day one goes in a demo.
///
/// # Errors
/// Why it cannot be so fast.
pub fn parse_speed(text: &str) -> Result<u32, String> {
    number(text, 1, 10_000)
}

fn number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse::<T>() {
        Ok(number) if (&least..=&most).contains(&&number) => Ok(number),
        _ => Err(format!(
            "must be a whole number from {least} to {most}, not {text:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn of(text: &str, variables: &[(&str, &str)]) -> Result<DemoSettings, String> {
        let file = file::File::parse(Path::new("a.toml"), text).map_err(|why| why.to_string())?;
        let env = Env::of(variables.iter().copied());
        DemoSettings::read(Some(&file), &env).map_err(|why| why.to_string())
    }

    #[test]
    fn variables_beat_the_file() {
        let text = "[demo]\nusers = 20\nseed = 3\nfor = \"30s\"";
        let settings = of(text, &[("LASTSEEN_DEMO_USERS", "30")]).expect("valid");
        let expected = DemoSettings {
            users: Some(30),
            seed: Some(3),
            speed: None,
            run_for: Some(Duration::from_secs(30)),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, variables, expected) in [
            ("demo = 1", &[][..], "key demo: must be a table"),
            (
                "[demo]\nusers = \"x\"",
                &[],
                "key demo.users: must be a number",
            ),
            (
                "[demo]\nusers = 9",
                &[],
                "key demo.users: must be a whole number from 10 to 2000",
            ),
            ("[demo]\nfor = 3", &[], "key demo.for: must be a string"),
            (
                "[demo]\npeople = 3",
                &[],
                "key demo.people: is not a known key",
            ),
            (
                "",
                &[("LASTSEEN_DEMO_SPEED", "0")],
                "LASTSEEN_DEMO_SPEED: must be a whole number",
            ),
            ("", &[("LASTSEEN_DEMO_FOR", "0s")], "LASTSEEN_DEMO_FOR: "),
        ] {
            let error = of(text, variables).expect_err(expected);
            assert!(error.contains(expected), "{error}, not {expected}");
        }
    }
}
