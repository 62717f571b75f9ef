#!/usr/bin/python3
"""Chaos: engines of real processes under a load of real clients, with faults at random; then an independent verdict.

    run.py [--seed N] [--minutes M | --hours H] [--engines N] [--out DIR] [--only FAULT,FAULT]

One engine after the other, each with another configuration. A fault a line, live; at the end what was done, what was
seen, and `N passed, N failed`. The same seed plays the same faults and the same people in the same order; when each
meets the other is the machine's. Exit status: 0 all is well, 1 a violation (its artefacts are kept), 3 VOID: too little
load or too few faults to mean anything, 2 wrong arguments.
"""

import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

import auditor
import crowd
import crowd_v1
import engine as engines
import evidence
import faults
import recovery
import selftest

CONFIGURATIONS = [
    ("usual", "mock", dict()),
    ("small batches, one lane, a lying payment gateway", "mock", {
        "cluster.shards": 3, "mysql.lanes": 1, "arbiter.batch_max": 2, "psp.lie_percent": 20, "psp.duplicate_percent": 30,
        "psp.lost_percent": 20, "psp.late_percent": 20, "psp.late_ms": 2000, "psp.reorder_percent": 20}),
    ("real Kafka, short leases, many shards", "real", {
        "cluster.shards": 16, "arbiter.lease_ttl_ms": 1000, "arbiter.lease_renew_ms": 300, "arbiter.takeover_ms": 800,
        "psp.lost_percent": 40, "psp.duplicate_percent": 30}),
]
SETTINGS = {
    "cluster.block_seats": 8, "arbiter.hold_ttl_ms": 4000, "arbiter.payment_window_ms": 6000, "arbiter.drive_again_ms": 500,
    "admission.active_max": 60, "admission.rate": 200, "admission.interval_ms": 200, "admission.active_ttl_ms": 20000,
    "payment.poll_ms": 400, "payment.call_timeout_ms": 1500, "psp.delay_ms": 250, "mysql.timeout_ms": 4000,
}
SEATS = 80
QUIET_S = 45  # at most, until all is at rest after healing
MYSQL_BYTES = 200 << 20

# Below these a run says nothing. Per minute of faults, and for the whole run.
MINIMA_A_MINUTE = {"operations": 1500, "effects": 100, "faults": 20, "kills": 8, "failpoints": 4}


