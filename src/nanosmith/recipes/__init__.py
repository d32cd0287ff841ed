"""Ways of making a bundle: one file per recipe. The only package that knows torch.

Torch's threads wait for each other at the end of every operation, and by default they do so by counting for
milliseconds: beside any other process on the same cores that takes three times as long as sleeping does, and starves
that process too. So they count to a thousand, some microseconds, before they sleep. The variable is read when torch is
loaded, so it is set before; a user's own settings stand.
"""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
