"""A small sale as it should be, told as evidence: what the auditor's own test doctors."""

import auditor
from auditor import CANCEL, CAPTURED, CONFIRM, EXPIRE, FAIL, HOLD, MONEY_BACK, MOVES, PAY, REFUND
from evidence import Evidence

PRICE = 100
MS = 1000000


class Story:
    """A sale as it should be: what is done goes into the log, to clients, to Kafka, and to the payment gateway."""

    def __init__(self):
        self.now = 1000000
        self.log, self.grants, self.operations, self.ledger = [], [], [], {}
        self.seat = {number: [0, 0, 0] for number in range(1, 7)}
        self.reservation = {}
        self.rid = 0

    def shard(self, seat):
        return 0 if seat < 4 else 1

    def admit(self, user, number, ended=False):
        self.now += 10
        grant = len(self.grants) + 1
        row = dict(
            seq=grant,
            epoch=1,
            change=1,
            performance_id=1,
            grant_id=grant,
            user_id=user,
            number=number,
            expires_at_ms=self.now + 60000,
            at_ms=self.now,
        )
        self.grants.append(row)
        if ended:
            self.grants.append(dict(row, seq=grant + 1, change=2, at_ms=self.now + 1))

    def row(self, change, number, seat, leader, rid, **more):
        entry = self.reservation[number]
        shard = self.shard(seat)
        state, version, _ = self.seat[seat]
        row = dict(
            shard=shard,
            seq=sum(other["shard"] == shard for other in self.log) + 1,
            epoch=3,
            change=change,
            performance_id=1,
            seat_id=seat,
            version=version + 1,
            state=state,
            reservation_id=number,
            reservation_state=entry["state"],
            user_id=entry["user"],
            amount=PRICE * len(entry["seats"]),
            payment_state=0,
            held_until_ms=0,
            at_ms=self.now,
            request_id=rid,
            leader=leader,
        )
        if change in MOVES:
            row["state"], row["reservation_state"] = MOVES[change][1:]
            self.seat[seat] = [row["state"], row["version"], number if row["state"] in auditor.LIVE else 0]
        else:
            row["version"] = 0
        self.log.append(dict(row, **more))

    def change(self, change, number, asked=None, note=""):
        """Every seat of the reservation; `asked`: by this request kind, which is answered."""
        self.now += 10
        entry = self.reservation[number]
        rid = auditor.NO_REQUEST
        if asked:
            self.rid += 1
            rid = f"{self.rid:032x}"
        seats = entry["seats"] if change in MOVES else entry["seats"][:1]
        for index, seat in enumerate(seats):
            self.row(change, number, seat, int(index == 0), rid)
        if change in MOVES:
            entry["state"] = MOVES[change][2]
        if asked:
            self.told(asked, number, entry, rid, note)

    def told(self, kind, number, entry, rid, note):
        op = dict(
            n=len(self.operations) + 1,
            user=entry["user"],
            kind=kind,
            rid=rid,
            note=note,
            begin=(self.now - 5) * MS,
            end=(self.now + 4) * MS,
            outcome="ok",
            code=0,
            sends=1,
            reservation=number,
            state=entry["state"],
            told=list(entry["seats"]),
            amount=PRICE * len(entry["seats"]),
            told_user=entry["user"],
        )
        op["seats" if kind == "HOLD" else "of"] = list(entry["seats"]) if kind == "HOLD" else number
        self.operations.append(op)

    def hold(self, number, user, seats):
        self.reservation[number] = dict(user=user, seats=seats, state=0)
        self.change(HOLD, number, "HOLD")

    def buy(self, number):
        self.change(PAY, number)
        self.ledger[number] = dict(
            id=str(number), state="CAPTURED", amount=PRICE * len(self.reservation[number]["seats"])
        )
        self.change(CONFIRM, number)
        entry = self.reservation[number]
        self.rid += 1
        self.told("RESERVATION_GET", number, entry, f"{self.rid:032x}", "")
        self.change(CAPTURED, number)

    def refund(self, number):
        self.change(REFUND, number, "CANCEL")
        self.ledger[number]["state"] = "REFUNDED"
        self.change(MONEY_BACK, number)

    def refuse(self, user, seat, code):
        self.now += 10
        self.rid += 1
        self.operations.append(
            dict(
                n=len(self.operations) + 1,
                user=user,
                kind="HOLD",
                rid=f"{self.rid:032x}",
                note="",
                begin=(self.now - 5) * MS,
                end=(self.now + 4) * MS,
                outcome="fail",
                code=code,
                sends=1,
                seats=[seat],
            )
        )

    def evidence(self):
        tables = dict(
            seats=[
                dict(
                    shard=self.shard(seat),
                    performance_id=1,
                    seat_id=seat,
                    price=PRICE,
                    state=state,
                    version=version,
                    reservation_id=owner,
                )
                for seat, (state, version, owner) in self.seat.items()
            ],
            claims=[
                dict(
                    shard=self.shard(seat),
                    performance_id=1,
                    seat_id=seat,
                    claim_id=seat,
                    reservation_id=owner,
                    user_id=1,
                    state=state,
                )
                for seat, (state, _, owner) in self.seat.items()
                if state in auditor.LIVE
            ],
            reservations=[
                dict(
                    shard=self.shard(entry["seats"][0]),
                    reservation_id=number,
                    performance_id=1,
                    user_id=entry["user"],
                    state=entry["state"],
                    decided=0,
                    amount=0,
                    seats="",
                )
                for number, entry in self.reservation.items()
            ],
            payments=[],
            requests=[],
            owners=[
                dict(shard=shard, epoch=3, applied_seq=sum(row["shard"] == shard for row in self.log), owner="a")
                for shard in (0, 1)
            ],
        )
        events = [
            (
                row["shard"],
                offset,
                str(row["seat_id"]),
                dict(
                    shard=row["shard"],
                    seq=row["seq"],
                    seatId=row["seat_id"],
                    seatVersion=row["version"] or None,
                    eventType=auditor.EVENTS[row["change"]],
                    reservationId=row["reservation_id"],
                    userId=row["user_id"],
                    performanceId=1,
                ),
            )
            for offset, row in enumerate(self.log)
        ]
        redis = {
            f"state:seat:{seat}": ("CONFIRMED", None) if state == 4 else ("SELECTED", 1000)
            for seat, (state, _, _) in self.seat.items()
            if state in auditor.LIVE
        }
        return Evidence(
            log=sorted(self.log, key=lambda row: (row["shard"], row["seq"])),
            grants=self.grants,
            tables=tables,
            events=events,
            whole_topic=True,
            ledger=list(self.ledger.values()),
            redis=redis,
            active={row["user_id"]: row["expires_at_ms"] for row in self.grants},
            operations=self.operations,
            v1=[],
            epochs=[(0, 3, "a"), (1, 3, "a")],
            conflicts=0,
            verify=0,
            limits=dict(
                active_max=6,
                wall_minus_monotonic_ms=0,
                unanswered=0,
                read_at_ms=self.now,
                hold_ttl_ms=10,
                bounds={"ticketlab_gateway_connections": 4096},
                quiet=[[0, (self.now + 100000) * MS]],
                slow=[0, self.now * MS],
            ),
        )


