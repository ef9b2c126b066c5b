"""The page of kept benchmark results is what its files say."""

import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_page_of_results_is_made_from_its_files():
    script = runpy.run_path(str(BENCHMARKS / "bench_hop.py"))
    page = (BENCHMARKS / "results" / "hop.md").read_text(encoding="utf-8")
    assert page == script["table"]()
    for machine in script["WANTED"]:
        measured = (BENCHMARKS / "results" / f"{machine}.json").exists()
        assert measured or f"bench_hop.py --machine {machine}" in page
