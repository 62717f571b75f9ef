#!/usr/bin/python3
"""Chaos: engines of real processes under a load of real clients, with faults at random; then an independent verdict.

    run.py [--seed N] [--minutes M | --hours H] [--engines N] [--configuration N] [--out DIR] [--only FAULT,FAULT]

One engine after the other, each with another configuration. A fault a line, live; at the end what was done, what was
seen, and `N passed, N failed`. The same seed plays the same faults and the same people in the same order; when each
meets the other is the machine's. Exit status: 0 all is well, 1 a violation (its artefacts are kept), 3 VOID: too little
load or too few faults to mean anything, 2 wrong arguments.
"""

import argparse
import collections
import json
import multiprocessing
import pathlib
import random
import shutil
import subprocess
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
import hosts
import inside
import manners
import readers
import recovery
import selftest
import usage
import world

# title, Kafka, on hosts of their own?, settings
CONFIGURATIONS = [
    ("usual", "mock", True, dict()),
    (
        "small batches, one lane, a lying payment gateway",
        "mock",
        False,
        {
            "cluster.shards": 3,
            "mysql.lanes": 1,
            "arbiter.batch_max": 2,
            "kafka.mock_brokers": 3,
            "kafka.mock_leader_ms": 3000,
            "psp.lie_percent": 20,
            "psp.duplicate_percent": 30,
            "psp.lost_percent": 20,
            "psp.late_percent": 20,
            "psp.late_ms": 2000,
            "psp.reorder_percent": 20,
        },
    ),
    (
        "real Kafka, short leases, many shards",
        "real",
        False,
        {
            "cluster.shards": 16,
            "arbiter.lease_ttl_ms": 1000,
            "arbiter.lease_renew_ms": 300,
            "arbiter.takeover_ms": 800,
            "psp.lost_percent": 40,
            "psp.duplicate_percent": 30,
        },
    ),
]
SETTINGS = {
    "cluster.block_seats": 8,
    "arbiter.hold_ttl_ms": 4000,
    "arbiter.payment_window_ms": 6000,
    "arbiter.drive_again_ms": 500,
    "admission.active_max": 60,
    "admission.rate": 200,
    "admission.interval_ms": 200,
    "admission.active_ttl_ms": 20000,
    "payment.poll_ms": 400,
    "payment.call_timeout_ms": 1500,
    "psp.delay_ms": 250,
    "mysql.timeout_ms": 4000,
}
SEATS = 80
QUIET_S = 45  # at most, until all is at rest after healing
MYSQL_BYTES = 200 << 20

FRESH_S = 2.5  # every process is looked at before anybody comes
REST_S = 3  # and when all have gone
SETTLE_S = 8  # a process may be in its last pause, and lose its shards by it
QUIET_SALE_S = 8  # then nothing is broken; and what readers may be shown that is over, is over, too: see shown.py

Histories = collections.namedtuple("Histories", "crowd v1 reads")

# Below these a run says nothing. Per minute of faults, and for the whole run.
MINIMA_A_MINUTE = {
    "operations": 1500,
    "effects": 100,
    "faults": 20,
    "kills": 8,
    "failpoints": 5,
    "readings": 500,
    "samples": 300,
}


# ---- one engine


def await_rest(run):
    """Until all runs and nothing is under way any more; how long it took, or None."""
    begun = time.monotonic()
    while time.monotonic() < begun + QUIET_S:
        try:
            if not run.engine.ready():
                connection = run.engine.mysql()
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


def fetch_kafka():
    """A real broker, before we are where no network leads to. Whether there is one."""
    done = subprocess.run([str(engines.ROOT / "tools" / "fetch-kafka")], capture_output=True, text=True, check=False)
    return done.returncode == 0


def kafka_of(wanted, there):
    """A real broker if it can be had; else the one in memory, said so."""
    if wanted != "real":
        return wanted, ""
    if there:
        link = engines.BUILD.parent / "tools"
        if not link.exists():
            link.symlink_to(engines.ROOT / "tools")
        return "real", ""
    return "mock", "SKIPPED: real Kafka: it cannot be had here; kafka-mock instead"


