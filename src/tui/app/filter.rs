//! What somebody typed to see fewer rows: words, and `user:` and `action:` with a name.

/// A filter as it was typed and as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    words: Vec<String>,
    user: Option<String>,
    action: Option<String>,
}

impl Filter {
    /// Understands `text`. Of a field that is given twice the last one counts; one without a name is still being typed.
    pub fn new(text: &str) -> Self {
        let mut filter = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for part in text.to_lowercase().split_whitespace() {
            let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            if let Some(name) = part.strip_prefix("user:") {
                filter.user = named(name);
            } else if let Some(name) = part.strip_prefix("action:") {
                filter.action = named(name);
            } else {
                filter.words.push(part.to_owned());
            }
        }
        filter
    }

    /// As it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.user.is_none() && self.action.is_none()
    }

    /// Whether there are words that any text of a row may have in it.
    pub fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// The name after `user:`.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The name after `action:`.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// Whether a row passes: its user and its action hold what was asked of them, and each word is in one of its texts.
    pub fn passes<'a>(
        &self,
        user: &str,
        action: Option<&str>,
        texts: impl Iterator<Item = &'a str> + Clone,
    ) -> bool {
        let user_fits = self.user().is_none_or(|part| holds(user, part));
        let action_fits = self
            .action()
            .is_none_or(|part| action.is_some_and(|action| holds(action, part)));
        user_fits
            && action_fits
            && self.words.iter().all(|word| {
                holds(user, word)
                    || action.is_some_and(|action| holds(action, word))
                    || texts.clone().any(|text| holds(text, word))
            })
    }
}

/// Whether `part`, in small letters, is in `text`, whatever its letters.
fn holds(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(part);
    }
    // Ten thousand rows are looked through with each letter typed: nothing is copied.
    let part = part.as_bytes();
    part.is_empty()
        || text
            .as_bytes()
            .windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_words() {
        let filter = Filter::new("User:Ann  action:log clip-7");
        assert_eq!((filter.user(), filter.action()), (Some("ann"), Some("log")));
        let passes = |user, action, text| filter.passes(user, Some(action), [text].into_iter());
        assert!(passes("Anna", "login", "CLIP-70"));
        assert!(!passes("Anna", "login", "clip-8"));
        assert!(!passes("bob", "login", "clip-7"));
        assert!(!passes("ann", "message_sent", "clip-7"));
        assert!(!filter.passes("ann", None, ["clip-7"].into_iter()));
    }

    #[test]
    fn a_field_without_a_name_is_still_being_typed() {
        assert!(Filter::new("user:").is_empty());
        assert!(Filter::new("  ").is_empty());
        assert!(!Filter::new("u").is_empty());
    }

    #[test]
    fn letters_of_any_size_and_script() {
        let passes =
            |typed: &str, text: &str| Filter::new(typed).passes("", None, [text].into_iter());
        assert!(passes("ÜBER", "überall"));
        assert!(passes("MOZILLA", "Mozilla/5.0"));
        assert!(!passes("long word", "long"));
    }
}
