"""Ways of making a bundle: one file per recipe. The only package that knows torch.

Torch's threads wait for each other at the end of every operation, and by default they do so by counting: beside any
other process on the same cores that takes three times as long as sleeping does, and starves that process too. The
variable is read when torch is loaded, so it is set before; a user's own value stands.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
