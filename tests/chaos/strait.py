#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A bad line: packets between this network namespace and another one go through two TUN devices and this program, which loses, delays,
reorders and throttles them. What sch_netem does where the kernel has it, without the kernel module.

    with Strait(...) as line:       # from an experiment; line.netns is the other namespace, for sockets
        line.set(loss=30, delay=250, jitter=250)

Here is 10.77.255.1, there are 10.77.0.2, 10.77.1.2 and so on. As a program it is the line itself: words on standard input."""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

NEAR = "10.77.255.1"
TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
QUEUE = 1000        # packets that wait for a slow line, each way


def far(number=0):
    return f"10.77.{number}.2"


def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def enter(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Way:
    """One direction."""

    def __init__(self, rng, to):
        self.rng, self.to = rng, to
        self.loss = self.delay = self.jitter = self.rate = 0.0
        self.down = False
        self.queue, self.free, self.number = [], 0.0, 0
        self.passed = self.lost = 0

    def take(self, packet, now):
        if self.down or self.rng.random() * 100 < self.loss or len(self.queue) >= QUEUE:
            self.lost += 1
            return
        at = now
        if self.rate:
            self.free = at = max(now, self.free) + len(packet) * 8 / self.rate
        at += max(0.0, self.delay + self.rng.uniform(-self.jitter, self.jitter)) / 1000
        self.number += 1
        heapq.heappush(self.queue, (at, self.number, packet))

    def give(self, now):
        while self.queue and self.queue[0][0] <= now:
            packet = heapq.heappop(self.queue)[2]
            self.passed += 1
            try:
                os.write(self.to, packet)
            except OSError:
                self.lost += 1


def main():
    seed, members = sys.argv[1], int(sys.argv[2])
    rng = random.Random(seed)
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    there = f"/proc/{holder.pid}/ns/net"
    here = os.readlink("/proc/self/ns/net")
    while os.readlink(there) == here:
        time.sleep(0.01)
    near = tun("strait")
    ip("address", "add", f"{NEAR}/16", "dev", "strait")
    ip("link", "set", "strait", "up")
    enter(there)
    other = tun("strait")
    for n in range(members):
        ip("address", "add", f"{far(n)}/16", "dev", "strait")
    ip("link", "set", "strait", "up")
    ip("link", "set", "lo", "up")
    ways = {near: Way(rng, other), other: Way(rng, near)}
    print(there, flush=True)
    try:
        turn(ways)
    finally:
        holder.kill()


def turn(ways):
    while True:
        now = time.monotonic()
        due = min((w.queue[0][0] for w in ways.values() if w.queue), default=now + 1)
        ready = select.select([0, *ways], [], [], max(0, min(1, due - now)))[0]
        now = time.monotonic()
        for fd in ready:
            if fd == 0:
                line = sys.stdin.readline()
                if not line:
                    return
                for word in line.split():
                    name, value = word.split("=")
                    for way in ways.values():
                        setattr(way, name, bool(int(value)) if name == "down" else float(value))
                print(" ".join(f"{w.passed}/{w.lost}" for w in ways.values()), flush=True)
                continue
            try:
                while True:
                    ways[fd].take(os.read(fd, 2048), now)
            except BlockingIOError:
                pass
        for way in ways.values():
            way.give(now)


class Strait:
    def __init__(self, seed, members=4):
        self.program = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(seed), str(members)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.netns = self.program.stdout.readline().strip()
        if not self.netns:
            raise RuntimeError("no line: TUN devices need root and /dev/net/tun")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.stdin.close()
        self.program.wait(10)

    def set(self, **values):
        """loss (per cent), delay and jitter (ms, each way), rate (bit/s, 0: as fast as it goes), down (0, 1). What is not named stays. Returns
        "passed/lost passed/lost", packets there and back so far."""
        self.program.stdin.write(" ".join(f"{k}={int(v) if k == 'down' else v}" for k, v in values.items()) + "\n")
        self.program.stdin.flush()
        return self.program.stdout.readline().strip()


def impossible():
    """Why there can be no such line here, or None."""
    if not os.path.exists("/dev/net/tun"):
        return "/dev/net/tun is not there"
    return None if os.geteuid() == 0 else "TUN devices need root"


if __name__ == "__main__":
    main()
