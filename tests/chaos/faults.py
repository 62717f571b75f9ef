"""The faults: each a function that does harm now and says what will heal it, and when.

`world` is the run: its engine, its chance, `world.later(seconds, heal)` for what must be undone, `world.note()`. A
fault returns the sentence that is shown; None: it is not possible here and now.
"""

import contextlib
import os
import shutil
import signal
import time

import pymysql
import redis

import hosts
import manners

ACTORS = [
    "broker",
    "admission",
    "seat-arbiter-1",
    "seat-arbiter-2",
    "payment-timer",
    "persister",
    "kafka-bridge",
    "notifier",
    "gateway",
    "psp-sim",
]
STOPPABLE = [name for name in ACTORS if name != "psp-sim"]
ROLES = {name: name.rstrip("12").rstrip("-") if name.startswith("seat") else name for name in ACTORS}


def kill(world, name):
    """kill -9, and what the recovery figures need to know."""
    pid = world.engine.pid(name)
    shards = world.engine.shards_of(name) if name.startswith("seat-arbiter") else []
    if name == "persister":
        world.engine.note_conflicts()
    if not world.engine.signal(pid, signal.SIGKILL):
        return None
    world.killed(name, shards)
    return f"kill -9 {name} (pid {pid})"


def stop_for(world, name, seconds):
    pid = world.engine.pid(name)
    shards = world.engine.shards_of(name) if name.startswith("seat-arbiter") else []
    if not world.engine.signal(pid, signal.SIGSTOP):
        return None
    if shards:
        world.failed_over(name, shards)
    world.later(seconds, lambda: world.engine.signal(pid, signal.SIGCONT))
    return f"SIGSTOP {name} for {seconds:.1f} s"


# ---- processes


def kill_actor(world):
    return kill(world, world.chance.choice(ACTORS))


def kill_pair(world):
    """Two at once."""
    one, two = world.chance.sample(ACTORS, 2)
    first = kill(world, one)
    second = kill(world, two)
    return f"{first}; {second}" if first and second else first or second


def restart_loop(world):
    """The same process again and again, sooner than it can do much."""
    name = world.chance.choice(ACTORS)
    for turn in range(1, 4):
        world.later(0.4 * turn, lambda: kill(world, name))
    said = kill(world, name)
    return said and f"{said}, and three times more, 0.4 s apart"


def crash_at_point(world):
    """kill -9 of itself where the process comes past a failpoint."""
    name, point = world.next_point()
    delay = world.chance.choice(["", "", " 2"])
    hit = world.chance.choice([1, 1, 2, 5, 20])
    world.engine.arm(name, f"{point} crash{delay} hit={hit}")
    if point in ("drain", "drained"):
        world.later(0.2, lambda: world.engine.signal(world.engine.pid(name), signal.SIGTERM))
    elif point in (
        "start",
        "run",
        "bridge.open",
        "redis.restore",
        "lane.claim",
        "lane.raised",
        "lane.rows",
        "send CLAIM",
        "take CLAIMED",
        "send PASS_SYNC",
    ):
        world.later(0.2, lambda: wake_the_start(world, name))
    world.later(12, lambda: world.engine.disarm(name))
    return f"{name} crashes at '{point}'{' a little later' if delay else ''}, pass {hit}"


def wake_the_start(world, name):
    """Points of the start are passed when something starts: the process itself, or who claims its shards."""
    kill(world, "seat-arbiter-1" if name == "persister" else name)


def pause_at_point(world):
    name, point = world.next_point()
    ms = world.chance.choice([200, 1500, 4000])
    world.engine.arm(name, f"{point} pause {ms}")
    world.later(10, lambda: world.engine.disarm(name))
    return f"{name} pauses for {ms} ms at '{point}'"


def stop_actor(world):
    """Longer than a lease, longer than a peer's patience."""
    return stop_for(world, world.chance.choice(STOPPABLE), world.chance.uniform(4, 7))


def stop_arbiter(world):
    return stop_for(world, world.chance.choice(["seat-arbiter-1", "seat-arbiter-2"]), world.chance.uniform(6, 9))


