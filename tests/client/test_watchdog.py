import threading
import time

from dsnb.client.watchdog import Watch, Watchdog
from tests.patience import PATIENCE


def wait_for(condition):
    until = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < until:
        time.sleep(0.001)
    return condition()


def test_a_stall_cuts_once_and_says_so():
    cuts = []
    watch = Watch(stall=0.02, deadline=None)
    with Watchdog().guard(watch, lambda: cuts.append(watch.fired)):
        assert wait_for(lambda: cuts)
    assert cuts == ["stall"]


def test_the_deadline_holds_however_much_progress_there_is():
    watch = Watch(stall=5, deadline=0.05)
    start = time.monotonic()
    with Watchdog().guard(watch, lambda: None):
        while watch.fired is None and time.monotonic() < start + PATIENCE:
            watch.pause()
            watch.resume(progress=True)
    assert watch.fired == "deadline"
    assert time.monotonic() - start >= 0.05


def test_time_in_the_callers_hands_is_no_stall():
    watch = Watch(stall=0.05, deadline=None)
    watch.pause()
    with Watchdog().guard(watch, lambda: None):
        time.sleep(0.1)
        assert watch.fired is None
        watch.resume(progress=True)
        assert wait_for(lambda: watch.fired)
    assert watch.fired == "stall"


def test_a_keep_alive_does_not_start_the_count_again():
    watch = Watch(stall=0.06, deadline=None)
    start = time.monotonic()
    with Watchdog().guard(watch, lambda: None):
        while watch.fired is None and time.monotonic() < start + PATIENCE:
            watch.pause()
            watch.resume(progress=False)
            time.sleep(0.005)
    assert watch.fired == "stall"


def test_a_sooner_watch_is_seen_while_a_later_one_is_waited_for():
    watchdog = Watchdog()
    late, soon = Watch(stall=None, deadline=3600), Watch(stall=None, deadline=0.03)
    with watchdog.guard(late, lambda: None):
        time.sleep(0.01)
        with watchdog.guard(soon, lambda: None):
            assert wait_for(lambda: soon.fired)
    assert (late.fired, soon.fired) == (None, "deadline")


def test_the_first_reason_stands_and_a_late_reader_is_cut_at_once():
    watch, cuts = Watch(stall=None, deadline=None), []
    watch.fire("stop")
    watch.fire("stall")
    watch.attach(lambda: cuts.append(1))
    assert (watch.fired, cuts) == ("stop", [1])


def test_one_thread_watches_many_turns():
    watchdog = Watchdog()
    watches = [Watch(stall=None, deadline=0.05) for _ in range(200)]
    before = threading.active_count()
    guards = [watchdog.guard(watch, lambda: None) for watch in watches]
    for guard in guards:
        guard.__enter__()
    assert threading.active_count() <= before + 1
    assert wait_for(lambda: all(watch.fired for watch in watches))
    for guard in guards:
        guard.__exit__(None, None, None)
