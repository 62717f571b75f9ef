#!/usr/bin/python3
"""Does the auditor see? A small, right sale, which it must find in order; then the same sale doctored, each time in
one place, which it must refuse, by the invariant that was broken. Also: every failpoint that is declared is in the
code, and the other way round. The last line counts: `N passed, N failed`.
"""

import copy
import pathlib
import re
import subprocess
import sys

import auditor
import doctored_seen
import linearize
from auditor import CANCEL, CAPTURED, CONFIRM, EXPIRE, HOLD, PAY
from story import MS, PRICE, sale

ROOT = pathlib.Path(__file__).resolve().parents[2]


# ---- doctored


def row_of(evidence, change, number):
    return next(row for row in evidence.log if row["change"] == change and row["reservation_id"] == number)


def op_of(evidence, kind, number):
    return next(op for op in evidence.operations if op["kind"] == kind and op.get("reservation") == number)


def two_claims(e):
    e.tables["claims"].append(dict(e.tables["claims"][0], reservation_id=999))


def sold_twice(e):
    sold = row_of(e, CONFIRM, 104)
    extra = dict(
        sold,
        change=HOLD,
        seq=sold["seq"] + 1,
        state=1,
        reservation_state=1,
        reservation_id=777,
        version=sold["version"] + 1,
    )
    index = e.log.index(sold)
    for row in e.log:
        if row["shard"] == sold["shard"] and row["seq"] > sold["seq"]:
            row["seq"] += 1
    e.log.insert(index + 1, extra)


def success_not_in_log(e):
    e.operations.append(dict(op_of(e, "HOLD", 102), n=90, rid="9" * 32, reservation=888))


def told_sold_but_failed(e):
    op_of(e, "PAY", 105)["state"] = auditor.R_CONFIRMED


def hold_never_ends(e):
    last = row_of(e, EXPIRE, 103)
    e.log = [row for row in e.log if not (row["reservation_id"] == 103 and row["change"] == EXPIRE)]
    assert last


def hold_ends_early(e):
    e.limits["hold_ttl_ms"] = 4000


def paid_and_nothing(e):
    next(entry for entry in e.ledger if entry["id"] == "105")["state"] = "CAPTURED"


def sold_and_not_paid(e):
    next(entry for entry in e.ledger if entry["id"] == "104")["state"] = "AUTHORISED"


def call_without_intent(e):
    e.ledger.append(dict(id="102", state="CANCELLED", amount=PRICE))


def wrong_amount(e):
    next(entry for entry in e.ledger if entry["id"] == "104")["amount"] = PRICE + 1


def row_missing(e):
    e.log.remove(row_of(e, PAY, 104))


def event_lost(e):
    e.events.pop(3)


def event_of_nothing(e):
    partition, offset, key, event = copy.deepcopy(e.events[-1])
    e.events.append((partition, offset + 1, key, dict(event, seq=99)))


def events_out_of_order(e):
    places = [index for index, event in enumerate(e.events) if event[2] == "1"]
    e.events[places[0]], e.events[places[1]] = e.events[places[1]], e.events[places[0]]


def pushed_in(e):
    e.grants[1]["number"], e.grants[2]["number"] = e.grants[2]["number"], e.grants[1]["number"]


def served_twice(e):
    first = e.grants[0]
    e.grants.append(dict(first, seq=len(e.grants) + 1, grant_id=77, at_ms=first["at_ms"] + 100))


def too_many_active(e):
    e.limits["active_max"] = 4


def two_answers(e):
    e.operations.append(dict(op_of(e, "HOLD", 104), n=91, user=11, rid=op_of(e, "HOLD", 101)["rid"], told_user=11))


def two_effects(e):
    row_of(e, HOLD, 104)["request_id"] = row_of(e, HOLD, 101)["request_id"]
    for row in e.log:
        if row["reservation_id"] == 104:
            row["user_id"] = 11


def refused_but_done(e):
    op = op_of(e, "HOLD", 103)
    op["outcome"], op["code"] = "fail", 30
    for key in ("reservation", "state", "told", "amount", "told_user"):
        del op[key]


def other_words_taken(e):
    first = op_of(e, "HOLD", 101)
    e.operations.append(dict(first, n=92, begin=first["end"] + 1, end=first["end"] + 2, note="reuse", seats=[3]))


def redis_shows_nothing(e):
    del e.redis["state:seat:1"]


def redis_shows_the_dead(e):
    e.redis["state:seat:5"] = ("SELECTED", 500)


def redis_forgets_who_is_active(e):
    del e.active[12]


def redis_shows_who_is_not_active(e):
    e.active[99] = 1060000


def undone_in_silence(e):
    seat = e.tables["seats"][0]
    seat["state"], seat["reservation_id"] = 0, 0


def epoch_falls(e):
    e.log[-1]["epoch"] = 2


def two_owners(e):
    e.epochs.append((0, 3, "b"))


def order_against_time(e):
    op = op_of(e, "HOLD", 101)
    op["begin"], op["end"] = op["begin"] + 500 * MS, op["end"] + 500 * MS


