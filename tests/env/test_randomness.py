from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.env.randomness import NumberedEpisodes, TrainingRandomness

CPU = torch.device("cpu")


def every(worlds: int) -> torch.Tensor:
    """A mask of so many worlds, all of which begin."""
    return torch.ones(worlds, dtype=torch.bool)


@given(
    seeds=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6, unique=True),
    size=st.integers(1, 30),
    data=st.data(),
)
def test_a_numbered_episode_is_the_same_in_any_company(seeds: list[int], size: int, data: st.DataObject) -> None:
    alone = {seed: NumberedEpisodes([seed], CPU).uniform(every(1), size)[0] for seed in seeds}
    order = data.draw(st.permutations(seeds))
    together = NumberedEpisodes(order, CPU)
    first = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order))))
    for worlds in (first, ~first):
        numbers = together.uniform(worlds, size)
        assert numbers.shape == (len(order), size)
        for world in worlds.nonzero()[:, 0].tolist():
            assert torch.equal(numbers[world], alone[order[world]])


def test_numbered_episodes_differ_and_go_on() -> None:
    episodes = NumberedEpisodes([7, 8, 7], CPU)
    worlds = every(3)
    first, second = episodes.uniform(worlds, 5), episodes.uniform(worlds, 5)
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    again = NumberedEpisodes([7], CPU)
    assert torch.equal(again.uniform(every(1), 5)[0], first[0])
    assert torch.equal(again.uniform(every(1), 5)[0], second[0])


@given(seed=st.integers(0, 2**63 - 1), drawn=st.integers(0, 20))
def test_the_training_stream_goes_on_from_its_state(seed: int, drawn: int) -> None:
    stream = TrainingRandomness(seed, CPU)
    if drawn:
        stream.uniform(every(drawn), 3)
    state = stream.get_state()
    expected = [stream.uniform(every(4), 18) for _ in range(3)]
    resumed = TrainingRandomness(0, CPU)
    resumed.set_state(state)
    for values in expected:
        assert torch.equal(resumed.uniform(every(4), 18), values)


@given(seed=st.integers(0, 2**63 - 1), place=st.integers(0, 255))
def test_a_place_of_another_devices_stream_begins_another_one(seed: int, place: int) -> None:
    """A GPU's generator says where it is in 16 bytes; the same place gives the same numbers, whatever was before."""
    state = torch.tensor([place] * 16, dtype=torch.uint8)
    drawn = []
    for begun_with, gone_to in ((seed, state), (0, state), (seed, state + 1)):
        stream = TrainingRandomness(begun_with, CPU)
        stream.set_state(gone_to)
        drawn.append(stream.uniform(every(4), 18))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@given(worlds=st.lists(st.booleans(), min_size=1, max_size=30))
def test_the_training_stream_gives_its_next_numbers_to_the_worlds_that_begin(worlds: list[bool]) -> None:
    """In their order, whatever stands between them."""
    begin = torch.tensor(worlds)
    numbers = TrainingRandomness(5, CPU).uniform(begin, 3)
    assert numbers.shape == (len(worlds), 3)
    assert torch.equal(numbers[begin], TrainingRandomness(5, CPU).uniform(every(sum(worlds)), 3))


def test_numbers_are_uniform_in_the_unit_interval_and_leave_the_global_stream_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for source in (TrainingRandomness(1, CPU), NumberedEpisodes(range(500), CPU)):
        values = source.uniform(every(500), 20)
        assert (values.shape, values.dtype) == ((500, 20), torch.float32)
        assert float(values.min()) >= 0.0
        assert float(values.max()) < 1.0
        assert abs(float(values.mean()) - 0.5) < 0.02
    assert torch.equal(torch.get_rng_state(), before)
