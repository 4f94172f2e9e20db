-- People, who follows whom, who blocks whom. Times are UTC milliseconds everywhere.

-- "LSEN": says that the file is ours.
PRAGMA application_id = 1280525646;

CREATE TABLE users (
    -- AUTOINCREMENT: an id is never given to somebody else, also after its user is erased.
    -- The bound is what JSON clients can hold exactly.
    id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 9007199254740991),
    external_id TEXT UNIQUE,
    username TEXT NOT NULL COLLATE NOCASE UNIQUE,
    display_name TEXT,
    bio TEXT,
    profile_picture_url TEXT,
    email TEXT COLLATE NOCASE UNIQUE,
    password_hash TEXT,
    role TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    activity_status TEXT NOT NULL DEFAULT 'everyone' CHECK (activity_status = 'everyone' OR activity_status = 'contacts' OR activity_status = 'nobody'),
    is_online INTEGER NOT NULL DEFAULT 0 CHECK (is_online IN (0, 1)),
    last_seen INTEGER,
    last_login_at INTEGER,
    last_active_at INTEGER,
    -- Kept by the triggers below.
    followers_count INTEGER NOT NULL DEFAULT 0,
    following_count INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_users_online_status ON users (is_online, last_seen);
-- Active users since a moment are a range of this one.
CREATE INDEX idx_users_last_active ON users (last_active_at);

CREATE TABLE follows (
    id INTEGER PRIMARY KEY,
    follower_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    followee_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    UNIQUE (follower_id, followee_id),
    CHECK (follower_id <> followee_id)
) STRICT;

-- Each ends in the row id, so that a list is read newest first without sorting.
CREATE INDEX idx_follows_follower ON follows (follower_id);
CREATE INDEX idx_follows_followee ON follows (followee_id);

CREATE TRIGGER follows_count_insert AFTER INSERT ON follows BEGIN
    UPDATE users SET following_count = following_count + 1 WHERE id = NEW.follower_id;
    UPDATE users SET followers_count = followers_count + 1 WHERE id = NEW.followee_id;
END;

CREATE TRIGGER follows_count_delete AFTER DELETE ON follows BEGIN
    UPDATE users SET following_count = following_count - 1 WHERE id = OLD.follower_id;
    UPDATE users SET followers_count = followers_count - 1 WHERE id = OLD.followee_id;
END;

CREATE TRIGGER follows_count_update AFTER UPDATE OF follower_id, followee_id ON follows BEGIN
    UPDATE users SET following_count = following_count - 1 WHERE id = OLD.follower_id;
    UPDATE users SET followers_count = followers_count - 1 WHERE id = OLD.followee_id;
    UPDATE users SET following_count = following_count + 1 WHERE id = NEW.follower_id;
    UPDATE users SET followers_count = followers_count + 1 WHERE id = NEW.followee_id;
END;

CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    blocker_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    blocked_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    UNIQUE (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
) STRICT;

CREATE INDEX idx_blocks_blocker ON blocks (blocker_id);
CREATE INDEX idx_blocks_blocked ON blocks (blocked_id);
