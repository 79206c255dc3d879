"""The command line of a host, for the gateway only: two file descriptors, the gateway's pid, ``module:attribute``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

# Before anything that could take time: a host must not outlive its gateway.
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

if __name__ == "__main__":
    fd, heartbeat_fd, gateway, factory = sys.argv[1:]
    if os.getppid() != int(gateway):  # it died before the line above
        os._exit(0)
    from hyperllama.host.child import main

    main(int(fd), int(heartbeat_fd), factory)
    os._exit(0)
