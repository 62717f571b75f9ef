"""What readers were shown, against the log: I14, what is read carries its version, and is of bounded age.

No clock of the engine is believed. That a version was there by some moment follows from somebody having been told it by
then: an answer to a client, or a reader's page. What a reader is shown is too old if a newer version had been told,
to anybody, too long before the reader asked.

What is promised (docs/reference/protocol.md, schemas/http/openapi.yaml):
- a seat is shown in the state that it had at the version that is shown;
- a snapshot of epoch e has everything that any owner up to e had told before it was asked for, and at least everything
  up to its own number; the number holds all that earlier epochs committed;
- a former owner may answer until it has noticed: by the number of the epoch that is seen. STALE_OWNER_S at most;
- the gateway's map is as old as its Age says, and AGE_SLACK_S; from one gateway process (the upper bits of the map's
  version) no version goes back;
- when nothing has been broken for HEALED_S the Age is AGE_MAX_S at most, and map and stream are FEED_S behind at most.
"""

import bisect
import collections

AGE_SLACK_S = 2.0  # Age is rounded down to a second, and a snapshot may be a second on its way
AGE_MAX_S = 12
HEALED_S = 8.0  # more, and every shard was read anew (and run.py waits before it calls anything quiet)
FEED_S = 3.0
STALE_OWNER_S = 10.0
SUCCEEDED_S = 1.0  # a successor may answer for so long before a reader sees it
FREE = 0
NANO = 1e9
NEVER = float("inf")


