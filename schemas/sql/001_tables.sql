-- The tables. Every one that a sale writes leads its key with the shard, and no transaction touches two shards, so the
-- schema can be split over several primaries by shard. Money is in the smallest unit of the currency, times ending in
-- _ms are unix milliseconds, states and changes are the numbers of schemas/states.def.
--
-- Migrations can be run again after a crash in their middle. Each file is sent to the server as one text.

-- What is fixed for the life of the database: shards, block_seats.
CREATE TABLE IF NOT EXISTS engine (
    setting VARCHAR(32) NOT NULL PRIMARY KEY,
    value   VARCHAR(64) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS performance (
    performance_id INT UNSIGNED    NOT NULL PRIMARY KEY,
    name           VARCHAR(128)    NOT NULL,
    seats          INT UNSIGNED    NOT NULL, -- numbered from 1
    opens_at_ms    BIGINT UNSIGNED NOT NULL  -- 0: open
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Who owns a shard. Its row lock puts claims and batches in one order; `epoch` only grows.
CREATE TABLE IF NOT EXISTS shard_owner (
    shard         SMALLINT UNSIGNED NOT NULL PRIMARY KEY, -- 65535: the waiting room
    epoch         BIGINT UNSIGNED   NOT NULL DEFAULT 0,
    applied_seq   BIGINT UNSIGNED   NOT NULL DEFAULT 0,   -- the last change that is committed
    owner         VARCHAR(32)       NOT NULL DEFAULT '',
    connection_id BIGINT UNSIGNED   NOT NULL DEFAULT 0    -- that last wrote this row
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS performance_seat (
    shard          SMALLINT UNSIGNED NOT NULL,
    performance_id INT UNSIGNED      NOT NULL,
    seat_id        INT UNSIGNED      NOT NULL,
    seat_number    VARCHAR(64)       NOT NULL,
    price          BIGINT UNSIGNED   NOT NULL,
    state          TINYINT UNSIGNED  NOT NULL DEFAULT 0,
    version        BIGINT UNSIGNED   NOT NULL DEFAULT 0, -- +1 with each change
    reservation_id BIGINT UNSIGNED   NOT NULL DEFAULT 0, -- the live one; 0: none
    PRIMARY KEY (shard, performance_id, seat_id),
    UNIQUE KEY one_shard_per_seat (performance_id, seat_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- A row exists exactly while the seat is HELD, PAYING, CLOSING or CONFIRMED: the second line of defence against selling
-- a seat twice. claim_id = shard << 40 | seq of the change that made it.
CREATE TABLE IF NOT EXISTS seat_claim (
    shard          SMALLINT UNSIGNED NOT NULL,
    performance_id INT UNSIGNED      NOT NULL,
    seat_id        INT UNSIGNED      NOT NULL,
    claim_id       BIGINT UNSIGNED   NOT NULL,
    reservation_id BIGINT UNSIGNED   NOT NULL,
    user_id        BIGINT UNSIGNED   NOT NULL,
    state          TINYINT UNSIGNED  NOT NULL,
    reserved_at    DATETIME(3)       NOT NULL, -- UTC: when it was held; once CONFIRMED, when it was confirmed
    PRIMARY KEY (shard, performance_id, seat_id),
    UNIQUE KEY claim (claim_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS seat_reservation (
    shard          SMALLINT UNSIGNED NOT NULL,
    reservation_id BIGINT UNSIGNED   NOT NULL,
    performance_id INT UNSIGNED      NOT NULL,
    user_id        BIGINT UNSIGNED   NOT NULL,
    state          TINYINT UNSIGNED  NOT NULL,
    decided        TINYINT UNSIGNED  NOT NULL, -- the state that ended its payment, kept when it is refunded; 0: none
    amount         BIGINT UNSIGNED   NOT NULL,
    held_until_ms  BIGINT UNSIGNED   NOT NULL,
    at_ms          BIGINT UNSIGNED   NOT NULL, -- of its last change
    seq            BIGINT UNSIGNED   NOT NULL, -- of its last change
    seats          VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- '17,18'
    PRIMARY KEY (shard, reservation_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Payment intents: committed before the payment gateway hears of them. One reservation has one payment.
CREATE TABLE IF NOT EXISTS payment (
    shard          SMALLINT UNSIGNED NOT NULL,
    reservation_id BIGINT UNSIGNED   NOT NULL,
    performance_id INT UNSIGNED      NOT NULL,
    user_id        BIGINT UNSIGNED   NOT NULL,
    amount         BIGINT UNSIGNED   NOT NULL,
    state          TINYINT UNSIGNED  NOT NULL,
    at_ms          BIGINT UNSIGNED   NOT NULL, -- of its last change
    seq            BIGINT UNSIGNED   NOT NULL, -- of its last change
    PRIMARY KEY (shard, reservation_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Requests that had an effect. A user's request id is unique within its shard.
CREATE TABLE IF NOT EXISTS idempotency (
    shard          SMALLINT UNSIGNED NOT NULL,
    user_id        BIGINT UNSIGNED   NOT NULL,
    request_id     BINARY(16)        NOT NULL,
    body_hash      BIGINT UNSIGNED   NOT NULL,
    `change`       TINYINT UNSIGNED  NOT NULL,
    reservation_id BIGINT UNSIGNED   NOT NULL,
    at_ms          BIGINT UNSIGNED   NOT NULL,
    PRIMARY KEY (shard, user_id, request_id),
    KEY by_time (shard, at_ms)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Every change, gapless per shard, never altered: history and outbox in one.
CREATE TABLE IF NOT EXISTS seat_log (
    shard             SMALLINT UNSIGNED NOT NULL,
    seq               BIGINT UNSIGNED   NOT NULL,
    epoch             BIGINT UNSIGNED   NOT NULL,
    `change`          TINYINT UNSIGNED  NOT NULL,
    performance_id    INT UNSIGNED      NOT NULL,
    seat_id           INT UNSIGNED      NOT NULL,
    version           BIGINT UNSIGNED   NOT NULL, -- 0: a change of the payment only
    state             TINYINT UNSIGNED  NOT NULL,
    reservation_id    BIGINT UNSIGNED   NOT NULL,
    reservation_state TINYINT UNSIGNED  NOT NULL,
    user_id           BIGINT UNSIGNED   NOT NULL,
    amount            BIGINT UNSIGNED   NOT NULL,
    payment_state     TINYINT UNSIGNED  NOT NULL,
    held_until_ms     BIGINT UNSIGNED   NOT NULL,
    at_ms             BIGINT UNSIGNED   NOT NULL,
    request_id        BINARY(16)        NOT NULL, -- zeros: no request caused it
    body_hash         BIGINT UNSIGNED   NOT NULL,
    leader            TINYINT UNSIGNED  NOT NULL, -- 1: carries the reservation, the payment and the request
    PRIMARY KEY (shard, seq)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- How far Kafka has acknowledged a shard's log; `offsets` is the kafka-bridge's own note.
CREATE TABLE IF NOT EXISTS outbox_cursor (
    shard   SMALLINT UNSIGNED NOT NULL PRIMARY KEY,
    seq     BIGINT UNSIGNED   NOT NULL,
    at_ms   BIGINT UNSIGNED   NOT NULL,
    offsets TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The waiting room: its log, and what follows from it. The shard is always 65535.
CREATE TABLE IF NOT EXISTS grant_log (
    shard          SMALLINT UNSIGNED NOT NULL,
    seq            BIGINT UNSIGNED   NOT NULL,
    epoch          BIGINT UNSIGNED   NOT NULL,
    `change`       TINYINT UNSIGNED  NOT NULL,
    performance_id INT UNSIGNED      NOT NULL,
    grant_id       BIGINT UNSIGNED   NOT NULL,
    user_id        BIGINT UNSIGNED   NOT NULL,
    number         BIGINT UNSIGNED   NOT NULL,
    expires_at_ms  BIGINT UNSIGNED   NOT NULL,
    at_ms          BIGINT UNSIGNED   NOT NULL,
    PRIMARY KEY (shard, seq)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS admission_grant (
    shard          SMALLINT UNSIGNED NOT NULL,
    performance_id INT UNSIGNED      NOT NULL,
    grant_id       BIGINT UNSIGNED   NOT NULL,
    user_id        BIGINT UNSIGNED   NOT NULL,
    number         BIGINT UNSIGNED   NOT NULL,
    expires_at_ms  BIGINT UNSIGNED   NOT NULL,
    ended          TINYINT UNSIGNED  NOT NULL, -- 1: before its expiry
    PRIMARY KEY (shard, performance_id, grant_id),
    KEY by_expiry (shard, expires_at_ms)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS admission_state (
    shard          SMALLINT UNSIGNED NOT NULL,
    performance_id INT UNSIGNED      NOT NULL,
    number_high    BIGINT UNSIGNED   NOT NULL, -- ticket numbers up to this one may have been given
    serving        BIGINT UNSIGNED   NOT NULL, -- the highest ticket number admitted
    grant_high     BIGINT UNSIGNED   NOT NULL, -- the highest grant number given
    PRIMARY KEY (shard, performance_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
