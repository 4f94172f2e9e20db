//! History that comes from elsewhere: rows in batches, and what follows from them.

use super::analytics::LENGTHS_MS;
use super::prune::Gone;
use super::rollups::{Counts, DAY_MS, QUARTER_MS};
use super::{Fault, activities as log, analytics, rollups};
use crate::model::*;
use crate::store::{
    ActivityImport, CatchUp, ImportSource, Imported, SessionImport, UpsertCounts, UserKey,
};
use rusqlite::{Connection, OptionalExtension, named_params};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const BY_ID: &str = "SELECT id FROM users WHERE id = ?1";
const BY_NAME: &str = "SELECT id FROM users WHERE username = ?1";

/// Whose each row is, or which rows are nobody's.
type Resolved = Result<Vec<UserId>, Vec<(usize, FieldError)>>;

/// The same, and `gone` says which rows are refused whosever they are.
fn accept<'a>(
    connection: &Connection,
    keys: impl Iterator<Item = &'a UserKey>,
    source: ImportSource,
    gone: impl FnOnce() -> Result<Vec<(usize, FieldError)>, Fault>,
) -> Result<Resolved, Fault> {
    let users = resolve(connection, keys)?;
    // What comes from an archive was counted before, and is not counted again.
    if users.is_ok() && source == ImportSource::Elsewhere {
        let bad = gone()?;
        if !bad.is_empty() {
            return Ok(Err(bad));
        }
    }
    Ok(users)
}

fn resolve<'a>(
    connection: &Connection,
    keys: impl Iterator<Item = &'a UserKey>,
) -> Result<Resolved, Fault> {
    let mut by_id = connection.prepare_cached(BY_ID)?;
    let mut by_name = connection.prepare_cached(BY_NAME)?;
    let mut known: HashMap<&UserKey, Option<i64>> = HashMap::new();
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    for (index, key) in keys.enumerate() {
        let user = match known.get(key) {
            Some(user) => *user,
            None => {
                let user: Option<i64> = match key {
                    UserKey::Id(id) => by_id.query_row([id.0], |row| row.get(0)),
                    UserKey::Name(name) => by_name.query_row([name], |row| row.get(0)),
                }
                .optional()?;
                known.insert(key, user);
                user
            }
        };
        match user {
            Some(user) => found.push(UserId(user)),
            None => {
                let field = match key {
                    UserKey::Id(_) => "userId",
                    UserKey::Name(_) => "username",
                };
                bad.push((index, FieldError::new(field, "is no user of this database")));
            }
        }
    }
    Ok(if bad.is_empty() { Ok(found) } else { Err(bad) })
}

/// Why a row is refused that prune may have removed: it would be counted twice.
fn gone(field: &'static str, what: &str) -> FieldError {
    let why = format!(
        "is older than what prune has removed of {what}; use --restore to put archived rows back"
    );
    FieldError::new(field, why)
}

const HAS_ACTIVITY: &str = "SELECT EXISTS (SELECT 1 FROM user_activity_logs WHERE id = ?1)";
const HAS_SESSION: &str = "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?1)";

/// The rows that may have been counted and removed before. Not those that are there: they stay as they are.
fn gone_activities(
    connection: &Connection,
    rows: &[ActivityImport],
) -> Result<Vec<(usize, FieldError)>, Fault> {
    let pruned = Gone::read(connection)?;
    let mut has = connection.prepare_cached(HAS_ACTIVITY)?;
    let mut bad = Vec::new();
    for (index, ActivityImport { activity, .. }) in rows.iter().enumerate() {
        if pruned.may_have_held(&activity.action, activity.timestamp)
            && !has.query_row([activity.id.0.as_bytes()], |row| row.get(0))?
        {
            bad.push((index, gone("timestamp", &activity.action)));
        }
    }
    Ok(bad)
}

fn gone_sessions(
    connection: &Connection,
    rows: &[SessionImport],
) -> Result<Vec<(usize, FieldError)>, Fault> {
    let pruned = Gone::read(connection)?;
    let mut has = connection.prepare_cached(HAS_SESSION)?;
    let mut bad = Vec::new();
    for (index, SessionImport { session, .. }) in rows.iter().enumerate() {
        if let Some((ended_at, _)) = session.ended
            && pruned.may_have_held_session(ended_at)
            && !has.query_row([session.id.0.hyphenated().to_string()], |row| row.get(0))?
        {
            bad.push((index, gone("endedAt", "sessions")));
        }
    }
    Ok(bad)
}

