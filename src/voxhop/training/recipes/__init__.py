"""The models that can be trained, by the name that configurations give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxhop.errors import ArgumentError
from voxhop.training.recipes.localvqe import LocalVQERecipe
from voxhop.training.recipes.seflow import SEFlowRecipe
from voxhop.training.recipes.streamfm import StreamFMRecipe
from voxhop.training.recipes.sublime import SublimeRecipe

if TYPE_CHECKING:
    from voxhop.training.config import RunConfig
    from voxhop.training.recipes.recipe import Recipe

RECIPES: dict[str, type[Recipe[Any]]] = {
    "localvqe": LocalVQERecipe,
    "seflow": SEFlowRecipe,
    "streamfm": StreamFMRecipe,
    "sublime": SublimeRecipe,
}
"""By name, which is also the architecture of the model files."""


def recipe_of(config: RunConfig) -> Recipe[Any]:
    """Return the recipe of a run."""
    return RECIPES[config.recipe](config)


def recipe_named(name: str) -> type[Recipe[Any]]:
    """Return a recipe by its name.

    Raises
    ------
    ArgumentError
        For an unknown one.
    """
    if name not in RECIPES:
        raise ArgumentError(f"recipe: {name!r}, expected one of {', '.join(RECIPES)}")
    return RECIPES[name]
