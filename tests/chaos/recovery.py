"""How long until the work went on: from each kill to the first success that needed what was killed."""

import collections
import statistics
import threading
import time

TARGET_S = {"restarted": 1.0, "failed over": 5.0, "projection": 10.0}
PROMISED_S = {"restarted": 5.0, "working": 5.0, "failed over": 5.0, "projection": 10.0}  # I18
HARD_S = {"restarted": 15.0, "working": 15.0, "failed over": 15.0, "projection": 10.0}  # of a single drill
MEDIAN_OF = 5  # drills at least

# What must succeed for a role to be back: operations of the crowd (kind, states told) or of v1.
NEEDS = {
    "broker": lambda op, shards: op["kind"] in ("PLACE_GET", "ENTER", "HOLD"),
    "admission": lambda op, shards: op["kind"] in ("PLACE_GET", "ENTER"),
    "seat-arbiter-1": lambda op, shards: op["kind"] in ("HOLD", "PAY", "CANCEL") and op["shard"] in shards,
    "seat-arbiter-2": lambda op, shards: op["kind"] in ("HOLD", "PAY", "CANCEL") and op["shard"] in shards,
    "persister": lambda op, shards: op["kind"] in ("HOLD", "CANCEL"),
    "mysql": lambda op, shards: op["kind"] in ("HOLD", "CANCEL"),
    "redis": lambda op, shards: op["kind"] in ("HOLD", "CANCEL"),
    "payment-timer": lambda op, shards: op["kind"] == "PAY",
    "psp-sim": lambda op, shards: op["kind"] == "PAY",
}

# Whose work no client waits for: the counter that has to grow.
WORK = {"kafka-bridge": "ticketlab_events_delivered_total", "notifier": "ticketlab_notifier_statistics_total"}


def prepared(what):
    """Successes with the shard that they were decided in, by the time of their end."""
    shard = {row["reservation_id"]: row["shard"] for row in what.log if row["reservation_id"]}
    good = [dict(op, shard=shard.get(op.get("reservation"))) for op in what.operations if op["outcome"] == "ok"]
    return sorted(good, key=lambda op: op["end"])


def first_after(good, at, need, shards):
    """Seconds to the first success that was asked for after the moment."""
    for op in good:
        if op["end"] > at and op["begin"] >= at and need(op, shards):
            return (op["end"] - at) / 1e9
    return None


def working_again(what, name, at):
    """Seconds until a successor was seen to have done something; it is looked at every two seconds."""
    counter = WORK[name]
    at, pids = at / 1e9, set()
    for when, _, whose, pid, _, _, _, gauges in what.samples:
        if whose != name:
            continue
        if when <= at:
            pids.add(pid)
        elif pid not in pids and (gauges or {}).get(counter, 0) > 0:
            return when - at
    return None


def measured(world, what):
    """[(drill?, kind, name, seconds; None: never)]"""
    good, found = prepared(what), []
    gateway = sorted(
        (op for op in what.v1 if op["outcome"] == "ok" and op["kind"] in ("status", "enter")), key=lambda op: op["end"]
    )
    for drill, kind, name, at, shards in world.moments:
        if name.startswith("seat-arbiter") and not shards:
            continue
        if name == "gateway":
            seconds = next(((op["end"] - at) / 1e9 for op in gateway if op["begin"] >= at), None)
        elif name in WORK:
            kind, seconds = "working", working_again(what, name, at)
        elif name in NEEDS:
            seconds = first_after(good, at, NEEDS[name], set(shards))
        else:
            continue
        found.append((drill, kind, name, seconds))
    shown = [
        (drill, "projection", "redis", seconds) for drill, seconds in world.projection.measured if drill != "healed"
    ]
    never = world.projection.drills > sum(row[0] is True for row in shown)
    return found + shown + [(True, "projection", "redis", None)] * never


def drills(found):
    """Of what was measured: one fault at a time, nothing else broken."""
    return [row[1:] for row in found if row[0]]


def figures(found):
    return [row for row in found if row[3] is not None]


