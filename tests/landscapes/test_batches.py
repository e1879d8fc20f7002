"""Data of any form and objectives: the values of plain PyTorch, and what is refused."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import weakref
from collections import OrderedDict, UserDict, namedtuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from lowroad.analysis import CurvatureProduct
from lowroad.landscapes import BatchNormLandscape, NetworkLandscape, weight_matching
from lowroad.problems import network_problem

N = 23


def made(seed=0, double=True):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    return net.double() if double else net


torch.manual_seed(3)
X, Y = torch.randn(N, 4).double(), torch.randint(0, 3, (N,))


def plain(net, x=X, y=Y):
    loss = F.cross_entropy(net(x), y)
    return float(loss), torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, net.parameters())]
    )


def mean(net, batch):
    return F.cross_entropy(net(batch["x"]), batch["y"])


def of_pair(net, batch):
    return F.cross_entropy(net(batch[0]), batch[1])


class Pairs(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return X[i], Y[i]


class Pieces(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


class Again:
    """Can be iterated any number of times, and no more."""

    def __iter__(self):
        return zip(X.split(5), Y.split(5), strict=True)


Pair = namedtuple("Pair", "inputs targets")
DICTS = [{"x": x, "y": y} for x, y in zip(X.split(5), Y.split(5), strict=True)]

FORMS = {
    "tuple of tensors": ((X, Y), of_pair),
    "named tuple": (Pair(X, Y), lambda net, b: F.cross_entropy(net(b.inputs), b.targets)),
    "dictionary": ({"x": X, "y": Y}, mean),
    "ordered dictionary": (OrderedDict(x=X, y=Y), mean),
    "nested": ({"a": [X, {"b": Y}]}, lambda n, b: F.cross_entropy(n(b["a"][0]), b["a"][1]["b"])),
    "list of dictionaries": (DICTS, mean),
    "other mappings": ([UserDict(each) for each in DICTS], mean),
    "list of lists": ([[d["x"], d["y"]] for d in DICTS], of_pair),
    "with what cannot be cut": (
        [d | {"names": ["a"]} for d in DICTS],
        mean,
        lambda batch: len(batch["x"]),
    ),
    "dataset": (Pairs(), of_pair),
    "tensor dataset": (TensorDataset(X, Y), of_pair),
    "loader": (DataLoader(Pairs(), batch_size=4), of_pair),
    "loader of batches by themselves": (
        DataLoader(DICTS, batch_size=None),
        mean,
        lambda batch: len(batch["x"]),
    ),
    "shuffled loader": (DataLoader(Pairs(), batch_size=4, shuffle=True, drop_last=True), of_pair),
    "shuffled by a batch sampler": (
        DataLoader(Pairs(), batch_sampler=[[0, 1], [2, 3, 4], list(range(5, N))]),
        of_pair,
    ),
    "random batch sampler": (
        DataLoader(Pairs(), batch_sampler=BatchSampler(RandomSampler(Pairs()), 4, False)),
        of_pair,
    ),
    "workers": (DataLoader(Pairs(), batch_size=6, num_workers=1), of_pair),
    "iterable dataset": (DataLoader(Pieces(), batch_size=4), of_pair),
    "iterable": (Again(), of_pair),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.filterwarnings("ignore:the loader shuffles")
def test_every_form_gives_the_mean_over_the_data(name):
    data, objective, *weight = FORMS[name]
    net = made()
    state = torch.get_rng_state()
    landscape = NetworkLandscape(
        net, data, objective=objective, chunk=7, weight=weight[0] if weight else None
    )
    point = landscape.initial_point()
    value, gradient = landscape.value_and_gradient(point)
    expected = plain(net)
    assert value == pytest.approx(expected[0], rel=1e-12)
    assert torch.allclose(gradient, expected[1], rtol=1e-10, atol=1e-14)
    assert landscape.value(point) == pytest.approx(expected[0], rel=1e-12)
    assert torch.equal(state, torch.get_rng_state())
    assert landscape.weight == N
    # what is computed with it: curvature and the symmetry of its hidden units
    direction = torch.randn(landscape.dimension).double()
    reference = CurvatureProduct(NetworkLandscape(net, X, Y, "cross_entropy"), point)
    product = CurvatureProduct(landscape, point)(direction.numpy())
    assert product == pytest.approx(reference(direction.numpy()), rel=1e-9, abs=1e-13)
    order = torch.randperm(6)
    other = copy.deepcopy(net)
    for part in (other[0].weight, other[0].bias):
        part.data = part.data[order]
    other[2].weight.data = other[2].weight.data[:, order]
    image = landscape.point_of(other.state_dict())
    assert landscape.value(image) == pytest.approx(value, rel=1e-12)
    assert weight_matching(landscape, point, image).distance < 1e-12


@pytest.mark.parametrize("name", [n for n in FORMS if "iterable" not in n and "cut" not in n])
@pytest.mark.filterwarnings("ignore:the loader shuffles")
def test_mini_batches_are_shuffled_parts_of_the_data(name):
    data, objective, *weight = FORMS[name]
    net = made()
    landscape = NetworkLandscape(
        net, data, objective=objective, weight=weight[0] if weight else None
    )
    point = landscape.initial_point()
    batches = list(landscape.minibatches(5, torch.Generator().manual_seed(0)))
    again = list(landscape.minibatches(5, torch.Generator().manual_seed(0)))
    other = list(landscape.minibatches(5, torch.Generator().manual_seed(1)))
    values = [each.value(point) for each in batches]
    assert values == [each.value(point) for each in again]
    assert values != [each.value(point) for each in other]
    assert len(batches) == 5
    # each sample occurs once
    assert sum(v * b.weight for v, b in zip(values, batches, strict=True)) / N == pytest.approx(
        plain(net)[0], rel=1e-12
    )


def test_mini_batches_of_known_losses_are_those_of_tensors():
    net = made()
    tensors = NetworkLandscape(net, X, Y, "cross_entropy")
    batches = NetworkLandscape(net, DataLoader(Pairs(), batch_size=9), loss="cross_entropy")
    point = tensors.initial_point()
    for one, two in zip(
        *(each.minibatches(6, torch.Generator().manual_seed(0)) for each in (tensors, batches)),
        strict=True,
    ):
        assert one.value(point) == pytest.approx(two.value(point), rel=1e-12)
        assert torch.allclose(one.value_and_gradient(point)[1], two.value_and_gradient(point)[1])
    assert tensors.first(7).value(point) == pytest.approx(batches.first(7).value(point), rel=1e-12)


def test_token_weights_are_exact_whatever_the_batches():
    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)

        def forward(self, input_ids, labels=None):
            logits = self.head(self.embed(input_ids))
            shifted = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
            return {"loss": F.cross_entropy(*shifted), "logits": logits}

    torch.manual_seed(0)
    net = Tiny().double()
    ids = torch.randint(0, 11, (9, 6))
    labels = torch.where(torch.rand(9, 6) < 0.5, -100, ids)
    labels[:, 2] = ids[:, 2]  # something counts in each
    expected = float(net(ids, labels)["loss"].detach())

    def tokens(batch):
        return (batch["labels"][:, 1:] != -100).sum()

    for size in (1, 2, 4, 9):
        data = [
            {"input_ids": a, "labels": b}
            for a, b in zip(ids.split(size), labels.split(size), strict=True)
        ]
        landscape = NetworkLandscape(net, data, weight=tokens)
        assert landscape.value(landscape.initial_point()) == pytest.approx(expected, rel=1e-12)
        assert landscape.weight == int((labels[:, 1:] != -100).sum())
    empty = [*data, {"input_ids": ids[:1], "labels": torch.full((1, 6), -100)}]
    with pytest.raises(ValueError, match=r"number above zero, got 0\.0 for the batch.*sample 9"):
        NetworkLandscape(net, empty, weight=tokens)


def test_batches_of_different_lengths_stay_by_themselves():
    """Sequences that each batch pads to its own longest, the usual collation of token ids."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7)).double()
    data = [{"ids": torch.randint(0, 7, (n, length))} for n, length in ((3, 5), (2, 8), (4, 6))]

    def objective(net, batch):
        return F.cross_entropy(net(batch["ids"])[:, :-1].flatten(0, 1), batch["ids"][:, 1:].ravel())

    def tokens(batch):
        return batch["ids"][:, 1:].numel()

    losses = [float(objective(net, batch).detach()) for batch in data]
    for weight, counts in ((tokens, [12, 14, 20]), (None, [3, 2, 4])):
        landscape = NetworkLandscape(net, data, objective=objective, weight=weight)
        point = landscape.initial_point()
        mean = sum(n * x for n, x in zip(counts, losses, strict=True)) / sum(counts)
        assert landscape.value(point) == pytest.approx(mean, rel=1e-12)
        assert landscape.samples == 9
        found = [part.value(point) for part in landscape.minibatches(4, torch.Generator())]
        assert sorted(found) == pytest.approx(sorted(losses), rel=1e-12)
        assert landscape.first(4).value(point) == pytest.approx(
            sum(n * x for n, x in zip(counts[:2], losses, strict=False)) / sum(counts[:2])
        )


