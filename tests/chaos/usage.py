"""What every process of an engine takes, through the whole run, and whether it is within its bounds: I20.

Sampler looks twice a second at /proc (resident memory, descriptors, threads), and every two seconds at the gauges of
/metrics. A sample is [monotonic seconds, phase, name, pid, resident KiB, descriptors, threads, gauges or None]; the
phases are `fresh` (started, and nobody there), `load` and `rest` (all is over and healed). Restarts give new pids.

The bounds, judged by Bounded:
- at rest a process has the descriptors and threads that a fresh one of its name had, and DESCRIPTORS_MARGIN (or
  DESCRIPTORS_KEPT) and THREADS_MARGIN; no connection, stream, request or payment is left in its gauges;
- at no moment it takes more memory than RESIDENT_MIB of its role says, more descriptors than a connection for each
  client that there may be, nor is a gauge above the setting that bounds it (schemas/config.def);
- a process that lives long does not grow: what it has at least in the last third of its life is not more than what it
  had at least in the middle third, and GROWTH_MIB or DESCRIPTORS_MORE. The least, because crowds come and go.
"""

import collections
import os
import pathlib
import re
import statistics
import threading
import time

import engine as engines
import recovery

EVERY_S = 0.5
GAUGES_EVERY = 4  # samples
LIVED_S = 40  # long enough to be judged by its growth
DESCRIPTORS_MARGIN = 16
DESCRIPTORS_KEPT = {"payment-timer": 48, "psp-sim": 80}  # connections between the two, kept a minute for the next call
DESCRIPTORS_MORE = {"gateway": 500, "broker": 200, **DESCRIPTORS_KEPT}  # two crowds of slow clients
THREADS_MARGIN = 4
GROWTH_MIB = 16
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024

# Resident memory at most, in MiB. What cores lay out at their start they touch as they use it.
RESIDENT_MIB = {
    "broker": 64,
    "admission": 48,
    "seat-arbiter": 64,
    "payment-timer": 48,
    "persister": 48,
    "kafka-bridge": 64,
    "notifier": 64,
    "gateway": 64,
    "psp-sim": 48,
}

# gauge -> the setting that bounds it, or a number
BOUNDED_BY = {
    "ticketlab_broker_actors": 256,
    "ticketlab_broker_shards_owned": "cluster.shards",
    "ticketlab_admission_waiting": "admission.waiting_max",
    "ticketlab_admission_active": "admission.active_max",
    "ticketlab_admission_active_peak": "admission.active_max",
    "ticketlab_arbiter_shards": "cluster.shards",
    "ticketlab_arbiter_live": "arbiter.reservations_max",
    "ticketlab_arbiter_seats_sold": "seats",
    "ticketlab_payment_intents": "payment.intents_max",
    "reservation_active_count": "seats",
    "queue_waiting_size": "admission.waiting_max",
    "ticketlab_gateway_connections": "gateway.connections_max",
    "ticketlab_gateway_reservations": "gateway.connections_max",
    "ticketlab_gateway_streams": "gateway.connections_max",
}
LEFT_AT_REST = {
    "ticketlab_arbiter_live": 0,
    "ticketlab_payment_intents": 0,
    "reservation_active_count": 0,
    "ticketlab_gateway_connections": 16,  # the payment gateway keeps its own for the next callback
    "ticketlab_gateway_reservations": 0,
    "ticketlab_gateway_streams": 0,
    "ticketlab_events_lag": 0,
}


WORK = set(recovery.WORK.values())


def role_of(name):
    return re.sub(r"-\d+$", "", name)


def bounds(settings, seats):
    """{gauge: what it is at most}, by the settings and, where they say nothing, the defaults of the table."""
    table = (engines.ROOT / "schemas" / "config.def").read_text()
    values = {
        f"{section}.{key}": int(default)
        for section, key, default in re.findall(r"^NUMBER\((\w+), (\w+), (\d+),", table, re.M)
    }
    values.update({key: int(value) for key, value in settings.items() if key in values}, seats=seats)
    return {gauge: values.get(bound, bound) for gauge, bound in BOUNDED_BY.items()}


# ---- looking


class Sampler:
    """A thread that looks until stop()."""

    def __init__(self, engine):
        self.engine, self.phase, self.samples = engine, "fresh", []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def look(self, seconds, phase):
        """So long in a phase of its own."""
        self.phase = phase
        time.sleep(seconds)

    def stop(self):
        self.ended.set()
        self.thread.join(timeout=10)

    def gauges(self, process):
        page = self.engine.get(process["management"] + "/metrics", timeout=0.3) if process.get("management") else None
        if page is None:
            return None
        found = {}
        for line in page.splitlines():
            name, _, value = line.partition(" ")
            if name in BOUNDED_BY or name in LEFT_AT_REST or name in WORK:
                found[name] = float(value)
        return found

    def sample(self, process, with_gauges):
        pid, phase = process["pid"], self.phase
        place = pathlib.Path(f"/proc/{pid}")
        try:
            resident = int((place / "statm").read_text().split()[1]) * PAGE_KIB
            descriptors = len(os.listdir(place / "fd"))
            threads = len(os.listdir(place / "task"))
        except (OSError, IndexError, ValueError):
            return  # it died just now
        stands = engines.process_state(pid) in ("T", "Z", None)
        gauges = self.gauges(process) if with_gauges and not stands else None
        self.samples.append([time.monotonic(), phase, process["name"], pid, resident, descriptors, threads, gauges])

    def work(self):
        turn = 0
        while not self.ended.wait(EVERY_S):
            for process in self.engine.processes():
                if process["pid"] and not self.ended.is_set():
                    self.sample(process, turn % GAUGES_EVERY == 0)
            turn += 1


