-- What prune has removed.

-- Of this action, rows before this moment may be gone; each batch says so as it deletes. Whoever imports such a row
-- would count it a second time, so it can only be put back from an archive. The empty action is sessions, by their end.
CREATE TABLE pruned (
    action TEXT NOT NULL PRIMARY KEY,
    before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
