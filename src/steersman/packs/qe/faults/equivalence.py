"""What is known of a fault before any test runs: that it is no Python, or that it is no fault because nothing changes.

That two programs do the same cannot be decided in general (Budd and Angluin 1982), so a fault counts as equivalent only
where that is proved. One that no test shows and that is not proved equivalent stays what it is: unknown.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from steersman.core.errors import InvalidInput
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.project.sandbox import Sandbox

Standing = Literal["invalid", "equivalent", "other"]
"""invalid: it does not compile. equivalent: proved to be the same program. other: another program, as far as is known."""

_LIMIT_S = 300.0


def standings(sandbox: Sandbox, faults: Sequence[Fault], texts: Mapping[str, str]) -> list[Standing]:
    """Return what the project's own compiler says of each fault, by `byte_code`, as its tests run (PYTHONOPTIMIZE).

    texts: of the files, as they are without a fault. Raises InvalidInput where the interpreter does not answer.
    """
    files = list(dict.fromkeys(each.file for each in faults))
    changes = {file: [(each.start, each.end, each.after) for each in faults if each.file == file] for file in files}
    asked = json.dumps([(file, texts[file], changes[file]) for file in files])
    command = [sandbox.project.tools.interpreter, "-W", "ignore", str(Path(__file__).with_name("byte_code.py"))]
    try:
        answer = subprocess.run(
            command, input=asked, capture_output=True, text=True, timeout=_LIMIT_S, check=True, env=sandbox.environment()
        )
        told = dict(zip(files, map(iter, json.loads(answer.stdout)), strict=True))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        why = getattr(error, "stderr", "") or ""
        raise InvalidInput(f"{command[0]} does not compile the sources: {error} {why.strip()[-400:]}") from error
    return [next(told[each.file]) for each in faults]