pub fn activities(
    connection: &Connection,
    rows: Vec<ActivityImport>,
    source: ImportSource,
) -> Result<Imported, Fault> {
    let mut added = Counts::default();
    let imported = add_activities(connection, rows, source, &mut added)?;
    let with_many = added.write(connection, source)?;
    rollups::begin(connection, with_many)?;
    Ok(imported)
}

/// Inserts in the order of the ids, in which the table and the indexes that are in order of time only grow.
fn add_activities(
    connection: &Connection,
    rows: Vec<ActivityImport>,
    source: ImportSource,
    added: &mut Counts,
) -> Result<Imported, Fault> {
    let keys = rows.iter().map(|row| &row.user);
    let gone = || gone_activities(connection, &rows);
    let users = match accept(connection, keys, source, gone)? {
        Ok(users) => users,
        Err(bad) => return Ok(Err(bad)),
    };
    let mut rows: Vec<Activity> = rows.into_iter().map(|row| row.activity).collect();
    for (row, user) in rows.iter_mut().zip(users) {
        row.user_id = user;
    }
    rows.sort_unstable_by_key(|row| row.id);
    let written = log::insert(connection, &rows, |_| Ok(true))?;
    for row in &written {
        added.add(connection, rollups::counted(row))?;
    }
    Ok(Ok(counts(rows.len(), written.len())))
}

const INDEXES: &str = "SELECT name, sql FROM sqlite_schema \
     WHERE type = 'index' AND tbl_name = 'user_activity_logs' AND sql IS NOT NULL";

/// Numbers that are kept in memory before they are written, some 50 bytes each.
const MAX_COUNTS: usize = 2_000_000;

/// The cache while an index is built, which is also how much is sorted at a time: measured on five million rows, twice as
/// fast as 256 MB, since one part is sorted while the next is read.
const SORT_KIB: i64 = 24 * 1024;

/// Imports batch after batch without the log's secondary indexes, and builds those at the end: sorted once, they cost
/// a fraction of as many insertions at random places. All of it is of the transaction around this call, so nobody else
/// ever sees the log without them.
///
/// `next` gives the next batch, `None` at the end; `written` takes what came of it.
pub fn activities_unindexed(
    connection: &Connection,
    source: ImportSource,
    mut next: impl FnMut() -> Result<Option<Vec<ActivityImport>>, Fault>,
    mut written: impl FnMut(Imported),
) -> Result<(), Fault> {
    let indexes = connection
        .prepare(INDEXES)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, String)>, _>>()?;
    for (name, _) in &indexes {
        connection.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    let (mut added, mut with_many) = (Counts::default(), BTreeSet::new());
    while let Some(rows) = next()? {
        written(add_activities(connection, rows, source, &mut added)?);
        if added.size() > MAX_COUNTS {
            with_many.extend(added.write(connection, source)?);
        }
    }
    with_many.extend(added.write(connection, source)?);
    let cache: i64 = connection.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    connection.pragma_update(None, "cache_size", -SORT_KIB)?;
    let built = indexes
        .iter()
        .try_for_each(|(_, sql)| connection.execute_batch(sql));
    connection.pragma_update(None, "cache_size", cache)?;
    built?;
    // Which reads the rows by user.
    rollups::begin(connection, with_many)
}

fn counts(rows: usize, inserted: usize) -> UpsertCounts {
    UpsertCounts {
        inserted,
        unchanged: rows - inserted,
        ..UpsertCounts::default()
    }
}

const INSERT_SESSION: &str = "INSERT INTO sessions (id, user_id, device_id, device_type, ip_address, country_code, \
     user_agent, started_at, ended_at, end_reason) \
     VALUES (:id, :user_id, :device_id, :device_type, :ip_address, :country_code, :user_agent, \
     :started_at, :ended_at, :end_reason) ON CONFLICT (id) DO NOTHING";

