-- Sign-ins, keys and what else is secret. Tokens and keys are here as hashes only.

CREATE TABLE sign_ins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    device_type TEXT CHECK (device_type = 'ios' OR device_type = 'android' OR device_type = 'web'),
    ip_address TEXT,
    country_code TEXT,
    user_agent TEXT
) STRICT;

CREATE INDEX idx_sign_ins_user ON sign_ins (user_id);
CREATE INDEX idx_sign_ins_expires ON sign_ins (expires_at);

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'service')),
    key_hash BLOB NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE UNIQUE INDEX idx_api_keys_live_name ON api_keys (name) WHERE revoked_at IS NULL;

-- Keyed hashes of (account, address), so that who signs in from a known address cannot be locked out.
CREATE TABLE known_addresses (
    hash BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_known_addresses_at ON known_addresses (at);

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
