#!/usr/bin/env python3
"""kill_sweep.py - SIGKILL before and after each of the first system calls of a run on one thread, and at random instants of
runs at -j 8.

After each: final names hold old or new bytes, complete; the rights of no file were ever above its own; the catalog is
whole. The same command once more then exits 0, and all is as after a run that was not cut.
"""
import os
import random
import time

from lab import KINDS, Broken, Fault, Lab, Sweep, in_scratch, options, scenarios

FIRST_CALLS = 400
RANDOM_INSTANTS = 200
# What changes nothing, and memory, is left out: what lies between two of the others is one instant.
RELEVANT = [k for k in KINDS if k not in ("stat", "seek", "malloc", "mmap", "thread")]


def check(lab, s, r):
    lab.check_files(s, killed=True)
    for path in lab.temps():
        rights = os.stat(path).st_mode & 0o777
        if rights not in lab.rights:
            raise Broken("rights of a temp file: %o" % rights)
    lab.check_open_modes(r)
    lab.check_state()
    lab.check_rerun(s)


def killed(s, what, threads, fault=None, after=None):
    def do(lab):
        lab.fresh(s)
        lab.rights = {mode & 0o777 for mode, _ in s.new.values()} | {0o600, 0o604}
        r = lab.run(s, fault, threads=threads, io_depth=1 if threads == 1 else 16, kill_after=after)
        if r.code not in (0, -9):
            raise Broken("exit code %d: %s" % (r.code, r.err))
        if fault is not None and threads == 1 and r.code == 0 and fault.at < 50:
            raise Broken("it was not killed")
        try:
            check(lab, s, r)
        except Broken as e:
            raise Broken("%s; at %s %s; exit code %d" % (e, r.function, r.path, r.code)) from None
    return (what, "random instants" if after is not None else fault.do, do)


def main(tops):
    o = options(__doc__)
    lab = Lab(tops[0] + "/learn")
    os.makedirs(lab.top)
    cases = []
    rng = random.Random(o.seed)
    for s in scenarios():
        if s.name == "hash" or o.scenarios and s.name not in o.scenarios.split(","):
            continue
        r = lab.learn(s)
        calls = sum(r.counts[k] for k in RELEVANT)
        lab.fresh(s)
        begun = time.monotonic()
        lab.run(s, threads=8, io_depth=16)
        seconds = time.monotonic() - begun
        for n in range(1, min(calls, FIRST_CALLS) + 1):
            for do in ("kill", "killed"):
                cases.append(killed(s, "%s -j 1: %s at call %d" % (s.name, do, n), 1, Fault(RELEVANT, n, do)))
        for _ in range(RANDOM_INSTANTS):
            part = rng.random()
            cases.append(killed(s, "%s -j 8: after %.4f of its time" % (s.name, part), 8, after=part * seconds))
    return Sweep("kill sweep", o, tops).run(cases)


in_scratch(main)
