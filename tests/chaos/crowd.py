"""The crowd: several hundred users over ZeroMQ, each a coroutine, and what each of them did and was told.

Every request is an operation: when it was first sent, when it was answered, and how: `ok` (it is done), `fail` (it was
refused), `unknown` (no answer in time). A request is said again under the same id within its operation; one that ended
`unknown` is asked again later under the same id, as another operation. At the end, when the faults are healed, all
that is unknown is asked again until there is an answer: who gets none is a finding.
"""

import heapq
import itertools
import json
import random
import time

import zmq

import wire

AGAIN_S = 1.0  # a request that was not answered is said again


class Operation:
    """One request of one user; `answer` is what the last reply said."""

    __slots__ = (
        "number",
        "user",
        "kind",
        "key",
        "fields",
        "rid",
        "note",
        "begin",
        "end",
        "outcome",
        "code",
        "answer",
        "data",
        "until",
        "owner",
        "sends",
        "token",
    )

    def row(self):
        answer = self.answer or {}
        row = {
            "n": self.number,
            "user": self.user,
            "kind": self.kind,
            "rid": self.rid.hex(),
            "note": self.note,
            "begin": self.begin,
            "end": self.end,
            "outcome": self.outcome,
            "code": self.code,
            "sends": self.sends,
        }
        if self.kind == "HOLD":
            row["seats"] = self.fields[1]
        if self.kind in ("PAY", "CANCEL", "RESERVATION_GET"):
            row["of"] = self.key
        if "reservation_id" in answer:
            row.update(
                reservation=answer["reservation_id"],
                state=answer["state"],
                told=answer["seats"],
                amount=answer["amount"],
                told_user=answer["user_id"],
            )
        if "number" in answer:
            row.update(number=answer["number"], place=answer["state"], grant=answer["grant"])
        return row


