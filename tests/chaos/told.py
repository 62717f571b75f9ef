"""What clients did and were told, against the log: the part of the auditor that reads histories."""

import collections

import linearize

HOLD, PAY, CANCEL = 1, 2, 3  # changes
R_CONFIRMED = 4
NO_REQUEST = "00" * 16
LATE_MS = 30000  # how long the end of a pass may go unheard while links are cut and processes stand still
STALE_MS = 25000  # a refusal was true at most so long before or after


class Told:
    """Of an Auditor: its evidence, findings and figures; reservation, by_request and granted as the logs have them."""

    # ---- what clients were told: I2, I8, I19

    def check_told(self):
        """Every success that a client was told is in the log."""
        for op in self.evidence.operations:
            if op["outcome"] != "ok" or "reservation" not in op:
                continue
            entry = self.reservation.get(op["reservation"])
            what = f"operation {op['n']} ({op['kind']} of user {op['user']})"
            if entry is None:
                self.finding("I2", f"{what} was told reservation {op['reservation']}, which is not in the log")
                continue
            if op["state"] not in entry["states"]:
                self.finding(
                    "I2", f"{what} was told state {op['state']}, which reservation {op['reservation']} never had"
                )
            if entry["user"] != op["user"]:
                self.finding("I19", f"{what} was told user {entry['user']}'s reservation")
            if sorted(entry["seats"]) != sorted(op["told"]) or entry["amount"] != op["amount"]:
                self.finding(
                    "I2",
                    f"{what} was told seats {op['told']} for {op['amount']},"
                    f" the log has {entry['seats']} for {entry['amount']}",
                )

    def check_idempotency(self):
        by_key = collections.defaultdict(list)
        for op in sorted(self.evidence.operations, key=lambda op: op["begin"]):
            by_key[(op["user"], op["rid"])].append(op)
        for key, ops in by_key.items():
            told = {
                (op["reservation"], tuple(op["told"])) for op in ops if op["kind"] == "HOLD" and op["outcome"] == "ok"
            }
            if len(told) > 1:
                self.finding("I8", f"user {key[0]}: one request id, two answers: {sorted(told)}")
            self.check_reuse(ops)
            ops = [op for op in ops if op["note"] != "reuse"]
            last = ops[-1]
            refused = last["kind"] in ("HOLD", "PAY", "CANCEL") and last["outcome"] == "fail"
            if refused and key in self.by_request and self.is_the_answer_of_then(last, ops, self.by_request[key][0]):
                self.finding(
                    "I8",
                    f"operation {last['n']} ({last['kind']} of user {key[0]}) was refused with {last['code']}, "
                    "and has an effect in the log",
                )
        for key, rows in self.by_request.items():
            if len(rows) > 1:
                self.finding(
                    "I8",
                    f"user {key[0]}: one request id, effects in rows {[(row['shard'], row['seq']) for row in rows]}",
                )

    def is_the_answer_of_then(self, last, ops, row):
        """The refusal was said when the effect was there. A copy that was refused is not remembered, and one that comes
        behind it is judged anew: it may find the seat free by then. So either there was no other copy, or somebody
        had been told of the effect before this was asked."""
        answered = sum(op["outcome"] != "unknown" for op in ops)
        others = sum(op["sends"] for op in ops) > answered
        return not others or self.when_told(row["seat_id"], row["version"]) < last["begin"]

    def check_reuse(self, ops):
        """Other words under the same id are refused. An answer to an earlier copy of the first words looks the same to
        a client: only where there was no such copy it is a finding."""
        for number, op in enumerate(ops):
            copies = sum(other["sends"] for other in ops[:number]) - number
            if op["note"] == "reuse" and op["outcome"] == "ok" and copies == 0:
                self.finding(
                    "I8", f"operation {op['n']}: other seats under the same request id were answered with success"
                )

    def check_rights(self):
        for op in self.evidence.operations:
            if op["note"] in ("stranger", "forged") and op["outcome"] == "ok":
                self.finding("I19", f"operation {op['n']}: a {op['note']} {op['kind']} was carried out")
        for row in self.evidence.log:
            if row["change"] != HOLD or not row["leader"]:
                continue
            grants = self.granted.get(row["user_id"], [])
            if not any(self.was_admitted(row, *grant) for grant in grants):
                self.finding("I19", f"{self.where(row)}: user {row['user_id']} holds without being admitted")

    def was_admitted(self, row, begin, until, ended):
        """The pass was good by the arbiter's own clock; the rest is compared in the machine's time."""
        return row["at_ms"] <= until + 50 and any(
            self.admission_times(begin)[0] - 2000 <= at
            and (ended is None or at <= self.admission_times(ended)[-1] + LATE_MS)
            for at in self.clocks.of_row(row)
        )

    # ---- v1: I2, I17

    def check_v1(self):
        sold = collections.defaultdict(list)
        for number, entry in self.reservation.items():
            if R_CONFIRMED in entry["states"]:
                for seat in entry["seats"]:
                    sold[(entry["user"], seat)].append(number)
        for op in self.evidence.v1:
            if op["kind"] != "reserve" or op["text"] is None:
                continue
            told_sold = '"message":"SUCCESS' in op["text"]
            is_sold = bool(sold.get((op["user"], op["seat"])))
            if told_sold and not is_sold:
                self.finding("I2", f"v1 user {op['user']} was told SUCCESS for seat {op['seat']}, the log has no sale")
            if (
                "결제가 실패" in op["text"]
                and is_sold
                and not any(
                    other["user"] == op["user"] and other["seat"] == op["seat"] and other is not op
                    for other in self.evidence.v1
                    if other["kind"] == "reserve"
                )
            ):
                self.finding(
                    "I17", f"v1 user {op['user']} was told that the payment failed, seat {op['seat']} was sold to it"
                )

    # ---- order: I12

    def effective(self):
        """shard -> [(seq, first asked, first answered ok)] of requests that have an effect."""
        times = {}
        for op in self.evidence.operations:
            if op["kind"] not in ("HOLD", "PAY", "CANCEL"):
                continue
            key = (op["user"], op["rid"])
            begin, end = times.get(key, (op["begin"], None))
            if op["outcome"] == "ok":
                end = op["end"] if end is None else min(end, op["end"])
            times[key] = (min(begin, op["begin"]), end)
        rows = collections.defaultdict(list)
        for key, found in self.by_request.items():
            if key in times:
                rows[found[0]["shard"]].append((found[0]["seq"], *times[key]))
        return rows

    def check_order(self):
        """Linearizable by certificate: the log is an order, and no request stands in it before one that had been
        answered before it was asked."""
        for shard, rows in self.effective().items():
            first_answer = None
            for seq, begin, end in sorted(rows, reverse=True):
                if first_answer is not None and first_answer[0] < begin:
                    self.finding(
                        "I12", f"shard {shard}: row {seq} was asked for after row {first_answer[1]} had been answered"
                    )
                if end is not None and (first_answer is None or end < first_answer[0]):
                    first_answer = (end, seq)
            self.figures["ordered requests"] += len(rows)

    def check_refusals(self):
        """Who was told that a seat is taken: it was, about then."""
        offset = self.evidence.limits["wall_minus_monotonic_ms"]
        taken = collections.defaultdict(list)
        for entry in self.reservation.values():
            for seat in entry["seats"]:
                taken[seat].append((entry["at"], entry["end"] or float("inf")))
        for op in self.evidence.operations:
            if op["kind"] != "HOLD" or op["code"] not in (30, 31):
                continue
            begin, end = op["begin"] / 1e6 + offset - STALE_MS, op["end"] / 1e6 + offset + STALE_MS
            if not any(start <= end and stop >= begin for seat in op["seats"] for start, stop in taken[seat]):
                self.finding("I12", f"operation {op['n']}: seats {op['seats']} were refused as taken, and none was")
            self.figures["refusals"] += 1

    def check_hot_seats(self):
        """The same by search, from what clients saw alone: the log is not looked at."""
        for seat, verdict, size in linearize.hottest(self.evidence.operations, self.evidence.v1, 12):
            if verdict is False:
                self.finding("I12", f"seat {seat}: no order of its {size} operations explains what clients saw")
            if verdict is None:
                self.figures["searches given up"] += 1
            self.figures["operations searched"] += size

    # ---- I17

    def check_answers(self):
        for op in self.evidence.operations:
            if op["outcome"] not in ("ok", "fail", "unknown"):
                self.finding("I17", f"operation {op['n']} has no outcome")
        if self.evidence.limits["unanswered"]:
            self.finding(
                "I17", f"{self.evidence.limits['unanswered']} requests were never answered, though all is healed"
            )
        self.check_slow()

    def check_slow(self):
        """While clients of bad manners were there, and nothing was broken, the others were answered as ever. Payments
        take as long as the payment gateway does."""
        begin, end = self.evidence.limits["slow"]
        during = [op for op in self.evidence.operations if begin <= op["begin"] <= end and op["kind"] != "PAY"]
        for op in during:
            took = (op["end"] - op["begin"]) / 1e9
            if op["outcome"] == "unknown":
                what = f"operation {op['n']} ({op['kind']})"
                self.finding("I17", f"{what} had no answer in {took:.1f} s beside slow clients")
        if not any(op["outcome"] == "ok" for op in during):
            self.finding("I17", "nothing succeeded beside slow clients")
        times = sorted((op["end"] - op["begin"]) / 1e6 for op in during)
        self.figures["beside slow clients p99 ms at most"] = round(times[len(times) * 99 // 100]) if times else 0
