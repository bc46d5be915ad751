"""All sites of a set of targets, and the list of what can be probed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.targets.globs import once
from remora.agent.targets.resolve import resolve
from remora.agent.targets.site import Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.agent.modules import ModuleStore
    from remora.agent.targets.site import Site
    from remora.protocol import TargetSet


def points(
    targets: TargetSet, store: ModuleStore, limit: int
) -> tuple[list[Point], int]:
    """List what the targets mean in this process: up to `limit`, and how many more."""
    listed: list[Point] = []
    more = 0
    for site in sites_meant(targets, store):
        if len(listed) < limit:
            listed.append(
                Point(site.target, site.kind.value, site.file, site.line, site.note)
            )
        else:
            more += 1
    return listed, more


def sites_meant(targets: TargetSet, store: ModuleStore) -> Iterator[Site]:
    """Yield each site of the included targets once, less the excluded ones."""
    return once(
        site
        for target in targets.include
        for site in resolve(target, store).sites
        if not targets.excludes(site.module, site.qualname)
    )
