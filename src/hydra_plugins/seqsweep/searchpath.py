"""Makes ``sweeps/`` known to Hydra, for our own command only."""

from __future__ import annotations

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class SeqsweepSearchPath(SearchPathPlugin):
    """Appends the user's and the shipped studies where the application's own folder is seqsweep's ``conf``.

    Hydra runs every search-path plugin in every application of the environment.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra while it sets up its search path."""
        paths = sys.modules.get("seqsweep.paths")
        if paths is None:  # our own application has imported it by now; no other shall pay for it
            return
        shipped = paths.shipped
        main = [entry.path for entry in search_path.get_path() if entry.provider == "main"]
        if main == [f"file://{shipped('conf')}"] or main == [str(shipped("conf"))]:
            for folder in paths.sweeps():
                search_path.append("seqsweep-studies", f"file://{folder}")
