"""Times that processes wrote down, where their wall clocks were made to jump.

A time that was written by a clock that jumped can be read in two ways: as it is, and as what the machine's clock showed
then. Which of them holds cannot be known from the time alone (the process may have been started anew since, with the
machine's time), so a time has readings; the rows before and behind it in its shard's log rule most of them out. Outside
of a jump it has one, and the auditor is as strict as ever.

What stays true whatever the clocks do is judged as it stands: the order of the log, who owns what, what was told, money,
that a hold lasts as long as it was promised to. By the clock that the engine itself goes by, and no other, are judged:
that a pass was good (the clock of the arbiter that took it), and who is active (admission's clock; a grant that it has
once seen end is over).
"""

APART_MS = 100  # a jump is written down a little before it is done
ORDER_MS = 1000  # rows of a shard that follow each other are at most so much out of order in time
HOLD, EXPIRE, CLOSE = 1, 4, 7  # changes
NO_REQUEST = "00" * 16


class Clocks:
    """jumps: [(instance, wall ms of the machine, pid, ms ahead from then on)]; epochs: [(shard, epoch, owner)]; log:
    the seats' log."""

    def __init__(self, jumps, epochs, log):
        self.spans = {}  # instance -> [[from, until, ahead]], in the machine's time
        for name, at, _, ahead in sorted(jumps, key=lambda row: row[1]):
            spans = self.spans.setdefault(name, [])
            if spans:
                spans[-1][1] = min(spans[-1][1], at)
            spans.append([at, float("inf"), ahead])
        self.owner = {(shard, epoch): name for shard, epoch, name in epochs}
        self.settled = {}  # (shard, seq) -> readings; of those that could have had several
        if jumps:
            self.settle(log)

    def settle(self, log):
        """A row is not written before those that it follows, nor after those that follow it."""
        shards = {}
        for row in log:
            readings = self.readings(self.owner.get((row["shard"], row["epoch"])), row["at_ms"])
            shards.setdefault(row["shard"], []).append([row["seq"], readings])
        for shard, rows in shards.items():
            low = high = None
            for row in rows:
                row[1] = [at for at in row[1] if low is None or at >= low - ORDER_MS] or row[1]
                low = row[1][0] if low is None else max(low, row[1][0])
            for row in reversed(rows):
                row[1] = [at for at in row[1] if high is None or at <= high + ORDER_MS] or row[1]
                high = row[1][-1] if high is None else min(high, row[1][-1])
                self.settled[shard, row[0]] = row[1]

    def readings(self, name, at_ms):
        """What the machine's clock may have shown when that process wrote this."""
        found = {at_ms}
        for begin, until, ahead in self.spans.get(name, ()):
            if begin - APART_MS <= at_ms - ahead <= until + APART_MS:
                found.add(at_ms - ahead)
        return sorted(found)

    def of_row(self, row):
        """The readings of a row of the seats' log: its arbiter wrote it."""
        return self.settled.get((row["shard"], row["seq"])) or [row["at_ms"]]

    def seen_ms(self, name, at_ms=float("inf")):
        """The latest that this process's clock had ever shown, as far as it jumped ahead, when the machine's was so."""
        return max(
            (min(until, at_ms) + ahead for begin, until, ahead in self.spans.get(name, ()) if ahead > 0 and begin <= at_ms),
            default=0,
        )


def ended_early(log, clocks, ttl_ms):
    """I3: holds that ran out sooner than they should have. Where one life of an arbiter decided both: by the clock that
    never jumps, which is the same for both. [(reservation, ms)]"""
    begun, found = {}, []
    for row in log:
        if not row["leader"]:
            continue
        if row["change"] == HOLD:
            begun[row["reservation_id"]] = row
        first = begun.get(row["reservation_id"])
        by_itself = row["change"] == EXPIRE or (row["change"] == CLOSE and row["request_id"] == NO_REQUEST)
        if not by_itself or first is None or first["epoch"] != row["epoch"]:
            continue
        lasted = clocks.of_row(row)[-1] - clocks.of_row(first)[0]
        if lasted + ttl_ms / 500 + 50 < ttl_ms:
            found.append((row["reservation_id"], lasted))
    return found
