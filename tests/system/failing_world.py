"""What the tests of single failing calls stand on: an engine whose launcher sleeps, so that a test can put a process of
its own in an actor's place, and that process under build/nth.so (tests/faults/nth.c)."""

import contextlib
import mmap
import os
import pathlib
import re
import signal
import struct
import subprocess
import time
import urllib.request

from conftest import ROOT, command_lines, pids, wait_until

LIBRARY = ROOT / "build" / "nth.so"
MEMORY, SYSTEM = 1, 2
KINDS = {"memory": MEMORY, "system": SYSTEM}
READY_S, END_S = 10, 10


class Control:
    """The page that nth.so shares: which call is to fail, and which one did."""

    LAYOUT = struct.Struct("<IIQQQii64s64s")

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def arm(self, kind, nth):
        """The nth call of this kind from now on fails; nth 0: none, they are only counted."""
        self.disarm()  # nothing is counted meanwhile
        self.page[4 : self.LAYOUT.size] = bytes(self.LAYOUT.size - 4)
        self.page[8:16] = struct.pack("<Q", nth)
        self.page[0:4] = struct.pack("<I", kind)

    def disarm(self):
        """No call fails from now on, and what was told of one that did stays told."""
        self.page[0:4] = bytes(4)

    def read(self):
        return self.LAYOUT.unpack_from(self.page)

    @property
    def fired(self):
        return self.read()[1] == 1

    @property
    def calls(self):
        return self.read()[3]

    @property
    def module(self):
        """The file name of the library whose call failed; "program": of our own."""
        return self.read()[8].split(b"\0", 1)[0].decode()

    def what(self):
        """The call that failed, for a person: where it stands, if the program has its line numbers."""
        _, fired, nth, calls, offset, fd, error, call, module = self.read()
        if not fired:
            return f"no call failed; {calls} counted"
        call, module = (text.split(b"\0", 1)[0].decode() for text in (call, module))
        at = f"{module}+{offset - 1:#x}"
        return f"call {nth}: {call}({'' if fd < 0 else fd}) of {at} failed with {os.strerror(error)}"

    def line(self, program):
        """The same with the source line of the call, for calls of our own."""
        _, fired, _, _, offset, _, _, _, module = self.read()
        if not fired or not module.startswith(b"program"):
            return self.what()
        found = subprocess.run(["addr2line", "-f", "-s", "-e", program, hex(offset - 1)], capture_output=True, text=True)
        return f"{self.what()} ({' '.join(found.stdout.split())})"


# Libraries that do not look at what an allocation of theirs gave, in places that are not ours to mend: the process
# crashes there, which to others is one end like another. libmariadb 3.3: strdup() and malloc() of a connection's options.
UNCHECKED = {"libmariadb.so.3"}


class Wrong(AssertionError):
    """A process ended, or answered, as it must not."""


class Actor:
    """A process under nth.so: started, ended and judged."""

    def __init__(self, directory, words, port):
        self.words, self.port = words, port
        self.program = words[0]
        self.log = pathlib.Path(directory) / "nth.log"
        self.control = Control(pathlib.Path(directory) / "nth.control")
        self.process = None

    def start(self, kind, nth):
        self.control.arm(kind, nth)
        environment = {**os.environ, "LD_PRELOAD": str(LIBRARY), "NTH_CONTROL": str(self.control.path)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ended(self):
        return self.process.poll() is not None

    def wait_ready(self):
        """True when it is ready; False when it ended instead. Neither in time is a hang."""
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if self.ended():
                return False
            if ready(self.port):
                return True
            time.sleep(0.01)
        raise Wrong(f"neither ready nor ended within {READY_S} s")

    def stop(self):
        """End it in order; its status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            raise Wrong(f"it did not end within {END_S} s") from None

    def kill(self):
        if self.process is not None and not self.ended():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def text(self):
        return self.log.read_text(errors="replace")

    def judge_end(self):
        """An end of its own: status 1 or 2 with one clear sentence, or an assertion that names its line; or a crash in a
        library that does not check."""
        status, lines = self.process.returncode, self.text().splitlines()
        name = pathlib.Path(self.program).name
        if status in (1, 2):
            said = [line for line in lines if re.search(r"Z error +\S+: ..........", line)
                    or re.match(rf"{name}: ..........", line)]
            if len(said) != 1:
                raise Wrong(f"status {status} with {len(said)} sentences instead of one")
        elif status == -signal.SIGSEGV and self.control.module in UNCHECKED:
            return
        elif status == -signal.SIGABRT:
            if not re.search(r"\.c:\d+: required, but not so: ", self.text()):
                raise Wrong("an abort that names no line")
        else:
            raise Wrong(f"it ended with {signal.strsignal(-status) if status < 0 else status}")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def ready(port):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200
    return False


class Stage:
    """An engine in which any actor can be replaced."""

    def __init__(self, status):
        self.status, self.dir = status, status["dir"]
        self.substitutes = []
        self.launcher = pids(self.dir, "ticketctl")
        for pid in self.launcher:  # a sleeping one starts nothing again
            os.kill(pid, signal.SIGSTOP)

    def close(self):
        for process in self.substitutes:
            process.terminate()
            process.wait(timeout=END_S)
        for pid in self.launcher:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def end(self, pid):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: pid not in command_lines(), what=f"the end of {pid}")  # a zombie has no arguments

    @contextlib.contextmanager
    def replaced(self, role, *more):
        """The role's processes end; one of our own, with the arguments of the first, may take their place. Afterwards
        the same without faults goes on, for the next role's sake."""
        of_role = pids(self.dir, role)
        words = command_lines()[of_role[0]]
        words = [word for word in words if word] + [f"--set={word}" for word in more]
        for pid in of_role:
            self.end(pid)
        port = int(next(word for word in words if word.startswith("process.management=")).rsplit(":", 1)[1])
        actor = Actor(self.dir, words, port)
        try:
            yield actor
        finally:
            actor.kill()
            with (pathlib.Path(self.dir) / "replaced.log").open("ab") as log:
                self.substitutes.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            wait_until(lambda: ready(port), what=f"{role} without faults")
