"""Hosts for one engine: network namespaces behind a switch, and the cuts between them.

The harness's own network is the host on which most of the engine lives; the broker, Redis and MariaDB have an address
each there. Some processes, and the clients, have a host of their own. What goes from one address to another can be sent
into the void: to a hardware address that nobody reads. The sender is told nothing, as when a switch forgets a port.

    hosts.py PORT NETWORK PARENT     a door: who connects to this port here, comes to the same port there
"""

import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import inside

ADDRESSES = {
    "broker": "10.77.0.1",  # and all else that has no other: its own host's first address
    "redis": "10.77.0.5",
    "mysql": "10.77.0.6",
    "seat-arbiter-2": "10.77.0.12",
    "persister": "10.77.0.13",
    "admission": "10.77.0.14",
    "clients": "10.77.0.15",
}
ELSEWHERE = ["seat-arbiter-2", "persister", "admission", "clients"]
VOID, VOID_LINK, VOID_TABLE = "10.77.0.254", "02:00:00:00:00:fe", "99"
ROLES = {"seat-arbiter-2": "seat-arbiter", "persister": "persister", "admission": "admission"}

# Who talks to whom across hosts. The first arbiter talks to the persister from the broker's address, nobody else does.
PAIRS = [
    ("seat-arbiter-2", "broker"),
    ("seat-arbiter-2", "persister"),
    ("seat-arbiter-2", "redis"),
    ("admission", "broker"),
    ("admission", "persister"),
    ("admission", "redis"),
    ("persister", "mysql"),
    ("clients", "broker"),
    ("broker", "persister"),
]

SETTINGS = {
    "broker.client_endpoint": f"tcp://{ADDRESSES['broker']}:7400",
    "broker.actor_endpoint": f"tcp://{ADDRESSES['broker']}:7401",
    "broker.feed_endpoint": f"tcp://{ADDRESSES['broker']}:7402",
    "cluster.brokers": f"tcp://{ADDRESSES['broker']}:7401",
    "cluster.feeds": f"tcp://{ADDRESSES['broker']}:7402",
    "cluster.store": f"tcp://{ADDRESSES['persister']}:7403",
}
REDIS_THERE = f"--set redis.url=redis://{ADDRESSES['redis']}:6379"
OWN_SETTINGS = {
    "seat-arbiter-2": REDIS_THERE,
    "admission": REDIS_THERE,
    "persister": f"--set mysql.socket= --set mysql.host={ADDRESSES['mysql']} --set mysql.port=3306",
}

ACTOR = """#!/bin/sh
# {name} lives on a host of its own; its management port stays to be had here.
case " $* " in
*" --name {name} "*) ;;
*) exec {program} "$@" ;;
esac
for word; do
    case $word in process.management=127.0.0.1:*) port=${{word##*:}} ;; esac
done
{python} -S {door} "$port" {network} $$ &
exec nsenter --net={network} {program} "$@" {settings}
"""
REDIS = """#!/bin/sh
case "$*" in *.conf*) set -- "$@" --port 6379 --bind {address} --protected-mode no ;; esac
exec {program} "$@"
"""
MYSQL = """#!/bin/sh
for word; do
    case $word in --init-file=*) accounts=${{word#--init-file=}} ;; esac
done
if [ -n "$accounts" ]; then
    sed "p; s/@'localhost'/@'10.77.0.%'/" "$accounts" >"$accounts.net"
    set -- "$@" --init-file="$accounts.net" --skip-networking=0 --bind-address={address} --port=3306
fi
exec {program} "$@"
"""


def names(one, other):
    """Who they are, for people."""
    if {one, other} == {"broker", "persister"}:
        return tuple("seat-arbiter-1" if name == "broker" else name for name in (one, other))
    return one, other


