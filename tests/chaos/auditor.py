"""The independent auditor: judges a run by its evidence alone, invariant by invariant.

It shares no code with the engine or with `ticketctl verify`. Its own list of legal moves stands here, written from the
design, so that a wrong table in the engine is a finding and not agreed with.
"""

import collections

from clocks import Clocks, ended_early
from recovery import Recovered
from shown import Shown
from told import Told
from usage import Bounded

FREE, HELD, PAYING, CLOSING, CONFIRMED, BLOCKED = range(6)
R_HELD, R_PAYING, R_CLOSING, R_CONFIRMED, R_FAILED, R_EXPIRED, R_CANCELLED, R_REFUNDED = range(1, 9)
(
    HOLD,
    PAY,
    CANCEL,
    EXPIRE,
    CONFIRM,
    FAIL,
    CLOSE,
    CLOSE_CONFIRM,
    CLOSE_EXPIRE,
    REFUND,
    BLOCK,
    UNBLOCK,
    CAPTURED,
    MONEY_BACK,
) = range(1, 15)

# change -> seat before, seat after, reservation after
MOVES = {
    HOLD: (FREE, HELD, R_HELD),
    PAY: (HELD, PAYING, R_PAYING),
    CANCEL: (HELD, FREE, R_CANCELLED),
    EXPIRE: (HELD, FREE, R_EXPIRED),
    CONFIRM: (PAYING, CONFIRMED, R_CONFIRMED),
    FAIL: (PAYING, FREE, R_FAILED),
    CLOSE: (PAYING, CLOSING, R_CLOSING),
    CLOSE_CONFIRM: (CLOSING, CONFIRMED, R_CONFIRMED),
    CLOSE_EXPIRE: (CLOSING, FREE, R_EXPIRED),
    REFUND: (CONFIRMED, FREE, R_REFUNDED),
    BLOCK: (FREE, BLOCKED, 0),
    UNBLOCK: (BLOCKED, FREE, 0),
}
EVENTS = {
    HOLD: "SEAT_HELD",
    PAY: "PAYMENT_STARTED",
    CANCEL: "RESERVATION_CANCELLED",
    EXPIRE: "RESERVATION_FAILED",
    CONFIRM: "RESERVATION_SUCCESS",
    FAIL: "RESERVATION_FAILED",
    CLOSE: "PAYMENT_CLOSING",
    CLOSE_CONFIRM: "RESERVATION_SUCCESS",
    CLOSE_EXPIRE: "RESERVATION_FAILED",
    REFUND: "RESERVATION_CANCELLED",
    BLOCK: "SEAT_BLOCKED",
    UNBLOCK: "SEAT_UNBLOCKED",
    CAPTURED: "PAYMENT_CAPTURED",
    MONEY_BACK: "PAYMENT_REFUNDED",
}
LIVE = {HELD, PAYING, CLOSING, CONFIRMED}
GRANTED, ENDED, RESERVED = 1, 2, 3
WAITING_ROOM = 65535
NO_REQUEST = "00" * 16


