"""`anew` with time counted in CPU seconds of the process, and with sound in another form than log-mel magnitudes.

python bench/_audio_command.py FORM train DATA --run RUN ...      FORM: mel, complex, raw
"""

from __future__ import annotations

import sys
import time

time.monotonic = time.process_time  # before anything of Anew is imported: budgets are then of CPU time

from _audio_forms import FORMS  # noqa: E402
from anew import cli  # noqa: E402
from anew.data.modalities import audio  # noqa: E402

if __name__ == "__main__":
    audio.EXPORT = FORMS[sys.argv[1]]
    sys.exit(cli.main(sys.argv[2:]))
