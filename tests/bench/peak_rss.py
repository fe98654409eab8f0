#!/usr/bin/env python3
"""peak_rss.py FILE COMMAND... - runs the command, writes its peak resident memory in KiB to FILE, exits as it did.

The kernel counts what the process had before it became the command, so the least that this shows is what a bare Python
needs: some 10 MiB.
"""
import os
import sys

pid = os.fork()
if pid == 0:
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as e:
        print(f"{sys.argv[2]}: {e.strerror}", file=sys.stderr)
        os._exit(127)
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w", encoding="ascii") as f:
    print(usage.ru_maxrss, file=f)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