def refused_without_reason(e):
    e.operations.append(
        dict(
            n=93,
            user=12,
            kind="HOLD",
            rid="8" * 32,
            note="",
            begin=9000000 * MS,
            end=9000001 * MS,
            outcome="fail",
            code=31,
            sends=1,
            seats=[3],
        )
    )


def stale_answer(e):
    """Told that the seat is still 101's, long after it is 104's: no order explains that."""
    told = op_of(e, "RESERVATION_GET", 101)
    late = op_of(e, "RESERVATION_GET", 104)
    e.operations.append(dict(told, n=94, rid="7" * 32, begin=late["begin"], end=late["end"]))


def illegal_move(e):
    row_of(e, CONFIRM, 104)["state"] = 2


def version_skipped(e):
    row_of(e, CONFIRM, 104)["version"] += 1


def seats_do_not_add_up(e):
    e.tables["claims"].pop()


def confirmed_twice(e):
    row = row_of(e, CAPTURED, 104)
    last = [other for other in e.log if other["shard"] == row["shard"]][-1]
    e.log.append(dict(row, seq=last["seq"] + 1))
    e.log.sort(key=lambda other: (other["shard"], other["seq"]))


def no_answer(e):
    e.limits["unanswered"] = 1


def sold_to_who_was_told_failed(e):
    e.v1.append(
        dict(
            user=14,
            kind="reserve",
            seat=1,
            begin=0,
            end=1,
            outcome="fail",
            status=409,
            text='{"success":false,"message":"FAIL: 결제가 실패하여 좌석 선점이 취소되었습니다.","rank":null}',
        )
    )


def anothers_hand(e):
    row_of(e, CANCEL, 102)["user_id"] = 13


def not_admitted(e):
    e.grants = [row for row in e.grants if row["user_id"] != 14]
    for seq, row in enumerate(e.grants, 1):
        row["seq"] = seq


def forged_pass_taken(e):
    op_of(e, "HOLD", 102)["note"] = "forged"


def conflict(e):
    e.conflicts = 1


DOCTORED = [
    ("I1", two_claims),
    ("I1", sold_twice),
    ("I2", success_not_in_log),
    ("I2", told_sold_but_failed),
    ("I3", hold_never_ends),
    ("I3", hold_ends_early),
    ("I4", paid_and_nothing),
    ("I4", sold_and_not_paid),
    ("I4", call_without_intent),
    ("I4", wrong_amount),
    ("I5", row_missing),
    ("I5", event_lost),
    ("I5", event_of_nothing),
    ("I5", events_out_of_order),
    ("I6", pushed_in),
    ("I6", served_twice),
    ("I7", too_many_active),
    ("I8", two_answers),
    ("I8", two_effects),
    ("I8", refused_but_done),
    ("I8", other_words_taken),
    ("I9", redis_shows_nothing),
    ("I9", redis_shows_the_dead),
    ("I9", redis_forgets_who_is_active),
    ("I9", redis_shows_who_is_not_active),
    ("I10", undone_in_silence),
    ("I11", epoch_falls),
    ("I11", two_owners),
    ("I12", order_against_time),
    ("I12", refused_without_reason),
    ("I12", stale_answer),
    ("I13", illegal_move),
    ("I13", version_skipped),
    ("I15", seats_do_not_add_up),
    ("I16", confirmed_twice),
    ("I17", no_answer),
    ("I17", sold_to_who_was_told_failed),
    ("I19", anothers_hand),
    ("I19", not_admitted),
    ("I19", forged_pass_taken),
    ("I21", conflict),
]


# ---- clocks that jumped


def arbiters_jumped(e):
    """Both shards' arbiter was 40 s behind from the first row to the last."""
    e.limits["jumps"] = [("a", e.log[0]["at_ms"] - 1, 1, -40000), ("a", e.limits["read_at_ms"], 1, 0)]
    for row in e.log:
        row["at_ms"] -= 40000


def admission_jumped(e):
    """All were admitted by a clock that was 40 s ahead; by the machine's they are still active."""
    e.limits["jumps"] = [("admission", e.grants[0]["at_ms"] - 1, 1, 40000), ("admission", e.limits["read_at_ms"], 1, 0)]
    for row in e.grants:
        row["at_ms"], row["expires_at_ms"] = row["at_ms"] + 40000, row["expires_at_ms"] + 40000
    e.active = {user: until + 40000 for user, until in e.active.items()}


def held_long_before(e):
    """Admitted after the hold, by more than any clock was wrong."""
    arbiters_jumped(e)
    for row in e.grants:
        if row["user_id"] == 14:
            row["at_ms"] += 100000


def ended_by_a_jump(e):
    """The clock was ahead for a moment, and a hold ended in it; what follows in the log says that it was early."""
    rows = [row for row in e.log if row["reservation_id"] == 103 and row["change"] == EXPIRE]
    at = rows[0]["at_ms"]
    e.limits.update(hold_ttl_ms=4000, jumps=[("a", at - 1, 1, 40000), ("a", at + 1, 1, 0)])
    for row in rows:
        row["at_ms"] += 40000