# ---- judging


class Bounded:
    """Of an Auditor: its evidence and findings."""

    def check_bounds(self):
        by_name, lives = collections.defaultdict(list), collections.defaultdict(list)
        for sample in self.evidence.samples:
            if role_of(sample[2]) in RESIDENT_MIB:
                by_name[sample[2]].append(sample)
                lives[(sample[2], sample[3])].append(sample)
        for name, samples in sorted(by_name.items()):
            self.check_most(name, samples)
            self.check_rest(name, samples)
        for (name, pid), samples in sorted(lives.items()):
            self.check_life(name, pid, samples)
        self.figures["samples of processes"] = sum(map(len, by_name.values()))

    def check_most(self, name, samples):
        resident = max(sample[4] for sample in samples) / 1024
        if resident > RESIDENT_MIB[role_of(name)]:
            self.finding("I20", f"{name} took {resident:.1f} MiB, {RESIDENT_MIB[role_of(name)]} are its bound")
        bounds_of = self.evidence.limits["bounds"]
        most = collections.Counter()
        for sample in samples:
            for gauge, value in (sample[7] or {}).items():
                most[gauge] = max(most[gauge], value)
        for gauge, value in most.items():
            if value > bounds_of.get(gauge, float("inf")):
                self.finding("I20", f"{name}: {gauge} was {value:g}, its bound is {bounds_of[gauge]}")

    def check_rest(self, name, samples):
        """The least of the moments at rest: who looks at it then is a client, too."""
        fresh = [sample for sample in samples if sample[1] == "fresh"]
        rest = [sample for sample in samples if sample[1] == "rest"]
        if not fresh or not rest:
            self.finding("I20", f"{name} was not looked at {'fresh' if not fresh else 'at rest'}")
            return
        kept = DESCRIPTORS_KEPT.get(role_of(name), DESCRIPTORS_MARGIN)
        for column, margin, what in ((5, kept, "descriptors"), (6, THREADS_MARGIN, "threads")):
            had = max(sample[column] for sample in fresh)
            has = min(sample[column] for sample in rest)
            if has > had + margin:
                self.finding("I20", f"{name} has {has} {what} at rest, a fresh one had {had}")
        gauges = [sample[7] for sample in rest if sample[7]]
        for gauge in LEFT_AT_REST.keys() & set().union(*gauges):
            least = min(page[gauge] for page in gauges if gauge in page)
            if least > LEFT_AT_REST[gauge]:
                self.finding("I20", f"{name}: {gauge} is {least:g} at rest")

    def check_life(self, name, pid, samples):
        """What a process has at least, later in its life, against earlier."""
        samples = [sample for sample in samples if sample[1] == "load"]
        if not samples or samples[-1][0] - samples[0][0] < LIVED_S:
            return
        self.figures["lives judged by their growth"] += 1
        third = (samples[-1][0] - samples[0][0]) / 3
        middle = [sample for sample in samples if third <= sample[0] - samples[0][0] < 2 * third]
        last = [sample for sample in samples if sample[0] - samples[0][0] >= 2 * third]
        if not middle or not last:
            return
        more = DESCRIPTORS_MORE.get(role_of(name), DESCRIPTORS_MARGIN)
        for column, margin, what in ((4, GROWTH_MIB * 1024, "KiB"), (5, more, "descriptors")):
            had, has = min(sample[column] for sample in middle), min(sample[column] for sample in last)
            if has > had + margin:
                self.finding("I20", f"{name} (pid {pid}) grows: at least {has} {what}, before at least {had}")


def print_table(all_samples):
    """By role: fresh, at most under load, at rest."""
    print("\n== what processes took: resident MiB, descriptors, threads")
    print(f"  {'':16} {'fresh':>18} {'at most':>18} {'at rest':>18}   bound")
    by = collections.defaultdict(lambda: collections.defaultdict(list))
    for samples in all_samples:
        for sample in samples:
            by[role_of(sample[2])][sample[1]].append(sample)

    def text(samples, choose):
        if not samples:
            return f"{'-':>18}"
        values = [choose(sample[column] for sample in samples) for column in (4, 5, 6)]
        return f"{values[0] / 1024:7.1f} {values[1]:5.0f} {values[2]:4.0f}"

    for role, phases in sorted(by.items()):
        everything = [sample for samples in phases.values() for sample in samples]
        bound = RESIDENT_MIB.get(role)
        print(
            f"  {role:16} {text(phases['fresh'], statistics.median)} {text(everything, max)}"
            f" {text(phases['rest'], statistics.median)}   {f'{bound} MiB' if bound else 'not judged'}"
        )
