"""The fault kit: each fault is a plain function of a folder that harms real processes, many times, and then looks for
everything that was acknowledged. `python -m nanosmith.testing.faults` runs them all.

outcome = kill(folder, cycles=20)      # raises FaultFound, NotPossible

`broken` names a function ("module:function") that each process under test calls before it begins, `tune` the flow of
its jobs: so a test can break the product, and see that the fault is found.
"""

from nanosmith.testing.faults.found import FaultFound, Findings, NotPossible, Outcome, Tick

__all__ = ["FaultFound", "Findings", "NotPossible", "Outcome", "Tick"]
