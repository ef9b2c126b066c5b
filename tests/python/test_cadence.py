"""A hop at the pace of an application, which meets weights that have left the near caches."""

import tolerances
from voxhop.figures.hop_timing import LEAST_HOPS, time_all


def test_a_hop_each_16_ms_keeps_its_lead_over_the_stock_graph(model):
    with model.session() as fused, model.session(kernels="stock") as stock:
        paced = time_all([fused, stock], LEAST_HOPS, ("paced",), lambda _done, _total: None)
    (ours,), (plain,) = paced
    assert ours.hops == plain.hops == LEAST_HOPS
    assert ours.cpu_p50_ms < tolerances.PACED_SHARE * plain.cpu_p50_ms