def test_weighted_cross_entropy_of_batches_is_that_of_the_data():
    loss = nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 3.0]).double(), ignore_index=1)
    net = made()
    whole = NetworkLandscape(net, X, Y, loss)
    batches = NetworkLandscape(net, DataLoader(Pairs(), batch_size=4), loss=loss)
    point = whole.initial_point()
    expected = float(loss(net(X), Y).detach())
    assert whole.value(point) == pytest.approx(expected, rel=1e-12)
    assert batches.value(point) == pytest.approx(expected, rel=1e-12)


def test_a_regularizer_is_added_once():
    def decay(net):
        return 0.3 * sum(p.square().sum() for p in net.parameters())

    net = made()
    for landscape in (
        NetworkLandscape(net, X, Y, "cross_entropy", regularizer=decay),
        NetworkLandscape(net, DICTS, objective=mean, regularizer=decay),
    ):
        point = landscape.initial_point()
        value, gradient = landscape.value_and_gradient(point)
        own, slope = plain(net)
        assert value == pytest.approx(own + 0.3 * float(point.square().sum()), rel=1e-12)
        assert landscape.value(point) == pytest.approx(value, rel=1e-14)
        assert torch.allclose(gradient, slope + 0.6 * point, rtol=1e-10)
        for part in landscape.minibatches(6, torch.Generator().manual_seed(0)):
            bare = part.value(point) - 0.3 * float(point.square().sum())
            assert 0 < bare < 10
        v = torch.randn(len(point)).double().numpy()
        plain_product = CurvatureProduct(NetworkLandscape(net, X, Y, "cross_entropy"), point)(v)
        assert CurvatureProduct(landscape, point)(v) == pytest.approx(plain_product + 0.6 * v)
    for wrong, message in (
        (lambda net: 0.5, r"regularizer to return one number, a tensor, got float"),
        (lambda net: net[0].bias.detach().sum(), r"regularizer that depends on the module's param"),
        (lambda net: net[0].bias.sum() * torch.rand(()), r"or the regularizer is random"),
    ):
        with pytest.raises(ValueError, match=message):
            NetworkLandscape(net, X, Y, "cross_entropy", regularizer=wrong)
    whole = NetworkLandscape(net, X, Y, "cross_entropy", regularizer=lambda n: n[2].bias.sum())
    part = whole.with_trainable("0.*")  # there it is a constant
    bare = NetworkLandscape(net, X, Y, "cross_entropy").with_trainable("0.*")
    v = torch.randn(part.dimension).double().numpy()
    here = part.initial_point()
    assert CurvatureProduct(part, here)(v) == pytest.approx(CurvatureProduct(bare, here)(v))
    shift = float(net[2].bias.detach().sum())
    assert part.value(here) == pytest.approx(bare.value(here) + shift, rel=1e-12)


