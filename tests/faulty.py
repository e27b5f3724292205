"""writd that dies at a named place (base/fault.h); needs a build with --enable-faults: WRIT_BUILD_FAULTS=FOLDER."""

import os
import pathlib
import shutil

import harness


def build_with_faults():
    """A folder with a writd that was configured with --enable-faults."""
    for name in ("WRIT_BUILD_FAULTS", "WRIT_BUILD"):
        folder = pathlib.Path(os.environ.get(name) or harness.BUILD).resolve()
        if (folder / "writd").exists() and b"WRIT_FAULTS" in (folder / "writd").read_bytes():
            return folder
    return None


class FaultyWrit(harness.Writ):
    """writd that dies where a file in the folder faults/ says so."""

    def command(self):
        faults = self.folder / "faults"
        faults.mkdir(exist_ok=True)
        harness.give_away(faults)
        shutil.copy(build_with_faults() / "writd", self.folder / "writd")
        usual = harness.workspace().bin / "writd"
        words = [self.folder / "writd" if word == usual else word for word in super().command()]
        return ["/usr/bin/env", f"WRIT_FAULTS={faults}", *words]

    def die_at(self, place):
        fault, made = self.folder / "faults" / place, self.folder / "fault"
        made.touch()
        harness.give_away(made)
        made.rename(fault)  # whole, and perhaps gone at once
        return fault


def faulty_site(database, manifest, **settings):
    site = harness.Site(database, manifest, **settings)
    site.writ = FaultyWrit(database, manifest, **settings)
    site.nginx = harness.Nginx(harness.SITE, site.writ.border_socket, site.writ.inside_socket)
    site.client, site.inside = harness.Client(site.nginx.socket), harness.Client(site.nginx.inside_http, prefix="Writ")
    return site