def stop_in_transaction(world):
    """The persister stands still while its connection holds a shard's row."""
    point = world.chance.choice(["lane.fenced", "lane.applied"])
    seconds = world.chance.uniform(3, 6)
    world.engine.arm("persister", f"{point} stop")
    pid = world.engine.pid("persister")
    world.continue_when_stopped(pid, seconds)
    return f"persister stops inside a transaction at '{point}' for {seconds:.1f} s"


def lose_link(world):
    """One direction of one pair: frames vanish, nobody is told."""
    name, points = world.chance.choice(
        [
            (
                "seat-arbiter-1",
                ["pipe.in.actors", "pipe.out.actors", "pipe.in.feed", "pipe.in.store", "pipe.out.store"],
            ),
            (
                "seat-arbiter-2",
                ["pipe.in.actors", "pipe.out.actors", "pipe.in.feed", "pipe.in.store", "pipe.out.store"],
            ),
            ("admission", ["pipe.in.actors", "pipe.out.actors", "pipe.in.store", "pipe.out.store"]),
            ("payment-timer", ["pipe.in.actors", "pipe.out.actors"]),
            ("gateway", ["pipe.in.actors", "pipe.out.actors", "pipe.in.feed"]),
            ("persister", ["pipe.in.store", "pipe.out.store"]),
            ("broker", ["pipe.out.actors", "pipe.in.actors", "pipe.out.feed"]),
        ]
    )
    point = world.chance.choice(points)
    ms = world.chance.choice([800, 2500, 5000])
    world.engine.arm(name, f"{world.engine.pipe(point)} lose {ms}")
    world.later(10, lambda: world.engine.disarm(name))
    return f"{name}: {point} loses everything for {ms} ms"


# ---- Redis


def redis_do(world, sentence, *command):
    try:
        world.engine.redis().execute_command(*command)
        return sentence
    except (redis.RedisError, OSError):
        return None


def redis_kill(world):
    return kill(world, "redis")


def redis_stop(world):
    return stop_for(world, "redis", world.chance.uniform(3, 6))


def redis_wipe(world):
    said = redis_do(world, "Redis wiped: FLUSHALL", "FLUSHALL")
    if said:
        world.wiped()
    return said


def redis_no_memory(world):
    world.later(world.chance.uniform(2, 4), lambda: redis_do(world, "", "CONFIG", "SET", "maxmemory", "0"))
    return redis_do(world, "Redis takes no writes: maxmemory 1", "CONFIG", "SET", "maxmemory", "1")


def redis_scripts(world):
    return redis_do(world, "Redis forgets its scripts: SCRIPT FLUSH", "SCRIPT", "FLUSH")


def stopped_redis(world):
    pid = world.engine.pid("redis")
    return pid if world.engine.signal(pid, signal.SIGSTOP) else None


def redis_cut(world):
    """The tail of the append-only file is gone, as after a power cut; kill -9 alone loses nothing."""
    pid = stopped_redis(world)
    files = sorted((world.engine.directory / "redis" / "appendonlydir").glob("*.incr.aof"))
    if pid is None or not files:
        return None
    size = files[-1].stat().st_size
    cut = min(size, world.chance.choice([37, 2000, 100000]))
    os.truncate(files[-1], size - cut)
    world.engine.signal(pid, signal.SIGKILL)
    world.killed("redis", [])
    world.wiped()
    return f"Redis killed, and {cut} bytes of its append-only file cut off"


def redis_old(world):
    """Redis comes back as it was some time ago."""
    saved = world.engine.directory / "redis.saved"
    now = world.engine.directory / "redis" / "appendonlydir"
    pid = stopped_redis(world)
    if pid is None:
        return None
    if not saved.exists():
        shutil.copytree(now, saved)
        world.engine.signal(pid, signal.SIGCONT)
        world.later(5, lambda: world.do_now(redis_old))
        return "Redis: its file is put aside, to come back later"
    shutil.rmtree(now)
    shutil.move(saved, now)
    world.engine.signal(pid, signal.SIGKILL)
    world.killed("redis", [])
    world.wiped()
    return "Redis killed, and an old append-only file restored"


# ---- MariaDB


def mysql_do(world, *statements):
    try:
        connection = world.engine.mysql(root=True)
    except (pymysql.Error, OSError):
        return None
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()
    except pymysql.Error:
        return None
    finally:
        connection.close()


