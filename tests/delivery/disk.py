"""A small file system of its own, which can be filled or stopped without harm to anybody else."""

import subprocess

DISK_MIB = 192


class Disk:
    def __init__(self, directory):
        image = directory.with_suffix(".img")
        subprocess.run(["truncate", "-s", f"{DISK_MIB}M", image], check=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "0", image], check=True)
        directory.mkdir()
        # Where there are no loop devices, memory has to do, and the agent is charged for it.
        self.is_memory = subprocess.run(["mount", "-o", "loop", image, directory]).returncode != 0
        if self.is_memory:
            print("   no loop device here: the full disk is a tmpfs, and the agent's memory limit is raised by its size")
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", directory], check=True)
        self.directory, self.ballast = directory, directory / "ballast"

    def fill(self):
        with self.ballast.open("wb", buffering=0) as ballast:
            # Down to the last block: pieces of a block, too, until none fits.
            for piece in (1 << 20, 4096):
                try:
                    while True:
                        ballast.write(b"x" * piece)
                except OSError:
                    pass

    def empty(self):
        self.ballast.unlink()

    def stand_still(self):
        """Whoever writes waits from now on, as on a disk that does not answer."""
        subprocess.run(["fsfreeze", "--freeze", self.directory], check=True)

    def go_on(self):
        subprocess.run(["fsfreeze", "--unfreeze", self.directory], check=True)

    def close(self):
        subprocess.run(["umount", self.directory], check=True)
