"""Doctored evidence of what was seen beside the log: by readers (I14), of processes (I20), of drills (I18, I17).

Each row names the invariant, what is done to a right sale, and words that the auditor has to say of it.
"""

import copy

from story import MS


def hold_of(e, number):
    return next(op for op in e.operations if op["kind"] == "HOLD" and op.get("reservation") == number)


# ---- what readers were shown (I14)


def reads_of(e, kind, shard=None):
    return [read for read in e.reads if read["kind"] == kind and read.get("shard") == shard]


def later(read, like):
    """What had been shown then, shown once more when another reading took place."""
    return dict(copy.deepcopy(read), begin=like["begin"], end=like["end"])


def shown_as_it_was_not(e):
    reads_of(e, "broker", 0)[2]["seats"][0][1] = 5


def shown_and_never_committed(e):
    reads_of(e, "map")[-1]["seats"][0][2] += 1


def shown_before_asked(e):
    first = reads_of(e, "broker", 0)[0]
    first["begin"] = first["end"] = hold_of(e, 101)["begin"] - 1


def owner_forgets(e):
    """The same owner shows what it showed first, long after."""
    first, last = reads_of(e, "broker", 0)[0], reads_of(e, "broker", 0)[-1]
    e.reads.append(dict(later(first, last), r=9))


def behind_its_number(e):
    first, last = reads_of(e, "broker", 0)[0], reads_of(e, "broker", 0)[-1]
    last["seats"] = first["seats"]


def number_of_nothing(e):
    reads_of(e, "broker", 0)[-1]["seq"] += 1


def loaded_before_the_last_commit(e):
    """A new owner that read the shard before the former one's last batch was committed."""
    first, last = reads_of(e, "broker", 0)[0], reads_of(e, "broker", 0)[-1]
    e.reads.append(dict(later(first, last), r=9, epoch=4))


def former_owner(e, quiet):
    """It has not noticed that another has made the last change."""
    read = reads_of(e, "broker", 1)[-1]
    row = max((row for row in e.log if row["shard"] == 1), key=lambda row: row["seq"])
    e.reads = [other for other in e.reads if other is read or other["begin"] < read["begin"]]
    earlier = reads_of(e, "broker", 1)[-2]
    row["epoch"] = read["epoch"] = 4
    e.reads.append(dict(later(earlier, read), r=9, begin=read["begin"] + 20000 * MS, end=read["end"] + 20000 * MS))
    if not quiet:
        e.limits["quiet"] = []


def cut_off_before_it_heard(e):
    """An owner's last batch is committed, its successor tells of it; it never hears so itself, and shows what it knew."""
    read, earlier = reads_of(e, "broker", 1)[-1], reads_of(e, "broker", 1)[-2]
    e.reads = [other for other in e.reads if other is read or other["begin"] < read["begin"]]
    read["epoch"] = 4
    e.reads.append(dict(later(earlier, read), r=9, begin=read["begin"] + 50 * MS, end=read["end"] + 50 * MS))
    e.limits["quiet"] = []


def former_owner_while_nothing_is_broken(e):
    former_owner(e, True)


def former_owner_for_too_long(e):
    former_owner(e, False)


def old_map(e):
    first, last = reads_of(e, "map")[0], reads_of(e, "map")[-1]
    e.reads.append(dict(copy.deepcopy(first), r=9, begin=last["end"] + 3000 * MS, end=last["end"] + 3001 * MS))


def map_that_says_so_and_is_too_old(e):
    last = reads_of(e, "map")[-1]
    e.reads.append(dict(copy.deepcopy(last), begin=last["end"] + 15000 * MS, end=last["end"] + 15001 * MS, age=13))


def map_without_a_seat(e):
    reads_of(e, "map")[-1]["seats"].pop()


def map_goes_back(e):
    reads = reads_of(e, "map")
    reads[-1]["seats"][0] = list(reads[0]["seats"][0])


def snapshot_goes_back(e):
    reads = reads_of(e, "broker", 0)
    reads[-1]["seq"] = reads[0]["seq"]


def two_maps_of_one_version(e):
    first, second = reads_of(e, "map")[-2:]
    second["version"] = first["version"]


def change_left_out(e):
    read = reads_of(e, "since")[3]
    read["seats"].pop()


def stream_without_a_change(e):
    reads_of(e, "stream")[-1]["seats"].pop()


# ---- what processes took (I20)


def samples_of(e, name, phase):
    return [sample for sample in e.samples if sample[2] == name and sample[1] == phase]


