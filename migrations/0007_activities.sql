-- What people did, and counts that outlive the rows.

-- Clustered by id, which is a UUIDv7 of the row's own timestamp: time ranges and pruning walk one end of one tree, and
-- every index below ends in the id, so that each is in order of time.
CREATE TABLE user_activity_logs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    target_type TEXT,
    target_id TEXT,
    -- A JSON object.
    metadata TEXT,
    ip_address TEXT,
    -- Not IN: of more than two words SQLite would make a table for each row that is written.
    device_type TEXT CHECK (device_type = 'ios' OR device_type = 'android' OR device_type = 'web'),
    country_code TEXT,
    region TEXT,
    timestamp INTEGER NOT NULL CHECK (timestamp >= 0)
) STRICT, WITHOUT ROWID;

-- Holds the action too, so that those of one action are found among somebody's few without a look at the rows; where
-- somebody has many, their rollups say where to look. An index on both would be a page more to write for each row.
CREATE INDEX idx_activity_user ON user_activity_logs (user_id, id, action);
CREATE INDEX idx_activity_action ON user_activity_logs (action);
CREATE INDEX idx_activity_target_type ON user_activity_logs (target_type) WHERE target_type IS NOT NULL;
-- Erasing somebody takes along what was done to them.
CREATE INDEX idx_activity_target_user ON user_activity_logs (target_id) WHERE target_type = 'user';

-- Totals: user 0 is everyone, the empty action is every action. `ever` never falls, `live` is how many rows there are.
CREATE TABLE activity_counts (
    user_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    ever INTEGER NOT NULL,
    live INTEGER NOT NULL,
    -- On the user's row of every action: this user has rollups of their own, since they have many rows.
    has_rollups INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, action)
) STRICT, WITHOUT ROWID;

-- The same by time: span 0 is quarter hours, span 1 days, both of UTC, each counted from the Unix epoch.
CREATE TABLE activity_rollups (
    user_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    span INTEGER NOT NULL CHECK (span IN (0, 1)),
    bucket INTEGER NOT NULL,
    ever INTEGER NOT NULL,
    live INTEGER NOT NULL,
    PRIMARY KEY (user_id, action, span, bucket)
) STRICT, WITHOUT ROWID;

-- For rows that are deleted by hand or with their user. What deletes many lowers the counts itself, with triggers off.
CREATE TRIGGER activity_deleted AFTER DELETE ON user_activity_logs
BEGIN
    UPDATE activity_counts SET live = live - 1 WHERE user_id = 0 AND action = '';
    UPDATE activity_counts SET live = live - 1 WHERE user_id = 0 AND action = OLD.action;
    UPDATE activity_counts SET live = live - 1 WHERE user_id = OLD.user_id AND action = '';
    UPDATE activity_counts SET live = live - 1 WHERE user_id = OLD.user_id AND action = OLD.action;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = 0 AND action = '' AND span = 0 AND bucket = OLD.timestamp / 900000;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = 0 AND action = '' AND span = 1 AND bucket = OLD.timestamp / 86400000;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = 0 AND action = OLD.action AND span = 0 AND bucket = OLD.timestamp / 900000;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = 0 AND action = OLD.action AND span = 1 AND bucket = OLD.timestamp / 86400000;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = OLD.user_id AND action = '' AND span = 0 AND bucket = OLD.timestamp / 900000;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = OLD.user_id AND action = '' AND span = 1 AND bucket = OLD.timestamp / 86400000;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = OLD.user_id AND action = OLD.action AND span = 0 AND bucket = OLD.timestamp / 900000;
    UPDATE activity_rollups SET live = live - 1
        WHERE user_id = OLD.user_id AND action = OLD.action AND span = 1 AND bucket = OLD.timestamp / 86400000;
END;

-- What everyone did stays counted; what this one did was nobody else's.
CREATE TRIGGER users_counts_gone AFTER DELETE ON users BEGIN
    DELETE FROM activity_counts WHERE user_id = OLD.id;
    DELETE FROM activity_rollups WHERE user_id = OLD.id;
END;

