"""Become a command whose controlling terminal is the one on stdout: only then is Ctrl-C a signal."""

import fcntl
import os
import sys
import termios

fcntl.ioctl(sys.stdout.fileno(), termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell wanted