def test_a_regularizer_may_differentiate_by_itself():
    """The squared slope of the outputs by the inputs, of a linear map known in closed form."""
    torch.manual_seed(0)
    net = nn.Linear(4, 1).double()

    def roughness(net):
        x = X[:5].clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return slope.square().sum(1).mean()

    targets = Y[:, None].double()
    for data in ((X, targets, "mean_squared_error"), ([(X, targets)], None, "mean_squared_error")):
        bare = NetworkLandscape(net, *data)
        landscape = NetworkLandscape(net, *data, regularizer=roughness)
        point = landscape.initial_point()
        weight = torch.cat([point[:4], torch.zeros(1).double()])  # |w|² whatever the inputs
        expected = bare.value(point) + float(weight.square().sum())
        assert landscape.value(point) == pytest.approx(expected, rel=1e-12)
        value, gradient = landscape.value_and_gradient(point)
        assert value == pytest.approx(expected, rel=1e-12)
        assert torch.allclose(gradient, bare.value_and_gradient(point)[1] + 2 * weight)
        v = torch.ones(5).double().numpy()
        product = CurvatureProduct(bare, point)(v) + 2 * (v * (torch.arange(5) < 4).numpy())
        assert CurvatureProduct(landscape, point)(v) == pytest.approx(product)


