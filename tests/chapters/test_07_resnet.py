"""Chapter 7: slices of the loss surface, gradients by layer, and the recorded runs."""

import pytest
import torch
from torch.nn import functional as F

from companion import recipes
from companion.explain.gradients import weight_gradients
from companion.explain.loss_surface import filter_normalised_direction, loss_on_slice
from companion.models import CifarResNet


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return CifarResNet(8, in_channels=1, width=0.25).eval()


@pytest.fixture(scope="module")
def batch():
    g = torch.Generator().manual_seed(1)
    return torch.rand(16, 1, 8, 8, generator=g), torch.randint(10, (16,), generator=g)


class TestLossSurface:
    def test_each_filter_is_as_long_as_the_models(self, net):
        direction = filter_normalised_direction(net, seed=4)
        for weight, step in zip(net.parameters(), direction, strict=True):
            assert step.shape == weight.shape
            if weight.ndim > 1:
                expected = weight.detach().flatten(1).norm(dim=1)
                torch.testing.assert_close(step.flatten(1).norm(dim=1), expected)
            else:
                assert not step.any()

    def test_seeds_draw_directions(self, net):
        first, again, other = (filter_normalised_direction(net, seed) for seed in (0, 0, 1))
        assert all(map(torch.equal, first, again))
        assert not torch.equal(first[0], other[0])

    def test_slice_is_the_loss_of_the_moved_model(self, net, batch):
        before = {name: value.clone() for name, value in net.state_dict().items()}
        directions = [filter_normalised_direction(net, seed) for seed in (0, 1)]
        losses = loss_on_slice(net, directions, [[-0.5, 0.0], [0.0, 0.25, 1.0]], *batch)
        assert losses.shape == (2, 3)
        moved = CifarResNet(8, in_channels=1, width=0.25).eval()
        moved.load_state_dict(net.state_dict())
        with torch.no_grad():
            for weight, d, e in zip(moved.parameters(), *directions, strict=True):
                weight += -0.5 * d + 0.25 * e
            expected = F.cross_entropy(moved(batch[0]), batch[1])
            middle = F.cross_entropy(net(batch[0]), batch[1])
        torch.testing.assert_close(losses[0, 1], expected)
        torch.testing.assert_close(losses[1, 0], middle)
        for name, value in net.state_dict().items():
            assert torch.equal(value, before[name])
        line = loss_on_slice(net, directions[:1], [[0.0]], *batch)
        torch.testing.assert_close(line, middle[None])

    @pytest.mark.parametrize("counts", [(0, 0), (3, 3), (1, 2)])
    def test_other_numbers_of_directions_are_refused(self, net, batch, counts):
        directions = [filter_normalised_direction(net)] * counts[0]
        with pytest.raises(ValueError, match="one or two directions, and places along each"):
            loss_on_slice(net, directions, [[0.0]] * counts[1], *batch)


class TestGradients:
    def test_are_autograds_and_leave_the_model_alone(self, net, batch):
        statistics = net.layers.bn1.running_mean.clone()
        got = weight_gradients(net, *batch)
        assert not net.training
        assert torch.equal(net.layers.bn1.running_mean, statistics)
        assert all(p.grad is None for p in net.parameters())
        torch.manual_seed(0)
        twin = CifarResNet(8, in_channels=1, width=0.25).train()
        F.cross_entropy(twin(batch[0]), batch[1]).backward()
        named = dict(twin.named_parameters())
        assert set(got) == {name for name, p in named.items() if p.ndim > 1}
        for name, gradient in got.items():
            torch.testing.assert_close(gradient, named[name].grad)

    def test_plain_gradients_grow_towards_the_input(self):
        """What the chapter says of 44 layers, on random images."""
        g = torch.Generator().manual_seed(2)
        images, labels = torch.rand(64, 1, 8, 8, generator=g), torch.arange(64) % 10
        ratio = {}
        for residual in (False, True):
            torch.manual_seed(0)
            deep = CifarResNet(44, residual, in_channels=1, width=0.5)
            norms = [w.norm() for w in weight_gradients(deep, images, labels).values()]
            ratio[residual] = norms[0] / norms[-2]
        assert ratio[False] > 10 * ratio[True]


def test_recorded_runs_show_degradation():
    """What the chapter says about them without naming a number."""
    error = {
        name: recipes.record(f"{name}-cifar10-run").history["error"][-1]
        for name in ("plain20", "plain56", "resnet20", "resnet56")
    }
    assert error["plain56"] > error["plain20"]
    assert error["resnet56"] < error["plain56"]
