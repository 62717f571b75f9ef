"""One engine under fire: which fault comes when, and what heals it."""

import collections
import signal
import time

import engine as engines
import faults
import recovery


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
        self.add_network_faults()

    def add_network_faults(self):
        """Hosts are few: each of their faults comes soon in such an engine, and not at all in others."""
        self.deck[:] = [row for row in self.deck if self.engine.hosts or row[0] not in faults.NETWORK]
        names, _ = faults.possible()
        for name, _, fault in faults.FAULTS:
            if self.engine.hosts and name in faults.NETWORK & names and (not only or name in only):
                self.deck.insert(max(0, len(self.deck) - self.chance.randrange(20)), (name, fault))

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
                self.later(seconds, lambda: self.engine.signal(pid, signal.SIGCONT))
            elif left > 0:
                self.later(0.1, lambda: look(left - 1))
            else:
                self.engine.disarm("persister")

        look(tries)

    def do_now(self, fault, name=None):
        sentence = fault(self)
        if sentence:
            self.say(sentence)
            if name:
                self.counts[name] += 1

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
            self.add_network_faults()
        if not self.deck:
            return
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
            self.do_now(lambda world, name=name: faults.kill(world, name), "kill")
            self.rest(1.5)
        self.do_now(faults.redis_wipe, "redis wipe")
        self.rest(1.5)
        name = self.chance.choice(["seat-arbiter-1", "seat-arbiter-2"])
        self.do_now(lambda world: faults.stop_for(world, name, 6), "stop arbiter")
        self.rest(7)
        if self.engine.hosts:
            self.do_now(lambda world: faults.cut_off(world, "seat-arbiter-2", 8), "host cut off")
            self.rest(9)
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
        if self.engine.hosts:
            self.engine.hosts.heal_all()
        for name in self.engine.names():
            self.engine.disarm(name)
            pid = self.engine.pid(name)
            if pid and engines.process_state(pid) == "T":
                self.engine.signal(pid, signal.SIGCONT)
        self.projection.begin("healed", time.monotonic())


only = set()  # names of faults; empty: all


def new_deck(chance):
    """Every possible fault once, and as many again by weight; in chance's order."""
    names, _ = faults.possible()
    rows = [
        (name, weight, fault) for name, weight, fault in faults.FAULTS if name in names and (not only or name in only)
    ]
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
