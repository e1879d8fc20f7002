"""A network's value depends on the point alone, or it is refused; weighted means are PyTorch's."""

from __future__ import annotations

import pickle
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from lowroad.landscapes import AffineSubspace, NetworkLandscape
from lowroad.optimizers import optimize
from lowroad.paths import StraightLine
from lowroad.problems import network_problem


def data(n=20, features=2):
    torch.manual_seed(0)
    return torch.randn(n, features), torch.randn(n, 1)


class Dropped(nn.Module):
    """Random, but not where its last layer is zero, as it is at first."""

    def __init__(self, where="everywhere"):
        super().__init__()
        self.first, self.last, self.where = nn.Linear(2, 8), nn.Linear(8, 1), where
        nn.init.zeros_(self.last.weight)

    def forward(self, x):
        h = self.first(x)
        far = float(self.last.weight.detach().norm()) > 3
        return self.last(F.dropout(h, 0.5) if far or self.where == "everywhere" else h)


def test_randomness_that_does_not_show_at_the_first_point():
    with pytest.raises(ValueError, match="the same value from two evaluations"):
        NetworkLandscape(Dropped(), *data(), "mean_squared_error")


def test_randomness_only_where_work_begins():
    landscape = NetworkLandscape(Dropped("far away"), *data(), "mean_squared_error")
    near = landscape.initial_point()
    far = near + 5
    with pytest.raises(ValueError, match="the same value from two evaluations"):
        StraightLine().find(landscape, near, far)

    class Problem:
        train, test, validation = landscape, None, None

    with pytest.raises(ValueError, match="the same value from two evaluations"):
        optimize("lbfgs", Problem(), far, torch.Generator(), settings={"iterations": 1})


def test_randomness_on_some_samples_only():
    class Sometimes(nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            return y + torch.rand_like(y) * (x[:, :1] > 100)

    inputs, targets = data(2000)
    inputs[-1] = 1000.0  # in the last chunk
    with pytest.raises(ValueError, match="the same value from two evaluations"):
        NetworkLandscape(Sometimes(2, 1), inputs, targets, "mean_squared_error")


class Words(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.words, self.out = nn.Embedding(4, 2, **options), nn.Linear(2, 1)

    def forward(self, x):
        return self.out(self.words(x).mean(1))


def test_embeddings_that_rescale_their_rows():
    inputs, targets = torch.randint(0, 4, (20, 3)), torch.randn(20, 1)
    with pytest.raises(ValueError, match=r"Embedding \(words\) has max_norm"):
        NetworkLandscape(Words(max_norm=1.0), inputs, targets, "mean_squared_error")
    assert NetworkLandscape(Words(), inputs, targets, "mean_squared_error").dimension == 11


def test_buffers_and_parameters_that_move():
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 1))
    with pytest.raises(
        ValueError, match=r"the module moves parametrizations.* in every forward pass"
    ):
        NetworkLandscape(spectral, *data(), "mean_squared_error")
    assert NetworkLandscape(spectral.eval(), *data(), "mean_squared_error").dimension == 3

    class Decaying(nn.Linear):
        def forward(self, x):
            with torch.no_grad():
                self.weight.mul_(0.999)
            return super().forward(x)

    with pytest.raises(ValueError, match="the module moves its parameters"):
        NetworkLandscape(Decaying(2, 1), *data(), "mean_squared_error")

    class Counting(nn.Linear):
        def __init__(self):
            super().__init__(2, 1)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return super().forward(x) * (1 + 1e-9 * self.calls)

    with pytest.raises(ValueError, match="the module moves calls"):
        NetworkLandscape(Counting(), *data(), "mean_squared_error")


def test_modules_that_mix_samples():
    class Centred(nn.Linear):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    with pytest.raises(ValueError, match="treat each sample by itself"):
        NetworkLandscape(Centred(2, 1), *data(), "mean_squared_error")


# -- weighted means -------------------------------------------------------------------------------
def classifier(n=503):
    torch.manual_seed(1)
    inputs = torch.randn(n, 4)
    targets = torch.arange(n) * 3 // n  # sorted by class
    return nn.Linear(4, 3), inputs, targets


