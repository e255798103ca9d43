"""The picture of a fit: what is on it, and that drawing leaves nothing behind."""

import math
import struct

import pytest
from matplotlib.figure import Figure

from model.curves import curves_png
from model.fit_curve import Point


def curve(count: int, pretraining: int = 0) -> list[Point]:
    return [
        Point(
            step=20 * n + 1,
            steps=20,
            seconds=30.0 * n,
            learning_rate=1e-3,
            loss=7 - math.log1p(n),
            pretraining=n < pretraining,
            ndcg_at_10=None if n < pretraining else 0.2 * n / count,
            hit_rate_at_10=None if n < pretraining else 0.4 * n / count,
        )
        for n in range(count)
    ]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def noted(self, *args, **options):
        saved.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", noted)
    return saved


def test_the_picture_shows_loss_and_validation_over_steps_and_minutes(figures: list[Figure]):
    points = curve(41)
    data = curves_png(points, kept_step=601, kept_ndcg_at_10=0.1463, title="bert on clicks.csv")
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (1120, 840)
    of_loss, of_lists = figures[0].axes
    assert [axes.get_ylabel() for axes in (of_loss, of_lists)] == ["training loss", "validation"]
    assert of_lists.get_xlabel() == "steps"
    (above,) = of_loss.child_axes
    assert above.get_xlabel() == "minutes"
    labels = [label.get_text() for label in above.get_xticklabels()]
    at = dict(zip(labels, above.get_xticks(), strict=True))
    assert at["10"] == pytest.approx(401)  # 600 seconds at the 21st point
    words = [text.get_text() for text in of_lists.get_legend().get_texts()]
    assert words == ["NDCG@10", "HR@10", "kept: step 601, NDCG@10 0.1463"]
    assert list(of_lists.lines[1].get_ydata()) == [point.hit_rate_at_10 for point in points]
    for axes in (of_loss, of_lists):
        assert any(list(line.get_xdata()) == [601, 601] for line in axes.lines)
    assert figures[0].get_suptitle() == "bert on clicks.csv"


def test_masked_items_have_a_loss_curve_of_their_own(figures: list[Figure]):
    curves_png(curve(8, pretraining=3), kept_step=141, kept_ndcg_at_10=0.1, title="")
    words = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert words == ["masked items", "next items"]


@pytest.mark.parametrize("points", [curve(1), curve(2, pretraining=2)])
def test_a_short_fit_can_be_drawn_too(points: list[Point]):
    png = curves_png(points, kept_step=1, kept_ndcg_at_10=-1.0, title="short")
    assert png.startswith(b"\x89PNG")


def test_a_diverged_fit_can_be_drawn_too():
    points = [*curve(3), Point(step=61, steps=1, seconds=99, learning_rate=1, loss=math.nan)]
    assert curves_png(points, kept_step=41, kept_ndcg_at_10=0.1, title="").startswith(b"\x89PNG")


def test_the_same_points_give_the_same_bytes():
    first, second = (
        curves_png(curve(9), kept_step=41, kept_ndcg_at_10=0.1, title="t") for _ in range(2)
    )
    assert first == second
