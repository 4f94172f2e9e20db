-- Runs of the server, and the stretches of being online.

CREATE TABLE boots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at INTEGER NOT NULL,
    -- Renewed every few seconds while the server lives.
    proof_at INTEGER NOT NULL,
    -- Empty while it runs; after a crash the next boot puts the last proof here.
    ended_at INTEGER
) STRICT;

-- A row is some 250 bytes, much of it the User-Agent, and has four indexes: row ids in those are smaller than the
-- text of the id would be, so this one is not WITHOUT ROWID. The id is text so that a person can read it.
CREATE TABLE sessions (
    -- UUIDv7 of started_at.
    id TEXT NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    boot_id INTEGER REFERENCES boots (id),
    device_id TEXT,
    device_type TEXT CHECK (device_type = 'ios' OR device_type = 'android' OR device_type = 'web'),
    ip_address TEXT,
    country_code TEXT,
    user_agent TEXT,
    started_at INTEGER NOT NULL,
    -- Empty while it is open.
    ended_at INTEGER,
    end_reason TEXT CHECK (end_reason = 'client' OR end_reason = 'lost' OR end_reason = 'signout' OR end_reason = 'revoked' OR end_reason = 'shutdown' OR end_reason = 'crash'),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) STRICT;

CREATE INDEX idx_sessions_user ON sessions (user_id, started_at);
CREATE INDEX idx_sessions_started ON sessions (started_at);
CREATE INDEX idx_sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX idx_sessions_open ON sessions (user_id) WHERE ended_at IS NULL;