CLOCKS = [
    ("an arbiter's clock was behind", set(), [arbiters_jumped]),
    ("admission's clock was ahead", set(), [admission_jumped]),
    ("behind, and nobody said so", {"I19"}, [arbiters_jumped, lambda e: e.limits.pop("jumps")]),
    ("behind, and held before being admitted all the same", {"I19"}, [held_long_before]),
    ("ahead for a moment, and a hold ended by that", {"I3"}, [ended_by_a_jump]),
    ("ahead, and more active than may be", {"I7"}, [admission_jumped, too_many_active]),
]


# ---- the search by itself


def step(what, who, begin, end, must=True):
    return linearize.Step(what, who, begin, end, must)


SEARCHES = [
    ("one after the other", True, [step("begin", "a", 0, 1), step("end", "a", 2, 3), step("begin", "b", 4, 5)]),
    ("two at once, never given back", False, [step("begin", "a", 0, 1), step("begin", "b", 2, 3)]),
    (
        "it may have run out between",
        True,
        [step("begin", "a", 0, 1), step("end", "a", 0, 99, False), step("begin", "b", 2, 3)],
    ),
    (
        "seen after another began",
        False,
        [step("begin", "a", 0, 1), step("end", "a", 0, 99, False), step("begin", "b", 2, 3), step("seen", "a", 4, 5)],
    ),
    (
        "overlapping, in one order only",
        True,
        [step("begin", "a", 0, 10), step("end", "a", 0, 10), step("begin", "b", 0, 10), step("seen", "b", 11, 12)],
    ),
    (
        "without an answer, and it happened",
        False,
        [step("begin", "a", 0, 1), step("end", "a", 2, 3), step("begin", "x", 2, 9, False), step("seen", "a", 4, 5)],
    ),
]


# ---- failpoints


def declared():
    table = (ROOT / "actors/runtime/failpoints.def").read_text()
    return set(re.findall(r'^(?:POINT|LOSS|CLOCK)\([^,]+, "([^"]+)"', table, re.M))


def in_the_code():
    """Points that the code passes; those of messages and pipes are made of a verb and a name."""
    files = subprocess.run(
        ["git", "ls-files", "actors", "broker", "tools"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = set()
    for name in files.stdout.split():
        if name.endswith(".c") and not name.endswith("failpoint.c"):
            text = (ROOT / name).read_text()
            found |= set(re.findall(r'FAILPOINT(?:_LOSES)?\("([^"]+)"\)', text))
            found |= set(re.findall(r'\{"(lane\.[a-z]+)",', text))
            found |= {"clock.wall"} if "FAILPOINT_WALL_AHEAD_MS()" in text else set()
    return found


def made(point):
    messages = set(re.findall(r"^MESSAGE\(0x\w+, (\w+),", (ROOT / "schemas/messages.def").read_text(), re.M))
    verb, _, name = point.partition(" ")
    return (verb in ("send", "take") and name in messages) or point.startswith("pipe.") or point == "start"


def run(quiet=False):
    """(passed, failed); quiet: only what failed is shown."""
    passed = failed = 0

    def report(name, good, why=""):
        nonlocal passed, failed
        passed, failed = passed + bool(good), failed + (not good)
        if not good or not quiet:
            print(f"{'ok     ' if good else 'FAILED '} {name}" + (f": {why}" if why and not good else ""))

    findings = dict(auditor.Auditor(sale()).judge())
    report("a right sale is found in order", not findings, findings)
    for doctor in doctored_seen.FINE:
        evidence = copy.deepcopy(sale())
        doctor(evidence)
        findings = dict(auditor.Auditor(evidence).judge())
        report(f"in order: {doctor.__name__.replace('_', ' ')}", not findings, findings)
    for invariant, doctor, *words in DOCTORED + doctored_seen.DOCTORED:
        evidence = copy.deepcopy(sale())
        doctor(evidence)
        findings = auditor.Auditor(evidence).judge()
        sentences = [text for text in findings.get(invariant, []) if all(word in text for word in words)]
        report(f"{invariant:4} {doctor.__name__.replace('_', ' ')}", sentences, dict(findings))
    for name, expected, doctors in CLOCKS:
        evidence = copy.deepcopy(sale())
        for doctor in doctors:
            doctor(evidence)
        findings = auditor.Auditor(evidence).judge()
        report(f"clocks: {name}", set(findings) == expected, dict(findings))
    for name, expected, steps in SEARCHES:
        report(f"search: {name}", linearize.explained(steps) is expected)
    points, code = declared(), in_the_code()
    report(f"at least 40 failpoints are declared ({len(points)})", len(points) >= 40)
    report("every failpoint of the code is declared", code <= points, code - points)
    left = {point for point in points - code if not made(point)}
    report("every failpoint that is declared is in the code", not left, left)
    return passed, failed


def main():
    passed, failed = run()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
