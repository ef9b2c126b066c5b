"""Models one after the other on one clock."""

from voxhop.chain.chain import Chain
from voxhop.chain.files import ChainReport, chain_file
from voxhop.chain.links import CodecLink, ModelLink
from voxhop.chain.metrics import ChainMetrics, LinkMetrics
from voxhop.chain.recipe import ChainRecipe, read_recipe

__all__ = [
    "Chain",
    "ChainMetrics",
    "ChainRecipe",
    "ChainReport",
    "CodecLink",
    "LinkMetrics",
    "ModelLink",
    "chain_file",
    "read_recipe",
]