def test_inputs_that_do_not_fit_are_told_apart():
    net = made(double=False)
    for data, message in (
        (
            DataLoader(TensorDataset(X, Y), 4),
            r"\[n, 4\] of torch.float64; convert them with inputs",
        ),
        (DataLoader(TensorDataset(X[:, :3], Y), 4), r"cannot be called on the inputs, \[n, 3\]"),
        ([(x, int(y)) for x, y in zip(X, Y, strict=True)], r"a list holds batches, so give"),
    ):
        with pytest.raises(ValueError, match=message):
            NetworkLandscape(net, data, loss="cross_entropy")


def test_seeds_give_an_objective_the_same_random_numbers_at_every_point():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = nn.Parameter(torch.zeros(4).double())

    def objective(net, batch):
        return (net.mean + torch.randn(batch.shape).double() - batch).square().mean()

    with pytest.raises(ValueError, match=r"same value from two evaluations.*give an objective's"):
        NetworkLandscape(Noisy(), [X], objective=objective)
    one, two = (
        NetworkLandscape(Noisy(), list(X.split(5)), objective=objective, seed=s) for s in (0, 1)
    )
    points = torch.randn(3, 4).double()
    assert torch.equal(one.values(points), one.values(points.flip(0)).flip(0))
    assert not torch.allclose(one.values(points), two.values(points))
    # with fixed numbers the mean over samples is a parabola with its minimum at their mean
    value, slope = one.value_and_gradient(points[0])
    assert one.value(points[0] - slope * 2) < value
    (minimum,) = (points[0] - slope * 2,)  # the Hessian is 2/4 of the identity
    assert torch.allclose(one.value_and_gradient(minimum)[1], torch.zeros(4).double(), atol=1e-12)


def test_objectives_that_differentiate_themselves():
    """u'' + u = 0 by autograd inside: the value and gradient of the same residual by hand."""

    class Wave(nn.Module):
        def __init__(self):
            super().__init__()
            self.k = nn.Parameter(torch.tensor([1.7]).double())

        def forward(self, t):
            return torch.sin(self.k * t)

    def residual(net, t):
        t = t.clone().requires_grad_()
        u = net(t)
        (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        (second,) = torch.autograd.grad(slope.sum(), t, create_graph=True)
        return (second + u).square().mean()

    t = torch.linspace(0, 3, 17).double()[:, None]
    landscape = NetworkLandscape(Wave(), t, objective=residual, chunk=5)
    k = torch.tensor([1.3]).double().requires_grad_()
    by_hand = ((1 - k**2) * torch.sin(k * t)).square().mean()
    (slope,) = torch.autograd.grad(by_hand, k)
    value, gradient = landscape.value_and_gradient(k.detach())
    assert landscape.value(k.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-12)
    assert (value, float(gradient)) == pytest.approx(
        (float(by_hand.detach()), float(slope)), rel=1e-10
    )
    product = CurvatureProduct(landscape, k.detach())
    assert product.dimension == 1
    h = 1e-5
    slopes = [float(landscape.value_and_gradient(k.detach() + s * h)[1]) for s in (1, -1)]
    assert product([1.0])[0] == pytest.approx((slopes[0] - slopes[1]) / (2 * h), rel=1e-6)


def test_data_that_does_not_fit_in_memory_is_read_batch_by_batch():
    alive = weakref.WeakSet()

    class Counted(Dataset):
        most = 0

        def __len__(self):
            return 60

        def __getitem__(self, i):
            sample = torch.full((1000,), float(i))
            alive.add(sample)
            Counted.most = max(Counted.most, len(alive))
            return sample

    net = nn.Linear(1000, 1)
    landscape = NetworkLandscape(
        net, Counted(), objective=lambda net, x: net(x).square().mean(), chunk=5
    )
    Counted.most = 0
    gc.collect()
    landscape.value_and_gradient(landscape.initial_point())
    assert Counted.most <= 10  # of one batch, and of the next that is being read
    for part in landscape.minibatches(4, torch.Generator()):
        part.value(landscape.initial_point())
    assert Counted.most <= 10
    half = landscape.first(50)
    half.value(landscape.initial_point())
    assert Counted.most <= 10


def test_batches_that_cannot_be_cut_are_mini_batches():
    whole = [each | {"names": ["a"]} for each in DICTS]
    net = made()
    landscape = NetworkLandscape(net, whole, objective=mean, weight=lambda b: len(b["x"]))
    point = landscape.initial_point()
    found = [part.value(point) for part in landscape.minibatches(12, torch.Generator())]
    expected = [plain(net, each["x"], each["y"])[0] for each in DICTS]
    assert sorted(found) == pytest.approx(sorted(expected), rel=1e-12)


def test_options_that_do_not_apply_to_pairs_are_refused_in_problems():
    with pytest.raises(ValueError, match="train: weight goes with an objective of batches"):
        network_problem(made, (X, Y), weight=len)
    seen = []

    def counting():
        net = made()
        net.register_forward_hook(lambda *_: seen.append(1))
        return net

    network_problem(counting, DataLoader(Pairs(), batch_size=2), loss="cross_entropy")
    plainly = len(seen)
    seen.clear()
    loader = DataLoader(Pairs(), batch_size=2)
    network_problem(counting, loader, loss="cross_entropy", metrics=["error", "accuracy"])
    assert len(seen) == plainly + 2  # a metric is tried on one batch, not on all


def test_batch_norm_is_estimated_from_the_batches():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)).double()
    tensors = NetworkLandscape(net.eval(), X, Y, "cross_entropy", chunk=8)
    batches = NetworkLandscape(net, (X, Y), objective=of_pair, chunk=8)
    point = tensors.initial_point() * 1.3
    one, two = BatchNormLandscape(tensors), BatchNormLandscape(batches)
    assert two.value(point) == pytest.approx(one.value(point), rel=1e-12)
    for a, b in zip(one.value_and_gradient(point), two.value_and_gradient(point), strict=True):
        assert torch.allclose(torch.as_tensor(a), torch.as_tensor(b), rtol=1e-10, atol=1e-15)
    for a, b in zip(
        *(each.minibatches(6, torch.Generator().manual_seed(0)) for each in (one, two)), strict=True
    ):
        assert a.value(point) == pytest.approx(b.value(point), rel=1e-12)
    elsewhere = BatchNormLandscape(NetworkLandscape(net, DICTS, objective=mean), batches)
    assert elsewhere.value(point) == pytest.approx(one.value(point), rel=1e-12)


