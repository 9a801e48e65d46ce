"""What encoders are told of an estimate."""

from rtcpeer.media.estimate_follower import EstimateFollower


def test_down_at_once_up_in_steps() -> None:
    follower = EstimateFollower()
    follower.note(1_000_000, 10.0)
    assert follower.value == 1_000_000
    follower.note(850_000, 10.1)
    assert follower.value == 850_000
    follower.note(1_200_000, 10.2)
    assert follower.value == 850_000
    follower.note(1_200_000, 11.3)
    assert follower.value == 1_200_000


def test_an_estimate_that_swings_around_what_a_path_bears_changes_nothing() -> None:
    follower = EstimateFollower()
    seen = set()
    for step in range(1000):
        follower.note(850_000 + step % 20 * 8_000, 10.0 + step / 10)
        seen.add(follower.value)
    assert seen == {850_000}
