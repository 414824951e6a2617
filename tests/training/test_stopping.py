"""Stopping rules on sequences worked out by hand."""

import json
import math
from itertools import pairwise

import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.training.stopping import EarlyStopping, MeanDifferenceStopping, StoppingState, from_json, to_json


def run(rule, losses):
    """States after each epoch, up to and with the first that stops."""
    states = [rule.initial()]
    for loss in losses:
        states.append(rule.update(states[-1], loss))
        if states[-1].should_stop:
            break
    return states[1:]


def test_nothing_is_decided_before_the_first_epoch():
    for rule in (EarlyStopping(), MeanDifferenceStopping()):
        state = rule.initial()
        assert (state.epoch, state.best_epoch, state.improved, state.should_stop) == (0, 0, False, False)
        assert state.best_loss == math.inf


def test_plateau_stops_after_patience_epochs():
    states = run(EarlyStopping(patience=3), [5.0, 4.0, 4.0, 4.0, 4.0, 1.0])
    assert [state.improved for state in states] == [True, True, False, False, False]
    assert states[-1].epoch == 5 and states[-1].best_epoch == 2 and states[-1].best_loss == 4.0
    assert states[-1].reason == "the validation loss has not improved for 3 validations"


def test_late_improvement_starts_the_wait_anew():
    states = run(EarlyStopping(patience=3), [5.0, 6.0, 6.0, 4.0, 6.0, 6.0, 6.0])
    assert [state.improved for state in states] == [True, False, False, True, False, False, False]
    assert states[-1].should_stop and states[-1].epoch == 7 and states[-1].best_epoch == 4


def test_falling_losses_never_stop():
    assert not run(EarlyStopping(patience=1), [1.0 / epoch for epoch in range(1, 200)])[-1].should_stop


def test_small_improvements_are_kept_but_not_waited_on():
    # Falls of 0.25 under a demand of "more than 1" from 10: the best moves each epoch, the wait runs out at epoch 4.
    states = run(EarlyStopping(patience=3, min_improvement=1.0), [10.0, 9.75, 9.5, 9.25, 0.0])
    assert [state.improved for state in states] == [True] * 4
    assert states[-1].should_stop and states[-1].best_loss == 9.25 and states[-1].best_epoch == 4
    assert states[-1].reason == "the validation loss has not improved by more than 1 for 3 validations"


def test_small_improvements_add_up():
    # With patience 5 the fifth fall makes 1.25 > 1, seen at epoch 6; exactly 1 at epoch 5 would not do.
    states = run(EarlyStopping(patience=5, min_improvement=1.0), [10.0, 9.75, 9.5, 9.25, 9.0, 8.75, 8.75])
    assert [state.reference_epoch for state in states] == [1, 1, 1, 1, 1, 6, 6]
    assert not states[-1].should_stop


@pytest.mark.parametrize("rule", [EarlyStopping(), MeanDifferenceStopping()])
@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_loss_that_is_not_finite_stops_at_once(rule, loss):
    *_, before, after = run(rule, [3.0, 2.0, loss, 1.0])
    assert after.should_stop and after.epoch == 3 and not after.improved
    assert (after.best_loss, after.best_epoch) == (before.best_loss, before.best_epoch) == (2.0, 2)
    assert after.reason == f"the validation loss is not finite ({loss}) in epoch 3"


def test_nan_in_the_first_epoch():
    state = run(EarlyStopping(), [math.nan])[-1]
    assert state.should_stop and state.best_epoch == 0 and state.best_loss == math.inf


def test_mean_difference_waits_for_its_window():
    rule = MeanDifferenceStopping(window=2, threshold=-0.5)
    # Means of two differences: epoch 3 (6 - 8)/2 = -1, epoch 4 (5 - 7)/2 = -1, epoch 5 (5 - 6)/2 = -.5, not above it,
    # epoch 6 (4.5 - 5)/2 = -.25: stop. Before epoch 3 there is no mean of two.
    states = run(rule, [8.0, 7.0, 6.0, 5.0, 5.0, 4.5, 0.0])
    assert [state.should_stop for state in states] == [False] * 5 + [True]
    assert states[-1].recent_losses == (5.0, 5.0, 4.5)
    assert states[-1].reason == "the validation loss changed by -0.25 per epoch over 2 epochs, more than -0.5"
    assert states[-1].improved and states[-1].best_epoch == 6


