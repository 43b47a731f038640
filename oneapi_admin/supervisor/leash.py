"""Start a program that does not outlive its parent: ``python -IS leash.py PARENT SIGNAL LOCK PROGRAM …``.

Replaces itself with PROGRAM, after asking the kernel to send SIGNAL when the process PARENT dies, even of
SIGKILL (Linux; elsewhere the program is simply started). SIGNAL ends PROGRAM until it handles it, also where
whoever started us ignores it, as shells do for what they start in the background. With LOCK, a file that is
not ``-``, it first waits until no other process holds that file's lock, and PROGRAM holds it for as long as
it lives.

A script of its own with nothing but the standard library, because it has to be quick, and because a function
run between fork and exec may hang where the parent has threads.
"""

import ctypes
import fcntl
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, signal_number, lock, *command = sys.argv[1:]
    if int(signal_number) != signal.SIGKILL:  # which nobody can ignore
        signal.signal(int(signal_number), signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if lock != "-":
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.set_inheritable(descriptor, True)
    if os.getppid() != int(parent):  # it died before the kernel knew of our wish
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  what the supervisor runs


if __name__ == "__main__":
    main()