def process(name, pid, gauges=None):
    """A process that took the same all its life: fresh, a minute of load, at rest."""
    moments = [(n / 2, "fresh") for n in range(5)]
    moments += [(3 + n / 2, "load") for n in range(120)] + [(64 + n / 2, "rest") for n in range(6)]
    return [[at, phase, name, pid, 20480, 30, 4, dict(gauges or {})] for at, phase in moments]


def looked_at(evidence):
    """Readers after each change: the owners' snapshots, the map, what changed, and the stream."""
    seats, done, shown = {number: [0, 0] for number in range(1, 7)}, {0: 0, 1: 0}, 0
    rows = sorted(evidence.log, key=lambda row: row["at_ms"])
    for at in sorted({row["at_ms"] for row in rows}):
        before, changed = shown, set()
        for row in (row for row in rows if row["at_ms"] == at):
            done[row["shard"]] += 1
            if row["version"]:
                seats[row["seat_id"]] = [row["state"], row["version"]]
                shown, changed = shown + 1, changed | {row["seat_id"]}

        def read(kind, reader, numbers, **more):
            its = [[number, *seats[number]] for number in numbers]
            times = dict(begin=at * MS + 4200000, end=at * MS + 4800000)
            evidence.reads.append(dict(dict(times, r=reader, kind=kind, seats=its), **more))

        for shard, numbers in ((0, range(1, 4)), (1, range(4, 7))):
            read("broker", 0, numbers, shard=shard, epoch=3, seq=done[shard])
        version = 7 << 32
        read("map", 1, seats, version=version + shown, since=None, age=0)
        since = version + before if before else None
        read("since", 2, changed if before else seats, version=version + shown, since=since, age=0)
        if not before:
            read("stream-map", 3, seats, version=version + shown, since=None, age=0)
        read("stream", 3, changed if before else [], version=version + shown, first=not before)
    evidence.reads.append(dict(r=3, kind="stream-end", begin=(at + 60000) * MS, end=(at + 60000) * MS))


def sale():
    """Seats held, paid for, given back, let go, run out and sold again; by five users."""
    story = Story()
    for number, user in enumerate((11, 12, 13, 14, 15)):
        story.admit(user, number + 1)
    story.hold(101, 11, [1, 2])
    story.refuse(12, 1, 30)
    story.hold(102, 12, [4])
    story.buy(101)
    story.refuse(13, 1, 31)
    story.change(CANCEL, 102, "CANCEL")
    story.hold(103, 13, [4, 5])
    story.change(EXPIRE, 103)
    story.refund(101)
    story.hold(104, 14, [1])
    story.buy(104)
    story.hold(105, 15, [6])
    story.change(PAY, 105, "PAY")
    story.ledger[105] = dict(id="105", state="DECLINED", amount=PRICE)
    story.change(FAIL, 105)
    evidence = story.evidence()
    looked_at(evidence)
    evidence.samples = process("gateway", 11, {"ticketlab_gateway_connections": 0}) + process("persister", 12)
    evidence.drills = [("restarted", "broker", 0.3)] * 5 + [("projection", "redis", 0.2)]
    return evidence
