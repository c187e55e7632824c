"""How much memory a process ever had."""

from pathlib import Path


def peak_bytes(pid: int | None = None) -> int:
    """The largest resident size of a process, of this one by default.

    Not `ru_maxrss`: it outlives `exec`, so that a child's begins with what the parent has.
    """
    status = Path(f"/proc/{pid or 'self'}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
