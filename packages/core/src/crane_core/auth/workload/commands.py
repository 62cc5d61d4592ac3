"""Commands that print a token."""

from __future__ import annotations

import asyncio

from crane_core.programs import find_program

COMMAND_SECONDS = 30.0


async def run_command(command: list[str]) -> str | None:
    """Return a command's output, None if there is no such program.

    Raises `ValueError` if it fails or takes too long. What it printed is not shown: it may hold
    a token.
    """
    program = find_program(command[0], None)
    if program is None:
        return None
    process = await asyncio.create_subprocess_exec(
        program,
        *command[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ValueError(f"{command[0]} did not end in {COMMAND_SECONDS:.0f} s") from None
    if process.returncode != 0:
        raise ValueError(f"{command[0]} ended with {process.returncode}")
    return output.decode("utf-8", "replace")
