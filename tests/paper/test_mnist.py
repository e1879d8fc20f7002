"""The real data, folders that people name, and balanced parts."""

from __future__ import annotations

import gzip
import hashlib

import pytest
import torch

from lowroad.paper import mnist_sources
from lowroad.paper.mnist import Images, Mnist, MnistError, load_mnist, locate_mnist
from mnist_stand_in import check, put

# The table of the specification, written down a second time on purpose.
PUBLISHED_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


# The real data


def test_the_real_data_are_the_published_ones(mnist):
    assert PUBLISHED_SHA256 == mnist_sources.SHA256
    assert mnist.train.images.shape == (60_000, 784)
    assert mnist.test.images.shape == (10_000, 784)
    assert (len(mnist.train), len(mnist.test)) == (60_000, 10_000)
    assert mnist.train.images.dtype == torch.float32
    assert mnist.train.labels.dtype == torch.int64
    # The mean and standard deviation that everybody normalises MNIST with.
    pixels = mnist.train.images.double()
    assert pixels.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std().item() == pytest.approx(0.3081, abs=5e-5)
    assert (pixels.min().item(), pixels.max().item()) == (0.0, 1.0)
    # The class counts of the original page, and its first labels.
    assert mnist.train.labels.bincount().tolist() == [
        *[5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    ]
    assert mnist.test.labels.bincount().tolist() == [
        *[980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    ]
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_locating_names_the_folder_and_the_verified_files(mnist):
    location = locate_mnist()
    assert location.ok
    assert location.problems == ()
    assert {file.name: file.sha256 for file in location.files} == PUBLISHED_SHA256
    assert all(
        file.path is not None and file.path.parent == location.path for file in location.files
    )


# A named folder


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_given_folder_is_read(tiny_mnist, tiny_arrays, tmp_path, tiny_cache, gzipped):
    folder = put(tiny_mnist, tmp_path / "mine", gzipped=gzipped)
    check(load_mnist(folder), tiny_arrays)
    check(load_mnist(str(folder)), tiny_arrays)
    assert locate_mnist(folder).chosen_by == "the given folder"
    assert not tiny_cache.exists()


def test_the_environment_variable_names_a_folder(
    tiny_mnist, tiny_arrays, tmp_path, tiny_cache, monkeypatch
):
    folder = put(tiny_mnist, tmp_path / "mine")
    monkeypatch.setenv("LOWROAD_DATA", str(folder))
    check(load_mnist(), tiny_arrays)
    assert (locate_mnist().path, locate_mnist().chosen_by) == (folder, "$LOWROAD_DATA")
    monkeypatch.setenv("LOWROAD_DATA", "")
    assert (locate_mnist().path, locate_mnist().chosen_by) == (tiny_cache, "the cache")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_named_folder_that_lacks_a_file_is_an_error_though_the_cache_is_whole(
    tiny_mnist, tmp_path, tiny_cache, monkeypatch, how
):
    put(tiny_mnist, tiny_cache)
    folder = put(tiny_mnist, tmp_path / "mine")
    (folder / "t10k-images-idx3-ubyte").unlink()
    if how == "variable":
        monkeypatch.setenv("LOWROAD_DATA", str(folder))
    with pytest.raises(MnistError, match=r"mine does not hold MNIST: t10k-images-idx3-ubyte is mi"):
        load_mnist(folder if how == "argument" else None)


def test_a_folder_that_does_not_exist_or_is_empty_is_an_error(tiny_mnist, tmp_path):
    with pytest.raises(MnistError, match="there is no such folder"):
        load_mnist(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MnistError, match=r"none of the files is there.*train-images-idx3-ubyte"):
        load_mnist(tmp_path / "empty")


def test_a_flipped_byte_is_an_error_that_names_the_file(tiny_mnist, tmp_path):
    folder = put(tiny_mnist, tmp_path / "mine")
    content = bytearray(tiny_mnist["train-labels-idx1-ubyte"])
    content[20] ^= 1
    (folder / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(MnistError, match="train-labels-idx1-ubyte is damaged or another file"):
        load_mnist(folder)
    by_name = {file.name: file for file in locate_mnist(folder).files}
    assert by_name["train-labels-idx1-ubyte"].sha256 == hashlib.sha256(content).hexdigest()
    assert [name for name, file in by_name.items() if file.problem] == ["train-labels-idx1-ubyte"]


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_gzip_file_is_an_error_that_names_the_file(tiny_mnist, tmp_path, damage):
    folder = put(tiny_mnist, tmp_path / "mine", gzipped=True)
    content = bytearray(gzip.compress(tiny_mnist["train-images-idx3-ubyte"]))
    if damage == "truncated":
        content = content[:1000]
    else:
        content[1000] ^= 1
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(
        MnistError, match=r"train-images-idx3-ubyte\.gz (cannot be read|is damaged)"
    ):
        load_mnist(folder)


# Subsets


@pytest.mark.parametrize(("n_train", "n_test"), [(5000, 2000), (1, 7), (123, 8920), (54_210, 10)])
def test_a_subset_is_balanced(mnist, n_train, n_test):
    part = mnist.subset(n_train, n_test, seed=3)
    assert (len(part.train), len(part.test)) == (n_train, n_test)
    for images in (part.train, part.test):
        assert images.images.shape == (len(images), 784)
        counts = images.labels.bincount(minlength=10)
        assert counts.max() - counts.min() <= 1


def numbered(n: int) -> Images:
    """Images that carry their own number, with unequal classes: digit 0 twice as often as 1."""
    return Images(torch.arange(n, dtype=torch.float32)[:, None], torch.arange(n) % 3 % 2)


def test_a_subset_draws_without_replacement_and_keeps_images_with_their_labels():
    whole = Mnist(numbered(300), numbered(90))
    part = whole.subset(100, 40, seed=0)
    for images, of in ((part.train, whole.train), (part.test, whole.test)):
        numbers = images.images[:, 0].long()
        assert (numbers.diff() > 0).all()
        assert torch.equal(images.labels, of.labels[numbers])


def test_a_subset_follows_its_seed_and_each_set_its_own_number():
    whole = Mnist(numbered(300), numbered(90))
    part = whole.subset(100, 40, seed=0)
    same, other = whole.subset(100, 20, seed=0), whole.subset(100, 40, seed=1)
    assert torch.equal(part.train.images, same.train.images)
    assert not torch.equal(part.train.images, other.train.images)
    assert not torch.equal(part.test.images, other.test.images)
    assert set(same.test.images[:, 0].tolist()) < set(part.test.images[:, 0].tolist())


def test_every_image_of_a_class_is_drawn_equally_often():
    whole = Mnist(numbered(30), numbered(30))
    times = torch.zeros(30)
    for seed in range(2000):
        times[whole.subset(10, 2, seed).train.images[:, 0].long()] += 1
    # Class 1 has 10 members, class 0 has 20; 5 of each are drawn: binomial counts around these.
    expected = torch.where(whole.train.labels == 1, 2000 * 5 / 10, 2000 * 5 / 20)
    assert ((times - expected).abs() < 5 * (2000 * 0.25) ** 0.5).all()


def test_all_images_may_be_asked_for(mnist):
    part = mnist.subset(60_000, 10_000, seed=0)
    assert torch.equal(part.train.labels, mnist.train.labels)
    assert torch.equal(part.test.images, mnist.test.images)


@pytest.mark.parametrize(
    ("n_train", "n_test", "message"),
    [
        (54_211, 10, r"54211 training images .* ask for 1 to 54210 .* or for all 60000"),
        (60_001, 10, r"60001 training images"),
        (10, 8921, r"8921 test images .* ask for 1 to 8920 .* or for all 10000"),
        (0, 10, r"0 training images"),
        (10, -1, r"-1 test images"),
    ],
)
def test_a_subset_that_cannot_be_balanced_is_refused(mnist, n_train, n_test, message):
    with pytest.raises(ValueError, match=message):
        mnist.subset(n_train, n_test, seed=0)
