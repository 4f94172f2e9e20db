-- Who somebody is at a provider of social sign-in.

CREATE TABLE identities (
    provider TEXT NOT NULL CHECK (provider IN ('google', 'apple')),
    -- The provider's own id of the person: the sub of its tokens.
    subject TEXT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (provider, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_identities_user ON identities (user_id);