LOSSES = {
    "class weights": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 10.0, 0.0])),
    "ignored targets": nn.CrossEntropyLoss(ignore_index=1),
    "smoothing": nn.CrossEntropyLoss(label_smoothing=0.2),
    "all of it": nn.CrossEntropyLoss(
        weight=torch.tensor([1.0, 10.0, 3.0]), ignore_index=2, label_smoothing=0.1
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("chunk", [100, 7, 1000])
def test_cross_entropy_has_pytorchs_meaning_whatever_the_chunk(name, chunk):
    module, inputs, targets = classifier()
    module = module.double()
    inputs = inputs.double()
    loss = LOSSES[name]
    landscape = NetworkLandscape(module, inputs, targets, loss, chunk=chunk)
    double = nn.CrossEntropyLoss(
        weight=None if loss.weight is None else loss.weight.double(),
        ignore_index=loss.ignore_index, label_smoothing=loss.label_smoothing,
    )  # fmt: skip
    expected = double(module(inputs), targets)
    expected.backward()
    gradient = torch.cat([p.grad.flatten() for p in module.parameters()])
    point = landscape.initial_point()
    value, found = landscape.value_and_gradient(point)
    assert value == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(found, gradient, rtol=1e-10, atol=1e-14)
    line = landscape.restrict(AffineSubspace(point, torch.ones(1, len(point)).double()))
    assert float(line.values(torch.zeros(1, 1).double())[0]) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_batches_are_pytorchs_mean_of_the_batch(name):
    module, inputs, targets = classifier(60)
    landscape = NetworkLandscape(module, inputs, targets, LOSSES[name])
    point = landscape.initial_point()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3))
    batches = landscape.minibatches(20, torch.Generator().manual_seed(3))
    ensemble = landscape.ensemble_minibatches(
        20, [torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)]
    )
    for batch, both, rows in zip(batches, ensemble, order.split(20), strict=True):
        expected = float(LOSSES[name](module(inputs[rows]), targets[rows]).detach())
        assert batch.value(point) == pytest.approx(expected, rel=1e-6)
        assert both.values(torch.stack([point, point])).tolist() == pytest.approx(
            [expected] * 2, rel=1e-6
        )


def test_ignored_labels_and_sequences():
    torch.manual_seed(2)
    logits = nn.Conv1d(3, 5, 1).double()
    inputs, targets = torch.randn(23, 3, 6).double(), torch.randint(0, 5, (23, 6))
    targets[torch.rand(23, 6) < 0.4] = -100
    landscape = NetworkLandscape(logits, inputs, targets, "cross_entropy", chunk=4)
    expected = float(F.cross_entropy(logits(inputs), targets))
    assert landscape.value(landscape.initial_point()) == pytest.approx(expected, rel=1e-12)
    assert landscape.weight == int((targets != -100).sum())


def test_probabilities_as_targets():
    torch.manual_seed(2)
    module, inputs = nn.Linear(3, 5).double(), torch.randn(23, 3).double()
    targets = torch.rand(23, 5).double().softmax(1)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3, 4, 5]), label_smoothing=0.1)
    for each in (loss, "cross_entropy"):
        landscape = NetworkLandscape(module, inputs, targets, each, chunk=5)
        function = F.cross_entropy if each == "cross_entropy" else nn.CrossEntropyLoss(
            weight=loss.weight.double(), label_smoothing=0.1
        )  # fmt: skip
        expected = float(function(module(inputs), targets))
        assert landscape.value(landscape.initial_point()) == pytest.approx(expected, rel=1e-12)


def test_data_that_does_not_count_is_refused():
    module, inputs, targets = classifier(30)
    with pytest.raises(ValueError, match="none of the 30 samples counts"):
        NetworkLandscape(module, inputs, torch.full_like(targets, -100), "cross_entropy")
    weighted = nn.CrossEntropyLoss(weight=torch.ones(3))
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=f"from 0 to 2, one for each .* got class {wrong}"):
            NetworkLandscape(module, inputs, torch.full_like(targets, wrong), weighted)


@pytest.mark.parametrize("form", ["tensors", "batches"])
def test_minibatches_in_which_nothing_counts_are_zero(form):
    """PyTorch's mean over them is NaN."""
    module, inputs, targets = classifier(30)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 0.0]))
    data = (inputs, targets) if form == "tensors" else ([(inputs, targets)],)
    landscape = NetworkLandscape(module, *data, loss=loss)
    point, total = landscape.initial_point(), 0.0
    for batch in landscape.minibatches(1, torch.Generator().manual_seed(0)):
        ((_, target),) = batch.batches()
        value, gradient = batch.value_and_gradient(point)
        assert (value > 0) == bool(gradient.any()) == (int(target) == 0)
        total += batch.value(point)
    assert total / 10 == pytest.approx(landscape.value(point), rel=1e-12)


@pytest.mark.parametrize("form", ["tensors", "batches"])
@pytest.mark.parametrize("method", ["sgd", "torch.optim.SGD"])
def test_training_where_the_first_targets_are_ignored(method, form):
    _, inputs, targets = classifier(100)
    targets[:70] = -100
    data = (inputs, targets) if form == "tensors" else TensorDataset(inputs, targets)
    problem = network_problem(lambda: nn.Linear(4, 3), data, loss=nn.CrossEntropyLoss())
    start = problem.start(torch.Generator().manual_seed(0))
    settings = {"learning_rate": 0.1} if method == "sgd" else {"options": {"lr": 0.1}}
    settings |= {"epochs": 1, "batch_size": 1}
    found = optimize(method, problem, start, torch.Generator().manual_seed(1), settings=settings)
    counted = network_problem(lambda: nn.Linear(4, 3), (inputs[70:], targets[70:]))
    assert found.value == pytest.approx(counted.train.value(found.point), rel=1e-12)
    assert found.value < problem.train.value(start)


