"""What the Kafka tests stand on: a real broker, a private MariaDB, servers of mail and SMS, and our own processes.

Everything lives in one new directory under /tmp, listens on loopback at free ports, and is ended by its pid.
"""

import contextlib
import email
import email.policy
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pymysql
import pytest
from conftest import ROOT, free_port, wait_until
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

TOPIC, DEAD_LETTERS = "reservation-events", "reservation-events.DLT"
PARTITIONS, SHARDS = 8, 4


def watermarks(consumer, topic, number):
    """Where a partition begins and ends; asked again while it is getting another leader."""
    end = time.monotonic() + 10
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > end:
                raise
        time.sleep(0.02)


class World:
    """A directory and the processes that were started in it."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ticketlab-", dir="/tmp"))
        self.processes = {}
        self.settings = {
            "kafka.partitions": PARTITIONS,
            "cluster.shards": SHARDS,
            "cluster.feeds": f"ipc://{self.dir}/feed",
            "kafka.brokers": f"file:{self.dir}/brokers",
            "mysql.socket": f"{self.dir}/mysql.sock",
            "mysql.user": "root",
            "notifier.backoff_ms": 20,
            "notifier.tries": 3,
        }

    def close(self):
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)
        if os.environ.get("KEEP_ENGINE_DIR"):
            print("kept", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def spawn(self, name, *arguments):
        log = open(self.dir / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            list(map(str, arguments)), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        log.close()
        return self.processes[name]

    def stop(self, name, number=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(timeout=20)

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    # ---- our own processes -------------------------------------------------------------

    def start(self, role, name=None, **settings):
        """One of build/'s; setting kafka_poll_ms=5 is --set kafka.poll_ms=5. Returns its management port."""
        name = name or role
        port = free_port()
        own = {key.replace("_", ".", 1): value for key, value in settings.items()}
        words = [f"--set={key}={value}" for key, value in {**self.settings, **own}.items()]
        self.spawn(name, ROOT / "build" / role, f"--set=process.management=127.0.0.1:{port}",
                   f"--set=process.name={name}", *words)
        return port

    def start_ready(self, role, name=None, **settings):
        port = self.start(role, name, **settings)
        wait_until(lambda: ready(port), what=f"{role} ready")
        return port

    # ---- Kafka -------------------------------------------------------------------------

    def start_kafka(self):
        """The real broker, at the same port each time. Skips where it cannot be had."""
        fetched = subprocess.run([ROOT / "tools" / "fetch-kafka"], capture_output=True, text=True, timeout=600)
        if fetched.returncode == 77:
            pytest.skip(fetched.stderr.strip())
        assert fetched.returncode == 0, fetched.stderr
        home = self.dir / "kafka"
        starts = started(home)
        # A port that was free may be another's a moment later: a first start tries others.
        chosen = getattr(self, "kafka_port", None)
        for left in reversed(range(1 if chosen else 3)):
            self.kafka_port = chosen or free_port_pair()
            self.spawn("kafka", ROOT / "tools" / "run-kafka", home, self.kafka_port)
            try:
                wait_until(lambda: started(home) > starts, timeout_s=60, what="Kafka Server started")
                break
            except AssertionError:
                if left == 0:
                    raise AssertionError(self.log("kafka") + (home / "log").read_text()[-3000:]) from None
                self.stop("kafka", signal.SIGKILL)
                shutil.rmtree(home)  # it is formatted for the port that was not to be had
        (self.dir / "brokers").write_text(f"127.0.0.1:{self.kafka_port}\n")

    def brokers(self):
        return (self.dir / "brokers").read_text().strip()

    def topic(self, topic=TOPIC):
        """All records of a topic, partition by partition, in the order of their offsets."""
        consumer = Consumer({"bootstrap.servers": self.brokers(), "group.id": "reader", "enable.auto.commit": False})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            ends = {n: watermarks(consumer, topic, n) for n in partitions}
            found = {number: [] for number in sorted(partitions)}
            consumer.assign([TopicPartition(topic, n, low) for n, (low, high) in ends.items() if high > low])
            for _ in range(sum(high - low for low, high in ends.values())):
                record = consumer.poll(10)
                assert record is not None, f"{topic}: silence before its end {ends}"
                assert record.error() is None, record.error()
                found[record.partition()].append(record)
            return found
        finally:
            consumer.close()

    def committed(self, group):
        """Committed offset and end of each partition that has events."""
        consumer = Consumer({"bootstrap.servers": self.brokers(), "group.id": group})
        try:
            at = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
            ends = [watermarks(consumer, p.topic, p.partition)[1] for p in at]
            offsets = [p.offset for p in consumer.committed(at, timeout=10)]
            return {n: (offset, end) for n, (offset, end) in enumerate(zip(offsets, ends)) if end > 0}
        finally:
            consumer.close()

    def produce(self, value, key="1"):
        producer = Producer({"bootstrap.servers": self.brokers(), "partitioner": "murmur2_random"})
        producer.produce(TOPIC, value=value, key=key)
        assert producer.flush(10) == 0

    # ---- MySQL -------------------------------------------------------------------------

    def start_mysql(self):
        data = self.dir / "mysql"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
             "--skip-test-db", *user_option()],
            check=True, capture_output=True, timeout=120,
        )
        self.run_mysql()
        subprocess.run([ROOT / "build" / "persister", "--migrate",
                        *[f"--set={key}={value}" for key, value in self.settings.items()]],
                       check=True, capture_output=True, timeout=60)

    def run_mysql(self):
        self.spawn("mysql", "mariadbd", "--no-defaults", f"--datadir={self.dir}/mysql",
                   f"--socket={self.dir}/mysql.sock", "--skip-networking", f"--pid-file={self.dir}/mysql.pid",
                   "--innodb-buffer-pool-size=32M", *user_option())
        wait_until(lambda: self.sql("SELECT 1"), what="MariaDB")

    def sql(self, statement, rows=None):
        try:
            connection = pymysql.connect(unix_socket=f"{self.dir}/mysql.sock", user="root", autocommit=True)
        except pymysql.err.OperationalError:
            return None
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS ticket_db")
            cursor.execute("USE ticket_db")
            if rows is None:
                cursor.execute(statement)
            else:
                cursor.executemany(statement, rows)
            return cursor.fetchall()


