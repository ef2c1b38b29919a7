# SPDX-License-Identifier: Apache-2.0
"""Which models a build makes: what was asked for, what that needs, and what has no weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mien_export.contract import ModelContract
from mien_export.spec import Asset, Dependency, ExportSpec

Specs = Mapping[str, ExportSpec]
Dependencies = Mapping[str, tuple[Dependency, ...]]


@dataclass(frozen=True)
class Needs:
    """Which model needs which, from contracts, registry and specs.

    Attributes:
        sources: every contract.
        specs: graphs that can be built.
        dependencies: calls that no config states.
    """

    sources: Mapping[str, ModelContract]
    specs: Specs
    dependencies: Dependencies

    def calls(self, model: str, present: Any) -> tuple[str, ...]:
        """Models that this one calls where those of ``present`` are in the repository."""
        steps = tuple(step.model for step in self.sources[model].steps)
        stated = tuple(item.model for item in self.stated(model, present))
        return tuple(sorted(set(steps + stated)))

    def stated(self, model: str, present: Any) -> list[Dependency]:
        """Those of its calls that the registry states."""
        items = self.dependencies.get(model, ())
        return [item for item in items if not item.when_built or item.model in present]

    def assets(self, model: str) -> dict[str, tuple[Asset, ...]]:
        """Files of a model that are made from the weights of graphs, by graph."""
        given = {
            name: tuple(asset for asset in spec.assets if asset.model == model)
            for name, spec in self.specs.items()
        }
        return {name: assets for name, assets in given.items() if assets}

    def takers(self, graph: str) -> set[str]:
        """Models with a file that is made from the weights of this graph."""
        spec = self.specs.get(graph)
        return {asset.model for asset in spec.assets} if spec else set()


@dataclass(frozen=True)
class Selection:
    """What a build makes.

    Attributes:
        selected: models that are built from their contracts.
        left_out: models that could only be built with weights that nobody gave, with the reason;
            those of graphs that are left out on purpose are not among them.
    """

    selected: frozenset[str]
    left_out: Mapping[str, str]


def select_all(needs: Needs, weighted: Collection[str]) -> Selection:
    """Take every model, without optional graphs that have no weights and what needs them.

    Args:
        needs: which model needs which.
        weighted: graphs that a weights file was given for.
    """
    optional = {name for name, spec in needs.specs.items() if spec.is_optional}
    absent = (optional - set(weighted)) & needs.sources.keys()
    left_out: dict[str, str] = {}
    waiting = True
    while waiting:
        waiting = False
        for model in needs.sources.keys() - absent:
            required = {*needs.calls(model, ()), *needs.assets(model)}
            missing = sorted(required & absent)
            if missing:
                left_out[model] = f"it needs {', '.join(missing)}, left out for want of weights"
                absent.add(model)
                waiting = True
    return Selection(frozenset(needs.sources.keys() - absent), left_out)


def select_named(
    needs: Needs, named: Collection[str], existing: Collection[str], weighted: Collection[str]
) -> Selection:
    """Take the named models and what they need that is not there yet.

    What they call only where it is built is needed if there are weights for it: whoever builds one
    pipeline gets the same of it as whoever builds all.

    A file that is made from a graph's weights is never older than the graph: both are built
    together, whichever of the two was named.

    Args:
        needs: which model needs which.
        named: models the user asked for; they have contracts.
        existing: models that are in the target already.
        weighted: graphs that a weights file was given for.
    """
    selected: set[str] = set()
    waiting = set(named)
    while waiting:
        model = waiting.pop()
        selected.add(model)
        if model not in needs.sources:
            continue  # planning it says what is wrong
        calls = set(needs.calls(model, {*named, *weighted})) - set(existing)
        waiting |= calls | needs.assets(model).keys() | (needs.takers(model) & set(existing))
        waiting -= selected
    return Selection(frozenset(selected), {})