def test_bytes_number_classes_too():
    module, inputs, targets = classifier(30)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]))
    for each in (targets, targets.to(torch.uint8)):
        landscape = NetworkLandscape(module, inputs, each, loss)
        expected = loss(module(inputs), targets).item()
        assert landscape.value(landscape.initial_point()) == pytest.approx(expected, rel=1e-6)


# -- modules that cannot simply be copied ---------------------------------------------------------
def test_old_style_weight_norm():
    module = nn.utils.weight_norm(nn.Linear(2, 1)).double()
    inputs, targets = (x.double() for x in data())
    module(inputs)  # its weight is no leaf now
    landscape = NetworkLandscape(module, inputs, targets, "mean_squared_error")
    point = landscape.initial_point() * 1.5
    value, gradient = landscape.value_and_gradient(point)
    names = [name for name, _ in module.named_parameters()]
    own = landscape.parameters_at(point)
    with torch.no_grad():
        for name in names:
            dict(module.named_parameters())[name].copy_(own[name])
    loss = F.mse_loss(module(inputs), targets)
    loss.backward()
    assert value == pytest.approx(float(loss), rel=1e-12)
    expected = torch.cat([p.grad.flatten() for p in module.parameters()])
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)


def test_cached_activations_locks_and_files(tmp_path):
    class Caching(nn.Linear):
        def __init__(self):
            super().__init__(2, 1)
            self.cache, self.lock = {}, threading.Lock()
            self.file = (tmp_path / "log").open("w")

        def forward(self, x):
            with self.lock:
                self.cache["last"] = [super().forward(x)]
            return self.cache["last"][0]

    module = Caching()
    module(data()[0])
    landscape = NetworkLandscape(module, *data(), "mean_squared_error")
    plain = nn.Linear(2, 1)
    plain.load_state_dict(module.state_dict())
    expected = NetworkLandscape(plain, *data(), "mean_squared_error")
    point = landscape.initial_point() + 1
    assert landscape.value(point) == expected.value(point)
    module.file.close()


def test_a_problem_takes_weighted_losses():
    _, inputs, targets = classifier(60)
    problem = network_problem(
        lambda: nn.Linear(4, 3), (inputs, targets), loss=nn.CrossEntropyLoss(torch.ones(3)),
        metrics=["accuracy"],
    )  # fmt: skip
    plain = network_problem(lambda: nn.Linear(4, 3), (inputs, targets))
    point = problem.start(torch.Generator().manual_seed(0))
    assert problem.train.value(point) == pytest.approx(plain.train.value(point), rel=1e-12)


# -- kernels for inference ------------------------------------------------------------------------
class Padded(nn.Module):
    """The mean over all places of an encoder's outputs, or of a decoder's that attends to all."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        size = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "batch_first": True}
        self.kind, self.embedding = kind, nn.Embedding(10, 8)
        if kind == "encoder":
            self.inner = nn.TransformerEncoder(nn.TransformerEncoderLayer(**size), 2)
        elif kind == "layer":
            self.inner = nn.TransformerEncoderLayer(**size, activation="gelu")
        else:
            self.inner = nn.TransformerDecoderLayer(**size)
        self.leave = nn.Linear(8, 3)

    def forward(self, words):
        x, padding = self.embedding(words), words == 0
        if self.kind == "decoder":
            x = self.inner(x, x, memory_key_padding_mask=padding)
        else:
            x = self.inner(x, src_key_padding_mask=padding)
        return self.leave(x.mean(1))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("kind", ["encoder", "layer", "decoder"])
def test_attention_with_padding_is_the_same_without_gradients(kind, empty):
    torch.manual_seed(0)
    module = Padded(kind).double().eval()
    words, targets = torch.randint(1, 10, (20, 6)), torch.randint(0, 3, (20,))
    words[4:, 4:] = words[9:, 2:] = 0
    if empty:
        words[-1] = 0
    expected = F.cross_entropy(module(words), targets).item()
    landscape = NetworkLandscape(module, words, targets, "cross_entropy")
    point = landscape.initial_point()
    assert landscape.value_and_gradient(point)[0] == pytest.approx(expected, rel=1e-12)
    assert landscape.value(point) == pytest.approx(expected, rel=1e-12)
    loss = F.cross_entropy(landscape.outputs(point), targets)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


class Halved(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 2))
        self.half = self.weight[:, :1]

    def forward(self, x):
        return F.linear(x, torch.cat([self.half, self.weight[:, 1:]], 1))


def test_a_view_of_a_parameter_is_refused():
    """In PyTorch it moves with the parameter, in a copy of the module it would not."""
    with pytest.raises(ValueError, match=r"Halved\.half is a view of a parameter"):
        NetworkLandscape(Halved(), *data(), "mean_squared_error")


def test_a_landscape_with_a_loss_of_pytorch_can_be_sent_to_another_process():
    inputs, targets = data()
    landscape = NetworkLandscape(nn.Linear(2, 1), inputs, targets, nn.SmoothL1Loss())
    point = torch.ones(3)
    expected = F.smooth_l1_loss(inputs.sum(1, keepdim=True) + 1, targets).item()
    sent = pickle.loads(pickle.dumps(landscape))
    assert sent.value(point) == pytest.approx(expected, rel=1e-6)