def user_option():
    """A server that runs as root says so, or it does not start."""
    return ["--user=root"] if os.getuid() == 0 else []


def started(home):
    with contextlib.suppress(FileNotFoundError):
        return (home / "log").read_text(errors="replace").count("Kafka Server started")
    return 0


def free_port_pair():
    """A port whose successor is free as well: a broker's and its controller's."""
    while True:
        port = free_port()
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.bind(("127.0.0.1", port + 1))
            return port


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def ready(port):
    try:
        get(port, "/readyz")
        return True
    except (urllib.error.URLError, OSError):
        return False


def metric(port, name):
    for line in get(port, "/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def murmur2(data):
    """As Java's client computes it, for keys' partitions."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def event_schema():
    return json.loads((ROOT / "schemas" / "events" / "reservation-event.json").read_text())


def schema_faults(event, schema):
    """What of an event is not as its schema says; the words of JSON Schema that the schema uses, no others."""
    types = {"integer": int, "string": str, "null": type(None)}
    faults = [f"{name} is missing" for name in schema["required"] if name not in event]
    for name, value in event.items():
        rule = schema["properties"].get(name)
        if rule is None:
            faults.append(f"{name} is unknown")
            continue
        allowed = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
        if not any(type(value) is types[kind] for kind in allowed):
            faults.append(f"{name} is {value!r}")
        elif isinstance(value, int) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
            faults.append(f"{name} is {value}")
        elif isinstance(value, str) and not re.search(rule.get("pattern", ""), value):
            faults.append(f"{name} is {value}")
        elif value not in rule.get("enum", [value]):
            faults.append(f"{name} is {value}")
    return faults


# ---- servers of mail and SMS ---------------------------------------------------------------


class MailHandler(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 here")
        recipient = ""
        for raw in self.rfile:
            line = raw.decode().strip()
            verb = line.split(" ", 1)[0].upper()
            if verb == "RCPT":
                recipient = line.split("<", 1)[1].split(">", 1)[0]
            if verb == "DATA":
                self.say("354 go on")
                lines = []
                for part in self.rfile:
                    if part == b".\r\n":
                        break
                    lines.append(part)
                if self.server.failing(recipient):
                    self.say("554 no")
                    continue
                self.server.got.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))
            self.say("221 bye" if verb == "QUIT" else "250 ok")

    def say(self, line):
        self.wfile.write((line + "\r\n").encode())


class SmsHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ok = not self.server.failing(body["userId"])
        if ok:
            self.server.got.append(body)
        self.send_response(200 if ok else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextlib.contextmanager
def serve(handler, failing=lambda who: False):
    """A server on loopback; .got is what it took, .port where it listens. It refuses whom `failing` names."""
    with Server(("127.0.0.1", 0), handler) as server:
        server.got, server.failing, server.port = [], failing, server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