def test_a_last_batch_of_one_sample_has_no_statistics():
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double().eval()
    for data in (DataLoader(Pairs(), batch_size=11), DataLoader(Pieces(), batch_size=11)):
        landscape = BatchNormLandscape(NetworkLandscape(net, data, loss="cross_entropy"))
        with pytest.raises(ValueError, match="expected batches of at least two samples"):
            landscape.value(landscape.initial_point())


def test_averages_and_problems():
    problem = network_problem(
        made,
        DataLoader(Pairs(), batch_size=4),
        {"x": X, "y": Y},
        objective=lambda n, b: of_pair(n, b) if isinstance(b, list) else mean(n, b),
    )
    assert problem.train.value(problem.train.initial_point()) == pytest.approx(
        problem.test.value(problem.train.initial_point())
    )
    problem = network_problem(
        made, (X, Y), DataLoader(Pairs(), 4), loss="cross_entropy", metrics=["error"]
    )
    point = problem.train.initial_point()
    net = made()
    net.load_state_dict(problem.train.parameters_at(point))
    wrong = float((net(X).argmax(1) != Y).double().mean())
    for landscape in (problem.train, problem.test):
        assert problem.metrics["error"](landscape, point) == pytest.approx(wrong)
        found = landscape.average(point, lambda n, b: (n(b[0]).argmax(1) != b[1]).double().mean())
        assert found == pytest.approx(wrong)
    with pytest.raises(ValueError, match=r"expected a number for each batch, got \[4, 3\]"):
        problem.test.average(point, lambda n, b: n(b[0]))


def test_copies_and_files():
    landscape = NetworkLandscape(made(), DataLoader(Pairs(), batch_size=4), objective=of_pair)
    point = landscape.initial_point()
    for other in (copy.deepcopy(landscape), pickle.loads(pickle.dumps(landscape))):
        assert other.value(point) == landscape.value(point)
    part = landscape.with_trainable("2.*")
    assert part.value(part.initial_point()) == landscape.value(point)