class Recovered:
    """Of an Auditor: its evidence and findings. I18 by the drills: one process is killed, or Redis wiped, alone.

    The machine is shared and may stand still for seconds by itself. So what is promised is judged by the median of an
    engine's drills, and a single one by HARD_S; a drill after which nothing succeeded any more is a violation."""

    def check_drills(self):
        by_kind = collections.defaultdict(list)
        for kind, name, seconds in self.evidence.drills:
            by_kind[kind].append(float("inf") if seconds is None else seconds)
            if seconds is None:
                self.finding("I18", f"{kind}: {name} was hit alone, and nothing that needs it succeeded any more")
            elif seconds > HARD_S[kind]:
                self.finding("I18", f"{kind}: {name} was hit alone, and it took {seconds:.1f} s")
        for kind, values in by_kind.items():
            if len(values) >= MEDIAN_OF and statistics.median(values) > PROMISED_S[kind]:
                self.finding(
                    "I18", f"{kind}: median {statistics.median(values):.1f} s of {len(values)} drills,"
                    f" {PROMISED_S[kind]:g} s are promised"
                )
        self.figures["drills"] += len(self.evidence.drills)


class Projection:
    """Looks, from the moment when Redis lost what it showed, until it shows what MySQL says."""

    def __init__(self, engine):
        self.engine, self.measured, self.since = engine, [], None
        self.drills = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def begin(self, drill, moment):
        self.since = (drill, moment)
        self.drills += drill is True

    def await_equal(self, seconds):
        """Wait until what was begun last is measured, or so long."""
        end = time.monotonic() + seconds
        while self.since is not None and time.monotonic() < end:
            time.sleep(0.05)

    def stop(self):
        self.ended.set()
        self.thread.join(timeout=10)

    def seats(self, cursor):
        cursor.execute("SELECT seat_id, state, version FROM performance_seat")
        return {seat: (state, version) for seat, state, version in cursor.fetchall()}

    def equal(self):
        """Of the seats that did not change while we looked, every one is shown as it is."""
        connection = self.engine.mysql()
        try:
            with connection.cursor() as cursor:
                before = self.seats(cursor)
                keys = [f"state:seat:{seat}" for seat in before]
                shown = dict(zip(before, self.engine.redis().mget(keys)))
                after = self.seats(cursor)
        finally:
            connection.close()
        words = {0: None, 1: "SELECTED", 2: "SELECTED", 3: "SELECTED", 4: "CONFIRMED", 5: None}
        return all(
            words[state] == shown[seat] for seat, (state, version) in before.items() if after[seat] == (state, version)
        )

    def work(self):
        while not self.ended.wait(0.1):
            since = self.since
            if since is None:
                continue
            try:
                if self.equal() and self.since == since:
                    self.measured.append((since[0], time.monotonic() - since[1]))
                    self.since = None
            except Exception:  # noqa: BLE001 - a store that does not answer is asked again
                continue


def print_table(all_figures):
    """Medians of the drills beside their targets, and of the random faults, where others come in between. How many
    kinds are within their target in the drills, and how many are not."""
    by = collections.defaultdict(lambda: ([], []))
    together = collections.defaultdict(list)
    for rows in all_figures:
        for drill, kind, name, seconds in rows:
            by[(kind, name)][0 if drill else 1].append(seconds)
            if drill:
                together[kind].append(seconds)
    print("\n== recovery: from the fault to the first success that needed what was hit")
    print(f"  {'':12} {'':16} one fault at a time          among others")
    print(f"  {'':12} {'':16} {'times':>5} {'median':>8} {'longest':>9}  {'times':>5} {'median':>8} {'longest':>9}")
    for (kind, name), columns in sorted(by.items()):
        texts = [
            f"{len(values):5} {statistics.median(values):6.2f} s {max(values):7.2f} s" if values else " " * 24
            for values in columns
        ]
        print(f"  {kind:12} {name:16} {texts[0]}  {texts[1]}")
    good = bad = 0
    for kind, target in TARGET_S.items():
        values = together[kind]
        well = bool(values) and statistics.median(values) < target
        good, bad = good + well, bad + (not well)
        median = f"median {statistics.median(values):.2f} s of {len(values)}" if values else "not measured"
        print(f"{'ok     ' if well else 'FAILED '} {kind}: {median}, target < {target:g} s")
    return good, bad