def test_mean_difference_ignores_a_rise_within_the_window():
    rule = MeanDifferenceStopping(window=2, threshold=-0.5)
    assert not run(rule, [8.0, 9.0, 6.0, 7.0, 4.0])[-1].should_stop  # means -1, -1, -1


def test_mean_difference_ends_at_the_limit():
    states = run(MeanDifferenceStopping(max_epochs=15), [float(-epoch) for epoch in range(100)])
    assert states[-1].epoch == 15 and states[-1].reason == "the limit of 15 epochs is reached"


def mnist_losses(last_epoch, last_error):
    """Test errors of the 2016 run by epoch, geometric between the recorded ones, flat from last_epoch on."""
    recorded = {1: 0.8865, 2: 0.4015, 5: 0.1082, 10: 0.0789, 20: 0.0547, 30: 0.0410, last_epoch: last_error}
    epochs = list(recorded)
    losses = []
    for start, end in pairwise(epochs):
        ratio = (recorded[end] / recorded[start]) ** (1 / (end - start))
        losses += [recorded[start] * ratio**k for k in range(end - start)]
    return losses + [last_error] * 200


def test_the_rule_on_the_2016_mnist_run():
    # Before the plateau the error falls by 1.2e-4 or more an epoch. From a plateau at 136 the mean of ten differences
    # is -1.2e-5 with one of them left (145) and 0 with none: it stops at 146, where the 2016 run stopped.
    states = run(MeanDifferenceStopping(), mnist_losses(136, 0.0229))
    assert states[-1].epoch == 146 and states[-1].best_epoch == 136
    assert "more than -1e-05" in states[-1].reason


def test_the_limit_on_the_2016_mnist_run():
    # Still falling at 146, the plateau would be noticed at 156: the limit of 150 epochs comes first.
    losses = mnist_losses(146, 0.0229)
    assert run(MeanDifferenceStopping(), losses)[-1].reason == "the limit of 150 epochs is reached"
    assert run(MeanDifferenceStopping(max_epochs=1000), losses)[-1].epoch == 156


@pytest.mark.parametrize("rule", [EarlyStopping(patience=4, min_improvement=0.5), MeanDifferenceStopping(window=3)])
def test_resuming_from_json_at_any_epoch_gives_the_same_states(rule):
    losses = [5.0, 4.0, 4.2, 3.9, 3.8, 3.8, 3.8, 3.8, 3.8]
    whole = run(rule, losses)
    assert whole[-1].should_stop
    for n_before in range(len(whole)):
        state = run(rule, losses[:n_before])[-1] if n_before else rule.initial()
        state = from_json(json.loads(json.dumps(to_json(state), allow_nan=False)))
        for k in range(n_before, len(whole)):
            state = rule.update(state, losses[k])
            assert state == whole[k]


def test_update_leaves_the_old_state_alone():
    before = EarlyStopping().update(EarlyStopping().initial(), 1.0)
    EarlyStopping().update(before, 0.5)
    assert before == StoppingState(1, 1.0, 1, True, False, "", 1.0, 1, ())


def test_json_of_another_version_is_refused():
    record = to_json(StoppingState())
    with pytest.raises(RnnaudioError, match="another version"):
        from_json({**record, "wisdom": 3})
    del record["epoch"]
    with pytest.raises(RnnaudioError, match="another version"):
        from_json(record)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(patience=0), "patience is 0"),
        (lambda: EarlyStopping(min_improvement=-0.1), "min_improvement is -0.1"),
        (lambda: EarlyStopping(min_improvement=math.nan), "min_improvement is nan"),
        (lambda: MeanDifferenceStopping(window=0), "window is 0"),
        (lambda: MeanDifferenceStopping(threshold=math.nan), "threshold is nan"),
        (lambda: MeanDifferenceStopping(max_epochs=0), "max_epochs is 0"),
    ],
)
def test_impossible_settings_are_named(make, message):
    with pytest.raises(RnnaudioError, match=message):
        make()