class Augmented(Pairs):
    def __getitem__(self, i):
        return X[i] + 0.01 * torch.randn(4), Y[i]


class Drawing(Pairs):
    """Draws a number to read a sample, and changes the sample where it is 1 in `odds`."""

    def __init__(self, draw, odds=1e-9):
        self.draws = [draw]  # as torchvision's Compose holds its transforms
        self.odds = odds

    def __getitem__(self, i):
        return X[i] + (self.draws[0](i) < self.odds), Y[i]


class Own:
    """A transform with a generator of its own."""

    def __init__(self, generator):
        self.generator = generator

    def __call__(self, i):
        if isinstance(self.generator, torch.Generator):
            return float(torch.rand((), generator=self.generator))
        return self.generator.random()


def draw_in_collation(samples):
    random.random()
    return default_collate(samples)


def by_torch(i):
    return float(torch.rand(()))


@pytest.mark.parametrize(
    "data",
    [
        Drawing(by_torch),
        Drawing(lambda i: np.random.rand()),  # noqa: NPY002
        Drawing(lambda i: random.random()),
        Drawing(Own(np.random.default_rng(0))),
        Drawing(Own(random.Random(0))),
        Drawing(Own(torch.Generator())),
        DataLoader(Drawing(by_torch), batch_size=4, shuffle=True),
        DataLoader(Drawing(by_torch), batch_size=4, num_workers=1),
        DataLoader(Subset(Drawing(by_torch), range(5)), batch_size=4),
        DataLoader(Pairs(), collate_fn=draw_in_collation),
    ],
)
@pytest.mark.filterwarnings("ignore:the loader shuffles")
def test_rare_augmentation_is_known_by_the_numbers_that_it_draws(data):
    with pytest.raises(ValueError, match="random numbers are drawn to read the samples"):
        NetworkLandscape(made(), data, objective=of_pair)


def seeded_by_the_sample(i):
    return float(torch.rand((), generator=torch.Generator().manual_seed(i)))


def seeding_all(i):
    random.seed(i)
    np.random.seed(i)  # noqa: NPY002
    return random.random() + np.random.rand()  # noqa: NPY002


class Wrapped:
    """Batches of a loader, which draws a seed for its workers in every pass."""

    def __iter__(self):
        yield from DataLoader(Pairs(), batch_size=4)


@pytest.mark.parametrize(
    "data",
    [
        Drawing(seeded_by_the_sample),
        Drawing(seeding_all),
        DataLoader(Drawing(seeded_by_the_sample), 4, shuffle=True, generator=torch.Generator()),
        DataLoader(Pairs(), sampler=RandomSampler(Pairs(), generator=torch.Generator())),
        Wrapped(),
    ],
)
@pytest.mark.filterwarnings("ignore:the loader shuffles")
def test_numbers_that_are_the_same_in_every_pass_are_not_augmentation(data):
    landscape = NetworkLandscape(made(), data, objective=of_pair)
    expected, _ = plain(made(), X, Y)
    assert landscape.value(landscape.initial_point()) == pytest.approx(expected, rel=1e-12)