// The trigger has counted the row as a new one. Where it never was, as in another database, there were at least as many
// as there are.
const COUNT_BACK: &str = "UPDATE session_rollups SET ever = ever - min(?3, ever - live), \
     ended = ended - min(?3, ever - live), duration_ms = duration_ms - ?4 * min(?3, ever - live) / ?3 \
     WHERE span = ?1 AND bucket = ?2";

pub fn sessions(
    connection: &Connection,
    rows: Vec<SessionImport>,
    source: ImportSource,
) -> Result<Imported, Fault> {
    let keys = rows.iter().map(|row| &row.user);
    let gone = || gone_sessions(connection, &rows);
    let users = match accept(connection, keys, source, gone)? {
        Ok(users) => users,
        Err(bad) => return Ok(Err(bad)),
    };
    let mut insert = connection.prepare_cached(INSERT_SESSION)?;
    let mut inserted = 0;
    // Of each bucket the sessions and their lengths.
    let mut restored: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
    for (SessionImport { session, .. }, user) in rows.iter().zip(users) {
        let mut buffer = uuid::Uuid::encode_buffer();
        let id: &str = session.id.0.hyphenated().encode_lower(&mut buffer);
        let client = &session.client;
        let is_new = insert.execute(named_params! {
            ":id": id,
            ":user_id": user.0,
            ":device_id": session.device_id.as_deref(),
            ":device_type": client.device_type.map(DeviceType::as_str),
            ":ip_address": client.ip_address,
            ":country_code": client.country_code,
            ":user_agent": client.user_agent,
            ":started_at": session.started_at.as_millis(),
            ":ended_at": session.ended.map(|(at, _)| at.as_millis()),
            ":end_reason": session.ended.map(|(_, reason)| reason.as_str()),
        })? > 0;
        inserted += usize::from(is_new);
        if is_new && source == ImportSource::Archive {
            let start = session.started_at.as_millis();
            let length = session.ended.map_or(0, |(at, _)| at.as_millis() - start);
            for bucket in [(0, start / QUARTER_MS), (1, start / DAY_MS)] {
                let (count, lengths) = restored.entry(bucket).or_default();
                *count += 1;
                *lengths += length;
            }
        }
    }
    let mut count_back = connection.prepare_cached(COUNT_BACK)?;
    for ((span, bucket), (count, lengths)) in restored {
        count_back.execute((span, bucket, count, lengths))?;
    }
    Ok(Ok(counts(rows.len(), inserted)))
}

const LAST_OF_PAGE: &str =
    "SELECT max(id) FROM (SELECT id FROM users WHERE id > ?1 ORDER BY id LIMIT ?2)";
// The newest of each is a step or a few into an index.
const CATCH_UP_ACTIVITIES: &str = "WITH newest (id, active, login) AS MATERIALIZED ( \
         SELECT u.id, \
             (SELECT timestamp FROM user_activity_logs INDEXED BY idx_activity_user \
              WHERE user_id = u.id ORDER BY id DESC LIMIT 1), \
             (SELECT timestamp FROM user_activity_logs INDEXED BY idx_activity_user \
              WHERE user_id = u.id AND action = 'login' ORDER BY id DESC LIMIT 1) \
         FROM users u WHERE u.id > ?1 AND u.id <= ?2) \
     UPDATE users SET \
         last_active_at = nullif(max(ifnull(last_active_at, -1), ifnull(min(active, ?3), -1)), -1), \
         last_login_at = nullif(max(ifnull(last_login_at, -1), ifnull(min(login, ?3), -1)), -1) \
     FROM newest WHERE newest.id = users.id \
         AND (min(active, ?3) > ifnull(last_active_at, -1) OR min(login, ?3) > ifnull(last_login_at, -1))";
// Whoever is online now was last seen when they were before: what the server says of them stands.
const CATCH_UP_SESSIONS: &str = "WITH newest (id, ended) AS MATERIALIZED ( \
         SELECT u.id, (SELECT min(max(s.ended_at), ?3) FROM sessions s WHERE s.user_id = u.id) \
         FROM users u WHERE u.id > ?1 AND u.id <= ?2) \
     UPDATE users SET \
         last_active_at = max(ifnull(last_active_at, -1), ended), \
         last_seen = iif(is_online, last_seen, max(ifnull(last_seen, -1), ended)) \
     FROM newest WHERE newest.id = users.id \
         AND (ended > ifnull(last_active_at, -1) OR (NOT is_online AND ended > ifnull(last_seen, -1)))";

