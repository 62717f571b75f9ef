"""An engine of failpoint binaries, started and stopped by ticketctl; its processes, stores and figures."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pymysql
import redis

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CHAOS_BUILD", ROOT / "build" / "failpoints"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_state(pid):
    """The letter of /proc/PID/stat: R, S, T (stopped) ...; None: it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return None


class Engine:
    """One engine in a directory of its own. Everything in it is ended by its pid, never by name."""

    def __init__(self, directory, kafka="mock", settings=None, seats=48, mysql_bytes=0, hosts=None):
        self.hosts = hosts  # where some of it lives; None: all of it here
        self.directory = pathlib.Path(directory)
        self.orders = self.directory.with_name(self.directory.name + ".failpoints")
        self.kafka, self.settings, self.seats, self.mysql_bytes = kafka, settings or {}, seats, mysql_bytes
        self.http_port = free_port()
        self.mounted = False
        self.conflicts = {}  # pid of a persister -> db_conflict_total as it was seen last
        self.restarts = 0
        self.righted = []  # as jumps(): clocks seen to be right, also because their process is another

    # ---- life

    def ticketctl(self, *arguments, check=True, timeout=180):
        environment = dict(os.environ, TICKETLAB_FAILPOINTS=str(self.orders))
        programs = BUILD
        if self.hosts:
            programs = self.hosts.programs
            environment["PATH"] = f"{programs}:{environment['PATH']}"
        done = subprocess.run(
            [str(programs / "ticketctl"), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"ticketctl {arguments[0]}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def mount(self):
        """A small disk of its own for the database, where we may mount one: its files move there while nothing runs."""
        place, aside = self.directory / "mysql", self.directory / "mysql.aside"
        place.rename(aside)
        place.mkdir(mode=0o700)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self.mysql_bytes},mode=0700", "ticketlab-chaos", str(place)],
            capture_output=True,
            check=False,
        )
        self.mounted = done.returncode == 0
        shutil.copytree(aside, place, dirs_exist_ok=True)
        shutil.rmtree(aside)

    def up(self):
        self.orders.mkdir(mode=0o700)
        words = [
            "up",
            "--dir",
            self.directory,
            "--http-port",
            self.http_port,
            "--seats",
            self.seats,
            "--kafka",
            self.kafka,
        ]
        for key, value in (self.settings | (self.hosts.SETTINGS if self.hosts else {})).items():
            words += ["--set", f"{key}={value}"]
        self.ticketctl(*words)
        if self.mysql_bytes and os.geteuid() == 0:
            self.ticketctl("down", "--dir", self.directory)
            self.mount()
            self.ticketctl(*words)
        status = json.loads(self.ticketctl("status", "--dir", self.directory, "-o", "json").stdout)
        self.endpoints = status["endpoints"]
        plan = json.loads((self.directory / "plan.json").read_text())
        self.plan = {process["name"]: process for process in plan["processes"]}

    def down(self):
        for process in self.processes():
            if process["pid"] and process_state(process["pid"]) == "T":
                self.signal(process["pid"], signal.SIGCONT)
        self.ticketctl("down", "--dir", self.directory, check=False)
        if self.mounted:
            subprocess.run(["umount", str(self.directory / "mysql")], check=False, capture_output=True)

    def remove(self):
        if self.hosts:
            self.hosts.remove()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.orders, ignore_errors=True)

    # ---- processes

    def processes(self):
        try:
            return json.loads((self.directory / "status.json").read_text())["processes"]
        except (OSError, ValueError):
            return []

    def pid(self, name):
        return next((process["pid"] for process in self.processes() if process["name"] == name), None)

    def names(self):
        return [process["name"] for process in self.processes()]

    @staticmethod
    def signal(pid, number):
        try:
            os.kill(pid, number)
            return True
        except (ProcessLookupError, TypeError):
            return False

    def ready(self):
        """Names of what does not run or is not ready."""
        missing = []
        for process in self.processes():
            if not process["pid"] or process_state(process["pid"]) in (None, "T", "Z"):
                missing.append(process["name"])
            elif process.get("management") and self.get(process["management"] + "/readyz") is None:
                missing.append(process["name"])
        return missing

    @staticmethod
    def get(url, timeout=1):
        try:
            with urllib.request.urlopen(url, timeout=timeout) as reply:
                return reply.read().decode()
        except (OSError, ValueError):
            return None

    def metric(self, name, metric):
        """A process's metric; None while it cannot be asked."""
        page = self.get(self.plan[name]["management"] + "/metrics") if "management" in self.plan[name] else None
        for line in (page or "").splitlines():
            if line.startswith(metric + " "):
                return float(line.split()[1])
        return None

    def note_conflicts(self):
        """db_conflict_total dies with its process: look at it often."""
        pid, value = self.pid("persister"), self.metric("persister", "db_conflict_total")
        if pid and value is not None:
            self.conflicts[pid] = value

    def shards_of(self, name):
        """Shards that the broker believes an arbiter to serve."""
        import wire

        owners = wire.shard_map(self.endpoints["client"])
        words = self.plan[name]["command"]
        own = next((word.split("=", 1)[1] for word in words if word.startswith("arbiter.endpoint=")), None)
        return [shard for shard, owner in enumerate(owners or []) if owner == own]

    # ---- failpoints

    def pipe(self, point):
        """The name of a pipe's failpoint, "pipe.in.actors": what stands behind the last slash of its endpoint."""
        keys = {"actors": "broker.actor_endpoint", "feed": "broker.feed_endpoint", "store": "cluster.store"}
        before, _, name = point.rpartition(".")
        return f"{before}.{self.hosts.SETTINGS[keys[name]].rpartition('/')[2]}" if self.hosts else point

    def points(self, role):
        """[(kind, point)] of a role's binary."""
        said = subprocess.run([str(BUILD / role), "--failpoints"], capture_output=True, text=True, check=True).stdout
        return [tuple(line.split("\t")) for line in said.splitlines()]

    def arm(self, name, order):
        path = self.orders / name
        temporary = path.with_suffix(".new")
        temporary.write_text(order + "\n")
        temporary.rename(path)

    def order(self, name):
        """What waits to be done, or ""."""
        try:
            return (self.orders / name).read_text()
        except OSError:
            return ""

    def disarm(self, name):
        (self.orders / name).unlink(missing_ok=True)

    def clock_ahead_ms(self, name):
        """Of a process's wall clock before the machine's. One that is started anew has the machine's."""
        pid = self.pid(name)
        rows = sorted((row for row in self.jumps() if row[0] == name and row[2] == pid), key=lambda row: row[1])
        return rows[-1][3] if rows else 0

    def jumps(self):
        """[(instance, wall ms, pid, ms ahead from then on)]"""
        found = list(self.righted)
        for path in self.orders.glob("*.done"):
            for line in path.read_text().splitlines():
                words = line.split(" ")
                if words[2] == "jump":
                    found.append((path.name[:-5], int(words[0]), int(words[1]), int(words[-1])))
        return found

    def done_orders(self):
        """What was carried out: {instance: [(wall ms, pid, action, point)]}"""
        done = {}
        for path in self.orders.glob("*.done"):
            rows = []
            for line in path.read_text().splitlines():
                at, pid, action, rest = line.split(" ", 3)
                rows.append((int(at), int(pid), action, rest.rsplit(" ", 1)[0]))
            done[path.name[:-5]] = rows
        return done

    # ---- stores

    def mysql(self, root=False):
        """A connection as the engine's account, or (run by root) as the server's own."""
        url = urlsplit(self.endpoints["mysql"])
        path = parse_qs(url.query)["socket"][0]
        if root:
            return pymysql.connect(unix_socket=path, user="root", autocommit=True, connect_timeout=3, read_timeout=20)
        return pymysql.connect(
            unix_socket=path,
            user=url.username,
            password=url.password,
            database=url.path[1:],
            autocommit=True,
            connect_timeout=3,
            read_timeout=30,
        )

    def redis(self):
        path = self.endpoints["redis"].removeprefix("unix://")
        return redis.Redis(unix_socket_path=path, socket_timeout=3, decode_responses=True)

    def kafka_brokers(self):
        address = self.endpoints["kafka"]
        path = self.directory / "kafka.brokers"
        return path.read_text().strip() if self.kafka == "mock" and path.exists() else address

    def ledger(self):
        """Every payment of the payment gateway's ledger."""
        items, start = [], 0
        while True:
            page = json.loads(self.get(f"{self.endpoints['psp']}/ledger?from={start}&limit=5000", timeout=20))
            items += page["items"]
            start = page["next"]
            if start == 0:
                return items

    def log_lines(self, name):
        try:
            return (self.directory / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
        except OSError:
            return []