class Remembering:
    def __init__(self):
        self.count = 0

    def __call__(self, net, batch):
        self.count += 1
        return of_pair(net, batch) * (1 + 0.01 * self.count)


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (
            Augmented(),
            {"objective": of_pair},
            ValueError,
            "two passes.*without random augmentation",
        ),
        (
            DataLoader(Augmented(), batch_size=4, num_workers=1),
            {"objective": of_pair},
            ValueError,
            "two passes",
        ),
        (
            zip(X, Y, strict=True),
            {"objective": of_pair},
            TypeError,
            "got zip, which can be read once",
        ),
        ((b for b in DICTS), {"objective": mean}, TypeError, "generator, which can be read once"),
        ([], {"objective": mean}, ValueError, "an empty list"),
        ((X[:0], Y[:0]), {"objective": of_pair}, ValueError, "no data|got none"),
        (TensorDataset(X[:0], Y[:0]), {"objective": of_pair}, ValueError, "length 0"),
        (
            DataLoader(Pairs(), sampler=WeightedRandomSampler(torch.rand(N), N)),
            {"objective": of_pair},
            ValueError,
            "WeightedRandomSampler draws other samples each time",
        ),
        (DICTS, {}, TypeError, r"does not take a batch as keywords.*give objective="),
        ((X, Y), {}, ValueError, r"'cross_entropy' for batches \(inputs, targets\), or objective="),
        (DICTS, {"loss": "cross_entropy"}, TypeError, r"got a dict of 'x', 'y': give objective="),
        (
            DICTS,
            {"loss": "cross_entropy", "objective": mean},
            ValueError,
            "objective goes with an objective of batches, not with targets or a loss",
        ),
        ((X, Y), {"loss": "cross_entropy", "weight": len}, ValueError, "weight goes with"),
        (X, {"targets": Y, "loss": "cross_entropy", "seed": 0}, ValueError, "seed goes with"),
        (
            [(X, torch.full((N,), -100))],
            {"loss": "cross_entropy"},
            ValueError,
            "none of the 23 samples counts",
        ),
        (
            DICTS,
            {"objective": lambda n, b: F.cross_entropy(n(b["x"]), b["y"], reduction="none")},
            ValueError,
            r"shape .*: return loss\.mean\(\)",
        ),
        (
            DICTS,
            {"objective": lambda n, b: F.cross_entropy(n(b["x"]), b["y"], reduction="sum")},
            ValueError,
            "is the sum of those of its halves: return the mean",
        ),
        (
            DICTS,
            {"objective": lambda n, b: mean(n, b).item()},
            TypeError,
            r"float: return it without",
        ),
        (DICTS, {"objective": lambda n, b: mean(n, b).detach()}, ValueError, r"without \.item\(\)"),
        (DICTS, {"objective": lambda n, b: None}, TypeError, "NoneType"),
        (DICTS, {"objective": lambda n, b: mean(n, b) * 1j}, TypeError, "real tensor, got torch.c"),
        ((X, Y), {"objective": Remembering()}, ValueError, "remembers what it has seen"),
        (DICTS, {"objective": mean, "weight": lambda b: 0}, ValueError, "above zero, got 0"),
        (DICTS, {"objective": mean, "weight": lambda b: "a"}, ValueError, "above zero, got str"),
        (DICTS, {"objective": mean, "weight": lambda b: b["x"]}, ValueError, "above zero"),
        (DICTS, {"objective": mean, "weight": lambda b: float("nan")}, ValueError, "got nan"),
        (
            [{"x": X, "y": Y[:3]}] * 2,
            {"objective": lambda n, b: n(b["x"]).mean()},
            ValueError,
            "weight=",
        ),
        (3, {"objective": mean}, TypeError, "a Dataset or a DataLoader, got int"),
        ("data", {"objective": mean}, TypeError, "got str"),
    ],
)
def test_what_is_refused(data, options, error, message):
    with pytest.raises(error, match=message):
        NetworkLandscape(made(), data, **options)


def test_a_stream_gives_no_mini_batches():
    landscape = NetworkLandscape(made(), Again(), objective=of_pair)
    with pytest.raises(TypeError, match=r"come in one order.*Dataset with __len__"):
        next(landscape.minibatches(4, torch.Generator()))


def test_shuffled_loaders_are_read_in_order_and_say_so():
    subset = DataLoader(Pairs(), batch_size=4, sampler=SubsetRandomSampler([8, 3, 5, 1, 2]))
    with pytest.warns(UserWarning, match="the loader shuffles; a landscape reads all"):
        landscape = NetworkLandscape(made(), subset, objective=of_pair)
    rows = torch.tensor([1, 2, 3, 5, 8])
    expected, _ = plain(made(), X[rows], Y[rows])
    assert landscape.value(landscape.initial_point()) == pytest.approx(expected, rel=1e-12)
    first = next(iter(landscape.batches()))
    assert torch.equal(first[0], X[rows[:4]])
    reversed_order = DataLoader(Pairs(), batch_size=4, sampler=list(range(N - 1, -1, -1)))
    NetworkLandscape(made(), reversed_order, objective=of_pair)
    NetworkLandscape(
        made(), DataLoader(Pairs(), sampler=SequentialSampler(Pairs())), objective=of_pair
    )


@pytest.mark.parametrize("samples", [2, 250, 251, 499, 501])
def test_last_chunks_of_any_length(samples):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))
    x, y = torch.randn(samples, 1, 8, 8), torch.randint(0, 4, (samples,))
    landscape = NetworkLandscape(net, x, y, "cross_entropy")
    expected = float(F.cross_entropy(net.double()(x.double()), y).detach())
    assert landscape.value(landscape.initial_point()) == pytest.approx(expected, rel=1e-5)