class Shown:
    """Of an Auditor: its evidence, findings, figures and reservations."""

    def note_shown(self):
        self.shown_log()
        self.shown_told()

    def check_shown(self):
        reads = sorted(self.evidence.reads, key=lambda read: read["begin"])
        self.figures["readings"] = sum("seats" in read for read in reads)
        for read in reads:
            if read["kind"] in ("broker", "direct"):
                self.check_snapshot(read)
            elif read["kind"] != "stream-end":
                self.check_map(read)
        self.check_back(reads)
        self.check_streams(reads)

    # ---- what is known

    def shown_log(self):
        """By seat: the state and the row of each version; by shard: the epoch of each row."""
        self.states, self.row_of, self.version_at = {}, {}, collections.defaultdict(list)
        self.shard_epochs = collections.defaultdict(list)
        asked = {}
        for op in self.evidence.operations:
            key = (op["user"], op["rid"])
            asked[key] = min(op["begin"], asked.get(key, op["begin"]))
        self.asked = {}  # (seat, version) -> when the request that caused it was first asked for
        for row in self.evidence.log:
            self.shard_epochs[row["shard"]].append(row["epoch"])
            if row["version"] == 0:
                continue
            self.states.setdefault(row["seat_id"], [FREE]).append(row["state"])
            self.row_of[(row["seat_id"], row["version"])] = row
            self.version_at[row["seat_id"]].append(row["seq"])
            begin = asked.get((row["user_id"], row["request_id"]))
            if begin is not None:
                self.asked[(row["seat_id"], row["version"])] = begin

    def shown_told(self):
        """told[seat][version]: when somebody had first been told this version or a newer one. And by whom: by a snapshot's
        epoch, or in an answer that does not say it."""
        self.told_by = collections.defaultdict(dict)  # (seat, version) -> {epoch: when, None: when}
        self.followed = collections.defaultdict(dict)  # shard -> {epoch: when it was first seen}
        self.told = {
            row["seat_id"]: [NEVER] * (len(self.states.get(row["seat_id"], [FREE])) + 1)
            for row in self.evidence.tables["seats"]
        }

        def note(seat, version, when, epoch):
            if version < len(self.told.get(seat, ())):
                self.told[seat][version] = min(self.told[seat][version], when)
                by = self.told_by[(seat, version)]
                by[epoch] = min(when, by.get(epoch, NEVER))

        versions = collections.defaultdict(dict)  # reservation -> {(seat, state): version}
        for (seat, version), row in self.row_of.items():
            versions[row["reservation_id"]][(seat, row["reservation_state"])] = version
        for op in self.evidence.operations:
            if op["outcome"] == "ok" and "reservation" in op:
                for seat in op["told"]:
                    note(seat, versions[op["reservation"]].get((seat, op["state"]), 0), op["end"], None)
        for read in self.evidence.reads:
            if "epoch" in read:
                first = self.followed[read["shard"]]
                first[read["epoch"]] = min(read["begin"], first.get(read["epoch"], NEVER))
            for seat, _, version in read.get("seats", ()):
                note(seat, version, read["end"], read.get("epoch"))
        for times in self.told.values():
            for version in range(len(times) - 2, -1, -1):
                times[version] = min(times[version], times[version + 1])

    def when_told(self, seat, version):
        times = self.told.get(seat, ())
        return times[version] if version < len(times) else NEVER

    def newest_told(self, seat, before, epoch):
        """The newest version that owners up to an epoch had told somebody before a moment. What such an owner committed may
        have been told by its successor alone: it was cut off before it heard that it is committed. So an answer counts
        if no successor was seen by then."""
        times = self.told.get(seat, [])
        for version in range(bisect.bisect_left(times, before) - 1, 0, -1):
            row = self.row_of.get((seat, version))
            if row is None or row["epoch"] > epoch:
                continue
            seen = min((when for other, when in self.followed[row["shard"]].items() if other > epoch), default=NEVER)
            answers = min(before, seen - SUCCEEDED_S * NANO)
            for other, when in self.told_by[(seat, version)].items():
                if when < (answers if other is None else before if other <= epoch else 0):
                    return version
        return 0

    def age(self, seat, version, begin):
        """For how many seconds a version had been told to be over when it was asked for; 0: it was not."""
        return max(0.0, (begin - self.when_told(seat, version + 1)) / NANO)

    def is_quiet(self, begin, settled=0.0):
        """Nothing is broken then, and has not been for so long. (Before the first fault nothing ever was.)"""
        quiet = self.evidence.limits.get("quiet", ())
        return any(
            first + (settled * NANO if number else 0) <= begin <= last for number, (first, last) in enumerate(quiet)
        )

    def what_read(self, read):
        shard = f" of shard {read['shard']}" if "shard" in read else ""
        return f"reader {read['r']}, {read['kind']}{shard} asked for at {read['begin'] / NANO:.3f} s"

    # ---- one reading

    def as_it_was(self, read):
        """Every seat as it was at that version, and nothing before it was asked for."""
        good = True
        for seat, state, version in read["seats"]:
            states = self.states.get(seat, [FREE])
            if seat not in self.told or version >= len(states) or states[version] != state:
                self.finding(
                    "I14", f"{self.what_read(read)}: seat {seat} is shown in state {state} at version {version}, "
                    "which it was not"
                )
                good = False
            elif self.asked.get((seat, version), 0) > read["end"]:
                self.finding("I14", f"{self.what_read(read)}: seat {seat} version {version} was not yet asked for")
        return good

    def check_snapshot(self, read):
        if not self.as_it_was(read):
            return
        epochs = self.shard_epochs[read["shard"]]
        if read["seq"] > len(epochs) or (read["seq"] and epochs[read["seq"] - 1] > read["epoch"]):
            self.finding("I14", f"{self.what_read(read)}: epoch {read['epoch']} has no change {read['seq']}")
        elif bisect.bisect_left(epochs, read["epoch"]) > read["seq"]:
            self.finding(
                "I14",
                f"{self.what_read(read)}: epoch {read['epoch']} is shown at change {read['seq']}, and does not have"
                " what was committed before it",
            )
        for seat, _, version in read["seats"]:
            least = bisect.bisect_right(self.version_at[seat], read["seq"])
            if version < least:
                self.finding("I14", f"{self.what_read(read)}: seat {seat} version {version} is behind {read['seq']}")
            newest = self.newest_told(seat, read["begin"], read["epoch"])
            if version < newest:
                self.finding(
                    "I14",
                    f"{self.what_read(read)}: seat {seat} is shown at version {version}, and epoch {read['epoch']}"
                    f" had told version {newest} before",
                )
            age = self.age(seat, version, read["begin"])
            self.note_age("snapshot age ms at most", age)
            if age > (0 if self.is_quiet(read["begin"]) else STALE_OWNER_S):
                self.finding("I14", f"{self.what_read(read)}: seat {seat} version {version} is {age:.1f} s old")

    def check_map(self, read):
        if not self.as_it_was(read) or read["kind"] == "stream":
            return
        quiet, healed = self.is_quiet(read["begin"]), self.is_quiet(read["begin"], HEALED_S)
        allowed = read["age"] + AGE_SLACK_S + (0 if quiet else STALE_OWNER_S)
        if healed:
            allowed = min(allowed, FEED_S)
        whole = dict((seat, version) for seat, _, version in read["seats"])
        if read.get("since") is None and len(whole) != len(self.evidence.tables["seats"]):
            self.finding("I14", f"{self.what_read(read)}: {len(whole)} seats, there are more")
        for seat, version in whole.items():
            age = self.age(seat, version, read["begin"])
            self.note_age("map age ms at most", age)
            self.note_age("map age above its word ms at most", age - read["age"])
            if age > allowed:
                self.finding(
                    "I14",
                    f"{self.what_read(read)}: seat {seat} version {version} is {age:.1f} s old, Age is {read['age']}",
                )
        if read["age"] > AGE_MAX_S and healed:
            self.finding("I14", f"{self.what_read(read)}: Age is {read['age']} s, and nothing is broken")

    def note_age(self, name, seconds):
        self.figures[name] = max(self.figures[name], round(seconds * 1000))

    # ---- one reading after the other

    def check_back(self, reads):
        last = {}  # (reader, kind, shard, epoch) or (reader, gateway process) -> {seat: version}, number
        same = {}  # version of the whole map -> its seats
        for read in reads:
            if "seats" not in read:
                continue
            if "shard" in read:
                key, number = (read["r"], read["kind"], read["shard"], read["epoch"]), read["seq"]
            else:
                key, number = (read["r"], read["version"] >> 32), read["version"]
            seats, before = last.setdefault(key, ({}, [0]))
            if number < before[0] and not read.get("first"):  # a stream may begin a little before what was asked for
                self.finding("I14", f"{self.what_read(read)}: number {number} behind {before[0]}")
            before[0] = number
            for seat, _, version in read["seats"]:
                if version < seats.get(seat, 0):
                    self.finding("I14", f"{self.what_read(read)}: seat {seat} goes back from version {seats[seat]}")
                seats[seat] = version
            if read["kind"] == "map" and same.setdefault(read["version"], read["seats"]) != read["seats"]:
                self.finding("I14", f"{self.what_read(read)}: map {read['version']} has been another before")
            if read["kind"] == "since" and read.get("since") is not None:
                self.check_since(read, seats, same)

    def check_since(self, read, seats, same):
        """What was put together from changes is the map of that version, if anybody had it whole."""
        whole = same.get(read["version"])
        if whole is not None and {seat: version for seat, _, version in whole} != seats:
            self.finding("I14", f"{self.what_read(read)}: the changes do not make map {read['version']}")

    def check_streams(self, reads):
        """Each stream from its map on: nothing that was told while it ran is missing from it for too long."""
        sessions, now = [], {}
        for read in reads:
            if read["kind"] == "stream-map":
                now[read["r"]] = [read]
            elif read["kind"] == "stream" and read["r"] in now:
                now[read["r"]].append(read)
            elif read["kind"] == "stream-end" and read["r"] in now:
                sessions.append((now.pop(read["r"]), read["end"]))
        for session, end in sessions:
            if len(session) > 1:
                self.check_stream(session, end)

    def check_stream(self, session, end):
        shown = collections.defaultdict(list)  # seat -> [(when, version)]
        for read in session:
            for seat, _, version in read["seats"]:
                shown[seat].append((read["end"], version))
        for seat, events in shown.items():
            for version, told in enumerate(self.told.get(seat, ())):
                if told == NEVER or told < session[1]["end"] or not self.is_quiet(told, HEALED_S):
                    continue
                first = next((when for when, its in events if its >= version), end)
                late = (first - told) / NANO
                self.note_age("stream behind ms at most", late)
                if late > FEED_S:
                    self.finding(
                        "I14",
                        f"reader {session[0]['r']}, stream: seat {seat} version {version} is missing {late:.1f} s",
                    )