/// Brings users after `after` forward, at most `limit` of them; the last of them, or `None` when there was none.
pub fn catch_up(
    connection: &Connection,
    what: CatchUp,
    now: Timestamp,
    after: i64,
    limit: i64,
) -> Result<Option<i64>, Fault> {
    let last: Option<i64> = connection
        .prepare_cached(LAST_OF_PAGE)?
        .query_row((after, limit), |row| row.get(0))?;
    if let Some(last) = last {
        let sql = match what {
            CatchUp::Activities => CATCH_UP_ACTIVITIES,
            CatchUp::Sessions => CATCH_UP_SESSIONS,
        };
        connection
            .prepare_cached(sql)?
            .execute((after, last, now.as_millis()))?;
    }
    Ok(last)
}

// A session that has no length counts at no moment.
const STARTED: &str = "SELECT started_at, user_id FROM sessions INDEXED BY idx_sessions_started \
     WHERE started_at >= ?1 AND started_at < ?2 AND ended_at IS NOT started_at";
const ENDED: &str = "SELECT ended_at, user_id FROM sessions INDEXED BY idx_sessions_ended \
     WHERE ended_at >= ?1 AND ended_at < ?2 AND started_at < ended_at";

/// The most people online at once in each quarter hour of a day of UTC, by their sessions.
pub fn peaks_of_day(connection: &Connection, day: i64) -> Result<Vec<(i64, i64)>, Fault> {
    super::snapshot(connection, |connection| {
        let (begin, end) = (day * DAY_MS, (day + 1) * DAY_MS);
        // Open sessions of each user, and how many users have one.
        let mut open: HashMap<i64, i64> = HashMap::new();
        // Those who were in the middle of one when the day began.
        let mut closed = connection.prepare_cached(analytics::CLOSED_AT)?;
        let before = begin - 1;
        for class in 0..=LENGTHS_MS.len() {
            let earliest = LENGTHS_MS
                .get(class)
                .map_or(i64::MIN, |length| before - length);
            for user in closed.query_map((class as i64, earliest, before), |row| row.get(0))? {
                *open.entry(user?).or_default() += 1;
            }
        }
        for user in connection
            .prepare_cached(analytics::OPEN_AT)?
            .query_map([before], |row| row.get(0))?
        {
            *open.entry(user?).or_default() += 1;
        }
        // Ends come before beginnings of the same moment: whoever changes devices is not two.
        let mut changes: Vec<(i64, i64, i64)> = Vec::new();
        for (sql, step) in [(STARTED, 1), (ENDED, -1)] {
            let mut statement = connection.prepare_cached(sql)?;
            for change in statement.query_map((begin, end), |row| Ok((row.get(0)?, row.get(1)?)))? {
                let (at, user) = change?;
                changes.push((at, step, user));
            }
        }
        changes.sort_unstable();
        let mut online = i64::try_from(open.len()).unwrap_or(i64::MAX);
        let mut change = |online: &mut i64, user: i64, step: i64| {
            let sessions = open.entry(user).or_default();
            let was_online = *sessions > 0;
            *sessions += step;
            *online += i64::from(*sessions > 0) - i64::from(was_online);
            if *sessions == 0 {
                open.remove(&user);
            }
        };
        let mut changes = changes.into_iter().peekable();
        let mut peaks = Vec::new();
        for quarter in begin / QUARTER_MS..end / QUARTER_MS {
            let (first, last) = (quarter * QUARTER_MS, (quarter + 1) * QUARTER_MS);
            // Whoever left at its very beginning was not there in it.
            while let Some((_, step, user)) = changes.next_if(|c| c.0 == first && c.1 < 0) {
                change(&mut online, user, step);
            }
            let mut peak = online;
            while let Some((_, step, user)) = changes.next_if(|c| c.0 < last) {
                change(&mut online, user, step);
                peak = peak.max(online);
            }
            if peak > 0 {
                peaks.push((quarter, peak));
            }
        }
        Ok(peaks)
    })
}
