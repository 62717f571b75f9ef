-- A batch is one transaction: CALL fence, rows of a log, CALL apply_log (or apply_grants), COMMIT. An error that these
-- raise ends the text that was sent, so that COMMIT is not reached:
--     30001 DUP   30002 GAP   30003 FENCED   30004 CONFLICT

-- Lock the shard's row, and go on only if the epoch is current and p_first is the next change.
DROP PROCEDURE IF EXISTS fence;
CREATE PROCEDURE fence(
    IN p_shard SMALLINT UNSIGNED, IN p_epoch BIGINT UNSIGNED,
    IN p_first BIGINT UNSIGNED, IN p_last BIGINT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_epoch BIGINT UNSIGNED DEFAULT NULL;
    DECLARE v_applied BIGINT UNSIGNED DEFAULT NULL;

    SELECT epoch, applied_seq INTO v_epoch, v_applied
    FROM shard_owner WHERE shard = p_shard FOR UPDATE;

    IF v_epoch IS NULL OR v_epoch <> p_epoch THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30003, MESSAGE_TEXT = 'FENCED: not the current epoch';
    ELSEIF p_last <= v_applied THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001, MESSAGE_TEXT = 'DUP: committed before';
    ELSEIF p_first <> v_applied + 1 THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30002, MESSAGE_TEXT = 'GAP: not the next change';
    END IF;

    UPDATE shard_owner SET applied_seq = p_last, connection_id = CONNECTION_ID() WHERE shard = p_shard;
END;

-- Carry the log's rows p_first to p_last out on seats, claims, reservations, payments and requests. A batch changes a
-- seat at most once and never splits a reservation; changes of the payment only (version 0) may stand before or behind.
-- Whatever does not find exactly the row that it expects is a CONFLICT.
DROP PROCEDURE IF EXISTS apply_log;
CREATE PROCEDURE apply_log(
    IN p_shard SMALLINT UNSIGNED, IN p_first BIGINT UNSIGNED, IN p_last BIGINT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_rows, v_seats, v_held, v_kept, v_freed, v_reservations, v_payments INT UNSIGNED DEFAULT 0;
    DECLARE v_done INT DEFAULT 0;

    -- 1 HOLD; 2 PAY, 5 CONFIRM, 7 CLOSE, 8 CLOSE_CONFIRM; 3 CANCEL, 4 EXPIRE, 6 FAIL, 9 CLOSE_EXPIRE, 10 REFUND
    SELECT COUNT(*),
           COUNT(CASE WHEN version > 0 THEN 1 END),
           COUNT(CASE WHEN `change` = 1 THEN 1 END),
           COUNT(CASE WHEN `change` IN (2, 5, 7, 8) THEN 1 END),
           COUNT(CASE WHEN `change` IN (3, 4, 6, 9, 10) THEN 1 END),
           COUNT(DISTINCT CASE WHEN leader = 1 AND reservation_id <> 0 AND `change` <> 1 THEN reservation_id END),
           COUNT(DISTINCT CASE WHEN leader = 1 AND payment_state <> 0 AND `change` NOT IN (1, 2)
                               THEN reservation_id END)
    INTO v_rows, v_seats, v_held, v_kept, v_freed, v_reservations, v_payments
    FROM seat_log WHERE shard = p_shard AND seq BETWEEN p_first AND p_last;

    IF v_rows <> p_last - p_first + 1 THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: the log has a gap';
    END IF;

    -- Holding, blocking (11) and unblocking (12) want a seat that is nobody's; all else its own reservation's.
    IF v_seats > 0 THEN
        UPDATE seat_log l
        STRAIGHT_JOIN performance_seat s
            ON s.shard = l.shard AND s.performance_id = l.performance_id AND s.seat_id = l.seat_id
        SET s.state = l.state, s.version = l.version,
            s.reservation_id = CASE WHEN l.state IN (1, 2, 3, 4) THEN l.reservation_id ELSE 0 END
        WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.version > 0
          AND s.version + 1 = l.version
          AND s.reservation_id = CASE WHEN l.`change` IN (1, 11, 12) THEN 0 ELSE l.reservation_id END;
        SET v_done = ROW_COUNT();
        IF v_done <> v_seats THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: version or owner of a seat';
        END IF;
    END IF;

    IF v_held > 0 THEN
        INSERT INTO seat_claim
            (shard, performance_id, seat_id, claim_id, reservation_id, user_id, state, reserved_at)
        SELECT l.shard, l.performance_id, l.seat_id, l.shard * 1099511627776 + l.seq, l.reservation_id, l.user_id,
               l.state, FROM_UNIXTIME(l.at_ms / 1000)
        FROM seat_log l
        WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.`change` = 1;

        INSERT INTO seat_reservation
            (shard, reservation_id, performance_id, user_id, state, decided, amount, held_until_ms, at_ms, seq, seats)
        SELECT p_shard, l.reservation_id, MAX(l.performance_id), MAX(l.user_id), MAX(l.reservation_state), 0,
               MAX(l.amount), MAX(l.held_until_ms), MAX(l.at_ms), MAX(l.seq), GROUP_CONCAT(l.seat_id ORDER BY l.seq)
        FROM seat_log l
        WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.`change` = 1
        GROUP BY l.reservation_id;
    END IF;

    IF v_kept > 0 THEN
        UPDATE seat_log l
        STRAIGHT_JOIN seat_claim c
            ON c.shard = l.shard AND c.performance_id = l.performance_id AND c.seat_id = l.seat_id
        SET c.state = l.state,
            c.reserved_at = CASE WHEN l.state = 4 THEN FROM_UNIXTIME(l.at_ms / 1000) ELSE c.reserved_at END
        WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.`change` IN (2, 5, 7, 8)
          AND c.reservation_id = l.reservation_id;
        SET v_done = ROW_COUNT();
        IF v_done <> v_kept THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: a claim to keep is not there';
        END IF;
    END IF;

    IF v_freed > 0 THEN
        DELETE c
        FROM seat_log l
        STRAIGHT_JOIN seat_claim c
            ON c.shard = l.shard AND c.performance_id = l.performance_id AND c.seat_id = l.seat_id
        WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.`change` IN (3, 4, 6, 9, 10)
          AND c.reservation_id = l.reservation_id;
        SET v_done = ROW_COUNT();
        IF v_done <> v_freed THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: a claim to end is not there';
        END IF;
    END IF;

    -- A reservation may have several rows here (sold, then captured): the last one says how it stands.
    IF v_reservations > 0 THEN
        UPDATE (SELECT reservation_id, MAX(seq) AS seq,
                       MAX(CASE WHEN `change` IN (5, 6, 8, 9) THEN reservation_state ELSE 0 END) AS decided
                FROM seat_log
                WHERE shard = p_shard AND seq BETWEEN p_first AND p_last
                  AND leader = 1 AND reservation_id <> 0 AND `change` <> 1
                GROUP BY reservation_id) n
        STRAIGHT_JOIN seat_log l ON l.shard = p_shard AND l.seq = n.seq
        STRAIGHT_JOIN seat_reservation r ON r.shard = p_shard AND r.reservation_id = n.reservation_id
        SET r.state = l.reservation_state, r.held_until_ms = l.held_until_ms, r.at_ms = l.at_ms, r.seq = l.seq,
            r.decided = CASE WHEN n.decided <> 0 THEN n.decided ELSE r.decided END
        WHERE r.user_id = l.user_id;
        SET v_done = ROW_COUNT();
        IF v_done <> v_reservations THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: a reservation is not there';
        END IF;

        INSERT INTO payment (shard, reservation_id, performance_id, user_id, amount, state, at_ms, seq)
        SELECT l.shard, l.reservation_id, l.performance_id, l.user_id, l.amount, l.payment_state, l.at_ms, l.seq
        FROM seat_log l
        WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.leader = 1 AND l.`change` = 2;
    END IF;

    IF v_payments > 0 THEN
        UPDATE (SELECT reservation_id, MAX(seq) AS seq
                FROM seat_log
                WHERE shard = p_shard AND seq BETWEEN p_first AND p_last
                  AND leader = 1 AND payment_state <> 0 AND `change` NOT IN (1, 2)
                GROUP BY reservation_id) n
        STRAIGHT_JOIN seat_log l ON l.shard = p_shard AND l.seq = n.seq
        STRAIGHT_JOIN payment p ON p.shard = p_shard AND p.reservation_id = n.reservation_id
        SET p.state = l.payment_state, p.at_ms = l.at_ms, p.seq = l.seq;
        SET v_done = ROW_COUNT();
        IF v_done <> v_payments THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: a payment is not there';
        END IF;
    END IF;

    INSERT INTO idempotency (shard, user_id, request_id, body_hash, `change`, reservation_id, at_ms)
    SELECT l.shard, l.user_id, l.request_id, l.body_hash, l.`change`, l.reservation_id, l.at_ms
    FROM seat_log l
    WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.leader = 1
      AND l.request_id <> 0x00000000000000000000000000000000;
END;

-- The same for the waiting room. 1 GRANTED, 2 ENDED, 3 RESERVED.
DROP PROCEDURE IF EXISTS apply_grants;
CREATE PROCEDURE apply_grants(
    IN p_shard SMALLINT UNSIGNED, IN p_first BIGINT UNSIGNED, IN p_last BIGINT UNSIGNED)
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE v_rows, v_ended INT UNSIGNED DEFAULT 0;
    DECLARE v_done INT DEFAULT 0;

    SELECT COUNT(*), COUNT(CASE WHEN `change` = 2 THEN 1 END) INTO v_rows, v_ended
    FROM grant_log WHERE shard = p_shard AND seq BETWEEN p_first AND p_last;

    IF v_rows <> p_last - p_first + 1 THEN
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: the log has a gap';
    END IF;

    INSERT INTO admission_grant (shard, performance_id, grant_id, user_id, number, expires_at_ms, ended)
    SELECT l.shard, l.performance_id, l.grant_id, l.user_id, l.number, l.expires_at_ms, 0
    FROM grant_log l
    WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.`change` = 1;

    IF v_ended > 0 THEN
        UPDATE grant_log l
        STRAIGHT_JOIN admission_grant g
            ON g.shard = l.shard AND g.performance_id = l.performance_id AND g.grant_id = l.grant_id
        SET g.ended = 1
        WHERE l.shard = p_shard AND l.seq BETWEEN p_first AND p_last AND l.`change` = 2
          AND g.user_id = l.user_id AND g.ended = 0;
        SET v_done = ROW_COUNT();
        IF v_done <> v_ended THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30004, MESSAGE_TEXT = 'CONFLICT: a grant to end is not there';
        END IF;
    END IF;

    INSERT INTO admission_state (shard, performance_id, number_high, serving, grant_high)
    SELECT p_shard, n.performance_id, n.number_high, n.serving, n.grant_high
    FROM (SELECT performance_id,
                 MAX(CASE WHEN `change` = 2 THEN 0 ELSE number END) AS number_high,
                 MAX(CASE WHEN `change` = 1 THEN number ELSE 0 END) AS serving,
                 MAX(CASE WHEN `change` = 1 THEN grant_id ELSE 0 END) AS grant_high
          FROM grant_log WHERE shard = p_shard AND seq BETWEEN p_first AND p_last
          GROUP BY performance_id) n
    ON DUPLICATE KEY UPDATE
        admission_state.number_high = GREATEST(admission_state.number_high, n.number_high),
        admission_state.serving = GREATEST(admission_state.serving, n.serving),
        admission_state.grant_high = GREATEST(admission_state.grant_high, n.grant_high);
END;
