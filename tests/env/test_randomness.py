from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.env.randomness import NumberedEpisodes, TrainingRandomness

CPU = torch.device("cpu")


@given(
    seeds=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6, unique=True),
    size=st.integers(1, 30),
    data=st.data(),
)
def test_a_numbered_episode_is_the_same_in_any_company(seeds: list[int], size: int, data: st.DataObject) -> None:
    alone = {seed: NumberedEpisodes([seed], CPU).uniform(torch.tensor([0]), size)[0] for seed in seeds}
    order = data.draw(st.permutations(seeds))
    together = NumberedEpisodes(order, CPU)
    cut = data.draw(st.integers(0, len(order)))
    worlds = data.draw(st.permutations(range(len(order))))
    for batch in (worlds[:cut], worlds[cut:]):
        if batch:
            for world, row in zip(batch, together.uniform(torch.tensor(batch), size)):
                assert torch.equal(row, alone[order[world]])


def test_numbered_episodes_differ_and_go_on() -> None:
    episodes = NumberedEpisodes([7, 8, 7], CPU)
    worlds = torch.arange(3)
    first, second = episodes.uniform(worlds, 5), episodes.uniform(worlds, 5)
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    again = NumberedEpisodes([7], CPU)
    assert torch.equal(again.uniform(torch.tensor([0]), 5)[0], first[0])
    assert torch.equal(again.uniform(torch.tensor([0]), 5)[0], second[0])


@given(seed=st.integers(0, 2**63 - 1), drawn=st.integers(0, 20))
def test_the_training_stream_goes_on_from_its_state(seed: int, drawn: int) -> None:
    stream = TrainingRandomness(seed, CPU)
    if drawn:
        stream.uniform(torch.arange(drawn), 3)
    state = stream.get_state()
    expected = [stream.uniform(torch.arange(4), 18) for _ in range(3)]
    resumed = TrainingRandomness(0, CPU)
    resumed.set_state(state)
    for values in expected:
        assert torch.equal(resumed.uniform(torch.arange(4), 18), values)


def test_numbers_are_uniform_in_the_unit_interval_and_leave_the_global_stream_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for source in (TrainingRandomness(1, CPU), NumberedEpisodes(range(500), CPU)):
        values = source.uniform(torch.arange(500), 20)
        assert (values.shape, values.dtype) == ((500, 20), torch.float32)
        assert float(values.min()) >= 0.0
        assert float(values.max()) < 1.0
        assert abs(float(values.mean()) - 0.5) < 0.02
    assert torch.equal(torch.get_rng_state(), before)
