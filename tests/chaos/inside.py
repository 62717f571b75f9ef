"""The harness's own room: namespaces of its own around all it does, and a folder that does not outlive it.

Run by root, everything runs in a network, a process and a mount namespace of its own: whatever ends the harness, also
kill -9, the kernel ends all that it had started, and its mounts and networks with it. A janitor outside waits for that
and takes the folder away.
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID = 0x00020000, 0x40000000, 0x20000000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def join_network(path):
    """This thread, and those that it starts, are in that network namespace from now on."""
    with open(path) as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


# ---- the janitor


def kill_launchers(place):
    """Without namespaces: end what keeps an engine's processes alive (its directory is in its arguments), and what is
    mounted."""
    for path in pathlib.Path(place).glob("*/*/status.json"):
        try:
            pid = json.loads(path.read_text())["launcher"]
            if str(path.parent).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError, KeyError):
            continue
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        if line.split()[1].startswith(f"{place}/"):
            subprocess.run(["umount", "--lazy", line.split()[1]], check=False, capture_output=True)


def janitor(place, alone):
    """Waits until the last of us has gone, then takes the folder away."""
    read_end, write_end = os.pipe()
    if os.fork() != 0:
        os.close(read_end)
        return
    os.setsid()
    os.close(write_end)
    os.chdir("/")
    os.read(read_end, 1)
    if not alone:
        kill_launchers(place)
    for _ in range(50):
        shutil.rmtree(place, ignore_errors=True)
        if not os.path.exists(place):
            break
        time.sleep(0.2)
    os._exit(0)


# ---- the namespaces


def possible():
    """Why there can be none; "" if there can."""
    if os.geteuid() != 0:
        return "it needs root"
    for program in ("ip", "bridge", "nsenter", "unshare"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    probe = "ip link add name s0 type bridge && ip link add name p0 type veth peer name p1 && ip rule add to 10.77.0.9 lookup 99"
    words = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "sh", "-c", probe]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or "the kernel refuses").splitlines()[-1]


def forward(pid):
    def pass_on(number, _frame):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)


def await_end(pid):
    """Reap whatever ends, until that one has; its exit status."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1


def interrupted(_number, _frame):
    raise KeyboardInterrupt


def enter(wanted):
    """(folder, alone): a folder for all that is made. `wanted`: in namespaces of our own: then what called this goes
    on in a child of a child; the process that was called stays outside, hands signals on, and ends as that child."""
    place = tempfile.mkdtemp(prefix="ticketlab-chaos-", dir="/tmp")
    sys.stdout.flush()
    janitor(place, wanted)
    signal.signal(signal.SIGTERM, interrupted)
    if not wanted:
        return pathlib.Path(place), False
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    first = os.fork()
    if first != 0:
        forward(first)
        os._exit(await_end(first))
    die_with_parent()
    os.setsid()
    for words in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "proc", "proc", "/proc"],
        ["ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(words, check=True)
    main = os.fork()
    if main != 0:
        forward(main)
        os._exit(await_end(main))
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return pathlib.Path(place), True
