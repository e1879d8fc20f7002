"""What each operation of a network says of the axes of its arguments and results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lowroad.landscapes.axis_factors import Label, fix, join, new_axis, part_of, viewed
from lowroad.landscapes.traced_call import Call, value_of


def _elementwise(call: Call) -> Label:
    result: Label = [[] for _ in call.shapes[0]]
    for label in call.tensors():
        for i in range(1, len(label) + 1):
            result[-i] = join(result[-i], label[-i])
    return result


def _product(call: Call) -> Label:
    names = [
        name
        for name in ("self", "input", "mat1", "batch1", "mat2", "batch2", "vec", "tensor")
        if call.label(name) is not None
    ]
    first, second = (call.label(name) for name in names[-2:])
    assert first is not None
    assert second is not None
    contracted = -2 if len(second) > 1 else -1
    join(first[-1], second[contracted])
    if len(first) == 3:
        join(first[0], second[0])
    result = first[:-1] + (second[-1:] if len(second) > 1 else [])
    if len(names) == 3:  # addmm and its like: something is added
        for mine, other in zip(
            reversed(result), reversed(call.label(names[0]) or []), strict=False
        ):
            join(mine, other)
    return result


def _convolution(call: Call) -> Label:
    inputs, weight = call.label("input"), call.label("weight")
    assert inputs is not None
    assert weight is not None
    fix(*inputs[2:], *weight[2:])
    shape, groups = call.shape_of("weight"), int(call.get("groups"))
    transposed = bool(call.get("transposed"))
    if transposed:
        group = new_axis(groups)
        join(weight[0], group + (into := new_axis(shape[0] // groups)))
        out = group + weight[1]
    else:
        group, into = new_axis(groups), weight[1]
        out = group + new_axis(shape[0] // groups)
        join(weight[0], out)
    join(inputs[1], group + into)
    if (bias := call.label("bias")) is not None:
        join(bias[0], out)
    return [inputs[0], out, *(new_axis(n, fixed=True) for n in call.shapes[0][2:])]


def _norm_of_channels(call: Call) -> list[Label]:
    first, *others = call.tensors()
    if "group_norm" in call.node.target.__name__:  # type: ignore[union-attr]
        groups, channels = int(call.get("group")), int(call.get("C"))
        join(first[1], new_axis(groups) + new_axis(channels // groups))
    for other in others:
        join(first[1], other[0])
    return [first, *([new_axis(n, fixed=True) for n in shape] for shape in call.shapes[1:])]


def _layer_norm(call: Call) -> list[Label]:
    first, *others = call.tensors()
    for other in others:
        for i in range(1, len(other) + 1):
            join(first[-i], other[-i])
    return [first, *([new_axis(n, fixed=True) for n in shape] for shape in call.shapes[1:])]


def _weight_norm(call: Call) -> list[Label]:
    direction, length = call.tensors()
    join(direction[call.dim(direction)], length[call.dim(direction)])
    return [direction, length]


def _reduction(call: Call) -> Label | list[Label]:
    label = call.tensors()[0]
    dims = call.get("dim")
    dims = [dims] if isinstance(dims, int) else dims or range(len(label))
    gone = {d % max(len(label), 1) for d in dims}
    kept: Label = [
        [] if i in gone else axis
        for i, axis in enumerate(label)
        if i not in gone or call.get("keepdim")
    ]
    return [list(kept) for _ in call.shapes] if len(call.shapes) > 1 else kept


def _same(call: Call) -> Label:
    return call.tensors()[0]


def _filled(call: Call) -> Label:
    return [new_axis(n) if call.written else [] for n in call.shapes[0]]


def _view(call: Call) -> Label:
    label = call.tensors()[0]
    if not any(label):
        return [[] for _ in call.shapes[0]]
    (given,) = call.node.all_input_nodes
    label = [axis or new_axis(n) for axis, n in zip(label, value_of(given).shape, strict=True)]
    return viewed(label, call.shapes[0])


def _expand(call: Call) -> Label:
    label = call.tensors()[0]
    return [[]] * (len(call.shapes[0]) - len(label)) + label


def _repeat(call: Call) -> Label:
    label, times = call.tensors()[0], call.get("repeats")
    label = [[]] * (len(times) - len(label)) + label
    return [(new_axis(n) if axis else []) + axis for n, axis in zip(times, label, strict=True)]


def _transpose(call: Call) -> Label:
    label = list(call.tensors()[0])
    if len(label) > 1:
        i, j = (call.get("dim0"), call.get("dim1")) if call.get("dim1") is not None else (0, 1)
        label[i], label[j] = label[j], label[i]
    return label


def _permute(call: Call) -> Label:
    label = call.tensors()[0]
    return [label[d] for d in call.get("dims")]


def _unsqueeze(call: Call) -> Label:
    label = list(call.tensors()[0])
    label.insert(int(call.get("dim")) % (len(label) + 1), [])
    return label


def _select(call: Call) -> Label:
    label = list(call.tensors()[0])
    fix(label.pop(call.dim(label)))
    return label


def _unbind(call: Call) -> list[Label]:
    label = list(call.tensors()[0])
    fix(label.pop(call.dim(label)))
    return [label for _ in call.shapes]


def _slice(call: Call) -> Label:
    label = list(call.tensors()[0])
    d = call.dim(label)
    size, length = call.shape_of("self")[d], call.shapes[0][d]
    start = min(max(int(call.get("start") or 0) % max(size, 1), 0), size)
    if call.get("step") != 1:
        fix(label[d])
        label[d] = new_axis(length, fixed=True)
    else:
        label[d] = part_of(label[d], size, length, start)
    return label


def _split(call: Call) -> list[Label]:
    label = call.tensors()[0]
    d = call.dim(label)
    size, lengths = call.shape_of("self")[d], [shape[d] for shape in call.shapes]
    if len(set(lengths)) > 1:
        fix(label[d])
    return [
        [
            *label[:d],
            part_of(label[d], size, n) if len(set(lengths)) == 1 else new_axis(n, True),
            *label[d + 1 :],
        ]
        for n in lengths
    ]


def _glu(call: Call) -> Label:
    label = list(call.tensors()[0])
    d = call.dim(label)
    label[d] = part_of(label[d], call.shape_of("self")[d], call.shapes[0][d])
    return label


def _stack(call: Call) -> Label:
    first, *others = call.labels("tensors")
    for other in others:
        for mine, its in zip(first, other, strict=True):
            join(mine, its)
    d = int(call.get("dim") or 0) % (len(first) + 1)
    return [*first[:d], new_axis(len(others) + 1, fixed=True), *first[d:]]


def _concatenation(call: Call) -> Label:
    labels = call.labels("tensors")
    shapes = [list(value_of(n).shape) for n in call.given["tensors"]]
    labels = [label for label, shape in zip(labels, shapes, strict=True) if shape != [0]]
    shapes = [shape for shape in shapes if shape != [0]]
    first, d = list(labels[0]), call.dim(labels[0])
    lengths = {shape[d] for shape in shapes}
    for other in labels[1:]:
        for i, (mine, its) in enumerate(zip(first, other, strict=True)):
            if i != d:
                first[i] = join(mine, its)
            elif len(lengths) == 1:  # blocks of one length are renumbered alike
                join(mine, its)
    if len(lengths) == 1:
        first[d] = new_axis(len(labels), fixed=True) + first[d]
    else:
        fix(*(label[d] for label in labels))
        first[d] = new_axis(call.shapes[0][d], fixed=True)
    return first


def _window(call: Call) -> Label | list[Label]:
    label = call.tensors()[0]
    batch = len(label) - (len(label) - 1 if len(label) < 3 else len(label) - 2)
    fix(*label[batch:])
    found = [
        [*label[:batch], *(new_axis(n, fixed=True) for n in shape[batch:])] for shape in call.shapes
    ]
    return found if len(found) > 1 else found[0]


def _padding(call: Call) -> Label:
    label = call.tensors()[0]
    before = call.shape_of("self")
    for i, (n, m) in enumerate(zip(before, call.shapes[0], strict=True)):
        if n != m:
            fix(label[i])
    return [
        axis if n == m else new_axis(m, fixed=True)
        for axis, n, m in zip(label, before, call.shapes[0], strict=True)
    ]


def _embedding(call: Call) -> Label:
    weight, indices = call.label("weight"), call.label("indices")
    assert weight is not None
    assert indices is not None
    fix(weight[0])
    return [*indices, weight[1]]


def _index(call: Call) -> Label:
    label, given = call.tensors()[0], call.get("indices")
    used = [i for i, index in enumerate(given) if index is not None]
    if len(used) != 1:
        return opaque(call)
    (d,) = used
    fix(label[d])
    inner = call.label_of(given[d])
    return [*label[:d], *inner, *label[d + 1 :]]


def _index_select(call: Call) -> Label:
    label = list(call.tensors()[0])
    d = call.dim(label)
    fix(label[d])
    label[d] = new_axis(call.shapes[0][d], fixed=True)
    return label


def _pack(call: Call) -> list[Label]:
    label = call.tensors()[0]  # padded sequences [n, t, …], or [t, n, …]
    fix(*label[:2])
    (steps, *_), (times,) = call.shapes
    return [[new_axis(steps, fixed=True), *label[2:]], [new_axis(times, fixed=True)]]


def opaque(call: Call) -> Any:
    """Fix all axes of an operation that is not known."""
    for label in call.tensors():
        fix(*label)
    found = [[new_axis(n, fixed=True) for n in shape] for shape in call.shapes]
    return found if isinstance(value_of(call.node), (tuple, list)) else found[0]


_Rule = Callable[[Call], Any]
_RULES: dict[str, _Rule] = {
    name: rule
    for rule, names in (
        (_product, "mm bmm addmm baddbmm mv addmv dot"),
        (_convolution, "convolution"),
        (
            _norm_of_channels,
            "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
            "cudnn_batch_norm miopen_batch_norm native_group_norm",
        ),
        (_layer_norm, "native_layer_norm"),
        (_weight_norm, "_weight_norm_interface"),
        (
            _reduction,
            "sum mean amax amin prod var std var_mean logsumexp norm linalg_vector_norm any all",
        ),
        (
            _same,
            "_softmax _log_softmax _safe_softmax clone contiguous detach alias _to_copy lift "
            "lift_fresh lift_fresh_copy",
        ),
        (_elementwise, "_prelu_kernel copy lerp where masked_fill bernoulli"),
        (
            _filled,
            "zeros ones full empty new_zeros new_ones new_full new_empty zeros_like ones_like "
            "full_like empty_like scalar_tensor",
        ),
        (_view, "view _unsafe_view reshape _reshape_alias flatten unflatten squeeze"),
        (_expand, "expand"),
        (_repeat, "repeat"),
        (_transpose, "t transpose"),
        (_permute, "permute"),
        (_unsqueeze, "unsqueeze"),
        (_select, "select"),
        (_unbind, "unbind"),
        (_slice, "slice"),
        (_split, "split split_with_sizes chunk unsafe_chunk unsafe_split"),
        (_glu, "glu"),
        (_stack, "stack"),
        (_concatenation, "cat"),
        (
            _window,
            "avg_pool1d avg_pool2d avg_pool3d max_pool2d_with_indices max_pool3d_with_indices "
            "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d upsample_nearest2d "
            "upsample_bilinear2d reflection_pad2d replication_pad2d",
        ),
        (_padding, "constant_pad_nd"),
        (_embedding, "embedding"),
        (_index, "index"),
        (_index_select, "index_select"),
        (_pack, "_pack_padded_sequence"),
        (opaque, "nll_loss_forward nll_loss2d_forward"),
    )
    for name in names.split()
}


def rule_of(target: Any) -> _Rule | None:
    """Return what an operation does with axes, None where it is not known: it fixes all."""
    name = target._schema.name.removeprefix("aten::")
    known = _RULES.get(name) or _RULES.get(name.removesuffix("_"))
    return known or (_elementwise if torch.Tag.pointwise in target.tags else None)