class Crowd:
    """Users and their sockets. `stop` is true when nobody shall begin anything new."""

    def __init__(self, endpoint, plan, seed, history, stop):
        self.plan = plan
        self.random = random.Random(seed)
        self.sockets = [wire.dealer(endpoint) for _ in range(plan["sockets"])]
        self.poller = zmq.Poller()
        for socket in self.sockets:
            self.poller.register(socket, zmq.POLLIN)
        self.noise = wire.dealer(endpoint)
        self.history = open(history, "w")
        self.stop = stop
        self.timers = []  # (when, tie, what, argument)
        self.tie = itertools.count()
        self.waiting = {}  # request id -> operations
        self.numbers = itertools.count(1)
        self.users = itertools.count(plan["first_user"])
        self.unknown = {}  # request id -> operation
        self.strangers = []  # reservations that others may try to touch
        self.living = 0

    # ---- operations

    def ask(self, owner, user, kind, key, fields, rid=None, patience=None, note=""):
        """Begin an operation; its coroutine goes on when it has ended."""
        op = Operation()
        op.number, op.user, op.kind, op.key, op.fields = next(self.numbers), user, wire.NAMES[kind], key, fields
        op.rid = rid or self.random.randbytes(16)
        op.note, op.owner, op.sends, op.token = note, owner, 0, 0
        op.outcome, op.code, op.answer, op.end = None, 0, None, None
        op.data = wire.pack(kind, key, fields, op.rid)
        op.begin = time.monotonic_ns()
        op.until = time.monotonic() + (patience or self.random.uniform(4, 12))
        self.waiting.setdefault(op.rid, []).append(op)
        self.send(op)

    def send(self, op):
        op.sends += 1
        op.token += 1
        socket = self.sockets[(op.user + op.sends // 4) % len(self.sockets)]
        try:
            socket.send(op.data, zmq.DONTWAIT)
        except zmq.Again:
            pass
        self.at(time.monotonic() + AGAIN_S, self.again, (op, op.token))

    def again(self, argument):
        op, token = argument
        if op.outcome is not None or token != op.token:
            return
        if time.monotonic() >= op.until:
            self.finish(op, "unknown")
        else:
            self.send(op)

    def finish(self, op, outcome):
        op.outcome, op.end = outcome, time.monotonic_ns()
        others = self.waiting[op.rid]
        others.remove(op)
        if not others:
            del self.waiting[op.rid]
        if op.kind in ("HOLD", "PAY", "CANCEL"):
            if outcome == "unknown":
                self.unknown[op.rid] = op
            else:
                self.unknown.pop(op.rid, None)
        self.history.write(json.dumps(op.row()) + "\n")
        self.step(op.owner, op)

    def take(self, kind, rid, answer):
        for op in list(self.waiting.get(rid, ())):
            if kind == wire.ERROR and answer["code"] in wire.UNDECIDED:
                op.token += 1
                wait = max(answer["retry_after_ms"], 50) / 1000 * self.random.uniform(1, 1.5)
                self.at(time.monotonic() + wait, self.again, (op, op.token))
                continue
            op.answer = answer
            op.code = answer["code"] if kind == wire.ERROR else 0
            self.finish(op, "fail" if kind == wire.ERROR else "ok")

    # ---- the loop

    def at(self, when, what, argument):
        heapq.heappush(self.timers, (when, next(self.tie), what, argument))

    def step(self, owner, value):
        try:
            wanted = owner.send(value)
        except StopIteration:
            self.living -= 1
            return
        if isinstance(wanted, float):
            self.at(time.monotonic() + wanted, lambda who: self.step(who, None), owner)
        else:
            self.ask(owner, **wanted)

    def begin(self, coroutine):
        self.living += 1
        self.step(coroutine, None)

    def turn(self):
        wait = 0.05
        if self.timers:
            wait = min(wait, max(0.0, self.timers[0][0] - time.monotonic()))
        for socket, _ in self.poller.poll(int(wait * 1000) + 1):
            for _ in range(200):
                try:
                    frame = socket.recv(zmq.DONTWAIT)
                except zmq.Again:
                    break
                for kind, rid, answer in wire.unpack(frame):
                    self.take(kind, rid, answer)
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            _, _, what, argument = heapq.heappop(self.timers)
            what(argument)

    def run(self):
        """Play until `stop`, then resolve what is unknown. The number of requests that never got an answer."""
        for _ in range(self.plan["users"]):
            self.begin(self.person())
        self.begin(self.troublemaker())
        while not self.stop():
            self.turn()
        end = time.monotonic() + 60
        while self.living > 0 and time.monotonic() < end:
            self.turn()
        for op in list(self.unknown.values()):
            self.begin(self.resolve(op))
        end = time.monotonic() + 45
        while self.living > 0 and time.monotonic() < end:
            self.turn()
        for ops in list(self.waiting.values()):
            for op in list(ops):
                self.finish(op, "unknown")
        self.history.close()
        return len(self.unknown)

    # ---- people

    def resolve(self, op):
        kind = {"HOLD": wire.HOLD, "PAY": wire.PAY, "CANCEL": wire.CANCEL}[op.kind]
        yield dict(user=op.user, kind=kind, key=op.key, fields=op.fields, rid=op.rid, patience=40, note="resolve")

    def person(self):
        """One seat-seeker after the other takes this place in the crowd."""
        yield self.random.uniform(0, 3)
        while not self.stop():
            user = next(self.users)
            pass_ = yield from self.admission(user)
            if pass_:
                yield from self.shopping(user, pass_)
            if self.random.random() < 0.8:
                yield dict(user=user, kind=wire.LEAVE, key=wire.PERFORMANCE, fields=[user, 0])
            yield self.random.uniform(0.05, 0.8)

    def admission(self, user):
        ticket = b""
        op = yield dict(user=user, kind=wire.ENTER, key=wire.PERFORMANCE, fields=[user, ticket])
        for _ in range(200):
            if self.stop():
                return None
            if op.outcome == "ok":
                place = op.answer
                if place["state"] == wire.ACTIVE:
                    return place["pass"]
                ticket = place["ticket"] or ticket
            lost = op.outcome != "ok" or op.answer["state"] == wire.ABSENT
            yield self.random.uniform(0.2, 0.5)
            if lost or self.random.random() < 0.05:
                op = yield dict(user=user, kind=wire.ENTER, key=wire.PERFORMANCE, fields=[user, ticket])
            else:
                op = yield dict(user=user, kind=wire.PLACE_GET, key=wire.PERFORMANCE, fields=[user])
        return None

    def seats(self):
        """One to three seats of one block; the first block is what everybody wants."""
        block_seats, all_seats = self.plan["block_seats"], self.plan["seats"]
        block = 0 if self.random.random() < 0.4 else self.random.randrange(all_seats // block_seats)
        count = self.random.choice((1, 1, 1, 2, 3))
        return self.random.sample(range(block * block_seats + 1, (block + 1) * block_seats + 1), count)

    def shopping(self, user, pass_):
        for _ in range(self.random.randint(1, 8)):
            if self.stop():
                return
            seats = self.seats()
            key = wire.PERFORMANCE << 32 | seats[0]
            op = yield dict(user=user, kind=wire.HOLD, key=key, fields=[user, seats, pass_])
            if op.outcome == "unknown" and self.random.random() < 0.7:
                yield self.random.uniform(0.2, 3)
                op = yield dict(user=user, kind=wire.HOLD, key=key, fields=op.fields, rid=op.rid, note="retry")
            if op.outcome == "ok":
                yield from self.checkout(user, op)
                return
            if op.code == wire.NOT_ADMITTED:
                return
            yield self.random.uniform(0.02, 0.3)

    def checkout(self, user, hold):
        reservation, chance = hold.answer["reservation_id"], self.random.random
        if chance() < 0.1:  # the same words again: the same answer
            yield dict(user=user, kind=wire.HOLD, key=hold.key, fields=hold.fields, rid=hold.rid, note="repeat")
        if chance() < 0.05:  # other words under the same id
            other = [seat for seat in self.neighbours(hold.fields[1][0]) if seat not in hold.fields[1]][:1]
            yield dict(
                user=user,
                kind=wire.HOLD,
                key=wire.PERFORMANCE << 32 | other[0],
                fields=[user, other, hold.fields[2]],
                rid=hold.rid,
                note="reuse",
            )
        if len(self.strangers) < 50:
            self.strangers.append(reservation)
        yield self.random.uniform(0, 0.6)
        draw = chance()
        if draw < 0.12:
            return  # closed the browser: the hold must run out
        if draw < 0.25:
            yield from self.cancel(user, reservation)
            return
        op = yield dict(
            user=user, kind=wire.PAY, key=reservation, fields=[user, 1], patience=self.random.uniform(6, 20)
        )
        if op.outcome == "unknown":
            op = yield dict(
                user=user, kind=wire.PAY, key=reservation, fields=[user, 1], rid=op.rid, note="retry", patience=20
            )
        if op.outcome == "ok" and op.answer["state"] == wire.CONFIRMED:
            yield self.random.uniform(0.1, 3)
            if chance() < 0.3:
                yield dict(user=user, kind=wire.RESERVATION_GET, key=reservation, fields=[user])
            if chance() < 0.9:
                yield from self.cancel(user, reservation)

    def cancel(self, user, reservation):
        op = yield dict(user=user, kind=wire.CANCEL, key=reservation, fields=[user])
        if op.outcome == "unknown" and self.random.random() < 0.8:
            yield self.random.uniform(0.2, 2)
            yield dict(user=user, kind=wire.CANCEL, key=reservation, fields=[user], rid=op.rid, note="retry")

    def neighbours(self, seat):
        block_seats = self.plan["block_seats"]
        first = (seat - 1) // block_seats * block_seats + 1
        return range(first, first + block_seats)

    def troublemaker(self):
        """Touches what is others', shows passes that are none, and sends what is no message."""
        user = self.plan["first_user"] - 1
        while not self.stop():
            yield self.random.uniform(0.3, 1.5)
            if self.strangers:
                reservation = self.strangers.pop(self.random.randrange(len(self.strangers)))
                kind, fields = self.random.choice([(wire.PAY, [user, 0]), (wire.CANCEL, [user])])
                yield dict(user=user, kind=kind, key=reservation, fields=fields, note="stranger")
            seat = self.random.randint(1, self.plan["seats"])
            forged = self.random.choice([b"", bytes(64), self.random.randbytes(64)])
            yield dict(
                user=user,
                kind=wire.HOLD,
                key=wire.PERFORMANCE << 32 | seat,
                fields=[user, [seat], forged],
                note="forged",
            )
            try:
                self.noise.send(self.random.randbytes(self.random.randint(1, 300)), zmq.DONTWAIT)
            except zmq.Again:
                pass


def play(endpoint, plan, seed, history, stop_event, result):
    """The body of the crowd's process."""
    crowd = Crowd(endpoint, plan, seed, history, stop_event.is_set)
    result.put(crowd.run())
