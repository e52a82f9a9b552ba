# SPDX-License-Identifier: Apache-2.0
"""systemd, as far as one service needs it: its unit file is read, its notifications are heard, its descriptors are kept from one start
to the next, and when it dies it is started again.

    service = Service(Entented(...))        # one that was not started yet; it is then used like the program itself
    service.start()                         # returns when READY=1 was said
    service.kill()                          # SIGKILL of the main process; the service comes back by itself
    service.wait_ready()                    # ... and is there again
    service.restart()                       # as `systemctl restart`: SIGTERM, the descriptors are kept
    service.stop()                          # as `systemctl stop`: the descriptors are closed
    service.gaps()                          # one dict for each end: why, seconds without service, ...
    service.about_to_end("kill", -9)        # ... whose cause is somebody else: the gap begins now, and this exit status is no surprise
    service.unasked                         # the ends that nobody asked for, in words

What is done as systemd 252 does it (Debian 12): NotifyAccess=main, FDSTORE with FDNAME and FDPOLL, FDSTOREREMOVE, no descriptor twice,
FileDescriptorStoreMax, LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID, sockets of a socket unit in front of those of the store, Restart, RestartSec,
RestartPreventExitStatus, StartLimit*, TimeoutStartSec, TimeoutStopSec, EXTEND_TIMEOUT_USEC, WatchdogSec; whatever is left of the control
group is ended before the next start. Not done: the sandbox of the unit."""
import array
import collections
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

from waiting import LabError, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT = f"{TOP}/packaging/entented.service.in"
FIRST = 3               # SD_LISTEN_FDS_START
HIGH = 200              # from here on the descriptors are until the program is started
MESSAGE_FDS = 32
Stored = collections.namedtuple("Stored", "name fd identity")
# bash, for dash knows no descriptor above 9. LISTEN_PID is the program's own: exec keeps it.
STARTER = 'export LISTEN_PID=$$; eval "$1"; shift; exec "$@"'


def seconds(text, default=0.0):
    """A time span of a unit file: "100ms", "2", "1min 30s"; "infinity" is a year."""
    if text is None:
        return default
    if text == "infinity":
        return 365 * 86400.0
    units = {"us": 1e-6, "ms": 1e-3, "": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)\s*([a-z]*)", text))


def read_unit(path=UNIT):
    """The last value of each setting in all sections."""
    with open(path, encoding="utf-8") as f:
        return dict(re.findall(r"(?m)^([A-Za-z]+)=(.*)$", f.read()))


def identity(fd):
    """The same for two descriptors of one socket or file."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def group_members(group):
    """The processes of a process group that are still alive; the service is the first of one, as it would be of a control group."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as f:
                words = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(words[3]) == group and words[0] not in "ZX":     # the session: it is its leader
            found.append(int(name))
    return found


