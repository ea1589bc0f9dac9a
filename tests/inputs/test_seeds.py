import numpy as np

from tfkd.inputs.seeds import drawn, partners, view_seeds


def test_seeds_depend_on_run_view_and_position_only() -> None:
    seeds = view_seeds(1, np.array([5, 3, 9]), 4)
    assert (seeds.shape, seeds.dtype) == ((3, 2), np.int64)
    np.testing.assert_array_equal(seeds[1:2], view_seeds(1, np.array([3]), 4))
    several = [tuple(row) for run in (1, 2) for view in (0, 1) for row in view_seeds(run, np.arange(50), view)]
    assert len(set(several)) == len(several)


def test_partners_are_a_permutation_that_run_and_view_draw() -> None:
    pool = 50
    everyone = partners(1, 3, np.arange(pool), pool)
    assert sorted(everyone.positions) == list(range(pool))
    some = np.array([7, 0, 7, 49])
    few = partners(1, 3, some, pool)
    np.testing.assert_array_equal(few.positions, everyone.positions[some])
    np.testing.assert_array_equal(few.seeds, view_seeds(1, few.positions, 3))
    for other in (partners(1, 4, np.arange(pool), pool), partners(2, 3, np.arange(pool), pool)):
        assert (other.positions != everyone.positions).sum() > pool / 2


def test_every_seed_and_every_purpose_has_its_own_random_numbers() -> None:
    seeds = view_seeds(1, np.arange(20), 0)
    numbers = {(purpose, *drawn(seed, purpose).random(3)) for seed in seeds for purpose in (0, 1)}
    assert len(numbers) == 40 and len({each[1] for each in numbers}) == 40
    np.testing.assert_array_equal(drawn(seeds[3], 1).random(3), drawn(seeds[3], 1).random(3))
