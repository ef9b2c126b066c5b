"""Shapes of Sublime that every property is checked on."""

from voxhop.reference.sublime.config import BandShape, BlockShape, SublimeConfig

_ODD_SIGNAL = {
    "sample_rate": 16000,
    "hop_length": 96,
    "mel_hop": 48,
    "mel_n_fft": (70, 131),
    "n_mels": (5, 7),
}

# The published signal with small networks: both tracks and the vocoder.
SMALL = SublimeConfig(
    enc=(BlockShape(160, 12, 10, 8), BlockShape(16, 12, 9, 14), BlockShape(14, 6, 5, 14)),
    fe=(BlockShape(160, 9, 7, 6), BlockShape(6, 8, 9, 6), BlockShape(12, 7, 5, 10)),
    fe_stack_after=2,
    voc=(BlockShape(11, 9, 7, 13), BlockShape(13, 8, 9, 13)),
    width=11,
    query_dim=5,
    features=3,
)

SHAPES = {
    "small": SMALL,
    "odd": SublimeConfig(
        enc=(BlockShape(12, 7, 5, 3),),
        fe=(BlockShape(12, 7, 5, 3),),
        fe_stack_after=1,
        lookahead_frames=3,
        voc=(BlockShape(4, 7, 5, 9),),
        bands=(BandShape(5, 15, 5, 2, (3,)), BandShape(27, 81, 1, 4, (1, 3))),
        width=4,
        n_groups_a=1,
        n_groups_b=2,
        codebook_size=7,
        query_dim=3,
        features=2,
        expansion=2.5,
        phase_offsets=11,
        sharpness=(0.4, 0.2),
        sharpness_bins=7,
        **_ODD_SIGNAL,
    ),
    "one-mode": SublimeConfig(
        enc=(BlockShape(12, 7, 5, 12), BlockShape(24, 3, 2, 6)),
        voc=(BlockShape(4, 7, 5, 4),),
        bands=(BandShape(96, 96, 3, 1, (1,)),),
        width=4,
        n_groups_a=2,
        n_groups_b=0,
        codebook_size=256,
        query_dim=2,
        features=1,
        logmag_max=3.0,
        rms_eps=1e-3,
        sharpness=(1.0, 0.0),
        sharpness_bins=96,
        **_ODD_SIGNAL,
    ),
}
