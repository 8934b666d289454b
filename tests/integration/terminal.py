"""Runs a program in a pseudo-terminal and says what a person in front of it sees.

    terminal.py COLUMNS ROWS 'JSON' program [argument ...]

JSON is a list of steps: ["wait", text] until the screen shows it, ["resize", columns, rows],
["signal", number], ["type", text], ["touch", path], ["file", path] until there is such a file,
["stopped"] until the program is. Each wait, also for a stop, takes a picture, and so does the end. Prints {"code", "raw", "snaps": [{"lines", "hidden", "x",
"y", "columns", "rows", "above"}]}, above being what has scrolled away. Ends with status 3 when a step or
the program takes longer than the deadline."""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte

DEADLINE_S = 60


class Terminal:
    def __init__(self, columns, rows, argv):
        self.screen = pyte.HistoryScreen(columns, rows, history=100000, ratio=0.5)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.ByteStream(self.screen)
        self.raw, self.snaps = b"", []
        self.deadline = time.monotonic() + DEADLINE_S
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.set_size(0, columns, rows)
            os.execvp(argv[0], argv)

    @staticmethod
    def set_size(fd, columns, rows):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """One read, fed to the screen; False at the end."""
        if time.monotonic() > self.deadline:
            sys.stderr.write("too long; the screen:\n" + "\n".join(self.screen.display) + "\n")
            os.kill(self.pid, signal.SIGKILL)
            sys.exit(3)
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def snap(self):
        s = self.screen
        above = ["".join(line[x].data for x in range(s.columns)).rstrip() for line in s.history.top]
        self.snaps.append({
            "lines": [line.rstrip() for line in s.display], "hidden": s.cursor.hidden, "x": s.cursor.x, "y": s.cursor.y,
            "columns": s.columns, "rows": s.lines, "above": above,
        })

    def resize(self, columns, rows):
        """As terminals do it: lines below the cursor go first, then those at the top, and the cursor
        stays on its line."""
        s = self.screen
        x, y = s.cursor.x, s.cursor.y
        for _ in range(max(0, y + 1 - rows)):
            s.cursor_position(s.lines, 1)
            s.index()
            y -= 1
        for row in range(rows, s.lines):
            s.buffer.pop(row, None)
        s.lines = rows
        s.resize(rows, columns)
        s.cursor.x, s.cursor.y = min(x, columns - 1), y
        s.dirty.clear()
        self.set_size(self.fd, columns, rows)

    def step(self, name, *arguments):
        if name == "wait":
            while arguments[0] not in "\n".join(self.screen.display):
                if not self.read(0.2):
                    sys.stderr.write("the program ended before it showed %r:\n%s\n" % (arguments[0], self.raw.decode(errors="replace")))
                    sys.exit(3)
            self.snap()
        elif name == "resize":
            self.resize(*arguments)
        elif name == "signal":
            os.kill(self.pid, arguments[0])
        elif name == "type":
            os.write(self.fd, arguments[0].encode())
        elif name == "touch":
            open(arguments[0], "w").close()
        elif name == "stopped":
            while not os.WIFSTOPPED(os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)[1]):
                self.read(0.05)
            self.read(0.05)
            self.snap()
        elif name == "file":
            while not os.path.exists(arguments[0]):
                self.read(0.05)
        else:
            sys.exit("no such step: " + name)

    def finish(self):
        while self.read(0.2):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.snap()
        return os.waitstatus_to_exitcode(status)


def main():
    columns, rows, steps, argv = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:]
    terminal = Terminal(columns, rows, argv)
    for step in steps:
        terminal.step(*step)
    code = terminal.finish()
    json.dump({"code": code, "raw": terminal.raw.decode(errors="replace"), "snaps": terminal.snaps}, sys.stdout)


main()
