# SPDX-License-Identifier: Apache-2.0
"""One program of the lab: started, watched, stopped, its output in a file."""
import os
import signal
import socket
import subprocess
import time

from waiting import LabError, wait_until


def answers(address, port):
    """True when something accepts TCP connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False


class Process:
    """A program in its own process group. `ready(self)` is polled after the start until it is true."""
    ends_well = False       # is it our business that it obeys SIGTERM?

    def __init__(self, name, argv, log, ready, env=None, cwd=None, timeout=20):
        self.name, self.argv, self.log, self.ready = name, argv, log, ready
        self.env, self.cwd, self.timeout = env, cwd, timeout
        self.popen = None
        self.log_start = 0      # where in the log the present run begins

    def start(self):
        if self.alive():
            return
        with open(self.log, "ab") as out:
            self.log_start = out.tell()
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.cwd,
                env=self._environment(), start_new_session=True)
        wait_until(self._up, self.timeout, f"{self.name} is not ready (log: {self.log})")

    def _environment(self):
        merged = {**os.environ, **(self.env or {})}
        return {k: v for k, v in merged.items() if v is not None}   # None takes a variable away

    def _up(self):
        if not self.alive():
            raise LabError(f"{self.name} ended with status {self.popen.returncode} while starting; "
                           f"the end of {self.log}:\n{self.tail()}")
        return self.ready(self)

    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def endless_loop(self, address, port, hello, seconds=3):
        """The proof in words that it is in one, else None: all the time it runs, or would if others let it, it never waits for anything,
        says nothing in its log, and does not answer `hello` of a new client. A program that is merely busy does one of these."""
        def used():
            with open(f"/proc/{self.popen.pid}/stat", encoding="ascii") as f:
                words = f.read().rsplit(")", 1)[1].split()
            with open(f"/proc/{self.popen.pid}/status", encoding="ascii") as f:
                waits = next(int(x.split()[1]) for x in f if x.startswith("voluntary_ctxt_switches:"))
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), waits, os.path.getsize(self.log)
        if not self.alive():
            return None
        (cpu, *still), start = used(), time.monotonic()
        try:
            with socket.create_connection((address, port), timeout=seconds) as client:
                client.sendall(hello)
                if client.recv(1):
                    return None
        except OSError:
            pass
        time.sleep(max(0, start + seconds - time.monotonic()))
        (cpu_then, *then), wall = used(), time.monotonic() - start
        if then != still or cpu_then - cpu < 0.03 * wall:      # a small share is all that it gets when many want to run
            return None
        return f"{cpu_then - cpu:.1f} s of CPU in {wall:.1f} s, not one wait, no line in its log, no answer to a new client"

    def stop(self, timeout=15):
        """Ask it to end and wait; returns the exit status (None when it was not running, or was a peer that had to be killed: Kamailio
        sometimes waits for a child of its own)."""
        if not self.alive():
            return None
        self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            if not self.ends_well:
                return None
            raise LabError(f"{self.name} did not end within {timeout} s of SIGTERM and was killed") from None

    def kill(self):
        """kill -9, children included."""
        if self.popen is None:
            return
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def output(self):
        """What it printed since its last start."""
        with open(self.log, "rb") as f:
            f.seek(self.log_start)
            return f.read().decode("utf-8", "replace")

    def tail(self, lines=20):
        try:
            with open(self.log, "rb") as f:
                return "\n".join(f.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


class Group:
    """Several programs that are one to the lab: started in order, stopped backwards."""
    ends_well = False

    def __init__(self, name, parts):
        self.name, self.parts = name, parts

    def start(self):
        for part in self.parts:
            part.start()

    def alive(self):
        return all(part.alive() for part in self.parts)

    @property
    def popen(self):
        """The process of the part that ended, else the first part's."""
        return next((p for p in self.parts if not p.alive()), self.parts[0]).popen

    def stop(self, timeout=15):
        statuses = [part.stop(timeout) for part in reversed(self.parts)]
        return next((s for s in statuses if s), 0)

    def kill(self):
        for part in reversed(self.parts):
            part.kill()

    def tail(self, lines=20):
        return "\n".join(f"-- {part.name}\n{part.tail(lines)}" for part in self.parts)
