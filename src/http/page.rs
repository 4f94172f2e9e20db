//! Pages: `limit` and `cursor` in, `nextCursor` out. Cursors are opaque: base64url of where the page ended.

use crate::error::{Error, Result};
use crate::model::{ConversationId, Timestamp, UserId};
use crate::store::{ConversationCursor, ConversationPage, Page};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Rows of a page where `limit` is not given.
const DEFAULT_LIMIT: usize = 50;
/// Rows of a page at most.
const MAX_LIMIT: i64 = 100;
/// The same for lists for administrators.
const DEFAULT_LONG_LIMIT: usize = 100;
const MAX_LONG_LIMIT: i64 = 1_000;

/// Checks `limit`: refused when out of range, never clamped.
fn limit(limit: Option<i64>) -> Result<usize> {
    limit_to(limit, DEFAULT_LIMIT, MAX_LIMIT)
}

fn limit_to(limit: Option<i64>, default: usize, max: i64) -> Result<usize> {
    match limit {
        None => Ok(default),
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|_| (1..=max).contains(&n))
            .ok_or_else(|| Error::invalid("limit", format!("must be 1 to {max}"))),
    }
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn decode(cursor: &str) -> Option<String> {
    // The longest cursor we give is a binding and a UUID; nothing longer is worth decoding.
    let bytes = (cursor.len() <= 96).then(|| URL_SAFE_NO_PAD.decode(cursor).ok())??;
    String::from_utf8(bytes).ok()
}

fn bad_cursor() -> Error {
    Error::invalid("cursor", "must be a nextCursor of a former page")
}

/// A page by one key.
pub(super) fn page(limit_asked: Option<i64>, cursor: Option<&str>) -> Result<Page> {
    let read = |text: &str| decode(text)?.strip_prefix('p')?.parse().ok();
    Ok(Page {
        before: cursor.map(|c| read(c).ok_or_else(bad_cursor)).transpose()?,
        limit: limit(limit_asked)?,
    })
}

/// The cursor of the page after `key`.
pub(super) fn cursor(key: i64) -> String {
    encode(&format!("p{key}"))
}

/// A page of users by id, lowest first, for administrators: above whom, and how many.
pub(super) fn user_page(
    limit_asked: Option<i64>,
    cursor: Option<&str>,
) -> Result<(Option<UserId>, usize)> {
    let read = |text: &str| Some(UserId(decode(text)?.strip_prefix('u')?.parse().ok()?));
    let after = cursor.map(|c| read(c).ok_or_else(bad_cursor)).transpose()?;
    Ok((after, long_limit(limit_asked)?))
}

/// The cursor of the page after a user.
pub(super) fn user_cursor(user: UserId) -> String {
    encode(&format!("u{user}"))
}

/// A page of conversations.
pub(super) fn conversation_page(
    limit_asked: Option<i64>,
    cursor: Option<&str>,
) -> Result<ConversationPage> {
    let read = |text: &str| {
        let text = decode(text)?;
        let (at, id) = text.strip_prefix('c')?.split_once('.')?;
        Some(ConversationCursor {
            at: Timestamp::from_millis(at.parse().ok()?),
            id: ConversationId(id.parse().ok()?),
        })
    };
    Ok(ConversationPage {
        before: cursor.map(|c| read(c).ok_or_else(bad_cursor)).transpose()?,
        limit: limit(limit_asked)?,
    })
}

/// The cursor of the page after `at`.
pub(super) fn conversation_cursor(at: ConversationCursor) -> String {
    encode(&format!("c{}.{}", at.at.as_millis(), at.id))
}

/// Checks the `limit` of a list for administrators.
pub(super) fn long_limit(limit: Option<i64>) -> Result<usize> {
    limit_to(limit, DEFAULT_LONG_LIMIT, MAX_LONG_LIMIT)
}

/// Says of which filters a cursor is, since a page of others would begin anywhere.
fn binding(filters: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(filters)[..6])
}

/// The cursor of the page after `key`, for use with the same filters.
pub(super) fn bound_cursor(filters: &str, key: &str) -> String {
    encode(&format!("{}{key}", binding(filters)))
}

/// Where the page after `cursor` begins, by what `read` makes of its key.
pub(super) fn bound_key<T>(
    filters: &str,
    cursor: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let wrong = || {
        Error::invalid(
            "cursor",
            "must be a nextCursor of a page with the same filters",
        )
    };
    let of = |text: &str| read(decode(text)?.strip_prefix(&binding(filters))?);
    cursor.map(|text| of(text).ok_or_else(wrong)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back() {
        for key in [0, -1, i64::MAX, i64::MIN] {
            let page = page(None, Some(&cursor(key))).expect("our own cursor");
            assert_eq!(page.before, Some(key));
            let at = ConversationCursor {
                at: Timestamp::from_millis(key),
                id: ConversationId(key),
            };
            let page = conversation_page(Some(1), Some(&conversation_cursor(at)));
            assert_eq!(page.expect("our own cursor").before, Some(at));
            let user = UserId(key);
            let page = user_page(None, Some(&user_cursor(user)));
            assert_eq!(page.expect("our own cursor"), (Some(user), 100));
        }
    }

    #[test]
    fn rubbish_and_foreign_cursors_are_refused() {
        let foreign = conversation_cursor(ConversationCursor {
            at: Timestamp::from_millis(1),
            id: ConversationId(2),
        });
        let long = "A".repeat(1 << 16);
        for bad in ["", "%", "AAAA", "cA", foreign.as_str(), long.as_str()] {
            let error = page(None, Some(bad)).expect_err("no cursor of ours");
            assert!(matches!(error, Error::Invalid(e) if e.field == "cursor"));
        }
        assert!(conversation_page(None, Some(&cursor(1))).is_err());
        assert!(user_page(None, Some(&cursor(1))).is_err());
    }

    #[test]
    fn limits_are_refused_not_clamped() {
        for bad in [0, -1, 101, i64::MAX, i64::MIN] {
            let error = page(Some(bad), None).expect_err("out of range");
            assert!(matches!(error, Error::Invalid(e) if e.field == "limit"));
        }
        assert_eq!(page(Some(100), None).expect("in range").limit, 100);
        assert_eq!(user_page(Some(1000), None).expect("in range").1, 1000);
        for bad in [0, -1, 1001] {
            assert!(user_page(Some(bad), None).is_err(), "{bad}");
        }
    }
}