def run_engine(number, seed, seconds, out, deck, points, arguments):
    """One engine from start to verdict; what was found, as a dictionary."""
    which = arguments.configuration - 1 if arguments.configuration else number % len(CONFIGURATIONS)
    title, kafka, on_hosts, extra = CONFIGURATIONS[which]
    kafka, skipped = kafka_of(kafka, arguments.kafka_there)
    folder = arguments.place / f"engine-{number + 1}"
    folder.mkdir()
    settings = dict(SETTINGS, **extra)
    settings["psp.seed"] = seed
    on_hosts = on_hosts and not faults.no_network
    where = ", on several hosts" if on_hosts else ""
    print(f"\n== engine {number + 1}: {title}{where} (seed {seed}, Kafka: {kafka})", flush=True)
    for sentence in [skipped] + faults.possible()[1]:
        if sentence:
            print(sentence, flush=True)
    its_hosts = hosts.Hosts(folder, engines.BUILD) if on_hosts else None
    engine = engines.Engine(folder / "engine", kafka, settings, SEATS, MYSQL_BYTES, its_hosts)
    plan = dict(
        users=240, sockets=8, first_user=1000001, seats=SEATS, block_seats=8, v1_users=24, first_v1_user=500000001
    )
    histories = Histories(out / "history.jsonl", out / "history_v1.jsonl", out / "reads.jsonl")
    sampler = None
    try:
        engine.up()
        if not engine.mounted:
            print("SKIPPED: a full disk of the database: no disk of its own could be mounted", flush=True)
        run = world.World(engine, random.Random(seed), deck, points)
        sampler = usage.Sampler(engine)
        sampler.look(FRESH_S, "fresh")
        played = play_with_crowd(run, plan, seed, seconds, histories, sampler)
        result = judge(run, out, histories, played, settings, sampler)
    finally:
        if sampler:
            sampler.stop()
        try:
            keep_logs(engine, out)
        finally:
            engine.down()
            engine.remove()
            shutil.rmtree(folder, ignore_errors=True)
    result["seed"] = seed
    return result


def play_with_crowd(run, plan, seed, seconds, histories, sampler):
    """What the auditor has to know of it: `unanswered` requests; in ns, `quiet`: from when to when nothing was broken,
    and `slow`: when clients of bad manners were the only fault."""
    context = multiprocessing.get_context("spawn")
    stop, over, answers = context.Event(), context.Event(), context.Queue()
    endpoint, port = run.engine.endpoints["client"], run.engine.http_port
    shards = int(run.engine.settings.get("cluster.shards", 8))
    place = run.engine.hosts.network("clients") if run.engine.hosts else None
    words = (place, crowd.play, endpoint, plan, seed, str(histories.crowd), stop, answers)
    people = context.Process(target=hosts.play_there, args=words)
    words = (None, readers.play, endpoint, port, shards, seed, str(histories.reads), over)
    lookers = context.Process(target=hosts.play_there, args=words)
    people.start()
    lookers.start()
    v1 = crowd_v1.V1(port, plan, seed, str(histories.v1))
    v1.start()
    sampler.phase = "load"
    quiet = [[time.monotonic_ns(), None], [None, None]]
    try:
        time.sleep(5)
        run.begun = time.monotonic()
        quiet[0][1] = time.monotonic_ns()
        run.drill()
        slow = manners.drill(run)
        run.say("now at random")
        run.play(seconds)
        run.heal()
        run.rest(SETTLE_S)
        quiet[1][0] = time.monotonic_ns()
        time.sleep(QUIET_SALE_S)  # the sale goes on for a little while with nothing broken
        run.projection.await_equal(10)
        run.say("the crowd goes home; what is unknown is asked again")
        stop.set()
        v1.stop()
        unanswered = answers.get(timeout=150)
        quiet[1][1] = time.monotonic_ns()
        return dict(unanswered=unanswered, quiet=quiet, slow=slow)
    finally:
        run.projection.stop()
        over.set()
        for process in (people, lookers):
            process.join(timeout=10 if stop.is_set() else 0)
            if process.is_alive():
                process.kill()


