"""Is there an order of one seat's operations that explains what clients saw? A search after Wing, Gong and Lowe.

The seat is a register: nobody's, or one reservation's. From the clients' histories alone come
    begin(r)   the hold was told ok: from nobody's to r's
    seen(r)    an answer told that r is live: the seat is r's
    end(r)     an answer told that r is over: from r's to nobody's; nobody needs to see it (it may have run out)
each with the time in which it must have happened. What ended without an answer may have happened, at any time, or not.
"""

import collections

LIVE = {1, 2, 3, 4}
FOREVER = float("inf")
BUDGET = 400000

Step = collections.namedtuple("Step", "what who begin end must")


def first_answers(operations):
    """(user, request id, kind) -> (first asked, first ok answer or None, that operation, refused last)"""
    found = {}
    for op in sorted(operations, key=lambda op: op["begin"]):
        if op["note"] in ("reuse", "stranger", "forged") or op["kind"] not in (
            "HOLD",
            "PAY",
            "CANCEL",
            "RESERVATION_GET",
        ):
            continue
        key = (op["user"], op["rid"], op["kind"])
        begin, answer, _ = found.get(key, (op["begin"], None, False))
        if answer is None and op["outcome"] == "ok":
            answer = op
        found[key] = (begin, answer, op["outcome"] == "fail")
    return found


def steps_by_seat(operations, v1):
    """seat -> [Step]"""
    held = {}  # reservation -> (begin, end, seats)
    steps = collections.defaultdict(list)
    found = first_answers(operations)
    seats_of = {
        (op["user"], op["rid"]): op["seats"] for op in operations if op["kind"] == "HOLD" and op["note"] != "reuse"
    }
    for (user, rid, kind), (begin, answer, refused) in found.items():
        if kind != "HOLD":
            continue
        if answer is not None:
            held[answer["reservation"]] = (begin, answer["end"], answer["told"])
        elif not refused:
            for seat in seats_of[(user, rid)]:
                steps[seat] += maybe(rid, begin)
    over = observe(found, operations, held, steps)
    for number, (begin, end, seats) in held.items():
        for seat in seats:
            steps[seat].append(Step("begin", number, begin, end, True))
            steps[seat].append(Step("end", number, begin, over.get(number, FOREVER), number in over))
    for count, op in enumerate(v1):
        if op["kind"] == "reserve":
            steps[op["seat"]] += of_v1(f"v1-{count}", op)
    return steps


def maybe(who, begin):
    return [Step("begin", who, begin, FOREVER, False), Step("end", who, begin, FOREVER, False)]


def observe(found, operations, held, steps):
    """What answers say of a reservation later: the time by which it was over."""
    over = {}
    for (_, _, kind), (begin, answer, _) in found.items():
        if kind == "HOLD" or answer is None or answer["reservation"] not in held:
            continue
        number = answer["reservation"]
        if answer["state"] in LIVE:
            for seat in held[number][2]:
                steps[seat].append(Step("seen", number, begin, answer["end"], True))
        else:
            over[number] = min(over.get(number, FOREVER), answer["end"])
    for op in operations:
        if op["code"] == 34 and op.get("of") in held and op["note"] != "stranger":
            over[op["of"]] = min(over.get(op["of"], FOREVER), op["end"])
    return over


def of_v1(who, op):
    text = op["text"] or ""
    if '"message":"SUCCESS' in text:
        return [
            Step("begin", who, op["begin"], op["end"], True),
            Step("seen", who, op["begin"], op["end"], True),
            Step("end", who, op["begin"], FOREVER, False),
        ]
    if op["outcome"] != "unknown" and ("진행 중" in text or "판매가 완료" in text or "queue/enter" in text):
        return []
    return maybe(who, op["begin"])


def choices(steps, done, owner, first):
    """What may come next: nothing that must have ended before it began is left out. Those that must come go first."""
    bound, candidates = FOREVER, []
    for index in range(first, len(steps)):
        if done >> index & 1:
            continue
        step = steps[index]
        if step.begin > bound:
            break
        if step.must and step.end < bound:
            bound = step.end
        candidates.append(index)
    fitting = []
    for index in candidates:
        step = steps[index]
        if step.begin > bound:
            continue
        if (step.what == "begin" and owner is None) or (step.what != "begin" and owner == step.who):
            fitting.append(index)
    fitting.sort(key=lambda index: (not steps[index].must, steps[index].end, steps[index].begin))
    return fitting


def explained(steps, budget=BUDGET):
    """True: there is an order. False: there is none. None: the search was given up."""
    steps = sorted(steps, key=lambda step: (step.begin, step.end))
    must = sum(1 << index for index, step in enumerate(steps) if step.must)
    seen = set()
    stack = [(0, None, 0)]
    while stack:
        done, owner, first = stack.pop()
        if done & must == must:
            return True
        while done >> first & 1:
            first += 1
        if (done, owner) in seen:
            continue
        seen.add((done, owner))
        if len(seen) > budget:
            return None
        for index in reversed(choices(steps, done, owner, first)):
            step = steps[index]
            after = {"begin": step.who, "seen": owner, "end": None}[step.what]
            stack.append((done | 1 << index, after, first))
    return False


def hottest(operations, v1, count):
    """[(seat, verdict, steps)] of the seats that most happened to."""
    steps = steps_by_seat(operations, v1)
    hot = sorted(steps, key=lambda seat: -len(steps[seat]))[:count]
    return [(seat, explained(steps[seat]), len(steps[seat])) for seat in hot]