class World:
    """One engine's run: its chance, its faults, and what is to be healed."""

    def __init__(self, engine, chance, deck, points):
        self.engine, self.chance, self.deck, self.points = engine, chance, deck, points
        self.heals = []  # (when, function)
        self.counts = collections.Counter()
        self.kills = collections.Counter()
        self.moments = []  # for the recovery figures: (what, name, monotonic ns, shards)
        self.begun = time.monotonic()
        self.projection = recovery.Projection(engine)
        self.drilling = False
        self.impossible = collections.Counter()

    def say(self, sentence):
        print(f"{time.monotonic() - self.begun:7.1f} s  {sentence}", flush=True)

    # what faults call

    def later(self, seconds, heal):
        self.heals.append((time.monotonic() + seconds, heal))

    def until_done(self, seconds, heal):
        def once():
            if not heal():
                self.later(0.5, once)
        self.later(seconds, once)

    def continue_when_stopped(self, pid, seconds, tries=100):
        """Continue a process so long after it has stopped itself."""
        def look(left):
            if engines.process_state(pid) == "T":
                self.later(seconds, lambda: self.engine.signal(pid, 18))
            elif left > 0:
                self.later(0.1, lambda: look(left - 1))
            else:
                self.engine.disarm("persister")
        look(tries)

    def do_now(self, fault):
        sentence = fault(self)
        if sentence:
            self.say(sentence)

    def killed(self, name, shards):
        self.kills[name] += 1
        self.moments.append((self.drilling, "restarted", name, time.monotonic_ns(), shards))

    def failed_over(self, name, shards):
        self.moments.append((self.drilling, "failed over", name, time.monotonic_ns(), shards))

    def wiped(self):
        self.projection.begin(self.drilling, time.monotonic())

    def next_point(self):
        """All points in turn, so that none is forgotten."""
        if not self.points:
            self.points.extend(all_points(self.engine, self.chance))
        return self.points.pop()

    # the run

    def heal_due(self, everything=False):
        now = time.monotonic()
        due = [heal for heal in self.heals if everything or heal[0] <= now]
        self.heals = [heal for heal in self.heals if heal not in due]
        for _, heal in sorted(due, key=lambda heal: heal[0]):
            heal()

    def next_fault(self):
        if not self.deck:
            self.deck.extend(new_deck(self.chance))
        name, fault = self.deck.pop()
        sentence = fault(self)
        if sentence is None:
            self.impossible[name] += 1
            return
        self.counts[name] += 1
        self.say(sentence)

    def drill(self):
        """One fault after the other, each when the one before it is over: what the recovery figures are measured by."""
        self.drilling = True
        order = faults.ACTORS + ["mysql", "redis"]
        self.chance.shuffle(order)
        for name in order:
            self.do_now(lambda world, name=name: faults.kill(world, name))
            self.counts["kill"] += 1
            self.rest(1.5)
        self.do_now(faults.redis_wipe)
        self.rest(1.5)
        name = self.chance.choice(["seat-arbiter-1", "seat-arbiter-2"])
        self.do_now(lambda world: faults.stop_for(world, name, 6))
        self.rest(7)
        self.drilling = False

    def rest(self, seconds):
        """At least so long, and until all is ready."""
        begun = time.monotonic()
        while time.monotonic() < begun + seconds or (self.engine.ready() and time.monotonic() < begun + 15):
            self.heal_due()
            time.sleep(0.05)

    def play(self, seconds):
        end = time.monotonic() + seconds
        next_at = time.monotonic()
        while time.monotonic() < end:
            self.heal_due()
            if time.monotonic() >= next_at:
                self.engine.note_conflicts()
                self.next_fault()
                next_at = time.monotonic() + self.chance.uniform(0.4, 2.4)
            time.sleep(0.05)

    def heal(self):
        self.say("no more faults; everything is healed")
        for _ in range(8):
            self.heal_due(everything=True)
            if not self.heals:
                break
            time.sleep(0.3)
        for name in self.engine.names():
            self.engine.disarm(name)
            pid = self.engine.pid(name)
            if pid and engines.process_state(pid) == "T":
                self.engine.signal(pid, 18)


ONLY = None


def new_deck(chance):
    """Every possible fault once, and as many again by weight; in chance's order."""
    names, _ = faults.possible()
    rows = [(name, weight, fault) for name, weight, fault in faults.FAULTS if name in names and (not ONLY or name in ONLY)]
    deck = [(name, fault) for name, _, fault in rows]
    for _ in range(2 * len(rows)):
        name, _, fault = chance.choices(rows, weights=[weight for _, weight, _ in rows])[0]
        deck.append((name, fault))
    chance.shuffle(deck)
    return deck


def all_points(engine, chance):
    points = []
    for name in faults.ACTORS:
        points += [(name, point) for kind, point in engine.points(faults.ROLES[name]) if kind == "pass"]
    chance.shuffle(points)
    return points


# ---- one engine


def await_rest(world):
    """Until all runs and nothing is under way any more; how long it took, or None."""
    begun = time.monotonic()
    while time.monotonic() < begun + QUIET_S:
        try:
            if not world.engine.ready():
                connection = world.engine.mysql()
                with connection.cursor() as cursor:
                    cursor.execute("SELECT COUNT(*) FROM performance_seat WHERE state IN (1, 2, 3)")
                    live = cursor.fetchone()[0]
                connection.close()
                if live == 0:
                    return time.monotonic() - begun
        except Exception:  # noqa: BLE001 - a store that is not there yet is asked again
            pass
        time.sleep(0.2)
    return None


