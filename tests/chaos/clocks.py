"""Times that processes wrote down, where their wall clocks were made to jump.

A time that was written by a clock that jumped can be read in two ways: as it is, and as what the machine's clock showed
then. Which of them holds cannot be known from the time alone (the process may have been started anew since, with the
machine's time), so a time has readings; outside of a jump it has one, and the auditor is as strict as ever.

What stays true whatever the clocks do is judged as it stands: the order of the log, who owns what, what was told, money,
that holds end. By the clock that the engine itself goes by, and no other, are judged: that a pass was good (the clock of
the arbiter that took it), and who is active (admission's clock; a grant that it has once seen end is over).
"""

APART_MS = 100  # a jump is written down a little before it is done


class Clocks:
    """jumps: [(instance, wall ms of the machine, pid, ms ahead from then on)]; epochs: [(shard, epoch, owner)]."""

    def __init__(self, jumps, epochs):
        self.spans = {}  # instance -> [[from, until, ahead]], in the machine's time
        for name, at, _, ahead in sorted(jumps, key=lambda row: row[1]):
            spans = self.spans.setdefault(name, [])
            if spans:
                spans[-1][1] = min(spans[-1][1], at)
            spans.append([at, float("inf"), ahead])
        self.owner = {(shard, epoch): name for shard, epoch, name in epochs}

    def readings(self, name, at_ms):
        """What the machine's clock may have shown when that process wrote this."""
        found = {at_ms}
        for begin, until, ahead in self.spans.get(name, ()):
            if begin - APART_MS <= at_ms - ahead <= until + APART_MS:
                found.add(at_ms - ahead)
        return sorted(found)

    def of_row(self, row):
        """The readings of a row of the seats' log: its arbiter wrote it."""
        return self.readings(self.owner.get((row["shard"], row["epoch"])), row["at_ms"])

    def seen_ms(self, name, at_ms=float("inf")):
        """The latest that this process's clock had ever shown, as far as it jumped ahead, when the machine's was so."""
        return max(
            (min(until, at_ms) + ahead for begin, until, ahead in self.spans.get(name, ()) if ahead > 0 and begin <= at_ms),
            default=0,
        )
