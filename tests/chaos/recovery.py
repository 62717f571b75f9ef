"""How long until the work went on: from each kill to the first success that needed what was killed."""

import collections
import statistics
import threading
import time

TARGET_S = {"restarted": 1.0, "failed over": 5.0, "projection": 10.0}

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


def figures(world, what):
    """[(kind, name, seconds)]; what was hit again before it was back is not measured."""
    good, found = prepared(what), []
    gateway = sorted((op for op in what.v1 if op["outcome"] == "ok" and op["kind"] in ("status", "enter")), key=lambda op: op["end"])
    for kind, name, at, shards in world.moments:
        if kind == "projection" or (name.startswith("seat-arbiter") and not shards):
            continue
        if name == "gateway":
            seconds = next(((op["end"] - at) / 1e9 for op in gateway if op["begin"] >= at), None)
        elif name in NEEDS:
            seconds = first_after(good, at, NEEDS[name], set(shards))
        else:
            continue
        if seconds is not None:
            found.append((kind, name, seconds))
    return found + getattr(world, "measured", [])


def print_table(all_figures):
    """The medians beside their targets; how many are within them, and how many are not."""
    by = collections.defaultdict(list)
    for rows in all_figures:
        for kind, name, seconds in rows:
            by[(kind, name)].append(seconds)
    print("\n== recovery: from the fault to the first success that needed what was hit")
    print(f"  {'':14} {'':16} {'times':>5} {'median':>9} {'longest':>9}  target")
    together = collections.defaultdict(list)
    for (kind, name), values in sorted(by.items()):
        together[kind] += values
        print(f"  {kind:14} {name:16} {len(values):5} {statistics.median(values):7.2f} s {max(values):7.2f} s")
    good = bad = 0
    for kind, values in sorted(together.items()):
        if kind not in TARGET_S:
            continue
        median = statistics.median(values)
        good, bad = good + (median < TARGET_S[kind]), bad + (median >= TARGET_S[kind])
        print(f"{'ok     ' if median < TARGET_S[kind] else 'FAILED '} {kind}: median {median:.2f} s of {len(values)}, target < {TARGET_S[kind]:g} s")
    return good, bad
