"""A real server of a test's own: in the foreground, from a configuration below the work directory, on a port that was free."""

import shutil
import socket
import subprocess
import time

from agent import PATIENCE, WORK


class Server:
    """What a kind of server adds: `command`, the words it is started with, and `is_up`."""

    def __init__(self, name, program):
        assert shutil.which(program), f"{program} is not installed: tests/setup test installs it"
        self.program = program
        self.directory = WORK / f"{name}-server"
        self.directory.mkdir()
        self.process = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self):
        log = (self.directory / "out").open("ab")
        self.process = subprocess.Popen([self.program, *self.command()], cwd=self.directory, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self.is_up():
            assert self.process.poll() is None and time.monotonic() < end, (self.directory / "out").read_text()[-2000:]
            time.sleep(0.05)

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(60)
