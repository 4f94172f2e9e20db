//! The activity log: written in batches, read in pages, counted exactly.
//!
//! A page is found in the index that fits its filter best, ids first and rows afterwards, so that an offset skips ids
//! and not rows. Totals come from the counts that [`rollups`] keeps; only what those cannot tell (another filter, the
//! ends of a range within a quarter hour) is counted in an index.

use super::rollups::{self, EVERY_ACTION, EVERYONE, End};
use super::{Fault, rows, snapshot};
use crate::model::*;
use crate::store::{
    ActivityBatch, ActivityFilter, ActivityPage, ActivityPlace, Idempotency, Logged,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params, params_from_iter};

const INSERT: &str = "INSERT INTO user_activity_logs (id, user_id, action, target_type, target_id, metadata, \
     ip_address, device_type, country_code, region, timestamp) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO NOTHING";

/// Inserts rows; those that are new. `is_wanted` may leave some out.
pub fn insert<'a>(
    connection: &Connection,
    rows: &'a [Activity],
    mut is_wanted: impl FnMut(&Activity) -> Result<bool, Fault>,
) -> Result<Vec<&'a Activity>, Fault> {
    let mut statement = connection.prepare_cached(INSERT)?;
    let mut inserted = Vec::with_capacity(rows.len());
    for row in rows {
        if is_wanted(row)? && insert_one(&mut statement, row)? {
            inserted.push(row);
        }
    }
    Ok(inserted)
}

fn insert_one(statement: &mut Statement<'_>, row: &Activity) -> Result<bool, Fault> {
    // By position: looking eleven names up costs as much as a small insert.
    let inserted = statement.execute(params![
        row.id.0.as_bytes(),
        row.user_id.0,
        row.action,
        row.target_type,
        row.target_id,
        row.metadata,
        row.ip_address,
        row.device_type.map(DeviceType::as_str),
        row.country_code,
        row.region,
        row.timestamp.as_millis(),
    ])?;
    Ok(inserted > 0)
}

const USER_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1)";
const ACTIVE: &str = "UPDATE users SET last_active_at = ?2 \
     WHERE id = ?1 AND (last_active_at IS NULL OR last_active_at < ?2)";
const LOGIN: &str = "UPDATE users SET last_login_at = ?2 \
     WHERE id = ?1 AND (last_login_at IS NULL OR last_login_at < ?2)";

/// Writes a batch, all or nothing.
pub fn log(connection: &Connection, batch: &ActivityBatch) -> Result<Logged, Fault> {
    if let Some(key) = &batch.idempotency
        && let Some(logged) = replayed(connection, key)?
    {
        return Ok(logged);
    }
    let mut exists = connection.prepare_cached(USER_EXISTS)?;
    let mut is_there = |user: UserId| -> Result<bool, Fault> {
        Ok(exists.query_row([user.0], |found| found.get(0))?)
    };
    let written = insert(connection, &batch.rows, |row| {
        let is_wanted = !batch.skip_erased
            || is_there(row.user_id)? && row.target_user().map_or(Ok(true), &mut is_there)?;
        Ok(is_wanted)
    })?;
    rollups::add(connection, written.iter().copied())?;
    for (sql, times) in [(ACTIVE, &batch.active), (LOGIN, &batch.logins)] {
        let mut statement = connection.prepare_cached(sql)?;
        for (user, at) in times {
            statement.execute((user.0, at.as_millis()))?;
        }
    }
    if let Some(key) = &batch.idempotency {
        remember(connection, key)?;
    }
    Ok(Logged::Written(written.len()))
}

const REPLAY: &str = "SELECT request_hash, answer FROM idempotency_keys WHERE caller = ?1 AND key = ?2 AND created_at > ?3";
const REMEMBER: &str = "INSERT INTO idempotency_keys (caller, key, request_hash, answer, created_at) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (caller, key) DO UPDATE SET request_hash = excluded.request_hash, \
     answer = excluded.answer, created_at = excluded.created_at";