def descriptors_left(e):
    for sample in samples_of(e, "gateway", "rest"):
        sample[5] += 17


def threads_left(e):
    for sample in samples_of(e, "persister", "rest"):
        sample[6] += 5


def too_much_memory(e):
    samples_of(e, "gateway", "load")[50][4] = 1 << 20


def gauge_above_its_setting(e):
    samples_of(e, "gateway", "load")[50][7]["ticketlab_gateway_connections"] = 4097


def connections_left(e):
    for sample in samples_of(e, "gateway", "rest"):
        sample[7]["ticketlab_gateway_connections"] = 17


def memory_grows(e):
    for n, sample in enumerate(samples_of(e, "persister", "load")):
        sample[4] += n * 512


def descriptors_grow(e):
    for n, sample in enumerate(samples_of(e, "persister", "load")):
        sample[5] += n


def not_looked_at_at_rest(e):
    e.samples = [sample for sample in e.samples if (sample[2], sample[1]) != ("gateway", "rest")]


# ---- how long it took (I18), and who noticed (I17)


def never_came_back(e):
    e.drills[0] = ("restarted", "broker", None)


def came_back_late(e):
    e.drills[0] = ("restarted", "broker", 15.1)


def most_come_back_late(e):
    e.drills = [(kind, name, seconds * 20) for kind, name, seconds in e.drills]


def projection_came_back_late(e):
    e.drills[-1] = ("projection", "redis", 10.1)


def noticed_slow_clients(e):
    e.operations.append(dict(hold_of(e, 101), n=95, rid="6" * 32, outcome="unknown"))


def nobody_was_served_beside_slow_clients(e):
    e.limits["slow"] = [0, 1]


# ---- what looks wrong, and is not


def refused_and_done_by_its_copy(e):
    """Sent twice: the first copy found the seat taken, the second one did not, and its answer was not waited for."""
    op = hold_of(e, 103)
    op["outcome"], op["code"], op["sends"] = "fail", 30, 2
    for key in ("reservation", "state", "told", "amount", "told_user"):
        del op[key]


def refused_though_it_was_known(e):
    """A copy is under way, but a reader had seen the seat held for this request before it was asked again."""
    op = hold_of(e, 103)
    again = dict(op, n=96, begin=op["begin"] + 1000 * MS, end=op["end"] + 1000 * MS, outcome="fail", code=30)
    for key in ("reservation", "state", "told", "amount", "told_user"):
        del again[key], op[key]
    op["outcome"], op["sends"] = "unknown", 4
    e.operations.append(again)


FINE = [refused_and_done_by_its_copy, cut_off_before_it_heard]

DOCTORED = [
    ("I8", refused_though_it_was_known, "was refused"),
    ("I14", shown_as_it_was_not, "which it was not"),
    ("I14", shown_and_never_committed, "which it was not"),
    ("I14", shown_before_asked, "was not yet asked for"),
    ("I14", owner_forgets, "had told version"),
    ("I14", behind_its_number, "is behind"),
    ("I14", number_of_nothing, "has no change"),
    ("I14", loaded_before_the_last_commit, "does not have what was committed"),
    ("I14", former_owner_while_nothing_is_broken, "s old"),
    ("I14", former_owner_for_too_long, "s old"),
    ("I14", old_map, "Age is 0"),
    ("I14", map_that_says_so_and_is_too_old, "nothing is broken"),
    ("I14", map_without_a_seat, "there are more"),
    ("I14", map_goes_back, "goes back"),
    ("I14", snapshot_goes_back, ": number "),
    ("I14", two_maps_of_one_version, "has been another"),
    ("I14", change_left_out, "the changes do not make"),
    ("I14", stream_without_a_change, "is missing"),
    ("I17", noticed_slow_clients, "beside slow clients"),
    ("I17", nobody_was_served_beside_slow_clients, "beside slow clients"),
    ("I18", never_came_back, "any more"),
    ("I18", came_back_late, "it took"),
    ("I18", most_come_back_late, ": median "),
    ("I18", projection_came_back_late, "it took"),
    ("I20", descriptors_left, "descriptors at rest"),
    ("I20", threads_left, "threads at rest"),
    ("I20", too_much_memory, "MiB"),
    ("I20", gauge_above_its_setting, "its bound is"),
    ("I20", connections_left, "at rest"),
    ("I20", memory_grows, "KiB"),
    ("I20", descriptors_grow, "descriptors, before"),
    ("I20", not_looked_at_at_rest, "was not looked at"),
]
