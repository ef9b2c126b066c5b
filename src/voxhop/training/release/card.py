"""Model cards: what a trained model is, where it comes from and what it scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from voxhop.training.config import RunConfig, from_table
from voxhop.training.recipes import recipe_of
from voxhop.training.run.start import load_model
from voxhop.training.state import read_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxhop.models import ModelInfo
    from voxhop.training.recipes.recipe import Recipe

Figures = dict[str, float]

_RESULTS = (
    ("farend", "aecmos_echo", "far end, AECMOS echo", 2),
    ("farend", "erle", "far end, ERLE dB", 1),
    ("doubletalk", "aecmos_echo", "double talk, AECMOS echo", 2),
    ("doubletalk", "aecmos_deg", "double talk, AECMOS degradation", 2),
    ("doubletalk", "si_sdr", "double talk, SI-SDR dB", 1),
    ("nearend", "aecmos_deg", "near end, AECMOS degradation", 2),
    ("nearend", "si_sdr", "near end, SI-SDR dB", 1),
    ("noise", "dnsmos_ovrl", "noise, DNSMOS OVRL", 2),
    ("noise", "pesq", "noise, PESQ", 2),
    ("reverb", "dnsmos_ovrl", "reverberation, DNSMOS OVRL", 2),
    ("reverb", "pesq", "reverberation, PESQ", 2),
)


class CardNotes(NamedTuple):
    """What a checkpoint does not know, in Markdown.

    Attributes
    ----------
    recordings : str
        What it was trained on.
    limits : sequence of str
        What to warn of.
    history : str
        What its initial weights had seen, and what was changed while it ran.
    packaged : bool
        Whether the package has it; else training goes on from it, and that is all it is for.
    """

    recordings: str
    limits: Sequence[str]
    history: str = ""
    packaged: bool = True


def model_card(
    checkpoint: Path,
    info: ModelInfo,
    *,
    name: str,
    notes: CardNotes | None = None,
    results: Mapping[str, Any] | None = None,
) -> str:
    """Write the card of a trained checkpoint.

    Parameters
    ----------
    checkpoint : Path
        A ``best.pt`` or ``last.pt``; the ``log.jsonl`` beside it tells how much audio its
        weights saw, and the figures of the averaged weights that ``last.pt`` stands for.
    info : ModelInfo
        Of the exported model.
    name : str
        Of the model.
    notes : CardNotes, optional
        Text on the recordings and limits.
    results : mapping, optional
        ``results.json`` of ``voxhop eval`` with a row called `name`.

    Returns
    -------
    str
        Markdown.
    """
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    config = from_table(RunConfig, content["config"], where=str(checkpoint))
    trained = sum(p.numel() for p in load_model(checkpoint).parameters())
    recipe = recipe_of(config)
    best = "figures" in content
    found = content["figures"] if best else _latest_figures(checkpoint)
    choice = "the best of all raw and averaged weights by validation score"
    packaged = notes is None or notes.packaged
    where = "the package ships the same in f16" if packaged else "it is in no package"
    text = f"""# {name}

{recipe.described(info, trained)} Licence: Apache-2.0.

`{name}-f32.gguf` is what further training starts from; {where}.

## Training

* **Audio seen:** {_audio_seen(checkpoint, content)}, from {_start(config)}.
* **Recipe:** `config.toml` beside this file, described in `docs/training.md`;
  {choice if best else "the averaged weights at its end"}. `curves.png`, `log.jsonl`: the run.
"""
    if notes:
        text += f"* **Recordings:** {notes.recordings}\n"
        text += f"* **History:** {notes.history}\n" if notes.history else ""
    text += "\n## Figures\n\n" + _validation_text(recipe, found)
    if results:
        text += "\n" + _results_table(results, name)
    if notes:
        text += "\n## Limits\n\n" + "".join(f"* {limit}\n" for limit in notes.limits)
    return text


def _start(config: RunConfig) -> str:
    if not config.initial:
        return "random weights"
    return f"the weights in `{config.initial.rsplit('/', 1)[-1]}`"


def _latest_figures(checkpoint: Path) -> Figures:
    """Find the last figures of averaged weights in the log; none, if there is none."""
    averaged = [record for record in _validations(checkpoint) if record["weights"] == "ema"]
    return averaged[-1] if averaged else {}


def _validations(checkpoint: Path) -> list[dict[str, Any]]:
    log = checkpoint.with_name("log.jsonl")
    records = read_log(log) if log.exists() else []
    return [record for record in records if record["kind"] == "valid"]


def _audio_seen(checkpoint: Path, content: Mapping[str, Any]) -> str:
    """Say what the weights saw: ``last.pt`` knows, for ``best.pt`` the log does."""
    if "figures" not in content:
        return _seen(content["progress"]["audio_seconds"], "averaged")
    for record in _validations(checkpoint):
        if record.get("score") == content["figures"].get("score"):
            weights = "averaged" if record["weights"] == "ema" else "raw"
            return _seen(record["audio_seconds"], weights)
    return "not in the log"


def _seen(seconds: float, weights: str) -> str:
    return f"{seconds:,.0f} s ({seconds / 3600:.1f} h) of simulated clips, {weights} weights"


def _validation_text(recipe: Recipe[Any], figures: Figures) -> str:
    limits = recipe.config.validation
    count, seconds = limits.per_scenario, limits.seconds
    lines = [f"Validation during training, {count} clips of {seconds:g} s of each kind:", ""]
    lines += [f"* {line}" for line in recipe.in_words(figures)]
    return "\n".join(lines) + "\n"


def _results_table(results: Mapping[str, Any], name: str) -> str:
    means = {(row["system"], row["group"]): row["means"] for row in results["means"]}
    cases = len({clip["case"] for clip in results["clips"]})
    lines = [f"`voxhop eval`, {cases} cases, f16 file through the engine:", ""]
    lines += ["| | unprocessed | this model |", "|---|--:|--:|"]
    for group, key, title, digits in _RESULTS:
        cells = [means.get((system, group), {}).get(key) for system in ("unprocessed", name)]
        if all(cells):
            values = " | ".join(f"{cell['mean']:.{digits}f}" for cell in cells if cell)
            lines.append(f"| {title} | {values} |")
    return "\n".join(lines) + "\n"
