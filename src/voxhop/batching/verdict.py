"""Whether a recording came out better than it went in, as far as its figures can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voxhop.files.restoration import RestoreReport

if TYPE_CHECKING:
    from voxhop.files.enhance import EnhanceReport

_LOUDER_DB: Final = 1.0
_MUCH_LOUDER_DB: Final = 6.0
_NOTHING_LEFT_DB: Final = 50.0  # more than any echo or noise in front of audible speech
_AUDIBLE_DBFS: Final = -70.0
_REFERENCE_S: Final = 2.0  # of a sounding reference: less tells nothing about an echo
_LEAST_REDUCTION_DB: Final = 0.5


def flags_of(report: EnhanceReport | RestoreReport) -> tuple[str, ...]:
    """Return what is doubtful about a result, nothing for a good one.

    ``failed_hops``
        The model gave no finite output for some hops; they are silent.
    ``louder``
        The result has more power than the recording, by 1 dB or more.
    ``nothing_left``
        The recording can be heard, the result cannot, and most of it was not the echo of a
        sounding reference.
    ``reference_unrelated``
        The reference sounds, but no echo of it was found: it may belong to another recording.
    ``echo_not_reduced``
        While the reference sounded (2 s or more) the power sank by less than half a decibel.
    ``not_helping``
        At its end a stream found that the model makes the sound worse.
    ``reference_silent``
        There is a reference, and it never sounds.

    A restoring model is to give back the level that it got: there ``louder`` begins at 6 dB,
    and only it and ``nothing_left`` are looked for.
    """
    if isinstance(report, RestoreReport):
        doubts = {
            "louder": report.level_out_dbfs > report.level_in_dbfs + _MUCH_LOUDER_DB,
            "nothing_left": _is_gone(report),
        }
    else:
        doubts = _doubts(report)
    return tuple(name for name, doubtful in doubts.items() if doubtful)


def _doubts(report: EnhanceReport) -> dict[str, bool]:
    return {
        "failed_hops": any(side.failed_hops for side in report.sides),
        "louder": report.level_out_dbfs > report.level_in_dbfs + _LOUDER_DB,
        "nothing_left": _is_gone(report) and report.ref_active_s < report.seconds / 2,
        "reference_unrelated": any(side.ref_unrelated for side in report.sides),
        "echo_not_reduced": report.ref_active_s >= _REFERENCE_S
        and report.ref_active_reduction_db is not None
        and report.ref_active_reduction_db < _LEAST_REDUCTION_DB,
        "not_helping": any(side.not_helping for side in report.sides),
        "reference_silent": report.ref is not None and report.ref_active_s == 0.0,
    }


def _is_gone(report: EnhanceReport | RestoreReport) -> bool:
    loss = report.level_in_dbfs - report.level_out_dbfs
    return report.level_in_dbfs > _AUDIBLE_DBFS and loss > _NOTHING_LEFT_DB
