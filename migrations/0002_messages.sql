-- Conversations of two or more, and what was said in them.

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    is_group INTEGER NOT NULL CHECK (is_group IN (0, 1)),
    -- The two people of a conversation that is no group, so that there is only one of them; emptied when either
    -- is erased.
    pair_low INTEGER REFERENCES users (id) ON DELETE SET NULL,
    pair_high INTEGER REFERENCES users (id) ON DELETE SET NULL,
    created_at INTEGER NOT NULL,
    -- Time of the newest message, else of creation.
    activity_at INTEGER NOT NULL,
    last_message_id INTEGER,
    CHECK (pair_low < pair_high),
    CHECK (is_group = 0 OR (pair_low IS NULL AND pair_high IS NULL))
) STRICT;

CREATE UNIQUE INDEX idx_conversations_pair ON conversations (pair_low, pair_high) WHERE pair_low IS NOT NULL;
CREATE INDEX idx_conversations_pair_high ON conversations (pair_high) WHERE pair_high IS NOT NULL;

CREATE TABLE participants (
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Order in which they were added.
    position INTEGER NOT NULL,
    -- Whether they sent a message here: that is what makes the others their contacts.
    wrote INTEGER NOT NULL DEFAULT 0 CHECK (wrote IN (0, 1)),
    last_read_id INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_participants_user ON participants (user_id, conversation_id, wrote);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    sender_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
    text TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Covers the count of unread messages.
CREATE INDEX idx_messages_conversation ON messages (conversation_id, id, sender_id);
CREATE INDEX idx_messages_sender ON messages (sender_id);

-- A conversation that nobody is left in is nobody's to keep.
CREATE TRIGGER participants_last_gone AFTER DELETE ON participants
WHEN NOT EXISTS (SELECT 1 FROM participants WHERE conversation_id = OLD.conversation_id)
BEGIN
    DELETE FROM conversations WHERE id = OLD.conversation_id;
END;