def mysql_kill(world):
    return kill(world, "mysql")


def mysql_stop(world):
    return stop_for(world, "mysql", world.chance.uniform(2, 5))


def mysql_read_only(world):
    seconds = world.chance.uniform(2, 5)
    if mysql_do(world, "SET GLOBAL read_only=1") is None:
        return None
    world.until_done(seconds, lambda: mysql_do(world, "SET GLOBAL read_only=0") is not None)
    return f"MariaDB read-only for {seconds:.1f} s"


def mysql_connections(world):
    """Every connection of the engine is ended by the server."""
    rows = mysql_do(world, "SELECT id FROM information_schema.processlist WHERE user='ticketlab'")
    if not rows:
        return None
    for (number,) in rows:
        mysql_do(world, f"KILL {number}")
    return f"MariaDB ends {len(rows)} connections"


def mysql_lock(world):
    """A stranger holds a shard's row for longer than anybody waits for a lock."""
    shard = world.chance.randrange(int(world.engine.settings.get("cluster.shards", 8)))
    try:
        connection = world.engine.mysql(root=True)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout=1")
            cursor.execute("BEGIN")
            cursor.execute("SELECT epoch FROM ticket_db.shard_owner WHERE shard=%s FOR UPDATE", (shard,))
    except (pymysql.Error, OSError):
        return None
    seconds = world.chance.uniform(2, 5)
    world.later(seconds, connection.close)
    return f"a stranger locks the row of shard {shard} for {seconds:.1f} s"


def mysql_lost(world):
    """The persister's connection breaks before the server has the question, or when it has done it."""
    name = world.chance.choice(["persister", "persister", "persister", "kafka-bridge"])
    point = world.chance.choice(["mysql.question", "mysql.answer", "mysql.answer"])
    hit, ms = world.chance.randint(1, 9), world.chance.choice([1, 1, 400])
    world.engine.arm(name, f"{point} lose {ms} hit={hit}")
    world.later(10, lambda: world.engine.disarm(name))
    return f"{name}: a connection breaks at '{point}', for {ms} ms"


def mysql_full(world):
    """No room on the database's disk; only where we could give it one of its own."""
    if not world.engine.mounted:
        return None
    place = world.engine.directory / "mysql"
    filler = place / "chaos-filler"
    try:
        with open(filler, "wb") as file:
            while True:
                file.write(bytes(65536))
                file.flush()
    except OSError:
        pass  # full; perhaps it was before
    seconds = world.chance.uniform(2, 5)
    world.later(seconds, lambda: filler.unlink(missing_ok=True))
    return f"MariaDB's disk is full for {seconds:.1f} s"


# ---- real deadlocks

DEADLOCK_S = 2  # until a batch has come to the locked seats, at most
LOOK_S = 0.15  # InnoDB renews what it tells of its locks only if nobody has asked for 0.1 s
SCRATCH = (
    "CREATE DATABASE IF NOT EXISTS chaos_scratch",
    "CREATE TABLE IF NOT EXISTS chaos_scratch.weight (n INT NOT NULL PRIMARY KEY) ENGINE=InnoDB",
)
WEIGH = "INSERT INTO chaos_scratch.weight SELECT seq FROM chaos_scratch.seq_1_to_2000"


def deadlocks(cursor):
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
    return int(cursor.fetchone()[1])


def waits_for_seats(cursor):
    """A batch has its shard's row, and waits for a seat of the stranger's."""
    cursor.execute("SELECT COUNT(*) FROM information_schema.innodb_lock_waits WHERE blocking_trx_id = "
                   "(SELECT trx_id FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID())")
    return cursor.fetchone()[0] > 0


