"""Which curves of a run are shown together, by what points."""

from steersman.core.curves import PANELS, figures, panels, thinned
from steersman.core.tracking import Run, begin


def run(**metrics: list[tuple[int, float]]) -> Run:
    return Run(begun=begin("training", agent="lab/small", at=0.0), heard_at=0.0, metrics=metrics)


def test_thinned_points_are_means_of_neighbours_at_their_last_step() -> None:
    assert thinned([(1, 1.0), (2, 3.0), (3, 5.0)], 2) == [(2, 2.0), (3, 5.0)]
    assert thinned([(1, 1.0)], 2) == [(1, 1.0)]
    assert thinned([]) == []


def test_those_that_every_reader_knows_come_first_then_others_by_name() -> None:
    two = [(1, 1.0), (2, 1.0)]
    found = panels(run(zeal=two, q=[(1, 1.0)], ardour=two, reward=two))
    assert [each.panel.title for each in found] == ["Reward", "Q", "ardour", "zeal"]
    assert panels(run()) == []


def test_what_a_network_fits_stands_beside_what_was_held_out() -> None:
    (found,) = panels(run(**{"loss": [(50, 1.0), (100, 0.5)], "held-out loss": [(100, 0.75)]}))
    assert list(found.curves) == ["loss", "held-out loss"]
    assert found.rows == [(50, [1.0, None]), (100, [0.5, 0.75])]
    assert (found.logged, found.drawn) == (2, 2)


def test_many_values_are_drawn_as_few() -> None:
    (found,) = panels(run(loss=[(step, 1.0) for step in range(1, 1_001)]))
    assert (found.logged, found.drawn, found.curves["loss"][-1]) == (1_000, 250, (1_000, 1.0))


def test_what_was_logged_once_is_a_figure_and_no_curve() -> None:
    made = run(wall_s=[(100, 12.5)], loss=[(100, 0.5)], zeal=[(50, 1.0), (100, 2.0)])
    assert figures(made) == {"wall_s": 12.5}
    assert [each.panel.title for each in panels(made)] == ["Loss", "zeal"]


def test_no_metric_is_in_two_panels() -> None:
    names = [name for each in PANELS for name in each.metrics]
    assert len(names) == len(set(names))
