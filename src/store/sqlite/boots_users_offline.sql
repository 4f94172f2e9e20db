UPDATE users SET
    is_online = 0,
    last_seen = nullif(max(
        ifnull(last_seen, -9223372036854775807),
        coalesce(
            (
                SELECT max(max(s.started_at, ifnull(b.proof_at, s.started_at)))
                FROM sessions s LEFT JOIN boots b ON b.id = s.boot_id
                WHERE s.user_id = users.id AND s.ended_at IS NULL
            ),
            (
                SELECT max(s.ended_at)
                FROM sessions s
                WHERE s.user_id = users.id
            ),
            -- Online without any session cannot be, unless by hand.
            (SELECT max(proof_at) FROM boots),
            -9223372036854775807
        )
    ), -9223372036854775807)
WHERE is_online = 1