/// What is kept under a key: its answer, or that it was for another body.
pub fn replayed(connection: &Connection, key: &Idempotency) -> Result<Option<Logged>, Fault> {
    let since = key.now.minus(crate::store::IDEMPOTENCY_MEMORY).as_millis();
    let found: Option<([u8; 32], String)> = connection
        .prepare_cached(REPLAY)?
        .query_row((&key.caller, &key.key, since), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(found.map(|(hash, answer)| {
        if hash == key.request_hash {
            Logged::Replayed(answer)
        } else {
            Logged::KeyReused
        }
    }))
}

fn remember(connection: &Connection, key: &Idempotency) -> Result<(), Fault> {
    connection.prepare_cached(REMEMBER)?.execute((
        &key.caller,
        &key.key,
        key.request_hash,
        &key.answer,
        key.now.as_millis(),
    ))?;
    Ok(())
}

const FORGET: &str = "DELETE FROM idempotency_keys WHERE (caller, key) IN \
     (SELECT caller, key FROM idempotency_keys WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)";

/// Forgets answers kept since `before` or longer, at most `limit` of them; how many.
pub fn forget_answers(
    connection: &Connection,
    before: Timestamp,
    limit: usize,
) -> Result<usize, Fault> {
    Ok(connection
        .prepare_cached(FORGET)?
        .execute((before.as_millis(), limit as i64))?)
}

/// The columns that [`from_row`] reads.
macro_rules! columns {
    () => {
        "l.id, l.user_id, u.username, l.action, l.target_type, l.target_id, l.metadata, l.ip_address, l.device_type, \
         l.country_code, l.region, l.timestamp"
    };
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<LoggedActivity> {
    Ok(LoggedActivity {
        username: rows::username(row, 2)?,
        activity: Activity {
            id: ActivityId(uuid::Uuid::from_bytes(row.get(0)?)),
            user_id: UserId(row.get(1)?),
            action: row.get(3)?,
            target_type: row.get(4)?,
            target_id: row.get(5)?,
            metadata: row.get(6)?,
            ip_address: row.get(7)?,
            device_type: rows::optional_word(row, 8)?,
            country_code: row.get(9)?,
            region: row.get(10)?,
            timestamp: rows::time(row, 11)?,
        },
    })
}

/// A filter as SQL: the table with the index that fits it best, the conditions, and their values.
struct Selection {
    from: &'static str,
    conditions: String,
    values: Vec<Value>,
}

impl Selection {
    fn of(filter: &ActivityFilter, before: Option<ActivityId>) -> Self {
        // The planner knows nothing of how many rows somebody has; the index is ours to choose.
        let from = match (filter.user_id, &filter.action, &filter.target_type) {
            (Some(_), Some(_), _) => "user_activity_logs INDEXED BY idx_activity_user_action",
            (Some(_), None, _) => "user_activity_logs INDEXED BY idx_activity_user",
            (None, Some(_), _) => "user_activity_logs INDEXED BY idx_activity_action",
            (None, None, Some(_)) => "user_activity_logs INDEXED BY idx_activity_target_type",
            (None, None, None) => "user_activity_logs NOT INDEXED",
        };
        let mut selection = Self {
            from,
            conditions: String::from("1"),
            values: Vec::new(),
        };
        if let Some(user) = filter.user_id {
            selection.and("user_id = ?", Value::Integer(user.0));
        }
        if let Some(action) = &filter.action {
            selection.and("action = ?", Value::Text(action.clone()));
        }
        if let Some(target_type) = &filter.target_type {
            selection.and("target_type = ?", Value::Text(target_type.clone()));
        }
        if let Some(from) = filter.from {
            let id = ActivityId::floor(from);
            selection.and("id >= ?", Value::Blob(id.to_vec()));
        }
        let end = filter.to.map(ActivityId::floor);
        let before = before.map(|id| *id.0.as_bytes());
        if let Some(id) = [end, before].into_iter().flatten().min() {
            selection.and("id < ?", Value::Blob(id.to_vec()));
        }
        selection
    }

    fn and(&mut self, condition: &str, value: Value) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.values.push(value);
    }

    fn count(&self, connection: &Connection) -> Result<i64, Fault> {
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {}",
            self.from, self.conditions
        );
        Ok(connection
            .prepare_cached(&sql)?
            .query_row(params_from_iter(&self.values), |row| row.get(0))?)
    }
}

/// A page, newest first, and with it the exact total when it is asked for; both of one state.
pub fn page(
    connection: &Connection,
    filter: &ActivityFilter,
    place: ActivityPlace,
    limit: usize,
    with_total: bool,
) -> Result<ActivityPage, Fault> {
    snapshot(connection, |connection| {
        let total = if with_total {
            Some(count(connection, filter)?)
        } else {
            None
        };
        let (before, offset) = match place {
            ActivityPlace::Offset(offset) => (None, offset),
            ActivityPlace::Before(id) => (Some(id), 0),
        };
        let mut selection = Selection::of(filter, before);
        let sql = format!(
            concat!(
                "SELECT ",
                columns!(),
                " FROM (SELECT id FROM {} WHERE {} ORDER BY id DESC LIMIT ? OFFSET ?) page \
                 CROSS JOIN user_activity_logs l ON l.id = page.id CROSS JOIN users u ON u.id = l.user_id \
                 ORDER BY l.id DESC"
            ),
            selection.from, selection.conditions
        );
        // One more than asked for tells whether there is a next page.
        let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        selection.values.push(Value::Integer(wanted));
        selection.values.push(Value::Integer(i64::from(offset)));
        let mut activities = connection
            .prepare_cached(&sql)?
            .query_map(params_from_iter(&selection.values), from_row)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let has_more = activities.len() > limit;
        activities.truncate(limit);
        let next = activities
            .last()
            .filter(|_| has_more)
            .map(|last| last.activity.id);
        Ok(ActivityPage {
            total,
            activities,
            next,
        })
    })
}