def cross(world, cursor, shard):
    """Lock a shard's seats, then, when a batch waits for one of them, the row of the shard, which the batch has: no
    order of the two can go on. InnoDB ends whoever changed less; the stranger has changed many rows of a table of its
    own. True: the persister was the victim."""
    cursor.execute("SET SESSION innodb_lock_wait_timeout=1")
    cursor.execute("BEGIN")
    cursor.execute(WEIGH)
    cursor.execute("SELECT COUNT(*) FROM ticket_db.performance_seat WHERE shard=%s FOR UPDATE", (shard,))
    end = time.monotonic() + DEADLOCK_S
    while not waits_for_seats(cursor):
        if time.monotonic() > end:
            return False
        world.heal_due()
        time.sleep(LOOK_S)
    before = deadlocks(cursor)
    cursor.execute("SELECT epoch FROM ticket_db.shard_owner WHERE shard=%s FOR UPDATE", (shard,))
    return deadlocks(cursor) > before


def mysql_deadlock(world):
    """A stranger and a lane of the persister lock the same rows in opposite order. Told only if it came to a deadlock,
    and the persister was its victim."""
    mysql_do(world, *SCRATCH)
    shards = mysql_do(world, "SELECT DISTINCT shard FROM ticket_db.performance_seat")
    if not shards:
        return None
    victims, times = 0, world.chance.choice([1, 1, 2, 6])
    for (shard,) in world.chance.choices(shards, k=times + 2):
        try:
            with contextlib.closing(world.engine.mysql(root=True)) as connection, connection.cursor() as cursor:
                victims += cross(world, cursor, shard)
        except (pymysql.Error, OSError):
            continue  # the stranger was the victim, or had not the second lock in time: once more
        if victims == times:
            break
    return f"{victims} real deadlocks with a stranger, and the persister the victim of each" if victims else None


# ---- clients of bad manners


def slow_clients(world):
    kinds = world.chance.sample(manners.KINDS, world.chance.randint(1, 3))
    seconds = world.chance.uniform(3, 8)
    end = manners.begin(world.engine, world.chance, kinds)
    world.later(seconds, end)
    return f"slow clients for {seconds:.1f} s: {', '.join(kind.__name__.replace('_', ' ') for kind in kinds)}"


# ---- Kafka and the payment gateway


def kafka_kill(world):
    return kill(world, "kafka")


def kafka_stop(world):
    return stop_for(world, "kafka", world.chance.uniform(3, 8))


def psp_kill(world):
    return kill(world, "psp-sim")


def psp_stop(world):
    return stop_for(world, "psp-sim", world.chance.uniform(3, 7))


def psp_silent(world):
    """Calls are done, and answered too late or never."""
    point = world.chance.choice(["psp.answer", "psp.decide", "psp.callback"])
    world.engine.arm("psp-sim", f"{point} pause {world.chance.choice([1000, 6000])}")
    world.later(12, lambda: world.engine.disarm("psp-sim"))
    return f"the payment gateway is silent at '{point}'"


def in_turn(world, what, choices):
    """All of them, in chance's order, before any comes again: runs are short, and none shall be forgotten."""
    left = turns.setdefault(what, [])
    if not left:
        left.extend(choices)
        world.chance.shuffle(left)
    return left.pop()


turns = {}  # what -> what has not had its turn yet, in all engines of the run

# ---- the network between hosts


def how_long(world):
    """Less than a heartbeat; less than a peer's patience; longer than that, a lease and a takeover together."""
    low, high = world.chance.choice([(0.2, 0.9), (1.5, 3), (6, 9)])
    return world.chance.uniform(low, high)


def cut_off(world, name, seconds):
    """The host's cable is out. What an arbiter owned there must be owned elsewhere meanwhile, if that takes so long."""
    shards = world.engine.shards_of(name) if name.startswith("seat-arbiter") else []
    if shards and seconds > 6:
        world.failed_over(name, shards)
    world.engine.hosts.unplug(name)
    world.later(seconds, lambda: world.engine.hosts.plug(name))
    return f"network: the host of {name} is cut off for {seconds:.1f} s"


def network_host(world):
    return cut_off(world, in_turn(world, "host", hosts.ELSEWHERE), how_long(world))


def network_pair(world):
    """Two do not hear each other, while others hear them both."""
    one, other = in_turn(world, "pair", hosts.PAIRS)
    seconds = how_long(world)
    for way in ((one, other), (other, one)):
        world.engine.hosts.cut(*way)
        world.later(seconds, lambda way=way: world.engine.hosts.heal(*way))
    return f"network: {' - '.join(hosts.names(one, other))} partitioned for {seconds:.1f} s"


