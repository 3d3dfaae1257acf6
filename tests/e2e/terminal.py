"""A program on a pseudo-terminal, as a user has it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import Failed, shortened


class Terminal:
    """Runs argv on a terminal of its own: type() sends keys, wait_for() reads until a pattern shows."""

    def __init__(self, argv, env, cwd, rows=40, columns=100):
        self.master, self.slave = pty.openpty()
        self.size(rows, columns)
        self.modes = termios.tcgetattr(self.slave)
        self.seen = ""

        def lead():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=dict(env, TERM="xterm-256color"), cwd=cwd,
                                        preexec_fn=lead)

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, pattern, timeout=30):
        """Reads on until the pattern shows in what came since the last match; gives the match."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise Failed(f"the terminal never showed {pattern!r}; it shows {shortened(self.seen)!r}")
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                raise Failed(f"the program ended before it showed {pattern!r}; it showed {shortened(self.seen)!r}")

    def wait(self, timeout=20):
        """The exit status; what the program still prints is read, so that it can end."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        if self.process.poll() is None:
            raise Failed(f"the program did not end; the terminal shows {shortened(self.seen)!r}")
        return self.process.returncode

    def modes_now(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