def kafka_of(wanted):
    """A real broker if it can be had; else the one in memory, said so."""
    if wanted != "real":
        return wanted, ""
    import subprocess

    done = subprocess.run([str(engines.ROOT / "tools" / "fetch-kafka")], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        link = engines.BUILD.parent / "tools"
        if not link.exists():
            link.symlink_to(engines.ROOT / "tools")
        return "real", ""
    return "mock", "SKIPPED: real Kafka: it cannot be had here; kafka-mock instead"


def run_engine(number, seed, seconds, out, deck, points):
    """One engine from start to verdict; what was found, as a dictionary."""
    title, kafka, extra = CONFIGURATIONS[number % len(CONFIGURATIONS)]
    kafka, skipped = kafka_of(kafka)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ticketlab-chaos-", dir="/tmp")) / "engine"
    settings = dict(SETTINGS, **extra)
    settings["psp.seed"] = seed
    engine = engines.Engine(directory, kafka, settings, SEATS, MYSQL_BYTES)
    print(f"\n== engine {number + 1}: {title} (seed {seed}, Kafka: {kafka})", flush=True)
    for sentence in [skipped] + faults.possible()[1]:
        if sentence:
            print(sentence, flush=True)
    plan = dict(users=240, sockets=8, first_user=1000001, seats=SEATS, block_seats=8, v1_users=24, first_v1_user=500000001)
    history, history_v1 = out / "history.jsonl", out / "history_v1.jsonl"
    try:
        engine.up()
        if not engine.mounted:
            print("SKIPPED: a full disk of the database: no disk of its own could be mounted", flush=True)
        world = World(engine, random.Random(seed), deck, points)
        unanswered = play_with_crowd(world, plan, seed, seconds, history, history_v1)
        result = judge(world, out, history, history_v1, unanswered, settings)
    finally:
        keep_logs(engine, out)
        engine.down()
        engine.remove()
        shutil.rmtree(directory.parent, ignore_errors=True)
    result["seed"] = seed
    return result


def play_with_crowd(world, plan, seed, seconds, history, history_v1):
    context = multiprocessing.get_context("spawn")
    stop, answers = context.Event(), context.Queue()
    people = context.Process(target=crowd.play, args=(world.engine.endpoints["client"], plan, seed, str(history), stop, answers))
    people.start()
    v1 = crowd_v1.V1(world.engine.http_port, plan, seed, str(history_v1))
    v1.start()
    try:
        time.sleep(5)
        world.begun = time.monotonic()
        world.drill()
        world.say("now at random")
        world.play(seconds)
        world.heal()
        time.sleep(3)  # the sale goes on a little while nothing is broken
        world.say("the crowd goes home; what is unknown is asked again")
        stop.set()
        v1.stop()
        return answers.get(timeout=150)
    finally:
        world.projection.stop()
        people.join(timeout=10)
        if people.is_alive():
            people.kill()


def judge(world, out, history, history_v1, unanswered, settings):
    rested = await_rest(world)
    world.say(f"at rest after {rested:.1f} s" if rested is not None else f"NOT at rest after {QUIET_S} s: {world.engine.ready()}")
    world.engine.note_conflicts()
    limits = dict(active_max=settings["admission.active_max"], unanswered=unanswered,
                  wall_minus_monotonic_ms=time.time() * 1000 - time.monotonic_ns() / 1e6)
    what, said = evidence.collect(world.engine, history, history_v1, limits)
    (out / "verify.txt").write_text(said)
    judge_of = auditor.Auditor(what)
    findings = dict(judge_of.judge())
    if rested is None:
        findings.setdefault("I3", []).append(f"not at rest {QUIET_S} s after everything was healed")
    figures = recovery.figures(world, what)
    return dict(findings=findings, counts=world.counts, kills=world.kills, recovery=figures, audit=judge_of.figures,
                operations=collections.Counter((op["kind"], op["outcome"]) for op in what.operations),
                v1=collections.Counter((op["kind"], op["outcome"]) for op in what.v1),
                fired=collections.Counter(f"{name} {point}" for name, rows in world.engine.done_orders().items() for _, _, _, point in rows),
                rows=len(what.log), impossible=world.impossible)


def keep_logs(engine, out):
    for path in (engine.directory / "logs").glob("*.log"):
        shutil.copy(path, out / path.name)


# ---- the whole run


def merged(results, key):
    total = collections.Counter()
    for result in results:
        total.update(result[key])
    return total


def table(results, minutes):
    counts, kills = merged(results, "counts"), merged(results, "kills")
    operations, v1 = merged(results, "operations"), merged(results, "v1")
    fired = merged(results, "fired")
    print("\n== what was done")
    print(f"  faults           {sum(counts.values())}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    print(f"  kills            {sum(kills.values())}: " + ", ".join(f"{name} {count}" for name, count in sorted(kills.items())))
    print(f"  failpoints       {sum(fired.values())} passed at {len(fired)} places")
    for kind in sorted({kind for kind, _ in operations}):
        print(f"  {kind:16} " + ", ".join(f"{outcome} {operations[(kind, outcome)]}" for outcome in ("ok", "fail", "unknown")))
    print(f"  v1               {sum(v1.values())} calls, {sum(count for (_, outcome), count in v1.items() if outcome == 'unknown')} without an answer")
    print(f"  log              {sum(result['rows'] for result in results)} rows")
    audit = merged(results, "audit")
    print("  audit            " + ", ".join(f"{name} {count}" for name, count in sorted(audit.items())))
    effects = sum(operations[(kind, "ok")] for kind in ("HOLD", "PAY", "CANCEL"))
    return dict(operations=sum(operations.values()) + sum(v1.values()), effects=effects, faults=sum(counts.values()),
                kills=sum(kills.values()), failpoints=len(fired), minutes=minutes, counts=counts)


def void_reasons(done):
    reasons = [f"{done[what]} {what} in {done['minutes']:.1f} minutes, at least {minimum} a minute are wanted"
               for what, minimum in MINIMA_A_MINUTE.items() if done[what] < minimum * done["minutes"]]
    names, _ = faults.possible()
    missing = [name for name in sorted(names) if done["counts"][name] == 0 and (not ONLY or name in ONLY)]
    if missing and done["minutes"] >= 3:
        reasons.append("these faults never happened: " + ", ".join(missing))
    return reasons


def report(results, minutes, out, arguments):
    done = table(results, minutes)
    passed, failed = arguments.selftest
    print("\n== verdict")
    print(f"{'FAILED ' if failed else 'ok     '} the auditor itself: {passed} passed, {failed} failed")
    for invariant in auditor.INVARIANTS:
        sentences = [sentence for result in results for sentence in result["findings"].get(invariant, [])]
        print(f"{'FAILED ' if sentences else 'ok     '} {invariant}" + (f": {len(sentences)} violations" if sentences else ""))
        for sentence in sentences[:8]:
            print(f"          {sentence}")
        passed, failed = passed + (not sentences), failed + bool(sentences)
    good, bad = recovery.print_table([result["recovery"] for result in results])
    passed, failed = passed + good, failed + bad
    void = void_reasons(done)
    for reason in void:
        print(f"VOID: {reason}")
    if failed or void:
        print(f"\nkept: {out}\nreplay: tests/chaos/run.py --seed {arguments.seed} --minutes {arguments.minutes:g} --engines {arguments.engines}")
    else:
        shutil.rmtree(out, ignore_errors=True)
    print(f"{passed} passed, {failed} failed" + (", VOID" if void else ""))
    return 1 if failed else 3 if void else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--minutes", type=float, default=3.5, help="of faults, all engines together")
    parser.add_argument("--hours", type=float, default=0)
    parser.add_argument("--engines", type=int, default=3)
    parser.add_argument("--out", help="where histories and logs go (default: a new directory under /tmp)")
    parser.add_argument("--only", help="only these faults, separated by commas")
    arguments = parser.parse_args()
    if arguments.hours:
        arguments.minutes = arguments.hours * 60
        arguments.engines = max(arguments.engines, int(arguments.minutes / 4))
    return arguments


def main():
    global ONLY
    arguments = parse()
    if arguments.only:
        ONLY = set(arguments.only.split(","))
    arguments.selftest = selftest.run(quiet=True)
    out = pathlib.Path(arguments.out or tempfile.mkdtemp(prefix="ticketlab-chaos-out-", dir="/tmp"))
    chance = random.Random(arguments.seed)
    deck, points, results = [], [], []
    seconds = arguments.minutes * 60 / arguments.engines
    print(f"chaos: seed {arguments.seed}, {arguments.engines} engines, {seconds:.0f} s of faults each")
    print("clocks are not turned here: the simulator does that; a partition is made by failpoints in the pipes")
    for number in range(arguments.engines):
        place = out / f"engine-{number + 1}"
        place.mkdir(parents=True, exist_ok=True)
        try:
            results.append(run_engine(number, chance.randrange(1 << 31), seconds, place, deck, points))
        except Exception:  # noqa: BLE001 - the harness itself failed: not a verdict, but no success either
            traceback.print_exc()
            print(f"kept: {out}\n0 passed, 1 failed")
            return 1
        (place / "findings.json").write_text(json.dumps(results[-1]["findings"], ensure_ascii=False, indent=1))
    return report(results, arguments.minutes, out, arguments)


if __name__ == "__main__":
    sys.exit(main())