class Hosts:
    """The hosts of one engine, made and undone with it. Everything that is cut is counted: who cuts twice heals twice."""

    SETTINGS = SETTINGS

    def __init__(self, folder, build):
        self.programs = folder / "programs"
        self.holders = {}
        self.cuts, self.unplugged = collections.Counter(), collections.Counter()
        self.ip("link", "add", "name", "switch", "type", "bridge")
        self.make_void()
        self.ip("link", "set", "switch", "up")
        for name in ("broker", "redis", "mysql"):
            self.ip("addr", "add", f"{ADDRESSES[name]}/24", "dev", "switch")
        self.lead_to_void(None, "switch")
        for number, name in enumerate(ELSEWHERE):
            self.make_host(name, f"port{number}")
        self.make_programs(build)

    # ---- making

    def ip(self, *words, on=None, check=True):
        before = ["nsenter", f"--net={self.network(on)}"] if on else []
        subprocess.run([*before, "ip", *words], check=check, capture_output=True)

    def network(self, name):
        return f"/proc/{self.holders[name].pid}/ns/net"

    def make_void(self):
        """Where lost frames go: a port that counts what comes there."""
        self.ip("link", "add", "name", "void", "type", "veth", "peer", "name", "void-end")
        self.ip("link", "set", "void-end", "address", VOID_LINK)
        self.ip("link", "set", "void", "master", "switch")
        for end in ("void", "void-end"):
            self.ip("link", "set", end, "up")
        quiet = ["bridge", "link", "set", "dev", "void", "flood", "off", "mcast_flood", "off", "bcast_flood", "off"]
        subprocess.run(quiet, check=False, capture_output=True)
        words = ["bridge", "fdb", "replace", VOID_LINK, "dev", "void", "master", "static"]
        subprocess.run(words, check=True, capture_output=True)

    def lead_to_void(self, on, device):
        self.ip("neigh", "replace", VOID, "lladdr", VOID_LINK, "dev", device, "nud", "permanent", on=on)
        self.ip("route", "add", "default", "via", VOID, "dev", device, "onlink", "table", VOID_TABLE, on=on)

    def make_host(self, name, port):
        """The namespace lives as long as a process in it, and that one as long as we hold its input."""
        ours = os.readlink("/proc/self/ns/net")
        holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.holders[name] = holder
        end = time.monotonic() + 10
        while os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
            if holder.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no network namespace for {name}")
            time.sleep(0.005)
        self.ip("link", "add", "name", port, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        self.ip("link", "set", port, "master", "switch", "up")
        self.ip("link", "set", "lo", "up", on=name)
        self.ip("addr", "add", f"{ADDRESSES[name]}/24", "dev", "eth0", on=name)
        self.ip("link", "set", "eth0", "up", on=name)
        self.lead_to_void(name, "eth0")

    def make_programs(self, build):
        """The build's programs, some of them behind a script that starts them elsewhere, or lets them listen there."""
        self.programs.mkdir()
        for path in build.iterdir():
            if path.is_file() and path.name != "ticketctl":
                (self.programs / path.name).symlink_to(path)
        shutil.copy2(build / "ticketctl", self.programs)  # it looks for the others where it is itself
        (self.programs.parent / "tools").symlink_to(build.parent / "tools")
        for name, role in ROLES.items():
            text = ACTOR.format(
                name=name,
                program=build / role,
                python=sys.executable,
                door=os.path.abspath(__file__),
                network=self.network(name),
                settings=OWN_SETTINGS[name],
            )
            self.write_program(role, text)
        self.write_program("redis-server", REDIS.format(program=shutil.which("redis-server"), address=ADDRESSES["redis"]))
        for server in ("mariadbd", "mysqld"):
            path = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/usr/local/libexec:/usr/libexec"
            program = shutil.which(server, path=path)
            if program:
                self.write_program(server, MYSQL.format(program=program, address=ADDRESSES["mysql"]))

    def write_program(self, name, text):
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    # ---- cuts

    def rule(self, action, one, other):
        on = one if one in self.holders else None
        self.ip("rule", action, "from", ADDRESSES[one], "to", ADDRESSES[other], "lookup", VOID_TABLE, on=on)

    def cut(self, one, other):
        """From now on, what one sends to the other is lost."""
        self.cuts[one, other] += 1
        if self.cuts[one, other] == 1:
            self.rule("add", one, other)

    def heal(self, one, other):
        if self.cuts[one, other] == 0:
            return
        self.cuts[one, other] -= 1
        if self.cuts[one, other] == 0:
            self.rule("del", one, other)

    def unplug(self, name):
        """The host's cable."""
        self.unplugged[name] += 1
        self.ip("link", "set", f"port{ELSEWHERE.index(name)}", "down")

    def plug(self, name):
        if self.unplugged[name] == 0:
            return
        self.unplugged[name] -= 1
        if self.unplugged[name] == 0:
            self.ip("link", "set", f"port{ELSEWHERE.index(name)}", "up")

    def heal_all(self):
        for one, other in list(self.cuts):
            while self.cuts[one, other]:
                self.heal(one, other)
        for name in list(self.unplugged):
            while self.unplugged[name]:
                self.plug(name)

    def lost_frames(self):
        words = ["ip", "-statistics", "-json", "link", "show", "dev", "void-end"]
        said = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        return said[0]["stats64"]["rx"]["packets"]

    def remove(self):
        """At once, so that the next engine finds all names free: a namespace itself goes later, by the kernel."""
        for link in [f"port{number}" for number in range(len(ELSEWHERE))] + ["switch", "void"]:
            self.ip("link", "del", link, check=False)
        for holder in self.holders.values():
            holder.stdin.close()
            holder.wait(timeout=10)
        self.ip("route", "flush", "table", VOID_TABLE, check=False)


def play_there(network, play, *arguments):
    """The body of a process of the harness that lives on a host; None: where the harness does."""
    inside.die_with_parent()
    if network:
        inside.join_network(network)
    play(*arguments)


# ---- doors


def pour(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def door(port, network, parent):
    """Lives as long as its parent, which becomes the actor."""
    inside.die_with_parent()
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it goes with the actor, which may take its time
    for _ in range(100):
        try:
            listener = socket.create_server(("127.0.0.1", port))
            break
        except OSError:
            time.sleep(0.02)
    inside.join_network(network)
    while True:
        client, _ = listener.accept()
        try:
            actor = socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            client.close()
            continue
        for ends in ((client, actor), (actor, client)):
            threading.Thread(target=pour, args=ends, daemon=True).start()


if __name__ == "__main__":
    door(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
