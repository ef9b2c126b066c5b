"""What steps of training ask of weights."""

import torch


def gradient(terms, *parts):
    """Go back from ``terms["loss"]``: terms as floats, and the gradient of each part in a row."""
    for part in parts:
        part.zero_grad()
    terms["loss"].backward()
    rows = [[p.grad for p in part.parameters() if p.grad is not None] for part in parts]
    flat = [torch.cat([g.flatten() for g in row]) if row else torch.zeros(0) for row in rows]
    return {name: float(value.detach()) for name, value in terms.items()}, *flat


def assert_bf16_learns_the_same(objective, step):
    """`step` gives the terms of a batch; products in bf16 change them, and hardly."""
    found = {}
    for precision in ("f32", "bf16", "f32 again"):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            terms = step()
        found[precision] = gradient(terms, objective)
        assert {p.grad.dtype for p in objective.parameters() if p.grad is not None} == {
            torch.float32
        }
    (exact, wanted), (lower, row) = found["f32"], found["bf16"]
    assert exact["loss"] != lower["loss"]
    assert abs(lower["loss"] - exact["loss"]) <= 1e-2 * abs(exact["loss"])
    assert torch.nn.functional.cosine_similarity(row, wanted, dim=0) > 0.99
    assert found["f32 again"][0]["loss"] == exact["loss"]  # and after it as before
