"""Starting a process of the stack."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from face_import.settings import CHECKOUT


def launch(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes], *, new_session: bool = False
) -> "subprocess.Popen[bytes]":
    """Start a program in the checkout; what it writes is readable by its owner only.

    Args:
        command: program and arguments, no shell.
        environment: of `environment.stack_environment`.
        output: gets both of its output streams.
        new_session: whether a Ctrl-C of the caller's terminal is to pass it by.
    """
    return subprocess.Popen(  # noqa: S603 - the commands are ours
        command,
        env=dict(environment),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=new_session,
        umask=0o077,
    )
