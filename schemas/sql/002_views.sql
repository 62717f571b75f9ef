-- What operators' scripts have always read: the seats and the sold seats of performance 1.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW seat AS
SELECT seat_id AS id, seat_number, state = 4 AS is_reserved
FROM performance_seat
WHERE performance_id = 1;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW reservation AS
SELECT claim_id AS id, user_id, seat_id, reserved_at
FROM seat_claim
WHERE performance_id = 1 AND state = 4;