class Auditor(Told, Shown, Bounded, Recovered):
    """findings: {invariant: [sentence]}"""

    def __init__(self, evidence):
        self.evidence = evidence
        self.clocks = Clocks(evidence.limits.get("jumps", ()), evidence.epochs, evidence.log)
        self.findings = collections.defaultdict(list)
        self.figures = collections.Counter()
        self.seat = {}  # (performance, seat) -> state, version, reservation
        self.reservation = {}  # id -> dict
        self.by_request = collections.defaultdict(list)  # (user, request id) -> rows

    def finding(self, invariant, sentence):
        self.findings[invariant].append(sentence)

    def judge(self):
        self.replay()
        self.note_shown()
        self.check_tables()
        self.check_holds_ended()
        self.check_money()
        self.check_events()
        self.check_grants()
        self.check_epochs()
        self.check_told()
        self.check_idempotency()
        self.check_projection()
        self.check_rights()
        self.check_v1()
        self.check_order()
        self.check_refusals()
        self.check_hot_seats()
        self.check_answers()
        self.check_shown()
        self.check_bounds()
        self.check_drills()
        if self.evidence.verify != 0:
            self.finding("verify", f"ticketctl verify ended with {self.evidence.verify}")
        return self.findings

    # ---- the log: I1, I5, I10, I13, I15, I16

    def replay(self):
        last = {}
        for row in self.evidence.log:
            shard, seq = row["shard"], row["seq"]
            if seq != last.get(shard, 0) + 1:
                self.finding("I5", f"shard {shard}: seat_log goes from {last.get(shard, 0)} to {seq}")
            last[shard] = seq
            if row["version"] > 0:
                self.move_seat(row)
            else:
                self.move_payment(row)
            if row["leader"] and row["request_id"] != NO_REQUEST:
                self.by_request[(row["user_id"], row["request_id"])].append(row)
        for owner in self.evidence.tables["owners"]:
            if owner["shard"] != WAITING_ROOM and owner["applied_seq"] != last.get(owner["shard"], 0):
                self.finding(
                    "I5",
                    f"shard {owner['shard']}: applied_seq {owner['applied_seq']},"
                    f" the log has {last.get(owner['shard'], 0)}",
                )

    def where(self, row):
        return f"shard {row['shard']} row {row['seq']}, seat {row['seat_id']}"

    def move_seat(self, row):
        key = (row["performance_id"], row["seat_id"])
        state, version, reservation = self.seat.get(key, (FREE, 0, 0))
        move = MOVES.get(row["change"])
        if move is None:
            self.finding("I13", f"{self.where(row)}: change {row['change']} is none")
            return
        if row["change"] == HOLD and state in LIVE:
            self.finding("I1", f"{self.where(row)}: held by {row['reservation_id']} while it is {reservation}'s")
        before, after, reservation_after = move
        if state != before or row["state"] != after or row["reservation_state"] != reservation_after:
            self.finding("I13", f"{self.where(row)}: change {row['change']} from state {state} to {row['state']}")
        if row["version"] != version + 1:
            self.finding("I13", f"{self.where(row)}: version {version} is followed by {row['version']}")
        if row["change"] != HOLD and reservation != row["reservation_id"]:
            self.finding("I19", f"{self.where(row)}: {row['reservation_id']} changes what is {reservation}'s")
        self.seat[key] = (row["state"], row["version"], row["reservation_id"] if row["state"] in LIVE else 0)
        self.note_reservation(row)

    def note_reservation(self, row):
        if row["reservation_id"] == 0:
            return
        if row["change"] == HOLD:
            entry = self.reservation.setdefault(
                row["reservation_id"],
                {
                    "user": row["user_id"],
                    "seats": [],
                    "states": {},
                    "amount": row["amount"],
                    "at": self.clocks.of_row(row)[0],
                    "end": None,
                    "decisions": collections.Counter(),
                    "payment": 0,
                    "shard": row["shard"],
                },
            )
            entry["seats"].append(row["seat_id"])
        entry = self.reservation.get(row["reservation_id"])
        if entry is None:
            self.finding("I13", f"{self.where(row)}: reservation {row['reservation_id']} was never held")
            return
        if entry["user"] != row["user_id"]:
            self.finding("I19", f"{self.where(row)}: user {row['user_id']} changes user {entry['user']}'s reservation")
        entry["states"].setdefault(row["reservation_state"], row["seq"])
        entry["state"] = row["reservation_state"]
        if row["state"] == FREE:
            entry["end"] = self.clocks.of_row(row)[-1]
        if row["leader"]:
            entry["decisions"][row["change"]] += 1
            entry["payment"] = row["payment_state"]

    def move_payment(self, row):
        entry = self.reservation.get(row["reservation_id"])
        if entry is None or row["change"] not in (CAPTURED, MONEY_BACK):
            self.finding("I13", f"{self.where(row)}: change {row['change']} without a reservation")
            return
        entry["decisions"][row["change"]] += 1
        entry["payment"] = row["payment_state"]

    def check_tables(self):
        """What follows from the log is what stands in the tables."""
        live = blocked = free = 0
        for row in self.evidence.tables["seats"]:
            state, version, reservation = self.seat.get((row["performance_id"], row["seat_id"]), (FREE, 0, 0))
            if (row["state"], row["version"], row["reservation_id"]) != (state, version, reservation):
                self.finding(
                    "I10",
                    f"seat {row['seat_id']} is {row['state']} version {row['version']},"
                    f" its log ends {state} version {version}",
                )
            live += row["state"] in LIVE
            blocked += row["state"] == BLOCKED
            free += row["state"] == FREE
        if live + blocked + free != len(self.evidence.tables["seats"]) or live != len(self.evidence.tables["claims"]):
            self.finding(
                "I15",
                f"{free} free + {live} live + {blocked} blocked, {len(self.evidence.tables['claims'])} claims, "
                f"of {len(self.evidence.tables['seats'])} seats",
            )
        owners = collections.Counter((row["performance_id"], row["seat_id"]) for row in self.evidence.tables["claims"])
        for key, count in owners.items():
            if count > 1:
                self.finding("I1", f"seat {key[1]} has {count} claims")
        for row in self.evidence.tables["reservations"]:
            entry = self.reservation.get(row["reservation_id"])
            if entry is None or entry["state"] != row["state"] or entry["user"] != row["user_id"]:
                self.finding(
                    "I10",
                    f"reservation {row['reservation_id']} is {row['state']} of user {row['user_id']},"
                    " the log says otherwise",
                )
        if len(self.evidence.tables["reservations"]) != len(self.reservation):
            self.finding(
                "I10", f"{len(self.evidence.tables['reservations'])} reservations, the log has {len(self.reservation)}"
            )
        for number, entry in self.reservation.items():
            for change in (CONFIRM, FAIL, CAPTURED, MONEY_BACK, CLOSE_CONFIRM, CLOSE_EXPIRE, PAY):
                if entry["decisions"][change] > 1:
                    self.finding("I16", f"reservation {number}: change {change} {entry['decisions'][change]} times")

    def check_holds_ended(self):
        """I3: at rest, long after every deadline, nothing is held any more; and nothing was let go too soon."""
        ttl_ms = self.evidence.limits["hold_ttl_ms"]
        for number, lasted in ended_early(self.evidence.log, self.clocks, ttl_ms):
            self.finding("I3", f"reservation {number} ended after {lasted:.0f} ms of {ttl_ms}")
        for number, entry in self.reservation.items():
            if entry["state"] in (R_HELD, R_PAYING, R_CLOSING):
                self.finding("I3", f"reservation {number} of user {entry['user']} is still in state {entry['state']}")

    # ---- money: I4

    def check_money(self):
        prices = {row["seat_id"]: row["price"] for row in self.evidence.tables["seats"]}
        ledger = {int(entry["id"]): entry for entry in self.evidence.ledger}
        for number, entry in ledger.items():
            if number not in self.reservation or not self.reservation[number]["decisions"][PAY]:
                self.finding("I4", f"payment {number} ({entry['state']}) has no committed intent")
        for number, entry in self.reservation.items():
            price = sum(prices[seat] for seat in entry["seats"])
            payment = ledger.get(number)
            kept = payment is not None and payment["state"] == "CAPTURED"
            sold = entry["state"] == R_CONFIRMED
            if sold != kept:
                self.finding(
                    "I4",
                    f"reservation {number} is {'sold' if sold else 'over'}, its payment {payment and payment['state']}",
                )
            if kept and payment["amount"] != price:
                self.finding("I4", f"reservation {number}: {payment['amount']} was taken, its price is {price}")
            if payment is not None and payment["state"] in ("PENDING", "AUTHORISED"):
                self.finding("I4", f"payment {number} is left {payment['state']}")

    # ---- events: I5

    def check_events(self):
        rows = {(row["shard"], row["seq"]): row for row in self.evidence.log}
        seen, partition_of, newest = set(), {}, {}
        for partition, offset, key, event in self.evidence.events:
            where = (event["shard"], event["seq"])
            row = rows.get(where)
            if row is None:
                self.finding("I5", f"Kafka has an event of shard {where[0]} row {where[1]}, which is not there")
                continue
            expected = (
                row["seat_id"],
                row["version"] or None,
                EVENTS[row["change"]],
                row["reservation_id"] or None,
                row["user_id"] or None,
            )
            told = (event["seatId"], event["seatVersion"], event["eventType"], event["reservationId"], event["userId"])
            if expected != told or key != str(row["seat_id"]):
                self.finding("I5", f"event of shard {where[0]} row {where[1]} is {told}, the row {expected}")
            seat = (event["performanceId"], event["seatId"])
            if partition_of.setdefault(seat, partition) != partition:
                self.finding("I5", f"seat {seat[1]} is in partitions {partition_of[seat]} and {partition}")
            if where not in seen and event["seq"] < newest.get(seat, 0):
                self.finding("I5", f"seat {seat[1]}: row {event['seq']} comes to Kafka first behind row {newest[seat]}")
            newest[seat] = max(newest.get(seat, 0), event["seq"])
            seen.add(where)
        if self.evidence.whole_topic:
            missing = [where for where in rows if where not in seen]
            if missing:
                self.finding(
                    "I5",
                    f"{len(missing)} rows are not in Kafka, the first of shard {missing[0][0]} row {missing[0][1]}",
                )
        self.figures["events sent again"] = len(self.evidence.events) - len(seen)

    # ---- the waiting room: I6, I7

    def check_grants(self):
        self.granted = collections.defaultdict(list)  # user -> [from, until, ended]
        by_grant, by_number, active = {}, {}, {}
        earlier_high = high = top = last = 0
        epoch = None
        for row in self.evidence.grants:
            if row["seq"] != last + 1:
                self.finding("I5", f"grant_log goes from {last} to {row['seq']}")
            last = row["seq"]
            if row["epoch"] != epoch:
                epoch, earlier_high = row["epoch"], high
            if row["change"] == RESERVED:
                high = max(high, row["number"])
            elif row["change"] == ENDED:
                active.pop(row["grant_id"], None)
                if row["grant_id"] in by_grant:
                    by_grant[row["grant_id"]][2] = row["at_ms"]
            else:
                over_ms = max(row["at_ms"], self.clocks.seen_ms("admission", self.admission_times(row["at_ms"])[-1]))
                self.check_turn(row, by_number.get(row["number"]), top, earlier_high, over_ms)
                top = max(top, row["number"])
                active = {grant: until for grant, until in active.items() if until > over_ms}
                active[row["grant_id"]] = row["expires_at_ms"]
                if len(active) > self.evidence.limits["active_max"]:
                    self.finding("I7", f"grant_log row {row['seq']}: {len(active)} users are active")
                by_grant[row["grant_id"]] = by_number[row["number"]] = [row["at_ms"], row["expires_at_ms"], None]
                self.granted[row["user_id"]].append(by_grant[row["grant_id"]])
            self.figures["active at most"] = max(self.figures["active at most"], len(active))

    def admission_times(self, at_ms):
        return self.clocks.readings("admission", at_ms)

    def check_turn(self, row, before, top, earlier_high, over_ms):
        """A ticket is served once, in its turn. Served again is one whose grant was over before it was committed;
        served late is one that came back after a restart."""
        if before is not None and (before[2] is not None or before[1] > over_ms):
            self.finding("I6", f"grant_log row {row['seq']}: ticket {row['number']} is admitted a second time")
        elif before is None and earlier_high < row["number"] < top:
            self.finding("I6", f"grant_log row {row['seq']}: ticket {row['number']} is admitted behind {top}")

    # ---- ownership: I11, I21

    def check_epochs(self):
        last = {}
        for row in self.evidence.log + [dict(row, shard=WAITING_ROOM) for row in self.evidence.grants]:
            if row["epoch"] < last.get(row["shard"], 0):
                self.finding(
                    "I11", f"shard {row['shard']} row {row['seq']}: epoch {row['epoch']} behind {last[row['shard']]}"
                )
            last[row["shard"]] = row["epoch"]
        owner = {}
        for shard, epoch, name in self.evidence.epochs:
            if owner.setdefault((shard, epoch), name) != name:
                self.finding("I11", f"shard {shard} epoch {epoch} is {owner[(shard, epoch)]}'s and {name}'s")
        self.figures["epochs"] = len(owner)
        if self.evidence.conflicts:
            self.finding("I21", f"the database refused {self.evidence.conflicts} batches by itself")

    # ---- Redis: I9

    def check_projection(self):
        expected = {}
        for (_, seat), (state, _, _) in self.seat.items():
            if state in LIVE:
                expected[f"state:seat:{seat}"] = "CONFIRMED" if state == CONFIRMED else "SELECTED"
        shown = {key: value for key, (value, _) in self.evidence.redis.items() if key.startswith("state:seat:")}
        for key in sorted(set(expected) | set(shown)):
            if expected.get(key) != shown.get(key):
                self.finding("I9", f"{key} is {shown.get(key)}, MySQL says {expected.get(key)}")
        for key, (value, ttl) in self.evidence.redis.items():
            if key in expected and (ttl is None) != (value == "CONFIRMED"):
                self.finding("I9", f"{key} = {value} has TTL {ttl}")
        self.check_active()

    def check_active(self):
        """ticket:active is who is active by the log, but for those whose time ended while we looked, or had ended by
        a clock that was ahead: an admission that saw it forgot them, one that was started since did not."""
        now = max(self.evidence.limits["read_at_ms"], self.clocks.seen_ms("admission"))
        expected = {
            user: until
            for user, grants in self.granted.items()
            for _, until, ended in grants
            if ended is None and until > now + 2000
        }
        shown = {user: until for user, until in self.evidence.active.items() if until > now + 2000}
        changed = {row["user_id"] for row in self.evidence.grants_later}
        for user in sorted((set(expected) | set(shown)) - changed):
            if (user in expected) != (user in shown):
                self.finding("I9", f"user {user} is active by {'MySQL' if user in expected else 'Redis'} alone")


INVARIANTS = [
    "I1",
    "I2",
    "I3",
    "I4",
    "I5",
    "I6",
    "I7",
    "I8",
    "I9",
    "I10",
    "I11",
    "I12",
    "I13",
    "I14",
    "I15",
    "I16",
    "I17",
    "I18",
    "I19",
    "I20",
    "I21",
    "verify",
]
