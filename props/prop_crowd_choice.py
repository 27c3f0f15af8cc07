"""What a turn chooses depends on its own row, never on who else is chosen for or on earlier rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actorllama.native import SamplingParams
from actorllama.native.llama.sampler import LlamaSampler
from actorllama.native.llama.sampler_tools import SamplerTools

Row = np.ndarray[tuple[int], np.dtype[np.float32]]

N_VOCAB = 700


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Smooth or full of ties, with forbidden tokens and NaN now and then, at any level."""
    generator = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    row = generator.normal(size=N_VOCAB) * draw(st.sampled_from([0.01, 1.0, 4.0, 500.0]))
    row = row + draw(st.sampled_from([-900.0, -3.0, 0.0, 12.0]))
    if draw(st.booleans()):
        row = np.round(row)
    for value in draw(st.lists(st.sampled_from([np.nan, -np.inf]), max_size=2)):
        row[generator.random(N_VOCAB) < draw(st.sampled_from([0.01, 0.5, 0.97, 1.0]))] = value
    return row.astype(np.float32)


params = st.builds(
    SamplingParams,
    seed=st.integers(0, 99),
    top_k=st.sampled_from([1, 2, 40, 300, 512]),
    top_p=st.sampled_from([0.3, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.9]),
    temperature=st.sampled_from([1e-6, 0.8, 1.0, 5.0, 100.0]),
    min_keep=st.sampled_from([0, 3]),
)


@given(st.lists(st.lists(st.tuples(params, rows()), min_size=1, max_size=4), min_size=1, max_size=4))
def prop_a_crowd_changes_nothing(steps: list[list[tuple[SamplingParams, Row]]]) -> None:
    """Each step has its turns; turns of the same place and parameters go on from step to step."""
    tools = SamplerTools(n_vocab=N_VOCAB)
    going: dict[tuple[int, SamplingParams], LlamaSampler] = {}
    for step in steps:
        crowd = [
            going.setdefault((place, asked), LlamaSampler(asked, (), tools=tools))
            for place, (asked, _) in enumerate(step)
        ]
        before = [one.n_draws for one in crowd]
        chosen = tools.crowd.choose(np.stack([row for _, row in step]), crowd)
        for n_draws, (asked, row), token in zip(before, step, chosen, strict=True):
            fresh = LlamaSampler(asked, (), tools=SamplerTools(n_vocab=N_VOCAB))
            fresh.n_draws = n_draws
            assert fresh.choose(row.copy()) == token
            fresh.close()
    for one in going.values():
        one.close()