class Service:
    """`program`: a Process (process.py) that was not started. `settings`: of the unit, to be overruled ({"RestartSec": "1s"}).
    `sockets`: [(socket, name)], what a socket unit would listen on. All that is not here is the program's: cli(), events(), log ..."""
    ends_well = True

    def __init__(self, program, settings=None, sockets=(), unit=UNIT):
        self.program = program
        self.unit = {**read_unit(unit), **(settings or {})}
        self.sockets = [Stored(name, os.dup(s.fileno()), identity(s.fileno())) for s, name in sockets]
        self.store = []             # of Stored
        self.told = []              # (monotonic time, pid, {variable: value}): every notification that counted
        self.refused = []           # what systemd would have complained of, in words
        self.unasked = []           # ends that nobody asked for, in words: it would come back and nobody would notice
        self.expected = set()       # exit statuses (-signal) that are part of what is tried
        self.phase = "stopped"      # starting, ready, stopping, waiting (for RestartSec), stopped, failed
        self.status = ""            # what it says of itself
        self.generation = 0         # how often it was started
        self._gaps, self._gap = [], None
        self._asked = set()         # exit statuses that this start may end with, since somebody asked for it
        self._starts = collections.deque(maxlen=1000)
        self._want = "down"         # up | down | restart (down, then up)
        self._deadline = None       # of the start or stop under way
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._notify = None
        self._thread = None
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)

    def __getattr__(self, name):
        return getattr(self.__dict__["program"], name)

    # --- what a test does -------------------------------------------------------------------------------------------

    def start(self):
        """Starts it, and waits until it is ready; LabError when it fails."""
        if self.alive() and self._want == "up":
            self.wait_ready()
            return
        first = self.program.before_start() if hasattr(self.program, "before_start") else None
        with self._lock:
            self._open()
            self._want = "up"
            if self.phase in ("stopped", "failed"):
                self._starts.clear()        # somebody asks for it: the limit counts anew
                self._spawn()
        self.wait_ready()
        if hasattr(self.program, "after_start"):
            self.program.after_start(first)

    def restart(self, wait=True):
        """As `systemctl restart`: it is told to end, its descriptors are kept, and it is started at once. Returns when it is ready."""
        with self._lock:
            if not self.alive():
                raise LabError(f"{self.name} does not run")
            before = self.generation
            self._want = "restart"
            self._begin_gap("restart")
            self._asked.add(0)
            self._stopping(signal.SIGTERM)
        if wait:
            self.wait_ready(after=before)

    def stop(self, timeout=None):
        """As `systemctl stop`. The exit status (None when it did not run); LabError when it had to be killed."""
        with self._lock:
            running = self.alive()
            self._want = "down"
            self._asked.add(0)
            if running:
                self._stopping(signal.SIGTERM)
            self._poke()
        limit = timeout or 3 * seconds(self.unit.get("TimeoutStopSec"), 90)
        wait_until(lambda: self.phase in ("stopped", "failed"), limit, f"{self.name} did not stop")
        self._close_store()
        status = self.program.popen.returncode if running else None
        if status and -status in (signal.SIGKILL, signal.SIGABRT):
            raise LabError(f"{self.name} did not end within TimeoutStopSec and was killed")
        return status

    def kill(self, sig=signal.SIGKILL, wait=False):
        """A signal to the main process. `wait`: until it is ready again."""
        with self._lock:
            before = self.generation
            if self.alive():
                if sig in (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV):
                    self._begin_gap("kill", signal=int(sig))
                self._asked.add(-int(sig))
                self.program.popen.send_signal(sig)
        if wait:
            self.wait_ready(after=before)

    def about_to_end(self, why, *statuses):
        """It ends at once by something that the caller does now: without service from here on, and none of these exit statuses is a surprise."""
        with self._lock:
            self._begin_gap(why)
            self._asked.update(statuses)

    def end(self):
        """The lab goes away: it is killed with all that belongs to it, and not started again."""
        with self._lock:
            self._want = "down"
            self.kill()
            self._poke()
        wait_until(lambda: self.phase in ("stopped", "failed"), 10, f"{self.name} cannot be killed")
        self._close_store()

    def gaps(self):
        """One for each end of the service that was followed by a start: why (kill, restart, died, or what about_to_end said), signal or status,
        at (monotonic seconds), down (until the process was gone), seconds (until it was ready again)."""
        with self._lock:
            return [dict(g) for g in self._gaps]

    def alive(self):
        return self.program.popen is not None and self.program.popen.poll() is None

    @property
    def pid(self):
        return self.program.popen.pid if self.alive() else None

    @property
    def popen(self):
        return self.program.popen

    def wait_ready(self, timeout=60, after=None):
        """Until it is ready, in a start later than number `after`."""
        def ready():
            if self.phase == "failed":
                raise LabError(f"{self.name} failed, systemd does not start it again: {'; '.join(self.refused[-3:])}; "
                               f"the end of {self.program.log}:\n{self.program.tail()}")
            return self.phase == "ready" and (after is None or self.generation > after)
        wait_until(ready, timeout, f"{self.name} is not ready (log: {self.program.log})", step=0.002)

    def stored(self):
        """The names in the descriptor store, in its order."""
        with self._lock:
            return [s.name for s in self.store]

    # --- the machine ------------------------------------------------------------------------------------------------

    def _open(self):
        if self._thread:
            return
        path = f"/run/notify-{os.getpid()}-{id(self):x}" if os.access("/run", os.W_OK) else f"{self.program.log}.notify"
        if os.path.exists(path):
            os.unlink(path)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._notify.bind(path)
        os.chmod(path, 0o777)
        self._notify_path = path
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"service {self.name}")
        self._thread.start()

    def _poke(self):
        os.write(self._wake_w, b"x")

    def _spawn(self):
        interval, burst = seconds(self.unit.get("StartLimitIntervalSec"), 10), int(self.unit.get("StartLimitBurst", 5))
        now = time.monotonic()
        while self._starts and self._starts[0] < now - interval:
            self._starts.popleft()
        if interval and len(self._starts) >= burst:
            self._complain(f"start request repeated too quickly ({burst} within {interval:g} s)")
            self._set("failed")
            self._close_store()
            return
        self._starts.append(now)
        p = self.program
        fds = [*self.sockets, *self.store]
        high = [fcntl.fcntl(s.fd, fcntl.F_DUPFD_CLOEXEC, HIGH) for s in fds]
        moves = " ".join(f"exec {FIRST + i}<&{h} {h}<&-;" for i, h in enumerate(high))
        environment = {**p._environment(), "NOTIFY_SOCKET": self._notify_path}
        if seconds(self.unit.get("WatchdogSec")):
            environment["WATCHDOG_USEC"] = str(int(seconds(self.unit["WatchdogSec"]) * 1e6))
        if fds:
            environment.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(s.name for s in fds))
        try:
            with open(p.log, "ab") as out:
                p.log_start = out.tell()
                p.popen = subprocess.Popen(["/bin/bash", "-c", STARTER, "systemd", moves, *p.argv] if fds else p.argv, stdin=subprocess.DEVNULL,
                                           stdout=out, stderr=out, cwd=p.cwd, env=environment, start_new_session=True, pass_fds=high)
        finally:
            for h in high:
                os.close(h)
        self.generation += 1
        self._deadline = now + seconds(self.unit.get("TimeoutStartSec"), 90)
        self._heard = now
        self._set("starting")
        self._poke()

    def _set(self, state):
        self.phase = state
        self._change.notify_all()

    def _complain(self, text):
        self.refused.append(text)

    def _begin_gap(self, why, **more):
        if self._gap is None:
            self._gap = {"why": why, "at": time.monotonic(), **more}

    def _stopping(self, sig):
        self._set("stopping")
        self._deadline = time.monotonic() + seconds(self.unit.get("TimeoutStopSec"), 90)
        self.program.popen.send_signal(sig)
        self._poke()

    def _run(self):
        pidfd, watched = None, None
        again = None        # when RestartSec is over
        while True:
            with self._lock:
                popen = self.program.popen
                if popen is not watched and popen is not None:
                    if pidfd is not None:
                        os.close(pidfd)
                    watched = popen
                    try:
                        pidfd = os.pidfd_open(popen.pid)
                    except OSError:
                        pidfd = None
                now = time.monotonic()
                limits = [x for x in (again, self._deadline if self.phase in ("starting", "stopping") else None, self._watchdog()) if x]
            poll = select.poll()
            for fd in (self._notify.fileno(), self._wake_r, pidfd):
                if fd is not None:
                    poll.register(fd, select.POLLIN)
            poll.poll(max(0, 1000 * (min(limits) - now) + 1) if limits else 500)
            try:
                os.read(self._wake_r, 4096)
            except BlockingIOError:
                pass
            with self._lock:
                while self._hear():
                    pass
                if watched is not None and watched is self.program.popen and self.phase in ("starting", "ready", "stopping") and watched.poll() is not None:
                    again = self._died(watched)
                    if pidfd is not None:
                        os.close(pidfd)
                        pidfd = None
                self._in_time(time.monotonic())
                if self.phase == "waiting" and self._want == "down":
                    again = None
                    self._set("stopped")
                if again and time.monotonic() >= again and self.phase == "waiting":
                    again = None
                    if self._want == "restart":
                        self._want = "up"
                    self._spawn()

    def _watchdog(self):
        limit = seconds(self.unit.get("WatchdogSec"))
        return self._heard + limit if limit and self.phase == "ready" else None

    def _in_time(self, now):
        if self.phase in ("starting", "stopping") and self._deadline and now > self._deadline and self.alive():
            self._complain(f"{self.phase}: timed out, killed")
            self._deadline = now + 5
            self.program.popen.kill()
        if (limit := self._watchdog()) and now > limit and self.alive():
            self._complain("watchdog timeout")
            self._begin_gap("watchdog")
            self._heard = now
            self.program.popen.send_signal(signal.SIGABRT)

    def _died(self, popen):
        """Returns when to start it again, or None."""
        status, now = popen.returncode, time.monotonic()
        planned = self._want in ("restart", "down")
        if status not in self._asked | self.expected:
            self.unasked.append(f"it ended {f'by {signal.Signals(-status).name}' if status < 0 else f'with status {status}'} in phase {self.phase}, start {self.generation}")
        self._asked = set()
        self._sweep(popen.pid)
        if self._want == "down":
            self._set("stopped")
            self._gap = None
            return None
        self._begin_gap("died")
        self._gap.update(status=status, down=round(now - self._gap["at"], 4))
        if not planned and not self._comes_back(status):
            self._want = "down"
            self._set("failed" if status else "stopped")
            self._close_store()
            return None
        self._set("waiting")
        return now if planned else now + seconds(self.unit.get("RestartSec"), 0.1)

    def _comes_back(self, status):
        policy = self.unit.get("Restart", "no")
        prevent = self.unit.get("RestartPreventExitStatus", "").split()
        clean = status == 0 or -status in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
        if str(status) in prevent:
            self._complain(f"ended with status {status}: RestartPreventExitStatus")
            return False
        return {"no": False, "always": True, "on-success": clean, "on-failure": not clean, "on-abnormal": status < 0 and not clean,
                "on-abort": status < 0 and not clean}[policy]

    def _sweep(self, group):
        """KillMode=control-group: what the main process leaves behind is asked to end, then killed, before anything is started."""
        limit = time.monotonic() + seconds(self.unit.get("TimeoutStopSec"), 90)
        asked = False
        while left := group_members(group):
            sig = signal.SIGTERM if time.monotonic() < limit else signal.SIGKILL
            for pid in left if not asked or sig == signal.SIGKILL else ():
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    pass
            asked = True
            time.sleep(0.002)

    # --- notifications ----------------------------------------------------------------------------------------------

    def _hear(self):
        try:
            data, ancillary, _, _ = self._notify.recvmsg(65536, socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * MESSAGE_FDS), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        fds, pid = [], None
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                got = array.array("i")
                got.frombytes(content[:len(content) - len(content) % 4])
                fds.extend(got)
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = array.array("i", content)[0]
        lines = [x for x in data.decode("utf-8", "replace").split("\n") if x]
        said = dict(x.partition("=")[::2] for x in lines)
        if pid != self.program.popen.pid and self.unit.get("NotifyAccess", "main") == "main":
            if "BARRIER" not in said:
                self._complain(f"a notification of {pid}, which is not the main process: {lines}")
        else:
            self.told.append((time.monotonic(), pid, said))
            self._obey(said, lines, fds)
        for fd in fds:      # those that were kept are duplicates
            os.close(fd)
        return True

    def _obey(self, said, lines, fds):
        now = time.monotonic()
        self._heard = now
        self.status = said.get("STATUS", self.status)
        if "EXTEND_TIMEOUT_USEC" in said and self._deadline:
            self._deadline = max(self._deadline, now + int(said["EXTEND_TIMEOUT_USEC"]) / 1e6)
        if "FDSTOREREMOVE=1" in lines:
            for s in [s for s in self.store if s.name == said.get("FDNAME")]:
                self.store.remove(s)
                os.close(s.fd)
        if "FDSTORE=1" in lines:
            self._keep(said.get("FDNAME", "stored"), fds)
        if "STOPPING=1" in lines and self.phase == "ready":     # by itself, or by a signal that was not ours
            self._begin_gap("ended")
            self._set("stopping")
            self._deadline = now + seconds(self.unit.get("TimeoutStopSec"), 90) + int(said.get("EXTEND_TIMEOUT_USEC", 0)) / 1e6
        if "READY=1" in lines and self.phase == "starting":
            if self._gap is not None:
                self._gap["seconds"] = round(now - self._gap["at"], 4)
                self._gaps.append(self._gap)
                self._gap = None
            self._deadline = None
            self._set("ready")

    def _keep(self, name, fds):
        if not re.fullmatch(r"[\x20-\x39\x3b-\x7e]{1,255}", name):
            self._complain(f"FDNAME={name!r} is no name for a descriptor")
            name = "stored"
        for fd in fds:
            if any(s.identity == identity(fd) for s in self.store):       # it is there; the older name stays
                continue
            if len(self.store) >= int(self.unit.get("FileDescriptorStoreMax", 0)):
                self._complain(f"the descriptor store is full, {name} is not kept")
                continue
            self.store.append(Stored(name, os.dup(fd), identity(fd)))

    def _close_store(self):
        with self._lock:
            for s in self.store:
                os.close(s.fd)
            self.store.clear()
