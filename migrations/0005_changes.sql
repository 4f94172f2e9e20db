-- What commands changed beside a running server, for it to heed; only the newest few thousand are kept.

CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    user_id INTEGER,
    at INTEGER NOT NULL
) STRICT;