def network_one_way(world):
    way = in_turn(world, "way", hosts.PAIRS + [pair[::-1] for pair in hosts.PAIRS])
    seconds = how_long(world)
    world.engine.hosts.cut(*way)
    world.later(seconds, lambda: world.engine.hosts.heal(*way))
    one, other = hosts.names(*way)
    return f"network: what {one} sends to {other} is lost for {seconds:.1f} s"


# ---- clocks

# How far they jump, in seconds. A persister that is ahead by more than the two minutes that clocks may be apart would
# not tell a new admission of grants that are still good; callbacks are good for five minutes.
JUMPS = {
    "admission": 15,
    "seat-arbiter-1": 15,
    "seat-arbiter-2": 15,
    "persister": 60,
    "kafka-bridge": 60,
    "gateway": 600,
    "psp-sim": 600,
}


def clock_jump(world):
    """The wall clock of one process is set forward or back, and right again later."""
    name = in_turn(world, "clock", sorted(JUMPS))
    seconds = JUMPS[name] * world.chance.choice([-1, -0.2, 0.2, 1])
    lasts = world.chance.uniform(2, 8)
    world.engine.arm(name, f"clock.wall jump {round(seconds * 1000)}")
    world.until_done(lasts, lambda: clock_right(world, name))
    return f"{name}: its wall clock jumps by {seconds:+.0f} s, for {lasts:.1f} s"


def clock_right(world, name):
    """True when the process that runs now shows the machine's time, and is not told otherwise; else it is told to."""
    if "jump" not in world.engine.order(name) and world.engine.clock_ahead_ms(name) == 0:
        world.engine.righted.append((name, time.time() * 1000, world.engine.pid(name), 0))
        return True
    world.engine.arm(name, "clock.wall jump 0")
    return False


# name, weight, fault
FAULTS = [
    ("kill", 6, kill_actor),
    ("kill two", 2, kill_pair),
    ("restart loop", 1, restart_loop),
    ("failpoint crash", 10, crash_at_point),
    ("failpoint pause", 3, pause_at_point),
    ("stop", 2, stop_actor),
    ("stop arbiter", 2, stop_arbiter),
    ("stop in transaction", 2, stop_in_transaction),
    ("one-way loss", 4, lose_link),
    ("redis kill", 2, redis_kill),
    ("redis stop", 1, redis_stop),
    ("redis wipe", 2, redis_wipe),
    ("redis no memory", 1, redis_no_memory),
    ("redis scripts", 1, redis_scripts),
    ("redis cut", 1, redis_cut),
    ("redis old", 1, redis_old),
    ("mysql kill", 2, mysql_kill),
    ("mysql stop", 1, mysql_stop),
    ("mysql read-only", 1, mysql_read_only),
    ("mysql connections", 1, mysql_connections),
    ("mysql lock", 1, mysql_lock),
    ("mysql lost", 3, mysql_lost),
    ("mysql full", 1, mysql_full),
    ("mysql deadlock", 2, mysql_deadlock),
    ("slow clients", 3, slow_clients),
    ("kafka kill", 1, kafka_kill),
    ("kafka stop", 1, kafka_stop),
    ("psp kill", 1, psp_kill),
    ("psp stop", 1, psp_stop),
    ("psp silent", 1, psp_silent),
    ("host cut off", 3, network_host),
    ("partition", 3, network_pair),
    ("one-way partition", 3, network_one_way),
    ("clock jump", 3, clock_jump),
]

NETWORK = {"host cut off", "partition", "one-way partition"}
no_network = ""  # why no host can be made here

# These need an account that may do anything in the database, or a disk of its own.
ROOT_ONLY = {"mysql read-only", "mysql connections", "mysql lock", "mysql full", "mysql deadlock"}


def possible():
    """The faults of this machine, and what is left out, with the reason."""
    out = []
    if os.geteuid() != 0:
        out.append("MariaDB read-only, ended connections, locks, deadlocks, full disk: they need root")
    if no_network:
        out.append(f"partitions in the kernel's network: {no_network}")
    names = {name for name, _, _ in FAULTS if os.geteuid() == 0 or name not in ROOT_ONLY}
    names -= NETWORK if no_network else set()
    return names, out