const AFTER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM user_activity_logs l CROSS JOIN users u ON u.id = l.user_id WHERE l.id > ?1 ORDER BY l.id LIMIT ?2"
);

/// A page of all rows, oldest first.
pub fn after(
    connection: &Connection,
    after: Option<ActivityId>,
    limit: usize,
) -> Result<Vec<LoggedActivity>, Fault> {
    let after = after.map_or([0; 16], |id| *id.0.as_bytes());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = connection
        .prepare_cached(AFTER)?
        .query_map((after, limit), from_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

pub(super) const BETWEEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM user_activity_logs l NOT INDEXED CROSS JOIN users u ON u.id = l.user_id \
     WHERE l.id > ?1 AND l.id < ?2 ORDER BY l.id LIMIT ?3"
);
pub(super) const BETWEEN_OF_ACTION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM user_activity_logs l INDEXED BY idx_activity_action CROSS JOIN users u ON u.id = l.user_id \
     WHERE l.id > ?1 AND l.id < ?2 AND l.action = ?4 ORDER BY l.id LIMIT ?3"
);

/// A page of the rows between two ids, oldest first; with an action only of it.
pub fn between(
    connection: &Connection,
    action: Option<&str>,
    after: [u8; 16],
    before: [u8; 16],
    limit: usize,
) -> Result<Vec<LoggedActivity>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = match action {
        None => connection
            .prepare_cached(BETWEEN)?
            .query_map((after, before, limit), from_row)?
            .collect::<rusqlite::Result<_>>()?,
        Some(action) => connection
            .prepare_cached(BETWEEN_OF_ACTION)?
            .query_map((after, before, limit, action), from_row)?
            .collect::<rusqlite::Result<_>>()?,
    };
    Ok(rows)
}

/// How many rows there are.
pub fn count(connection: &Connection, filter: &ActivityFilter) -> Result<i64, Fault> {
    if filter.target_type.is_some() {
        return Selection::of(filter, None).count(connection);
    }
    let action = filter.action.as_deref().unwrap_or(EVERY_ACTION);
    if filter.from.is_none() && filter.to.is_none() {
        return Ok(rollups::total(connection, filter.user_id, action)?.live);
    }
    if let Some(user) = filter.user_id
        && !rollups::total(connection, Some(user), EVERY_ACTION)?.has_rollups
    {
        return Selection::of(filter, None).count(connection);
    }
    let user = filter.user_id.map_or(EVERYONE, |id| id.0);
    let parts = rollups::parts(
        filter.from.unwrap_or(Timestamp::from_millis(0)),
        filter.to.unwrap_or(LATEST),
    );
    let (_, whole) = rollups::sum(connection, user, action, parts.quarters)?;
    let mut total = whole;
    for (from, to) in [parts.head, parts.tail] {
        if from < to {
            let end = ActivityFilter {
                from: Some(Timestamp::from_millis(from)),
                to: Some(Timestamp::from_millis(to)),
                ..filter.clone()
            };
            total += Selection::of(&end, None).count(connection)?;
        }
    }
    Ok(total)
}

/// Later than any row; the last that an id can hold.
pub(super) const LATEST: Timestamp = Timestamp::from_millis((1 << 48) - 1);

/// How many rows of this filter there ever were, those included that were pruned since; and whether an end of the range
/// had to be widened to its quarter hour, since rows there are gone.
pub fn count_ever(
    connection: &Connection,
    action: Option<&str>,
    from: Timestamp,
    to: Timestamp,
) -> Result<(i64, bool), Fault> {
    let name = action.unwrap_or(EVERY_ACTION);
    let parts = rollups::parts(from, to);
    let (mut total, _) = rollups::sum(connection, EVERYONE, name, parts.quarters)?;
    let mut is_widened = false;
    let of_quarter = |quarter| rollups::sum(connection, EVERYONE, name, (quarter, quarter + 1));
    let ends = parts.ends(|quarter| of_quarter(quarter).map(|(ever, live)| ever == live))?;
    for end in ends {
        match end {
            End::Counted(from, to) => {
                let filter = ActivityFilter {
                    action: action.map(str::to_owned),
                    from: Some(Timestamp::from_millis(from)),
                    to: Some(Timestamp::from_millis(to)),
                    ..ActivityFilter::default()
                };
                total += Selection::of(&filter, None).count(connection)?;
            }
            End::Widened(quarter) => {
                total += of_quarter(quarter)?.0;
                is_widened = true;
            }
        }
    }
    Ok((total, is_widened))
}