def judge(run, out, histories, played, settings, sampler):
    rested = await_rest(run)
    sampler.look(REST_S, "rest")
    run.say(
        f"at rest after {rested:.1f} s"
        if rested is not None
        else f"NOT at rest after {QUIET_S} s: {run.engine.ready()}"
    )
    run.engine.note_conflicts()
    limits = dict(
        played,
        active_max=settings["admission.active_max"],
        jumps=run.engine.jumps(),
        hold_ttl_ms=settings["arbiter.hold_ttl_ms"],
        wall_minus_monotonic_ms=time.time() * 1000 - time.monotonic_ns() / 1e6,
        bounds=usage.bounds(settings, SEATS),
    )
    what, said = evidence.collect(run.engine, histories, limits)
    sampler.stop()
    what.samples = sampler.samples
    found = recovery.measured(run, what)
    what.drills = recovery.drills(found)
    (out / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in sampler.samples))
    (out / "verify.txt").write_text(said)
    judge_of = auditor.Auditor(what)
    findings = dict(judge_of.judge())
    if rested is None:
        findings.setdefault("I3", []).append(f"not at rest {QUIET_S} s after everything was healed")
    healed = [seconds for when, seconds in run.projection.measured if when == "healed"]
    if not healed or healed[0] > 10:
        findings.setdefault("I9", []).append(
            f"the projection was right {healed or 'not at all within 10'} s after healing"
        )
    return dict(
        findings=findings,
        counts=run.counts,
        kills=run.kills,
        recovery=recovery.figures(found),
        samples=sampler.samples,
        audit=judge_of.figures,
        operations=collections.Counter((op["kind"], op["outcome"]) for op in what.operations),
        v1=collections.Counter((op["kind"], op["outcome"]) for op in what.v1),
        fired=collections.Counter(
            f"{name} {point}" for name, rows in run.engine.done_orders().items() for _, _, _, point in rows
        ),
        rows=len(what.log),
        impossible=run.impossible,
        leaders=sum("another leader" in line for line in run.engine.log_lines("kafka")),
        lost_frames=run.engine.hosts.lost_frames() if run.engine.hosts else 0,
    )


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
    print(
        f"  faults           {sum(counts.values())}: "
        + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    )
    print(
        f"  kills            {sum(kills.values())}: "
        + ", ".join(f"{name} {count}" for name, count in sorted(kills.items()))
    )
    print(f"  failpoints       {sum(fired.values())} passed at {len(fired)} places")
    cuts = sum(counts[name] for name in faults.NETWORK)
    print(f"  network          {cuts} times cut, {sum(result['lost_frames'] for result in results)} frames went nowhere")
    leaders = sum(result["leaders"] for result in results)
    print(f"  leaders          every partition of Kafka had another leader {leaders} times")
    for kind in sorted({kind for kind, _ in operations}):
        print(
            f"  {kind:16} "
            + ", ".join(f"{outcome} {operations[(kind, outcome)]}" for outcome in ("ok", "fail", "unknown"))
        )
    silent = sum(count for (_, outcome), count in v1.items() if outcome == "unknown")
    print(f"  v1               {sum(v1.values())} calls, {silent} without an answer")
    print(f"  log              {sum(result['rows'] for result in results)} rows")
    audit = merged(results, "audit")
    for name in audit:
        if name.endswith("at most"):
            audit[name] = max(result["audit"][name] for result in results)
    print("  audit            " + ", ".join(f"{name} {count}" for name, count in sorted(audit.items())))
    effects = sum(operations[(kind, "ok")] for kind in ("HOLD", "PAY", "CANCEL"))
    return dict(
        operations=sum(operations.values()) + sum(v1.values()),
        effects=effects,
        faults=sum(counts.values()),
        kills=sum(kills.values()),
        failpoints=sum(fired.values()),
        readings=audit["readings"],
        samples=audit["samples of processes"],
        leaders=leaders,
        minutes=minutes,
        counts=counts,
    )


def keep(out, arguments):
    """Where what was found stays when all else goes."""
    if arguments.out:
        return out
    kept = tempfile.mkdtemp(prefix="ticketlab-chaos-out-", dir="/tmp")
    shutil.copytree(out, kept, dirs_exist_ok=True)
    return kept


def void_reasons(done, chosen):
    reasons = [
        f"{done[what]} {what} in {done['minutes']:.1f} minutes, at least {minimum} a minute are wanted"
        for what, minimum in MINIMA_A_MINUTE.items()
        if done[what] < minimum * done["minutes"]
    ]
    names, _ = faults.possible()
    if not any(on_hosts for _, _, on_hosts, _ in chosen):
        names -= faults.NETWORK
    missing = [name for name in sorted(names) if done["counts"][name] == 0 and (not world.only or name in world.only)]
    if missing and done["minutes"] >= 3:
        reasons.append("these faults never happened: " + ", ".join(missing))
    if done["leaders"] == 0 and any("kafka.mock_leader_ms" in settings for _, _, _, settings in chosen):
        reasons.append("no partition of Kafka ever had another leader")
    return reasons


