# SPDX-License-Identifier: Apache-2.0
"""What all parts of the bench need: the servers under test on their core, the generators on the other one, and what the kernel says
about them."""
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, "..", "tests", "lab")
sys.path[:0] = [HERE, LAB]
import peers                                    # noqa: E402
from daemon import BUILD, SOCKET, Entented, binary      # noqa: E402, F401
from process import answers                     # noqa: E402
from waiting import LabError                    # noqa: E402

# Nothing that a message passes may be held back: the limits on rates are for the open network.
LIMITS = "limits:\n  partner-rate: 100000\n  sender-rate: 100000\n"


# --- the kernel -----------------------------------------------------------------------------------------------------

def first_line(*command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return "" if out.returncode else out.stdout.strip().split("\n")[0]
    except (OSError, subprocess.TimeoutExpired):
        return ""


def field(path, name):
    try:
        with open(path, encoding="utf-8") as f:
            for line in f:
                key, _, value = line.partition(":")
                if key.strip() == name:
                    return value.strip()
    except OSError:
        pass
    return ""


def cores():
    """(core of the server, core of the generator), not of one physical core where that can be had; None with one core."""
    have = sorted(os.sched_getaffinity(0))
    if len(have) < 2:
        return None
    siblings = first_line("cat", f"/sys/devices/system/cpu/cpu{have[0]}/topology/thread_siblings_list")
    near = {int(x) for x in re.findall(r"\d+", siblings)}
    return have[0], next((c for c in have[1:] if c not in near), have[1])


def tree(pid):
    """The process and all below it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                    parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
    found = [pid]
    for p in found:
        found += [child for child, parent in parents.items() if parent == p]
    return found


def pids_of(program):
    """Of a Process, or of several that are one server."""
    programs = getattr(program, "parts", None) or [program]
    return [pid for p in programs for pid in tree(p.popen.pid)]


def memory(pids, name):
    """KiB. Of several processes the proportional share, so that what they share counts once."""
    if len(pids) == 1:
        return int((field(f"/proc/{pids[0]}/status", name) or "0").split()[0])
    return sum(int((field(f"/proc/{p}/smaps_rollup", "Pss") or "0").split()[0]) for p in pids)


def cpu(pid):
    """Seconds of processor time of all threads so far: (exact sum, user ticks, system ticks)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return time.clock_gettime(((~pid) << 3) | 2), int(fields[11]), int(fields[12])   # the processor clock of a process


def threads(pid):
    """Seconds of processor time of each thread so far: {name: seconds}."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8") as f, open(f"/proc/{pid}/task/{tid}/schedstat", encoding="utf-8") as s:
            found[f.read().strip()] = int(s.read().split()[0]) / 1e9
    return found


# --- files ----------------------------------------------------------------------------------------------------------

def rewrite(path, *pairs):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for old, new in pairs:
        text = text.replace(old, new)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def render(template, to, **values):
    """bench/etc/template to the file `to`, each @NAME@ replaced."""
    with open(f"{HERE}/etc/{template}", encoding="utf-8") as f:
        text = f.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    with open(to, "w", encoding="utf-8") as f:
        f.write(text)
    return to


# --- programs -------------------------------------------------------------------------------------------------------

class Bench:
    """The programs of one run, its folder, its cores."""

    def __init__(self, o):
        self.o = o
        os.makedirs(f"{BUILD}/lab", exist_ok=True)
        self.run = tempfile.mkdtemp(prefix="bench.", dir=f"{BUILD}/lab")
        self.certs = peers.certificates(f"{BUILD}/lab/certs")
        self.cores = None if o.no_pin else cores()
        self.programs = []
        if self.cores:
            os.sched_setaffinity(0, {self.cores[1]})    # this program and all that it starts, but the servers under test
            os.environ["ENTENTE_WRAPPER"] = f"taskset -c {self.cores[0]}"

    @property
    def pin(self):
        """Words before the program of a server under test."""
        return ["taskset", "-c", str(self.cores[0])] if self.cores else []

    def start(self, program):
        self.programs.append(program)       # one that never gets ready has to be ended, too
        program.start()
        return program

    def stop(self, *programs):
        for p in programs or tuple(reversed(self.programs)):
            p.stop()
            self.programs.remove(p)

    def kill(self):
        while self.programs:
            self.programs.pop().kill()

    def entented(self, folder, transport, extra=LIMITS, workers=1, ports=(5061, 5269), external="", dialect=None):
        """As installed, but quiet."""
        os.makedirs(folder)
        daemon = Entented(folder, self.certs, "external", transport, workers=workers, log_level="warning", extra=extra, external=external)
        rewrite(daemon.config, ("trace: true", "trace: false"), *([("  - name: contoso\n", f"  - name: contoso\n    dialect: {dialect}\n")] if dialect else []))
        # at this level it does not say that it is ready
        daemon.ready = lambda _: all(answers(peers.GATEWAY, p) for p in ports) and os.path.exists(SOCKET)
        return self.start(daemon)

    def generator(self, name):
        return f"{BUILD}/bench/{name}"

    def generate(self, name, *words, timeout=120):
        """One run of a generator; its report, or None."""
        done = subprocess.run([self.generator(name), *(str(x) for x in words)], capture_output=True, text=True, timeout=timeout)
        if done.stderr:
            print(done.stderr, file=sys.stderr, end="")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None


class Generator:
    """crowd, talk or idle: told what to do by lines, answers with lines of JSON."""

    def __init__(self, argv, log):
        self.out = open(log, "ab")
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.out)
        self.name = os.path.basename(argv[0])
        self.log = log

    def tell(self, line):
        try:
            self.popen.stdin.write(line.encode() + b"\n")
            self.popen.stdin.flush()
        except OSError:
            raise LabError(f"{self.name} is gone (log: {self.log})") from None

    def hear(self, event, timeout):
        if not select.select([self.popen.stdout], [], [], timeout)[0]:
            raise LabError(f"{self.name} did not say '{event}' within {timeout} s (log: {self.log})")
        line = self.popen.stdout.readline()
        said = json.loads(line) if line else {}
        if said.get("event") != event:
            raise LabError(f"{self.name} ended, or said {line!r} instead of '{event}' (log: {self.log})")
        return said

    def ask(self, line, event, timeout=15):
        self.tell(line)
        return self.hear(event, timeout)

    def stop(self):
        self.popen.stdin.close()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.popen.kill()
        self.popen.wait()


def command(program, *words):
    """An administrator's command that must succeed."""
    done = program.cli(*words)
    if done.returncode:
        raise LabError(f"entente {' '.join(words)}: {done.stdout}{done.stderr}")
