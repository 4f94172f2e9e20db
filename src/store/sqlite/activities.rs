//! The activity log: written in batches, read in pages, counted exactly.
//!
//! A page is found in the index that fits its filter best, ids first and rows afterwards, so that an offset skips ids
//! and not rows. Totals come from the counts that [`rollups`] keeps; only what those cannot tell (another filter, the
//! ends of a range within a quarter hour) is counted in an index.

use super::rollups::{self, EVERY_ACTION, EVERYONE, End, QUARTER_MS};
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
pub(super) use columns;

/// A row, from [`columns`].
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<LoggedActivity> {
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

/// A filter as SQL: the table with the index that fits it best, the conditions, their values, and the order of time.
struct Selection {
    from: &'static str,
    conditions: String,
    values: Vec<Value>,
    newest_first: &'static str,
}

/// The quarter hours in which somebody did something, and of each what they did in it: ids begin with their time.
const BY_QUARTERS: &str = "activity_rollups r CROSS JOIN user_activity_logs l INDEXED BY idx_activity_user \
     ON l.id >= unhex(format('%012x', r.bucket * 900000)) AND l.id < unhex(format('%012x', (r.bucket + 1) * 900000))";

impl Selection {
    /// `has_rollups` says of the filter's user whether they have rollups.
    fn of(filter: &ActivityFilter, before: Option<ActivityId>, has_rollups: bool) -> Self {
        // The planner knows nothing of how many rows somebody has; the index is ours to choose.
        let from = match (filter.user_id, &filter.action, &filter.target_type) {
            (Some(_), Some(_), _) if has_rollups => BY_QUARTERS,
            (Some(_), ..) => "user_activity_logs l INDEXED BY idx_activity_user",
            (None, Some(_), _) => "user_activity_logs l INDEXED BY idx_activity_action",
            (None, None, Some(_)) => "user_activity_logs l INDEXED BY idx_activity_target_type",
            (None, None, None) => "user_activity_logs l NOT INDEXED",
        };
        let by_quarters = from == BY_QUARTERS;
        let mut selection = Self {
            from,
            conditions: String::from("1"),
            values: Vec::new(),
            newest_first: if by_quarters {
                "r.bucket DESC, l.id DESC"
            } else {
                "l.id DESC"
            },
        };
        if let Some(user) = filter.user_id {
            selection.and("l.user_id = ?", Value::Integer(user.0));
            if by_quarters {
                selection.and("r.user_id = ?", Value::Integer(user.0));
            }
        }
        if let Some(action) = &filter.action {
            selection.and("l.action = ?", Value::Text(action.clone()));
            if by_quarters {
                selection.and("r.action = ?", Value::Text(action.clone()));
                selection
                    .conditions
                    .push_str(" AND r.span = 0 AND r.live > 0");
            }
        }
        if let Some(target_type) = &filter.target_type {
            selection.and("l.target_type = ?", Value::Text(target_type.clone()));
        }
        // Of a quarter hour the bounds are its own, and these are for what is left of it.
        let (from_id, before_id) = if by_quarters {
            ("+l.id >= ?", "+l.id < ?")
        } else {
            ("l.id >= ?", "l.id < ?")
        };
        if let Some(from) = filter.from {
            let id = ActivityId::floor(from);
            selection.and(from_id, Value::Blob(id.to_vec()));
            if by_quarters {
                let quarter = from.as_millis().div_euclid(QUARTER_MS);
                selection.and("r.bucket >= ?", Value::Integer(quarter));
            }
        }
        let before = before.map(|id| (*id.0.as_bytes(), id.timestamp()));
        let end = filter.to.map(|to| (ActivityId::floor(to), to));
        if let Some((id, at)) = [end, before].into_iter().flatten().min() {
            selection.and(before_id, Value::Blob(id.to_vec()));
            if by_quarters {
                let quarter = at.as_millis().div_euclid(QUARTER_MS);
                selection.and("r.bucket <= ?", Value::Integer(quarter));
            }
        }
        selection
    }

    fn and(&mut self, condition: &str, value: Value) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.values.push(value);
    }

    /// The selection of a filter of which it is not known who its user is.
    fn find(
        connection: &Connection,
        filter: &ActivityFilter,
        before: Option<ActivityId>,
    ) -> Result<Self, Fault> {
        let has_rollups = match (filter.user_id, &filter.action) {
            (Some(user), Some(_)) => {
                rollups::total(connection, Some(user), EVERY_ACTION)?.has_rollups
            }
            _ => false,
        };
        Ok(Self::of(filter, before, has_rollups))
    }

    /// The ids of a page; `LIMIT` and `OFFSET` are the last two values.
    fn ids(&self) -> String {
        format!(
            "SELECT l.id FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?",
            self.from, self.conditions, self.newest_first
        )
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
        let mut selection = Selection::find(connection, filter, before)?;
        let sql = format!(
            concat!(
                "SELECT ",
                columns!(),
                " FROM ({}) page CROSS JOIN user_activity_logs l ON l.id = page.id \
                 CROSS JOIN users u ON u.id = l.user_id ORDER BY l.id DESC"
            ),
            selection.ids()
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

/// How many rows there are.
pub fn count(connection: &Connection, filter: &ActivityFilter) -> Result<i64, Fault> {
    if filter.target_type.is_some() {
        return Selection::find(connection, filter, None)?.count(connection);
    }
    let action = filter.action.as_deref().unwrap_or(EVERY_ACTION);
    if filter.from.is_none() && filter.to.is_none() {
        return Ok(rollups::total(connection, filter.user_id, action)?.live);
    }
    if let Some(user) = filter.user_id
        && !rollups::total(connection, Some(user), EVERY_ACTION)?.has_rollups
    {
        return Selection::of(filter, None, false).count(connection);
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
            total += Selection::of(&end, None, false).count(connection)?;
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
                total += Selection::of(&filter, None, false).count(connection)?;
            }
            End::Widened(quarter) => {
                total += of_quarter(quarter)?.0;
                is_widened = true;
            }
        }
    }
    Ok((total, is_widened))
}

/// How the ids of a page are found, for every combination of filters.
#[cfg(test)]
pub(super) fn every_selection() -> Vec<String> {
    let mut statements = Vec::new();
    for bits in 0..64 {
        let given = |bit: u32| bits & 1 << bit > 0;
        let filter = ActivityFilter {
            user_id: given(0).then_some(UserId(1)),
            action: given(1).then(|| "login".into()),
            target_type: given(2).then(|| "video".into()),
            from: given(3).then_some(Timestamp::from_millis(0)),
            to: given(4).then_some(LATEST),
        };
        let before = given(5).then(|| ActivityId::new(LATEST));
        for has_rollups in [false, true] {
            statements.push(Selection::of(&filter, before, has_rollups).ids());
        }
    }
    statements
}
