//! What changes by itself while people come and go: presence columns, sessions, last active, last used.

use super::Fault;
use crate::model::*;
use crate::store::FlushBatch;
use rusqlite::{Connection, named_params};

const PRESENCE: &str =
    "UPDATE users SET is_online = ?2, last_seen = ifnull(?3, last_seen) WHERE id = ?1";
const ACTIVE: &str = "UPDATE users SET last_active_at = ?2 \
     WHERE id = ?1 AND (last_active_at IS NULL OR last_active_at < ?2)";
const USED: &str = "UPDATE sign_ins SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2";

/// Writes a batch; what belongs to users who were erased meanwhile finds no row and is left out.
pub fn flush(connection: &Connection, boot: BootId, batch: &FlushBatch) -> Result<(), Fault> {
    let mut presence = connection.prepare_cached(PRESENCE)?;
    for columns in &batch.presence {
        presence.execute((
            columns.user_id.0,
            columns.is_online,
            columns.last_seen.map(Timestamp::as_millis),
        ))?;
    }
    for session in &batch.sessions {
        upsert(connection, boot, session)?;
    }
    let mut active = connection.prepare_cached(ACTIVE)?;
    for (user, at) in &batch.active {
        active.execute((user.0, at.as_millis()))?;
    }
    let mut used = connection.prepare_cached(USED)?;
    for (sign_in, at) in &batch.used {
        used.execute((sign_in.0, at.as_millis()))?;
    }
    Ok(())
}

// An end that is null opens a session again that its user came back to.
const UPSERT: &str = "INSERT INTO sessions (id, user_id, boot_id, device_id, device_type, ip_address, country_code, \
     user_agent, started_at, ended_at, end_reason) \
     SELECT :id, :user_id, :boot_id, :device_id, :device_type, :ip_address, :country_code, :user_agent, \
     :started_at, :ended_at, :end_reason WHERE EXISTS (SELECT 1 FROM users WHERE id = :user_id) \
     ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id, ended_at = excluded.ended_at, \
     end_reason = excluded.end_reason";

fn upsert(connection: &Connection, boot: BootId, session: &SessionRow) -> Result<(), Fault> {
    let mut buffer = uuid::Uuid::encode_buffer();
    let id: &str = session.id.0.hyphenated().encode_lower(&mut buffer);
    let client = &session.client;
    connection.prepare_cached(UPSERT)?.execute(named_params! {
        ":id": id,
        ":user_id": session.user_id.0,
        ":boot_id": boot.0,
        ":device_id": session.device_id.as_deref(),
        ":device_type": client.device_type.map(DeviceType::as_str),
        ":ip_address": client.ip_address,
        ":country_code": client.country_code,
        ":user_agent": client.user_agent,
        ":started_at": session.started_at.as_millis(),
        ":ended_at": session.ended.map(|(at, _)| at.as_millis()),
        ":end_reason": session.ended.map(|(_, reason)| reason.as_str()),
    })?;
    Ok(())
}