def report(results, broken, out, arguments):
    done = table(results, arguments.minutes * len(results) / arguments.engines)
    passed, failed = arguments.selftest
    print("\n== verdict")
    print(f"{'FAILED ' if failed else 'ok     '} the auditor itself: {passed} passed, {failed} failed")
    for number in broken:
        print(f"FAILED  engine {number}: the harness broke, see above: no verdict on this engine")
    failed += len(broken)
    for invariant in auditor.INVARIANTS:
        sentences = [sentence for result in results for sentence in result["findings"].get(invariant, [])]
        print(
            f"{'FAILED ' if sentences else 'ok     '} {invariant}"
            + (f": {len(sentences)} violations" if sentences else "")
        )
        for sentence in sentences[:8]:
            print(f"          {sentence}")
        passed, failed = passed + (not sentences), failed + bool(sentences)
    usage.print_table([result["samples"] for result in results])
    good, bad = recovery.print_table([result["recovery"] for result in results])
    passed, failed = passed + good, failed + bad
    void = void_reasons(done, [CONFIGURATIONS[which] for which in configurations(arguments)])
    for reason in void:
        print(f"VOID: {reason}")
    if failed or void:
        print(
            f"\nkept: {keep(out, arguments)}\nreplay: tests/chaos/run.py --seed {arguments.seed}"
            f" --minutes {arguments.minutes:g} --engines {arguments.engines}"
            + (f" --configuration {arguments.configuration}" if arguments.configuration else "")
        )
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
    parser.add_argument("--configuration", type=int, choices=range(1, len(CONFIGURATIONS) + 1), help="only this one")
    parser.add_argument("--out", help="where histories and logs go (default: a new directory under /tmp)")
    parser.add_argument("--only", help="only these faults, separated by commas")
    arguments = parser.parse_args()
    if arguments.hours:
        arguments.minutes = arguments.hours * 60
        arguments.engines = max(arguments.engines, int(arguments.minutes / 4))
    return arguments


def configurations(arguments):
    """Of each engine."""
    if arguments.configuration:
        return [arguments.configuration - 1]
    return [number % len(CONFIGURATIONS) for number in range(arguments.engines)]


def main():
    arguments = parse()
    if arguments.only:
        world.only.update(arguments.only.split(","))
    wants_kafka = any(CONFIGURATIONS[which][1] == "real" for which in configurations(arguments))
    arguments.kafka_there = wants_kafka and fetch_kafka()
    faults.no_network = inside.possible()
    arguments.place, alone = inside.enter(not faults.no_network)
    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("\ninterrupted: no verdict", flush=True)
        return 130
    finally:
        if not alone:
            shutil.rmtree(arguments.place, ignore_errors=True)


def run(arguments):
    arguments.selftest = selftest.run(quiet=True)
    out = pathlib.Path(arguments.out or arguments.place / "out")
    chance = random.Random(arguments.seed)
    deck, points, results, broken = [], [], [], []
    seconds = arguments.minutes * 60 / arguments.engines
    print(f"chaos: seed {arguments.seed}, {arguments.engines} engines, {seconds:.0f} s of faults each")
    if faults.no_network:
        print(f"hosts of their own: not here ({faults.no_network}); links are cut by failpoints in the pipes alone")
    else:
        print("one engine in three lives on several hosts, whose network is cut; links of the others by failpoints alone")
    print("wall clocks of single processes jump; those of the machine, and the clocks that never jump, are left alone")
    for number in range(arguments.engines):
        place = out / f"engine-{number + 1}"
        place.mkdir(parents=True, exist_ok=True)
        try:
            results.append(run_engine(number, chance.randrange(1 << 31), seconds, place, deck, points, arguments))
        except Exception:  # noqa: BLE001 - the harness itself failed: not a verdict, but no success either
            traceback.print_exc()
            sys.stderr.flush()
            broken.append(number + 1)
            continue
        if not results[-1]["findings"]:
            shutil.rmtree(place, ignore_errors=True)
            continue
        (place / "findings.json").write_text(json.dumps(results[-1]["findings"], ensure_ascii=False, indent=1))
    if not results:
        print(f"kept: {keep(out, arguments)}\n0 passed, {len(broken)} failed")
        return 1
    return report(results, broken, out, arguments)


if __name__ == "__main__":
    sys.exit(main())
