from rtcpeer.rtp.given_up import GivenUp


def test_a_number_that_was_given_up_comes_too_late_once():
    given_up = GivenUp()
    given_up.add(range(3, 6), {4: "here"})

    assert [given_up.take(number) for number in range(2, 7)] == [False, True, False, True, False]
    assert not given_up.take(3)


def test_only_the_newest_thousand_are_remembered():
    given_up = GivenUp()
    given_up.add(range(10))
    given_up.add(range(1_000_000))

    assert not given_up.take(0)
    assert not given_up.take(900_000)
    assert given_up.take(999_999)
    assert given_up.take(1_000_000 - 1024)
    given_up.add(range(2_000_000, 2_001_024))
    assert not given_up.take(999_998)