-- Sessions by the quarter hour (span 0) and day (span 1) of UTC in which they began. `ended` of them have ended and
-- lasted `duration_ms` together.
CREATE TABLE session_rollups (
    span INTEGER NOT NULL CHECK (span IN (0, 1)),
    bucket INTEGER NOT NULL,
    ever INTEGER NOT NULL,
    live INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (span, bucket)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sessions_counted AFTER INSERT ON sessions BEGIN
    INSERT INTO session_rollups (span, bucket, ever, live, ended, duration_ms)
        VALUES
            (0, NEW.started_at / 900000, 1, 1, NEW.ended_at IS NOT NULL, ifnull(NEW.ended_at - NEW.started_at, 0)),
            (1, NEW.started_at / 86400000, 1, 1, NEW.ended_at IS NOT NULL, ifnull(NEW.ended_at - NEW.started_at, 0))
        ON CONFLICT (span, bucket) DO UPDATE SET
            ever = ever + 1,
            live = live + 1,
            ended = ended + excluded.ended,
            duration_ms = duration_ms + excluded.duration_ms;
END;

-- Also back: a session that is resumed is open again.
CREATE TRIGGER sessions_ended AFTER UPDATE OF ended_at ON sessions
WHEN OLD.ended_at IS NOT NEW.ended_at
BEGIN
    UPDATE session_rollups SET
        ended = ended + (NEW.ended_at IS NOT NULL) - (OLD.ended_at IS NOT NULL),
        duration_ms = duration_ms + ifnull(NEW.ended_at - NEW.started_at, 0) - ifnull(OLD.ended_at - OLD.started_at, 0)
        WHERE (span = 0 AND bucket = NEW.started_at / 900000) OR (span = 1 AND bucket = NEW.started_at / 86400000);
END;

CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions BEGIN
    UPDATE session_rollups SET live = live - 1
        WHERE (span = 0 AND bucket = OLD.started_at / 900000) OR (span = 1 AND bucket = OLD.started_at / 86400000);
END;

-- The sessions that there were before.
INSERT INTO session_rollups (span, bucket, ever, live, ended, duration_ms)
    SELECT 0, started_at / 900000, count(*), count(*), count(ended_at), ifnull(sum(ended_at - started_at), 0)
    FROM sessions GROUP BY 2;
INSERT INTO session_rollups (span, bucket, ever, live, ended, duration_ms)
    SELECT 1, started_at / 86400000, count(*), count(*), count(ended_at), ifnull(sum(ended_at - started_at), 0)
    FROM sessions GROUP BY 2;

-- How long a session was, in powers of four from four minutes: whoever was online at a moment is found among the
-- sessions that began shortly before it, and further back only among those that were long enough.
ALTER TABLE sessions ADD COLUMN length_class INTEGER GENERATED ALWAYS AS (
    CASE
        WHEN ended_at IS NULL THEN NULL
        WHEN ended_at - started_at <= 240000 THEN 0
        WHEN ended_at - started_at <= 960000 THEN 1
        WHEN ended_at - started_at <= 3840000 THEN 2
        WHEN ended_at - started_at <= 15360000 THEN 3
        WHEN ended_at - started_at <= 61440000 THEN 4
        WHEN ended_at - started_at <= 245760000 THEN 5
        WHEN ended_at - started_at <= 983040000 THEN 6
        ELSE 7
    END
) VIRTUAL;

CREATE INDEX idx_sessions_length ON sessions (length_class, started_at, ended_at, user_id)
    WHERE ended_at IS NOT NULL;

-- The most people who were online at once in a quarter hour.
CREATE TABLE online_peaks (
    bucket INTEGER PRIMARY KEY,
    peak INTEGER NOT NULL
) STRICT;

-- Users by the quarter hour of UTC in which they were last active: whoever asks for those of a day would otherwise count
-- them one by one.
CREATE TABLE active_users (
    quarter INTEGER PRIMARY KEY,
    users INTEGER NOT NULL
) STRICT;

INSERT INTO active_users (quarter, users)
    SELECT last_active_at / 900000, count(*) FROM users WHERE last_active_at IS NOT NULL GROUP BY 1;

CREATE TRIGGER users_active_new AFTER INSERT ON users
WHEN NEW.last_active_at IS NOT NULL
BEGIN
    INSERT INTO active_users (quarter, users) VALUES (NEW.last_active_at / 900000, 1)
        ON CONFLICT (quarter) DO UPDATE SET users = users + 1;
END;

CREATE TRIGGER users_active_again AFTER UPDATE OF last_active_at ON users
WHEN OLD.last_active_at / 900000 IS NOT NEW.last_active_at / 900000
BEGIN
    UPDATE active_users SET users = users - 1 WHERE quarter = OLD.last_active_at / 900000;
    INSERT INTO active_users (quarter, users)
        SELECT NEW.last_active_at / 900000, 1 WHERE NEW.last_active_at IS NOT NULL
        ON CONFLICT (quarter) DO UPDATE SET users = users + 1;
END;

CREATE TRIGGER users_active_gone AFTER DELETE ON users
WHEN OLD.last_active_at IS NOT NULL
BEGIN
    UPDATE active_users SET users = users - 1 WHERE quarter = OLD.last_active_at / 900000;
END;

-- Answers to writes that may be sent again, for a day.
CREATE TABLE idempotency_keys (
    -- Who sent it: keys of one caller are nothing to another.
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_idempotency_keys_created ON idempotency_keys (created_at);
